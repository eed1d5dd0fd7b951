/* SPDX-License-Identifier: ISC */
/*
 * x86_64.c: the emulator's registers as vCPU state, both ways. What the engine has no
 * interface for lies in its saved context, at offsets that calibration found.
 */
#include <string.h>

#include "arch/x86_64/state.h"
#include "hv/emu/emu.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A register of the engine and the field of the state that it is. */
struct field {
    int id;
    uint16_t offset;
};
#define AT(member) offsetof(struct ukvm_x86_state, member)

static const struct field gprs[] = {
    {UC_X86_REG_RAX, AT(gpr[0])},  {UC_X86_REG_RCX, AT(gpr[1])},  {UC_X86_REG_RDX, AT(gpr[2])},
    {UC_X86_REG_RBX, AT(gpr[3])},  {UC_X86_REG_RSP, AT(gpr[4])},  {UC_X86_REG_RBP, AT(gpr[5])},
    {UC_X86_REG_RSI, AT(gpr[6])},  {UC_X86_REG_RDI, AT(gpr[7])},  {UC_X86_REG_R8, AT(gpr[8])},
    {UC_X86_REG_R9, AT(gpr[9])},   {UC_X86_REG_R10, AT(gpr[10])}, {UC_X86_REG_R11, AT(gpr[11])},
    {UC_X86_REG_R12, AT(gpr[12])}, {UC_X86_REG_R13, AT(gpr[13])}, {UC_X86_REG_R14, AT(gpr[14])},
    {UC_X86_REG_R15, AT(gpr[15])},
};

static const struct field controls[] = {
    {UC_X86_REG_CR0, AT(cr0)},   {UC_X86_REG_CR2, AT(cr2)},   {UC_X86_REG_CR3, AT(cr3)},
    {UC_X86_REG_CR4, AT(cr4)},   {UC_X86_REG_DR0, AT(dr[0])}, {UC_X86_REG_DR1, AT(dr[1])},
    {UC_X86_REG_DR2, AT(dr[2])}, {UC_X86_REG_DR3, AT(dr[3])}, {UC_X86_REG_DR6, AT(dr6)},
    {UC_X86_REG_DR7, AT(dr7)},
};

static const struct field xmms[] = {
    {UC_X86_REG_XMM0, AT(xmm[0])},   {UC_X86_REG_XMM1, AT(xmm[1])},
    {UC_X86_REG_XMM2, AT(xmm[2])},   {UC_X86_REG_XMM3, AT(xmm[3])},
    {UC_X86_REG_XMM4, AT(xmm[4])},   {UC_X86_REG_XMM5, AT(xmm[5])},
    {UC_X86_REG_XMM6, AT(xmm[6])},   {UC_X86_REG_XMM7, AT(xmm[7])},
    {UC_X86_REG_XMM8, AT(xmm[8])},   {UC_X86_REG_XMM9, AT(xmm[9])},
    {UC_X86_REG_XMM10, AT(xmm[10])}, {UC_X86_REG_XMM11, AT(xmm[11])},
    {UC_X86_REG_XMM12, AT(xmm[12])}, {UC_X86_REG_XMM13, AT(xmm[13])},
    {UC_X86_REG_XMM14, AT(xmm[14])}, {UC_X86_REG_XMM15, AT(xmm[15])},
};

/* SDM vol. 4, table 2-2. */
static const struct {
    uint32_t msr;
    uint16_t offset;
} msrs[] = {
    {0xc0000102, AT(kernel_gs_base)}, {0xc0000081, AT(star)},    {0xc0000082, AT(lstar)},
    {0xc0000083, AT(cstar)},          {0xc0000084, AT(sfmask)},  {0x174, AT(sysenter_cs)},
    {0x175, AT(sysenter_esp)},        {0x176, AT(sysenter_eip)}, {0x277, AT(pat)},
};

static void read_fields(uc_engine *uc, const struct field *f, size_t n, struct ukvm_x86_state *st)
{
    int ids[16];
    void *vals[16];

    for (size_t i = 0; i < n; i++) {
        ids[i] = f[i].id;
        vals[i] = (uint8_t *)st + f[i].offset;
    }
    uc_reg_read_batch(uc, ids, vals, (int)n);
}

static void write_fields(uc_engine *uc, const struct field *f, size_t n,
                         const struct ukvm_x86_state *st)
{
    int ids[16];
    const void *vals[16];

    for (size_t i = 0; i < n; i++) {
        ids[i] = f[i].id;
        vals[i] = (const uint8_t *)st + f[i].offset;
    }
    uc_reg_write_batch(uc, ids, (void *const *)vals, (int)n);
}

uint64_t uk_emu_x86_pc(struct ukvm_hvb *b)
{
    uint64_t pc = 0;

    uc_reg_read(b->uc, UC_X86_REG_RIP, &pc);
    return pc;
}

/* --- general registers ------------------------------------------------------------ */

/* The engine leaves RF set where the processor clears it, after an instruction. */
static void get_gpr(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    uint32_t flags = 0;

    read_fields(b->uc, gprs, LEN(gprs), st);
    uc_reg_read(b->uc, UC_X86_REG_EFLAGS, &flags);
    st->rflags = flags & ~UKVM_RFLAGS_RF;
    if (b->rf_set && b->rf_count == b->count)
        st->rflags |= UKVM_RFLAGS_RF;
    st->rip = b->pc;
}

static void set_gpr(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    uint64_t flags = st->rflags & ~(uint64_t)UKVM_RFLAGS_RF;

    write_fields(b->uc, gprs, LEN(gprs), st);
    uc_reg_write(b->uc, UC_X86_REG_EFLAGS, &flags);
    uc_reg_write(b->uc, UC_X86_REG_RIP, &st->rip);
    b->pc = st->rip;
    b->rf_set = st->rflags & UKVM_RFLAGS_RF;
    b->rf_count = b->count;
}

/* --- system registers ------------------------------------------------------------- */

/* The engine's segment cache: flags are the descriptor's upper half. */
struct cache {
    uint32_t selector;
    uint64_t base;
    uint32_t limit, flags;
};
_Static_assert(sizeof(struct cache) == UK_EMU_SEG, "segment cache");

/* In the engine's order: LDTR and TR follow GS, GDTR and IDTR follow them. */
enum { LDT_AT = 6, GDT_AT = 8, IDT_AT = 9 };
_Static_assert((int)UKVM_LDTR == LDT_AT && (int)UKVM_TR == LDT_AT + 1, "segment order");

enum { TSS_AVAILABLE = 9, TSS_BUSY = 0xb };

static struct cache *cache(struct ukvm_hvb *b, size_t i)
{
    return (struct cache *)(void *)((uint8_t *)b->ctx + b->blob.segs + i * UK_EMU_SEG);
}

static void get_segments(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    for (size_t i = 0; i < UKVM_NSEGS; i++) {
        const struct cache *c = cache(b, i);

        st->seg[i] = (struct ukvm_x86_seg){
            .base = c->base,
            .limit = c->limit,
            .selector = (uint16_t)c->selector,
            .attr = (uint16_t)((c->flags >> 8) & 0xf0ff),
        };
        if (!(st->seg[i].attr & UKVM_SEG_P))
            st->seg[i].attr = UKVM_SEG_UNUSABLE;
    }
    /* A loaded TR is busy (SDM vol. 3, 8.2.2); the engine marks the descriptor only. */
    if ((st->seg[UKVM_TR].attr & (UKVM_SEG_S | UKVM_SEG_TYPE)) == TSS_AVAILABLE)
        st->seg[UKVM_TR].attr |= TSS_BUSY;
    st->gdt = (struct ukvm_x86_table){cache(b, GDT_AT)->base, cache(b, GDT_AT)->limit, 0};
    st->idt = (struct ukvm_x86_table){cache(b, IDT_AT)->base, cache(b, IDT_AT)->limit, 0};
}

static void set_segments(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    for (size_t i = 0; i < UKVM_NSEGS; i++) {
        const struct ukvm_x86_seg *s = &st->seg[i];
        bool usable = !(s->attr & UKVM_SEG_UNUSABLE);

        *cache(b, i) = (struct cache){
            .selector = s->selector,
            .base = s->base,
            .limit = s->limit,
            .flags = usable ? (uint32_t)(s->attr & 0xf0ff) << 8 : 0,
        };
    }
    *cache(b, GDT_AT) = (struct cache){.base = st->gdt.base, .limit = st->gdt.limit};
    *cache(b, IDT_AT) = (struct cache){.base = st->idt.base, .limit = st->idt.limit};
}

/* What translated code depends on: bits of the engine, from the state that implies them. */
enum {
    HF_CPL = 0x3,
    HF_SHADOW = 1 << 3,
    HF_CS32 = 1 << 4,
    HF_SS32 = 1 << 5,
    HF_ADDSEG = 1 << 6,
    HF_PE = 1 << 7,
    HF_CR0 = 7 << 9, /* MP, EM, TS */
    HF_LMA = 1 << 14,
    HF_CS64 = 1 << 15,
    HF_OSFXSR = 1 << 22,
    HF_SMAP = 1 << 23,
    HF_OURS = HF_CPL | HF_CS32 | HF_SS32 | HF_ADDSEG | HF_PE | HF_CR0 | HF_LMA | HF_CS64 |
              HF_OSFXSR | HF_SMAP,
};

static uint32_t hflags_of(const struct ukvm_x86_state *st)
{
    bool lma = st->efer & UKVM_EFER_LMA;
    uint32_t h = st->seg[UKVM_CS].selector & HF_CPL;

    if (lma && (st->seg[UKVM_CS].attr & UKVM_SEG_L))
        h |= HF_CS64 | HF_CS32 | HF_SS32;
    else
        h |= HF_ADDSEG | (st->seg[UKVM_CS].attr & UKVM_SEG_DB ? HF_CS32 : 0) |
             (st->seg[UKVM_SS].attr & UKVM_SEG_DB ? HF_SS32 : 0);
    h |= (lma ? HF_LMA : 0) | (st->cr0 & UKVM_CR0_PE ? HF_PE : 0);
    h |= ((uint32_t)st->cr0 << 8) & HF_CR0;
    h |= (st->cr4 & 0x200 ? HF_OSFXSR : 0) | (st->cr4 & 0x200000 ? HF_SMAP : 0);
    return h;
}

static uint32_t *hflags(struct ukvm_hvb *b)
{
    return (uint32_t *)(void *)((uint8_t *)b->ctx + b->blob.hflags);
}

static void get_sys(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    uc_context_save(b->uc, b->ctx);
    get_segments(b, st);
    memcpy(&st->efer, (uint8_t *)b->ctx + b->blob.efer, sizeof(st->efer));
    read_fields(b->uc, controls, LEN(controls), st);
    st->cr8 = b->cr8;
}

static void set_sys(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    struct ukvm_x86_state was;

    read_fields(b->uc, controls, LEN(controls), &was);
    write_fields(b->uc, controls, LEN(controls), st);
    uc_context_save(b->uc, b->ctx);
    memcpy(&was.efer, (uint8_t *)b->ctx + b->blob.efer, sizeof(was.efer));
    memcpy((uint8_t *)b->ctx + b->blob.efer, &st->efer, sizeof(st->efer));
    set_segments(b, st);
    *hflags(b) = (*hflags(b) & ~(uint32_t)HF_OURS) | hflags_of(st);
    uc_context_restore(b->uc, b->ctx);
    b->cr8 = st->cr8;
    if (was.cr0 != st->cr0 || was.cr3 != st->cr3 || was.cr4 != st->cr4 || was.efer != st->efer)
        uk_emu_mem_flush_tlb(b);
}

/* --- floating point --------------------------------------------------------------- */

static void get_fpu(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    uint16_t tags = 0;
    unsigned top;

    uc_reg_read(b->uc, UC_X86_REG_FPCW, &st->fcw);
    uc_reg_read(b->uc, UC_X86_REG_FPSW, &st->fsw);
    uc_reg_read(b->uc, UC_X86_REG_FPTAG, &tags);
    uc_reg_read(b->uc, UC_X86_REG_MXCSR, &st->mxcsr);
    read_fields(b->uc, xmms, LEN(xmms), st);
    top = (st->fsw >> 11) & 7;
    memset(st->st, 0, sizeof(st->st));
    st->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        uc_reg_read(b->uc, UC_X86_REG_FP0 + (int)((top + i) % 8), st->st[i]);
        if (((tags >> (2 * i)) & 3) != 3)
            st->ftw |= (uint16_t)(1u << i);
    }
    st->fop = b->fop;
    st->fip = b->fip;
    st->fdp = b->fdp;
    st->zero = 0;
}

static void set_fpu(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    unsigned top = (st->fsw >> 11) & 7;
    uint16_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        uc_reg_write(b->uc, UC_X86_REG_FP0 + (int)((top + i) % 8), st->st[i]);
        if (!(st->ftw & (1u << i)))
            tags |= (uint16_t)(3u << (2 * i));
    }
    uc_reg_write(b->uc, UC_X86_REG_FPCW, &st->fcw);
    uc_reg_write(b->uc, UC_X86_REG_FPSW, &st->fsw);
    uc_reg_write(b->uc, UC_X86_REG_FPTAG, &tags);
    uc_reg_write(b->uc, UC_X86_REG_MXCSR, &st->mxcsr);
    write_fields(b->uc, xmms, LEN(xmms), st);
    b->fop = st->fop; /* the engine does not follow these three */
    b->fip = st->fip;
    b->fdp = st->fdp;
}

/* --- the rest --------------------------------------------------------------------- */

static void get_msrs(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    for (size_t i = 0; i < LEN(msrs); i++) {
        uc_x86_msr m = {msrs[i].msr, 0};

        uc_reg_read(b->uc, UC_X86_REG_MSR, &m);
        memcpy((uint8_t *)st + msrs[i].offset, &m.value, sizeof(m.value));
    }
    st->tsc = b->tsc;
}

static void set_msrs(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    for (size_t i = 0; i < LEN(msrs); i++) {
        uc_x86_msr m = {msrs[i].msr, 0};

        memcpy(&m.value, (const uint8_t *)st + msrs[i].offset, sizeof(m.value));
        uc_reg_write(b->uc, UC_X86_REG_MSR, &m);
    }
    b->tsc = st->tsc;
}

/* No interrupt ever comes, so a shadow has no effect but on single steps. */
static void get_event(struct ukvm_hvb *b, struct ukvm_x86_state *st)
{
    uc_context_save(b->uc, b->ctx);
    st->exc_pending = b->exc_pending;
    st->exc_vector = b->exc_vector;
    st->exc_has_code = b->exc_has_code;
    st->exc_code = b->exc_code;
    st->intr_shadow = *hflags(b) & HF_SHADOW ? b->shadow_kind : 0;
}

static void set_event(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    uc_context_save(b->uc, b->ctx);
    *hflags(b) = (*hflags(b) & ~(uint32_t)HF_SHADOW) | (st->intr_shadow ? HF_SHADOW : 0);
    uc_context_restore(b->uc, b->ctx);
    b->shadow_kind = st->intr_shadow ? st->intr_shadow : 1;
    b->exc_pending = st->exc_pending;
    b->exc_vector = st->exc_vector;
    b->exc_has_code = st->exc_has_code;
    b->exc_code = st->exc_code;
}

static const struct {
    unsigned group;
    void (*get)(struct ukvm_hvb *b, struct ukvm_x86_state *st);
    void (*set)(struct ukvm_hvb *b, const struct ukvm_x86_state *st);
} groups_of[] = {
    {UKVM_SYS, get_sys, set_sys},   {UKVM_FPU, get_fpu, set_fpu},
    {UKVM_MSR, get_msrs, set_msrs}, {UKVM_EVENT, get_event, set_event},
    {UKVM_GPR, get_gpr, set_gpr},
};

int uk_emu_x86_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st,
                   struct ukvm_error *err)
{
    (void)err;
    for (size_t i = 0; i < LEN(groups_of); i++)
        if (groups & groups_of[i].group)
            groups_of[i].get(hv->b, (struct ukvm_x86_state *)(void *)st);
    return UKVM_OK;
}

int uk_emu_x86_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
                   struct ukvm_error *err)
{
    (void)err;
    for (size_t i = 0; i < LEN(groups_of); i++)
        if (groups & groups_of[i].group)
            groups_of[i].set(hv->b, (const struct ukvm_x86_state *)(const void *)st);
    return UKVM_OK;
}
