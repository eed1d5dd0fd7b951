/* SPDX-License-Identifier: ISC */
/*
 * snapshot.c: a machine without devices as a file: registers by the architecture's
 * table, and the pages that are not zero. The file is hostile input: every length
 * is checked before it is used.
 */
#include "core/machine.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   "UKVMSNAP"
#define VERSION 1u
#define PAGE    4096u

struct header { /* all numbers little-endian */
    char magic[8];
    uint32_t version;
    uint32_t e_machine;
    uint64_t mem_size;
    uint64_t tsc_hz;
    uint64_t events;
    uint64_t entry;
    char build_id[72];
    uint32_t abi;
    uint32_t nregs;
};

struct reg_record {
    char name[24];
    uint32_t size;
    uint8_t bytes[32];
};

struct page_run { /* followed by (len) bytes; len 0 ends the file */
    uint64_t gpa, len;
};

static int check(struct ukvm *vm, struct ukvm_error *err)
{
    for (size_t i = 0; i < vm->nattached; i++)
        if (vm->attached[i].module->usage)
            return uk_error(err, UKVM_ESTATE,
                            "snapshot: %s is attached: a device's state is not part of one",
                            vm->attached[i].module->name);
    return uk_machine_check(vm, UK_BOOTED, err);
}

static struct header header_of(const struct ukvm *vm)
{
    struct header h = {
        .magic = MAGIC,
        .version = VERSION,
        .e_machine = vm->arch->e_machine,
        .mem_size = vm->mem_size,
        .tsc_hz = vm->tsc.hz,
        .events = vm->events,
        .entry = vm->image->entry,
        .abi = vm->image->abi,
        .nregs = (uint32_t)vm->arch->nregs,
    };

    snprintf(h.build_id, sizeof(h.build_id), "%s", vm->image->build_id);
    return h;
}

/* --- saving ------------------------------------------------------------------------------ */

static bool save_regs(const struct ukvm *vm, FILE *f)
{
    for (size_t i = 0; i < vm->arch->nregs; i++) {
        const struct ukvm_reg *r = &vm->arch->regs[i];
        struct reg_record rec = {.size = r->size};

        if (r->size > sizeof(rec.bytes))
            return false;
        snprintf(rec.name, sizeof(rec.name), "%s", r->name);
        memcpy(rec.bytes, (const uint8_t *)vm->vcpu.st + r->offset, r->size);
        if (fwrite(&rec, sizeof(rec), 1, f) != 1)
            return false;
    }
    return true;
}

static bool zero_page(const uint8_t *p)
{
    return p[0] == 0 && memcmp(p, p + 1, PAGE - 1) == 0;
}

static bool save_pages(const struct ukvm *vm, FILE *f)
{
    struct page_run run = {0};
    size_t end;

    for (size_t at = 0; at < vm->mem_size; at = end) {
        end = at;
        while (end < vm->mem_size && !zero_page(vm->mem + end))
            end += PAGE;
        if (end == at) {
            end += PAGE;
            continue;
        }
        run = (struct page_run){at, end - at};
        if (fwrite(&run, sizeof(run), 1, f) != 1 || fwrite(vm->mem + at, run.len, 1, f) != 1)
            return false;
    }
    run = (struct page_run){0};
    return fwrite(&run, sizeof(run), 1, f) == 1;
}

static bool save_all(const struct ukvm *vm, FILE *f)
{
    struct header h = header_of(vm);

    return fwrite(&h, sizeof(h), 1, f) == 1 && save_regs(vm, f) && save_pages(vm, f) &&
           fflush(f) == 0 && fsync(fileno(f)) == 0;
}

int ukvm_save(struct ukvm *vm, const char *path, struct ukvm_error *err)
{
    char aside[4096];
    bool ok;
    FILE *f;
    int fd, rc = check(vm, err);

    if (rc == UKVM_OK)
        rc = uk_vcpu_read(vm, UKVM_ALL, err);
    if (rc != UKVM_OK)
        return rc;
    if (snprintf(aside, sizeof(aside), "%s.XXXXXX", path) >= (int)sizeof(aside))
        return uk_error(err, UKVM_EINVAL, "%.80s...: path too long", path);
    fd = mkstemp(aside);
    f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!f)
        return uk_error_sys(err, NULL, "%s", path);
    ok = save_all(vm, f);
    ok = fclose(f) == 0 && ok && rename(aside, path) == 0;
    if (ok)
        return UKVM_OK;
    rc = uk_error_sys(err, NULL, "%s", path);
    unlink(aside);
    return rc;
}

/* --- restoring ----------------------------------------------------------------------------- */

static int damaged(const char *path, const char *what, struct ukvm_error *err)
{
    return uk_error(err, UKVM_EFILE, "%s: damaged snapshot: %s", path, what);
}

static int check_header(const struct ukvm *vm, const struct header *h, const char *path,
                        struct ukvm_error *err)
{
    struct header want = header_of(vm);

    if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0)
        return uk_error(err, UKVM_EFILE, "%s: not a snapshot", path);
    if (h->version != VERSION)
        return uk_error(err, UKVM_EFILE, "%s: snapshot of version %u: this reads %u", path,
                        h->version, VERSION);
    if (h->e_machine != want.e_machine || h->entry != want.entry || h->abi != want.abi ||
        memcmp(h->build_id, want.build_id, sizeof(h->build_id)) != 0)
        return uk_error(err, UKVM_EFILE, "%s: snapshot of another image", path);
    if (h->mem_size != want.mem_size)
        return uk_error(err, UKVM_EFILE,
                        "%s: snapshot of %llu MiB, the machine has %zu; --mem=%llu", path,
                        (unsigned long long)(h->mem_size >> 20), vm->mem_size >> 20,
                        (unsigned long long)(h->mem_size >> 20));
    if (h->tsc_hz != want.tsc_hz)
        return uk_error(err, UKVM_EFILE, "%s: its clock ran at %llu kHz, this backend's at %llu",
                        path, (unsigned long long)(h->tsc_hz / 1000),
                        (unsigned long long)(want.tsc_hz / 1000));
    return UKVM_OK;
}

static int restore_regs(struct ukvm *vm, const struct header *h, FILE *f, const char *path,
                        struct ukvm_error *err)
{
    struct reg_record rec;

    for (uint32_t i = 0; i < h->nregs; i++) {
        const struct ukvm_reg *r;

        if (fread(&rec, sizeof(rec), 1, f) != 1)
            return damaged(path, "ends within registers", err);
        rec.name[sizeof(rec.name) - 1] = '\0';
        r = ukvm_reg_find(vm, rec.name);
        if (!r || r->size != rec.size)
            return damaged(path, "a register that is none", err);
        memcpy((uint8_t *)vm->vcpu.st + r->offset, rec.bytes, r->size);
    }
    return UKVM_OK;
}

static int restore_pages(struct ukvm *vm, FILE *f, const char *path, struct ukvm_error *err)
{
    struct page_run run;

    memset(vm->mem, 0, vm->mem_size);
    for (;;) {
        if (fread(&run, sizeof(run), 1, f) != 1)
            return damaged(path, "ends without its end mark", err);
        if (run.len == 0)
            return UKVM_OK;
        if (run.gpa % PAGE || run.len % PAGE || run.gpa >= vm->mem_size ||
            run.len > vm->mem_size - run.gpa)
            return damaged(path, "memory that is none", err);
        if (fread(vm->mem + run.gpa, run.len, 1, f) != 1)
            return damaged(path, "ends within memory", err);
    }
}

static int restore_all(struct ukvm *vm, FILE *f, const char *path, struct ukvm_error *err)
{
    struct header h;
    int rc;

    if (fread(&h, sizeof(h), 1, f) != 1)
        return uk_error(err, UKVM_EFILE, "%s: not a snapshot", path);
    rc = check_header(vm, &h, path, err);
    if (rc == UKVM_OK)
        rc = uk_vcpu_write(vm, UKVM_ALL, err);
    if (rc == UKVM_OK)
        rc = restore_regs(vm, &h, f, path, err);
    if (rc == UKVM_OK)
        rc = restore_pages(vm, f, path, err);
    vm->hv->ops->wrote(vm->hv, 0, vm->mem_size);
    vm->pending.active = false;
    vm->events = rc == UKVM_OK ? h.events : vm->events;
    return rc;
}

int ukvm_restore(struct ukvm *vm, const char *path, struct ukvm_error *err)
{
    int rc = check(vm, err);
    FILE *f;

    if (rc != UKVM_OK)
        return rc;
    f = fopen(path, "rbe");
    if (!f)
        return errno == ENOENT ? uk_error(err, UKVM_ENOENT, "%s: no such file", path)
                               : uk_error_sys(err, NULL, "%s", path);
    rc = restore_all(vm, f, path, err);
    fclose(f);
    return rc;
}
