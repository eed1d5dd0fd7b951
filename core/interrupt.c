/* SPDX-License-Identifier: ISC */
/*
 * interrupt.c: ending a run from elsewhere, without a race: a flag that is tested
 * before each entry, a pipe that is part of each wait, and the backend's own kick.
 */
#include "core/machine.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int uk_interrupt_open(struct ukvm *vm, struct ukvm_error *err)
{
    if (pipe2(vm->wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return uk_error_sys(err, NULL, "pipe");
    return UKVM_OK;
}

void uk_interrupt_close(struct ukvm *vm)
{
    for (int i = 0; i < 2; i++)
        if (vm->wake[i] >= 0)
            close(vm->wake[i]);
}

/* Async-signal-safe: atomics, write(), and the backend's kick, which is so too. */
void ukvm_interrupt(struct ukvm *vm)
{
    int saved = errno;
    struct ukvm_hv *hv;
    ssize_t n;

    atomic_store(&vm->interrupted, 1);
    n = write(vm->wake[1], "", 1); /* full: a wait ends by what is in it already */
    (void)n;
    atomic_fetch_add(&vm->kicking, 1);
    hv = atomic_load(&vm->kick);
    if (hv)
        hv->ops->interrupt(hv);
    atomic_fetch_sub(&vm->kicking, 1);
    errno = saved;
}

bool uk_interrupt_pending(const struct ukvm *vm)
{
    return atomic_load(&vm->interrupted) != 0;
}

static void drain(struct ukvm *vm)
{
    char buf[64];

    while (read(vm->wake[0], buf, sizeof(buf)) > 0)
        ;
}

bool uk_interrupt_take(struct ukvm *vm)
{
    if (!atomic_load_explicit(&vm->interrupted, memory_order_relaxed) ||
        !atomic_exchange(&vm->interrupted, 0))
        return false;
    drain(vm);
    return true;
}

void uk_interrupt_target(struct ukvm *vm, struct ukvm_hv *hv)
{
    atomic_store(&vm->kick, hv);
    if (hv)
        return;
    while (atomic_load(&vm->kicking) > 0)
        sched_yield();
}

int ukvm_wait(struct ukvm *vm, struct pollfd *fds, size_t n, int64_t timeout_ns,
              struct ukvm_error *err)
{
    struct pollfd all[UKVM_WAIT_MAX + 1];
    struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int rc;

    if (n > UKVM_WAIT_MAX)
        return uk_error(err, UKVM_ELIMIT, "wait: %zu descriptors: at most %d", n, UKVM_WAIT_MAX);
    if (uk_interrupt_pending(vm))
        return UKVM_WAIT_INTERRUPTED;
    if (n > 0)
        memcpy(all, fds, n * sizeof(*fds));
    all[n] = (struct pollfd){.fd = vm->wake[0], .events = POLLIN};
    rc = ppoll(all, n + 1, timeout_ns < 0 ? NULL : &ts, NULL);
    if (rc < 0 && errno != EINTR)
        return uk_error_sys(err, NULL, "ppoll");
    if (uk_interrupt_pending(vm))
        return UKVM_WAIT_INTERRUPTED;
    if (rc > 0 && all[n].revents)
        drain(vm); /* what an interrupt that is already spent left behind */
    for (size_t i = 0; i < n; i++)
        fds[i].revents = rc > 0 ? all[i].revents : 0;
    return rc < 0 ? 0 : rc - (all[n].revents != 0);
}
