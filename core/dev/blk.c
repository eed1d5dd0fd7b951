/* SPDX-License-Identifier: ISC */
/*
 * blk.c: the block device, over a file or a block device of the host. Depends on the
 * public headers, and on the machine for a note.
 */
#include "core/dev/blk.h"
#include "core/dev/dev.h"
#include "core/error.h"
#include "core/machine.h"
#include "guest/ukvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct blk {
    int fd;
    bool ro;
    uint64_t num_sectors;
    char *path;
};

/* --- rules ---------------------------------------------------------------------- */

bool uk_blk_in_range(uint64_t sector, uint64_t len, uint64_t num_sectors)
{
    uint64_t start, end;

    if (sector >= num_sectors || __builtin_mul_overflow(sector, UK_SECTOR, &start) ||
        __builtin_add_overflow(start, len, &end))
        return false;
    return end <= num_sectors * UK_SECTOR;
}

void uk_blk_parse(char *arg, bool *ro)
{
    size_t n = strlen(arg);

    *ro = n > 3 && strcmp(arg + n - 3, ",ro") == 0;
    if (*ro)
        arg[n - 3] = '\0';
}

/* --- transfers --------------------------------------------------------------------- */

static int failed(const struct blk *b, uint64_t offset, const char *verb, struct ukvm_error *err)
{
    const char *next = errno == ENOSPC || errno == EDQUOT ? "make room and go on"
                                                          : "mend it and go on, or end the guest";

    return uk_error_sys(err, next, "disk: %.120s: %s at offset %" PRIu64, b->path, verb, offset);
}

static int shrunk(const struct blk *b, uint64_t offset, struct ukvm_error *err)
{
    return uk_error(err, UKVM_EFILE,
                    "disk: %.100s: ends at offset %" PRIu64
                    ", it shrank while running; truncate -s %" PRIu64 " and go on",
                    b->path, offset, b->num_sectors * UK_SECTOR);
}

static int read_all(const struct blk *b, uint8_t *buf, uint64_t len, uint64_t at,
                    struct ukvm_error *err)
{
    while (len > 0) {
        ssize_t n = pread(b->fd, buf, len, (off_t)at);

        if (n == 0)
            return shrunk(b, at, err);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(b, at, "read", err);
        buf += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return UKVM_OK;
}

/* A file that shrank would grow again by a write: that is refused as for a read. */
static int check_size(const struct blk *b, uint64_t end, struct ukvm_error *err)
{
    struct stat st;

    if (fstat(b->fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < end)
        return shrunk(b, (uint64_t)st.st_size, err);
    return UKVM_OK;
}

static int write_all(const struct blk *b, const uint8_t *buf, uint64_t len, uint64_t at,
                     struct ukvm_error *err)
{
    int rc = check_size(b, at + len, err);

    while (len > 0 && rc == UKVM_OK) {
        ssize_t n = pwrite(b->fd, buf, len, (off_t)at);

        if (n == 0)
            errno = ENOSPC;
        if (n == 0 || (n < 0 && errno != EINTR))
            return failed(b, at, "write", err);
        if (n < 0)
            continue;
        buf += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return rc;
}

/* --- hypercalls ---------------------------------------------------------------------- */

static int blkinfo(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct blk *b = self;
    struct ukvm_blkinfo arg;

    (void)err;
    memcpy(&arg, call->in, sizeof(arg));
    arg.sector_size = UK_SECTOR;
    arg.num_sectors = b->num_sectors;
    arg.rw = !b->ro;
    memcpy(call->arg, &arg, sizeof(arg));
    return UKVM_OK;
}

static int blkwrite(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct blk *b = self;
    struct ukvm_blkwrite arg;
    int rc = UKVM_OK;

    memcpy(&arg, call->in, sizeof(arg));
    arg.ret = -1;
    if (!b->ro && uk_blk_in_range(arg.sector, arg.len, b->num_sectors)) {
        rc = write_all(b, call->buf, arg.len, arg.sector * UK_SECTOR, err);
        arg.ret = 0;
    }
    if (rc == UKVM_OK)
        memcpy(call->arg, &arg, sizeof(arg));
    return rc;
}

static int blkread(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct blk *b = self;
    struct ukvm_blkread arg;
    int rc = UKVM_OK;

    memcpy(&arg, call->in, sizeof(arg));
    arg.ret = -1;
    if (uk_blk_in_range(arg.sector, arg.len, b->num_sectors)) {
        rc = read_all(b, call->buf, arg.len, arg.sector * UK_SECTOR, err);
        arg.ret = 0;
    }
    if (rc == UKVM_OK)
        memcpy(call->arg, &arg, sizeof(arg));
    return rc;
}

static const struct {
    const char *name;
    ukvm_hypercall_fn_t *fn;
} handlers[] = {{"blkinfo", blkinfo}, {"blkwrite", blkwrite}, {"blkread", blkread}};

/* --- opening ------------------------------------------------------------------------- */

static int cannot_open(const struct blk *b, struct ukvm_error *err)
{
    const char *next = NULL;

    if (errno == ENOENT)
        next = "make it: truncate -s 1M FILE";
    else if (errno == EISDIR)
        next = "give a disk image or a block device";
    else if (errno == EROFS)
        next = "--disk=FILE,ro reads it";
    else if (errno == EACCES || errno == EPERM)
        next = b->ro ? "chmod +r it" : "chmod u+rw it, or --disk=FILE,ro";
    return uk_error_sys(err, next, "--disk=%.120s", b->path);
}

static int open_file(struct blk *b, struct ukvm_error *err)
{
    /* O_NONBLOCK: to open a pipe by mistake must not wait for its other end. */
    b->fd = open(b->path, (b->ro ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return b->fd < 0 ? cannot_open(b, err) : UKVM_OK;
}

/* The size of the file or block device, in bytes. */
static int find_size(const struct blk *b, uint64_t *size, struct ukvm_error *err)
{
    struct stat st;
    off_t end;

    if (fstat(b->fd, &st) != 0)
        return cannot_open(b, err);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return uk_error(err, UKVM_EINVAL,
                        "--disk=%.120s: neither a file nor a block device; give a disk image",
                        b->path);
    end = lseek(b->fd, 0, SEEK_END);
    if (end < 0)
        return cannot_open(b, err);
    *size = (uint64_t)end;
    return UKVM_OK;
}

static int measure(struct blk *b, struct ukvm *vm, struct ukvm_error *err)
{
    uint64_t size = 0;
    int rc = find_size(b, &size, err);

    if (rc != UKVM_OK)
        return rc;
    b->num_sectors = size / UK_SECTOR;
    if (b->num_sectors == 0)
        return uk_error(err, UKVM_EINVAL,
                        "--disk=%.120s: %" PRIu64
                        " bytes: less than one sector of 512; truncate -s 1M FILE",
                        b->path, size);
    if (size % UK_SECTOR != 0)
        uk_machine_note(vm,
                        "--disk=%.120s: %" PRIu64 " bytes: the last %" PRIu64
                        " are no whole sector of 512: the guest does not see them",
                        b->path, size, size % UK_SECTOR);
    return UKVM_OK;
}

static void close_blk(void *self)
{
    struct blk *b = self;

    if (b->fd >= 0)
        close(b->fd);
    free(b->path);
    free(b);
}

static int bring_up(struct blk *b, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    int rc;

    b->fd = -1;
    b->path = strdup(arg);
    if (!b->path)
        return uk_error(err, UKVM_ENOMEM, "disk: out of memory");
    uk_blk_parse(b->path, &b->ro);
    rc = open_file(b, err);
    if (rc == UKVM_OK)
        rc = measure(b, vm, err);
    for (size_t i = 0; rc == UKVM_OK && i < sizeof(handlers) / sizeof(handlers[0]); i++)
        rc = uk_dev_register(vm, handlers[i].name, handlers[i].fn, b, err);
    return rc;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    struct blk *b = calloc(1, sizeof(*b));
    int rc;

    if (!b)
        return uk_error(err, UKVM_ENOMEM, "disk: out of memory");
    rc = bring_up(b, vm, arg, err);
    if (rc != UKVM_OK) {
        close_blk(b);
        return rc;
    }
    *self = b;
    return UKVM_OK;
}

const struct ukvm_module uk_dev_blk = {
    "blk",
    "--disk=FILE[,ro]: a disk image or block device, in sectors of 512 bytes; ro: read-only",
    setup,
    close_blk,
};
