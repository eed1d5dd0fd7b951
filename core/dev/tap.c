/* SPDX-License-Identifier: ISC */
/*
 * tap.c: frames through a TAP interface, or through an inherited descriptor that
 * keeps their boundaries. The host's ways of opening a TAP are in this file only.
 */
#include "core/dev/net.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/if_tun.h>
#endif

struct link {
    int fd;
    bool ours;  /* close it */
    bool ready; /* it polled readable */
    char name[UK_NET_NAME_MAX + 1];
};

/* --- frames --------------------------------------------------------------------------- */

static int send_failed(const struct link *l, size_t len, struct ukvm_error *err)
{
    if (errno == EINVAL || errno == EMSGSIZE)
        return uk_error(err, UKVM_EGUEST, "len: %zu: %s takes no frame of that size", len, l->name);
    if (errno == EIO && l->ours)
        return uk_error(err, UKVM_ESYS, "net: %s: interface is down; ip link set %s up, and go on",
                        l->name, l->name);
    return uk_error_sys(err, "mend the interface and go on, or end the guest", "net: %s: write",
                        l->name);
}

static int wait_room(const struct link *l, struct ukvm *vm, struct ukvm_error *err)
{
    struct pollfd pfd = {.fd = l->fd, .events = POLLOUT};
    int rc = ukvm_wait(vm, &pfd, 1, -1, err);

    if (rc == UKVM_WAIT_INTERRUPTED)
        return UKVM_AGAIN;
    return rc < 0 ? rc : UKVM_OK;
}

static int link_send(void *self, struct ukvm *vm, const void *frame, size_t len,
                     struct ukvm_error *err)
{
    const struct link *l = self;

    for (;;) {
        ssize_t n = write(l->fd, frame, len);
        int rc;

        if (n == (ssize_t)len)
            return UKVM_OK;
        if (n >= 0)
            return uk_error(err, UKVM_ESYS,
                            "net: %s: took %zd bytes of a frame of %zu; it must keep frames whole",
                            l->name, n, len);
        if (errno != EAGAIN && errno != EINTR)
            return send_failed(l, len, err);
        rc = errno == EAGAIN ? wait_room(l, vm, err) : UKVM_OK;
        if (rc != UKVM_OK)
            return rc;
    }
}

static int link_recv(void *self, void *buf, size_t size, size_t *len, struct ukvm_error *err)
{
    const struct link *l = self;
    ssize_t n;

    do {
        n = read(l->fd, buf, size);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        *len = (size_t)n;
        return UKVM_OK;
    }
    if (n == 0 || errno == EAGAIN)
        return UKVM_AGAIN;
    return uk_error_sys(err, "the interface has gone: make it again and start again",
                        "net: %s: read", l->name);
}

/* --- waiting ---------------------------------------------------------------------------- */

static size_t link_prepare(void *self, struct pollfd *fds, size_t max, int64_t *timeout_ns)
{
    const struct link *l = self;

    (void)timeout_ns;
    if (max == 0)
        return 0;
    fds[0] = (struct pollfd){.fd = l->fd, .events = POLLIN};
    return 1;
}

/* Any event: a link that failed says so when it is read. */
static void link_dispatch(void *self, const struct pollfd *fds, size_t n)
{
    struct link *l = self;

    l->ready = n > 0 && fds[0].revents != 0;
}

static bool link_readable(void *self)
{
    const struct link *l = self;

    return l->ready;
}

/* --- opening ------------------------------------------------------------------------------ */

static struct link *make(const char *name, struct ukvm_error *err)
{
    struct link *l = calloc(1, sizeof(*l));

    if (!l) {
        uk_error(err, UKVM_ENOMEM, "net: out of memory");
        return NULL;
    }
    l->fd = -1;
    snprintf(l->name, sizeof(l->name), "%s", name);
    return l;
}

static void link_close(void *self)
{
    struct link *l = self;

    if (l->ours && l->fd >= 0)
        close(l->fd);
    free(l);
}

/* The interface must be there and up before it is opened: opening would make it. */
static int check_interface(const char *name, struct ukvm_error *err)
{
    struct ifreq ifr = {0};
    int s, rc;

    if (strlen(name) >= sizeof(ifr.ifr_name))
        return uk_error(err, UKVM_ENOENT,
                        "--net=%.60s: no such interface: a name has at most %zu characters; "
                        "--net=tap100, or --net=user",
                        name, sizeof(ifr.ifr_name) - 1);
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return uk_error_sys(err, NULL, "--net=%s: socket", name);
    strcpy(ifr.ifr_name, name);
    rc = ioctl(s, SIOCGIFFLAGS, &ifr);
    close(s);
    if (rc != 0 && (errno == ENODEV || errno == ENXIO))
        return uk_error(err, UKVM_ENOENT,
                        "--net=%s: no such interface; make it: ip tuntap add %s mode tap; "
                        "ip link set %s up; or use --net=user",
                        name, name, name);
    if (rc != 0)
        return uk_error_sys(err, "or use --net=user", "--net=%s", name);
    if (!(ifr.ifr_flags & (IFF_UP | IFF_RUNNING)))
        return uk_error(err, UKVM_ESTATE, "--net=%s: interface is down; ip link set %s up", name,
                        name);
    return UKVM_OK;
}

#ifdef __linux__
#define TAP_DEVICE "/dev/net/tun"

static int attach_failed(const char *name, struct ukvm_error *err)
{
    if (errno == EINVAL)
        return uk_error(err, UKVM_EINVAL,
                        "--net=%s: not a TAP interface; make one: ip tuntap add tap100 mode tap; "
                        "ip link set tap100 up; or use --net=user",
                        name);
    if (errno == EBUSY)
        return uk_error_sys(err, "another program has it: end that one, or use another TAP",
                            "--net=%s", name);
    if (errno == EPERM || errno == EACCES)
        return uk_error(err, UKVM_ESYS,
                        "--net=%s: not yours; make it so: ip tuntap add %s mode tap user $USER; "
                        "or use --net=user",
                        name, name);
    return uk_error_sys(err, "or use --net=user", "--net=%s", name);
}

/* Linux Documentation/networking/tuntap.rst, 3.2: frames without packet information. */
static int attach(struct link *l, struct ukvm_error *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    strcpy(ifr.ifr_name, l->name); /* check_interface() saw that it fits */
    if (ioctl(l->fd, TUNSETIFF, &ifr) != 0)
        return attach_failed(l->name, err);
    if (strcmp(ifr.ifr_name, l->name) != 0)
        return uk_error(err, UKVM_ESYS, "--net=%s: the kernel gave %.15s instead; use that name",
                        l->name, ifr.ifr_name);
    return UKVM_OK;
}

static void device_of(const struct link *l, char *path, size_t size)
{
    (void)l;
    snprintf(path, size, "%s", TAP_DEVICE);
}
#else
/* FreeBSD tap(4): the interface's own device. */
static int attach(struct link *l, struct ukvm_error *err)
{
    (void)l, (void)err;
    return UKVM_OK;
}

static void device_of(const struct link *l, char *path, size_t size)
{
    snprintf(path, size, "/dev/%s", l->name);
}
#endif

static int open_device(struct link *l, struct ukvm_error *err)
{
    char path[sizeof("/dev/") + UK_NET_NAME_MAX];

    device_of(l, path, sizeof(path));
    l->ours = true;
    l->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (l->fd < 0)
        return uk_error_sys(err,
                            errno == EACCES || errno == EPERM ? "run as root, or use --net=user"
                                                              : "modprobe tun, or use --net=user",
                            "--net=%s: %s", l->name, path);
    return attach(l, err);
}

static int tap_open(void **self, const struct uk_net_args *args, struct ukvm_error *err)
{
    struct link *l;
    int rc = check_interface(args->name, err);

    if (rc != UKVM_OK)
        return rc;
    l = make(args->name, err);
    if (!l)
        return UKVM_ENOMEM;
    rc = open_device(l, err);
    if (rc != UKVM_OK) {
        link_close(l);
        return rc;
    }
    *self = l;
    return UKVM_OK;
}

/* `@FD`: somebody else's; only O_NONBLOCK is set. */
static int fd_open(void **self, const struct uk_net_args *args, struct ukvm_error *err)
{
    char *end;
    long fd = strtol(args->name + 1, &end, 10);
    struct link *l;
    int flags;

    if (args->name[1] < '0' || args->name[1] > '9' || *end || fd > 1 << 20)
        return uk_error(err, UKVM_EINVAL, "--net=%s: no descriptor's number; --net=@3", args->name);
    flags = fcntl((int)fd, F_GETFL);
    if (flags < 0 || fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return uk_error_sys(err, "inherit it open, or use --net=TAP", "--net=%s", args->name);
    l = make(args->name, err);
    if (!l)
        return UKVM_ENOMEM;
    l->fd = (int)fd;
    *self = l;
    return UKVM_OK;
}

const struct uk_net_way uk_net_tap = {
    "tap", tap_open, link_close, link_send, link_recv, {link_prepare, link_dispatch, link_readable},
};
const struct uk_net_way uk_net_fd = {
    "fd", fd_open, link_close, link_send, link_recv, {link_prepare, link_dispatch, link_readable},
};
