/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_walk.c: translations of every kind by hand-made tables, and 4,000
 * random ones against the engine that runs guests.
 */
#include "arch/x86_64/x86.h"
#include "tests/support/emu_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Bits of an entry, and of an error code (SDM vol. 3, 4.5 and 4.7). */
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX (1ull << 63)
enum { CODE_P = 1, CODE_W = 2, CODE_U = 4, CODE_RSVD = 8, CODE_I = 16 };

#define MEM  0x20000u
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD   0x3000u
#define PT   0x4000u

static uint8_t bytes[MEM];
static const struct ukvm_mem mem = {bytes, MEM};
static struct ukvm_x86_state st;

static void put(uint64_t at, uint64_t v)
{
    memcpy(bytes + at, &v, sizeof(v));
}

/* The tables of 0 to 2 MiB; entry 5 of the PT is the one that tests change. */
static int fresh(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof(bytes));
    put(PML4, PDPT | P | W | U);
    put(PDPT, PD | P | W | U);
    put(PD, PT | P | W | U);
    put(PT + 8 * 5, 0x6000 | P | W | U);
    st = (struct ukvm_x86_state){
        .cr0 = UKVM_CR0_PE | UKVM_CR0_PG | UKVM_CR0_WP,
        .cr3 = PML4,
        .cr4 = UKVM_CR4_PAE,
        .efer = UKVM_EFER_LMA | UKVM_EFER_NXE,
    };
    return 0;
}

static struct ukvm_walk walk(uint64_t gva, enum ukvm_access how)
{
    struct ukvm_walk w;

    memset(&w, 0x5a, sizeof(w));
    uk_x86_walk((const struct ukvm_state *)(const void *)&st, mem, gva, how, &w);
    return w;
}

static void expect_ok(uint64_t gva, enum ukvm_access how, uint64_t gpa, size_t page_size)
{
    struct ukvm_walk w = walk(gva, how);

    assert_true(w.ok && w.mapped);
    assert_int_equal(w.gpa, gpa);
    assert_int_equal(w.page_size, page_size);
    assert_int_equal(w.code, 0);
}

static void expect_fault(uint64_t gva, enum ukvm_access how, bool mapped, uint32_t code)
{
    struct ukvm_walk w = walk(gva, how);

    assert_false(w.ok);
    assert_int_equal(w.mapped, mapped);
    assert_int_equal(w.code, code);
}

static void test_sizes(void **state)
{
    (void)state;
    expect_ok(0x5123, UKVM_ACCESS_READ, 0x6123, 0x1000);
    put(PD + 8, 0x40000000 | P | W | PS | 0x1000); /* bit 12 is a big page's PAT */
    expect_ok(0x323456, UKVM_ACCESS_WRITE, 0x40123456, 0x200000);
    put(PDPT + 8, 0x80000000 | P | W | PS);
    expect_ok(0x5abcdef1, UKVM_ACCESS_READ, 0x9abcdef1, 0x40000000);
}

static void test_high_half(void **state)
{
    (void)state;
    put(PML4 + 8 * 511, PDPT | P | W);
    expect_ok(0xffffff8000005010, UKVM_ACCESS_READ, 0x6010, 0x1000);
}

/* Not #PF but #GP or #SS: neither mapped nor a code (SDM vol. 1, 3.3.7.1). */
static void test_non_canonical(void **state)
{
    static const uint64_t outside[] = {1ull << 47, 0xffff7fffffffffff, 1ull << 63, 1ull << 48};

    (void)state;
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_false(uk_x86_canonical(outside[i]));
        expect_fault(outside[i], UKVM_ACCESS_WRITE, false, 0);
    }
    assert_true(uk_x86_canonical((1ull << 47) - 1));
    assert_true(uk_x86_canonical(0xffff800000000000));
    assert_true(uk_x86_canonical(~0ull));
}

static void test_not_present_at_each_level(void **state)
{
    static const uint64_t entries[] = {PML4, PDPT, PD, PT + 8 * 5};
    uint64_t was;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        memcpy(&was, bytes + entries[i], 8);
        put(entries[i], was & ~(uint64_t)P);
        expect_fault(0x5000, UKVM_ACCESS_READ, false, 0);
        expect_fault(0x5000, UKVM_ACCESS_WRITE, false, CODE_W);
        expect_fault(0x5000, UKVM_ACCESS_FETCH, false, CODE_I);
        put(entries[i], was);
        expect_ok(0x5000, UKVM_ACCESS_READ, 0x6000, 0x1000);
    }
}

/* Table pointers beyond guest memory lead nowhere; a leaf may point there. */
static void test_beyond_memory(void **state)
{
    (void)state;
    put(PT + 8 * 6, 0x7f000000 | P | W);
    expect_ok(0x6000, UKVM_ACCESS_READ, 0x7f000000, 0x1000);
    put(PD, 0xffffffffff000 | P | W);
    expect_fault(0x5000, UKVM_ACCESS_READ, false, 0);
    st.cr3 = MEM;
    expect_fault(0x5000, UKVM_ACCESS_READ, false, 0);
}

static void test_write_rights(void **state)
{
    static const uint64_t entries[] = {PML4, PDPT, PD, PT + 8 * 5};
    uint64_t was;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        memcpy(&was, bytes + entries[i], 8);
        put(entries[i], was & ~(uint64_t)W);
        st.cr0 |= UKVM_CR0_WP;
        expect_fault(0x5000, UKVM_ACCESS_WRITE, true, CODE_P | CODE_W);
        assert_int_equal(walk(0x5000, UKVM_ACCESS_READ).prot, UKVM_PROT_R | UKVM_PROT_X);
        st.cr0 &= ~(uint64_t)UKVM_CR0_WP; /* supervisors write anywhere */
        expect_ok(0x5000, UKVM_ACCESS_WRITE, 0x6000, 0x1000);
        put(entries[i], was);
    }
}

static void test_execute_rights(void **state)
{
    static const uint64_t entries[] = {PML4, PDPT, PD, PT + 8 * 5};
    uint64_t was;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        memcpy(&was, bytes + entries[i], 8);
        put(entries[i], was | NX);
        expect_fault(0x5000, UKVM_ACCESS_FETCH, true, CODE_P | CODE_I);
        assert_int_equal(walk(0x5000, UKVM_ACCESS_READ).prot, UKVM_PROT_R | UKVM_PROT_W);
        put(entries[i], was);
    }
    /* Without EFER.NXE the bit is reserved, and fetches don't say that they are. */
    put(PT + 8 * 5, 0x6000 | P | W | NX);
    st.efer &= ~(uint64_t)UKVM_EFER_NXE;
    expect_fault(0x5000, UKVM_ACCESS_FETCH, false, CODE_P | CODE_RSVD);
    expect_fault(0x5000, UKVM_ACCESS_WRITE, false, CODE_P | CODE_RSVD | CODE_W);
    expect_fault(0x7000, UKVM_ACCESS_FETCH, false, 0);
}

static void test_reserved_bits(void **state)
{
    (void)state;
    put(PML4, PDPT | P | W | PS);
    expect_fault(0x5000, UKVM_ACCESS_READ, false, CODE_P | CODE_RSVD);
    put(PML4, PDPT | P | W);
    for (unsigned bit = 13; bit < 21; bit++) {
        put(PD + 8, 1u << bit | P | W | PS);
        expect_fault(0x200000, UKVM_ACCESS_READ, false, CODE_P | CODE_RSVD);
    }
    for (unsigned bit = 13; bit < 30; bit++) {
        put(PDPT + 8, 1u << bit | P | W | PS);
        expect_fault(0x40000000, UKVM_ACCESS_WRITE, false, CODE_P | CODE_RSVD | CODE_W);
    }
}

/* U/S counts at privilege level 3 only; the monitor's own reads of tables never are the user's. */
static void test_user(void **state)
{
    struct ukvm_walk w;

    (void)state;
    put(PT + 8 * 5, 0x6000 | P | W);
    expect_ok(0x5000, UKVM_ACCESS_WRITE, 0x6000, 0x1000);
    st.seg[UKVM_CS].selector = 0x33;
    expect_fault(0x5000, UKVM_ACCESS_WRITE, true, CODE_P | CODE_W | CODE_U);
    expect_fault(0x7000, UKVM_ACCESS_READ, false, CODE_U);
    uk_x86_walk_system(&st, mem, 0x5000, UKVM_ACCESS_WRITE, &w);
    assert_true(w.ok);
    put(PT + 8 * 5, 0x6000 | P | U);
    expect_ok(0x5000, UKVM_ACCESS_READ, 0x6000, 0x1000);
    st.cr0 &= ~(uint64_t)UKVM_CR0_WP; /* is the supervisors' */
    expect_fault(0x5000, UKVM_ACCESS_WRITE, true, CODE_P | CODE_W | CODE_U);
}

static void test_no_paging(void **state)
{
    (void)state;
    st.cr0 &= ~(uint64_t)UKVM_CR0_PG;
    expect_ok(0x123456789, UKVM_ACCESS_FETCH, 0x123456789, 0x1000);
}

static void test_no_side_effects(void **state)
{
    static uint8_t before[MEM];

    (void)state;
    memcpy(before, bytes, MEM);
    for (unsigned how = UKVM_ACCESS_READ; how <= UKVM_ACCESS_FETCH; how++)
        walk(0x5000, how);
    assert_memory_equal(before, bytes, MEM);
}

static void test_reads_over_pages(void **state)
{
    struct uk_x86_fault f;
    uint8_t buf[16];

    (void)state;
    put(PT + 8 * 6, 0xa000 | P);
    memset(bytes + 0x6ff8, 0x11, 8);
    memset(bytes + 0xa000, 0x22, 8);
    assert_true(uk_x86_read(&st, mem, 0x5ff8, buf, 16, false, &f));
    assert_int_equal(buf[7], 0x11);
    assert_int_equal(buf[8], 0x22);
    assert_false(uk_x86_read(&st, mem, 0x6ff8, buf, 16, false, &f));
    assert_int_equal(f.vector, UK_X86_PF);
    assert_int_equal(f.code, 0);
    assert_int_equal(f.addr, 0x7000);
    put(PT + 8 * 6, MEM | P);
    assert_false(uk_x86_read(&st, mem, 0x5ff9, buf, 8, false, &f));
    assert_int_equal(f.addr, 0x6000);
    assert_false(uk_x86_read(&st, mem, 1ull << 47, buf, 1, false, &f));
    assert_int_equal(f.vector, UK_X86_GP);
}

/* --- against the engine -------------------------------------------------------------- */

static uint64_t random64(void)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* mov rax, [rbx]; mov [rbx], al; jmp rbx: each at 16 bytes from the one before. */
static const uint8_t code[] = {
    0x48, 0x8b, 0x03, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    0x90, 0x90, 0x90, 0x90, 0x88, 0x03, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe3, 0x90,
};

#define SLOT 3u /* the 2 MiB that have random tables, one to one as Unicorn 2.0 wants it */
#define BASE ((uint64_t)SLOT << 21)

/* Random rights at three levels, a page or a table in between. */
static void random_tables(struct guest *g)
{
    uint64_t r = random64();
    uint64_t pd = GUEST_TABLES + 0x2000, pt = GUEST_TABLES + 0x4000;
    uint64_t leaf = (r & (W | U | A | D)) | (r & 0x700 ? P : 0) | (r & 0x1800 ? 0 : NX);
    uint64_t upper = (r >> 20 & (W | U | A)) | (r >> 20 & 0x700 ? P : 0);
    uint64_t e = pt | upper;

    if (r >> 32 & 1)
        e = BASE | leaf | PS | (r & 0xe000 ? 0 : 0x4000);
    memcpy(g->hv.mem + pd + 8 * SLOT, &e, 8);
    for (unsigned i = 0; i < 512; i++) {
        uint64_t page = (BASE + 0x1000 * i) | leaf;

        memcpy(g->hv.mem + pt + 8 * i, &page, 8);
    }
    e = (GUEST_TABLES + 0x1000) | P | (r >> 50 & W);
    memcpy(g->hv.mem + GUEST_TABLES, &e, 8);
    g->hv.ops->wrote(&g->hv, GUEST_TABLES, 0x5000);
}

static void compare(struct guest *g, uint64_t gva, enum ukvm_access how)
{
    struct ukvm_walk w;

    g->st.rip = GUEST_CODE + 16 * (uint64_t)how;
    g->st.gpr[UKVM_RBX] = gva;
    g->st.gpr[UKVM_RAX] = 0x90; /* a NOP stays one */
    guest_set(g);
    uk_x86_walk((const struct ukvm_state *)(const void *)&g->st,
                (struct ukvm_mem){g->hv.mem, g->hv.mem_size}, gva, how, &w);
    guest_step(g);
    if (how == UKVM_ACCESS_FETCH && g->ex.kind == UKVM_EXIT_STEP)
        guest_step(g);
    if (w.ok != (g->ex.kind == UKVM_EXIT_STEP))
        fail_msg("access %d: walk says %d (code 0x%x), engine exit %d, vector %d, code 0x%x, pc "
                 "0x%llx, cr0 %llx efer %llx pde %llx",
                 how, w.ok, w.code, g->ex.kind, g->ex.vector, g->ex.code,
                 (unsigned long long)g->ex.pc, (unsigned long long)g->st.cr0,
                 (unsigned long long)g->st.efer,
                 *(unsigned long long *)(g->hv.mem + GUEST_TABLES + 0x2000 + 8 * SLOT));
    if (w.ok)
        return;
    if (g->ex.kind != UKVM_EXIT_EXCEPTION || g->ex.vector != UK_X86_PF || g->ex.addr != gva)
        fail_msg("access %d: exit %d, vector %d, address 0x%llx: %s", how, g->ex.kind, g->ex.vector,
                 (unsigned long long)g->ex.addr, g->ex.msg);
    if (g->ex.code != w.code)
        fail_msg("access %d: walk says code 0x%x, engine 0x%x", how, w.code, g->ex.code);
}

static void test_random_tables(void **state)
{
    unsigned refused = 0;
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code));
    memset(g.hv.mem + BASE, 0x90, GUEST_MEM - BASE);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t r = random64();

        g.st.cr0 = (g.st.cr0 & ~(uint64_t)UKVM_CR0_WP) | (r & UKVM_CR0_WP);
        g.st.efer = (g.st.efer & ~(uint64_t)UKVM_EFER_NXE) | (r & UKVM_EFER_NXE);
        guest_set(&g);
        random_tables(&g);
        compare(&g, BASE + (r >> 32 & 0xff) * 0x1000 + 0x10, r >> 50 & 1);
        refused += g.ex.kind != UKVM_EXIT_STEP;
        compare(&g, BASE + (r >> 32 & 0xff) * 0x1000 + 0x10, UKVM_ACCESS_FETCH);
    }
    guest_close(&g);
    assert_true(refused > 400 && refused < 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes, fresh),
        cmocka_unit_test_setup(test_high_half, fresh),
        cmocka_unit_test_setup(test_non_canonical, fresh),
        cmocka_unit_test_setup(test_not_present_at_each_level, fresh),
        cmocka_unit_test_setup(test_beyond_memory, fresh),
        cmocka_unit_test_setup(test_write_rights, fresh),
        cmocka_unit_test_setup(test_execute_rights, fresh),
        cmocka_unit_test_setup(test_reserved_bits, fresh),
        cmocka_unit_test_setup(test_user, fresh),
        cmocka_unit_test_setup(test_no_paging, fresh),
        cmocka_unit_test_setup(test_no_side_effects, fresh),
        cmocka_unit_test_setup(test_reads_over_pages, fresh),
        cmocka_unit_test(test_random_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
