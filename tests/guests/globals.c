/* SPDX-License-Identifier: ISC */
/*
 * That the image was loaded right: .data, .rodata and .bss have their values, the memory behind
 * is zero, and kernel_end is where it should be (a family B heap starts there).
 * Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

#define BSS_SIZE  0x9000
#define HEAP_SIZE 0x40000

extern const char _stext[], _etext[], _edata[], _end[];

static uint64_t in_data[3] = {0x0123456789ABCDEF, 2, 3};
static const char in_rodata[] = "read-only text";
static const char *pointer_in_data = in_rodata;
static uint8_t in_bss[BSS_SIZE];

static uint64_t sum(const volatile uint8_t *at, size_t n)
{
    uint64_t s = 0;

    for (size_t i = 0; i < n; i++)
        s += at[i];
    return s;
}

static void heap(void)
{
    volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)boot->kernel_end;

    check_u64("kernel_end", boot->kernel_end, (uintptr_t)_end);
    check_u64("memory behind the image is zero", sum(at, HEAP_SIZE), 0);
    for (size_t i = 0; i < HEAP_SIZE; i++)
        at[i] = 1;
    check_u64("and can be written", sum(at, HEAP_SIZE), HEAP_SIZE);
}

int solo5_app_main(char *cmdline)
{
    volatile uint64_t *data = in_data;
    volatile uint8_t *bss = in_bss;

    (void)cmdline;
    check_u64("text starts at 1 MiB", (uintptr_t)_stext, 0x100000);
    check_u64("data 0", data[0], 0x0123456789ABCDEF);
    check_u64("data 1", data[1], 2);
    check_u64("data 2", data[2], 3);
    check_u64("a pointer in data", (uintptr_t)pointer_in_data, (uintptr_t)in_rodata);
    check_u64("rodata", str_same(in_rodata, "read-only text"), 1);
    check_u64("bss is zero", sum(bss, BSS_SIZE), 0);
    data[1] = 20;
    memset(in_bss, 1, BSS_SIZE);
    check_u64("data can be written", data[1], 20);
    check_u64("bss can be written", sum(bss, BSS_SIZE), BSS_SIZE);
    heap();
    print("memory %lu MiB\n", boot->mem_size >> 20);
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
