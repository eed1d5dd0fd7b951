/* SPDX-License-Identifier: ISC */
/*
 * Raises each exception that needs neither FPU nor own page tables, and checks the frame, the
 * error code, CR2, the stack and that IRETQ goes on at the right place. General registers only.
 * Expected values: Intel SDM volume 3, chapter 6 (6.13 error code, 6.14 64-bit mode, 6.15
 * reference). Depends on the test guests' runtime only.
 */
#include "tests/guests/raise.h"

#define NON_CANONICAL 0x8000000000000000ul
#define HERE(v, e)    .vector = (v), .error = (e), .rip = RIP_AT
#define NEXT(v, e)    .vector = (v), .error = (e), .rip = RIP_NEXT
#define CHECK(...)    raise_check(&(struct raise_want){__VA_ARGS__})

/* Beyond memory, so not present in any of the monitor's tables. */
static uint64_t hole;

static void first_with_boot_ss(void)
{
    raise_ss = SEL_BOOT_DATA;
    RAISE("int3", "i"(0));
    CHECK("first #BP, SS still from the boot table", NEXT(3, 0));
    raise_ss = SEL_DATA;
    __asm__ volatile("movl %0, %%ds\n\tmovl %0, %%es\n\tmovl %0, %%ss" : : "r"(SEL_DATA));
}

static void traps(void)
{
    RAISE("int3", "i"(0));
    CHECK("#BP int3", NEXT(3, 0));
    RAISE(".byte 0xcd, 3", "i"(0));
    CHECK("#BP int 3 of two bytes", NEXT(3, 0));
    raise_stack_end = (uintptr_t)stack_irq + IST_STACK_SIZE;
    RAISE("int $0x21", "i"(0));
    CHECK("int 33 through an interrupt gate", NEXT(33, 0));
    gate_set(33, GATE_TRAP, IST_IRQ);
    raise_handler_if = raise_rflags & RFLAGS_IF;
    RAISE("int $0x21", "i"(0));
    CHECK("int 33 through a trap gate", NEXT(33, 0));
    raise_handler_if = 0;
    gate_set(33, GATE_INTERRUPT, 0);
    raise_stack_end = 0;
    RAISE("int $0x21", "i"(0));
    CHECK("int 33 without IST", NEXT(33, 0));
    raise_stack_end = (uintptr_t)stack_trap + IST_STACK_SIZE;
}

/* Without IST the frame starts at RSP aligned down to 16. */
static void stack_alignment(void)
{
    gate_set(3, GATE_INTERRUPT, 0);
    raise_stack_end = 0;
    RAISE_FROM("leaq -8(%%rsp), %%rsp\n\t" NEW_RSP, "int3", "i"(0));
    CHECK("#BP without IST, RSP off by 8", NEXT(3, 0));
    RAISE_FROM("leaq -3(%%rsp), %%rsp\n\t" NEW_RSP, "int3", "i"(0));
    CHECK("#BP without IST, RSP off by 3", NEXT(3, 0));
    gate_set(3, GATE_INTERRUPT, IST_TRAP);
    raise_stack_end = (uintptr_t)stack_trap + IST_STACK_SIZE;
}

static uint64_t steps_left, step_sum;

static void step_on(struct trap_frame *f, int *retry)
{
    step_sum += f->rip - raise_at;
    if (--steps_left)
        *retry = 1;
}

static void single_steps(void)
{
    uint64_t dr6;

    __asm__ volatile("movq %0, %%dr6" : : "r"(0xFFFF0FF0ul));
    raise_flags_set = RFLAGS_TF;
    RAISE_FROM("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq", "nop", "i"(0));
    CHECK("#DB single step", NEXT(1, 0));
    __asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
    check_u64("DR6.BS after a single step", dr6 & 0x4000, 0x4000);
    steps_left = 4;
    step_sum = 0;
    raise_mend = step_on;
    raise_flags_set = RFLAGS_TF;
    RAISE_FROM("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq",
               "nop\n\tjmp 3f\n\tnop\n3:\tmovl $1, %%eax\n\tnop", "i"(0));
    raise_mend = NULL;
    check_u64("four single steps", raise_count, 4);
    raise_count = 1;
    CHECK("the last of them", NEXT(1, 0));
    /* nop 1, jmp 2, nop 1 (not run), mov 5, nop 1: after them 1, 4, 9, 10. */
    check_u64("their addresses", step_sum, 1 + 4 + 9 + 10);
}

static void divide_and_undefined(void)
{
    RAISE("divq %%rcx", "c"(0ul), "d"(0ul));
    CHECK("#DE by zero", HERE(0, 0));
    RAISE("divl %%ecx", "c"(1), "d"(7));
    CHECK("#DE quotient too large", HERE(0, 0));
    RAISE_FROM("movl $0x80000000, %%eax", "idivl %%ecx", "c"(-1), "d"(-1));
    CHECK("#DE by idiv", HERE(0, 0));
    RAISE("ud2", "i"(0));
    CHECK("#UD ud2", HERE(6, 0));
    RAISE(".byte 0x06, 0x90, 0x90", "i"(0));
    CHECK("#UD push es in 64-bit mode", HERE(6, 0));
    RAISE(".byte 0xf0, 0x01, 0xc0", "i"(0));
    CHECK("#UD lock with a register", HERE(6, 0));
}

static void protection(void)
{
    RAISE("movl %0, %%ds", "c"(0x1238));
    CHECK("#GP selector beyond the table", HERE(13, 0x1238));
    RAISE("movl %0, %%es", "c"(0x123B));
    CHECK("#GP its RPL is not in the code", HERE(13, 0x1238));
    RAISE("movl %0, %%fs", "c"(0x3C));
    CHECK("#GP selector of an absent LDT", HERE(13, 0x3C));
    RAISE("movl %0, %%ss", "c"(SEL_CODE));
    CHECK("#GP code segment in SS", HERE(13, SEL_CODE));
    RAISE("movl %0, %%ds", "c"(SEL_TSS));
    CHECK("#GP system segment in DS", HERE(13, SEL_TSS));
    RAISE("ltr %w0", "c"(SEL_TSS));
    CHECK("#GP ltr of a busy TSS", HERE(13, SEL_TSS));
    RAISE("lldt %w0", "c"(SEL_DATA));
    CHECK("#GP lldt of a data segment", HERE(13, SEL_DATA));
    RAISE("int $0x30", "i"(0));
    CHECK("#GP int beyond the IDT", HERE(13, 0x30 * 8 + 2));
    RAISE("movq (%0), %%rax", "c"(NON_CANONICAL));
    CHECK("#GP non-canonical read", HERE(13, 0));
    RAISE("movb $1, (%0)", "c"(0x0000800000000000ul));
    CHECK("#GP non-canonical write, lowest such address", HERE(13, 0));
    RAISE("addl $1, (%0)", "c"(0xFFFF7FFFFFFFFFF0ul));
    CHECK("#GP non-canonical read-modify-write, highest such address", HERE(13, 0));
}

/* Far returns and IRETQ to selectors that can't be: the frame shows RSP before the instruction. */
static void bad_returns(void)
{
    RAISE_FROM("pushq $0\n\tpushq %%r11\n\t" NEW_RSP, "lretq", "i"(0));
    CHECK("#GP far return to a null CS", HERE(13, 0));
    RAISE_FROM("pushq %0\n\tpushq %%r11\n\t" NEW_RSP, "lretq", "i"(SEL_DATA));
    CHECK("#GP far return to a data segment", HERE(13, SEL_DATA));
    RAISE_FROM("movq %%rsp, %%rax\n\tpushq %0\n\tpushq %%rax\n\tpushfq\n\tpushq %1\n\t"
               "pushq %%r11\n\t" NEW_RSP,
               "iretq", "i"(SEL_BOOT_DATA), "i"(SEL_CODE));
    CHECK("#GP iretq to an SS whose slot is null", HERE(13, SEL_BOOT_DATA));
}

/* Slot 2 is free in this table: a data segment that is not present. */
static void not_present_segments(void)
{
    gdt[2] = 0x00CF13000000FFFFul;
    RAISE("movl %0, %%fs", "c"(SEL_BOOT_DATA));
    CHECK("#NP segment not present", HERE(11, SEL_BOOT_DATA));
    RAISE("movl %0, %%ss", "c"(SEL_BOOT_DATA));
    CHECK("#SS stack segment not present", HERE(12, SEL_BOOT_DATA));
    gdt[2] = 0;
    gate_set(33, GATE_ABSENT, IST_IRQ);
    RAISE("int $0x21", "i"(0));
    CHECK("#NP int through a gate not present", HERE(11, 33 * 8 + 2));
    gate_set(3, GATE_ABSENT, IST_TRAP);
    RAISE("int3", "i"(0));
    CHECK("#NP int3 through a gate not present", HERE(11, 3 * 8 + 2));
    gate_set(3, GATE_INTERRUPT, IST_TRAP);
    gate_set(6, GATE_ABSENT, IST_TRAP);
    RAISE("ud2", "i"(0));
    CHECK("#NP while delivering #UD, EXT set", HERE(11, 6 * 8 + 3));
    gate_set(6, GATE_INTERRUPT, IST_TRAP);
    gate_set(33, 0x82, IST_IRQ);
    RAISE("int $0x21", "i"(0));
    CHECK("#GP int through a gate of a wrong type", HERE(13, 33 * 8 + 2));
    gate_set(33, GATE_INTERRUPT, IST_IRQ);
}

#define FAULT(insn, name_, code)                                                                   \
    do {                                                                                           \
        RAISE(insn, "c"(hole));                                                                    \
        CHECK(name_, HERE(14, code), .cr2 = hole);                                                 \
    } while (0)

static void page_faults(void)
{
    FAULT("movq (%0), %%rax", "#PF read", 0);
    FAULT("cmpl $0, (%0)", "#PF cmp only reads", 0);
    FAULT("testl $1, (%0)", "#PF test only reads", 0);
    FAULT("btl $1, (%0)", "#PF bt only reads", 0);
    FAULT("movzbl (%0), %%eax", "#PF movzx of a byte", 0);
    FAULT("movq %%rax, (%0)", "#PF write", 2);
    FAULT("movb $1, (%0)", "#PF write of a byte", 2);
    FAULT("addl $1, (%0)", "#PF add is a write", 2);
    FAULT("subq %%rax, (%0)", "#PF sub is a write", 2);
    FAULT("incl (%0)", "#PF inc is a write", 2);
    FAULT("notq (%0)", "#PF not is a write", 2);
    FAULT("shll $3, (%0)", "#PF shl is a write", 2);
    FAULT("btsl $1, (%0)", "#PF bts is a write", 2);
    FAULT("xchgl %%eax, (%0)", "#PF xchg is a write", 2);
    FAULT("lock orl $1, (%0)", "#PF lock or is a write", 2);
    FAULT("lock xaddl %%eax, (%0)", "#PF lock xadd is a write", 2);
    FAULT("cmpxchgl %%eax, (%0)", "#PF cmpxchg is a write", 2);
    FAULT("lock cmpxchgq %%rax, (%0)", "#PF lock cmpxchg is a write", 2);
    FAULT("sete (%0)", "#PF setcc", 2);
}

static uint64_t cell;

static void page_faults_of_strings(void)
{
    RAISE("movsb", "S"(hole), "D"(&cell));
    CHECK("#PF movs reading", HERE(14, 0), .cr2 = hole);
    RAISE("movsb", "S"(&cell), "D"(hole + 5));
    CHECK("#PF movs writing", HERE(14, 2), .cr2 = hole + 5);
    RAISE("rep stosb", "D"(hole + 7), "c"(3));
    CHECK("#PF rep stos", HERE(14, 2), .cr2 = hole + 7);
    RAISE("lodsb", "S"(hole));
    CHECK("#PF lods", HERE(14, 0), .cr2 = hole);
    RAISE("pushq (%0)", "c"(hole + 8));
    CHECK("#PF push of memory reads", HERE(14, 0), .cr2 = hole + 8);
    RAISE("jmp *(%0)", "c"(hole + 16));
    CHECK("#PF jmp through memory reads", HERE(14, 0), .cr2 = hole + 16);
    RAISE("jmp *%0", "c"(hole + 3));
    CHECK("#PF fetch", .vector = 14, .rip = RIP_VALUE, .rip_value = hole + 3, .cr2 = hole + 3);
    RAISE_FROM("movq %0, %%rsp\n\t" NEW_RSP, "pushq $1", "c"(hole + 64));
    CHECK("#PF push to a bad stack", HERE(14, 2), .cr2 = hole + 56);
}

/* Gate 0 (14) is not present, so delivering #DE (#PF) raises #NP, and that makes a #DF. */
static void double_faults(void)
{
    raise_stack_end = (uintptr_t)stack_abort + IST_STACK_SIZE;
    gate_set(0, GATE_ABSENT, IST_TRAP);
    RAISE("divq %%rcx", "c"(0ul), "d"(0ul));
    CHECK("#DF from #DE without a gate", .vector = 8, .rip = RIP_ANY);
    gate_set(0, GATE_INTERRUPT, IST_TRAP);
    gate_set(14, GATE_ABSENT, IST_TRAP);
    RAISE("movq (%0), %%rax", "c"(hole));
    CHECK("#DF from #PF without a gate", .vector = 8, .rip = RIP_ANY);
    gate_set(14, GATE_INTERRUPT, IST_TRAP);
    raise_stack_end = (uintptr_t)stack_trap + IST_STACK_SIZE;
    RAISE("ud2", "i"(0));
    CHECK("#UD after the double faults", HERE(6, 0));
}

int solo5_app_main(char *cmdline)
{
    hole = boot->mem_size + 0x1000;
    raise_init(cmdline);
    first_with_boot_ss();
    traps();
    stack_alignment();
    single_steps();
    divide_and_undefined();
    protection();
    bad_returns();
    not_present_segments();
    page_faults();
    page_faults_of_strings();
    double_faults();
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
