/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_explain.c: exceptions in words, every vector; trap frames behind an
 * abort's cookie; what normalising takes away, and that it leaves the rest.
 */
#include "arch/x86_64/x86.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct row {
    int vector;
    bool has_code;
    uint32_t code;
    uint64_t addr;
    const char *want;
} rows[] = {
    {0, false, 0, 0, "#DE divide error"},
    {3, false, 0, 0, "#BP breakpoint instruction"},
    {6, false, 0, 0, "#UD invalid opcode"},
    {7, false, 0, 0, "#NM no floating point: CR0.EM or CR0.TS is set"},
    {8, true, 0, 0, "#DF double fault (error code 0x0)"},
    {13, true, 0, 0, "#GP general protection (error code 0x0)"},
    {13, true, 1, 0, "#GP general protection (error code 0x1)"},
    {13, true, 0x1238, 0, "#GP selector 0x1238 (GDT index 583, error code 0x1238)"},
    {11, true, 0x0c, 0, "#NP selector 0x8 (LDT index 1, error code 0xc)"},
    {13, true, 0x183, 0, "#GP IDT gate 48 (error code 0x183, while delivering another)"},
    {10, true, 0x19, 0,
     "#TS selector 0x18 (GDT index 3, error code 0x19, while delivering another)"},
    {14, true, 0, 0x10, "#PF read from not present 0x10 (error code 0x0)"},
    {14, true, 2, 0x7f000000, "#PF write to not present 0x7f000000 (error code 0x2)"},
    {14, true, 3, 0x5000, "#PF write to read-only 0x5000 (error code 0x3)"},
    {14, true, 0x11, 0x5000, "#PF fetch from non-executable 0x5000 (error code 0x11)"},
    {14, true, 0x10, 0x5000, "#PF fetch from not present 0x5000 (error code 0x10)"},
    {14, true, 9, 0x5000,
     "#PF read from wrongly mapped (reserved bit set) 0x5000 (error code 0x9)"},
    {14, true, 5, 0x5000, "#PF user read from protected 0x5000 (error code 0x5)"},
    {17, true, 0, 0, "#AC alignment check (error code 0x0)"},
    {19, false, 0, 0, "#XM SIMD floating-point error"},
    {33, false, 0, 0, "interrupt 33"},
    {-1, false, 0, 0, "interrupt -1"},
};

static void test_explanations(void **state)
{
    char buf[120];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];

        uk_arch_x86_64.explain(r->vector, r->has_code, r->code, r->addr, buf, sizeof(buf));
        assert_string_equal(buf, r->want);
    }
}

static void test_each_vector(void **state)
{
    char buf[120], small[12];

    (void)state;
    for (int v = 0; v < 32; v++)
        for (unsigned code = 0; code < 2; code++) {
            uk_arch_x86_64.explain(v, code, 0xffffffff, ~0ull, buf, sizeof(buf));
            assert_true(strlen(buf) > 6 && strlen(buf) < sizeof(buf) - 1);
            assert_null(strchr(buf, '\n'));
            uk_arch_x86_64.explain(v, code, 0xffffffff, ~0ull, small, sizeof(small));
            assert_int_equal(strlen(small), sizeof(small) - 1); /* cut, not run over */
        }
}

/* --- the frame behind a cookie ------------------------------------------------------- */

#define MEM 0x200000u

struct frame {
    uint64_t cr2, code, rip, cs, rflags, rsp, ss;
};

static uint8_t bytes[MEM];
static const struct ukvm_mem mem = {bytes, MEM};
static const struct frame good = {0x7f000000, 2, 0x10100d, 8, 0x10246, 0x1fff00, 0x10};

static bool cookie(uint64_t at, const struct frame *f, char *buf, size_t size)
{
    ukvm_gva_t pc = 0;
    bool is;

    if (at + sizeof(*f) <= MEM)
        memcpy(bytes + at, f, sizeof(*f));
    is = uk_arch_x86_64.cookie(mem, at, &pc, buf, size);
    if (is)
        assert_int_equal(pc, f->rip);
    return is;
}

static void test_cookies(void **state)
{
    struct frame f = good;
    char buf[200];

    (void)state;
    assert_true(cookie(0x1000, &f, buf, sizeof(buf)));
    assert_string_equal(buf, "trap at rip 0x10100d, rsp 0x1fff00, rflags 0x10246; if a page fault: "
                             "#PF write to not present 0x7f000000 (error code 0x2)");
    f.code = 0x1238;
    assert_true(cookie(0x1000, &f, buf, sizeof(buf)));
    assert_non_null(strstr(buf, ", error code 0x1238"));
    f = good;
    f.rip = f.cr2; /* a wild jump */
    assert_true(cookie(0x1000, &f, buf, sizeof(buf)));
    f.ss = 0;
    assert_true(cookie(0x1000, &f, buf, sizeof(buf)));
    for (size_t n = 1; n < sizeof(buf); n++) {
        memset(buf, 'x', sizeof(buf));
        assert_true(cookie(0x1000, &f, buf, n));
        assert_true(strlen(buf) < n);
    }
}

static void test_no_cookies(void **state)
{
    const struct frame bad[] = {
        {0, 0, 0x1000, 8, 2, 0, 0},            /* rip in the hole */
        {0, 0, MEM, 8, 2, 0, 0},               /* rip beyond memory */
        {0, 0, 0x100000, 0, 2, 0, 0},          /* cs null */
        {0, 0, 0x100000, 0x10000, 2, 0, 0},    /* cs too large */
        {0, 0, 0x100000, 8, 0, 0, 0},          /* rflags without bit 1 */
        {0, 0, 0x100000, 8, 2 | 1 << 3, 0, 0}, /* rflags with a bit that is never set */
        {0, 0, 0x100000, 8, 2, 1ull << 47, 0}, /* rsp not canonical */
        {0, 0, 0x100000, 8, 2, 0, 0x10000},    /* ss too large */
        {0, 1ull << 32, 0x100000, 8, 2, 0, 0}, /* error code too large */
        {0, 0, 0, 0, 0, 0, 0},
    };
    char buf[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(cookie(0x1000, &bad[i], buf, sizeof(buf)));
    assert_true(cookie(MEM - sizeof(good), &good, buf, sizeof(buf)));
    assert_false(cookie(MEM - sizeof(good) + 1, &good, buf, sizeof(buf)));
    assert_false(cookie(~0ull, &good, buf, sizeof(buf)));
}

/* --- normalising ------------------------------------------------------------------------ */

enum { P = 1, AD = 0x60, PS = 0x80 };
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD   0x3000u
#define PT   0x4000u
#define GDT  0x5000u

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

static struct ukvm_x86_state start(void)
{
    struct ukvm_x86_state st = {
        .cr0 = UKVM_CR0_PE | UKVM_CR0_PG,
        .cr3 = PML4,
        .cr4 = UKVM_CR4_PAE,
        .efer = UKVM_EFER_LMA,
        .gdt = {GDT, 0x37, 0},
    };

    memset(bytes, 0, sizeof(bytes));
    put(PML4, PDPT | P | AD);
    put(PML4 + 8, PML4 | P | AD);        /* a loop */
    put(PML4 + 16, 0x7ffff000 | P | AD); /* beyond memory */
    put(PDPT, PD | P | AD);
    put(PDPT + 8, 0x40000000 | P | AD | PS);
    put(PD, PT | P | AD);
    put(PD + 8, 0x200000 | P | AD | PS);
    for (unsigned i = 0; i < 512; i++)
        put(PT + 8 * i, i << 12 | P | AD);
    put(PT + 8 * 100, 100 << 12 | AD); /* not present: the guest's own data */
    return st;
}

static void normalise(struct ukvm_x86_state *st)
{
    uk_arch_x86_64.normalise(mem, (struct ukvm_state *)(void *)st);
}

static void test_tables(void **state)
{
    struct ukvm_x86_state st = start();

    (void)state;
    normalise(&st);
    assert_int_equal(get(PML4), PDPT | P);
    assert_int_equal(get(PML4 + 8), PML4 | P);
    assert_int_equal(get(PML4 + 16), 0x7ffff000 | P);
    assert_int_equal(get(PDPT), PD | P);
    assert_int_equal(get(PDPT + 8), 0x40000000 | P | PS);
    assert_int_equal(get(PD), PT | P);
    assert_int_equal(get(PD + 8), 0x200000 | P | PS);
    assert_int_equal(get(PT + 8 * 5), 5 << 12 | P);
    assert_int_equal(get(PT + 8 * 100), 100 << 12 | AD);
}

/* All levels point at one page: work is bounded, however a guest builds its tables. */
static void test_tables_that_loop(void **state)
{
    struct ukvm_x86_state st = start();

    (void)state;
    for (unsigned page = 0; page < MEM / 4096; page++)
        for (unsigned i = 0; i < 512; i++)
            put(4096 * page + 8 * i, ((uint64_t)(page + i) * 4096 % MEM) | P | AD);
    normalise(&st);
    for (unsigned i = 0; i < MEM; i += 8)
        assert_int_equal(get(i) & AD, 0);
    st.cr3 = ~0ull; /* nowhere */
    normalise(&st);
}

static void test_descriptors(void **state)
{
    struct ukvm_x86_state st = start();

    (void)state;
    put(GDT + 0x00, 0x0000010000000000); /* not present: nothing is meant by it */
    put(GDT + 0x08, 0x00af9b000000ffff);
    put(GDT + 0x10, 0x00cf93000000ffff);
    put(GDT + 0x18, 0x00008b0080000067); /* a busy TSS of 16 bytes, */
    put(GDT + 0x20, 0x00009b00ffffffff); /* whose second half is no descriptor */
    put(GDT + 0x28, 0x00cf93000000ffff);
    put(GDT + 0x38, 0x00cf93000000ffff); /* beyond the limit */
    normalise(&st);
    assert_true(get(GDT + 0x00) == 0x0000010000000000);
    assert_true(get(GDT + 0x08) == 0x00af9a000000ffff);
    assert_true(get(GDT + 0x10) == 0x00cf92000000ffff);
    assert_true(get(GDT + 0x18) == 0x0000890080000067);
    assert_true(get(GDT + 0x20) == 0x00009b00ffffffff);
    assert_true(get(GDT + 0x28) == 0x00cf92000000ffff);
    assert_true(get(GDT + 0x38) == 0x00cf93000000ffff);
}

static void test_registers(void **state)
{
    struct ukvm_x86_state st = start(), a, b;

    (void)state;
    st.rflags = 0x202;
    st.seg[UKVM_CS].attr = 0xa09b;
    st.seg[UKVM_TR].attr = 0x8b;
    st.seg[UKVM_FS] = (struct ukvm_x86_seg){.base = 0x1000, .attr = UKVM_SEG_UNUSABLE};
    st.ftw = 0x80; /* R7 is in use: ST(0), the top being 7 */
    st.fsw = 7 << 11;
    st.st[0][0] = 1;
    st.mxcsr = 0x1f80;
    a = b = st;
    b.rflags |= UKVM_RFLAGS_RF;
    b.seg[UKVM_CS].attr = 0xa09a;
    b.seg[UKVM_TR].attr = 0x89;
    b.seg[UKVM_FS].limit = 7;
    b.seg[UKVM_DS] = (struct ukvm_x86_seg){.base = 5, .limit = 6, .attr = UKVM_SEG_UNUSABLE | 3};
    a.seg[UKVM_DS].attr = UKVM_SEG_UNUSABLE;
    b.st[1][0] = 9;
    b.fsw |= 0x82a1;
    b.mxcsr |= 0x3f;
    b.fop = 1;
    b.fip = 2;
    b.fdp = 3;
    b.tsc = 4;
    b.intr_shadow = 1;
    normalise(&a);
    normalise(&b);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(a.seg[UKVM_FS].base, 0x1000);
    assert_int_equal(a.st[0][0], 1);
    assert_int_equal(a.rflags, 0x202);
    assert_int_equal(a.mxcsr, 0x1f80);
    assert_int_equal(a.fsw, 7 << 11);
}

/* A difference in anything else is one. */
static void test_the_rest_is_kept(void **state)
{
    struct ukvm_x86_state st = start(), a, b;

    (void)state;
    for (size_t i = 0; i < uk_arch_x86_64.nregs; i++) {
        const struct ukvm_reg *r = &uk_arch_x86_64.regs[i];

        if (r->flags & UKVM_REG_VOLATILE || strcmp(r->name, "intr_shadow") == 0)
            continue;
        a = b = st;
        a.ftw = b.ftw = 0xff;
        ((uint8_t *)&b)[r->offset + r->size - 1] ^= 0x40;
        a.cr0 &= ~(uint64_t)UKVM_CR0_PG;
        b.cr0 &= ~(uint64_t)UKVM_CR0_PG;
        normalise(&a);
        normalise(&b);
        if (memcmp(&a, &b, sizeof(a)) == 0)
            fail_msg("%s: a difference is lost", r->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explanations),     cmocka_unit_test(test_each_vector),
        cmocka_unit_test(test_cookies),          cmocka_unit_test(test_no_cookies),
        cmocka_unit_test(test_tables),           cmocka_unit_test(test_tables_that_loop),
        cmocka_unit_test(test_descriptors),      cmocka_unit_test(test_registers),
        cmocka_unit_test(test_the_rest_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
