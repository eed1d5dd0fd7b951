/* SPDX-License-Identifier: ISC */
/*
 * tables.c: may the child's mappings stand for the guest's page tables? Only if those
 * are the boot map: memory one to one and writable, nothing below UK_NATIVE_FIRST, and
 * the tables themselves there, where the guest can't change them.
 */
#include "core/arch.h"
#include "hv/native/native.h"

#include <inttypes.h>
#include <stdio.h>

#define BIG        UINT64_C(0x200000)
#define ADDR       UINT64_C(0x000ffffffffff000)
#define PS         UINT64_C(0x80)
#define CR0_NO_FPU UINT64_C(0xc) /* EM, TS: the next use is #NM, which CPL 3 would not get */

/* The table that maps (gva) at (level) 3 to 0 lies in the hole, and those above it. */
static bool hidden(const struct ukvm_hv *hv, ukvm_gva_t gva, int last)
{
    struct ukvm_mem mem = {hv->mem, hv->mem_size};
    ukvm_gpa_t table = hv->b->st.cr3 & ADDR;
    uint64_t e;

    for (int level = 3; level >= last; level--) {
        if (table >= UK_NATIVE_FIRST ||
            !uk_x86_load64(mem, table + 8 * ((gva >> (12 + 9 * level)) & 511), &e))
            return false;
        if (level < 3 && (e & PS))
            return true;
        table = e & ADDR;
    }
    return true;
}

static bool one_to_one(const struct ukvm_hv *hv, ukvm_gva_t gva, size_t *size)
{
    struct ukvm_mem mem = {hv->mem, hv->mem_size};
    struct ukvm_walk w;

    uk_x86_walk((const struct ukvm_state *)(const void *)&hv->b->st, mem, gva, UKVM_ACCESS_WRITE,
                &w);
    *size = w.page_size;
    return w.ok && w.gpa == gva && (w.prot & UKVM_PROT_X);
}

static bool mapped(const struct ukvm_hv *hv, ukvm_gva_t gva)
{
    struct ukvm_mem mem = {hv->mem, hv->mem_size};
    struct ukvm_walk w;

    uk_x86_walk((const struct ukvm_state *)(const void *)&hv->b->st, mem, gva, UKVM_ACCESS_READ,
                &w);
    return w.mapped;
}

bool uk_native_tables(const struct ukvm_hv *hv, char *why, size_t size)
{
    const struct ukvm_x86_state *st = &hv->b->st;
    ukvm_gva_t gva;
    size_t page;

    if (!(st->cr0 & UKVM_CR0_PG) || !(st->efer & UKVM_EFER_LMA)) {
        snprintf(why, size, "without paging in long mode it can't run");
        return false;
    }
    if (!hidden(hv, 0, 3)) {
        snprintf(why, size, "page tables of the guest's own (CR3 0x%" PRIx64 ")", st->cr3);
        return false;
    }
    if (st->cr0 & CR0_NO_FPU) {
        snprintf(why, size, "floating point is switched off (CR0 0x%" PRIx64 ")", st->cr0);
        return false;
    }
    for (gva = 0; gva < UK_NATIVE_FIRST; gva += UK_NATIVE_PAGE)
        if (mapped(hv, gva)) {
            snprintf(why, size, "0x%" PRIx64 " is mapped, below 0x10000", gva);
            return false;
        }
    for (; gva < hv->mem_size; gva += page) {
        if (!one_to_one(hv, gva, &page) || !hidden(hv, gva, page < BIG ? 0 : 1)) {
            snprintf(why, size, "page tables of the guest's own (CR3 0x%" PRIx64 ")", st->cr3);
            return false;
        }
        page -= gva & (page - 1);
    }
    return true;
}
