/* SPDX-License-Identifier: ISC */
/*
 * test_kvm_step.c: the KVM backend on a KVM: steps, and interrupts at any time. Where
 * /dev/kvm is missing, tests/e2e/nested_kvm.sh runs this program under emulation.
 */
#include "tests/support/kvm_guest.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

GUEST(undefined, "nop; ud2");
GUEST(two_calls, "mov $0x501, %edx; mov $7, %eax; out %eax, %dx; inc %edx; inc %eax;"
                 "out %eax, %dx; inc %ebx; hlt");

/* --- steps --------------------------------------------------------------------------- */

GUEST(steps, "nop; mov $0x501, %edx; out %eax, %dx; inc %ebx; pushf; popf; mov $16, %ecx;"
             "mov %ecx, %ss; inc %ebx; sti; cli; jmp 1f; 1: hlt");

static void test_steps(void **state)
{
    static const struct {
        enum ukvm_exit_kind kind;
        unsigned next;
    } rows[] = {
        {UKVM_EXIT_STEP, 1},  {UKVM_EXIT_STEP, 6},  {UKVM_EXIT_HYPERCALL, 7}, {UKVM_EXIT_STEP, 9},
        {UKVM_EXIT_STEP, 10}, {UKVM_EXIT_STEP, 11}, {UKVM_EXIT_STEP, 16},     {UKVM_EXIT_STEP, 18},
        {UKVM_EXIT_STEP, 20}, {UKVM_EXIT_STEP, 21}, {UKVM_EXIT_STEP, 22},     {UKVM_EXIT_STEP, 24},
        {UKVM_EXIT_HALT, 25},
    };
    struct kvm_machine *m = MACHINE(steps);
    uint8_t before[MEM_SIZE - CODE];
    (void)state;

    memcpy(before, m->hv.mem + CODE, 0x100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        kvm_step(m, rows[i].kind);
        if (kvm_rip(m) != CODE + rows[i].next)
            fail_msg("step %zu: at 0x%llx, not 0x%x", i, (unsigned long long)kvm_rip(m),
                     CODE + rows[i].next);
        assert_int_equal(m->ex.next, CODE + rows[i].next);
        assert_false(kvm_get(m, UKVM_GPR).rflags & UKVM_RFLAGS_TF);
        if (rows[i].next == 10)
            assert_int_equal(kvm_peek(m, STACK_TOP - 8) & UKVM_RFLAGS_TF, 0);
        assert_memory_equal(before, m->hv.mem + CODE, 0x100);
    }
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RBX], 2);
    kvm_done(m);
}

static void test_step_onto_fault(void **state)
{
    struct kvm_machine *m = MACHINE(undefined);
    (void)state;

    kvm_step(m, UKVM_EXIT_STEP);
    kvm_step(m, UKVM_EXIT_STEP);
    uint64_t at = kvm_rip(m); /* the handler, at most an instruction into it */
    assert_true(at == STUBS + 6);
    assert_int_equal(m->hv.mem[STUBS + 6], 0xf4);
    assert_int_equal(kvm_peek(m, kvm_get(m, UKVM_GPR).gpr[UKVM_RSP]), CODE + 1);
    kvm_step(m, UKVM_EXIT_HALT); /* its own HLT is one */
    assert_int_equal(m->ex.pc, STUBS + 6);
    kvm_done(m);
}

GUEST(repeat, "mov $0xa000, %edi; mov $3, %ecx; rep stosb; hlt");

/* A step of a repeated instruction is one iteration: pc stands until it is complete. */
static void test_step_repeat(void **state)
{
    struct kvm_machine *m = MACHINE(repeat);
    int n = 0;
    (void)state;

    kvm_step(m, UKVM_EXIT_STEP);
    kvm_step(m, UKVM_EXIT_STEP);
    do
        kvm_step(m, UKVM_EXIT_STEP);
    while (n++ < 10 && kvm_rip(m) == CODE + 10);
    assert_int_equal(n, 3);
    assert_int_equal(kvm_rip(m), CODE + 12);
    kvm_done(m);
}

static void test_step_then_run(void **state)
{
    struct kvm_machine *m = MACHINE(two_calls);
    (void)state;

    for (int i = 0; i < 4; i++)
        kvm_step(m, i == 2 ? UKVM_EXIT_HYPERCALL : UKVM_EXIT_STEP);
    kvm_go(m, UKVM_EXIT_HYPERCALL);
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RBX], 1);
    kvm_done(m);
}

/* --- interrupts -------------------------------------------------------------------- */

GUEST(spin, "1: inc %rbx; jmp 1b");
GUEST(call_loop, "mov $0x501, %edx; 1: out %eax, %dx; inc %rbx; jmp 1b");

static void test_interrupt_before(void **state)
{
    struct kvm_machine *m = MACHINE(spin);
    (void)state;

    m->hv.ops->interrupt(&m->hv);
    m->hv.ops->interrupt(&m->hv);
    kvm_go(m, UKVM_EXIT_INTERRUPT);
    assert_int_equal(m->ex.pc, CODE);
    kvm_step(m, UKVM_EXIT_STEP); /* it is spent */
    m->hv.ops->interrupt(&m->hv);
    kvm_step(m, UKVM_EXIT_INTERRUPT);
    kvm_step(m, UKVM_EXIT_STEP);
    kvm_done(m);
}

struct kicker {
    struct kvm_machine *m;
    atomic_int runs, want; /* how often the owner came back; how often to kick */
};

static void *kick(void *arg)
{
    struct kicker *k = arg;
    unsigned seed = 1;

    for (int i = 0; i < atomic_load(&k->want); i++) {
        usleep((seed = seed * 1103515245u + 12345u, seed >> 16) % 200);
        k->m->hv.ops->interrupt(&k->m->hv);
        while (atomic_load(&k->runs) <= i)
            sched_yield();
    }
    return NULL;
}

/* Each of many kicks at a random time ends the guest, whether it spins or calls. */
static void kicks(const uint8_t *code, const uint8_t *end, bool held)
{
    struct kvm_machine *m = kvm_machine(code, end);
    struct kicker k = {.m = m};
    sigset_t before, after, pending;
    pthread_t t;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    atomic_store(&k.want, 200);
    if (held)
        kvm_need(m, uk_kvm_enter(&m->hv, &m->err));
    assert_int_equal(pthread_create(&t, NULL, kick, &k), 0);
    while (atomic_load(&k.runs) < 200) {
        kvm_need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){0}, &m->ex, &m->err));
        if (m->ex.kind != UKVM_EXIT_INTERRUPT) {
            assert_int_equal(m->ex.kind, UKVM_EXIT_HYPERCALL);
            continue;
        }
        assert_int_equal(kvm_rip(m), m->ex.next);
        atomic_fetch_add(&k.runs, 1);
    }
    pthread_join(t, NULL);
    uk_kvm_leave(&m->hv);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    sigpending(&pending);
    assert_memory_equal(&before, &after, 8);
    assert_false(sigismember(&pending, SIGURG));
    kvm_done(m);
}

static void test_kick_spinning(void **state)
{
    (void)state;
    kicks(spin, spin_end, false);
    kicks(spin, spin_end, true);
}

static void test_kick_calling(void **state)
{
    (void)state;
    kicks(call_loop, call_loop_end, false);
    kicks(call_loop, call_loop_end, true);
}

static struct kvm_machine *alarmed;

static void on_alarm(int sig)
{
    (void)sig;
    alarmed->hv.ops->interrupt(&alarmed->hv);
}

static void test_interrupt_from_handler(void **state)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {0, 20000}};
    struct kvm_machine *m = MACHINE(spin);
    (void)state;

    alarmed = m;
    sigaction(SIGALRM, &sa, NULL);
    for (int i = 0; i < 3; i++) {
        setitimer(ITIMER_REAL, &soon, NULL);
        kvm_go(m, UKVM_EXIT_INTERRUPT);
    }
    signal(SIGALRM, SIG_DFL);
    kvm_done(m);
}

/* Two machines of one thread, in turns; neither's interrupt is the other's. */
static void test_two_machines(void **state)
{
    struct kvm_machine *a = MACHINE(call_loop), *b = MACHINE(call_loop);
    (void)state;

    for (int i = 0; i < 10; i++) {
        kvm_go(a, UKVM_EXIT_HYPERCALL);
        a->hv.ops->interrupt(&a->hv);
        kvm_go(b, UKVM_EXIT_HYPERCALL);
        kvm_go(a, UKVM_EXIT_INTERRUPT);
    }
    assert_int_equal(kvm_get(a, UKVM_GPR).gpr[UKVM_RBX], 9);
    kvm_done(a);
    kvm_go(b, UKVM_EXIT_HYPERCALL);
    kvm_done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_step_onto_fault),
        cmocka_unit_test(test_step_repeat),
        cmocka_unit_test(test_step_then_run),
        cmocka_unit_test(test_interrupt_before),
        cmocka_unit_test(test_kick_spinning),
        cmocka_unit_test(test_kick_calling),
        cmocka_unit_test(test_interrupt_from_handler),
        cmocka_unit_test(test_two_machines),
    };

    return KVM_RUN_GROUP("kvm_step", tests, false);
}
