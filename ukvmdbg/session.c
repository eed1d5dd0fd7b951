/* SPDX-License-Identifier: ISC */
/*
 * session.c: makes machines as asked for and lets them go on under the watcher.
 */
#include "ukvmdbg/session.h"
#include "core/ukvm_hook.h"
#include "ukvmdbg/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What keeps a file from being an image before it is read: 0, 126 or 127. */
static int check_file(const char *path, struct ukvm_error *err)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;

        ud_error(err, UKVM_ENOENT, "%.120s: %s; an image is a file, as hello.ukvm", path,
                 absent ? "no such image" : strerror(errno));
        return absent ? UD_STATUS_NO_IMAGE : UD_STATUS_NOT_LOADABLE;
    }
    if (!S_ISREG(st.st_mode)) {
        ud_error(err, UKVM_EIMAGE, "%.160s: not a file; an image is an ELF file", path);
        return UD_STATUS_NOT_LOADABLE;
    }
    if (access(path, R_OK) != 0) {
        ud_error(err, UKVM_EIMAGE, "%.160s: %s; chmod +r", path, strerror(errno));
        return UD_STATUS_NOT_LOADABLE;
    }
    return 0;
}

/* The network's argument for the library, its address included. */
static int attach_net(struct ud_session *s, struct ukvm_error *err)
{
    const struct ud_options *o = s->o;
    char *arg;
    int rc;

    if (!o->net_mac)
        return ukvm_attach(s->vm, "net", o->net, err);
    if (asprintf(&arg, "%s,mac=%s", o->net, o->net_mac) < 0)
        return ud_error(err, UKVM_ENOMEM, "--net: out of memory");
    rc = ukvm_attach(s->vm, "net", arg, err);
    free(arg);
    return rc;
}

static int attach(struct ud_session *s, struct ukvm_error *err)
{
    const struct ud_options *o = s->o;
    int rc = UKVM_OK;

    if (o->net_mac && !o->net)
        return ud_error(err, UKVM_EINVAL, "--net-mac=%.80s: there is no network; --net=user",
                        o->net_mac);
    if (o->pcap && !o->net)
        return ud_error(err, UKVM_EINVAL, "--pcap=%.120s: there is no network; --net=user",
                        o->pcap);
    if (o->disk)
        rc = ukvm_attach(s->vm, "blk", o->disk, err);
    if (o->net && rc == UKVM_OK)
        rc = attach_net(s, err);
    if (o->pcap && rc == UKVM_OK)
        rc = ukvm_capture(s->vm, o->pcap, err);
    return rc;
}

static int make(struct ud_session *s, struct ukvm_error *err)
{
    const struct ud_options *o = s->o;
    struct ukvm_config cfg = {
        .image = o->image,
        .symbols = o->symbols,
        .backend = s->hv,
        .mem_size = o->mem_size,
        .abi = o->abi,
        .nx = o->nx,
        .low_memory_original = o->low_memory_original,
    };
    int rc = ukvm_create(&s->vm, &cfg, err);

    if (rc == UKVM_OK)
        rc = attach(s, err);
    if (rc == UKVM_OK)
        rc = ukvm_boot(s->vm, o->guest_argc, o->guest_argv, err);
    return rc;
}

int ud_session_open(struct ud_session *s, struct ukvm_error *err)
{
    int status = check_file(s->o->image, err), rc;

    if (status != 0)
        return status;
    rc = make(s, err);
    if (rc != UKVM_OK) {
        ud_session_close(s);
        return rc == UKVM_EIMAGE ? UD_STATUS_NOT_LOADABLE : UD_STATUS_OURS;
    }
    s->fresh = true;
    s->ended = false;
    s->left_ns = s->o->timeout_ns;
    return 0;
}

void ud_session_close(struct ud_session *s)
{
    ukvm_destroy(s->vm);
    s->vm = NULL;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The timeout counts while the guest runs; what is over stays over. */
static void spend(struct ud_session *s, int64_t ns)
{
    if (s->left_ns > 0)
        s->left_ns = s->left_ns > ns ? s->left_ns - ns : 1;
}

int ud_session_go(struct ud_session *s, ud_go_fn *go, struct ukvm_stop *stop, int *cause,
                  struct ukvm_error *err)
{
    int rc;

    s->fresh = false;
    for (;;) {
        int64_t from = now_ns();

        ud_watch_arm(s->watch, s->vm, s->left_ns);
        rc = go(s->vm, stop, err);
        *cause = ud_watch_disarm(s->watch);
        spend(s, now_ns() - from);
        if (rc != UKVM_OK || stop->kind != UKVM_STOP_INTERRUPT)
            break;
        if (*cause == SIGQUIT)
            ud_report_where(s, stop->pc, "SIGQUIT");
        else if (*cause != 0)
            break;
    }
    if (rc == UKVM_OK && stop->kind == UKVM_STOP_EXIT)
        s->ended = true;
    return rc;
}
