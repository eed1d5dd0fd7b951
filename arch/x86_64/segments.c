/* SPDX-License-Identifier: ISC */
/*
 * segments.c: loading selectors from the guest's descriptor tables, and the returns that
 * load CS and SS, for backends whose guests run without privilege (SDM vol. 2, MOV, POP,
 * LTR, LLDT, RET, IRET, "Operation"; vol. 3, 5.8 and 5.10).
 */
#include "arch/x86_64/emulate.h"

#include <string.h>

enum { TI = 4, TYPE_CODE = 8, TYPE_CONFORMING = 4, TYPE_WRITABLE = 2, TYPE_ACCESSED = 1 };
enum { TYPE_LDT = 2, TYPE_TSS = 9, TYPE_BUSY = 2 };
#define RFLAGS_IOPL   UINT64_C(0x3000)
#define RFLAGS_LOADED UINT64_C(0x254fd5) /* by IRET: all but IF, IOPL and virtual-8086 ones */

static unsigned cpl(const struct uk_x86_run *r)
{
    return r->st->seg[UKVM_CS].selector & 3;
}

static unsigned dpl(const struct ukvm_x86_seg *s)
{
    return (s->attr & UKVM_SEG_DPL) >> 5;
}

static bool refuse(struct uk_x86_run *r, enum ukvm_answer *a, int vector, uint16_t selector)
{
    *a = uk_x86_raise(r, vector, true, selector & ~3u, 0);
    return false;
}

/* --- descriptors -------------------------------------------------------------------- */

static bool read_system(struct uk_x86_run *r, ukvm_gva_t gva, void *buf, size_t len,
                        enum ukvm_answer *a)
{
    struct uk_x86_fault f;

    if (uk_x86_read(r->st, r->mem, gva, buf, len, true, &f))
        return true;
    *a = uk_x86_raise(r, f.vector, true, f.code, f.addr);
    return false;
}

/* The descriptor (len 8, or 16 for a system's) of (selector); its address in (*at). */
static bool find(struct uk_x86_run *r, uint16_t selector, uint64_t *desc, size_t len,
                 ukvm_gva_t *at, enum ukvm_answer *a)
{
    const struct ukvm_x86_seg *ldt = &r->st->seg[UKVM_LDTR];
    uint64_t base = selector & TI ? ldt->base : r->st->gdt.base;
    uint64_t limit = selector & TI ? ldt->limit : r->st->gdt.limit;

    if ((selector & TI && ldt->attr & UKVM_SEG_UNUSABLE) || (selector & ~7u) + len - 1 > limit)
        return refuse(r, a, UK_X86_GP, selector);
    *at = base + (selector & ~7u);
    return read_system(r, *at, desc, len, a);
}

/* Set bits of a descriptor's type in memory, if it can be written. */
static void mark(struct uk_x86_run *r, ukvm_gva_t at, uint8_t bits)
{
    struct ukvm_walk w;

    uk_x86_walk_system(r->st, r->mem, at + 5, UKVM_ACCESS_WRITE, &w);
    if (w.ok && w.gpa < r->mem.size)
        r->mem.p[w.gpa] |= bits;
}

/* --- data segments ------------------------------------------------------------------- */

static bool data_allowed(const struct uk_x86_run *r, uint16_t selector,
                         const struct ukvm_x86_seg *s)
{
    bool code = s->attr & TYPE_CODE;
    unsigned rpl = selector & 3;

    if (!(s->attr & UKVM_SEG_S) || (code && !(s->attr & 2))) /* not readable */
        return false;
    if (code && (s->attr & TYPE_CONFORMING))
        return true;
    return rpl <= dpl(s) && cpl(r) <= dpl(s);
}

static bool stack_allowed(const struct ukvm_x86_seg *s, uint16_t selector, unsigned level)
{
    return (s->attr & UKVM_SEG_S) && !(s->attr & TYPE_CODE) && (s->attr & TYPE_WRITABLE) &&
           (selector & 3u) == level && dpl(s) == level;
}

/* A null selector: in 64-bit mode SS takes one too, but for CPL 3. */
static bool load_null(struct uk_x86_run *r, unsigned which, uint16_t selector, unsigned level,
                      enum ukvm_answer *a)
{
    struct ukvm_x86_seg null = {.selector = selector, .attr = UKVM_SEG_UNUSABLE};

    if (which == UKVM_SS && (level == 3 || (selector & 3u) != level))
        return refuse(r, a, UK_X86_GP, 0);
    r->st->seg[which] = null;
    return true;
}

/* (which) of ES, SS, DS, FS, GS at privilege (level). */
static bool load(struct uk_x86_run *r, unsigned which, uint16_t selector, unsigned level,
                 enum ukvm_answer *a)
{
    struct ukvm_x86_seg s;
    ukvm_gva_t at;
    uint64_t desc;

    if (!(selector & ~3u))
        return load_null(r, which, selector, level, a);
    if (!find(r, selector, &desc, sizeof(desc), &at, a))
        return false;
    s = uk_x86_segment(selector, desc);
    if (which == UKVM_SS ? !stack_allowed(&s, selector, level) : !data_allowed(r, selector, &s))
        return refuse(r, a, UK_X86_GP, selector);
    if (!(s.attr & UKVM_SEG_P))
        return refuse(r, a, which == UKVM_SS ? UK_X86_SS : UK_X86_NP, selector);
    mark(r, at, TYPE_ACCESSED);
    s.attr |= TYPE_ACCESSED;
    r->st->seg[which] = s;
    return true;
}

enum ukvm_answer uk_x86_mov_sreg(struct uk_x86_run *r)
{
    unsigned which = r->i.reg & 7;
    enum ukvm_answer a;
    uint64_t selector;

    if (which == UKVM_CS || which > UKVM_GS)
        return uk_x86_raise(r, UK_X86_UD, false, 0, 0);
    if (!uk_x86_load_rm(r, 2, &selector, &a) || !load(r, which, (uint16_t)selector, cpl(r), &a))
        return a;
    r->ex->changed = UKVM_SYS;
    return UKVM_DONE;
}

static bool pop(struct uk_x86_run *r, uint64_t *rsp, unsigned size, uint64_t *v,
                enum ukvm_answer *a)
{
    struct uk_x86_fault f;

    *v = 0;
    if (!uk_x86_read(r->st, r->mem, *rsp, v, size, false, &f)) {
        *a = uk_x86_raise(r, f.vector == UK_X86_GP ? UK_X86_SS : f.vector, true, f.code, f.addr);
        return false;
    }
    *rsp += size;
    return true;
}

enum ukvm_answer uk_x86_pop_sreg(struct uk_x86_run *r)
{
    unsigned which = r->i.op == 0xa1 ? UKVM_FS : UKVM_GS;
    uint64_t selector, rsp = r->st->gpr[UKVM_RSP];
    enum ukvm_answer a;

    if (!pop(r, &rsp, r->i.opsize ? 2 : 8, &selector, &a) ||
        !load(r, which, (uint16_t)selector, cpl(r), &a))
        return a;
    r->st->gpr[UKVM_RSP] = rsp;
    r->ex->changed = UKVM_SYS;
    return UKVM_DONE;
}

/* --- flags on the stack --------------------------------------------------------------- */

static bool push(struct uk_x86_run *r, unsigned size, uint64_t v, enum ukvm_answer *a)
{
    uint64_t rsp = r->st->gpr[UKVM_RSP] - size;
    ukvm_gpa_t gpa[8];
    struct ukvm_walk w;

    for (unsigned i = 0; i < size; i++) {
        uk_x86_walk((const struct ukvm_state *)(const void *)r->st, r->mem, rsp + i,
                    UKVM_ACCESS_WRITE, &w);
        if (!uk_x86_canonical(rsp + i))
            *a = uk_x86_raise(r, UK_X86_SS, true, 0, 0);
        else if (!w.ok || w.gpa >= r->mem.size)
            *a = uk_x86_raise(r, UK_X86_PF, true, w.ok ? 2 : w.code, rsp + i);
        else
            *a = UKVM_DONE;
        if (*a != UKVM_DONE)
            return false;
        gpa[i] = w.gpa;
    }
    for (unsigned i = 0; i < size; i++)
        r->mem.p[gpa[i]] = (uint8_t)(v >> (8 * i));
    r->st->gpr[UKVM_RSP] = rsp;
    return true;
}

enum ukvm_answer uk_x86_pushf(struct uk_x86_run *r)
{
    uint64_t unseen = UKVM_RFLAGS_RF | UINT64_C(0x20000); /* and VM: SDM vol. 2, PUSHF */
    enum ukvm_answer a;

    if (!push(r, r->i.opsize ? 2 : 8, r->st->rflags & ~unseen, &a))
        return a;
    return UKVM_DONE;
}

/* What IRET and POPF load of the flags: IF and IOPL by privilege (SDM vol. 2, IRET). */
static uint64_t flags_of(const struct uk_x86_run *r, uint64_t popped, unsigned size)
{
    uint64_t mask = RFLAGS_LOADED, old = r->st->rflags;

    if (cpl(r) == 0)
        mask |= RFLAGS_IOPL;
    if (cpl(r) <= (old & RFLAGS_IOPL) >> 12)
        mask |= UKVM_RFLAGS_IF;
    if (size == 2)
        mask &= 0xffff;
    return (old & ~mask) | (popped & mask) | UKVM_RFLAGS_FIXED;
}

enum ukvm_answer uk_x86_popf(struct uk_x86_run *r)
{
    unsigned size = r->i.opsize ? 2 : 8;
    uint64_t v, rsp = r->st->gpr[UKVM_RSP];
    enum ukvm_answer a;

    if (!pop(r, &rsp, size, &v, &a))
        return a;
    r->st->rflags = flags_of(r, v & ~(uint64_t)UKVM_RFLAGS_RF, size);
    r->st->gpr[UKVM_RSP] = rsp;
    return UKVM_DONE;
}

/* --- system segments ---------------------------------------------------------------------- */

static enum ukvm_answer load_system(struct uk_x86_run *r, unsigned which, unsigned type)
{
    uint64_t selector, desc[2];
    struct ukvm_x86_seg s;
    enum ukvm_answer a;
    ukvm_gva_t at;

    if (cpl(r))
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    if (!uk_x86_load_rm(r, 2, &selector, &a))
        return a;
    if (!(selector & ~UINT64_C(3))) {
        if (which == UKVM_TR)
            return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
        load_null(r, which, (uint16_t)selector, 0, &a);
        r->ex->changed = UKVM_SYS;
        return UKVM_DONE;
    }
    if (selector & TI)
        return uk_x86_raise(r, UK_X86_GP, true, (uint32_t)selector & 0xfffc, 0);
    if (!find(r, (uint16_t)selector, desc, sizeof(desc), &at, &a))
        return a;
    s = uk_x86_segment((uint16_t)selector, desc[0]);
    s.base |= desc[1] << 32;
    if ((s.attr & UKVM_SEG_S) || (s.attr & UKVM_SEG_TYPE) != type)
        return uk_x86_raise(r, UK_X86_GP, true, (uint32_t)selector & 0xfffc, 0);
    if (!(s.attr & UKVM_SEG_P))
        return uk_x86_raise(r, UK_X86_NP, true, (uint32_t)selector & 0xfffc, 0);
    if (which == UKVM_TR) {
        mark(r, at, TYPE_BUSY);
        s.attr |= TYPE_BUSY;
    }
    r->st->seg[which] = s;
    r->ex->changed = UKVM_SYS;
    return UKVM_DONE;
}

enum ukvm_answer uk_x86_ltr(struct uk_x86_run *r)
{
    return load_system(r, UKVM_TR, TYPE_TSS);
}

enum ukvm_answer uk_x86_lldt(struct uk_x86_run *r)
{
    return load_system(r, UKVM_LDTR, TYPE_LDT);
}

/* --- far returns ----------------------------------------------------------------------------- */

/* CS of a return to the same level; others, and 32-bit code, are not for us. */
static bool load_cs(struct uk_x86_run *r, uint16_t selector, struct ukvm_x86_seg *cs,
                    ukvm_gva_t *at, enum ukvm_answer *a)
{
    unsigned rpl = selector & 3;
    uint64_t desc;

    if (!(selector & ~3u))
        return refuse(r, a, UK_X86_GP, 0);
    if (!find(r, selector, &desc, sizeof(desc), at, a))
        return false;
    *cs = uk_x86_segment(selector, desc);
    if (!(cs->attr & UKVM_SEG_S) || !(cs->attr & TYPE_CODE) || rpl < cpl(r) ||
        (cs->attr & TYPE_CONFORMING ? dpl(cs) > rpl : dpl(cs) != rpl) ||
        ((cs->attr & UKVM_SEG_L) && (cs->attr & UKVM_SEG_DB)))
        return refuse(r, a, UK_X86_GP, selector);
    if (!(cs->attr & UKVM_SEG_P))
        return refuse(r, a, UK_X86_NP, selector);
    *a = UKVM_UNSUPPORTED;
    cs->attr |= TYPE_ACCESSED;
    return rpl == cpl(r) && (cs->attr & UKVM_SEG_L);
}

static enum ukvm_answer jump(struct uk_x86_run *r, const struct ukvm_x86_seg *cs, ukvm_gva_t at,
                             uint64_t rip, uint64_t rsp, uint64_t rflags)
{
    mark(r, at, TYPE_ACCESSED);
    r->st->seg[UKVM_CS] = *cs;
    r->st->rip = rip;
    r->st->gpr[UKVM_RSP] = rsp;
    r->st->rflags = rflags;
    r->ex->changed = UKVM_SYS;
    r->jumped = true;
    return UKVM_DONE;
}

enum ukvm_answer uk_x86_far_ret(struct uk_x86_run *r)
{
    unsigned size = uk_x86_insn_opsize(&r->i);
    uint64_t rip, cs, rsp = r->st->gpr[UKVM_RSP];
    struct ukvm_x86_seg seg;
    enum ukvm_answer a;
    ukvm_gva_t at;

    if (!pop(r, &rsp, size, &rip, &a) || !pop(r, &rsp, size, &cs, &a) ||
        !load_cs(r, (uint16_t)cs, &seg, &at, &a))
        return a;
    if (!uk_x86_canonical(rip))
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    if (r->i.op == 0xca)
        rsp += (uint16_t)r->i.imm;
    return jump(r, &seg, at, rip, rsp, r->st->rflags & ~(uint64_t)UKVM_RFLAGS_RF);
}

enum ukvm_answer uk_x86_iret(struct uk_x86_run *r)
{
    enum { RIP, CS, RFLAGS, RSP, SS, NFRAME };
    unsigned size = uk_x86_insn_opsize(&r->i);
    uint64_t frame[NFRAME], rsp = r->st->gpr[UKVM_RSP], flags;
    struct ukvm_x86_seg seg;
    enum ukvm_answer a;
    ukvm_gva_t at;

    if (r->st->rflags & UKVM_RFLAGS_NT)
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    for (int k = 0; k < NFRAME; k++)
        if (!pop(r, &rsp, size, &frame[k], &a))
            return a;
    if (!load_cs(r, (uint16_t)frame[CS], &seg, &at, &a))
        return a;
    if (!uk_x86_canonical(frame[RIP]))
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    flags = flags_of(r, frame[RFLAGS], size);
    if (!load(r, UKVM_SS, (uint16_t)frame[SS], frame[CS] & 3, &a))
        return a;
    return jump(r, &seg, at, frame[RIP], frame[RSP], flags);
}
