/* SPDX-License-Identifier: ISC */
/*
 * boot.c: what a guest of families B and C finds at its entry: tables, boot
 * information and command line in low memory, and the vCPU's start state (Solo5
 * v0.3, ukvm/ukvm_hv_kvm_x86_64.c and ukvm_cpu_x86_64.h).
 */
#include "arch/x86_64/x86.h"
#include "core/error.h"

#include <string.h>

#define PAGE     0x1000u
#define BIG_PAGE 0x200000u
#define NENTRIES 512u /* of a page table */

#define PML4 0x2000u
#define PDPT 0x3000u
#define PD   0x4000u
#define PT   0x5000u

enum { P = 1, W = 2, A = 0x20, D = 0x40, PS = 0x80 }; /* SDM vol. 3, tables 4-15 to 4-20 */

/* Where the two layouts differ; the rest of low memory is theirs in common. */
struct layout {
    ukvm_gpa_t gdt, info, cmdline;
    bool hole;       /* below 64 KiB nothing is present */
    uint64_t marked; /* accessed bits: set, so that no backend has to */
};

static const struct layout layouts[] = {
    {.gdt = 0x13000, .info = 0x10000, .cmdline = 0x11000, .hole = true, .marked = A},
    {.gdt = 0x1000, .info = 0x5000, .cmdline = 0x6000},
};

static const uint64_t gdt[] = {
    0, 0x00af99000000ffff, /* 64-bit code, execute-only, accessed */
    0x00cf93000000ffff,    /* data */
};

static void put64(struct ukvm_mem mem, ukvm_gpa_t gpa, uint64_t v)
{
    memcpy(mem.p + gpa, &v, sizeof(v));
}

/* The first 2 MiB in small pages, so that the lowest can be absent. */
static void write_first(const struct layout *l, struct ukvm_mem mem)
{
    for (unsigned i = uk_arch_x86_64.hole / PAGE; i < NENTRIES; i++)
        put64(mem, PT + 8 * i, (uint64_t)i * PAGE | l->marked | D | W | P);
    put64(mem, PD, PT | l->marked | W | P);
}

/* Guest memory one to one. */
static void write_tables(const struct layout *l, struct ukvm_mem mem)
{
    uint64_t leaf = l->marked | (l->marked ? D : 0) | PS | W | P;

    memset(mem.p + PML4, 0, PT - PML4);
    put64(mem, PML4, PDPT | l->marked | W | P);
    put64(mem, PDPT, PD | l->marked | W | P);
    for (uint64_t i = 0; i < mem.size / BIG_PAGE; i++)
        put64(mem, PD + 8 * i, i * BIG_PAGE | leaf);
    if (l->hole)
        write_first(l, mem);
}

static void write_info(const struct layout *l, const struct ukvm_boot *b, struct ukvm_mem mem)
{
    put64(mem, l->info, mem.size);
    put64(mem, l->info + 8, b->kernel_end);
    put64(mem, l->info + 16, l->cmdline);
    put64(mem, l->info + 24, b->tsc_hz);
    memcpy(mem.p + l->cmdline, b->cmdline, strlen(b->cmdline) + 1);
    memcpy(mem.p + l->gdt, gdt, sizeof(gdt));
}

/* --- the vCPU ------------------------------------------------------------------- */

static void set_segments(const struct layout *l, struct ukvm_x86_state *st)
{
    for (unsigned i = UKVM_ES; i <= UKVM_GS; i++) {
        st->seg[i].selector = 0x10;
        st->seg[i].limit = 0xffffffff;
        st->seg[i].attr = UKVM_SEG_G | UKVM_SEG_DB | UKVM_SEG_P | UKVM_SEG_S | 3;
    }
    st->seg[UKVM_CS].selector = 0x08;
    st->seg[UKVM_CS].attr = UKVM_SEG_G | UKVM_SEG_L | UKVM_SEG_P | UKVM_SEG_S | 9;
    st->seg[UKVM_TR].attr = UKVM_SEG_P | 11; /* a busy 64-bit TSS */
    st->seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st->gdt.base = l->gdt;
    st->gdt.limit = sizeof(gdt) - 1;
}

/* What the guests do not rely on is as after a reset (SDM vol. 3, table 9-1). */
static void set_state(const struct layout *l, const struct ukvm_boot *b, size_t mem_size,
                      struct ukvm_x86_state *st)
{
    memset(st, 0, sizeof(*st));
    st->rip = b->entry;
    st->rflags = UKVM_RFLAGS_FIXED;
    st->gpr[UKVM_RDI] = l->info;
    st->gpr[UKVM_RSP] = mem_size - 8;
    set_segments(l, st);
    st->cr0 = UKVM_CR0_PG | UKVM_CR0_NE | UKVM_CR0_PE;
    st->cr3 = PML4;
    st->cr4 = UKVM_CR4_PAE | 0x600;   /* OSFXSR, OSXMMEXCPT */
    st->efer = UKVM_EFER_LMA | 0x100; /* LME */
    st->dr6 = 0xffff0ff0;
    st->dr7 = 0x400;
    st->fcw = 0x37f; /* as FNINIT leaves it */
    st->mxcsr = 0x1f80;
    st->pat = 0x0007040600070406;
}

int uk_x86_boot(const struct ukvm_boot *b, struct ukvm_mem mem, struct ukvm_state *st,
                struct ukvm_error *err)
{
    const struct layout *l = &layouts[b->low_original];
    size_t len = strlen(b->cmdline);

    if (mem.size < BIG_PAGE || mem.size % BIG_PAGE || mem.size / BIG_PAGE > NENTRIES)
        return uk_error(
            err, UKVM_EINVAL,
            "guest memory: %zu bytes: one page directory maps 2 MiB to 1 GiB; --mem=512", mem.size);
    if (len > UKVM_CMDLINE_MAX)
        return uk_error(err, UKVM_EINVAL,
                        "Guest command line too long: %zu characters (max=%d characters); "
                        "pass fewer or shorter arguments",
                        len, UKVM_CMDLINE_MAX);
    write_tables(l, mem);
    write_info(l, b, mem);
    set_state(l, b, mem.size, uk_x86(st));
    return UKVM_OK;
}
