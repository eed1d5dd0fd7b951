/* SPDX-License-Identifier: ISC */
/*
 * test_emu_count.c: instructions are counted and stopped at exactly: the corners (string
 * instructions, faults, code that changes itself), random stops against a trace by
 * single steps, and interruptions from a signal, after which nothing is lost.
 */
#include "tests/support/emu_guest.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <cmocka.h>

/* --- the corners ------------------------------------------------------------------ */

/* A store into its own block: the block is left, the store done over, counted once. */
static void test_store_into_own_block(void **state)
{
    static const char code[] = "\xff\xc0"
                               "\xc6\x05\x02\0\0\0\xc3" /* the byte at 11: inc eax -> inc ebx */
                               "\xff\xc0"
                               "\xff\xc0"
                               "\xf4";
    struct guest g;

    (void)state;
    for (int stepping = 0; stepping < 2; stepping++) {
        uint64_t steps = 0;

        guest_open(&g, code, sizeof(code) - 1);
        guest_code(&g, GUEST_CODE + 4, "\x03", 1); /* the operand at 12 */
        if (stepping) {
            for (steps = 0; guest_step(&g) == UKVM_EXIT_STEP; steps++)
                ;
            assert_int_equal(steps, 4);
        } else {
            guest_run(&g);
        }
        assert_int_equal(g.ex.kind, UKVM_EXIT_INSN);
        assert_int_equal(guest_count(&g), 4);
        assert_int_equal(g.st.gpr[UKVM_RAX], 2);
        assert_int_equal(g.st.gpr[UKVM_RBX], 1);
        guest_close(&g);
    }
}

/* A read-modify-write of its own block must happen once. */
static void test_increment_in_own_block(void **state)
{
    static const char code[] = "\x90"
                               "\xfe\x05\x01\0\0\0" /* 1 inc byte [rip+1]: the immediate at 8 */
                               "\xb0\x10"           /* 7 mov al,0x10 */
                               "\xf4";
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(guest_count(&g), 3);
    assert_int_equal(g.st.gpr[UKVM_RAX] & 0xff, 0x11);
    guest_close(&g);
}

/* A string instruction that overwrites the block it stands in. */
static void test_rep_into_own_block(void **state)
{
    static const char code[] = "\x48\x8d\x3d\x02\0\0\0" /* lea rdi,[rip+2] */
                               "\xf3\xaa"               /* 7 rep stosb: nops over 9.. */
                               "\xff\xc0\xff\xc0"       /* 9 */
                               "\xf4";
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    guest_code(&g, GUEST_CODE + 3, "\x02", 1);
    g.st.gpr[UKVM_RAX] = 0x90;
    g.st.gpr[UKVM_RCX] = 4;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(guest_count(&g), 2 + 4);
    assert_int_equal(g.st.gpr[UKVM_RAX], 0x90);
    guest_close(&g);
}

/* Jumps to themselves: each turn is an instruction. */
static void test_jumps_to_self(void **state)
{
    static const struct {
        const char *code;
        size_t size;
        uint64_t rcx, count;
    } cases[] = {
        {"\xe2\xfe", 2, 100, 100},              /* loop . */
        {"\x67\xe2\xfd", 3, 50, 50},            /* loop . by ecx */
        {"\xff\xe3", 2, 0, 77},                 /* jmp rbx */
        {"\xeb\xfe", 2, 0, 77},                 /* jmp . */
        {"\xe9\xfb\xff\xff\xff", 5, 0, 77},     /* jmp . */
        {"\x0f\x84\xfa\xff\xff\xff", 6, 0, 77}, /* jz . */
        {"\x74\xfe", 2, 0, 77},                 /* jz . */
        {"\xe8\xfb\xff\xff\xff", 5, 0, 77},     /* call . */
        {"\xc3", 1, 0, 77},                     /* ret to a row of its own addresses */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t code[16];
        struct guest g;
        uint64_t self = GUEST_CODE;

        memset(code, 0xf4, sizeof(code));
        memcpy(code, cases[i].code, cases[i].size);
        guest_open(&g, code, sizeof(code));
        for (uint64_t at = 0; at < 4096; at += 8)
            memcpy(g.hv.mem + GUEST_STACK + at, &self, 8);
        g.st.gpr[UKVM_RBX] = GUEST_CODE;
        g.st.gpr[UKVM_RCX] = cases[i].rcx;
        g.st.rflags |= 0x40;
        guest_set(&g);
        if (cases[i].rcx) {
            assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
            assert_int_equal(guest_count(&g), cases[i].count);
        } else {
            assert_int_equal(guest_until(&g, 77), UKVM_EXIT_STEP);
            assert_int_equal(guest_count(&g), 77);
            assert_int_equal(g.ex.pc, GUEST_CODE);
        }
        guest_close(&g);
    }
}

/* A count that is reached, or passed, ends the run where it stands. */
static void test_until_now(void **state)
{
    struct guest g;

    (void)state;
    guest_open(&g, "\x90\x90\x90\x90\xf4", 5);
    assert_int_equal(guest_until(&g, 2), UKVM_EXIT_STEP);
    assert_int_equal(guest_until(&g, 2), UKVM_EXIT_STEP);
    assert_int_equal(guest_until(&g, 1), UKVM_EXIT_STEP);
    assert_int_equal(g.ex.pc, GUEST_CODE + 2);
    assert_int_equal(guest_count(&g), 2);
    assert_int_equal(guest_until(&g, 5), UKVM_EXIT_INSN);
    assert_int_equal(guest_count(&g), 4);
    guest_close(&g);
}

/* --- random stops ----------------------------------------------------------------- */

/*
 * A loop of much: string instructions, divisions, calls, a store into code, stack,
 * flags, SSE, a fault in each turn (resumed behind it), an OUT in each turn.
 *
 *  0 mov ecx,7 / lea rdi,[data] / rep stosb / mov eax,[data] / imul / add / xor
 *  call f / ud2 / out / inc byte [f's immediate] / dec ebp / jnz 0 / hlt
 */
static const char busy[] = "\xb9\x07\x00\x00\x00"         /* 0 mov ecx,7 */
                           "\x48\xc7\xc7\x00\x00\x20\x00" /* 5 mov rdi,0x200000 */
                           "\xf3\xaa"                     /* 12 rep stosb */
                           "\x8b\x04\x25\x04\x00\x20\x00" /* 14 mov eax,[0x200004] */
                           "\x69\xc0\x6d\x4e\xc6\x41"     /* 21 imul eax,eax,0x41c64e6d */
                           "\x05\x39\x30\x00\x00"         /* 27 add eax,0x3039 */
                           "\x48\x31\xc3"                 /* 32 xor rbx,rax */
                           "\x66\x0f\x6e\xc0"             /* 35 movd xmm0,eax */
                           "\x66\x0f\xfe\xc8"             /* 39 paddd xmm1,xmm0 */
                           "\xe8\x10\x00\x00\x00"         /* 43 call 64 */
                           "\x0f\x0b"                     /* 48 ud2 */
                           "\xfe\x05\x0c\x00\x00\x00"     /* 50 inc byte [rip+12]: at 68 */
                           "\xef"                         /* 56 out dx,eax */
                           "\xff\xcd"                     /* 57 dec ebp */
                           "\x75\xc3"                     /* 59 jnz 0 */
                           "\xf4\x90\x90"                 /* 61 hlt */
                           "\x50"                         /* 64 push rax */
                           "\x48\x81\xc3\x05\x00\x00\x00" /* 65 add rbx,5 */
                           "\x58"                         /* 72 pop rax */
                           "\xc3";                        /* 73 ret */
enum { TURNS = 60, MAX_TRACE = 4096 };

static uint64_t hash(const struct ukvm_x86_state *st)
{
    const uint8_t *p = (const uint8_t *)st;
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < sizeof(*st); i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static void open_busy(struct guest *g)
{
    guest_open(g, busy, sizeof(busy) - 1);
    g->st.gpr[UKVM_RBP] = TURNS;
    guest_set(g);
}

/* Serve what the core would: go behind UD2 and OUT. False: the guest has halted. */
static bool serve(struct guest *g)
{
    if (g->ex.kind == UKVM_EXIT_EXCEPTION && g->ex.pc == GUEST_CODE + 48)
        guest_emulated(g, g->ex.pc + 2);
    else if (g->ex.kind == UKVM_EXIT_INSN && g->ex.pc == GUEST_CODE + 56)
        guest_emulated(g, g->ex.pc + 1);
    else if (g->ex.kind == UKVM_EXIT_INSN && g->ex.pc == GUEST_CODE + 61)
        return false;
    else if (g->ex.kind != UKVM_EXIT_STEP && g->ex.kind != UKVM_EXIT_INTERRUPT)
        fail_msg("exit %d, vector %d at 0x%llx", g->ex.kind, g->ex.vector,
                 (unsigned long long)g->ex.pc);
    return true;
}

/* State hashes at each count, by single steps; returns how many there are. */
static size_t trace_by_steps(uint64_t *hashes)
{
    struct guest g;
    size_t n = 0;

    open_busy(&g);
    do {
        guest_step(&g);
        n = guest_count(&g);
        assert_true(n < MAX_TRACE);
        if (g.ex.kind == UKVM_EXIT_STEP)
            hashes[n] = hash(&g.st);
    } while (serve(&g));
    guest_close(&g);
    return n;
}

/* Stop at (at) counts, in ascending order, and compare. */
static void stop_at(const uint64_t *at, size_t n, const uint64_t *hashes)
{
    struct guest g;

    open_busy(&g);
    for (size_t i = 0; i < n; i++) {
        while (guest_until(&g, at[i]) != UKVM_EXIT_STEP)
            assert_true(serve(&g));
        assert_int_equal(guest_count(&g), at[i]);
        if (hashes[at[i]] && hash(&g.st) != hashes[at[i]])
            fail_msg("state differs at %llu, 0x%llx", (unsigned long long)at[i],
                     (unsigned long long)g.st.rip);
    }
    guest_close(&g);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void test_random_stops(void **state)
{
    static uint64_t hashes[MAX_TRACE], at[20];
    size_t n = trace_by_steps(hashes);

    (void)state;
    assert_int_equal(n, TURNS * 17); /* without UD2 and OUT */
    srand(1);
    for (unsigned round = 0; round < 1000 / 20; round++) {
        for (size_t i = 0; i < 20; i++)
            at[i] = 1 + (uint64_t)rand() % n;
        qsort(at, 20, sizeof(at[0]), ascending);
        stop_at(at, 20, hashes);
    }
}

/* --- interruptions ---------------------------------------------------------------- */

static struct ukvm_hv *interrupted;
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
    interrupted->ops->interrupt(interrupted);
}

/* The sum of the numbers below rbp, in a loop; a string copy in each turn. */
static const char counting[] = "\x48\x01\xe8" /* 0 add rax,rbp */
                               "\x89\xd1"     /* 3 mov ecx,edx */
                               "\x48\x89\xdf" /* 5 mov rdi,rbx */
                               "\xf3\xaa"     /* 8 rep stosb */
                               "\xff\xcd"     /* 10 dec ebp */
                               "\x75\xf2"     /* 12 jnz 0 */
                               "\xf4";

static void timer(long us)
{
    struct itimerval it = {{0, us}, {0, us}};

    setitimer(ITIMER_REAL, &it, NULL);
}

static void test_interrupts(void **state)
{
    const uint64_t turns = 300000;
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, old;
    struct guest g;
    unsigned stops = 0;

    (void)state;
    guest_open(&g, counting, sizeof(counting) - 1);
    g.st.gpr[UKVM_RBP] = turns;
    g.st.gpr[UKVM_RBX] = GUEST_DATA;
    g.st.gpr[UKVM_RDX] = 20;
    guest_set(&g);
    interrupted = &g.hv;
    alarms = 0;
    sigaction(SIGALRM, &sa, &old);
    timer(200);
    while (guest_run(&g) == UKVM_EXIT_INTERRUPT)
        stops++;
    timer(0);
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(g.ex.kind, UKVM_EXIT_INSN);
    assert_int_equal(g.st.gpr[UKVM_RAX], turns * (turns + 1) / 2);
    assert_int_equal(guest_count(&g), turns * 6);
    assert_true(stops > 10);
    assert_true(stops <= (unsigned)alarms);
    guest_close(&g);
}

/* Before a run, it ends the run at once; it lasts until then, and not longer. */
static void test_interrupt_before(void **state)
{
    struct guest g;

    (void)state;
    guest_open(&g, "\x90\xcc\x90\xf4", 4);
    g.hv.ops->interrupt(&g.hv);
    g.hv.ops->interrupt(&g.hv);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INTERRUPT);
    assert_int_equal(g.ex.pc, GUEST_CODE);
    assert_int_equal(guest_count(&g), 0);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_close(&g);
}

/* The same where the hook has nothing else to look at. */
static void test_interrupt_before_a_loop(void **state)
{
    struct guest g;

    (void)state;
    guest_open(&g, "\xff\xc0\xeb\xfc", 4); /* inc eax; jmp 0 */
    assert_int_equal(guest_until(&g, 1000), UKVM_EXIT_STEP);
    g.hv.ops->interrupt(&g.hv);
    assert_int_equal(guest_until(&g, 2000), UKVM_EXIT_INTERRUPT);
    assert_int_equal(guest_count(&g), 1000);
    guest_close(&g);
}

/* A long string instruction is interrupted in its midst, and is one instruction still. */
static void test_interrupt_in_rep(void **state)
{
    const uint64_t bytes = 4 << 20;
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, old;
    struct guest g;
    unsigned inside = 0;

    (void)state;
    guest_open(&g, "\x90\xf3\xaa\xf4", 4);
    g.st.gpr[UKVM_RDI] = GUEST_FINE;
    g.st.gpr[UKVM_RCX] = bytes;
    g.st.gpr[UKVM_RAX] = 0x77;
    guest_set(&g);
    interrupted = &g.hv;
    sigaction(SIGALRM, &sa, &old);
    timer(500);
    while (guest_run(&g) == UKVM_EXIT_INTERRUPT) {
        if (g.st.rip != GUEST_CODE + 1)
            continue;
        assert_int_equal(guest_count(&g), 1);
        assert_int_equal(g.st.gpr[UKVM_RDI] + g.st.gpr[UKVM_RCX], GUEST_FINE + bytes);
        inside += g.st.gpr[UKVM_RCX] != bytes && g.st.gpr[UKVM_RCX] != 0;
    }
    timer(0);
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(g.ex.kind, UKVM_EXIT_INSN);
    assert_int_equal(guest_count(&g), 2);
    assert_int_equal(g.hv.mem[GUEST_FINE + bytes - 1], 0x77);
    assert_true(inside > 0);
    guest_close(&g);
}

/* --- threads ---------------------------------------------------------------------- */

static void *run_counting(void *arg)
{
    struct guest *g = arg;
    struct ukvm_hv_run how = {0};
    struct ukvm_error err;

    return g->hv.ops->run(&g->hv, &how, &g->ex, &err) == UKVM_OK ? g : NULL;
}

static void test_two_threads(void **state)
{
    struct guest g[2];
    pthread_t t[2];
    void *done;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        guest_open(&g[i], counting, sizeof(counting) - 1);
        g[i].st.gpr[UKVM_RBP] = 100000 + i;
        g[i].st.gpr[UKVM_RBX] = GUEST_DATA;
        g[i].st.gpr[UKVM_RDX] = 5;
        guest_set(&g[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_counting, &g[i]), 0);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t n = 100000 + i;

        pthread_join(t[i], &done);
        assert_ptr_equal(done, &g[i]);
        guest_get(&g[i]);
        assert_int_equal(g[i].st.gpr[UKVM_RAX], n * (n + 1) / 2);
        assert_int_equal(guest_count(&g[i]), n * 6);
        guest_close(&g[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_into_own_block),
        cmocka_unit_test(test_increment_in_own_block),
        cmocka_unit_test(test_rep_into_own_block),
        cmocka_unit_test(test_jumps_to_self),
        cmocka_unit_test(test_until_now),
        cmocka_unit_test(test_random_stops),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_interrupt_before),
        cmocka_unit_test(test_interrupt_before_a_loop),
        cmocka_unit_test(test_interrupt_in_rep),
        cmocka_unit_test(test_two_threads),
    };

    return cmocka_run_group_tests_name("emu counts", tests, NULL, NULL);
}
