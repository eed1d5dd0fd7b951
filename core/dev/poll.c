/* SPDX-License-Identifier: ISC */
/*
 * poll.c: POLL, the wait for the machine's sources, and sources that are just a
 * descriptor. Depends on the public headers and the machine's list of sources.
 */
#include "core/dev/dev.h"
#include "core/machine.h"
#include "guest/ukvm_guest.h"

#include <poll.h>
#include <string.h>

/* One turn: what every source asks for, and where its descriptors lie. What finds no
 * place waits for a later turn. */
struct turn {
    const struct uk_poll_source *src;
    size_t nsrc, nfds;
    size_t first[UKVM_MAX_POLLS + 1];
    struct pollfd fds[UKVM_WAIT_MAX];
};

static void prepare(struct turn *t, int64_t *timeout_ns)
{
    t->nfds = 0;
    for (size_t i = 0; i < t->nsrc; i++) {
        const struct uk_poll_source *s = &t->src[i];

        t->first[i] = t->nfds;
        t->nfds += s->ops->prepare(s->self, t->fds + t->nfds, UKVM_WAIT_MAX - t->nfds, timeout_ns);
    }
    t->first[t->nsrc] = t->nfds;
}

/* Hands the results out; returns how many sources are readable. */
static int dispatch(const struct turn *t)
{
    int readable = 0;

    for (size_t i = 0; i < t->nsrc; i++) {
        const struct uk_poll_source *s = &t->src[i];

        s->ops->dispatch(s->self, t->fds + t->first[i], t->first[i + 1] - t->first[i]);
        readable += s->ops->readable(s->self);
    }
    return readable;
}

/* When a wait of (timeout) from now ends; the far future if that is past counting. */
static uint64_t deadline_of(uint64_t timeout)
{
    uint64_t at;

    if (__builtin_add_overflow(uk_now_ns(), timeout, &at) || at > INT64_MAX)
        return INT64_MAX;
    return at;
}

/*
 * call->keep[0] is the deadline (CLOCK_MONOTONIC, never 0), so that a wait which an
 * interrupt ended goes on for its rest only.
 */
static int poll_sources(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    struct ukvm_poll arg;
    struct turn t;

    (void)self;
    memcpy(&arg, call->in, sizeof(arg));
    if (call->keep[0] == 0)
        call->keep[0] = deadline_of(arg.timeout_nsecs);
    t.nsrc = uk_machine_polls(call->vm, &t.src);
    for (;;) {
        uint64_t now = uk_now_ns();
        bool last = now >= call->keep[0];
        int64_t timeout = last ? 0 : (int64_t)(call->keep[0] - now);
        int rc;

        prepare(&t, &timeout);
        rc = ukvm_wait(call->vm, t.fds, t.nfds, timeout, err);
        if (rc == UKVM_WAIT_INTERRUPTED)
            return UKVM_AGAIN;
        if (rc < 0)
            return rc;
        arg.ret = dispatch(&t);
        if (arg.ret > 0 || last)
            break;
    }
    memcpy(call->arg, &arg, sizeof(arg));
    return UKVM_OK;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    (void)self, (void)arg;
    return uk_dev_register(vm, "poll", poll_sources, NULL, err);
}

const struct ukvm_module uk_dev_poll = {"poll", NULL, setup, NULL};

/* --- a source that is a descriptor: readable when it can be read, or has failed ------ */

static size_t fd_prepare(void *self, struct pollfd *fds, size_t max, int64_t *timeout_ns)
{
    const struct uk_poll_source *s = self;

    (void)timeout_ns;
    if (max == 0)
        return 0;
    fds[0] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    return 1;
}

static void fd_dispatch(void *self, const struct pollfd *fds, size_t n)
{
    struct uk_poll_source *s = self;

    s->ready = n > 0 && fds[0].revents != 0;
}

static bool fd_readable(void *self)
{
    const struct uk_poll_source *s = self;

    return s->ready;
}

const struct ukvm_poll_ops uk_poll_fd = {fd_prepare, fd_dispatch, fd_readable};
