/* SPDX-License-Identifier: ISC */
/*
 * normalise.c: what two backends may leave different though both ran the guest right:
 * accessed, dirty and busy bits, which processors set when they like; registers that
 * run by themselves; what emulators do not follow.
 */
#include "arch/x86_64/x86.h"

#include <stdlib.h>
#include <string.h>

#define PAGE ((size_t)0x1000)
#define ADDR UINT64_C(0x000ffffffffff000)

enum { P = 1, ACCESSED_DIRTY = 0x60, PS = 0x80 }; /* SDM vol. 3, 4.8 */

/* --- page tables ----------------------------------------------------------------- */

struct tables {
    struct ukvm_mem mem;
    uint8_t *seen; /* a byte a page, a bit a level: tables may form loops */
};

/* (level) 3 to 0. */
static void clear_table(struct tables *t, ukvm_gpa_t table, int level)
{
    uint64_t e;

    if (!uk_x86_load64(t->mem, table + PAGE - 8, &e) || t->seen[table / PAGE] & 1 << level)
        return;
    t->seen[table / PAGE] |= (uint8_t)(1 << level);
    for (size_t i = 0; i < PAGE; i += 8) {
        memcpy(&e, t->mem.p + table + i, 8);
        if (!(e & P))
            continue;
        e &= ~(uint64_t)ACCESSED_DIRTY;
        memcpy(t->mem.p + table + i, &e, 8);
        if (level > 0 && !(level < 3 && (e & PS)))
            clear_table(t, e & ADDR, level - 1);
    }
}

static void clear_tables(const struct ukvm_x86_state *st, struct ukvm_mem mem)
{
    struct tables t = {.mem = mem, .seen = calloc(mem.size / PAGE + 1, 1)};

    if (t.seen && (st->cr0 & UKVM_CR0_PG))
        clear_table(&t, st->cr3 & ADDR, 3);
    free(t.seen);
}

/* --- the descriptor table --------------------------------------------------------- */

/* Types of system descriptors (SDM vol. 3, table 3-2): those of 16 bytes, and what busy is. */
enum { TYPE_LDT = 2, TYPE_TSS = 9, TYPE_TSS_BUSY = 11, TYPE_CALL_GATE = 12 };
#define DESC_S        (UINT64_C(1) << 44)
#define DESC_P        (UINT64_C(1) << 47)
#define DESC_ACCESSED (UINT64_C(1) << 40)
#define DESC_BUSY     (UINT64_C(1) << 41)

static unsigned type_of(uint64_t desc)
{
    return (desc >> 40) & 15;
}

static bool is_long(uint64_t desc)
{
    unsigned type = type_of(desc);

    return !(desc & DESC_S) && (type == TYPE_LDT || type == TYPE_TSS || type == TYPE_TSS_BUSY ||
                                type == TYPE_CALL_GATE);
}

static uint64_t clean(uint64_t desc)
{
    if (!(desc & DESC_P))
        return desc;
    if (desc & DESC_S)
        return desc & ~DESC_ACCESSED;
    return type_of(desc) == TYPE_TSS_BUSY ? desc & ~DESC_BUSY : desc;
}

/* Where the 8 bytes at (gva) are; false if they are nowhere, or on two pages. */
static bool locate(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                   ukvm_gpa_t *gpa)
{
    struct ukvm_walk w;

    uk_x86_walk_system(st, mem, gva, UKVM_ACCESS_READ, &w);
    *gpa = w.gpa;
    return w.mapped && w.gpa <= mem.size - 8 && (gva & (PAGE - 1)) <= PAGE - 8;
}

static void clear_descriptors(const struct ukvm_x86_state *st, struct ukvm_mem mem)
{
    uint32_t limit = st->gdt.limit & 0xffff;
    ukvm_gpa_t gpa;
    uint64_t desc;

    for (uint32_t at = 0; at + 7 <= limit; at += 8) {
        if (!locate(st, mem, st->gdt.base + at, &gpa))
            continue;
        memcpy(&desc, mem.p + gpa, 8);
        if (is_long(desc))
            at += 8;
        desc = clean(desc);
        memcpy(mem.p + gpa, &desc, 8);
    }
}

/* --- registers ----------------------------------------------------------------------- */

#define CR0_ET UINT64_C(0x10) /* always 1 on processors, whatever is written (SDM vol. 3, 2.5) */

/* The hidden part of a null selector means nothing, but for the bases of FS and GS. */
static void clear_segments(struct ukvm_x86_state *st)
{
    for (unsigned i = 0; i < UKVM_NSEGS; i++) {
        struct ukvm_x86_seg *s = &st->seg[i];

        if (s->attr & UKVM_SEG_UNUSABLE) {
            s->attr = UKVM_SEG_UNUSABLE;
            s->limit = 0;
            if (i != UKVM_FS && i != UKVM_GS)
                s->base = 0;
        } else if (s->attr & UKVM_SEG_S) {
            s->attr |= 1;
        }
    }
    if (!(st->seg[UKVM_TR].attr & UKVM_SEG_UNUSABLE))
        st->seg[UKVM_TR].attr |= 2;
}

/* Exception flags stick or do not; empty registers hold what was there (SDM vol. 1, 8.1, 10.2). */
static void clear_fpu(struct ukvm_x86_state *st)
{
    unsigned top = (st->fsw >> 11) & 7;

    for (unsigned i = 0; i < 8; i++)
        if (!(st->ftw & 1u << ((top + i) & 7)))
            memset(st->st[i], 0, sizeof(st->st[i]));
    st->mxcsr &= ~UINT32_C(0x3f);
    st->fsw &= (uint16_t)~0x82bfu; /* exceptions, their summary (twice), C1 */
    st->fop = 0;
    st->fip = st->fdp = 0;
}

void uk_x86_normalise(struct ukvm_mem mem, struct ukvm_state *st)
{
    struct ukvm_x86_state *s = uk_x86(st);

    clear_tables(s, mem);
    clear_descriptors(s, mem);
    clear_segments(s);
    clear_fpu(s);
    s->cr0 |= CR0_ET;
    s->rflags &= ~(uint64_t)UKVM_RFLAGS_RF;
    s->intr_shadow = 0;
    s->tsc = 0;
}
