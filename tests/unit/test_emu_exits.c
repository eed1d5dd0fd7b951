/* SPDX-License-Identifier: ISC */
/*
 * test_emu_exits.c: the emulator backend on hand-assembled guests: each kind of exit,
 * the exact place and state in which it leaves the guest.
 */
#include "tests/support/emu_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#define OPEN(g, code) guest_open(&(g), code, sizeof(code) - 1)

/* --- instructions that the core emulates ------------------------------------------ */

static const struct {
    const char *name;
    const char *code;
    size_t len;
} traps[] = {
    {"out dx,eax", "\xef", 1},
    {"out dx,al", "\xee", 1},
    {"out imm,al", "\xe6\x90", 2},
    {"out imm,eax", "\xe7\x90", 2},
    {"in al,imm", "\xe4\x90", 2},
    {"in eax,imm", "\xe5\x90", 2},
    {"in al,dx", "\xec", 1},
    {"in eax,dx", "\xed", 1},
    {"out dx,ax", "\x66\xef", 2},
    {"66 out imm,al", "\x66\xe6\x90", 3},
    {"66 66 66 out imm,al", "\x66\x66\x66\xe6\x90", 5},
    {"rex.w out", "\x48\xef", 2},
    {"66 rex out", "\x66\x41\xee", 3},
    {"rep outsb", "\xf3\x6e", 2},
    {"insd", "\x6d", 1},
    {"hlt", "\xf4", 1},
    {"rep hlt", "\xf3\xf4", 2},
    {"rdtsc", "\x0f\x31", 2},
    {"66 rdtsc", "\x66\x0f\x31", 3},
    {"rex rdtsc", "\x48\x0f\x31", 3},
    {"rdtscp", "\x0f\x01\xf9", 3},
    {"rex rdtscp", "\x48\x0f\x01\xf9", 4},
};

static void test_traps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
        uint8_t code[32] = {0x01, 0xc0, 0x48, 0xff, 0xc3}; /* add eax,eax; inc rbx */
        struct guest g;

        memcpy(code + 5, traps[i].code, traps[i].len);
        memset(code + 5 + traps[i].len, 0x90, sizeof(code) - 5 - traps[i].len);
        code[31] = 0xf4;
        guest_open(&g, code, sizeof(code));
        g.st.gpr[UKVM_RAX] = 0x80000001;
        g.st.gpr[UKVM_RCX] = 5;
        guest_set(&g);
        if (guest_run(&g) != UKVM_EXIT_INSN || g.ex.pc != GUEST_CODE + 5)
            fail_msg("%s: exit %d at 0x%llx", traps[i].name, g.ex.kind,
                     (unsigned long long)g.ex.pc);
        assert_int_equal(g.ex.next, g.ex.pc);
        assert_int_equal(g.st.gpr[UKVM_RAX], 2);
        assert_int_equal(g.st.gpr[UKVM_RBX], 1);
        assert_int_equal(g.st.gpr[UKVM_RCX], 5);
        assert_int_equal(g.st.rflags, 0x3); /* add's carry; inc keeps it */
        assert_int_equal(guest_count(&g), 2);
        guest_emulated(&g, g.ex.pc + traps[i].len);
        assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
        assert_int_equal(g.ex.pc, GUEST_CODE + 31);
        assert_int_equal(guest_count(&g), 2 + 31 - 5 - traps[i].len);
        guest_close(&g);
    }
}

/* Bytes of a trapping opcode inside of an instruction do not trap. */
static void test_no_false_traps(void **state)
{
    static const char code[] = "\xb8\xef\xee\xe6\xf4" /* mov eax,0xf4e6eeef */
                               "\x0f\xb6\xc0"         /* movzx eax,al */
                               "\x48\x0f\xaf\xc0"     /* imul rax,rax */
                               "\x66\x0f\xef\xc0"     /* pxor xmm0,xmm0 */
                               "\xf2\x0f\x5d\xc1"     /* minsd xmm0,xmm1 */
                               "\x0f\xa2"             /* cpuid */
                               "\xf4";
    struct guest g;

    (void)state;
    OPEN(g, code);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(g.ex.pc, GUEST_CODE + sizeof(code) - 2);
    assert_int_equal(guest_count(&g), 6);
    guest_close(&g);
}

/* A trap that begins in the last bytes of a page, and at the end of memory. */
static void test_traps_at_page_ends(void **state)
{
    static const uint64_t ends[] = {GUEST_FINE + 0x1000, GUEST_MEM};

    struct guest g;

    (void)state;
    OPEN(g, "\xff\xe3"); /* jmp rbx */
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
            for (size_t before = k ? traps[i].len : 1; before < 18; before++) {
                uint64_t at = ends[k] - before;

                guest_code(&g, at, traps[i].code, traps[i].len);
                g.st.rip = GUEST_CODE;
                g.st.gpr[UKVM_RBX] = at;
                guest_set(&g);
                if (guest_run(&g) != UKVM_EXIT_INSN || g.ex.pc != at)
                    fail_msg("%s, %zu bytes before 0x%llx: exit %d", traps[i].name, before,
                             (unsigned long long)ends[k], g.ex.kind);
            }
    guest_close(&g);
}

/* Nothing but prefixes, up to the end of memory: too long to be an instruction. */
static void test_prefixes_only(void **state)
{
    struct guest g;

    (void)state;
    OPEN(g, "\xff\xe3");
    memset(g.hv.mem + GUEST_MEM - 0x3000, 0x66, 0x3000);
    g.st.gpr[UKVM_RBX] = GUEST_MEM - 0x3000;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.pc, GUEST_MEM - 0x3000);
    g.st.rip = GUEST_MEM - 20;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.pc, GUEST_MEM - 20);
    guest_close(&g);
}

/* --- steps, breakpoints ----------------------------------------------------------- */

static void test_step(void **state)
{
    static const char code[] = "\x90"           /* 0 nop */
                               "\xe8\x02\0\0\0" /* 1 call 8 */
                               "\xeb\xfe"       /* 6 jmp . */
                               "\x83\xc0\x01"   /* 8 add eax,1 */
                               "\xc3";          /* 11 ret */
    static const uint64_t at[] = {1, 8, 11, 6, 6, 6};
    struct guest g;

    (void)state;
    OPEN(g, code);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
        assert_int_equal(g.ex.pc, GUEST_CODE + at[i]);
        assert_int_equal(guest_count(&g), i + 1);
    }
    assert_int_equal(g.st.gpr[UKVM_RAX], 1);
    guest_close(&g);
}

/* A repeated string instruction is one step and counts one, with any count. */
static void test_step_over_rep(void **state)
{
    static const char code[] = "\xf3\xaa\x90\xf4"; /* rep stosb; nop; hlt */
    static const uint64_t times[] = {0, 1, 2, 1000, 100000};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct guest g;

        OPEN(g, code);
        g.st.gpr[UKVM_RCX] = times[i];
        g.st.gpr[UKVM_RDI] = GUEST_DATA;
        guest_set(&g);
        assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
        assert_int_equal(g.ex.pc, GUEST_CODE + 2);
        assert_int_equal(g.st.gpr[UKVM_RCX], 0);
        assert_int_equal(g.st.gpr[UKVM_RDI], GUEST_DATA + times[i]);
        assert_int_equal(guest_count(&g), 1);
        assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
        assert_int_equal(guest_count(&g), 2);
        guest_close(&g);
    }
}

static void arm(struct guest *g, const uint64_t *at, size_t n)
{
    struct ukvm_trap set[8] = {0};
    bool done[8];
    struct ukvm_error err;

    for (size_t i = 0; i < n; i++)
        set[i] = (struct ukvm_trap){.kind = UKVM_TRAP_EXEC, .addr = at[i]};
    assert_int_equal(g->hv.ops->arm(&g->hv, set, n, done, &err), UKVM_OK);
    for (size_t i = 0; i < n; i++)
        assert_true(done[i]);
}

static void test_break(void **state)
{
    static const char code[] = "\x90\x90\x83\xc0\x01\xeb\xf9"; /* nop; nop; add eax,1; jmp 0 */
    const uint64_t at[] = {GUEST_CODE + 2, GUEST_CODE + 1, 0x123456};
    struct guest g;

    (void)state;
    OPEN(g, code);
    assert_int_equal(guest_until(&g, 40), UKVM_EXIT_STEP);
    assert_int_equal(g.ex.pc, GUEST_CODE);
    arm(&g, at, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(guest_run(&g), UKVM_EXIT_BREAK);
        assert_int_equal(g.ex.pc, GUEST_CODE + 1);
        /* a trap where a run begins is met at once: going on is the engine's work */
        assert_int_equal(guest_run(&g), UKVM_EXIT_BREAK);
        assert_int_equal(g.ex.pc, GUEST_CODE + 1);
        arm(&g, at, 1);
        assert_int_equal(guest_run(&g), UKVM_EXIT_BREAK);
        assert_int_equal(g.ex.pc, GUEST_CODE + 2);
        assert_int_equal(g.st.gpr[UKVM_RAX], 10 + i);
        arm(&g, NULL, 0);
        assert_int_equal(guest_step(&g), UKVM_EXIT_STEP);
        arm(&g, at, 3);
    }
    guest_close(&g);
}

static void test_arm_refuses_data(void **state)
{
    struct ukvm_trap t = {.kind = UKVM_TRAP_WRITE, .addr = GUEST_DATA, .len = 8};
    struct ukvm_error err;
    struct guest g;
    bool done = true;

    (void)state;
    OPEN(g, "\xf4");
    assert_int_equal(g.hv.ops->arm(&g.hv, &t, 1, &done, &err), UKVM_OK);
    assert_false(done);
    guest_close(&g);
}

/* --- what the engine must be told ------------------------------------------------- */

static void test_wrote(void **state)
{
    static const char code[] = "\xb8\x01\0\0\0\xf4";
    struct guest g;

    (void)state;
    OPEN(g, code);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(g.st.gpr[UKVM_RAX], 1);
    guest_code(&g, GUEST_CODE + 1, "\x02", 1);
    guest_emulated(&g, GUEST_CODE);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(g.st.gpr[UKVM_RAX], 2);
    /* the whole of memory, parts of which the tables do not map */
    g.hv.mem[GUEST_CODE + 1] = 3;
    guest_map(&g, 3, 0, 0);
    g.hv.ops->wrote(&g.hv, 0, GUEST_MEM);
    guest_emulated(&g, GUEST_CODE);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(g.st.gpr[UKVM_RAX], 3);
    guest_close(&g);
}

/* Page tables changed by the monitor: the old translations are gone. */
static void test_wrote_tables(void **state)
{
    static const char code[] = "\x48\x8b\x03\xf4"; /* mov rax,[rbx] */
    struct guest g;

    (void)state;
    OPEN(g, code);
    g.st.gpr[UKVM_RBX] = GUEST_FINE;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_page(&g, 0, 0);
    g.hv.ops->wrote(&g.hv, GUEST_TABLES + 0x3000, 8);
    guest_emulated(&g, GUEST_CODE);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.addr, GUEST_FINE);
    guest_close(&g);
}

static void test_tsc_hz(void **state)
{
    struct ukvm_error err;
    struct guest g;

    (void)state;
    OPEN(g, "\xf4");
    assert_true(g.hv.ops->tsc_hz(&g.hv, &err) > 1000000000);
    guest_close(&g);
}

static void test_probe(void **state)
{
    struct ukvm_report r;

    (void)state;
    ukvm_hv_emu.probe(&r);
    assert_string_equal(r.backend, "emu");
    if (!r.full)
        fail_msg("%s", r.why);
    assert_true(r.works && r.nfacts > 0);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

/* Too little address space is an error, not the end of the process. */
static void test_no_room(void **state)
{
    struct rlimit old, small;
    struct ukvm_report r;

    (void)state;
#ifdef __SANITIZE_ADDRESS__ /* whose own shadow needs terabytes */
    return;
#endif
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    small = old;
    small.rlim_cur = (rlim_t)512 << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
    ukvm_hv_emu.probe(&r);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_false(r.works);
    assert_non_null(strstr(r.why, "address space"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traps),
        cmocka_unit_test(test_no_false_traps),
        cmocka_unit_test(test_traps_at_page_ends),
        cmocka_unit_test(test_prefixes_only),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_step_over_rep),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_arm_refuses_data),
        cmocka_unit_test(test_wrote),
        cmocka_unit_test(test_wrote_tables),
        cmocka_unit_test(test_tsc_hz),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests_name("emu exits", tests, NULL, NULL);
}
