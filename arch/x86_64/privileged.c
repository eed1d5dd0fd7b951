/* SPDX-License-Identifier: ISC */
/*
 * privileged.c: instructions that need privilege, executed for backends whose guests
 * have none. A table; what each does is its "Operation" in SDM vol. 2. What depends on
 * another address space or level than the guest's one is left unsupported.
 */
#include "arch/x86_64/emulate.h"

#include <string.h>

#define RFLAGS_IOPL   UINT64_C(0x3000)
#define CR0_TS        UINT64_C(8)
#define CR0_ET        UINT64_C(0x10)
#define CR0_NW        UINT64_C(0x20000000)
#define CR0_CD        UINT64_C(0x40000000)
#define CR4_DE        UINT64_C(8)
#define EFER_LME      UINT64_C(0x100)
#define EFER_WRITABLE UINT64_C(0x6901) /* SCE, LME, NXE, and AMD's LMSLE and FFXSR */
#define DR6_FIXED     UINT64_C(0xffff0ff0)
#define DR6_WRITABLE  UINT64_C(0xe00f)
#define DR7_FIXED     UINT64_C(0x400)
#define DR7_ZERO      UINT64_C(0xd000)
#define DR7_GD        UINT64_C(0x2000)

static bool privileged(const struct uk_x86_run *r)
{
    return (r->st->seg[UKVM_CS].selector & 3) == 0;
}

static enum ukvm_answer gp(struct uk_x86_run *r)
{
    return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
}

static enum ukvm_answer ud(struct uk_x86_run *r)
{
    return uk_x86_raise(r, UK_X86_UD, false, 0, 0);
}

static enum ukvm_answer changed(struct uk_x86_run *r, unsigned groups)
{
    r->ex->changed = groups;
    return UKVM_DONE;
}

/* --- flags, interrupts ------------------------------------------------------------- */

/* CLI, STI. */
static enum ukvm_answer interrupt_flag(struct uk_x86_run *r)
{
    unsigned cpl = r->st->seg[UKVM_CS].selector & 3;

    if (cpl > (r->st->rflags & RFLAGS_IOPL) >> 12)
        return gp(r);
    if (r->i.op == 0xfa)
        r->st->rflags &= ~(uint64_t)UKVM_RFLAGS_IF;
    else
        r->st->rflags |= UKVM_RFLAGS_IF;
    return UKVM_DONE;
}

/* INT n has run when its handler begins. */
static enum ukvm_answer int_n(struct uk_x86_run *r)
{
    r->ex->pc = r->st->rip;
    r->ex->next = r->st->rip + r->i.at;
    r->ex->vector = (uint8_t)r->i.imm;
    r->ex->has_code = false;
    r->ex->code = 0;
    r->ex->addr = 0;
    return UKVM_EXCEPTION;
}

/* Without caches and translations of our own: INVD, WBINVD, INVLPG. */
static enum ukvm_answer nothing(struct uk_x86_run *r)
{
    return privileged(r) ? UKVM_DONE : gp(r);
}

static enum ukvm_answer unsupported(struct uk_x86_run *r)
{
    (void)r;
    return UKVM_UNSUPPORTED;
}

/* --- descriptor tables -------------------------------------------------------------- */

/* LGDT, LIDT. */
static enum ukvm_answer load_table(struct uk_x86_run *r)
{
    struct ukvm_x86_table *to = (r->i.reg & 7) == 2 ? &r->st->gdt : &r->st->idt;
    struct uk_x86_fault f;
    uint8_t bytes[10];
    uint16_t limit;
    uint64_t base;

    if (!r->i.mem)
        return UKVM_UNSUPPORTED; /* other instructions share the opcode */
    if (!privileged(r))
        return gp(r);
    if (!uk_x86_read(r->st, r->mem, uk_x86_insn_address(&r->i, r->st), bytes, sizeof(bytes), false,
                     &f))
        return uk_x86_raise(r, f.vector, true, f.code, f.addr);
    memcpy(&limit, bytes, sizeof(limit));
    memcpy(&base, bytes + 2, sizeof(base));
    if (!uk_x86_canonical(base))
        return gp(r);
    *to = (struct ukvm_x86_table){.base = base, .limit = limit};
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer invlpg(struct uk_x86_run *r)
{
    return r->i.mem ? nothing(r) : UKVM_UNSUPPORTED;
}

/* --- control registers --------------------------------------------------------------- */

static enum ukvm_answer clts(struct uk_x86_run *r)
{
    if (!privileged(r))
        return gp(r);
    r->st->cr0 &= ~CR0_TS;
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer set_cr0(struct uk_x86_run *r, uint64_t v)
{
    if (v >> 32 || ((v & UKVM_CR0_PG) && !(v & UKVM_CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)) ||
        !(v & UKVM_CR0_PG)) /* paging is not switched off in 64-bit mode */
        return gp(r);
    r->st->cr0 = v | CR0_ET;
    return changed(r, UKVM_SYS);
}

/* The low four bits; PE stays. */
static enum ukvm_answer lmsw(struct uk_x86_run *r)
{
    enum ukvm_answer a;
    uint64_t v;

    if (!privileged(r))
        return gp(r);
    if (!uk_x86_load_rm(r, 2, &v, &a))
        return a;
    r->st->cr0 = (r->st->cr0 & ~UINT64_C(0xe)) | (v & 0xf);
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer set_cr4(struct uk_x86_run *r, uint64_t v)
{
    if (v >> 32 || !(v & UKVM_CR4_PAE))
        return gp(r);
    r->st->cr4 = v;
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer to_cr(struct uk_x86_run *r)
{
    uint64_t v = r->st->gpr[r->i.rm];

    if (!privileged(r))
        return gp(r);
    if (r->i.reg == 0)
        return set_cr0(r, v);
    if (r->i.reg == 4)
        return set_cr4(r, v);
    if (r->i.reg == 2)
        r->st->cr2 = v;
    else if (r->i.reg == 3 && !(v >> 52))
        r->st->cr3 = v;
    else if (r->i.reg == 8 && v <= 15)
        r->st->cr8 = v;
    else
        return r->i.reg == 3 || r->i.reg == 8 ? gp(r) : ud(r);
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer from_cr(struct uk_x86_run *r)
{
    const struct ukvm_x86_state *st = r->st;
    const uint64_t *const regs[16] = {
        [0] = &st->cr0, [2] = &st->cr2, [3] = &st->cr3, [4] = &st->cr4, [8] = &st->cr8};

    if (!regs[r->i.reg])
        return ud(r);
    if (!privileged(r))
        return gp(r);
    r->st->gpr[r->i.rm] = *regs[r->i.reg];
    return UKVM_DONE;
}

/* --- debug registers -------------------------------------------------------------------- */

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them #UD (SDM vol. 3, 17.2.2). */
static uint64_t *dr_of(struct uk_x86_run *r)
{
    if (r->i.reg < 4)
        return &r->st->dr[r->i.reg];
    if (r->i.reg > 7 || (r->i.reg < 6 && (r->st->cr4 & CR4_DE)))
        return NULL;
    return r->i.reg & 1 ? &r->st->dr7 : &r->st->dr6;
}

/* General detection: the access itself traps (SDM vol. 3, 17.2.4). */
static enum ukvm_answer detected(struct uk_x86_run *r)
{
    return uk_x86_raise(r, UK_X86_DB, false, 0, 0);
}

static enum ukvm_answer to_dr(struct uk_x86_run *r)
{
    uint64_t v = r->st->gpr[r->i.rm], *dr = dr_of(r);

    if (!dr)
        return ud(r);
    if (!privileged(r))
        return gp(r);
    if (r->st->dr7 & DR7_GD)
        return detected(r);
    if (r->i.reg >= 4 && v >> 32)
        return gp(r);
    if (dr == &r->st->dr6)
        v = (v & DR6_WRITABLE) | DR6_FIXED;
    else if (dr == &r->st->dr7)
        v = (v & ~DR7_ZERO) | DR7_FIXED;
    *dr = v;
    return changed(r, UKVM_SYS);
}

static enum ukvm_answer from_dr(struct uk_x86_run *r)
{
    const uint64_t *dr = dr_of(r);

    if (!dr)
        return ud(r);
    if (!privileged(r))
        return gp(r);
    if (r->st->dr7 & DR7_GD)
        return detected(r);
    r->st->gpr[r->i.rm] = *dr;
    return UKVM_DONE;
}

/* --- model-specific registers -------------------------------------------------------------- */

/* SDM vol. 4, table 2-2; those that the state has. (address): what is written must be canonical. */
static const struct msr {
    uint32_t nr;
    unsigned group;
    size_t at;
    bool address;
} msrs[] = {
#define MSR(nr, member, address)                                                                   \
    {                                                                                              \
        nr, UKVM_MSR, offsetof(struct ukvm_x86_state, member), address                             \
    }
    MSR(0x10, tsc, false),
    MSR(0x174, sysenter_cs, false),
    MSR(0x175, sysenter_esp, true),
    MSR(0x176, sysenter_eip, true),
    MSR(0x277, pat, false),
    MSR(0xc0000081, star, false),
    MSR(0xc0000082, lstar, true),
    MSR(0xc0000083, cstar, true),
    MSR(0xc0000084, sfmask, false),
    MSR(0xc0000102, kernel_gs_base, true),
    {0xc0000080, UKVM_SYS, offsetof(struct ukvm_x86_state, efer), false},
    {0xc0000100, UKVM_SYS, offsetof(struct ukvm_x86_state, seg[UKVM_FS].base), true},
    {0xc0000101, UKVM_SYS, offsetof(struct ukvm_x86_state, seg[UKVM_GS].base), true},
#undef MSR
};

static const struct msr *find_msr(const struct uk_x86_run *r)
{
    for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        if (msrs[i].nr == (uint32_t)r->st->gpr[UKVM_RCX])
            return &msrs[i];
    return NULL;
}

static enum ukvm_answer rdmsr(struct uk_x86_run *r)
{
    const struct msr *m = find_msr(r);
    uint64_t v;

    if (!privileged(r) || !m)
        return gp(r);
    memcpy(&v, (const uint8_t *)r->st + m->at, sizeof(v));
    r->st->gpr[UKVM_RAX] = (uint32_t)v;
    r->st->gpr[UKVM_RDX] = v >> 32;
    return UKVM_DONE;
}

/* LMA is the processor's; LME does not change while paging is on. */
static bool efer_allowed(const struct ukvm_x86_state *st, uint64_t v)
{
    return !(v & ~(EFER_WRITABLE | UKVM_EFER_LMA)) && !((v ^ st->efer) & EFER_LME);
}

static enum ukvm_answer wrmsr(struct uk_x86_run *r)
{
    const struct msr *m = find_msr(r);
    uint64_t v = (uint32_t)r->st->gpr[UKVM_RAX] | r->st->gpr[UKVM_RDX] << 32;

    if (!privileged(r) || !m || (m->address && !uk_x86_canonical(v)))
        return gp(r);
    if (m->at == offsetof(struct ukvm_x86_state, efer)) {
        if (!efer_allowed(r->st, v))
            return gp(r);
        v = (v & ~(uint64_t)UKVM_EFER_LMA) | (r->st->efer & UKVM_EFER_LMA);
    }
    memcpy((uint8_t *)r->st + m->at, &v, sizeof(v));
    return changed(r, m->group);
}

static enum ukvm_answer swapgs(struct uk_x86_run *r)
{
    uint64_t base = r->st->seg[UKVM_GS].base;

    if (!privileged(r))
        return gp(r);
    r->st->seg[UKVM_GS].base = r->st->kernel_gs_base;
    r->st->kernel_gs_base = base;
    return changed(r, UKVM_SYS | UKVM_MSR);
}

/* --- the table ------------------------------------------------------------------------ */

#define REG(n) (1u << (n))

const struct uk_x86_row uk_x86_privileged[UK_X86_NPRIVILEGED] = {
    {UK_X86_MAP_1, 0x8e, 0x8e, 0, 0, UK_X86_MODRM, uk_x86_mov_sreg},
    {UK_X86_MAP_1, 0x9c, 0x9c, 0, 0, 0, uk_x86_pushf}, /* traps on no account: for steps */
    {UK_X86_MAP_1, 0x9d, 0x9d, 0, 0, 0, uk_x86_popf},
    {UK_X86_MAP_1, 0xca, 0xca, 0, 0, UK_X86_IMM16, uk_x86_far_ret},
    {UK_X86_MAP_1, 0xcb, 0xcb, 0, 0, 0, uk_x86_far_ret},
    {UK_X86_MAP_1, 0xcd, 0xcd, 0, 0, UK_X86_IMM8, int_n},
    {UK_X86_MAP_1, 0xcf, 0xcf, 0, 0, 0, uk_x86_iret},
    {UK_X86_MAP_1, 0xfa, 0xfb, 0, 0, 0, interrupt_flag},
    {UK_X86_MAP_1, 0xff, 0xff, 0, REG(3) | REG(5), UK_X86_MODRM, unsupported}, /* far CALL, JMP */
    {UK_X86_MAP_0F, 0x00, 0x00, 0, REG(2), UK_X86_MODRM, uk_x86_lldt},
    {UK_X86_MAP_0F, 0x00, 0x00, 0, REG(3), UK_X86_MODRM, uk_x86_ltr},
    {UK_X86_MAP_0F, 0x01, 0x01, 0xf8, 0, UK_X86_MODRM, swapgs},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, REG(2) | REG(3), UK_X86_MODRM, load_table},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, REG(6), UK_X86_MODRM, lmsw},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, REG(7), UK_X86_MODRM, invlpg},
    {UK_X86_MAP_0F, 0x06, 0x06, 0, 0, 0, clts},
    {UK_X86_MAP_0F, 0x08, 0x09, 0, 0, 0, nothing}, /* INVD, WBINVD */
    {UK_X86_MAP_0F, 0x20, 0x20, 0, 0, UK_X86_REGS, from_cr},
    {UK_X86_MAP_0F, 0x21, 0x21, 0, 0, UK_X86_REGS, from_dr},
    {UK_X86_MAP_0F, 0x22, 0x22, 0, 0, UK_X86_REGS, to_cr},
    {UK_X86_MAP_0F, 0x23, 0x23, 0, 0, UK_X86_REGS, to_dr},
    {UK_X86_MAP_0F, 0x30, 0x30, 0, 0, 0, wrmsr},
    {UK_X86_MAP_0F, 0x32, 0x32, 0, 0, 0, rdmsr},
    {UK_X86_MAP_0F, 0xa1, 0xa1, 0, 0, 0, uk_x86_pop_sreg},
    {UK_X86_MAP_0F, 0xa9, 0xa9, 0, 0, 0, uk_x86_pop_sreg},
    {UK_X86_MAP_0F, 0xb2, 0xb2, 0, 0, UK_X86_MODRM, unsupported}, /* LSS, LFS, LGS */
    {UK_X86_MAP_0F, 0xb4, 0xb5, 0, 0, UK_X86_MODRM, unsupported},
};
