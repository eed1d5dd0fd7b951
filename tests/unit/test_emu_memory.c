/* SPDX-License-Identifier: ISC */
/*
 * test_emu_memory.c: accesses that guest memory does not serve: beyond its end, and
 * where the view forbids them. The guest stands at the instruction, as before it.
 */
#include "tests/support/emu_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BEYOND    (UINT64_C(4) << 21) /* mapped one to one, behind the end of memory */
#define FAR       (UINT64_C(511) << 21)
#define PROTECTED GUEST_DATA
#define ANY       0 /* bytes: as the engine does it */
#define RAX       UINT64_C(0x1122334455667788)

/* Each with rbx at the place, after two instructions that set flags and registers. */
static const struct {
    const char *name, *code;
    size_t size;
    bool write;
    unsigned len;  /* of the access, as far as an exit tells it: 8 bytes at most */
    int off;       /* of the access from rbx */
    uint64_t data; /* if 8 bytes or less and a plain store */
} accesses[] = {
    {"mov [rbx],rax", "\x48\x89\x03", 3, true, 8, 0, RAX},
    {"mov [rbx],eax", "\x89\x03", 2, true, 4, 0, RAX & 0xffffffff},
    {"mov [rbx],al", "\x88\x03", 2, true, 1, 0, 0x88},
    {"add [rbx],rax", "\x48\x01\x03", 3, true, 8, 0, 0},
    {"lock xadd [rbx],rax", "\xf0\x48\x0f\xc1\x03", 5, true, 8, 0, 0},
    {"xchg [rbx],rax", "\x48\x87\x03", 3, true, 8, 0, RAX},
    {"lock cmpxchg [rbx],rcx", "\xf0\x48\x0f\xb1\x0b", 5, true, 8, 0, 0},
    {"push rax", "\x50", 1, true, 8, -8, RAX},
    {"call rcx", "\xff\xd1", 2, true, 8, -8, 0},
    {"pushf", "\x9c", 1, true, 8, -8, 0},
    {"stosq", "\x48\xab", 2, true, 8, 0, RAX},
    {"rep stosq", "\xf3\x48\xab", 3, true, 8, 0, RAX},
    {"movsq", "\x48\xa5", 2, true, 8, 0, 0},
    {"movups [rbx],xmm0", "\x0f\x11\x03", 3, true, 8, 0, 0},
    {"fnstcw [rbx]", "\xd9\x3b", 2, true, 2, 0, 0x37f},
    {"setc [rbx]", "\x0f\x92\x03", 3, true, 1, 0, 1},
    {"shl qword [rbx],1", "\x48\xd1\x23", 3, true, 8, 0, 0},
    {"mov rax,[rbx]", "\x48\x8b\x03", 3, false, 8, 0, 0},
    {"movzx eax,byte [rbx]", "\x0f\xb6\x03", 3, false, 1, 0, 0},
    {"add rax,[rbx]", "\x48\x03\x03", 3, false, 8, 0, 0},
    {"ret", "\xc3", 1, false, 8, 0, 0},
    {"jmp [rbx]", "\xff\x23", 2, false, 8, 0, 0},
    {"push [rbx], rsp elsewhere", "\xff\x33", 2, false, 8, 0, 0},
    {"movups xmm0,[rbx]", "\x0f\x10\x03", 3, false, 8, 0, 0},
    {"fldcw [rbx]", "\xd9\x2b", 2, false, 2, 0, 0},
    {"cmp [rbx],al", "\x38\x03", 2, false, 1, 0, 0},
    {"pop rax", "\x58", 1, false, 8, 0, 0},
    {"popf", "\x9d", 1, false, 8, 0, 0},
    {"iretq", "\x48\xcf", 2, false, 8, 0, 0},
    {"lretq", "\x48\xcb", 2, false, 8, 0, 0},
    {"cmpxchg16b [rbx]", "\x48\x0f\xc7\x0b", 4, true, 8, 0, 0},
    {"fld tbyte [rbx]", "\xdb\x2b", 2, false, 8, 0, 0},
    {"fstp tbyte [rbx]", "\xdb\x3b", 2, true, 8, 0, 0},
    {"fistp qword [rbx]", "\xdf\x3b", 2, true, 8, 0, 0},
    {"fxrstor [rbx]", "\x0f\xae\x0b", 3, false, ANY, 0, 0},
    {"fxsave [rbx]", "\x0f\xae\x03", 3, true, ANY, 0, 0},
    {"ldmxcsr [rbx]", "\x0f\xae\x13", 3, false, 4, 0, 0},
    {"lgdt [rbx]", "\x0f\x01\x13", 3, false, 2, 0, 0},
    {"sidt [rbx]", "\x0f\x01\x0b", 3, true, 2, 0, 0},
    {"enter 16,0", "\xc8\x10\x00\x00", 4, true, 8, -8, 0},
};
#define N (sizeof(accesses) / sizeof(accesses[0]))

static void prepare(struct guest *g, size_t i, uint64_t rbx)
{
    uint8_t text[32] = {0x4c, 0x01, 0xc8, 0xf9}; /* add rax,r9; stc */
    bool stack = strncmp(accesses[i].name, "push [", 6) != 0;

    memcpy(text + 4, accesses[i].code, accesses[i].size);
    memset(text + 4 + accesses[i].size, 0x90, sizeof(text) - 5 - accesses[i].size);
    text[31] = 0xf4;
    guest_open(g, text, sizeof(text));
    guest_map(g, BEYOND >> 21, BEYOND, 3);
    guest_map(g, FAR >> 21, FAR, 3);
    g->st.gpr[UKVM_RAX] = RAX - 5;
    g->st.gpr[UKVM_R9] = 5;
    g->st.gpr[UKVM_RBX] = rbx;
    g->st.gpr[UKVM_RDI] = rbx;
    g->st.gpr[UKVM_RSI] = GUEST_CODE;
    g->st.gpr[UKVM_RCX] = 3;
    g->st.gpr[UKVM_RSP] = stack ? rbx : GUEST_STACK;
    memset(g->st.xmm[0], 0x77, 16);
    guest_set(g);
}

static void check(struct guest *g, size_t i, const struct ukvm_x86_state *before, uint64_t gpa)
{
    const struct ukvm_exit *ex = &g->ex;
    struct ukvm_x86_state want = *before;

    if (ex->kind != UKVM_EXIT_PROT || ex->pc != GUEST_CODE + 4 || ex->next != ex->pc)
        fail_msg("%s: exit %d at 0x%llx", accesses[i].name, ex->kind, (unsigned long long)ex->pc);
    if (ex->addr != gpa + (uint64_t)(int64_t)accesses[i].off ||
        (accesses[i].len && ex->len != accesses[i].len) || ex->write != accesses[i].write)
        fail_msg("%s: 0x%llx, %u bytes, write %d", accesses[i].name, (unsigned long long)ex->addr,
                 ex->len, ex->write);
    if (accesses[i].data && ex->data != accesses[i].data)
        fail_msg("%s: data 0x%llx", accesses[i].name, (unsigned long long)ex->data);
    want.rip = GUEST_CODE + 4;
    want.gpr[UKVM_RAX] = RAX;
    want.rflags = 0x7; /* add: PF; stc */
    for (int r = 0; r < 16; r++)
        if (g->st.gpr[r] != want.gpr[r])
            fail_msg("%s: register %d: 0x%llx", accesses[i].name, r,
                     (unsigned long long)g->st.gpr[r]);
    if (memcmp(&g->st, &want, sizeof(want)) != 0)
        fail_msg("%s: state differs, rflags 0x%llx", accesses[i].name,
                 (unsigned long long)g->st.rflags);
    assert_int_equal(guest_count(g), 2);
}

/* Does an access there read first, which beyond memory is what fails? */
static bool reads_first(size_t i)
{
    return strstr(accesses[i].name, "add [") || strstr(accesses[i].name, "lock") ||
           strstr(accesses[i].name, "shl") || strstr(accesses[i].name, "xchg");
}

static void test_beyond(void **state)
{
    static const struct {
        uint64_t gva, gpa;
    } places[] = {{BEYOND + 0x100, BEYOND + 0x100}, {FAR + 0x1ff0, FAR + 0x1ff0}};

    (void)state;
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < N; i++) {
            struct ukvm_x86_state before;
            struct guest g;

            prepare(&g, i, places[p].gva);
            before = g.st;
            assert_int_equal(guest_run(&g), UKVM_EXIT_PROT);
            if (accesses[i].write && reads_first(i)) {
                assert_false(g.ex.write);
                g.ex.write = true;
                g.ex.data = accesses[i].data;
            }
            check(&g, i, &before, places[p].gpa);
            guest_close(&g);
        }
}

/* Every place of an 8-byte store and load around the end of memory. */
static void test_edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        if (accesses[i].len != 8 || accesses[i].off || accesses[i].size != 3 || reads_first(i) ||
            strstr(accesses[i].name, "rep") || strstr(accesses[i].name, "movups"))
            continue;
        for (int off = -16; off <= 8; off++) {
            uint64_t end = GUEST_MEM, at = end + (uint64_t)(int64_t)off;
            unsigned inside = off <= -8 ? 8 : off >= 0 ? 0 : (unsigned)-off;
            struct guest g;

            prepare(&g, i, at);
            if (inside == 8) {
                assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
                guest_close(&g);
                continue;
            }
            /* a misaligned load is made of the aligned ones around it */
            if (guest_run(&g) != UKVM_EXIT_PROT || g.ex.pc != GUEST_CODE + 4 ||
                g.ex.addr != (accesses[i].write ? at + inside : (at + inside) & ~UINT64_C(7)) ||
                g.ex.len != (accesses[i].write ? 8 - inside : 8))
                fail_msg("%s at end%+d: exit %d 0x%llx %u", accesses[i].name, off, g.ex.kind,
                         (unsigned long long)g.ex.addr, g.ex.len);
            assert_int_equal(g.st.gpr[UKVM_RAX], RAX);
            guest_close(&g);
        }
    }
}

static void protect(struct guest *g, uint64_t gpa, size_t len, unsigned prot)
{
    struct ukvm_error err;

    if (g->hv.ops->protect(&g->hv, gpa, len, prot, &err) != UKVM_OK)
        fail_msg("protect: %s", err.msg);
}

static void test_read_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct ukvm_x86_state before;
        uint8_t memory[4096];
        struct guest g;

        prepare(&g, i, PROTECTED + 0x1010);
        memset(g.hv.mem + PROTECTED, 0x55, 0x3000);
        memcpy(memory, g.hv.mem + PROTECTED + 0x1000, sizeof(memory));
        protect(&g, PROTECTED + 0x1000, 0x1000, UKVM_PROT_R | UKVM_PROT_X);
        before = g.st;
        if (!accesses[i].write) {
            guest_run(&g);
            assert_int_not_equal(g.ex.kind, UKVM_EXIT_PROT);
            guest_close(&g);
            continue;
        }
        guest_run(&g);
        check(&g, i, &before, PROTECTED + 0x1010);
        assert_memory_equal(g.hv.mem + PROTECTED + 0x1000, memory, sizeof(memory));
        /* and again, and then writable */
        guest_run(&g);
        check(&g, i, &before, PROTECTED + 0x1010);
        protect(&g, PROTECTED + 0x1000, 0x1000, UKVM_PROT_R | UKVM_PROT_W | UKVM_PROT_X);
        assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
        if (!strstr(accesses[i].name, "cmpxchg"))
            assert_memory_not_equal(g.hv.mem + PROTECTED + 0x1000, memory, sizeof(memory));
        guest_close(&g);
    }
}

/* The neighbours of a protected page stay writable. */
static void test_neighbours(void **state)
{
    static const int offs[] = {-8, 0, 0xff8, 0x1000};

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        struct guest g;

        prepare(&g, 0, PROTECTED + 0x1000 + (uint64_t)(int64_t)offs[k]);
        protect(&g, PROTECTED + 0x1000, 0x1000, UKVM_PROT_R | UKVM_PROT_X);
        guest_run(&g);
        assert_int_equal(g.ex.kind, k == 1 || k == 2 ? UKVM_EXIT_PROT : UKVM_EXIT_INSN);
        guest_close(&g);
    }
}

/* Memory is mapped in regions, with a seam at 4 MiB: nobody sees it. */
static void test_seam(void **state)
{
    const uint64_t seam = 4 << 20;

    (void)state;
    for (uint64_t before = 1; before < 8; before++) {
        static const char code[] =
            "\x48\x89\x03\x48\x8b\x0b\xf4"; /* mov [rbx],rax; mov rcx,[rbx] */
        uint64_t v = 0;
        struct guest g;

        guest_open(&g, "\xff\xe2", 2); /* jmp rdx */
        guest_code(&g, seam - before, code, sizeof(code) - 1);
        g.st.gpr[UKVM_RAX] = RAX;
        g.st.gpr[UKVM_RBX] = seam + 0x1000 - before;
        g.st.gpr[UKVM_RDX] = seam - before;
        guest_set(&g);
        assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
        assert_int_equal(g.ex.pc, seam - before + 6);
        assert_int_equal(g.st.gpr[UKVM_RCX], RAX);
        guest_code(&g, GUEST_CODE, code, sizeof(code) - 1);
        g.st.rip = GUEST_CODE;
        g.st.gpr[UKVM_RBX] = seam - before;
        guest_set(&g);
        assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
        memcpy(&v, g.hv.mem + seam - before, 8);
        assert_int_equal(v, RAX);
        protect(&g, seam - 0x2000, 0x4000, UKVM_PROT_R);
        g.st.rip = GUEST_CODE;
        guest_set(&g);
        assert_int_equal(guest_run(&g), UKVM_EXIT_PROT);
        assert_int_equal(g.ex.addr, seam - before);
        guest_close(&g);
    }
}

static void test_unreadable(void **state)
{
    static const unsigned prots[] = {0, UKVM_PROT_X, UKVM_PROT_W, UKVM_PROT_R};

    (void)state;
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < N; i++) {
            struct ukvm_x86_state before;
            struct guest g;

            prepare(&g, i, PROTECTED + 0x1010);
            protect(&g, PROTECTED + 0x1000, 0x1000, prots[k]);
            before = g.st;
            guest_run(&g);
            if (accesses[i].write || k >= 2) {
                assert_int_equal(g.ex.kind == UKVM_EXIT_PROT, accesses[i].write && k != 2);
            } else {
                check(&g, i, &before, PROTECTED + 0x1010);
            }
            guest_close(&g);
        }
}

/* The guest's own tables come first: what they refuse is a page fault. */
static void test_tables_first(void **state)
{
    static const uint64_t flags[] = {0, 1, 3};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct guest g;

        prepare(&g, 0, GUEST_FINE + 0x3008);
        guest_page(&g, 3, flags[k]);
        protect(&g, GUEST_FINE + 0x3000, 0x1000, UKVM_PROT_R | UKVM_PROT_X);
        guest_run(&g);
        assert_int_equal(g.ex.pc, GUEST_CODE + 4);
        if (k == 2) {
            assert_int_equal(g.ex.kind, UKVM_EXIT_PROT);
        } else {
            assert_int_equal(g.ex.kind, UKVM_EXIT_EXCEPTION);
            assert_int_equal(g.ex.vector, 14);
            assert_int_equal(g.ex.code, k == 0 ? 2 : 3);
            assert_int_equal(g.ex.addr, GUEST_FINE + 0x3008);
            assert_int_equal(g.st.cr2, GUEST_FINE + 0x3008);
            assert_int_equal(g.st.gpr[UKVM_RAX], RAX);
        }
        guest_close(&g);
    }
}

static bool translates(void)
{
    struct ukvm_report r;

    ukvm_hv_emu.probe(&r);
    for (size_t i = 0; i < r.nfacts; i++)
        if (strcmp(r.facts[i].name, "page tables") == 0)
            return strcmp(r.facts[i].value, "yes") == 0;
    fail_msg("no fact about page tables");
    return false;
}

/* A mapping that the engine would get wrong is refused. */
static void test_alias(void **state)
{
    struct guest g;

    (void)state;
    prepare(&g, 0, (UINT64_C(6) << 21) + 0x1010);
    guest_map(&g, 6, PROTECTED & ~UINT64_C(0x1fffff), 3);
    protect(&g, PROTECTED + 0x1000, 0x1000, UKVM_PROT_R | UKVM_PROT_X);
    memset(g.hv.mem + PROTECTED + 0x1000, 0x55, 32);
    guest_run(&g);
    if (translates()) {
        assert_int_equal(g.ex.kind, UKVM_EXIT_PROT);
        assert_int_equal(g.ex.addr, PROTECTED + 0x1010);
    } else {
        assert_int_equal(g.ex.kind, UKVM_EXIT_UNKNOWN);
        assert_non_null(strstr(g.ex.msg, "0xc00000"));
        assert_int_equal(guest_count(&g), 0);
    }
    assert_int_equal(g.hv.mem[PROTECTED + 0x1010], 0x55);
    guest_map(&g, 6, 0, 0);
    g.hv.ops->wrote(&g.hv, GUEST_TABLES, 0x4000);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    guest_close(&g);
}

/* The guest makes one itself: it is noticed when the guest next goes on. */
static void test_alias_by_guest(void **state)
{
    static const char code[] = "\x48\x89\x03\x0f\x01\x39\x90\xf4"; /* mov [rbx],rax; invlpg [rcx] */
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    g.st.gpr[UKVM_RAX] = 0x83;
    g.st.gpr[UKVM_RBX] = GUEST_TABLES + 0x2000 + 8 * 6;
    g.st.gpr[UKVM_RCX] = 6 << 21;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_run(&g);
    assert_int_equal(g.ex.kind, translates() ? UKVM_EXIT_INSN : UKVM_EXIT_UNKNOWN);
    guest_close(&g);
}

/* Another CR3: what was cached of the tables is gone. */
static void test_other_tables(void **state)
{
    struct guest g;

    (void)state;
    guest_open(&g, "\x48\x8b\x03\xf4", 4); /* mov rax,[rbx] */
    memcpy(g.hv.mem + 0x20000, g.hv.mem + GUEST_TABLES, 0x3000);
    g.hv.mem[0x20001] = 0x10, g.hv.mem[0x20002] = 2; /* 0x21003 */
    g.hv.mem[0x21001] = 0x20, g.hv.mem[0x21002] = 2; /* 0x22003 */
    memset(g.hv.mem + 0x22000 + 8, 0, 8);            /* without 2 to 4 MiB */
    g.st.gpr[UKVM_RBX] = GUEST_DATA;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    g.st.rip = GUEST_CODE;
    g.st.cr3 = 0x20000;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.addr, GUEST_DATA);
    g.st.cr3 = GUEST_TABLES;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_close(&g);
}

static void test_protect_arguments(void **state)
{
    struct ukvm_error err;
    struct guest g;

    (void)state;
    prepare(&g, 0, GUEST_DATA);
    assert_int_equal(g.hv.ops->protect(&g.hv, 0x1001, 0x1000, 7, &err), UKVM_EINVAL);
    assert_int_equal(g.hv.ops->protect(&g.hv, 0x1000, 0x1001, 7, &err), UKVM_EINVAL);
    assert_int_equal(g.hv.ops->protect(&g.hv, GUEST_MEM, 0x1000, 7, &err), UKVM_EINVAL);
    assert_int_equal(g.hv.ops->protect(&g.hv, 0x1000, SIZE_MAX & ~0xffful, 7, &err), UKVM_EINVAL);
    assert_int_equal(g.hv.ops->protect(&g.hv, 0, 0, 7, &err), UKVM_OK);
    guest_close(&g);
}

/* --- code that is not guest memory ------------------------------------------------ */

static void test_fetch_beyond(void **state)
{
    static const uint64_t targets[][2] = {{BEYOND, BEYOND}, {FAR + 0x123, FAR + 0x123}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct guest g;

        guest_open(&g, "\x90\xff\xe3", 3);
        guest_map(&g, BEYOND >> 21, BEYOND, 3);
        guest_map(&g, FAR >> 21, FAR, 3);
        g.st.gpr[UKVM_RBX] = targets[i][0];
        guest_set(&g);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(guest_run(&g), UKVM_EXIT_PROT);
            assert_int_equal(g.ex.pc, targets[i][0]);
            assert_int_equal(g.ex.next, targets[i][0]);
            assert_int_equal(g.ex.addr, targets[i][1]);
            assert_false(g.ex.write);
            assert_int_equal(guest_count(&g), 2);
        }
        guest_close(&g);
    }
}

/* Code runs up to the end of memory; an instruction that crosses it does not run. */
static void test_run_off_the_end(void **state)
{
    static const struct {
        const char *code;
        size_t size, runs, pc;
    } cases[] = {
        {"\xff\xc0\xff\xc0", 4, 2, 4},
        {"\xff\xc0\x48\x8b", 4, 1, 2},
        {"\xff\xc0\x90\x0f", 4, 2, 3},
        {"\xff\xc0\x90\xb8", 4, 2, 3},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = GUEST_MEM - cases[i].size;
        struct guest g;

        guest_open(&g, "\xff\xe3", 2);
        guest_map(&g, BEYOND >> 21, BEYOND, 3);
        guest_code(&g, at, cases[i].code, cases[i].size);
        g.st.gpr[UKVM_RBX] = at;
        guest_set(&g);
        for (uint64_t again = 0; again < 2; again++) {
            assert_int_equal(guest_run(&g), UKVM_EXIT_PROT);
            assert_int_equal(g.ex.addr, GUEST_MEM);
            assert_int_equal(g.ex.pc, at + cases[i].pc);
            assert_int_equal(guest_count(&g), 1 + cases[i].runs);
            assert_int_equal(g.st.gpr[UKVM_RAX], i == 0 ? 2 : 1);
        }
        guest_close(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_seam),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_tables_first),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_alias_by_guest),
        cmocka_unit_test(test_other_tables),
        cmocka_unit_test(test_protect_arguments),
        cmocka_unit_test(test_fetch_beyond),
        cmocka_unit_test(test_run_off_the_end),
    };

    return cmocka_run_group_tests_name("emu memory", tests, NULL, NULL);
}
