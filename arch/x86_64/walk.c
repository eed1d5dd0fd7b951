/* SPDX-License-Identifier: ISC */
/*
 * walk.c: the guest's page tables: four levels (SDM vol. 3, 4.5), pages of 4 KiB,
 * 2 MiB, 1 GiB. Without side effects: no accessed or dirty bit is set. SMEP, SMAP
 * and protection keys, which no guest here turns on, are not looked at.
 */
#include "arch/x86_64/x86.h"

#include <string.h>

#define PAGE 0x1000u
#define ADDR UINT64_C(0x000ffffffffff000)

/* Bits of an entry (SDM vol. 3, tables 4-15 to 4-20). */
#define P  UINT64_C(1)
#define W  UINT64_C(2)
#define U  UINT64_C(4)
#define PS UINT64_C(0x80)
#define NX (UINT64_C(1) << 63)

/* Bits of a page fault's error code (SDM vol. 3, 4.7). */
enum { CODE_P = 1, CODE_W = 2, CODE_U = 4, CODE_RSVD = 8, CODE_I = 16 };

bool uk_x86_canonical(ukvm_gva_t gva)
{
    return gva + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

bool uk_x86_load64(struct ukvm_mem mem, ukvm_gpa_t gpa, uint64_t *v)
{
    if (mem.size < 8 || gpa > mem.size - 8)
        return false;
    memcpy(v, mem.p + gpa, sizeof(*v));
    return true;
}

/* Whether a bit is set that must not be in an entry of that level, 0 being the lowest. */
static bool reserved(const struct ukvm_x86_state *st, uint64_t e, int level)
{
    uint64_t must_be_0 = st->efer & UKVM_EFER_NXE ? 0 : NX;

    if (level == 3)
        must_be_0 |= PS;
    else if (level > 0 && (e & PS)) /* bit 12 is the page's PAT */
        must_be_0 |= ((UINT64_C(1) << (12 + 9 * level)) - 1) & ~UINT64_C(0x1fff);
    return e & must_be_0;
}

static unsigned prot_of(const struct ukvm_x86_state *st, uint64_t rights, bool user)
{
    unsigned prot = 0;

    if (user && !(rights & U))
        return 0;
    if ((rights & W) || (!user && !(st->cr0 & UKVM_CR0_WP)))
        prot |= UKVM_PROT_W;
    if (!(rights & NX))
        prot |= UKVM_PROT_X;
    return prot | UKVM_PROT_R;
}

static bool allows(unsigned prot, enum ukvm_access how)
{
    static const unsigned needs[] = {
        [UKVM_ACCESS_READ] = UKVM_PROT_R,
        [UKVM_ACCESS_WRITE] = UKVM_PROT_W,
        [UKVM_ACCESS_FETCH] = UKVM_PROT_X,
    };

    return prot & needs[how];
}

/* The leaf of (gva), its level and the rights of all entries above it. False: (code) says why. */
static bool find_leaf(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                      uint64_t *leaf, int *level, uint64_t *rights, uint32_t *code)
{
    ukvm_gpa_t table = st->cr3 & ADDR;
    uint64_t e;

    *rights = W | U;
    for (*level = 3;; --*level) {
        if (!uk_x86_load64(mem, table + 8 * ((gva >> (12 + 9 * *level)) & 511), &e) || !(e & P))
            return false;
        if (reserved(st, e, *level)) {
            *code |= CODE_P | CODE_RSVD;
            return false;
        }
        *rights = (*rights & e & (W | U)) | ((*rights | e) & NX);
        if (*level == 0 || (e & PS))
            break;
        table = e & ADDR;
    }
    *leaf = e;
    return true;
}

static void walk(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                 enum ukvm_access how, bool user, struct ukvm_walk *out)
{
    uint64_t leaf, rights;
    int level;

    *out = (struct ukvm_walk){0};
    if (!(st->cr0 & UKVM_CR0_PG)) {
        *out = (struct ukvm_walk){.ok = true, .mapped = true, .gpa = gva, .page_size = PAGE};
        out->prot = UKVM_PROT_R | UKVM_PROT_W | UKVM_PROT_X;
        return;
    }
    if (!uk_x86_canonical(gva)) /* #GP or #SS, not #PF */
        return;
    out->code = (how == UKVM_ACCESS_WRITE ? CODE_W : 0) | (user ? CODE_U : 0);
    if (how == UKVM_ACCESS_FETCH && (st->efer & UKVM_EFER_NXE))
        out->code |= CODE_I;
    if (!find_leaf(st, mem, gva, &leaf, &level, &rights, &out->code))
        return;
    out->mapped = true;
    out->page_size = (size_t)PAGE << (9 * level);
    out->gpa = (leaf & ADDR & ~(uint64_t)(out->page_size - 1)) | (gva & (out->page_size - 1));
    out->prot = prot_of(st, rights, user);
    out->ok = allows(out->prot, how);
    out->code = out->ok ? 0 : out->code | CODE_P;
}

void uk_x86_walk(const struct ukvm_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                 enum ukvm_access how, struct ukvm_walk *out)
{
    bool user = (uk_x86_const(st)->seg[UKVM_CS].selector & 3) == 3;

    walk(uk_x86_const(st), mem, gva, how, user, out);
}

void uk_x86_walk_system(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                        enum ukvm_access how, struct ukvm_walk *out)
{
    walk(st, mem, gva, how, false, out);
}

bool uk_x86_read(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva, void *buf,
                 size_t len, bool system, struct uk_x86_fault *f)
{
    bool user = !system && (st->seg[UKVM_CS].selector & 3) == 3;
    uint8_t *to = buf;
    struct ukvm_walk w;

    for (size_t i = 0; i < len; i++, gva++) {
        if (st->cr0 & UKVM_CR0_PG && !uk_x86_canonical(gva)) {
            *f = (struct uk_x86_fault){.vector = UK_X86_GP, .addr = gva};
            return false;
        }
        if (i == 0 || gva % PAGE == 0)
            walk(st, mem, gva, UKVM_ACCESS_READ, user, &w);
        else
            w.gpa++;
        if (!w.ok || w.gpa >= mem.size) {
            *f = (struct uk_x86_fault){.vector = UK_X86_PF, .code = w.code, .addr = gva};
            return false;
        }
        to[i] = mem.p[w.gpa];
    }
    return true;
}
