/* SPDX-License-Identifier: ISC */
/*
 * inject.c: the child's stops and registers, and system calls that it makes for us.
 * It is let go by ptrace and waited for by its own id only: an embedding program's
 * children are none of our business.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

const uint8_t uk_native_code[3] = {0x0f, 0x05, 0xcc}; /* syscall; int3 */

#define EVENT(status) ((status) >> 8)

/* --- stops ------------------------------------------------------------------------- */

/* Note how the child ended; what was known of its registers stays. */
static void bury(struct ukvm_hvb *b, int status)
{
    b->dead = true;
    if (atomic_load(&b->given_up))
        snprintf(b->died, sizeof(b->died), "a wait() elsewhere in this program took its stop");
    else if (WIFSIGNALED(status))
        snprintf(b->died, sizeof(b->died), "killed from outside by signal %d", WTERMSIG(status));
    else
        snprintf(b->died, sizeof(b->died), "it ended with status %d", WEXITSTATUS(status));
}

/*
 * A handler of another signal may have waited for all children, ours too, and so taken
 * its stop. It is stopped all the same, and tells why.
 */
static bool stolen(struct ukvm_hvb *b, int *status)
{
    siginfo_t si;

    if (ptrace(PTRACE_GETSIGINFO, b->pid, NULL, &si))
        return false;
    *status = (si.si_signo == SIGTRAP && si.si_code > 0xff ? si.si_code : si.si_signo) << 8 | 0x7f;
    return true;
}

static int wait_for(struct ukvm_hvb *b, int *status, struct ukvm_error *err)
{
    for (int flags = __WALL;;) {
        pid_t got = wait4(b->pid, status, flags, NULL);

        if (got == b->pid)
            break;
        if (got < 0 && errno == ECHILD) {
            b->dead = true;
            snprintf(b->died, sizeof(b->died), "a wait() elsewhere in this program took its end");
            return UKVM_OK;
        }
        if (got < 0 && errno != EINTR)
            return uk_error_sys(err, NULL, "native: waiting for the guest's process");
        if (got == 0 && stolen(b, status))
            break;
        flags = got < 0 ? __WALL | WNOHANG : __WALL;
    }
    if (!WIFSTOPPED(*status))
        bury(b, *status);
    return UKVM_OK;
}

static int let_go(struct ukvm_hvb *b, int how, int *status, struct ukvm_error *err)
{
    int rc;

    *status = 0;
    if (ptrace((enum __ptrace_request)how, b->pid, NULL, NULL) && errno != ESRCH)
        return uk_error_sys(err, NULL, "native: letting the guest's process go");
    atomic_store(&b->waiting, true);
    rc = wait_for(b, status, err);
    atomic_store(&b->waiting, false);
    return rc;
}

bool uk_native_handled(void)
{
    struct sigaction sa;

    return sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL &&
           sa.sa_handler != SIG_IGN;
}

/*
 * A handler for SIGCHLD, which the child's stops cause too, may wait for everybody: in
 * this thread it comes after us. It costs two system calls, so only if there is one.
 */
int uk_native_go(struct ukvm_hvb *b, int how, int *status, struct ukvm_error *err)
{
    sigset_t chld, old;
    int rc;

    if (!(b->entered ? b->handled : uk_native_handled()))
        return let_go(b, how, status, err);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &chld, &old);
    rc = let_go(b, how, status, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* --- registers ------------------------------------------------------------------------ */

int uk_native_get_regs(struct ukvm_hvb *b, struct ukvm_error *err)
{
    if (ptrace(PTRACE_GETREGS, b->pid, NULL, &b->regs) && errno != ESRCH) /* then it is gone */
        return uk_error_sys(err, NULL, "native: reading registers");
    b->regs_dirty = false;
    return UKVM_OK;
}

int uk_native_set_regs(struct ukvm_hvb *b, struct ukvm_error *err)
{
    b->regs.orig_rax = ~0ull; /* no system call is to be done over */
    b->regs.cs = b->cs;       /* the guest may have loaded others that Linux has: no matter */
    b->regs.ss = b->ss;
    b->regs.ds = b->regs.es = b->regs.fs = b->regs.gs = 0;
    if (ptrace(PTRACE_SETREGS, b->pid, NULL, &b->regs) && errno != ESRCH)
        return uk_error_sys(err, NULL, "native: writing registers");
    b->regs_dirty = false;
    return UKVM_OK;
}

/* --- system calls ----------------------------------------------------------------------- */

/* Until the int3 behind the call; signals that come meanwhile are dropped: see run.c. */
static int finish_call(struct ukvm_hvb *b, uint64_t site, struct ukvm_error *err)
{
    for (;;) {
        int status, rc = uk_native_go(b, PTRACE_CONT, &status, err);

        if (rc == UKVM_OK && b->dead)
            rc = uk_error(err, UKVM_ENOTSUP, "native: the guest's process is gone: %s", b->died);
        if (rc != UKVM_OK)
            return rc;
        if (EVENT(status) != SIGTRAP)
            continue;
        rc = uk_native_get_regs(b, err);
        if (rc != UKVM_OK || b->regs.rip == site + sizeof(uk_native_code))
            return rc;
    }
}

int uk_native_inject(struct ukvm_hvb *b, uint64_t site, long nr, const uint64_t args[6], long *ret,
                     struct ukvm_error *err)
{
    struct user_regs_struct keep = b->regs;
    int rc;

    b->regs.rip = site;
    b->regs.rax = (unsigned long long)nr;
    b->regs.rdi = args[0];
    b->regs.rsi = args[1];
    b->regs.rdx = args[2];
    b->regs.r10 = args[3];
    b->regs.r8 = args[4];
    b->regs.r9 = args[5];
    b->regs.eflags &= ~(unsigned long long)UKVM_RFLAGS_TF;
    rc = uk_native_set_regs(b, err);
    if (rc == UKVM_OK)
        rc = finish_call(b, site, err);
    *ret = (long)b->regs.rax;
    b->regs = keep;
    b->regs_dirty = true;
    return rc;
}

int uk_native_call(struct ukvm_hv *hv, long nr, const uint64_t args[6], long *ret,
                   struct ukvm_error *err)
{
    ukvm_gpa_t site = uk_native_executable(hv);
    uint8_t keep[sizeof(uk_native_code)];
    int rc;

    if (!site)
        return uk_error(err, UKVM_ENOTSUP, "native: no page of the guest is executable; --hv=emu");
    memcpy(keep, hv->mem + site, sizeof(keep));
    memcpy(hv->mem + site, uk_native_code, sizeof(uk_native_code));
    rc = uk_native_inject(hv->b, site, nr, args, ret, err);
    memcpy(hv->mem + site, keep, sizeof(keep));
    return rc;
}

int uk_native_try(struct ukvm_hv *hv, const uint8_t *code, size_t len, uint64_t *rip)
{
    struct ukvm_hvb *b = hv->b;
    struct user_regs_struct keep = b->regs;
    ukvm_gpa_t site = uk_native_executable(hv);
    uint8_t was[16];
    int status, rc = UKVM_ENOTSUP;

    if (!site || len > sizeof(was))
        return rc;
    memcpy(was, hv->mem + site, len);
    memcpy(hv->mem + site, code, len);
    b->regs.rip = site;
    b->regs.eflags &= ~(unsigned long long)UKVM_RFLAGS_TF;
    rc = uk_native_set_regs(b, NULL);
    if (rc == UKVM_OK)
        rc = uk_native_go(b, PTRACE_CONT, &status, NULL);
    if (rc == UKVM_OK && !b->dead)
        rc = uk_native_get_regs(b, NULL);
    *rip = b->regs.rip - site;
    memcpy(hv->mem + site, was, len);
    b->regs = keep;
    b->regs_dirty = true;
    return rc;
}
