/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_deliver.c: exceptions through a guest's tables: each frame compared
 * with values computed by hand from the manual ("SDM": Intel's; vol. 3 unless said), each
 * check that can fail made to fail, each way to a double and a triple fault.
 */
#include "arch/x86_64/x86.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MEM     0x40000u
#define TABLES  0x1000u /* PML4, PDPT, PD, PT: 2 MiB, one to one */
#define PT      (TABLES + 0x3000)
#define GDT     0x6000u
#define IDT     0x7000u
#define TSS     0x8000u
#define STACK   0x20000u /* where RSP is */
#define IST1    0x24000u
#define IST2    0x28000u
#define RSP0    0x2c000u
#define HANDLER 0x30000u /* of vector v: + 16 * v */
#define PC      0x31000u

enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18, SEL_CODE3 = 0x28, SEL_CODE32 = 0x30 };
enum { INTERRUPT = 14, TRAP = 15 };

static uint8_t bytes[MEM];
static const struct ukvm_mem mem = {bytes, MEM};
static struct ukvm_x86_state st;
static struct ukvm_delivery d;
static struct ukvm_range wrote;

static void put(uint64_t at, uint64_t v)
{
    memcpy(bytes + at, &v, sizeof(v));
}

static uint64_t get(uint64_t at)
{
    uint64_t v;

    memcpy(&v, bytes + at, sizeof(v));
    return v;
}

static void page(uint64_t gva, uint64_t flags)
{
    put(PT + 8 * (gva >> 12), gva | flags);
}

/* SDM figure 6-8. */
static void gate(unsigned vector, unsigned type, unsigned ist, uint16_t selector, uint64_t to)
{
    uint64_t p = 0x8000;

    put(IDT + 16 * vector, (to & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 |
                               (p | type << 8) << 32 | (to >> 16 & 0xffff) << 48);
    put(IDT + 16 * vector + 8, to >> 32);
}

static int fresh(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof(bytes));
    put(TABLES, (TABLES + 0x1000) | 3);
    put(TABLES + 0x1000, (TABLES + 0x2000) | 3);
    put(TABLES + 0x2000, PT | 3);
    for (uint64_t gva = 0x1000; gva < MEM; gva += 0x1000)
        page(gva, 3);
    put(GDT + SEL_CODE, 0x00af9b000000ffff);
    put(GDT + SEL_DATA, 0x00cf93000000ffff);
    put(GDT + SEL_CODE3, 0x00affb000000ffff);
    put(GDT + SEL_CODE32, 0x00cf9b000000ffff);
    put(TSS + 4, RSP0);
    put(TSS + 0x24, IST1);
    put(TSS + 0x2c, IST2);
    for (unsigned v = 0; v < 48; v++)
        gate(v, INTERRUPT, 0, SEL_CODE, HANDLER + 16 * v);
    memset(&st, 0, sizeof(st));
    st.rip = PC;
    st.rflags = UKVM_RFLAGS_FIXED | UKVM_RFLAGS_IF | 0x41; /* ZF, CF */
    st.gpr[UKVM_RSP] = STACK;
    st.seg[UKVM_CS] = (struct ukvm_x86_seg){0, 0xffffffff, SEL_CODE, 0xa09b};
    st.seg[UKVM_SS] = (struct ukvm_x86_seg){0, 0xffffffff, SEL_DATA, 0xc093};
    st.seg[UKVM_TR] = (struct ukvm_x86_seg){TSS, 0x67, SEL_TSS, 0x8b};
    st.seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st.gdt = (struct ukvm_x86_table){GDT, 0x37, 0};
    st.idt = (struct ukvm_x86_table){IDT, 48 * 16 - 1, 0};
    st.cr0 = UKVM_CR0_PE | UKVM_CR0_PG | UKVM_CR0_WP;
    st.cr3 = TABLES;
    st.cr4 = UKVM_CR4_PAE;
    st.efer = UKVM_EFER_LMA;
    return 0;
}

static void deliver(struct ukvm_exit ex)
{
    ex.kind = UKVM_EXIT_EXCEPTION;
    uk_x86_deliver((struct ukvm_state *)(void *)&st, mem, &ex, &d, &wrote);
    assert_true(d.ok != d.fatal);
    assert_true(d.n >= 1 && d.n <= 4);
}

static void fault(int vector, bool has_code, uint32_t code, uint64_t addr)
{
    deliver((struct ukvm_exit){
        .pc = PC, .next = PC, .vector = vector, .has_code = has_code, .code = code, .addr = addr});
}

/* (n) words from (at): the last pushed first. */
static void expect_frame(uint64_t at, const uint64_t *want, size_t n)
{
    assert_true(d.ok);
    assert_int_equal(st.gpr[UKVM_RSP], at);
    for (size_t i = 0; i < n; i++)
        if (get(at + 8 * i) != want[i])
            fail_msg("frame word %zu: 0x%llx, not 0x%llx", i, (unsigned long long)get(at + 8 * i),
                     (unsigned long long)want[i]);
    assert_int_equal(wrote.gpa, at);
    assert_int_equal(wrote.len, 8 * n);
}

/* --- frames ------------------------------------------------------------------------------ */

/* SDM 6.14.2: SS, RSP, RFLAGS, CS, RIP, 8 bytes each; 17.3.1.1: RF is set in a fault's image. */
static void test_frame_without_code(void **state)
{
    const uint64_t want[] = {PC, SEL_CODE, 0x10243, STACK, SEL_DATA};

    (void)state;
    fault(6, false, 0, 0);
    expect_frame(STACK - 40, want, 5);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.chain[0].vector, 6);
    assert_int_equal(st.rip, HANDLER + 16 * 6);
    assert_int_equal(st.seg[UKVM_CS].selector, SEL_CODE);
    assert_int_equal(st.seg[UKVM_CS].attr, 0xa09b);
    assert_int_equal(st.seg[UKVM_SS].selector, SEL_DATA); /* no change of privilege */
}

/* SDM 6.13: the error code below RIP; 6.15 interrupt 14: CR2. */
static void test_frame_of_page_fault(void **state)
{
    const uint64_t want[] = {2, PC, SEL_CODE, 0x10243, STACK, SEL_DATA};

    (void)state;
    fault(14, true, 2, 0x7f000000);
    expect_frame(STACK - 48, want, 6);
    assert_int_equal(st.cr2, 0x7f000000);
}

static void test_other_faults_keep_cr2(void **state)
{
    (void)state;
    st.cr2 = 0x1234;
    fault(13, true, 0x1238, 0);
    assert_true(d.ok);
    assert_int_equal(get(STACK - 48), 0x1238);
    assert_int_equal(st.cr2, 0x1234);
}

/* SDM 6.12.1.3, 6.14.2: TF, NT, RF are cleared, IF by an interrupt gate only. */
static void test_flags_in_the_handler(void **state)
{
    (void)state;
    st.rflags |= UKVM_RFLAGS_TF | UKVM_RFLAGS_NT | UKVM_RFLAGS_AC;
    fault(6, false, 0, 0);
    assert_int_equal(get(STACK - 24), 0x54343);
    assert_int_equal(st.rflags, UKVM_RFLAGS_AC | 0x43);
    fresh(state);
    gate(6, TRAP, 0, SEL_CODE, HANDLER);
    fault(6, false, 0, 0);
    assert_int_equal(st.rflags, UKVM_RFLAGS_IF | 0x43);
}

/* SDM 6.14.2: RSP is aligned down to 16 before the pushes; the frame has the old one. */
static void test_stack_alignment(void **state)
{
    (void)state;
    for (unsigned off = 0; off < 16; off++) {
        fresh(state);
        st.gpr[UKVM_RSP] = STACK + off;
        fault(6, false, 0, 0);
        assert_int_equal(st.gpr[UKVM_RSP], STACK - 40);
        assert_int_equal(get(STACK - 16), STACK + off);
    }
}

/* SDM 6.14.5, figure 7-11: the stack of the interrupt stack table, at any privilege. */
static void test_interrupt_stack_table(void **state)
{
    const uint64_t want[] = {0x18, PC, SEL_CODE, 0x10243, STACK, SEL_DATA};

    (void)state;
    gate(13, INTERRUPT, 2, SEL_CODE, HANDLER);
    fault(13, true, 0x18, 0);
    expect_frame(IST2 - 48, want, 6);
    assert_int_equal(st.seg[UKVM_SS].selector, SEL_DATA);
}

/* SDM vol. 2, INT n, "INTER-PRIVILEGE-LEVEL-INTERRUPT": RSP0 from the TSS, SS null with the RPL. */
static void test_from_user_level(void **state)
{
    const uint64_t want[] = {PC, SEL_CODE3 | 3, 0x10243, STACK, 0x3b};

    (void)state;
    for (uint64_t gva = 0x1000; gva < MEM; gva += 0x1000)
        page(gva, 3); /* supervisor pages: the processor's own accesses are no user's */
    st.seg[UKVM_CS].selector = SEL_CODE3 | 3;
    st.seg[UKVM_SS].selector = 0x3b;
    fault(6, false, 0, 0);
    expect_frame(RSP0 - 40, want, 5);
    assert_int_equal(st.seg[UKVM_SS].selector, 0);
    assert_int_equal(st.seg[UKVM_SS].attr, UKVM_SEG_UNUSABLE);
    assert_int_equal(st.seg[UKVM_CS].selector, SEL_CODE);
}

/* A frame over a page's end, on pages that do not follow each other in memory. */
static void test_frame_over_two_pages(void **state)
{
    (void)state;
    st.gpr[UKVM_RSP] = STACK + 0x10;
    put(PT + 8 * (STACK >> 12), 0x3e000 | 3);
    fault(6, false, 0, 0);
    assert_true(d.ok);
    assert_int_equal(st.gpr[UKVM_RSP], STACK - 24);
    assert_int_equal(get(0x3e008), SEL_DATA);
    assert_int_equal(get(0x3e000), STACK + 0x10);
    assert_int_equal(get(STACK - 8), 0x10243);
    assert_int_equal(get(STACK - 24), PC);
    assert_true(wrote.gpa <= STACK - 24 && wrote.gpa + wrote.len >= 0x3e010);
}

/* SDM 6.15, interrupts 1 and 3: traps; the frame has the next instruction, RF is as it was. */
static void test_traps(void **state)
{
    (void)state;
    st.rip = PC + 1;
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 1, .vector = 3});
    assert_true(d.ok);
    assert_int_equal(get(STACK - 40), PC + 1);
    assert_int_equal(get(STACK - 24), 0x243);
    fresh(state);
    st.dr7 = 0x2400; /* GD is cleared for the handler: 17.2.4 */
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 3, .vector = 1});
    assert_int_equal(get(STACK - 40), PC + 3);
    assert_int_equal(get(STACK - 24), 0x243);
    assert_int_equal(st.dr7, 0x400);
    fresh(state);
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 2, .vector = 33}); /* INT 33 */
    assert_int_equal(get(STACK - 40), PC + 2);
    assert_int_equal(st.rip, HANDLER + 16 * 33);
}

/* --- what can fail ----------------------------------------------------------------------- */

/* The first fault is #UD, which is benign: the next is delivered in its stead (table 6-5). */
static void expect_second(int vector, uint32_t code, const char *why)
{
    fault(6, false, 0, 0);
    if (d.n < 2 || d.chain[1].vector != vector || d.chain[1].code != code ||
        !strstr(d.chain[0].why, why))
        fail_msg("%zu faults, second %d, code 0x%x: %s", d.n, d.chain[1].vector, d.chain[1].code,
                 d.chain[0].why);
    assert_true(d.chain[1].has_code);
    assert_true(d.ok);
    assert_int_equal(get(st.gpr[UKVM_RSP]), code);
    assert_int_equal(get(st.gpr[UKVM_RSP] + 8), PC);
    assert_int_equal(get(st.gpr[UKVM_RSP] + 24), 0x10243);
}

static void or_gate(unsigned vector, uint64_t set, uint64_t clear)
{
    put(IDT + 16 * vector, (get(IDT + 16 * vector) & ~clear) | set);
}

/* SDM vol. 2, INT n, "Operation"; error codes: 6.13. EXT is set: it is no INT instruction. */
static void test_gate_checks(void **state)
{
    (void)state;
    or_gate(6, 0, 1ull << 47);
    expect_second(11, 6 * 8 + 3, "IDT gate 6 not present");
    fresh(state);
    gate(6, 5, 0, SEL_CODE, HANDLER); /* a task gate */
    expect_second(13, 6 * 8 + 3, "IDT entry 6 is no 64-bit gate (type 5)");
    fresh(state);
    or_gate(6, 1ull << 44, 0); /* S */
    expect_second(13, 6 * 8 + 3, "no 64-bit gate");
    fresh(state);
    gate(6, INTERRUPT, 0, SEL_CODE, 1ull << 47);
    expect_second(13, 1, "handler at 0x800000000000 not canonical");
}

static void test_idt_limit(void **state)
{
    (void)state;
    /* #GP's gate is the last that is inside: a limit at a gate's last byte is enough. */
    gate(13, INTERRUPT, 0, SEL_CODE, HANDLER);
    st.idt.limit = 14 * 16 - 1;
    deliver((struct ukvm_exit){.pc = PC, .next = PC, .vector = 16});
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].vector, 13);
    assert_int_equal(d.chain[1].code, 16 * 8 + 3);
    assert_string_equal(d.chain[0].why, "beyond the IDT (limit 0xdf)");
    fresh(state);
    st.idt.limit = 14 * 16 - 2;
    deliver((struct ukvm_exit){.pc = PC, .next = PC, .vector = 16});
    assert_true(d.ok && d.n == 3); /* now #GP's is not, #DF's is */
    assert_int_equal(d.chain[2].vector, 8);
}

static void test_code_segment_checks(void **state)
{
    (void)state;
    gate(6, INTERRUPT, 0, 0, HANDLER);
    expect_second(13, 1, "null selector");
    fresh(state);
    gate(6, INTERRUPT, 0, 0x38, HANDLER);
    expect_second(13, 0x39, "CS selector 0x38 beyond its table");
    fresh(state);
    gate(6, INTERRUPT, 0, 0x0c, HANDLER); /* of the LDT, which there is none of */
    expect_second(13, 0x0d, "beyond its table");
    fresh(state);
    gate(6, INTERRUPT, 0, SEL_DATA, HANDLER);
    expect_second(13, SEL_DATA | 1, "CS selector 0x10 is not code");
    fresh(state);
    gate(6, INTERRUPT, 0, SEL_CODE32, HANDLER);
    expect_second(13, SEL_CODE32 | 1, "not 64-bit code");
    fresh(state);
    gate(6, INTERRUPT, 0, SEL_CODE3, HANDLER);
    expect_second(13, SEL_CODE3 | 1, "less privileged");
    fresh(state);
    put(GDT + 0x20, 0x00af1b000000ffff);
    gate(6, INTERRUPT, 0, 0x20, HANDLER);
    expect_second(11, 0x21, "CS selector 0x20 not present");
}

static void test_stack_checks(void **state)
{
    (void)state;
    gate(6, INTERRUPT, 7, SEL_CODE, HANDLER);
    st.seg[UKVM_TR].limit = 0x5a; /* IST7 ends at 0x5b */
    expect_second(10, SEL_TSS | 1, "no stack in the TSS");
    fresh(state);
    gate(12, INTERRUPT, 1, SEL_CODE, HANDLER);
    st.gpr[UKVM_RSP] = 0xffff7ffffffffff8;
    expect_second(12, 1, "not canonical");
    fresh(state);
    gate(14, INTERRUPT, 1, SEL_CODE, HANDLER);
    page(STACK - 0x1000, 0);
    expect_second(14, 2, "stack at 0x1fff8 not mapped");
    assert_int_equal(st.cr2, STACK - 8);
    fresh(state);
    gate(14, INTERRUPT, 1, SEL_CODE, HANDLER);
    page(STACK - 0x1000, 1);
    expect_second(14, 3, "stack at 0x1fff8 not writable");
    fresh(state);
    gate(14, INTERRUPT, 1, SEL_CODE, HANDLER);
    put(PT + 8 * ((STACK >> 12) - 1), MEM | 3);
    expect_second(14, 2, "beyond memory");
}

/* What cannot be delivered leaves no part of a frame behind. */
static void test_nothing_half_written(void **state)
{
    (void)state;
    st.gpr[UKVM_RSP] = STACK + 0x10;
    page(STACK - 0x1000, 0);
    gate(14, INTERRUPT, 1, SEL_CODE, HANDLER);
    fault(6, false, 0, 0);
    assert_true(d.ok && d.n == 2);
    assert_int_equal(get(STACK + 8), 0);
    assert_int_equal(get(STACK), 0);
    assert_int_equal(wrote.gpa, IST1 - 48);
    assert_int_equal(wrote.len, 48);
}

/* SDM 6.13: EXT is clear for INT n, whose own address the second fault's frame has. */
static void test_failing_software_interrupts(void **state)
{
    (void)state;
    or_gate(33, 0, 1ull << 47);
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 2, .vector = 33});
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].vector, 11);
    assert_int_equal(d.chain[1].code, 33 * 8 + 2);
    assert_int_equal(get(STACK - 40), PC);
    assert_int_equal(get(STACK - 24), 0x10243);
    /* INT 13 is no #GP: a fault after it makes no double fault. */
    fresh(state);
    or_gate(13, 0, 1ull << 47);
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 2, .vector = 13});
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].vector, 11);
    /* From user level the gate's privilege counts. */
    fresh(state);
    st.seg[UKVM_CS].selector = SEL_CODE3 | 3;
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 2, .vector = 33});
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].vector, 13);
    assert_int_equal(d.chain[1].code, 33 * 8 + 2);
}

/* A trap that cannot be delivered has happened all the same. */
static void test_failing_trap(void **state)
{
    (void)state;
    or_gate(1, 0, 1ull << 47);
    deliver((struct ukvm_exit){.pc = PC, .next = PC + 3, .vector = 1});
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].code, 1 * 8 + 3);
    assert_int_equal(get(STACK - 40), PC + 3);
}

/* --- double and triple faults --------------------------------------------------------------- */

/* SDM tables 6-4 and 6-5: #DE, #TS, #NP, #SS, #GP are contributory; what comes of two faults. */
static void test_double_fault_table(void **state)
{
    static const struct {
        int first, second, want;
    } rows[] = {
        {6, 13, 13},  {6, 14, 14}, {16, 11, 11}, {17, 13, 13}, {1, 14, 14}, {0, 13, 8},
        {0, 14, 14},  {10, 11, 8}, {11, 13, 8},  {12, 11, 8},  {13, 11, 8}, {13, 13, 8},
        {13, 14, 14}, {14, 13, 8}, {14, 11, 8},  {14, 14, 8},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int first = rows[i].first, second = rows[i].second;

        fresh(state);
        gate(8, INTERRUPT, 1, SEL_CODE, HANDLER);
        gate(14, INTERRUPT, first == 14 ? 0 : 1, SEL_CODE, HANDLER);
        gate((unsigned)first, INTERRUPT, 0, SEL_CODE, HANDLER);
        if (second == 11)
            or_gate((unsigned)first, 0, 1ull << 47);
        else if (second == 13)
            gate((unsigned)first, 5, 0, SEL_CODE, HANDLER);
        else
            page(STACK - 0x1000, 0);
        fault(first, first >= 8 && first != 16, 0, 0x5000);
        if (d.n != 2 || !d.ok || d.chain[1].vector != rows[i].want)
            fail_msg("%d then %d: %zu faults, ok %d, last %d", first, second, d.n, d.ok,
                     d.chain[d.n - 1].vector);
        if (rows[i].want == 8)
            assert_int_equal(get(IST1 - 48), 0); /* #DF's code is 0 (6.15, interrupt 8) */
    }
}

/* A page fault on the stack while one is delivered leaves its address in CR2. */
static void test_double_fault_by_stack_overflow(void **state)
{
    (void)state;
    gate(8, INTERRUPT, 1, SEL_CODE, HANDLER + 8);
    page(STACK - 0x1000, 0);
    fault(14, true, 2, STACK - 0x18);
    assert_true(d.ok && d.n == 2);
    assert_int_equal(d.chain[1].vector, 8);
    assert_int_equal(st.cr2, STACK - 8);
    assert_int_equal(st.rip, HANDLER + 8);
    assert_int_equal(get(IST1 - 40), PC);
}

static void expect_shutdown(const int *vectors, size_t n)
{
    struct ukvm_x86_state before = st;

    fault(vectors[0], false, 0, 0);
    assert_true(d.fatal && !d.ok);
    assert_int_equal(wrote.len, 0);
    assert_int_equal(d.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(d.chain[i].vector, vectors[i]);
        assert_true(d.chain[i].why[0] != '\0');
    }
    assert_memory_equal(&st, &before, sizeof(st));
}

static void test_no_idt(void **state)
{
    static const int vectors[] = {6, 13, 8};

    (void)state;
    st.idt = (struct ukvm_x86_table){0};
    expect_shutdown(vectors, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(d.chain[i].why, "no IDT (limit 0)");
}

/* The longest chain: benign, contributory, page fault, double fault. */
static void test_longest_chain(void **state)
{
    static const int vectors[] = {6, 11, 14, 8};

    (void)state;
    or_gate(6, 0, 1ull << 47);
    page(STACK - 0x1000, 0);
    expect_shutdown(vectors, 4);
    assert_string_equal(d.chain[0].why, "IDT gate 6 not present");
    assert_string_equal(d.chain[1].why, "stack at 0x1fff8 not mapped");
    assert_string_equal(d.chain[2].why, "stack at 0x1fff8 not mapped");
    assert_string_equal(d.chain[3].why, "stack at 0x1fff8 not mapped");
}

static void test_tables_not_mapped(void **state)
{
    static const int vectors[] = {6, 14, 8};

    (void)state;
    st.idt.base = 0x500000;
    expect_shutdown(vectors, 3);
    assert_string_equal(d.chain[0].why, "IDT at 0x500060 not mapped");
    assert_int_equal(d.chain[1].addr, 0x500060);
    fresh(state);
    st.gdt.base = 0x500000;
    expect_shutdown(vectors, 3);
    assert_string_equal(d.chain[0].why, "descriptor table at 0x500008 not mapped");
    fresh(state);
    st.seg[UKVM_TR].base = 0x500000;
    for (unsigned v = 0; v < 16; v++)
        gate(v, INTERRUPT, 1, SEL_CODE, HANDLER);
    expect_shutdown(vectors, 3);
    assert_string_equal(d.chain[0].why, "TSS at 0x500024 not mapped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_frame_without_code, fresh),
        cmocka_unit_test_setup(test_frame_of_page_fault, fresh),
        cmocka_unit_test_setup(test_other_faults_keep_cr2, fresh),
        cmocka_unit_test_setup(test_flags_in_the_handler, fresh),
        cmocka_unit_test_setup(test_stack_alignment, fresh),
        cmocka_unit_test_setup(test_interrupt_stack_table, fresh),
        cmocka_unit_test_setup(test_from_user_level, fresh),
        cmocka_unit_test_setup(test_frame_over_two_pages, fresh),
        cmocka_unit_test_setup(test_traps, fresh),
        cmocka_unit_test_setup(test_gate_checks, fresh),
        cmocka_unit_test_setup(test_idt_limit, fresh),
        cmocka_unit_test_setup(test_code_segment_checks, fresh),
        cmocka_unit_test_setup(test_stack_checks, fresh),
        cmocka_unit_test_setup(test_nothing_half_written, fresh),
        cmocka_unit_test_setup(test_failing_software_interrupts, fresh),
        cmocka_unit_test_setup(test_failing_trap, fresh),
        cmocka_unit_test_setup(test_double_fault_table, fresh),
        cmocka_unit_test_setup(test_double_fault_by_stack_overflow, fresh),
        cmocka_unit_test_setup(test_no_idt, fresh),
        cmocka_unit_test_setup(test_longest_chain, fresh),
        cmocka_unit_test_setup(test_tables_not_mapped, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
