/* SPDX-License-Identifier: ISC */
/*
 * backend.c: choosing a backend, opening it over the machine's memory, and changing
 * it under a stopped machine.
 */
#include "core/machine.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ops of a row, loading its plugin. */
static int load(struct uk_plugins *plugins, const char *dir, const struct ukvm_backend *row,
                const struct ukvm_hv_ops **ops, struct ukvm_error *err)
{
    void *sym;
    int rc;

    *ops = row->ops;
    if (row->ops)
        return UKVM_OK;
    rc = uk_plugin_load(plugins, dir, row->plugin, row->symbol, &sym, err);
    if (rc == UKVM_OK)
        *ops = sym;
    return rc;
}

int ukvm_probe(size_t i, const char *plugin_dir, struct ukvm_report *report)
{
    struct uk_plugins plugins = {0};
    const struct ukvm_hv_ops *ops;
    struct ukvm_error err;
    size_t n = 0;

    while (uk_backends[n].name)
        n++;
    if (i >= n)
        return UKVM_ENOENT;
    memset(report, 0, sizeof(*report));
    if (load(&plugins, plugin_dir, &uk_backends[i], &ops, &err) != UKVM_OK)
        snprintf(report->why, sizeof(report->why), "%s", err.msg);
    else
        ops->probe(report);
    report->backend = uk_backends[i].name; /* not the plugin's: it goes */
    uk_plugin_close(&plugins);
    return UKVM_OK;
}

static const struct ukvm_backend *by_name(const char *name)
{
    for (const struct ukvm_backend *b = uk_backends; b->name; b++)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

static void names(char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    for (const struct ukvm_backend *b = uk_backends; b->name && used < size; b++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", b->name);
}

/* Can its guests have the low memory asked for? */
static bool fits(const struct ukvm *vm, const struct ukvm_backend *row)
{
    return !row->hole || !vm->cfg.low_memory_original;
}

/* The first that runs guests in full; else the first that works. Notes which, and why no other. */
static const struct ukvm_backend *choose(struct ukvm *vm)
{
    const struct ukvm_backend *taken = NULL;
    char passed[UKVM_ERRMSG_MAX + 64] = "";
    struct ukvm_report r;
    bool full = false;

    for (size_t i = 0; !full && ukvm_probe(i, vm->cfg.plugin_dir, &r) == UKVM_OK; i++) {
        size_t used = strlen(passed);

        if (!fits(vm, &uk_backends[i])) {
            r.works = false;
            snprintf(r.why, sizeof(r.why), "no --low-memory=original");
        }
        full = r.works && r.full;
        if (full || (r.works && !taken))
            taken = &uk_backends[i];
        if (!full)
            snprintf(passed + used, sizeof(passed) - used, "%s%s: %s", used ? "; " : "", r.backend,
                     r.why);
    }
    if (taken && passed[0])
        uk_machine_note(vm, "--hv=auto: takes %s; %s", taken->name, passed);
    return taken;
}

/* Make a backend over the machine's memory, with the image's view. */
static int make(struct ukvm *vm, const struct ukvm_backend *row, uint64_t tsc_hz,
                struct ukvm_hv **out, struct ukvm_error *err)
{
    struct ukvm_hv_config cfg = {
        .mem_fd = vm->mem_fd,
        .e_machine = vm->arch->e_machine,
        .interrupt_signal = vm->cfg.interrupt_signal,
        .tsc_hz = tsc_hz,
        .nx = vm->cfg.nx,
    };
    struct ukvm_hv *hv = calloc(1, sizeof(*hv));
    int rc;

    if (!hv)
        return uk_error(err, UKVM_ENOMEM, "backend %s: out of memory", row->name);
    hv->mem = vm->mem;
    hv->mem_size = vm->mem_size;
    rc = load(&vm->plugins, vm->cfg.plugin_dir, row, &hv->ops, err);
    if (rc == UKVM_OK)
        rc = hv->ops->create(hv, &cfg, err);
    if (rc != UKVM_OK) {
        free(hv);
        return rc;
    }
    if (vm->cfg.nx && !(hv->caps & UKVM_CAP_NX))
        rc = uk_error(err, UKVM_ENOTSUP, "--nx: %s: it cannot; --hv=native", row->name);
    if (rc == UKVM_OK)
        rc = uk_mem_protect(vm, hv, err);
    if (rc != UKVM_OK) {
        uk_backend_close(vm, hv);
        return rc;
    }
    *out = hv;
    return UKVM_OK;
}

void uk_backend_close(struct ukvm *vm, struct ukvm_hv *hv)
{
    (void)vm;
    if (!hv)
        return;
    hv->ops->destroy(hv);
    free(hv);
}

/* The caller's own is as good as one of the table. */
static const struct ukvm_backend *own(struct ukvm *vm, const char *name)
{
    if (!vm->cfg.ops || (name && strcmp(name, vm->cfg.ops->name) != 0))
        return NULL;
    vm->own_backend = (struct ukvm_backend){.name = vm->cfg.ops->name, .ops = vm->cfg.ops};
    return &vm->own_backend;
}

static int find(struct ukvm *vm, const char *name, const struct ukvm_backend **row,
                struct ukvm_error *err)
{
    char all[80];

    *row = own(vm, name);
    if (*row)
        return UKVM_OK;

    names(all, sizeof(all));
    *row = name ? by_name(name) : choose(vm);
    if (*row && !fits(vm, *row))
        return uk_error(err, UKVM_ENOTSUP,
                        "--low-memory=original: %s: it has no memory below 64 KiB; --hv=emu", name);
    if (*row)
        return UKVM_OK;
    if (name)
        return uk_error(err, UKVM_ENOENT, "--hv=%s: no such backend; this build has: %s, auto",
                        name, all);
    return uk_error(err, UKVM_ENOTSUP, "no backend works here (%s); ukvmdbg probe says why", all);
}

int uk_backend_open(struct ukvm *vm, struct ukvm_error *err)
{
    const struct ukvm_backend *row;
    int rc = find(vm, vm->cfg.backend, &row, err);

    if (rc == UKVM_OK)
        rc = make(vm, row, 0, &vm->hv, err);
    if (rc != UKVM_OK)
        return rc;
    vm->tsc.hz = vm->hv->ops->tsc_hz(vm->hv, err);
    if (vm->tsc.hz == 0)
        return UKVM_ENOTSUP;
    uk_interrupt_target(vm, vm->hv);
    return UKVM_OK;
}

/* The new backend takes the state over; the guest's clock must go on at the same rate. */
static int hand_over(struct ukvm *vm, struct ukvm_hv *to, struct ukvm_error *err)
{
    uint64_t hz = to->ops->tsc_hz(to, err);

    if (hz == 0)
        return UKVM_ENOTSUP;
    if (hz != vm->tsc.hz)
        return uk_error(err, UKVM_ENOTSUP,
                        "hv %s: its clock runs at %" PRIu64 " kHz, the guest was told %" PRIu64
                        " kHz; start with --hv=%s",
                        to->ops->name, hz / 1000, vm->tsc.hz / 1000, to->ops->name);
    return to->ops->set(to, UKVM_ALL, vm->vcpu.st, err);
}

static void become(struct ukvm *vm, struct ukvm_hv *to)
{
    struct ukvm_hv *from = vm->hv;

    uk_interrupt_target(vm, NULL);
    vm->hv = to;
    vm->emulated = 0;
    vm->on_behalf = false;
    vm->vcpu.dirty = UKVM_ALL; /* the clock included: core's own is set from the state */
    uk_interrupt_target(vm, to);
    uk_backend_close(vm, from);
}

int ukvm_switch(struct ukvm *vm, const char *backend, struct ukvm_error *err)
{
    const struct ukvm_backend *row;
    struct ukvm_hv *to;
    int rc = uk_machine_check(vm, UK_BOOTED, err);

    if (rc == UKVM_OK)
        rc = find(vm, backend ? backend : "", &row, err);
    if (rc == UKVM_OK)
        rc = uk_vcpu_flush(vm, err);
    if (rc != UKVM_OK)
        return rc;
    vm->vcpu.valid &= ~(unsigned)UKVM_MSR; /* the clock has gone on since */
    rc = uk_vcpu_read(vm, UKVM_ALL, err);
    if (rc == UKVM_OK)
        rc = make(vm, row, vm->tsc.hz, &to, err);
    if (rc != UKVM_OK)
        return rc;
    rc = hand_over(vm, to, err);
    if (rc != UKVM_OK) {
        uk_backend_close(vm, to);
        return rc;
    }
    become(vm, to);
    return UKVM_OK;
}

struct ukvm_hv *ukvm_hv(struct ukvm *vm)
{
    return vm->hv;
}

const char *ukvm_backend(const struct ukvm *vm)
{
    return vm->hv->ops->name;
}
