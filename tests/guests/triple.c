/* SPDX-License-Identifier: ISC */
/*
 * A triple fault: without an IDT (as before LIDT) or without usable gates, by the exception that
 * the argument names: ud (default), de, pf, gp, int3 or gates. Depends on the runtime only.
 */
#include "tests/guests/abi.h"

static void no_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idtr = {0, 0};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

int solo5_app_main(char *cmdline)
{
    if (word(&cmdline, "gates")) {
        gate_set(6, GATE_ABSENT, IST_TRAP);
        gate_set(11, GATE_ABSENT, IST_TRAP);
        gate_set(8, GATE_ABSENT, IST_ABORT);
        __asm__ volatile("ud2");
    }
    no_idt();
    if (word(&cmdline, "de"))
        __asm__ volatile("divl %%ecx" : : "a"(0), "d"(0), "c"(0));
    if (word(&cmdline, "pf"))
        *(volatile uint64_t *)(uintptr_t)(boot->mem_size + 0x1000) = 0;
    if (word(&cmdline, "gp"))
        __asm__ volatile("movl %0, %%ds" : : "r"(0x1238));
    if (word(&cmdline, "int3"))
        __asm__ volatile("int3");
    __asm__ volatile("ud2");
    print("FAIL went on\n");
    return 1;
}
