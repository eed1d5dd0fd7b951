/* SPDX-License-Identifier: ISC */
/*
 * The state at the entry: general and system registers, descriptor tables, boot information.
 * Has an entry of its own that notes the registers. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

static struct {
    uint64_t gpr[14]; /* rax rbx rcx rdx rsi rbp r8-r15 */
    uint64_t rdi, rsp, rflags;
} at_entry __asm__("at_entry") __attribute__((used));

static struct {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t cs, ss, ds, es, fs, gs, tr;
    struct table_register gdtr, idtr;
    uint64_t gdt[3];
} system_state;

/* Stores every register before it changes any. */
__asm__(".text\n\t.globl _start\n_start:\n\t"
        "movq %rax, at_entry\n\tmovq %rbx, at_entry+8\n\tmovq %rcx, at_entry+16\n\t"
        "movq %rdx, at_entry+24\n\tmovq %rsi, at_entry+32\n\tmovq %rbp, at_entry+40\n\t"
        "movq %r8, at_entry+48\n\tmovq %r9, at_entry+56\n\tmovq %r10, at_entry+64\n\t"
        "movq %r11, at_entry+72\n\tmovq %r12, at_entry+80\n\tmovq %r13, at_entry+88\n\t"
        "movq %r14, at_entry+96\n\tmovq %r15, at_entry+104\n\tmovq %rdi, at_entry+112\n\t"
        "movq %rsp, at_entry+120\n\tpushfq\n\tpopq at_entry+128\n\tjmp start_noted\n\t");

/* Reads what rt_start is about to replace. */
/* Does the guest run without privilege? Then selectors and tables are the host's to see. */
static int cpl3(const struct boot_info *info)
{
    return told_cpl3((const char *)(uintptr_t)info->cmdline);
}

static void note_system_state(const struct boot_info *info)
{
    uint32_t low, high;

    __asm__ volatile("movq %%cr0, %0" : "=r"(system_state.cr0));
    __asm__ volatile("movq %%cr3, %0" : "=r"(system_state.cr3));
    __asm__ volatile("movq %%cr4, %0" : "=r"(system_state.cr4));
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xC0000080));
    system_state.efer = (uint64_t)high << 32 | low;
    __asm__ volatile("movl %%cs, %k0" : "=r"(system_state.cs));
    __asm__ volatile("movl %%ss, %k0" : "=r"(system_state.ss));
    __asm__ volatile("movl %%ds, %k0" : "=r"(system_state.ds));
    __asm__ volatile("movl %%es, %k0" : "=r"(system_state.es));
    __asm__ volatile("movl %%fs, %k0" : "=r"(system_state.fs));
    __asm__ volatile("movl %%gs, %k0" : "=r"(system_state.gs));
    __asm__ volatile("str %k0" : "=r"(system_state.tr));
    __asm__ volatile("sgdt %0" : "=m"(system_state.gdtr));
    __asm__ volatile("sidt %0" : "=m"(system_state.idtr));
    if (!cpl3(info))
        memcpy(system_state.gdt, (const void *)system_state.gdtr.base, sizeof system_state.gdt);
}

void start_noted(const struct boot_info *info) __attribute__((noreturn));
void start_noted(const struct boot_info *info)
{
    note_system_state(info);
    rt_start(info);
}

static void general(void)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < 14; i++)
        any |= at_entry.gpr[i];
    check_u64("other general registers", any, 0);
    check_u64("RDI is the boot information", at_entry.rdi, (uintptr_t)boot);
    check_u64("RSP", at_entry.rsp, boot->mem_size - 8);
    check_u64("RFLAGS", at_entry.rflags & ~(cpl3(boot) ? RFLAGS_IF : 0), 2);
}

static void control(void)
{
    /* ET, bit 4, always reads as one on some processors. */
    check_u64("CR0", system_state.cr0 & ~0x10ul, 0x80000021);
    check_u64("CR3 is page-aligned", system_state.cr3 & 0xFFF, 0);
    check_u64("CR4", system_state.cr4, 0x620);
    check_u64("EFER", system_state.efer, 0x500);
}

static void segments(void)
{
    check_u64("CS", system_state.cs, SEL_CODE);
    check_u64("SS", system_state.ss, SEL_BOOT_DATA);
    check_u64("DS", system_state.ds, SEL_BOOT_DATA);
    check_u64("ES", system_state.es, SEL_BOOT_DATA);
    check_u64("FS", system_state.fs, SEL_BOOT_DATA);
    check_u64("GS", system_state.gs, SEL_BOOT_DATA);
    check_u64("TR", system_state.tr, 0);
    check_u64("GDT limit", system_state.gdtr.limit, 23);
    check_u64("GDT 0", system_state.gdt[0], 0);
    check_u64("GDT 1", system_state.gdt[1], 0x00AF99000000FFFF);
    check_u64("GDT 2", system_state.gdt[2], 0x00CF93000000FFFF);
    check_u64("IDT base", system_state.idtr.base, 0);
    check_u64("IDT limit", system_state.idtr.limit, 0);
}

static void information(void)
{
    check_u64("memory is whole 2 MiB", boot->mem_size & 0x1FFFFF, 0);
    check_u64("kernel_end is page-aligned", boot->kernel_end & 0xFFF, 0);
    check_u64("TSC faster than 1 GHz", boot->tsc_hz > 1000000000, 1);
    check_u64("TSC slower than 10 GHz", boot->tsc_hz < 10000000000, 1);
    check_u64("command line is below the image", boot->cmdline < 0x100000 - 0x2000, 1);
}

int solo5_app_main(char *cmdline)
{
    (void)cmdline;
    general();
    control();
    if (!cpl3(boot))
        segments();
    information();
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
