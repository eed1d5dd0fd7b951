/* SPDX-License-Identifier: ISC */
/*
 * hypercall.c: what each hypercall is, in one table, and who performs it. Argument
 * checking, messages, and everything that watches the boundary read these rows.
 * Numbers and structs: Solo5 v0.3.1's ukvm_guest.h (family C), and the tree between
 * v0.2.2 and v0.3.0 (family B), which differs in NETINFO and lacks HALT.
 */
#include "core/machine.h"
#include "core/error.h"
#include "core/sites.h"

#include <string.h>

#define B  (1u << UKVM_ABI_B)
#define C  (1u << UKVM_ABI_C)
#define BC (B | C)

#define U64(name, off, dir)                                                                        \
    {                                                                                              \
        name, UKVM_F_U64, dir, off, 8, 0, false                                                    \
    }
#define I32(name, off, dir)                                                                        \
    {                                                                                              \
        name, UKVM_F_I32, dir, off, 4, 0, false                                                    \
    }
#define NSECS(name, off, dir)                                                                      \
    {                                                                                              \
        name, UKVM_F_NSECS, dir, off, 8, 0, false                                                  \
    }
#define BUF(name, off, dir, of)                                                                    \
    {                                                                                              \
        name, UKVM_F_BUF, dir, off, 8, of, (dir) == UKVM_OUT                                       \
    }
#define LEN(name, off, dir)                                                                        \
    {                                                                                              \
        name, UKVM_F_LEN, dir, off, 8, 0, false                                                    \
    }
#define COOKIE(name, off, bytes)                                                                   \
    {                                                                                              \
        name, UKVM_F_COOKIE, UKVM_IN, off, 8, bytes, false                                         \
    }
#define RET(off)                                                                                   \
    {                                                                                              \
        "ret", UKVM_F_RET, UKVM_OUT, off, 4, 0, false                                              \
    }

static const struct ukvm_field walltime[] = {NSECS("nsecs", 0, UKVM_OUT)};
static const struct ukvm_field puts_[] = {BUF("data", 0, UKVM_IN, 1), LEN("len", 8, UKVM_IN)};
static const struct ukvm_field poll_[] = {NSECS("timeout_nsecs", 0, UKVM_IN), RET(8)};
static const struct ukvm_field blkinfo[] = {
    U64("sector_size", 0, UKVM_OUT),
    U64("num_sectors", 8, UKVM_OUT),
    I32("rw", 16, UKVM_OUT),
};
static const struct ukvm_field blkwrite[] = {
    U64("sector", 0, UKVM_IN),
    BUF("data", 8, UKVM_IN, 2),
    LEN("len", 16, UKVM_IN),
    RET(24),
};
static const struct ukvm_field blkread[] = {
    U64("sector", 0, UKVM_IN),
    BUF("data", 8, UKVM_OUT, 2),
    LEN("len", 16, UKVM_INOUT),
    RET(24),
};
static const struct ukvm_field netinfo_b[] = {{"mac", UKVM_F_STRING, UKVM_OUT, 0, 18, 0, false}};
static const struct ukvm_field netinfo_c[] = {{"mac", UKVM_F_MAC, UKVM_OUT, 0, 6, 0, false}};
static const struct ukvm_field netwrite[] = {
    BUF("data", 0, UKVM_IN, 1),
    LEN("len", 8, UKVM_IN),
    RET(16),
};
static const struct ukvm_field netread[] = {
    BUF("data", 0, UKVM_OUT, 1),
    LEN("len", 8, UKVM_INOUT),
    RET(16),
};
static const struct ukvm_field halt[] = {
    COOKIE("cookie", 0, 512),
    I32("exit_status", 8, UKVM_IN),
};
static const struct ukvm_field tsc[] = {U64("value", 0, UKVM_OUT)};

#define ROW(name, abis, nr, size, fields, block, needs)                                            \
    {                                                                                              \
        name, abis, nr, size, sizeof(fields) / sizeof((fields)[0]), block, fields, needs           \
    }

static const struct ukvm_call_desc rows[] = {
    ROW("walltime", BC, 1, 8, walltime, false, NULL),
    ROW("puts", BC, 2, 16, puts_, true, NULL),
    ROW("poll", BC, 3, 16, poll_, true, NULL),
    ROW("blkinfo", BC, 4, 24, blkinfo, false, "--disk=FILE"),
    ROW("blkwrite", BC, 5, 32, blkwrite, false, "--disk=FILE"),
    ROW("blkread", BC, 6, 32, blkread, false, "--disk=FILE"),
    ROW("netinfo", B, 7, 18, netinfo_b, false, "--net=user"),
    ROW("netinfo", C, 7, 6, netinfo_c, false, "--net=user"),
    ROW("netwrite", BC, 8, 24, netwrite, false, "--net=user"),
    ROW("netread", BC, 9, 24, netread, false, "--net=user"),
    ROW("halt", C, 10, 16, halt, false, NULL),
    ROW("tsc", 0, UKVM_NR_SITES + UKVM_SITE_TSC, 8, tsc, false, NULL),
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static bool has(const struct ukvm *vm, const struct ukvm_call_desc *d)
{
    return d->abis == 0 || (d->abis & (1u << vm->image->abi));
}

const struct ukvm_call_desc *ukvm_call_find(const struct ukvm *vm, const char *name)
{
    for (size_t i = 0; i < NROWS; i++)
        if (has(vm, &rows[i]) && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

const struct ukvm_call_desc *ukvm_call_at(const struct ukvm *vm, size_t i)
{
    for (size_t nr = 0; nr < UKVM_NR_MAX; nr++)
        if (vm->handler[nr].desc && i-- == 0)
            return vm->handler[nr].desc;
    for (size_t s = 0; s < UKVM_SITE_NSITES; s++)
        if (vm->site[s].desc && i-- == 0)
            return vm->site[s].desc;
    return NULL;
}

/* The place of hypercall or pseudo row (nr); NULL if it is out of range. */
static struct uk_handler *place(struct ukvm *vm, unsigned nr)
{
    if (nr > 0 && nr < UKVM_NR_MAX)
        return &vm->handler[nr];
    if (nr >= UKVM_NR_SITES && nr < UKVM_NR_SITES + UKVM_SITE_NSITES)
        return &vm->site[nr - UKVM_NR_SITES];
    return NULL;
}

int uk_hypercall_register_rows(struct ukvm *vm, struct ukvm_error *err)
{
    for (size_t i = 0; i < NROWS; i++) {
        struct uk_handler *h = place(vm, rows[i].nr);

        if (!has(vm, &rows[i]))
            continue;
        if (!h || h->desc || rows[i].arg_size > UKVM_CALL_ARG_MAX)
            return uk_error(err, UKVM_EINVAL, "hypercall table: %s: bad row", rows[i].name);
        h->desc = &rows[i];
    }
    return UKVM_OK;
}

/* A descriptor is a user's: its offsets must lie inside its own argument struct. */
static int check_desc(const struct ukvm_call_desc *d, struct ukvm_error *err)
{
    if (d->arg_size == 0 || d->arg_size > UKVM_CALL_ARG_MAX)
        return uk_error(err, UKVM_EINVAL, "hypercall %s: arg_size %u: 1 to %d bytes", d->name,
                        d->arg_size, UKVM_CALL_ARG_MAX);
    for (unsigned i = 0; i < d->nfields; i++) {
        const struct ukvm_field *f = &d->fields[i];

        if (f->offset + f->size > d->arg_size)
            return uk_error(err, UKVM_EINVAL, "hypercall %s: field %s: ends beyond arg_size %u",
                            d->name, f->name, d->arg_size);
        if (f->kind == UKVM_F_BUF && f->of >= d->nfields)
            return uk_error(err, UKVM_EINVAL, "hypercall %s: field %s: no length field %u", d->name,
                            f->name, f->of);
    }
    return UKVM_OK;
}

int ukvm_core_register_hypercall(struct ukvm *vm, const struct ukvm_call_desc *desc,
                                 ukvm_hypercall_fn_t *fn, void *self, struct ukvm_error *err)
{
    struct uk_handler *h = place(vm, desc->nr);
    int rc = check_desc(desc, err);

    if (rc != UKVM_OK)
        return rc;
    if (!h)
        return uk_error(err, UKVM_EINVAL, "hypercall %s: number %u: 1 to %d", desc->name, desc->nr,
                        UKVM_NR_MAX - 1);
    if (h->fn || (h->desc && h->desc != desc))
        return uk_error(err, UKVM_ESTATE, "hypercall %s: number %u: taken by %s", desc->name,
                        desc->nr, h->desc->name);
    *h = (struct uk_handler){desc, fn, self};
    return UKVM_OK;
}
