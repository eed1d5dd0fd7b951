/* SPDX-License-Identifier: ISC */
/*
 * kick.c: ending KVM_RUN from another thread or a signal handler, without a race and
 * without a handler of our own. One signal is blocked in the running thread, but not
 * inside KVM_RUN (KVM_SET_SIGNAL_MASK): sent at any time, it ends this KVM_RUN or the next.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_SIGSET 8 /* bytes of the kernel's sigset_t (asm-generic/signal.h) */

static void set_immediate_exit(struct ukvm_hvb *b, uint8_t on)
{
    __atomic_store_n(&b->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

static void eat_signal(struct ukvm_hvb *b)
{
    const struct timespec now = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, b->signal);
    while (sigtimedwait(&set, NULL, &now) > 0 || errno == EINTR)
        ;
}

/* KVM_RUN's mask is the thread's own, our signal open. */
static int set_run_mask(struct ukvm_hvb *b, struct ukvm_error *err)
{
    union {
        struct kvm_signal_mask head;
        uint8_t space[sizeof(struct kvm_signal_mask) + KERNEL_SIGSET];
    } mask = {.head.len = KERNEL_SIGSET};
    sigset_t open = b->old_mask;

    sigdelset(&open, b->signal);
    memcpy(mask.head.sigset, &open, KERNEL_SIGSET);
    if (ioctl(b->cpu, KVM_SET_SIGNAL_MASK, &mask))
        return uk_error_sys(err, NULL, "KVM_SET_SIGNAL_MASK");
    return UKVM_OK;
}

int uk_kvm_enter(struct ukvm_hv *hv, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    sigset_t set;
    int rc;

    sigemptyset(&set);
    sigaddset(&set, b->signal);
    rc = pthread_sigmask(SIG_BLOCK, &set, &b->old_mask);
    if (rc) {
        errno = rc;
        return uk_error_sys(err, NULL, "pthread_sigmask");
    }
    rc = set_run_mask(b, err);
    if (rc != UKVM_OK) {
        pthread_sigmask(SIG_SETMASK, &b->old_mask, NULL);
        return rc;
    }
    b->entered = true;
    atomic_store(&b->tid, (pid_t)syscall(SYS_gettid));
    return UKVM_OK;
}

/* Nobody may signal the thread once the signal is open again: it could be a deadly one. */
void uk_kvm_leave(struct ukvm_hv *hv)
{
    struct ukvm_hvb *b = hv->b;

    if (!b->entered)
        return;
    atomic_store(&b->tid, 0);
    while (atomic_load(&b->kickers) > 0)
        sched_yield();
    if (!sigismember(&b->old_mask, b->signal))
        eat_signal(b);
    pthread_sigmask(SIG_SETMASK, &b->old_mask, NULL);
    b->entered = false;
}

void uk_kvm_interrupt(struct ukvm_hv *hv)
{
    struct ukvm_hvb *b = hv->b;
    pid_t tid;

    atomic_fetch_add(&b->kickers, 1);
    atomic_store(&b->interrupt, 1);
    set_immediate_exit(b, 1);
    tid = atomic_load(&b->tid);
    if (tid)
        syscall(SYS_tgkill, getpid(), tid, b->signal);
    atomic_fetch_sub(&b->kickers, 1);
}

/*
 * The caller looks at (interrupt) afterwards, and an interrupter sets that first: so
 * what is cleared here belongs to one who is seen then, or comes again.
 */
void uk_kvm_unkick(struct ukvm_hvb *b)
{
    set_immediate_exit(b, 0);
    eat_signal(b);
}
