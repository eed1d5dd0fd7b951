/* SPDX-License-Identifier: ISC */
/*
 * x86_64_walk.c: the guest's page tables, as the emulator backend needs them: one
 * address by arch's walk over the engine's registers, and a look at all of them.
 */
#include "arch/x86_64/x86.h"
#include "hv/emu/emu.h"

#define PTE_P    UINT64_C(1)
#define PTE_PS   UINT64_C(0x80)
#define ADDR     UINT64_C(0x000ffffffffff000)
#define MSR_EFER 0xc0000080u

/* What a walk needs of the state. */
static void read_regs(uc_engine *uc, struct ukvm_x86_state *st)
{
    uc_x86_msr efer = {MSR_EFER, 0};

    *st = (struct ukvm_x86_state){0};
    uc_reg_read(uc, UC_X86_REG_CR0, &st->cr0);
    uc_reg_read(uc, UC_X86_REG_CR3, &st->cr3);
    uc_reg_read(uc, UC_X86_REG_CR4, &st->cr4);
    uc_reg_read(uc, UC_X86_REG_CS, &st->seg[UKVM_CS].selector);
    uc_reg_read(uc, UC_X86_REG_MSR, &efer);
    st->efer = efer.value;
}

void uk_emu_x86_walk(struct ukvm_hvb *b, uint64_t gva, enum ukvm_access how, struct ukvm_walk *out)
{
    struct ukvm_mem mem = {b->mem, b->mem_size};
    struct ukvm_x86_state st;

    read_regs(b->uc, &st);
    uk_x86_walk((struct ukvm_state *)(void *)&st, mem, gva, how, out);
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
    struct ukvm_mem mem = {b->mem, b->mem_size};
    uint64_t e;

    if (table > b->mem_size - UK_EMU_PAGE || (b->pages[table / UK_EMU_PAGE] & EMU_PAGE_TABLE))
        return;
    b->pages[table / UK_EMU_PAGE] |= EMU_PAGE_TABLE;
    for (unsigned i = 0; i < 512; i++, gva += UK_EMU_PAGE << (9 * level)) {
        if (!uk_x86_load64(mem, table + 8 * i, &e) || !(e & PTE_P))
            continue;
        if (level == 0 || (level < 3 && (e & PTE_PS)))
            note_mapping(b, gva, e & ADDR & ~((UK_EMU_PAGE << (9 * level)) - 1));
        else
            mark(b, e & ADDR, level - 1, gva);
    }
}

void uk_emu_x86_tables(struct ukvm_hvb *b)
{
    struct ukvm_x86_state st;

    for (size_t i = 0; i < b->mem_size / UK_EMU_PAGE; i++)
        b->pages[i] &= (uint8_t)~EMU_PAGE_TABLE;
    b->odd_mapping = false;
    read_regs(b->uc, &st);
    if (st.cr0 & UKVM_CR0_PG)
        mark(b, st.cr3 & ADDR, 3, 0);
    b->odd_mapping = b->odd_mapping && !b->blob.translates;
    b->tables_known = true;
}
