/* SPDX-License-Identifier: ISC */
/*
 * pace.c: which processors, and interruptions. A stop is cheapest if monitor and child
 * share one processor; a guest that computes is better left alone. So both are put on
 * one while exits are frequent, and the thread's own affinity is put back after.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FREQUENT_NS UINT64_C(100000)     /* a pause between exits below which they are */
#define RARE_NS     UINT64_C(1000000)    /* above which they are not */
#define PATIENCE_NS UINT64_C(1000000000) /* an interrupt must have had its effect by then */

uint64_t uk_native_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- processors ---------------------------------------------------------------------- */

static void pin(struct ukvm_hvb *b)
{
    cpu_set_t one;
    int cpu = sched_getcpu();

    if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, &b->affinity))
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    b->pinned = sched_setaffinity(0, sizeof(one), &one) == 0 &&
                sched_setaffinity(b->pid, sizeof(one), &one) == 0;
}

static void unpin(struct ukvm_hvb *b)
{
    sched_setaffinity(0, sizeof(b->affinity), &b->affinity);
    if (!b->dead)
        sched_setaffinity(b->pid, sizeof(b->affinity), &b->affinity);
    b->pinned = false;
}

/* Before each run: the time since some exits ago says how frequent they are. */
void uk_native_pace(struct ukvm_hvb *b)
{
    uint64_t now, each;

    if (!b->entered || ++b->exits < (b->pinned ? 1 : UK_NATIVE_FRESH))
        return;
    now = uk_native_now_ns();
    each = (now - b->exits_from) / b->exits;
    b->exits = 0;
    b->exits_from = now;
    if (!b->pinned && each < FREQUENT_NS)
        pin(b);
    else if (b->pinned && each > RARE_NS)
        unpin(b);
}

int uk_native_enter(struct ukvm_hv *hv, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;

    if (sched_getaffinity(0, sizeof(b->affinity), &b->affinity))
        return uk_error_sys(err, NULL, "native: processor affinity");
    b->entered = true;
    b->handled = uk_native_handled();
    b->exits = 0;
    b->exits_from = uk_native_now_ns();
    return UKVM_OK;
}

void uk_native_leave(struct ukvm_hv *hv)
{
    if (hv->b->pinned)
        unpin(hv->b);
    hv->b->entered = false;
}

/* --- interruptions ---------------------------------------------------------------------- */

/*
 * The signal stays pending while the child is stopped, so it ends this run or is dropped
 * in a later one. If an earlier interrupt had no effect, the monitor waits for a stop
 * that somebody else's wait() took: nothing but the child's end can wake it.
 */
void uk_native_interrupt(struct ukvm_hv *hv)
{
    struct ukvm_hvb *b = hv->b;
    int signal = b->signal, error = errno;
    uint64_t now = uk_native_now_ns();

    if (!atomic_exchange(&b->interrupt, 1)) {
        atomic_store(&b->asked_ns, now);
    } else if (now - atomic_load(&b->asked_ns) > PATIENCE_NS && atomic_load(&b->waiting)) {
        atomic_store(&b->given_up, true);
        signal = SIGKILL;
    }
    syscall(SYS_pidfd_send_signal, b->pidfd, signal, NULL, 0);
    errno = error;
}
