/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_emulate.c: the instructions that the monitor executes for a backend:
 * ports and hypercalls, HLT, time-stamp reads, POPCNT; and what becomes of the others.
 */
#include "arch/x86_64/x86.h"
#include "core/sites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MEM    0x40000u
#define TABLES 0x1000u /* PML4, PDPT, PD, PT: 2 MiB, one to one */
#define PT     (TABLES + 0x3000)
#define PC     0x10ff0u /* 16 bytes before a page's end */
#define DATA   0x20000u

static uint8_t bytes[MEM];
static const struct ukvm_mem mem = {bytes, MEM};
static struct ukvm_x86_state st;
static struct ukvm_exit ex;

static void put(uint64_t at, uint64_t v)
{
    memcpy(bytes + at, &v, sizeof(v));
}

static int fresh(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof(bytes));
    put(TABLES, (TABLES + 0x1000) | 3);
    put(TABLES + 0x1000, (TABLES + 0x2000) | 3);
    put(TABLES + 0x2000, PT | 3);
    for (uint64_t gva = 0x1000; gva < MEM; gva += 0x1000)
        put(PT + 8 * (gva >> 12), gva | 3);
    memset(&st, 0, sizeof(st));
    st.rip = PC;
    st.rflags = UKVM_RFLAGS_FIXED | UKVM_RFLAGS_RF | 0x8d5;
    st.seg[UKVM_CS].selector = 8;
    st.cr0 = UKVM_CR0_PE | UKVM_CR0_PG | UKVM_CR0_WP;
    st.cr3 = TABLES;
    st.cr4 = UKVM_CR4_PAE;
    st.efer = UKVM_EFER_LMA;
    memset(&ex, 0, sizeof(ex));
    ex = (struct ukvm_exit){.kind = UKVM_EXIT_INSN, .pc = PC, .next = PC, .vector = 6};
    return 0;
}

static enum ukvm_answer emulate(const void *code, size_t len)
{
    memset(bytes + PC, 0x90, 16);
    memcpy(bytes + PC, code, len);
    return uk_x86_emulate((struct ukvm_state *)(void *)&st, mem, &ex);
}

/* --- ports ---------------------------------------------------------------- */

static const struct port {
    const char *text, *code;
    size_t len;
    uint64_t dx;
    enum ukvm_answer want;
    unsigned size, nr;
    bool write;
    uint64_t addr, data;
} ports[] = {
    {"out dx, eax", "\xef", 1, 0x502, UKVM_HYPERCALL, 4, 2, true, 0x502, 0x81234567},
    {"first port", "\xef", 1, 0x500, UKVM_HYPERCALL, 4, 0, true, 0x500, 0x81234567},
    {"last port", "\xef", 1, 0x53f, UKVM_HYPERCALL, 4, 63, true, 0x53f, 0x81234567},
    {"rex.w out dx, eax", "\x48\xef", 2, 0x502, UKVM_HYPERCALL, 4, 2, true, 0x502, 0x81234567},
    {"66 rex.w out", "\x66\x48\xef", 3, 0x502, UKVM_HYPERCALL, 4, 2, true, 0x502, 0x81234567},
    {"rep out", "\xf3\xef", 2, 0x502, UKVM_HYPERCALL, 4, 2, true, 0x502, 0x81234567},
    {"dx only has 16 bits", "\xef", 1, 0x12340502, UKVM_HYPERCALL, 4, 2, true, 0x502, 0x81234567},
    {"one below", "\xef", 1, 0x4ff, UKVM_IO, 4, 0, true, 0x4ff, 0x81234567},
    {"one above", "\xef", 1, 0x540, UKVM_IO, 4, 0, true, 0x540, 0x81234567},
    {"out dx, ax", "\x66\xef", 2, 0x502, UKVM_IO, 2, 0, true, 0x502, 0x4567},
    {"out dx, al", "\xee", 1, 0x502, UKVM_IO, 1, 0, true, 0x502, 0x67},
    {"in eax, dx", "\xed", 1, 0x502, UKVM_IO, 4, 0, false, 0x502, 0},
    {"in ax, dx", "\x66\xed", 2, 0x502, UKVM_IO, 2, 0, false, 0x502, 0},
    {"in al, dx", "\xec", 1, 0x60, UKVM_IO, 1, 0, false, 0x60, 0},
    {"out 0x90, al", "\xe6\x90", 2, 0x502, UKVM_IO, 1, 0, true, 0x90, 0x67},
    {"out 0x90, eax", "\xe7\x90", 2, 0x502, UKVM_IO, 4, 0, true, 0x90, 0x81234567},
    {"in al, 0xff", "\xe4\xff", 2, 0x502, UKVM_IO, 1, 0, false, 0xff, 0},
    {"in eax, 0x60", "\xe5\x60", 2, 0x502, UKVM_IO, 4, 0, false, 0x60, 0},
    {"rep outsd", "\xf3\x6f", 2, 0x502, UKVM_IO, 4, 0, true, 0x502, 0},
    {"outsb", "\x6e", 1, 0x502, UKVM_IO, 1, 0, true, 0x502, 0},
    {"insw", "\x66\x6d", 2, 0x502, UKVM_IO, 2, 0, false, 0x502, 0},
};

static void test_ports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        const struct port *p = &ports[i];
        struct ukvm_x86_state before;
        enum ukvm_answer a;

        fresh(state);
        st.gpr[UKVM_RAX] = 0xaaaaaaaa81234567;
        st.gpr[UKVM_RDX] = p->dx;
        before = st;
        a = emulate(p->code, p->len);
        if (a != p->want || ex.pc != PC || ex.next != PC + p->len || ex.addr != p->addr ||
            ex.len != p->size || ex.write != p->write || ex.data != p->data ||
            memcmp(&st, &before, sizeof(st)) != 0)
            fail_msg("%s: answer %d, next +%d, port 0x%llx, %u bytes, write %d", p->text, a,
                     (int)(ex.next - PC), (unsigned long long)ex.addr, ex.len, ex.write);
        if (a == UKVM_HYPERCALL) {
            assert_int_equal(ex.nr, p->nr);
            assert_int_equal(ex.gpa, 0x81234567);
        }
    }
}

/* What hv/kvm asks, with the values of its own exit. */
static void test_hypercall_or_not(void **state)
{
    (void)state;
    assert_true(uk_x86_hypercall(0x50a, 4, false, 0x1234, &ex));
    assert_int_equal(ex.nr, 10);
    assert_int_equal(ex.gpa, 0x1234);
    assert_false(uk_x86_hypercall(0x50a, 4, true, 0x1234, &ex));
    assert_false(uk_x86_hypercall(0x50a, 2, false, 0x1234, &ex));
    assert_false(uk_x86_hypercall(0x499, 4, false, 0x1234, &ex));
    assert_int_equal(ex.addr, 0x499);
    assert_int_equal(ex.data, 0x1234);
}

/* --- HLT, the clock ---------------------------------------------------------------- */

static void test_hlt(void **state)
{
    (void)state;
    assert_int_equal(emulate("\xf4", 1), UKVM_HALTED);
    assert_int_equal(ex.next, PC + 1);
    assert_int_equal(st.rip, PC);
    fresh(state);
    st.seg[UKVM_CS].selector = 0x33; /* SDM vol. 2, HLT: #GP(0) */
    for (unsigned i = 1; i < 0x40; i++)
        put(PT + 8 * i, i << 12 | 7);
    for (unsigned i = 0; i < 3; i++)
        put(TABLES + 0x1000 * i, (TABLES + 0x1000 * (i + 1)) | 7);
    assert_int_equal(emulate("\xf4", 1), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 13);
    assert_true(ex.has_code && ex.code == 0);
}

static void serve(uint64_t tsc)
{
    union uk_call_site arg = {.tsc = {.value = tsc}};

    uk_x86_serve((struct ukvm_state *)(void *)&st, &ex, &arg);
}

static void test_rdtsc(void **state)
{
    static const struct {
        const char *code;
        size_t len;
        bool aux;
    } rows[] = {
        {"\x0f\x31", 2, false},    {"\x48\x0f\x31", 3, false},    {"\x66\x0f\x31", 3, false},
        {"\x0f\x01\xf9", 3, true}, {"\x48\x0f\x01\xf9", 4, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fresh(state);
        for (unsigned k = 0; k < 16; k++)
            st.gpr[k] = 0x5555555555555555;
        assert_int_equal(emulate(rows[i].code, rows[i].len), UKVM_SITE);
        assert_int_equal(ex.site, UKVM_SITE_TSC);
        assert_int_equal(ex.next, PC + rows[i].len);
        assert_int_equal(st.rip, PC);
        serve(0x89abcdef01234567);
        assert_int_equal(st.rip, PC + rows[i].len);
        assert_true(st.gpr[UKVM_RAX] == 0x01234567);
        assert_true(st.gpr[UKVM_RDX] == 0x89abcdef);
        assert_true(st.gpr[UKVM_RCX] == (rows[i].aux ? 0 : 0x5555555555555555));
        assert_true(st.gpr[UKVM_RBX] == 0x5555555555555555);
    }
}

/* --- POPCNT ---------------------------------------------------------------- */

static void test_popcnt(void **state)
{
    static const struct {
        const char *text, *code;
        size_t len;
        uint64_t src, want;
        bool zero;
    } rows[] = {
        {"popcnt rax, rbx", "\xf3\x48\x0f\xb8\xc3", 5, ~0ull, 64, false},
        {"popcnt eax, ebx", "\xf3\x0f\xb8\xc3", 4, 0xf0f00000001, 1, false},
        {"popcnt ax, bx", "\x66\xf3\x0f\xb8\xc3", 5, 0xfffff000f, 0x555555555555 << 16 | 4, false},
        {"popcnt eax, ebx: 0", "\xf3\x0f\xb8\xc3", 4, 0xf00000000, 0, true},
        {"popcnt rax, [rcx + 8]", "\xf3\x48\x0f\xb8\x41\x08", 6, 0x8000000000000001, 2, false},
        {"popcnt eax, [rcx + 8]", "\xf3\x0f\xb8\x41\x08", 5, 0x80000000000000f1, 5, false},
        {"popcnt r9", "\xf3\x4c\x0f\xb8\xcb", 5, 7, 3, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned to = i == 6 ? UKVM_R9 : UKVM_RAX;

        fresh(state);
        st.gpr[to] = 0x5555555555555555;
        st.gpr[UKVM_RBX] = rows[i].src;
        st.gpr[UKVM_RCX] = DATA - 8;
        put(DATA, rows[i].src);
        if (i == 2)
            st.gpr[to] = (0x555555555555ull << 16) | 0x1234;
        assert_int_equal(emulate(rows[i].code, rows[i].len), UKVM_DONE);
        if (st.gpr[to] != rows[i].want)
            fail_msg("%s: 0x%llx", rows[i].text, (unsigned long long)st.gpr[to]);
        assert_int_equal(st.rip, PC + rows[i].len);
        /* SDM vol. 2, POPCNT: OF SF AF CF PF are cleared; RF after any instruction. */
        assert_int_equal(st.rflags, UKVM_RFLAGS_FIXED | (rows[i].zero ? 0x40 : 0));
    }
}

static void test_popcnt_faults(void **state)
{
    struct ukvm_x86_state before;

    (void)state;
    st.gpr[UKVM_RCX] = 0x7f000000;
    before = st;
    assert_int_equal(emulate("\xf3\x0f\xb8\x01", 4), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 14);
    assert_int_equal(ex.code, 0);
    assert_int_equal(ex.addr, 0x7f000000);
    assert_int_equal(ex.next, PC);
    st.gpr[UKVM_RCX] = DATA + 0xffd; /* over a page's end */
    put(PT + 8 * ((DATA >> 12) + 1), 0);
    assert_int_equal(emulate("\xf3\x0f\xb8\x01", 4), UKVM_EXCEPTION);
    assert_int_equal(ex.addr, DATA + 0x1000);
    st.gpr[UKVM_RCX] = 1ull << 47;
    assert_int_equal(emulate("\xf3\x0f\xb8\x01", 4), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 13);
    assert_int_equal(ex.addr, 0);
    st.gpr[UKVM_RBP] = 1ull << 47; /* SDM vol. 2, POPCNT: #SS if it is the stack's segment */
    assert_int_equal(emulate("\xf3\x0f\xb8\x45\x00", 5), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 12);
    st.gpr[UKVM_RCX] = before.gpr[UKVM_RCX];
    st.gpr[UKVM_RBP] = 0;
    assert_memory_equal(&st, &before, sizeof(st));
}

/* --- what it is not ---------------------------------------------------------------- */

static void test_unsupported(void **state)
{
    static const char *const codes[] = {"\x90",         "\x0f\x0b",         "\x0f\x01\xc1",
                                        "\x0f\xb8\xc3", "\xf2\x0f\xb8\xc3", "\x66\x0f\xc7\xf0",
                                        "\xc5\xf8\x77"};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct ukvm_x86_state before;

        fresh(state);
        before = st;
        assert_int_equal(emulate(codes[i], strlen(codes[i])), UKVM_UNSUPPORTED);
        assert_memory_equal(&st, &before, sizeof(st));
        assert_int_equal(ex.vector, 6); /* as it came */
        assert_int_equal(ex.insn_len, 15);
        assert_memory_equal(ex.insn, codes[i], strlen(codes[i]));
    }
}

/* SDM vol. 2, LOCK: #UD with an instruction that does not take it. */
static void test_locked(void **state)
{
    (void)state;
    assert_int_equal(emulate("\xf0\xef", 2), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 6);
    assert_false(ex.has_code);
}

/* SDM vol. 2, 2.3.11: #GP(0) beyond 15 bytes; 15 are allowed. */
static void test_length(void **state)
{
    char code[16];

    (void)state;
    memset(code, 0x2e, sizeof(code));
    code[14] = '\xef';
    st.gpr[UKVM_RDX] = 0x502;
    assert_int_equal(emulate(code, 15), UKVM_HYPERCALL);
    assert_int_equal(ex.next, PC + 15);
    code[14] = 0x2e;
    code[15] = '\xef';
    assert_int_equal(emulate(code, 16), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 13);
}

/* An instruction that goes on where nothing is: #PF at that page, by a fetch. */
static void test_cut_off(void **state)
{
    (void)state;
    put(PT + 8 * ((PC >> 12) + 1), 0);
    bytes[0x10fff] = 0x0f;
    st.rip = 0x10fff;
    assert_int_equal(uk_x86_emulate((struct ukvm_state *)(void *)&st, mem, &ex), UKVM_EXCEPTION);
    assert_int_equal(ex.vector, 14);
    assert_int_equal(ex.addr, 0x11000);
    assert_int_equal(ex.code, 0);
    bytes[0x10fff] = 0xe7; /* its port is there */
    assert_int_equal(uk_x86_emulate((struct ukvm_state *)(void *)&st, mem, &ex), UKVM_EXCEPTION);
    st.efer |= UKVM_EFER_NXE;
    assert_int_equal(uk_x86_emulate((struct ukvm_state *)(void *)&st, mem, &ex), UKVM_EXCEPTION);
    assert_int_equal(ex.code, 16);
    bytes[0x10fff] = 0xef; /* needs no more */
    st.gpr[UKVM_RDX] = 0x501;
    assert_int_equal(uk_x86_emulate((struct ukvm_state *)(void *)&st, mem, &ex), UKVM_HYPERCALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ports, fresh),
        cmocka_unit_test_setup(test_hypercall_or_not, fresh),
        cmocka_unit_test_setup(test_hlt, fresh),
        cmocka_unit_test_setup(test_rdtsc, fresh),
        cmocka_unit_test_setup(test_popcnt, fresh),
        cmocka_unit_test_setup(test_popcnt_faults, fresh),
        cmocka_unit_test_setup(test_unsupported, fresh),
        cmocka_unit_test_setup(test_locked, fresh),
        cmocka_unit_test_setup(test_length, fresh),
        cmocka_unit_test_setup(test_cut_off, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
