/* SPDX-License-Identifier: ISC */
/*
 * console.c: PUTS, bytes to a descriptor. It waits as POLL does before it writes to
 * what may block, so that an interrupt ends also a write to a pipe that nobody
 * reads. Depends on the public headers and the machine's console descriptor.
 */
#include "core/dev/dev.h"
#include "core/error.h"
#include "core/machine.h"
#include "guest/ukvm_guest.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct console {
    int fd;
    bool waits;   /* a write may block: wait first */
    size_t chunk; /* so many bytes at most do not block after a wait */
};

/*
 * A pipe that polls writable takes PIPE_BUF bytes (POSIX write()). A terminal is
 * writable while fewer than 256 bytes are on their way (Linux include/linux/tty.h,
 * WAKEUP_CHARS). Files, disks and devices like /dev/null do not block for long.
 */
static void look_at(struct console *con)
{
    struct stat st;

    con->waits = true;
    con->chunk = PIPE_BUF;
    if (fstat(con->fd, &st) != 0)
        return;
    if (isatty(con->fd))
        con->chunk = 256;
    else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
        con->waits = false;
}

static int failed(const struct console *con, struct ukvm_error *err)
{
    const char *next = errno == ENOSPC  ? "make room and go on, or send the output elsewhere"
                       : errno == EPIPE ? "its reader has gone: send the output elsewhere"
                                        : "send the output elsewhere";

    if (con->fd == STDOUT_FILENO)
        return uk_error_sys(err, next, "console: standard output");
    return uk_error_sys(err, next, "console: descriptor %d", con->fd);
}

/* 0: it can be written to now. */
static int wait_writable(const struct console *con, struct ukvm *vm, struct ukvm_error *err)
{
    struct pollfd pfd = {.fd = con->fd, .events = POLLOUT};
    int rc;

    do {
        rc = ukvm_wait(vm, &pfd, 1, -1, err);
    } while (rc == 0);
    if (rc == UKVM_WAIT_INTERRUPTED)
        return UKVM_AGAIN;
    return rc < 0 ? rc : UKVM_OK;
}

/* call->keep[0] is how many bytes are written already. */
static int put_string(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct console *con = self;
    struct ukvm_puts arg;
    uint64_t *done = &call->keep[0];
    bool waits = con->waits;

    memcpy(&arg, call->in, sizeof(arg));
    while (*done < arg.len) {
        size_t n = arg.len - *done;
        ssize_t wrote;
        int rc = waits ? wait_writable(con, call->vm, err) : UKVM_OK;

        if (rc != UKVM_OK)
            return rc;
        if (waits && n > con->chunk)
            n = con->chunk;
        wrote = write(con->fd, (const char *)call->buf + *done, n);
        if (wrote > 0)
            *done += (uint64_t)wrote;
        else if (wrote < 0 && errno == EAGAIN)
            waits = true;
        else if (wrote < 0 && errno != EINTR)
            return failed(con, err);
    }
    return UKVM_OK;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    struct console *con = calloc(1, sizeof(*con));
    int rc;

    (void)arg;
    if (!con)
        return uk_error(err, UKVM_ENOMEM, "console: out of memory");
    con->fd = uk_machine_console_fd(vm);
    look_at(con);
    rc = uk_dev_register(vm, "puts", put_string, con, err);
    if (rc != UKVM_OK)
        free(con);
    *self = con;
    return rc;
}

const struct ukvm_module uk_dev_console = {"console", NULL, setup, free};
