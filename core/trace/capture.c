/* SPDX-License-Identifier: ISC */
/*
 * capture.c: what crosses the network device, as a pcapng file. It watches the
 * netwrite and netread hypercalls; it depends on no device and on no backend.
 *
 * Format: IETF draft-ietf-opsawg-pcapng, blocks SHB, IDB and EPB, little-endian.
 */
#include "core/trace/capture.h"
#include "core/error.h"
#include "core/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GATHER 65536 /* bytes, then they are written */

struct capture {
    int fd;
    char *path;
    uint64_t wall_minus_mono; /* ns */
    uint8_t *buf;             /* whole blocks */
    size_t used;
    off_t written;
    struct ukvm_error failed; /* code is not UKVM_OK: capturing has ended */
};

/* --- blocks ---------------------------------------------------------------------------- */

static size_t pad4(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    memset(p + n, 0, pad4(n) - n);
    return p + pad4(n);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

    return put(p, b, sizeof(b));
}

static uint8_t *put16x2(uint8_t *p, unsigned a, unsigned b)
{
    return put32(p, a | b << 16);
}

static uint8_t *put_option(uint8_t *p, unsigned code, const void *data, size_t n)
{
    return put(put16x2(p, code, (unsigned)n), data, n);
}

/* A block ends with "no more options"; its length stands at both its ends. */
static size_t finish(uint8_t *start, uint8_t *p)
{
    uint32_t total;

    p = put16x2(p, 0, 0);
    total = (uint32_t)(p - start) + 4;
    put32(start + 4, total);
    put32(p, total);
    return total;
}

size_t uk_capture_header(uint8_t *buf, const char *name, const uint8_t mac[6])
{
    static const char program[] = "ukvmdbg " UKVM_VERSION;
    const uint8_t tsresol = 9; /* 10^-9 s */
    uint8_t *p = put32(buf, 0x0a0d0d0a);
    size_t n;

    p = put32(p + 4, 0x1a2b3c4d);
    p = put16x2(p, 1, 0);
    p = put32(put32(p, UINT32_MAX), UINT32_MAX); /* the section's length: not given */
    p = put_option(p, 4, program, sizeof(program) - 1);
    n = finish(buf, p);

    p = put32(buf + n, 1);
    p = put16x2(p + 4, 1, 0); /* LINKTYPE_ETHERNET */
    p = put32(p, UK_CAPTURE_SNAPLEN);
    p = put_option(p, 2, name, strlen(name));
    p = put_option(p, 6, mac, 6);
    p = put_option(p, 9, &tsresol, 1);
    return n + finish(buf + n, p);
}

static size_t kept(const struct uk_captured *f)
{
    return f->len < UK_CAPTURE_SNAPLEN ? f->len : UK_CAPTURE_SNAPLEN;
}

size_t uk_capture_frame(uint8_t *buf, const struct uk_captured *f)
{
    char comment[64];
    uint8_t flags[4], *p = put32(buf, 6);

    snprintf(comment, sizeof(comment), "seq=%" PRIu64 " %.32s", f->seq, f->call);
    p = put32(p + 4, 0);
    p = put32(p, (uint32_t)(f->wall_ns >> 32));
    p = put32(p, (uint32_t)f->wall_ns);
    p = put32(p, (uint32_t)kept(f));
    p = put32(p, (uint32_t)f->len);
    p = put(p, f->data, kept(f));
    p = put_option(p, 1, comment, strlen(comment));
    put32(flags, f->out ? 2 : 1); /* epb_flags: outbound, inbound */
    p = put_option(p, 2, flags, sizeof(flags));
    return finish(buf, p);
}

size_t uk_capture_whole(const uint8_t *buf, size_t n)
{
    size_t at = 0;

    while (n - at >= 8) {
        const uint8_t *b = buf + at + 4;
        size_t total = b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;

        if (total < 12 || total > n - at)
            break;
        at += total;
    }
    return at;
}

/* --- the file ---------------------------------------------------------------------------- */

/* Capturing ends, the guest goes on; the file ends after its last whole block. */
static void give_up(struct capture *c, size_t wrote)
{
    uk_error_sys(&c->failed, "the capture ends here, the guest goes on", "--pcap=%.120s", c->path);
    if (ftruncate(c->fd, c->written + (off_t)uk_capture_whole(c->buf, wrote)) != 0)
        return; /* a pipe: what went is gone */
}

static void flush(struct capture *c)
{
    size_t at = 0;

    while (at < c->used && c->failed.code == UKVM_OK) {
        ssize_t n = write(c->fd, c->buf + at, c->used - at);

        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            give_up(c, at);
    }
    c->written += (off_t)at;
    c->used = 0;
}

/* --- the hook ------------------------------------------------------------------------------ */

/* Before the guest waits, and when it stops: who looks at the file then sees everything. */
static int on_enter(void *self, const struct ukvm_call *call, struct ukvm_error *err)
{
    (void)err;
    if (call->desc->may_block)
        flush(self);
    return UKVM_GO_ON;
}

static void on_stop(void *self, const struct ukvm_stop *stop)
{
    (void)stop;
    flush(self);
}

/* The frame of a call that moved one: its buffer, as long as the LEN field says. */
static bool frame_of(const struct ukvm_call *call, struct uk_captured *f)
{
    const struct ukvm_call_desc *d = call->desc;
    const uint8_t *arg = call->arg;
    uint64_t len = 0;
    int32_t ret = -1;

    f->out = strcmp(d->name, "netwrite") == 0;
    if (!f->out && strcmp(d->name, "netread") != 0)
        return false;
    for (unsigned i = 0; i < d->nfields; i++) {
        if (d->fields[i].kind == UKVM_F_LEN)
            memcpy(&len, (f->out ? call->in : arg) + d->fields[i].offset, sizeof(len));
        if (d->fields[i].kind == UKVM_F_RET)
            memcpy(&ret, arg + d->fields[i].offset, sizeof(ret));
    }
    f->data = call->buf;
    f->len = len;
    f->seq = call->seq;
    f->call = d->name;
    return ret == 0;
}

static int on_leave(void *self, const struct ukvm_call *call, struct ukvm_error *err)
{
    struct capture *c = self;
    struct uk_captured f;

    (void)err;
    if (c->failed.code != UKVM_OK || !frame_of(call, &f))
        return UKVM_GO_ON;
    f.wall_ns = c->wall_minus_mono + call->host_ns;
    c->used += uk_capture_frame(c->buf + c->used, &f);
    if (c->used >= GATHER)
        flush(c);
    return UKVM_GO_ON;
}

static void close_capture(void *self)
{
    struct capture *c = self;

    if (c->fd >= 0) {
        flush(c);
        close(c->fd);
    }
    free(c->buf);
    free(c->path);
    free(c);
}

static const struct ukvm_hook_ops hook = {
    .name = "capture",
    .rank = UKVM_RANK_TRACE,
    .on_enter = on_enter,
    .on_leave = on_leave,
    .on_stop = on_stop,
    .close = close_capture,
};

/* --- starting -------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int open_capture(struct capture *c, struct ukvm *vm, const char *path,
                        struct ukvm_error *err)
{
    const struct uk_net_id *net = uk_machine_net(vm);

    c->path = strdup(path);
    c->buf = malloc(GATHER + UK_CAPTURE_FRAME_MAX);
    if (!c->path || !c->buf)
        return uk_error(err, UKVM_ENOMEM, "--pcap: out of memory");
    c->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    if (c->fd < 0)
        return uk_error_sys(err, "give a file that can be written", "--pcap=%.120s", path);
    c->wall_minus_mono = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
    c->used = uk_capture_header(c->buf, net->name, net->mac);
    flush(c);
    if (c->failed.code != UKVM_OK) {
        errno = c->failed.sys_errno;
        return uk_error_sys(err, "give a file that can be written", "--pcap=%.120s", path);
    }
    return ukvm_hook_add(vm, &hook, c, err);
}

int ukvm_capture(struct ukvm *vm, const char *path, struct ukvm_error *err)
{
    struct capture *c;
    int rc;

    if (!uk_machine_net(vm)->name[0])
        return uk_error(err, UKVM_ESTATE, "--pcap=%.120s: the machine has no network; --net=user",
                        path);
    c = calloc(1, sizeof(*c));
    if (!c)
        return uk_error(err, UKVM_ENOMEM, "--pcap: out of memory");
    c->fd = -1;
    rc = open_capture(c, vm, path, err);
    if (rc != UKVM_OK)
        close_capture(c);
    return rc;
}

const char *ukvm_capture_failed(const struct ukvm *vm)
{
    for (size_t i = 0; i < vm->nhooks; i++) {
        const struct capture *c = vm->hook[i].self;

        if (vm->hook[i].ops == &hook && c->failed.code != UKVM_OK)
            return c->failed.msg;
    }
    return NULL;
}
