/* SPDX-License-Identifier: ISC */
/*
 * native.c: the native backend's vtable: guest code on the processor itself, at CPL 3,
 * in a process of its own that is traced and can make no system call. The few
 * instructions that need privilege stop it, and the core emulates them.
 */
#include "hv/native/native.h"
#include "core/error.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

static void destroy(struct ukvm_hv *hv)
{
    struct ukvm_hvb *b = hv->b;

    if (!b)
        return;
    uk_native_leave(hv);
    uk_native_kill(b);
    free(b->traps);
    free(b->view);
    free(b);
    hv->b = NULL;
}

static int open_child(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    int rc = uk_native_spawn(hv, err);

    return rc == UKVM_OK ? uk_native_open_tsc(hv, cfg, err) : rc;
}

static int create(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    struct ukvm_hvb *b;
    int rc;

    if (cfg->e_machine != EM_X86_64)
        return uk_error(err, UKVM_ENOTSUP,
                        "native: runs guests of this machine's architecture, x86_64; use --hv=emu");
    b = calloc(1, sizeof(*b));
    hv->b = b;
    if (b)
        b->view = malloc(hv->mem_size / UK_NATIVE_PAGE);
    if (!b || !b->view) {
        free(b);
        hv->b = NULL;
        return uk_error(err, UKVM_ENOMEM, "native: out of memory");
    }
    memset(b->view, UKVM_PROT_R | UKVM_PROT_W | UKVM_PROT_X, hv->mem_size / UK_NATIVE_PAGE);
    b->pid = b->pidfd = -1;
    b->mem_fd = cfg->mem_fd;
    b->nx = cfg->nx;
    b->rf_at = UK_NATIVE_NOWHERE;
    b->signal = cfg->interrupt_signal ? cfg->interrupt_signal : SIGURG;
    rc = open_child(hv, cfg, err);
    if (rc != UKVM_OK) {
        destroy(hv);
        return rc;
    }
    hv->caps = UKVM_CAP_BREAK | UKVM_CAP_STEP | UKVM_CAP_NX | UKVM_CAP_FP | UKVM_CAP_USER |
               (uk_native_watches(hv) ? UKVM_CAP_WATCH : 0) |
               (b->tsc_exits ? UKVM_CAP_TSC_TRAP : 0);
    return UKVM_OK;
}

/* A stop leaves the child between two instructions: there is nothing to complete. */
static int settle(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    (void)hv, (void)ex, (void)err;
    return UKVM_OK;
}

static uint64_t tsc_hz(struct ukvm_hv *hv, struct ukvm_error *err)
{
    (void)err;
    return hv->b->tsc_hz;
}

const struct ukvm_hv_ops ukvm_hv_native = {
    .name = "native",
    .probe = uk_native_probe,
    .create = create,
    .destroy = destroy,
    .get = uk_native_get,
    .set = uk_native_set,
    .enter = uk_native_enter,
    .leave = uk_native_leave,
    .run = uk_native_run,
    .settle = settle,
    .arm = uk_native_arm,
    .protect = uk_native_protect,
    .wrote = uk_hv_no_wrote,
    .count = uk_hv_no_count,
    .tsc_hz = tsc_hz,
    .interrupt = uk_native_interrupt,
};
