/* SPDX-License-Identifier: ISC */
/*
 * slirp.c: a network without privileges: libslirp plays the gateway 10.0.2.2 and the
 * name server 10.0.2.3 of 10.0.2.0/24, the guest is 10.0.2.15. A plugin: it depends on
 * libslirp and core/error.c, and finds ukvm_* in the program.
 *
 * It is driven inside the guest's own POLL, NETREAD and NETWRITE only: while the guest
 * computes or is stopped, its network stands still. libslirp writes to sockets without
 * MSG_NOSIGNAL: whoever uses this ignores SIGPIPE.
 */
#include "core/dev/net.h"
#include "core/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <slirp/libslirp.h>

#define FRAME_MAX 65535
/*
 * Frames for the guest that it has not read. libslirp is not driven while there are
 * any, so that the guest's pace is the network's: one turn's frames are all.
 */
#define QUEUE_MAX 4096

struct frame {
    struct frame *next;
    size_t len;
    uint8_t data[];
};

struct timer {
    struct timer *next;
    SlirpTimerCb cb;
    void *opaque;
    int64_t at_ms; /* -1: not armed */
};

struct user {
    Slirp *slirp;
    struct frame *head, **tail;
    size_t queued;
    struct timer *timers;
    struct pollfd *fds; /* of the turn at hand */
    size_t nfds, max;
    bool filled; /* libslirp was asked for its descriptors and waits for the answer */
};

static int64_t now_ns(void *opaque)
{
    struct timespec ts;

    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* --- what libslirp asks of us ----------------------------------------------------------- */

/* A frame too many is lost, as on a wire: TCP sends it again. */
static ssize_t on_frame(const void *buf, size_t len, void *opaque)
{
    struct user *u = opaque;
    struct frame *f;

    if (u->queued == QUEUE_MAX)
        return (ssize_t)len;
    f = malloc(sizeof(*f) + len);
    if (!f)
        return (ssize_t)len;
    f->next = NULL;
    f->len = len;
    memcpy(f->data, buf, len);
    *u->tail = f;
    u->tail = &f->next;
    u->queued++;
    return (ssize_t)len;
}

/* A malformed packet of the guest's is dropped, as by a router. */
static void on_guest_error(const char *msg, void *opaque)
{
    (void)msg, (void)opaque;
}

static void *new_timer(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct user *u = opaque;
    struct timer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct timer){u->timers, cb, cb_opaque, -1};
    u->timers = t;
    return t;
}

static void free_timer(void *timer, void *opaque)
{
    struct user *u = opaque;
    struct timer **at = &u->timers;

    while (*at && *at != timer)
        at = &(*at)->next;
    if (*at)
        *at = (*at)->next;
    free(timer);
}

static void set_timer(void *timer, int64_t at_ms, void *opaque)
{
    struct timer *t = timer;

    (void)opaque;
    if (t)
        t->at_ms = at_ms;
}

/* We ask for all descriptors in each turn, and nobody waits meanwhile. */
static void on_fd(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

static void on_notify(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = on_frame,
    .guest_error = on_guest_error,
    .clock_get_ns = now_ns,
    .timer_new = new_timer,
    .timer_free = free_timer,
    .timer_mod = set_timer,
    .register_poll_fd = on_fd,
    .unregister_poll_fd = on_fd,
    .notify = on_notify,
};

/* --- one turn ------------------------------------------------------------------------------ */

static const struct {
    int slirp;
    short host;
} events[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};
#define NEVENTS (sizeof(events) / sizeof(events[0]))

/* libslirp leaves a descriptor out of its turn if there is no place for it. */
static int add_fd(int fd, int wanted, void *opaque)
{
    struct user *u = opaque;
    struct pollfd p = {.fd = fd};

    if (u->nfds == u->max)
        return -1;
    for (size_t i = 0; i < NEVENTS; i++)
        if (wanted & events[i].slirp)
            p.events |= events[i].host;
    u->fds[u->nfds] = p;
    return (int)u->nfds++;
}

static int get_revents(int index, void *opaque)
{
    const struct user *u = opaque;
    int got = 0;

    if (index < 0 || (size_t)index >= u->nfds)
        return 0;
    for (size_t i = 0; i < NEVENTS; i++)
        if (u->fds[index].revents & events[i].host)
            got |= events[i].slirp;
    return got;
}

/* The wait ends when libslirp, or the first of its timers, wants it to. */
static void lower(const struct user *u, uint32_t slirp_ms, int64_t *timeout_ns)
{
    int64_t now_ms = now_ns(NULL) / 1000000, ms = slirp_ms;

    for (const struct timer *t = u->timers; t; t = t->next)
        if (t->at_ms >= 0 && t->at_ms - now_ms < ms)
            ms = t->at_ms > now_ms ? t->at_ms - now_ms : 0;
    if (*timeout_ns < 0 || ms * 1000000 < *timeout_ns)
        *timeout_ns = ms * 1000000;
}

static size_t user_prepare(void *self, struct pollfd *fds, size_t max, int64_t *timeout_ns)
{
    struct user *u = self;
    uint32_t ms = INT32_MAX;

    u->filled = !u->head;
    if (u->head) {
        *timeout_ns = 0;
        return 0;
    }
    u->fds = fds;
    u->max = max;
    u->nfds = 0;
    slirp_pollfds_fill(u->slirp, &ms, add_fd, u);
    lower(u, ms, timeout_ns);
    return u->nfds;
}

static void run_timers(struct user *u)
{
    int64_t now_ms = now_ns(NULL) / 1000000;
    struct timer *next;

    for (struct timer *t = u->timers; t; t = next) {
        next = t->next;
        if (t->at_ms < 0 || t->at_ms > now_ms)
            continue;
        t->at_ms = -1;
        t->cb(t->opaque);
    }
}

static void user_dispatch(void *self, const struct pollfd *fds, size_t n)
{
    struct user *u = self;

    (void)fds, (void)n; /* they are u->fds */
    if (!u->filled)
        return;
    u->filled = false;
    slirp_pollfds_poll(u->slirp, 0, get_revents, u);
    run_timers(u);
}

static bool user_readable(void *self)
{
    const struct user *u = self;

    return u->head != NULL;
}

/* A turn that does not wait, for a guest that reads without polling. */
static void turn(struct user *u)
{
    struct pollfd fds[UKVM_WAIT_MAX];
    int64_t none = 0;
    size_t n = user_prepare(u, fds, UKVM_WAIT_MAX, &none);

    if (poll(fds, n, 0) < 0)
        for (size_t i = 0; i < n; i++)
            fds[i].revents = 0;
    user_dispatch(u, fds, n);
}

/* --- frames ---------------------------------------------------------------------------------- */

static int user_send(void *self, struct ukvm *vm, const void *frame, size_t len,
                     struct ukvm_error *err)
{
    struct user *u = self;

    (void)vm;
    if (len > FRAME_MAX)
        return uk_error(err, UKVM_EGUEST, "len: %zu: a frame has at most %d bytes", len, FRAME_MAX);
    slirp_input(u->slirp, frame, (int)len);
    return UKVM_OK;
}

static int user_recv(void *self, void *buf, size_t size, size_t *len, struct ukvm_error *err)
{
    struct user *u = self;
    struct frame *f;

    (void)err;
    if (!u->head)
        turn(u);
    f = u->head;
    if (!f)
        return UKVM_AGAIN;
    *len = f->len < size ? f->len : size;
    memcpy(buf, f->data, *len);
    u->head = f->next;
    if (!u->head)
        u->tail = &u->head;
    u->queued--;
    free(f);
    return UKVM_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int forward(struct user *u, const struct uk_net_forward *f, struct ukvm_error *err)
{
    char host[INET_ADDRSTRLEN];
    const char *next;
    int rc;

    errno = 0;
    rc = slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port);
    if (rc == 0)
        return UKVM_OK;
    if (errno == 0)
        errno = EADDRINUSE;
    next = errno == EACCES ? "choose a port from 1024 on" : "choose another port";
    inet_ntop(AF_INET, &f->host, host, sizeof(host));
    return uk_error_sys(err, next, "--net=user: %s %s:%u", f->udp ? "udp" : "tcp", host,
                        f->host_port);
}

static void user_close(void *self)
{
    struct user *u = self;

    if (u->slirp)
        slirp_cleanup(u->slirp);
    while (u->head) {
        struct frame *f = u->head;

        u->head = f->next;
        free(f);
    }
    while (u->timers)
        free_timer(u->timers, u);
    free(u);
}

static struct in_addr address(uint32_t last)
{
    return (struct in_addr){htonl(0x0a000200 + last)}; /* 10.0.2.(last) */
}

static int start(struct user *u, const struct uk_net_args *args, struct ukvm_error *err)
{
    const SlirpConfig cfg = {
        .version = 1,
        .in_enabled = true,
        .vnetwork = address(0),
        .vnetmask = {htonl(0xffffff00)},
        .vhost = address(2),
        .vnameserver = address(3),
        .vdhcp_start = address(15),
        .disable_host_loopback = !args->loopback,
    };
    int rc = UKVM_OK;

    u->slirp = slirp_new(&cfg, &callbacks, u);
    if (!u->slirp)
        return uk_error(err, UKVM_ENOTSUP, "--net=user: libslirp %s: does not start; use --net=TAP",
                        slirp_version_string());
    for (size_t i = 0; i < args->nfwd && rc == UKVM_OK; i++)
        rc = forward(u, &args->fwd[i], err);
    return rc;
}

static int user_open(void **self, const struct uk_net_args *args, struct ukvm_error *err)
{
    struct user *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return uk_error(err, UKVM_ENOMEM, "net: out of memory");
    u->tail = &u->head;
    rc = start(u, args, err);
    if (rc != UKVM_OK) {
        user_close(u);
        return rc;
    }
    *self = u;
    return UKVM_OK;
}

UKVM_API extern const struct uk_net_way ukvm_net_user;
const struct uk_net_way ukvm_net_user = {
    "user",    user_open, user_close,
    user_send, user_recv, {user_prepare, user_dispatch, user_readable},
};
