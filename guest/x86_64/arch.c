/* SPDX-License-Identifier: ISC */
/*
 * x86_64: descriptor tables, the task segment's stacks, the exception handler and the cycle
 * counter. Every exception is fatal. Selectors are not reloaded: entries 1 and 2 equal those of
 * the monitor's table (Intel SDM vol. 3, 3.4.5 and 6.14 for the formats).
 */
#include "guest/internal.h"

#define TRAPS        21
#define SEL_CODE     0x08
#define SEL_TSS      0x18
#define IST_TRAP     2
#define IST_CRITICAL 3 /* NMI and double fault: on a stack of their own */
#define STACK_SIZE   4096

struct table_ptr {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct gate {
    uint16_t offset_0;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_16;
    uint32_t offset_32;
    uint32_t reserved;
};

struct tss {
    uint32_t reserved_0;
    uint64_t rsp[3];
    uint64_t ist[8]; /* 1 to 7; 0 is reserved */
    uint64_t reserved_1;
    uint16_t reserved_2;
    uint16_t iomap;
} __attribute__((packed));

_Static_assert(sizeof(struct gate) == 16, "a gate");
_Static_assert(sizeof(struct tss) == 104, "a task segment");

extern const uintptr_t uk_guest_trap_entries[TRAPS]; /* 0: no such exception */
_Noreturn void uk_guest_trap(unsigned vector, const struct ukvm_trap_frame *frame);

static uint64_t gdt[5] __attribute__((aligned(16))) = {0, 0x00af99000000ffff, 0x00cf93000000ffff};
static struct gate idt[TRAPS] __attribute__((aligned(16)));
static struct tss tss __attribute__((aligned(16))) = {.iomap = sizeof(struct tss)};
static uint8_t trap_stack[STACK_SIZE] __attribute__((aligned(16)));
static uint8_t critical_stack[STACK_SIZE] __attribute__((aligned(16)));

static const char names[TRAPS][4] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "",    "#TS",
    "#NP", "#SS", "#GP", "#PF", "",    "#MF", "#AC", "#MC", "#XM", "#VE",
};

static void set_gate(unsigned vector)
{
    uintptr_t entry = uk_guest_trap_entries[vector];
    if (entry == 0)
        return;
    idt[vector] = (struct gate){
        .offset_0 = (uint16_t)entry,
        .selector = SEL_CODE,
        .ist = vector == 2 || vector == 8 ? IST_CRITICAL : IST_TRAP,
        .type = 0x8e, /* present interrupt gate */
        .offset_16 = (uint16_t)(entry >> 16),
        .offset_32 = (uint32_t)(entry >> 32),
    };
}

static void set_tss(void)
{
    uint64_t base = (uintptr_t)&tss;
    tss.ist[IST_TRAP] = (uintptr_t)(trap_stack + STACK_SIZE);
    tss.ist[IST_CRITICAL] = (uintptr_t)(critical_stack + STACK_SIZE);
    gdt[3] =
        (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 | (base >> 24 & 0xff) << 56;
    gdt[4] = base >> 32;
}

void uk_guest_arch_init(void)
{
    struct table_ptr gdtr = {sizeof(gdt) - 1, (uintptr_t)gdt};
    struct table_ptr idtr = {sizeof(idt) - 1, (uintptr_t)idt};
    set_tss();
    for (unsigned v = 0; v < TRAPS; v++)
        set_gate(v);
    __asm__ __volatile__("lgdt %0" : : "m"(gdtr) : "memory");
    __asm__ __volatile__("ltr %w0" : : "r"(SEL_TSS) : "memory");
    __asm__ __volatile__("lidt %0" : : "m"(idtr) : "memory");
}

uint64_t uk_guest_cycles(void)
{
    uint32_t low, high;
    __asm__ __volatile__("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Called by the exception entries. An exception in here ends the machine without a word. */
_Noreturn void uk_guest_trap(unsigned vector, const struct ukvm_trap_frame *frame)
{
    static bool entered;
    if (!entered) {
        entered = true;
        ukvm_printf("trap: type=%s ec=0x%lx rip=0x%lx rsp=0x%lx rflags=0x%lx\n", names[vector],
                    frame->ec, frame->rip, frame->rsp, frame->rflags);
        if (vector == 14)
            ukvm_printf("trap: cr2=0x%lx\n", frame->cr2);
        ukvm_puts("ABORT: fatal trap\n");
    }
    uk_guest_give_up(frame);
}
