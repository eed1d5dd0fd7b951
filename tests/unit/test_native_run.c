/* SPDX-License-Identifier: ISC */
/*
 * test_native_run.c: runs, stops and the process of the native backend: breakpoints,
 * steps, views, interrupts, clocks; the child's end; what an embedding program keeps;
 * hosts that forbid it. UKVM_SOAK=1: more interrupts.
 */
#include "hv/native/native.h"
#include "hv/tsc.h"
#include "tests/support/native_pair.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include <cmocka.h>

static struct side guest;
static uint8_t image[PAIR_END - PAIR_FIRST];
static struct ukvm_x86_state start;
static struct ukvm_error err;

static struct ukvm_state *opaque(struct ukvm_x86_state *st)
{
    return (struct ukvm_state *)(void *)st;
}

static int open_guest(void **state)
{
    (void)state;
    side_open(&guest, &ukvm_hv_native);
    side_start(&start);
    return 0;
}

static int close_guest(void **state)
{
    (void)state;
    side_close(&guest);
    return 0;
}

static void load(const void *code, size_t len)
{
    side_memory(image, code, len);
    memcpy(guest.hv.mem + PAIR_FIRST, image, sizeof(image));
    assert_int_equal(ukvm_hv_native.set(&guest.hv, UKVM_ALL, opaque(&start), &err), UKVM_OK);
}

static enum ukvm_exit_kind go(bool step)
{
    const struct ukvm_hv_run how = {.step = step};

    if (ukvm_hv_native.run(&guest.hv, &how, &guest.ex, &err) != UKVM_OK)
        fail_msg("run: %s", err.msg);
    assert_int_equal(ukvm_hv_native.get(&guest.hv, UKVM_ALL, opaque(&guest.st), &err), UKVM_OK);
    assert_int_equal(guest.st.rip, guest.ex.next);
    return guest.ex.kind;
}

static const uint8_t spin[] = {0xeb, 0xfe}; /* jmp $ */

/* --- traps -------------------------------------------------------------------------------- */

static void test_breakpoint(void **state)
{
    static const uint8_t code[] = {0x90, 0x90, 0x90, 0xf4};
    const struct ukvm_trap trap = {UKVM_TRAP_EXEC, PAIR_CODE + 2, 0};
    bool done = false;

    (void)state;
    load(code, sizeof(code));
    assert_int_equal(ukvm_hv_native.arm(&guest.hv, &trap, 1, &done, &err), UKVM_OK);
    assert_true(done);
    assert_int_equal(go(false), UKVM_EXIT_BREAK);
    assert_int_equal(guest.ex.pc, PAIR_CODE + 2);
    assert_memory_equal(guest.hv.mem + PAIR_CODE, code, sizeof(code)); /* pristine at a stop */
    assert_int_equal(go(false), UKVM_EXIT_BREAK);
    assert_int_equal(ukvm_hv_native.arm(&guest.hv, NULL, 0, NULL, &err), UKVM_OK);
    assert_int_equal(go(false), UKVM_EXIT_INSN);
    assert_int_equal(guest.ex.pc, PAIR_CODE + 3);
}

static void test_steps(void **state)
{
    /* mov ecx, 5; rep stosb; pushfq; jmp $ */
    static const uint8_t code[] = {0xb9, 5, 0, 0, 0, 0xf3, 0xaa, 0x9c, 0xeb, 0xfe};

    (void)state;
    start.gpr[UKVM_RDI] = PAIR_DATA;
    load(code, sizeof(code));
    assert_int_equal(go(true), UKVM_EXIT_STEP);
    assert_int_equal(guest.ex.next, PAIR_CODE + 5);
    assert_int_equal(go(true), UKVM_EXIT_STEP); /* one, when complete */
    assert_int_equal(guest.ex.next, PAIR_CODE + 7);
    assert_int_equal(guest.st.gpr[UKVM_RDI], PAIR_DATA + 5);
    assert_int_equal(go(true), UKVM_EXIT_INSN); /* its flags are the core's to push */
    guest.st.rip++;
    assert_int_equal(ukvm_hv_native.set(&guest.hv, UKVM_GPR, opaque(&guest.st), &err), UKVM_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(go(true), UKVM_EXIT_STEP);
    assert_int_equal(guest.ex.next, PAIR_CODE + 8);
    assert_false(guest.st.rflags & UKVM_RFLAGS_TF);
}

/* On a processor whose debug registers work; else refused, and the engine finds another way. */
static void test_watch(void **state)
{
    static const uint8_t code[] = {0x88, 0x03, 0xf4}; /* mov [rbx], al */
    const struct ukvm_trap traps[] = {{UKVM_TRAP_WRITE, PAIR_DATA + 8, 4},
                                      {UKVM_TRAP_READ, PAIR_DATA, 1},
                                      {UKVM_TRAP_WRITE, PAIR_DATA + 1, 2}};
    bool done[3];

    (void)state;
    start.gpr[UKVM_RBX] = PAIR_DATA + 9;
    load(code, sizeof(code));
    assert_int_equal(ukvm_hv_native.arm(&guest.hv, traps, 3, done, &err), UKVM_OK);
    assert_false(done[1] || done[2]); /* no reads only, no unaligned ones */
    assert_int_equal(done[0], (guest.hv.caps & UKVM_CAP_WATCH) != 0);
    assert_int_equal(go(false), done[0] ? UKVM_EXIT_WATCH : UKVM_EXIT_INSN);
    if (done[0])
        assert_int_equal(guest.ex.addr, PAIR_DATA + 8);
}

/* --- views and tables ------------------------------------------------------------------------- */

static void test_read_only_view(void **state)
{
    static const uint8_t code[] = {0x89, 0x03, 0xf4}; /* mov [rbx], eax */

    (void)state;
    start.gpr[UKVM_RBX] = PAIR_DATA + 16;
    assert_int_equal(ukvm_hv_native.protect(&guest.hv, PAIR_DATA, 4096, UKVM_PROT_R, &err),
                     UKVM_OK);
    load(code, sizeof(code));
    assert_int_equal(go(false), UKVM_EXIT_PROT);
    assert_int_equal(guest.ex.pc, PAIR_CODE);
    assert_int_equal(guest.ex.addr, PAIR_DATA + 16);
    assert_int_equal(guest.ex.len, 4);
    assert_true(guest.ex.write);
    assert_int_equal(guest.hv.mem[PAIR_DATA + 16], 0);
}

static enum ukvm_exit_kind jump_to_data(bool nx)
{
    static const uint8_t code[] = {0xff, 0xe3}; /* jmp rbx */
    struct ukvm_hv_config cfg = {.mem_fd = guest.fd, .e_machine = 62, .nx = nx};

    ukvm_hv_native.destroy(&guest.hv);
    assert_int_equal(ukvm_hv_native.create(&guest.hv, &cfg, &err), UKVM_OK);
    assert_int_equal(
        ukvm_hv_native.protect(&guest.hv, PAIR_DATA, 4096, UKVM_PROT_R | UKVM_PROT_W, &err),
        UKVM_OK);
    start.gpr[UKVM_RBX] = PAIR_DATA;
    load(code, sizeof(code));
    guest.hv.mem[PAIR_DATA] = 0xf4;
    return go(false);
}

static void test_execute_rights(void **state)
{
    (void)state;
    assert_int_equal(jump_to_data(false), UKVM_EXIT_INSN);
    assert_int_equal(jump_to_data(true), UKVM_EXIT_PROT);
    assert_int_equal(guest.ex.addr, PAIR_DATA);
    assert_int_equal(guest.ex.pc, PAIR_DATA);
    assert_false(guest.ex.write);
}

static void test_other_page_tables_name_emu(void **state)
{
    static const uint8_t code[] = {0x0f, 0x22, 0xd8, 0xf4}; /* mov cr3, rax */
    struct ukvm_mem mem = {guest.hv.mem, PAIR_MEM};

    (void)state;
    start.gpr[UKVM_RAX] = PAIR_DATA;
    load(code, sizeof(code));
    memcpy(guest.hv.mem + PAIR_DATA, guest.hv.mem + 0x1000, 4096);
    assert_int_equal(go(false), UKVM_EXIT_INSN);
    assert_int_equal(uk_x86_emulate(opaque(&guest.st), mem, &guest.ex), UKVM_DONE);
    assert_int_equal(ukvm_hv_native.set(&guest.hv, UKVM_ALL, opaque(&guest.st), &err), UKVM_OK);
    assert_int_equal(go(false), UKVM_EXIT_UNKNOWN);
    assert_non_null(strstr(guest.ex.msg, "page tables of the guest's own"));
}

/* --- interrupts ----------------------------------------------------------------------- */

static void *kick(void *arg)
{
    const struct timespec some = {0, 1000000};

    nanosleep(&some, NULL);
    ukvm_hv_native.interrupt(arg);
    return NULL;
}

static void test_interrupts(void **state)
{
    int times = getenv("UKVM_SOAK") ? 5000 : 100;
    pthread_t t;

    (void)state;
    load(spin, sizeof(spin));
    ukvm_hv_native.interrupt(&guest.hv); /* before a run: sticky */
    assert_int_equal(go(false), UKVM_EXIT_INTERRUPT);
    for (int i = 0; i < times; i++) {
        assert_int_equal(pthread_create(&t, NULL, kick, &guest.hv), 0);
        assert_int_equal(go(false), UKVM_EXIT_INTERRUPT);
        assert_int_equal(guest.ex.pc, PAIR_CODE);
        pthread_join(t, NULL);
    }
    assert_int_equal(go(true), UKVM_EXIT_STEP); /* it is spent, and its signal dropped */
}

/* Signals that others send the child have no effect. */
static void test_foreign_signals(void **state)
{
    static const int signals[] = {SIGTERM, SIGSEGV, SIGTRAP, SIGSTOP, SIGUSR1, SIGFPE, SIGALRM};
    pthread_t t;

    (void)state;
    load(spin, sizeof(spin));
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        assert_int_equal(kill(guest.hv.b->pid, signals[i]), 0);
        assert_int_equal(pthread_create(&t, NULL, kick, &guest.hv), 0);
        assert_int_equal(go(false), UKVM_EXIT_INTERRUPT);
        pthread_join(t, NULL);
    }
}

/* --- the clock ------------------------------------------------------------------------ */

static uint64_t guest_reads_tsc(void)
{
    static const uint8_t code[] = {0x0f, 0x31, 0xf4};

    load(code, sizeof(code));
    assert_int_equal(go(false), UKVM_EXIT_INSN);
    assert_int_equal(guest.ex.pc, PAIR_CODE + 2);
    return (uint32_t)guest.st.gpr[UKVM_RAX] | guest.st.gpr[UKVM_RDX] << 32;
}

static void test_tsc_is_the_processors(void **state)
{
    uint64_t before = __rdtsc(), t;

    (void)state;
    t = guest_reads_tsc();
    assert_true(t > before && t < __rdtsc());
}

/* A machine that comes from elsewhere keeps its clock. */
static void test_tsc_goes_on(void **state)
{
    uint64_t first, second;

    (void)state;
    if (!uk_native_tsc_traps(&guest.hv))
        return; /* this machine's can't be made to trap: STATUS.md */
    start.tsc = 5000000;
    first = guest_reads_tsc();
    assert_true(first > start.tsc && first < start.tsc + guest.hv.b->tsc_hz);
    start.tsc = guest.st.tsc;
    second = guest_reads_tsc();
    assert_true(second > first && second < first + guest.hv.b->tsc_hz);
}

static void test_tsc_traps_if_asked(void **state)
{
    static const uint8_t code[] = {0x0f, 0x31, 0xf4};
    struct ukvm_hv_config cfg = {.mem_fd = guest.fd, .e_machine = 62, .trap_tsc = true};

    (void)state;
    ukvm_hv_native.destroy(&guest.hv);
    assert_int_equal(ukvm_hv_native.create(&guest.hv, &cfg, &err), UKVM_OK);
    if (!(guest.hv.caps & UKVM_CAP_TSC_TRAP))
        return; /* this machine's can't be made to: STATUS.md */
    load(code, sizeof(code));
    assert_int_equal(go(false), UKVM_EXIT_INSN);
    assert_int_equal(guest.ex.pc, PAIR_CODE);
}

/* Within 1 in 1000 of what a longer look says. */
static void test_tsc_frequency(void **state)
{
    const struct timespec some = {0, 200000000};
    struct timespec a, b;
    uint64_t hz = uk_tsc_hz(&err), t, ns, seen;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    t = __rdtsc();
    nanosleep(&some, NULL);
    clock_gettime(CLOCK_MONOTONIC_RAW, &b);
    t = __rdtsc() - t;
    ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
    seen = uk_tsc_scale(t, 1000000000u, ns);
    assert_true(hz > UK_TSC_MIN_HZ);
    assert_true(seen > hz - hz / 1000 && seen < hz + hz / 1000);
}

/* --- the child's end ------------------------------------------------------------------ */

static void test_killed_child(void **state)
{
    const struct ukvm_hv_run how = {0};

    (void)state;
    load(spin, sizeof(spin));
    kill(guest.hv.b->pid, SIGKILL);
    assert_int_equal(go(false), UKVM_EXIT_UNKNOWN);
    assert_non_null(strstr(guest.ex.msg, "killed from outside by signal 9"));
    assert_int_equal(guest.st.rip, PAIR_CODE); /* the last known state stays */
    assert_int_equal(ukvm_hv_native.run(&guest.hv, &how, &guest.ex, &err), UKVM_ESTATE);
}

/* The monitor dies of SIGKILL: its child does not outlive it. */
static void test_killed_monitor(void **state)
{
    int pipe_fd[2];
    pid_t monitor, child = 0;

    (void)state;
    assert_int_equal(pipe(pipe_fd), 0);
    monitor = fork();
    if (monitor == 0) {
        side_open(&guest, &ukvm_hv_native);
        load(spin, sizeof(spin));
        if (write(pipe_fd[1], &guest.hv.b->pid, sizeof(pid_t)) != sizeof(pid_t))
            _exit(1);
        go(false);
        _exit(0);
    }
    assert_int_equal(read(pipe_fd[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(kill(child, 0), 0);
    kill(monitor, SIGKILL);
    assert_int_equal(waitpid(monitor, NULL, 0), monitor);
    for (int i = 0; i < 200 && kill(child, 0) == 0; i++)
        usleep(10000);
    assert_int_equal(kill(child, 0), -1);
    assert_int_equal(errno, ESRCH);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

/* --- inside somebody's process -------------------------------------------------------- */

static void test_embedder_keeps_its_own(void **state)
{
    sigset_t before, after;
    cpu_set_t cpus_before, cpus_after;
    pid_t own = fork();
    int status = 0;

    (void)state;
    if (own == 0)
        _exit(7);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    sched_getaffinity(0, sizeof(cpus_before), &cpus_before);
    open_guest(NULL);
    assert_int_equal(ukvm_hv_native.enter(&guest.hv, &err), UKVM_OK);
    for (int i = 0; i < 1000; i++) { /* enough to be pinned */
        load((const uint8_t[]){0xf4}, 1);
        assert_int_equal(go(false), UKVM_EXIT_INSN);
    }
    ukvm_hv_native.leave(&guest.hv);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    sched_getaffinity(0, sizeof(cpus_after), &cpus_after);
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
    assert_true(CPU_EQUAL(&cpus_before, &cpus_after));
    assert_int_equal(waitpid(-1, &status, 0), own); /* nobody has waited for it */
    assert_int_equal(WEXITSTATUS(status), 7);
    close_guest(NULL);
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* ours is gone, and was nobody's */
    assert_int_equal(errno, ECHILD);
}

static void steal(int signal)
{
    int error = errno;

    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = error;
}

/* A SIGCHLD handler that waits for everybody takes stops; they are not lost. */
static void test_stolen_stops_in_a_handler(void **state)
{
    struct sigaction sa = {.sa_handler = steal}, old;

    (void)state;
    sigaction(SIGCHLD, &sa, &old);
    for (int i = 0; i < 100; i++) {
        load((const uint8_t[]){0xf4}, 1);
        assert_int_equal(go(false), UKVM_EXIT_INSN);
    }
    sigaction(SIGCHLD, &old, NULL);
}

static _Atomic int stealing;

static void *steal_always(void *arg)
{
    (void)arg;
    while (stealing)
        waitpid(-1, NULL, 0);
    return NULL;
}

static void *give_up(void *arg)
{
    const struct timespec pause = {0, 600000000};

    while (stealing) {
        nanosleep(&pause, NULL);
        ukvm_hv_native.interrupt(arg);
    }
    return NULL;
}

/* A thread's wait(-1) takes one for good: an interrupt, insisted on, says so. */
static void test_stolen_stops_in_a_thread(void **state)
{
    pthread_t thief, user;

    (void)state;
    stealing = 1;
    pthread_create(&thief, NULL, steal_always, NULL);
    pthread_create(&user, NULL, give_up, &guest.hv);
    for (int i = 0; i < 100000; i++) {
        load((const uint8_t[]){0xf4}, 1);
        if (go(false) == UKVM_EXIT_UNKNOWN)
            break;
    }
    stealing = 0;
    assert_int_equal(guest.ex.kind, UKVM_EXIT_UNKNOWN);
    assert_non_null(strstr(guest.ex.msg, "elsewhere in this program"));
    pthread_join(user, NULL);
    pthread_join(thief, NULL);
}

/* --- hosts that forbid it ------------------------------------------------------------- */

/* In a process that may not make system call (nr), with first argument (arg) if it is not 0. */
static void forbidden(int nr, uint32_t arg, const char *why)
{
    const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arg, 0, arg ? 1 : 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), (void *)(uintptr_t)filter};
    struct ukvm_report report = {0};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
            _exit(2);
        ukvm_hv_native.probe(&report);
        if (report.works || !strstr(report.why, why) || !strstr(report.why, "--hv=emu"))
            fprintf(stderr, "# got: works %d, why: %s\n", report.works, report.why);
        _exit(report.works || !strstr(report.why, why));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_ptrace_forbidden(void **state)
{
    (void)state;
    forbidden(SYS_ptrace, 0, "ptrace");
}

static void test_memfd_forbidden(void **state)
{
    (void)state;
    forbidden(SYS_memfd_create, 0, "memfd_create");
}

static void test_seccomp_forbidden(void **state)
{
    (void)state;
    forbidden(SYS_seccomp, 0, "seccomp");
}

static void test_lowest_address_forbidden(void **state)
{
    (void)state;
    forbidden(SYS_mmap, 0x10000, "0x10000");
}

static void test_probe(void **state)
{
    struct ukvm_report report = {0};

    (void)state;
    ukvm_hv_native.probe(&report);
    if (!report.works)
        fail_msg("%s", report.why);
    assert_true(report.full);
}

#define ON_GUEST(fn) cmocka_unit_test_setup_teardown(fn, open_guest, close_guest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        ON_GUEST(test_breakpoint),
        ON_GUEST(test_steps),
        ON_GUEST(test_watch),
        ON_GUEST(test_read_only_view),
        ON_GUEST(test_execute_rights),
        ON_GUEST(test_other_page_tables_name_emu),
        ON_GUEST(test_interrupts),
        ON_GUEST(test_foreign_signals),
        ON_GUEST(test_tsc_is_the_processors),
        ON_GUEST(test_tsc_goes_on),
        ON_GUEST(test_tsc_traps_if_asked),
        cmocka_unit_test(test_tsc_frequency),
        ON_GUEST(test_killed_child),
        cmocka_unit_test(test_killed_monitor),
        cmocka_unit_test(test_embedder_keeps_its_own),
        ON_GUEST(test_stolen_stops_in_a_handler),
        ON_GUEST(test_stolen_stops_in_a_thread),
        cmocka_unit_test(test_ptrace_forbidden),
        cmocka_unit_test(test_memfd_forbidden),
        cmocka_unit_test(test_seccomp_forbidden),
        cmocka_unit_test(test_lowest_address_forbidden),
    };

    return cmocka_run_group_tests_name("native runs", tests, NULL, NULL);
}
