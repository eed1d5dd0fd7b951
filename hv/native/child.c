/* SPDX-License-Identifier: ISC */
/*
 * child.c: the process that holds the guest: forked without a signal to the parent at
 * its end, in a session of its own, emptied of everything, given guest memory at the
 * guest's addresses, and closed to system calls. It ends when the monitor does.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

/* A build with this set to 0 shows what the sandbox holds back: tests/ has one. */
#ifndef UK_NATIVE_SANDBOX
#define UK_NATIVE_SANDBOX 1
#endif

#define STUB        UINT64_C(0x600000000000) /* where the code is that empties the child */
#define USER_END    UINT64_C(0x7ffffffff000) /* TASK_SIZE of four-level tables (Linux) */
#define KERNEL_MASK 8                        /* bytes of the kernel's sigset_t */
#define XSTATE_MAX  16384

/* --- the child's own part: system calls only --------------------------------------------- */

/* The steps, by the exit status that tells of a failure. */
enum { FAILED_PARENT = 1, FAILED_SESSION, FAILED_PRIVS, FAILED_CLOSE };

extern const uint8_t uk_native_first_site[];
__asm__(".pushsection .text\n"
        ".globl uk_native_first_site\n"
        ".hidden uk_native_first_site\n"
        "uk_native_first_site: syscall\n"
        "int3\n"
        ".popsection\n");

/* The C library's per-thread area that the kernel writes to: it is about to go. */
static void forget_rseq(void)
{
#ifdef RSEQ_SIG
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    const unsigned sizes[] = {32, __rseq_size, (__rseq_size + 31) & ~31u};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (syscall(SYS_rseq, area, sizes[i], 1, RSEQ_SIG) == 0)
            return;
#endif
}

static bool close_all_but(int fd)
{
    return (fd == 0 || syscall(SYS_close_range, 0u, (unsigned)fd - 1, 0) == 0) &&
           syscall(SYS_close_range, (unsigned)fd + 1, ~0u, 0) == 0;
}

static _Noreturn void child(pid_t parent, int go, int mem_fd)
{
    const struct rlimit none = {0};
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || read(go, &byte, 1) != 1)
        _exit(FAILED_PARENT);
    if (setsid() < 0)
        _exit(FAILED_SESSION);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_NAME, "ukvm-guest");
    if (UK_NATIVE_SANDBOX && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _exit(FAILED_PRIVS);
    if (UK_NATIVE_SANDBOX && !close_all_but(mem_fd))
        _exit(FAILED_CLOSE);
    forget_rseq();
    for (;;)
        __asm__ volatile("int3");
}

/* --- making it ------------------------------------------------------------------------------ */

static int refuse_ptrace(struct ukvm_error *err)
{
    char yama = '0';
    int error = errno, fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, &yama, 1) != 1)
        yama = '0';
    if (fd >= 0)
        close(fd);
    errno = error;
    if (yama >= '2')
        return uk_error_sys(err, "sysctl kernel.yama.ptrace_scope=1, or use --hv=emu",
                            "native: ptrace (kernel.yama.ptrace_scope=%c)", yama);
    return uk_error_sys(err, "allow ptrace in this container, or use --hv=emu", "native: ptrace");
}

/* Its signals are blocked until it is traced: no handler of the parent's runs in it. */
static int fork_child(struct ukvm_hvb *b, int go, struct ukvm_error *err)
{
    pid_t parent = getpid();
    sigset_t all, old;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    b->pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD, NULL, &b->pidfd, NULL, NULL);
    error = errno;
    if (b->pid == 0)
        child(parent, go, b->mem_fd);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    if (b->pid < 0)
        return uk_error_sys(err, "use --hv=emu", "native: a process for the guest");
    return UKVM_OK;
}

static int seize(struct ukvm_hvb *b, int go, struct ukvm_error *err)
{
    static const char *const steps[] = {[FAILED_PARENT] = "its start",
                                        [FAILED_SESSION] = "setsid",
                                        [FAILED_PRIVS] = "no_new_privs",
                                        [FAILED_CLOSE] = "close_range (it needs Linux 5.9)"};
    unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP;
    const uint64_t open = 0;
    int status = 0;

    if (ptrace(PTRACE_SEIZE, b->pid, NULL, (void *)options))
        return refuse_ptrace(err);
    if (write(go, "", 1) != 1)
        return uk_error_sys(err, NULL, "native: starting the guest's process");
    do {
        if (wait4(b->pid, &status, __WALL, NULL) < 0 && errno != EINTR)
            return uk_error_sys(err, NULL, "native: waiting for the guest's process");
    } while (status == 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) < 5)
        return uk_error(err, UKVM_ENOTSUP, "native: %s: not allowed here; use --hv=emu",
                        steps[WEXITSTATUS(status) ? WEXITSTATUS(status) : 1]);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        return uk_error(err, UKVM_ENOTSUP, "native: the guest's process: status 0x%x; --hv=emu",
                        (unsigned)status);
    if (ptrace(PTRACE_SETSIGMASK, b->pid, (void *)KERNEL_MASK, &open))
        return uk_error_sys(err, "use --hv=emu", "native: ptrace: signal mask");
    if (uk_native_get_regs(b, err) != UKVM_OK)
        return UKVM_ESYS;
    b->cs = b->regs.cs;
    b->ss = b->regs.ss;
    return UKVM_OK;
}

/* --- emptying it ------------------------------------------------------------------------------ */

/* A call that must succeed, from the code at (site). */
static int must(struct ukvm_hvb *b, uint64_t site, const char *what, long nr,
                const uint64_t args[6], struct ukvm_error *err)
{
    long ret;
    int rc = uk_native_inject(b, site, nr, args, &ret, err);

    if (rc != UKVM_OK || ret >= 0 || ret < -4095)
        return rc;
    errno = (int)-ret;
    return uk_error_sys(err, "use --hv=emu", "native: %s", what);
}

#define CALL(site, what, nr, ...) must(b, site, what, nr, (const uint64_t[6]){__VA_ARGS__}, err)

/* A kernel that seals its own mappings (vdso) refuses the whole: then one by one. */
static int unmap_each(struct ukvm_hvb *b, struct ukvm_error *err)
{
    char path[40], line[512];
    int rc = UKVM_OK;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)b->pid);
    f = fopen(path, "re");
    if (!f)
        return uk_error_sys(err, "use --hv=emu", "native: %s", path);
    while (rc == UKVM_OK && fgets(line, sizeof(line), f)) {
        unsigned long long from, to;
        long ret;

        if (sscanf(line, "%llx-%llx", &from, &to) != 2 || from == STUB || to > USER_END)
            continue;
        rc = uk_native_inject(b, STUB, SYS_munmap, (const uint64_t[6]){from, to - from}, &ret, err);
        if (rc == UKVM_OK && ret < 0 && !strstr(line, "[v"))
            rc = uk_error(err, UKVM_ENOTSUP, "native: %.60s: stays mapped; use --hv=emu", line);
    }
    fclose(f);
    return rc;
}

static int unmap_all(struct ukvm_hvb *b, struct ukvm_error *err)
{
    const uint64_t low[6] = {0, STUB};
    const uint64_t high[6] = {STUB + UK_NATIVE_PAGE, USER_END - STUB - UK_NATIVE_PAGE};
    long ret_low, ret_high;
    int rc = uk_native_inject(b, STUB, SYS_munmap, low, &ret_low, err);

    if (rc == UKVM_OK)
        rc = uk_native_inject(b, STUB, SYS_munmap, high, &ret_high, err);
    if (rc == UKVM_OK && (ret_low || ret_high))
        rc = unmap_each(b, err);
    return rc;
}

/* All system calls come to the monitor, which performs none: run.c. */
struct filter {
    uint8_t code[16];
    struct sock_fprog prog;
    struct sock_filter insn;
};

static int lock(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uint64_t prog = UK_NATIVE_FIRST + offsetof(struct filter, prog);
    int rc = CALL(UK_NATIVE_FIRST, "munmap", SYS_munmap, STUB, UK_NATIVE_PAGE);

    if (rc == UKVM_OK && UK_NATIVE_SANDBOX)
        rc = CALL(UK_NATIVE_FIRST, "close", SYS_close, (uint64_t)b->mem_fd);
    if (rc == UKVM_OK && UK_NATIVE_SANDBOX)
        rc = CALL(UK_NATIVE_FIRST, "seccomp", SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog);
    return rc;
}

static int furnish(struct ukvm_hv *hv, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t fd = (uint64_t)b->mem_fd;
    int rc =
        CALL((uintptr_t)uk_native_first_site, "mapping guest memory for execution", SYS_mmap, STUB,
             UK_NATIVE_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, UK_NATIVE_FIRST);

    if (rc == UKVM_OK && UK_NATIVE_SANDBOX)
        rc = unmap_all(b, err);
    if (rc == UKVM_OK)
        rc = CALL(STUB, "mapping guest memory at 0x10000 (sysctl vm.mmap_min_addr)", SYS_mmap,
                  UK_NATIVE_FIRST, hv->mem_size - UK_NATIVE_FIRST,
                  PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, UK_NATIVE_FIRST);
    return rc == UKVM_OK ? lock(b, err) : rc;
}

/* Nothing of the monitor's stays in vector registers. */
static int clear_registers(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uint8_t area[XSTATE_MAX] = {0};
    struct iovec io = {area, sizeof(area)};
    const uint32_t mxcsr = 0x1f80;
    uint64_t none = 0;

    if (ptrace(PTRACE_GETREGSET, b->pid, (void *)NT_X86_XSTATE, &io) == 0) {
        memset(area, 0, 464); /* what follows is the kernel's (Linux, asm/sigcontext.h) */
        memcpy(area + 24, &mxcsr, sizeof(mxcsr));
        memcpy(area + 512, &none, sizeof(none)); /* XSTATE_BV: all as after a reset */
        if (ptrace(PTRACE_SETREGSET, b->pid, (void *)NT_X86_XSTATE, &io))
            return uk_error_sys(err, "use --hv=emu", "native: ptrace: vector registers");
    }
    memset(&b->regs, 0, sizeof(b->regs));
    b->regs.eflags = UKVM_RFLAGS_FIXED | UKVM_RFLAGS_IF;
    return uk_native_set_regs(b, err);
}

static int build(struct ukvm_hv *hv, const int go[2], struct ukvm_error *err)
{
    const struct filter code = {
        .code = {uk_native_code[0], uk_native_code[1], uk_native_code[2]},
        .prog = {1, (void *)(UK_NATIVE_FIRST + offsetof(struct filter, insn))},
        .insn = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
    };
    uint8_t keep[sizeof(code)];
    int rc = fork_child(hv->b, go[0], err);

    if (rc == UKVM_OK)
        rc = seize(hv->b, go[1], err);
    if (rc != UKVM_OK)
        return rc;
    memcpy(keep, hv->mem + UK_NATIVE_FIRST, sizeof(keep));
    memcpy(hv->mem + UK_NATIVE_FIRST, &code, sizeof(code));
    rc = furnish(hv, err);
    memcpy(hv->mem + UK_NATIVE_FIRST, keep, sizeof(keep));
    return rc == UKVM_OK ? clear_registers(hv->b, err) : rc;
}

int uk_native_spawn(struct ukvm_hv *hv, struct ukvm_error *err)
{
    int go[2], rc;

    if (pipe2(go, O_CLOEXEC))
        return uk_error_sys(err, NULL, "native: pipe");
    rc = build(hv, go, err);
    close(go[0]);
    close(go[1]);
    return rc;
}

void uk_native_kill(struct ukvm_hvb *b)
{
    int status = 0;

    if (b->pid > 0 && !b->dead) {
        syscall(SYS_pidfd_send_signal, b->pidfd, SIGKILL, NULL, 0);
        while (wait4(b->pid, &status, __WALL, NULL) < 0 ? errno == EINTR : WIFSTOPPED(status))
            ;
    }
    if (b->pidfd >= 0)
        close(b->pidfd);
    b->pid = b->pidfd = -1;
}
