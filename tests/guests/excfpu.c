/* SPDX-License-Identifier: ISC */
/*
 * #MF: an unmasked x87 exception is raised by the next waiting x87 instruction (Intel SDM volume
 * 3, 6.15, vector 16). Uses the FPU. Depends on the test guests' runtime only.
 */
#include "tests/guests/raise.h"

#define ZERO_DIVIDE 4
#define CHECK(...)  raise_check(&(struct raise_want){__VA_ARGS__})

static void unmask(uint16_t exception)
{
    uint16_t control = (uint16_t)(0x37F & ~exception);

    __asm__ volatile("fninit\n\tfldcw %0" : : "m"(control));
}

static uint16_t status(void)
{
    uint16_t value;

    __asm__ volatile("fnstsw %0" : "=a"(value));
    return value;
}

/* Clears what is pending, so that the instruction can be run again. */
static void clear_and_retry(struct trap_frame *f, int *retry)
{
    (void)f;
    __asm__ volatile("fnclex");
    *retry = 1;
}

int solo5_app_main(char *cmdline)
{
    raise_init(cmdline);
    __asm__ volatile("movl %0, %%ss" : : "r"(SEL_DATA));
    unmask(ZERO_DIVIDE);
    RAISE_FROM("fld1\n\tfldz\n\tfdivrp", "fwait", "i"(0));
    check_u64("status after 1/0", status() & 0x80FF, 0x8084);
    CHECK("#MF at fwait", .vector = 16, .rip = RIP_AT);
    unmask(ZERO_DIVIDE);
    raise_mend = clear_and_retry;
    RAISE_FROM("fld1\n\tfldz\n\tfdivrp", "fwait", "i"(0));
    CHECK("#MF at fwait, cleared and run again", .vector = 16, .rip = RIP_AT);
    raise_mend = NULL;
    check_u64("status then", status() & 0x80FF, 0);
    unmask(0);
    __asm__ volatile("fld1\n\tfldz\n\tfdivrp\n\tfwait\n\tfstp %%st(0)" : : : "st");
    check_u64("masked: status", status() & 0x80FF, 4);
    check_u64("masked: nothing raised", raise_count, 0);
    __asm__ volatile("fninit");
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
