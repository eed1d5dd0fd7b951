/* SPDX-License-Identifier: ISC */
/*
 * emu.c: the emulator backend: what the core calls. The guest runs on Unicorn, which
 * this backend watches at every instruction (run.c); it calls nothing above it but
 * core/error.c and core/hv.c, of which the plugin carries its own copy.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/emu/emu.h"
#include "hv/tsc.h"

/* A counter for guests that must have more than 1 GHz, where the host does not tell its own. */
#define TSC_HZ_DEFAULT UINT64_C(2000000000)

const char *uk_emu_version(char buf[UK_EMU_VERSION_MAX])
{
    unsigned v = uc_version(NULL, NULL);

    snprintf(buf, UK_EMU_VERSION_MAX, "%u.%u.%u", v >> 24, (v >> 16) & 255, (v >> 8) & 255);
    return buf;
}

int uk_emu_fail(struct ukvm_error *err, uc_err e, const char *what)
{
    return uk_error(err, e == UC_ERR_NOMEM ? UKVM_ENOMEM : UKVM_ENOTSUP, "emu: %s: %s", what,
                    uc_strerror(e));
}

/* ISO C has no conversion from a function's pointer to the object pointer that Unicorn wants. */
uc_err uk_emu_hook(uc_engine *uc, uc_hook *hook, int type, emu_callback *fn, void *user)
{
    union {
        emu_callback *fn;
        void *p;
    } callback = {.fn = fn};

    return uc_hook_add(uc, hook, type, callback.p, user, 1, 0);
}

/* --- creating --------------------------------------------------------------------- */

static void destroy(struct ukvm_hv *hv)
{
    struct ukvm_hvb *b = hv->b;

    if (!b)
        return;
    if (b->at_denial)
        uc_context_free(b->at_denial);
    if (b->ctx)
        uc_context_free(b->ctx);
    if (b->uc)
        uc_close(b->uc);
    free(b->pages);
    free(b->armed);
    free(b);
    hv->b = NULL;
}

/* Unicorn 2.0 ends the process where it cannot have its buffer for code: try first. */
#define CODE_BUFFER ((size_t)1 << 30)
static int check_room(struct ukvm_error *err)
{
    void *p = mmap(NULL, CODE_BUFFER, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return uk_error_sys(err, "see ulimit -v; the system may forbid executable memory too",
                            "emu: 1 GiB of address space for code");
    munmap(p, CODE_BUFFER);
    return UKVM_OK;
}

static int open_engine(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uc_err e;
    int rc = check_room(err);

    if (rc != UKVM_OK)
        return rc;
    e = uc_open(UC_ARCH_X86, UC_MODE_64, &b->uc);
    if (!e) /* an empty set of addresses that end a run: else there is one always */
        e = uc_ctl_exits_enable(b->uc);
    if (!e)
        e = uc_context_alloc(b->uc, &b->ctx);
    if (!e)
        e = uc_context_alloc(b->uc, &b->at_denial);
    return e ? uk_emu_fail(err, e, "opening Unicorn") : UKVM_OK;
}

static int build(struct ukvm_hvb *b, struct ukvm_error *err)
{
    int rc = open_engine(b, err);

    if (rc == UKVM_OK)
        rc = uk_emu_x86_calibrate(b->uc, &b->blob, err);
    if (rc == UKVM_OK)
        rc = uk_emu_mem_map(b, err);
    if (rc == UKVM_OK)
        rc = uk_emu_run_hooks(b, err);
    if (rc == UKVM_OK)
        uk_emu_mem_flush_tlb(b);
    return rc;
}

static uint64_t host_tsc_hz(void);

static int create(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    struct ukvm_hvb *b;
    int rc;

    if (cfg->e_machine != EM_X86_64)
        return uk_error(err, UKVM_ENOTSUP, "emu: ELF machine %u: only x86_64 (62) guests",
                        cfg->e_machine);
    b = calloc(1, sizeof(*b));
    hv->b = b;
    if (b)
        b->pages = calloc(hv->mem_size / UK_EMU_PAGE, 1);
    if (!b || !b->pages) {
        destroy(hv);
        return uk_error(err, UKVM_ENOMEM, "emu: out of memory");
    }
    b->mem = hv->mem;
    b->mem_size = hv->mem_size;
    b->tsc_hz = cfg->tsc_hz ? cfg->tsc_hz : host_tsc_hz();
    b->last = UK_EMU_NOWHERE;
    uk_emu_x86_odd(b->odd, b->prefix);
    rc = build(b, err);
    if (rc != UKVM_OK)
        destroy(hv);
    else
        hv->caps =
            UKVM_CAP_BREAK | UKVM_CAP_STEP | UKVM_CAP_COUNT | UKVM_CAP_TSC_TRAP | UKVM_CAP_FP;
    return rc;
}

/* --- the time-stamp counter ------------------------------------------------------- */

static uint64_t host_tsc_hz(void)
{
    uint64_t hz = uk_tsc_told();

    return hz > UK_TSC_MIN_HZ ? hz : TSC_HZ_DEFAULT;
}

/* The core serves the counter; any frequency can be relied on. */
static uint64_t tsc_hz(struct ukvm_hv *hv, struct ukvm_error *err)
{
    (void)err;
    return hv->b->tsc_hz;
}

/* --- traps and counts ------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int arm(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
               struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t *armed = n ? malloc(n * sizeof(*armed)) : NULL;

    if (n && !armed)
        return uk_error(err, UKVM_ENOMEM, "emu: %zu traps: out of memory", n);
    b->narmed = 0;
    for (size_t i = 0; i < n; i++) {
        done[i] = traps[i].kind == UKVM_TRAP_EXEC;
        if (done[i])
            armed[b->narmed++] = traps[i].addr;
    }
    if (b->narmed)
        qsort(armed, b->narmed, sizeof(*armed), by_address);
    free(b->armed);
    b->armed = armed;
    uk_emu_mem_forget_lines(b);
    return UKVM_OK;
}

static int count(struct ukvm_hv *hv, uint64_t *n, struct ukvm_error *err)
{
    (void)err;
    *n = hv->b->count;
    return UKVM_OK;
}

/* An exit leaves the engine between two instructions: there is nothing to complete. */
static int settle(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    (void)hv, (void)ex, (void)err;
    return UKVM_OK;
}

/* Two stores: all that a signal handler may do. The hook finds the second. */
static void interrupt(struct ukvm_hv *hv)
{
    atomic_store(&hv->b->interrupted, true);
    atomic_store(&hv->b->limit, 0);
}

UKVM_API const struct ukvm_hv_ops ukvm_hv_emu = {
    .name = "emu",
    .probe = uk_emu_probe,
    .create = create,
    .destroy = destroy,
    .get = uk_emu_x86_get,
    .set = uk_emu_x86_set,
    .enter = uk_hv_no_enter,
    .leave = uk_hv_no_leave,
    .run = uk_emu_run,
    .settle = settle,
    .arm = arm,
    .protect = uk_emu_protect,
    .wrote = uk_emu_wrote,
    .count = count,
    .tsc_hz = tsc_hz,
    .interrupt = interrupt,
};
