/* SPDX-License-Identifier: ISC */
/*
 * x86_64_walk.c: the guest's four-level page tables (SDM vol. 3, 4.5) as the emulator
 * backend reads them: without side effects, for supervisor and user accesses.
 */
#include <string.h>

#include "arch/x86_64/state.h"
#include "hv/emu/emu.h"

#define PTE_P  UINT64_C(1)
#define PTE_W  UINT64_C(2)
#define PTE_U  UINT64_C(4)
#define PTE_PS UINT64_C(0x80)
#define ADDR   UINT64_C(0x000ffffffffff000)

struct regs {
    uint64_t cr0, cr3, cr4, cs;
};

static struct regs read_regs(uc_engine *uc)
{
    struct regs r = {0};

    uc_reg_read(uc, UC_X86_REG_CR0, &r.cr0);
    uc_reg_read(uc, UC_X86_REG_CR3, &r.cr3);
    uc_reg_read(uc, UC_X86_REG_CR4, &r.cr4);
    uc_reg_read(uc, UC_X86_REG_CS, &r.cs);
    return r;
}

static bool entry(const struct ukvm_hvb *b, uint64_t table, unsigned index, uint64_t *e)
{
    if (table > b->mem_size - UK_EMU_PAGE)
        return false;
    memcpy(e, b->mem + table + 8 * index, 8);
    return true;
}

void uk_emu_x86_walk(struct ukvm_hvb *b, uint64_t gva, bool write, struct emu_walk *out)
{
    struct regs r = read_regs(b->uc);
    bool user = (r.cs & 3) == 3;
    uint64_t e = 0, rights = PTE_W | PTE_U, table = r.cr3 & ADDR;
    int level = 3;

    memset(out, 0, sizeof(*out));
    out->code = (write ? 2 : 0) | (user ? 4 : 0);
    if (!(r.cr0 & UKVM_CR0_PG)) {
        *out = (struct emu_walk){.mapped = true, .ok = true, .gpa = gva};
        return;
    }
    for (;; level--) {
        if (!entry(b, table, (gva >> (12 + 9 * level)) & 511, &e) || !(e & PTE_P))
            return;
        rights &= e;
        if (level == 0 || (level < 3 && (e & PTE_PS)))
            break;
        table = e & ADDR;
    }
    out->mapped = true;
    out->gpa = (e & ADDR & ~((UK_EMU_PAGE << (9 * level)) - 1)) |
               (gva & ((UK_EMU_PAGE << (9 * level)) - 1));
    out->ok = (!user || (rights & PTE_U)) &&
              (!write || (rights & PTE_W) || (!user && !(r.cr0 & UKVM_CR0_WP)));
    if (!out->ok)
        out->code |= 1;
}

/* Note the first mapping that is not one to one. */
static void note_mapping(struct ukvm_hvb *b, uint64_t gva, uint64_t gpa)
{
    uint64_t canonical = gva | (gva >> 47 & 1 ? UINT64_C(0xffff000000000000) : 0);

    if (b->odd_mapping || canonical == gpa)
        return;
    b->odd_mapping = true;
    b->odd_gva = canonical;
}

/* Mark the pages that hold page tables: (table) maps (gva) and on. */
static void mark(struct ukvm_hvb *b, uint64_t table, int level, uint64_t gva)
{
    uint64_t e;

    if (table > b->mem_size - UK_EMU_PAGE || (b->pages[table / UK_EMU_PAGE] & EMU_PAGE_TABLE))
        return;
    b->pages[table / UK_EMU_PAGE] |= EMU_PAGE_TABLE;
    for (unsigned i = 0; i < 512; i++, gva += UK_EMU_PAGE << (9 * level)) {
        if (!entry(b, table, i, &e) || !(e & PTE_P))
            continue;
        if (level == 0 || (level < 3 && (e & PTE_PS)))
            note_mapping(b, gva, e & ADDR & ~((UK_EMU_PAGE << (9 * level)) - 1));
        else
            mark(b, e & ADDR, level - 1, gva);
    }
}

void uk_emu_x86_tables(struct ukvm_hvb *b)
{
    struct regs r = read_regs(b->uc);

    for (size_t i = 0; i < b->mem_size / UK_EMU_PAGE; i++)
        b->pages[i] &= (uint8_t)~EMU_PAGE_TABLE;
    b->odd_mapping = false;
    if (r.cr0 & UKVM_CR0_PG)
        mark(b, r.cr3 & ADDR, 3, 0);
    b->odd_mapping = b->odd_mapping && !b->blob.translates;
    b->tables_known = true;
}
