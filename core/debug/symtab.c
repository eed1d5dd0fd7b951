/* SPDX-License-Identifier: ISC */
/*
 * symtab.c: what a machine's image says: symbols by name, by address and by
 * likeness, segments, paths. Depends on the image, not on the vCPU or memory.
 */
#include "core/debug/symtab.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/machine.h"

#define LIKE_MAX 64 /* longer names are compared up to here */
#define UNLIKE   1000u

/* Candidates for "nearest", the best first. */
struct nearest {
    const char **names;
    unsigned score[UK_SYMTAB_NEAREST_MAX];
    size_t n, max;
};

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* Letters to insert, drop, change or swap with the next, to come from (a) to (b). */
static unsigned distance(const char *a, const char *b)
{
    size_t la = strnlen(a, LIKE_MAX), lb = strnlen(b, LIKE_MAX);
    unsigned rows[3][LIKE_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *free_row = before;

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        before = last;
        last = now;
        now = free_row;
    }
    return last[lb];
}

/* How unlike (name) is to what was typed; UNLIKE if nobody can have meant it. */
static unsigned unlikeness(const char *typed, const char *name)
{
    size_t lt = strnlen(typed, LIKE_MAX), ln = strnlen(name, LIKE_MAX);
    size_t differ = lt > ln ? lt - ln : ln - lt;
    unsigned allowed = lt < 4 ? 1 : (unsigned)(lt + 2) / 3;
    unsigned d = UNLIKE;

    if (strcasecmp(typed, name) == 0)
        return 0;
    if (differ <= allowed)
        d = distance(typed, name);
    if (d <= allowed)
        return 2 * d;
    if (lt >= 3 && (strcasestr(name, typed) || (ln >= 3 && strcasestr(typed, name))))
        return 2 + (unsigned)differ;
    return UNLIKE;
}

/* Put (name) at its place among the best. */
static void offer(struct nearest *near, const char *name, unsigned score)
{
    size_t i;

    for (i = 0; i < near->n; i++)
        if (strcmp(near->names[i], name) == 0)
            return;
    if (near->n == near->max && (near->n == 0 || near->score[near->n - 1] <= score))
        return;
    i = near->n < near->max ? near->n++ : near->n - 1;
    for (; i > 0 && near->score[i - 1] > score; i--) {
        near->score[i] = near->score[i - 1];
        near->names[i] = near->names[i - 1];
    }
    near->score[i] = score;
    near->names[i] = name;
}

size_t uk_symtab_nearest(const struct uk_symbols *s, const char *name, const char *names[],
                         size_t max)
{
    struct nearest near = {.names = names};

    near.max = max < UK_SYMTAB_NEAREST_MAX ? max : UK_SYMTAB_NEAREST_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const char *candidate = s->sym[s->by_name[i]].name;
        unsigned score = unlikeness(name, candidate);

        if (score < UNLIKE)
            offer(&near, candidate, score);
    }
    return near.n;
}

const char *uk_symtab_format(const struct uk_symbols *s, ukvm_gva_t addr, char *buf, size_t size)
{
    const struct ukvm_sym *sym = uk_symbols_by_addr(s, addr);

    if (!sym)
        snprintf(buf, size, "0x%" PRIx64, addr);
    else if (addr == sym->addr)
        snprintf(buf, size, "%s", sym->name);
    else
        snprintf(buf, size, "%s+0x%" PRIx64, sym->name, addr - sym->addr);
    return buf;
}

/* A machine made for a test may have no image. */
static const struct uk_symbols *symbols(const struct ukvm *vm)
{
    static const struct uk_symbols none;
    const struct uk_image *image = uk_machine_image(vm);

    return image ? &image->symbols : &none;
}

const struct ukvm_sym *ukvm_sym_at(const struct ukvm *vm, size_t i)
{
    const struct uk_symbols *s = symbols(vm);

    return i < s->n ? &s->sym[i] : NULL;
}

const struct ukvm_sym *ukvm_sym_by_name(const struct ukvm *vm, const char *name)
{
    return uk_symbols_by_name(symbols(vm), name);
}

const struct ukvm_sym *ukvm_sym_by_addr(const struct ukvm *vm, ukvm_gva_t addr)
{
    return uk_symbols_by_addr(symbols(vm), addr);
}

const char *ukvm_sym_format(const struct ukvm *vm, ukvm_gva_t addr, char *buf, size_t size)
{
    return uk_symtab_format(symbols(vm), addr, buf, size);
}

size_t ukvm_sym_nearest(const struct ukvm *vm, const char *name, const char *names[], size_t max)
{
    return uk_symtab_nearest(symbols(vm), name, names, max);
}

int ukvm_segment_at(const struct ukvm *vm, size_t i, struct ukvm_segment *seg)
{
    const struct uk_image *image = uk_machine_image(vm);

    if (!image || i >= image->nseg)
        return UKVM_ENOENT;
    *seg = image->seg[i];
    return UKVM_OK;
}

const char *ukvm_image_path(const struct ukvm *vm)
{
    const struct uk_image *image = uk_machine_image(vm);

    return image ? image->path : "";
}

const char *ukvm_symbols_path(const struct ukvm *vm)
{
    const struct uk_image *image = uk_machine_image(vm);

    return image && image->symbols_path ? image->symbols_path : "";
}

const char *ukvm_build_id(const struct ukvm *vm)
{
    const struct uk_image *image = uk_machine_image(vm);

    return image ? image->build_id : "";
}
