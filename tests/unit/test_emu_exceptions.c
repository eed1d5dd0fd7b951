/* SPDX-License-Identifier: ISC */
/*
 * test_emu_exceptions.c: the exceptions that the emulator raises: vector, error code,
 * CR2, the instruction and the RIP that a handler would find in its frame, what is
 * counted, and that the state is the one before (faults) or after (traps) it.
 */
#include "tests/support/emu_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define NO_CODE (-1)
#define ABSENT  (GUEST_FINE + 0x3000) /* a page that is not there */
#define RDONLY  (GUEST_FINE + 0x5000) /* a page that is read only */
#define LAST    UINT64_MAX

/* Each after `add eax,eax`; (len): how far (next) lies behind (pc). */
static const struct {
    const char *name, *code;
    size_t size;
    int vector, code_pushed;
    uint64_t addr;
    int pc, len; /* offsets from the code's begin */
} rows[] = {
    {"div by 0", "\xf7\xf1", 2, 0, NO_CODE, 0, 0, 0},
    {"idiv overflow", "\x48\xf7\xfa", 3, 0, NO_CODE, 0, 0, 0},
    {"int3", "\xcc", 1, 3, NO_CODE, 0, 0, 1},
    {"int 3", "\xcd\x03", 2, 3, NO_CODE, 0, 0, 2},
    {"int 0", "\xcd\x00", 2, 0, NO_CODE, 0, 0, 2},
    {"int 13", "\xcd\x0d", 2, 13, NO_CODE, 0, 0, 2},
    {"int 14", "\xcd\x0e", 2, 14, NO_CODE, 0, 0, 2},
    {"int 0x80", "\xcd\x80", 2, 0x80, NO_CODE, 0, 0, 2},
    {"ud2", "\x0f\x0b", 2, 6, NO_CODE, 0, 0, 0},
    {"push es", "\x06", 1, 6, NO_CODE, 0, 0, 0},
    {"popcnt eax,eax", "\xf3\x0f\xb8\xc0", 4, 6, NO_CODE, 0, 0, 0},
    {"lock nop", "\xf0\x90", 2, 6, NO_CODE, 0, 0, 0},
    {"mov ds,ax", "\x8e\xd8", 2, 13, 0x1234 & ~3, 0, 0, 0},
    {"mov [rbx],al, not canonical", "\x88\x03", 2, 13, 0, 0, 0, 0},
    {"push at not canonical", "\x48\x89\xdc\x50", 4, 13, 0, 0, 3, 0},
    {"mov al,[rdi] absent", "\x8a\x07", 2, 14, 0, ABSENT, 0, 0},
    {"mov [rdi],al absent", "\x88\x07", 2, 14, 2, ABSENT, 0, 0},
    {"mov [rsi],al read only", "\x88\x06", 2, 14, 3, RDONLY, 0, 0},
    {"add [rsi],al read only", "\x00\x06", 2, 14, 3, RDONLY, 0, 0},
    {"push at absent", "\x48\x8d\x67\x08\x50", 5, 14, 2, ABSENT, 4, 0},
    {"call at absent", "\x48\x8d\x67\x08\xff\xd0", 6, 14, 2, ABSENT, 4, 0},
    {"ret at absent", "\x48\x89\xfc\xc3", 4, 14, 0, ABSENT, 3, 0},
    {"movups absent", "\x0f\x11\x07", 3, 14, 2, ABSENT, 0, 0},
    {"last byte of a page", "\x48\x8b\x47\xff", 4, 14, 0, ABSENT, 0, 0},
    {"rep movsb to absent", "\x48\x8d\x37\x83\xee\x10\x48\x83\xef\x04\xb1\x08\xf3\xa4", 14, 14, 2,
     ABSENT, 12, 0},
    {"[-8]", "\x48\x8b\x04\x25\xf8\xff\xff\xff", 8, 14, 0, UINT64_C(0xfffffffffffffff8), 0, 0},
    {"[-4096]", "\x48\x89\x04\x25\x00\xf0\xff\xff", 8, 14, 2, UINT64_C(0xfffffffffffff000), 0, 0},
    {"fldz/fdiv, unmasked",
     "\x9b\xdb\xe3\xc7\x44\x24\xf8\x7b\x03\0\0\xd9\x6c\x24\xf8\xd9\xe8\xd9"
     "\xee\xde\xf9\x9b",
     22, 16, NO_CODE, 0, 21, 0},
};

static void prepare(struct guest *g, const char *code, size_t size)
{
    uint8_t text[64] = {0x01, 0xc0}; /* add eax,eax */

    memcpy(text + 2, code, size);
    memset(text + 2 + size, 0x90, sizeof(text) - 2 - size);
    text[63] = 0xf4;
    guest_open(g, text, sizeof(text));
    guest_page(g, 3, 0);
    guest_page(g, 5, 1);
    g->st.gpr[UKVM_RAX] = 0x8000091a; /* 0x1234 when doubled */
    g->st.gpr[UKVM_RBX] = UINT64_C(0x8000000000000000);
    g->st.gpr[UKVM_RDI] = ABSENT;
    g->st.gpr[UKVM_RSI] = RDONLY;
    g->st.gpr[UKVM_RDX] = 1;
    g->st.cr2 = 0x1111;
    guest_set(g);
}

static void check(struct guest *g, size_t i)
{
    const struct ukvm_exit *ex = &g->ex;
    uint64_t pc = GUEST_CODE + 2 + (uint64_t)rows[i].pc;
    bool has_code = rows[i].code_pushed != NO_CODE;

    if (ex->kind != UKVM_EXIT_EXCEPTION || ex->vector != rows[i].vector)
        fail_msg("%s: exit %d, vector %d", rows[i].name, ex->kind, ex->vector);
    if (ex->pc != pc || ex->next != pc + (uint64_t)rows[i].len)
        fail_msg("%s: pc 0x%llx, next 0x%llx", rows[i].name, (unsigned long long)ex->pc,
                 (unsigned long long)ex->next);
    if (ex->has_code != has_code || (has_code && ex->code != (uint32_t)rows[i].code_pushed))
        fail_msg("%s: code %d 0x%x", rows[i].name, ex->has_code, ex->code);
    if (ex->addr != rows[i].addr)
        fail_msg("%s: address 0x%llx", rows[i].name, (unsigned long long)ex->addr);
    if (g->st.cr2 != (rows[i].addr ? rows[i].addr : 0x1111))
        fail_msg("%s: cr2 0x%llx", rows[i].name, (unsigned long long)g->st.cr2);
    if (rows[i].size < 4 && (g->st.gpr[UKVM_RAX] != 0x1234 || g->st.rflags != 0x813))
        fail_msg("%s: rax 0x%llx, rflags 0x%llx", rows[i].name,
                 (unsigned long long)g->st.gpr[UKVM_RAX], (unsigned long long)g->st.rflags);
}

/* Every row, twice on the same engine: a second exception is no double fault. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ukvm_x86_state first;
        struct guest g;
        uint64_t n;

        prepare(&g, rows[i].code, rows[i].size);
        first = g.st;
        guest_run(&g);
        check(&g, i);
        n = guest_count(&g);
        g.st = first;
        guest_set(&g);
        guest_run(&g);
        check(&g, i);
        assert_int_equal(guest_count(&g), 2 * n);
        g.st = first;
        guest_set(&g);
        for (uint64_t k = 1; k < n + (rows[i].len == 0); k++)
            assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
        guest_step(&g);
        check(&g, i);
        assert_int_equal(guest_count(&g), 3 * n);
        guest_close(&g);
    }
}

/* A partial string instruction: what is done stays, the rest is in RCX. */
static void test_rep_fault(void **state)
{
    struct guest g;

    (void)state;
    prepare(&g, "\xf3\xaa", 2); /* rep stosb */
    g.st.gpr[UKVM_RDI] = ABSENT - 5;
    g.st.gpr[UKVM_RCX] = 100;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.pc, GUEST_CODE + 2);
    assert_int_equal(g.st.gpr[UKVM_RCX], 95);
    assert_int_equal(g.st.gpr[UKVM_RDI], ABSENT);
    assert_int_equal(guest_count(&g), 1);
    guest_page(&g, 3, 3);
    g.hv.ops->wrote(&g.hv, GUEST_TABLES + 0x3000 + 24, 8);
    assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
    assert_int_equal(g.st.gpr[UKVM_RCX], 0);
    assert_int_equal(guest_count(&g), 2);
    guest_close(&g);
}

/* --- fetches ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t target;
    int vector;
    uint64_t addr;
} wild[] = {
    {"absent page", ABSENT + 4, 14, ABSENT + 4},
    {"nothing mapped", UINT64_C(0x7f0000001234), 14, UINT64_C(0x7f0000001234)},
    {"high half", UINT64_C(0xffff800000000010), 14, UINT64_C(0xffff800000000010)},
    {"last page", UINT64_C(0xffffffffffffff10), 14, UINT64_C(0xffffffffffffff10)},
    {"last byte", LAST, 14, LAST},
    {"not canonical", UINT64_C(0x8000000000000010), 13, 0},
};

static const struct {
    const char *name, *code;
    size_t size;
} jumps[] = {
    {"jmp", "\xff\xe1", 2},
    {"call", "\xff\xd1", 2},
    {"ret", "\x51\xc3", 2},
};

static void test_wild_jumps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
        for (size_t j = 0; j < 3; j++) {
            struct guest g;
            size_t n = 2 + (j == 2);

            prepare(&g, jumps[j].code, jumps[j].size);
            g.st.gpr[UKVM_RCX] = wild[i].target;
            guest_set(&g);
            /* in steps: the jump is done before the fetch fails */
            for (size_t k = 0; k < n; k++) {
                assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
                assert_int_equal(g.st.cr2, 0x1111);
            }
            assert_int_equal(g.ex.pc, wild[i].target);
            guest_step(&g);
            assert_int_equal(guest_count(&g), n);
            guest_close(&g);
            prepare(&g, jumps[j].code, jumps[j].size);
            g.st.gpr[UKVM_RCX] = wild[i].target;
            guest_set(&g);
            if (guest_run(&g) != UKVM_EXIT_EXCEPTION || g.ex.vector != wild[i].vector ||
                g.ex.pc != wild[i].target || g.ex.next != g.ex.pc || !g.ex.has_code ||
                g.ex.code != 0 || g.ex.addr != wild[i].addr)
                fail_msg("%s to %s: exit %d vector %d code 0x%x addr 0x%llx pc 0x%llx",
                         jumps[j].name, wild[i].name, g.ex.kind, g.ex.vector, g.ex.code,
                         (unsigned long long)g.ex.addr, (unsigned long long)g.ex.pc);
            assert_int_equal(guest_count(&g), n);
            guest_close(&g);
        }
}

/* Code that runs up to a page that is not there: all of it runs, then the fetch fails. */
static void test_crossing(void **state)
{
    static const struct {
        const char *code;
        size_t size, runs, pc;
    } cases[] = {
        {"\xff\xc0\xff\xc0\xff\xc0\xff\xc0", 8, 4, 8},     /* four inc eax */
        {"\xff\xc0\x9c\x58\xff\xc0\x48\x8b", 8, 4, 6},     /* inc; pushf; pop rax; inc; mov.. */
        {"\xff\xc0\xff\xc0\xff\xc0\x90\x0f", 8, 4, 7},     /* an opcode cut in two */
        {"\xff\xc0\x50\x9d\xff\xc0\x90\xe8", 8, 6 - 1, 7}, /* push; popf; .. call */
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = ABSENT - cases[i].size;
        struct guest g;

        prepare(&g, "\xff\xe1", 2);
        guest_code(&g, at, cases[i].code, cases[i].size);
        g.st.gpr[UKVM_RCX] = at;
        guest_set(&g);
        assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
        assert_int_equal(g.ex.vector, 14);
        assert_int_equal(g.ex.addr, ABSENT);
        assert_int_equal(g.ex.pc, at + cases[i].pc);
        assert_int_equal(guest_count(&g), 2 + cases[i].runs);
        assert_int_equal(g.st.rflags & UKVM_RFLAGS_TF, 0);
        if (i == 1)
            assert_int_equal(g.st.gpr[UKVM_RAX], 0x7 + 1); /* pushed: no TF */
        assert_int_equal(g.st.cr2, ABSENT);
        assert_int_equal(g.st.dr6, 0xffff0ff0);
        guest_close(&g);
    }
}

/* The same, but the guest turns its own single steps on there. */
static void test_crossing_with_tf(void **state)
{
    uint64_t at = ABSENT - 8;
    struct guest g;

    (void)state;
    prepare(&g, "\xff\xe1", 2);
    guest_code(&g, at, "\x68\x02\x01\0\0\x9d\x90\x90", 8); /* push 0x102; popf; nop; nop */
    g.st.gpr[UKVM_RCX] = at;
    guest_set(&g);
    for (uint64_t i = 7; i <= 8; i++) {
        assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
        assert_int_equal(g.ex.vector, 1);
        assert_int_equal(g.ex.next, at + i);
        assert_int_equal(g.st.rflags, 0x102);
    }
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.vector, 14);
    assert_int_equal(g.ex.pc, ABSENT);
    guest_close(&g);
}

/* --- the guest's own single steps ------------------------------------------------- */

static void test_tf(void **state)
{
    struct guest g;

    (void)state;
    prepare(&g, "\xff\xc0\xeb\xfe", 4);
    g.st.rflags |= UKVM_RFLAGS_TF;
    guest_set(&g);
    for (unsigned i = 0; i < 4; i++) {
        static const unsigned pcs[] = {0, 2, 4, 4}, nexts[] = {2, 4, 4, 4};

        assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
        assert_int_equal(g.ex.vector, 1);
        assert_false(g.ex.has_code);
        assert_int_equal(g.ex.pc, GUEST_CODE + pcs[i]);
        assert_int_equal(g.ex.next, GUEST_CODE + nexts[i]);
        assert_int_equal(g.st.dr6, 0xffff4ff0);
        assert_int_equal(guest_count(&g), i + 1);
    }
    guest_close(&g);
}

/* --- pending exceptions ----------------------------------------------------------- */

static void test_pending(void **state)
{
    struct guest g;

    (void)state;
    prepare(&g, "\xf4", 1);
    g.st.exc_pending = 1;
    g.st.exc_vector = 13;
    g.st.exc_has_code = 1;
    g.st.exc_code = 0x18;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.vector, 13);
    assert_int_equal(g.ex.code, 0x18);
    assert_int_equal(g.ex.next, GUEST_CODE);
    assert_int_equal(g.st.exc_pending, 0);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rep_fault),
        cmocka_unit_test(test_wild_jumps),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_crossing_with_tf),
        cmocka_unit_test(test_tf),
        cmocka_unit_test(test_pending),
    };

    return cmocka_run_group_tests_name("emu exceptions", tests, NULL, NULL);
}
