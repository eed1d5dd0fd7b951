/* SPDX-License-Identifier: ISC */
/*
 * deliver.c: exceptions through the guest's own IDT, TSS and stacks, as a 64-bit
 * processor does it (SDM vol. 3, 6.14; vol. 2, INT n, "Operation"), with the double
 * and the triple fault (SDM vol. 3, 6.15, interrupt 8). Memory is written only if
 * all of the frame can be.
 */
#include "arch/x86_64/x86.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GATE_INTERRUPT = 14, GATE_TRAP = 15 };        /* SDM vol. 3, table 3-2 */
enum { CODE_EXT = 1, CODE_IDT = 2 };                 /* SDM vol. 3, 6.13 */
enum { TSS_RSP0 = 4, TSS_IST1 = 36 };                /* SDM vol. 3, figure 7-11 */
enum { TYPE_CODE = 8, TYPE_CONFORMING = 4, TI = 4 }; /* SDM vol. 3, 3.4.5.1, 3.4.2 */
#define DR7_GD   UINT64_C(0x2000)
#define MAXFRAME 6

/* An exception being delivered, on a copy of the state. */
struct delivering {
    uint64_t insn; /* the instruction that raised it */
    struct ukvm_x86_state st;
    struct ukvm_mem mem;
    struct event {
        int vector;
        bool has_code;
        uint32_t code;
        uint64_t addr;
        bool software; /* INT n, INT3, INTO: privileges count, no EXT bit */
    } ev;
    struct event next; /* what a failure raises, and why */
    char why[64];
    struct ukvm_range wrote;
};

/* A gate, taken apart (SDM vol. 3, figure 6-8). */
struct gate {
    uint64_t offset;
    uint16_t selector;
    unsigned ist, type, dpl;
    bool present, system;
};

static bool fails(struct delivering *d, int vector, uint32_t code, uint64_t addr, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));

static bool fails(struct delivering *d, int vector, uint32_t code, uint64_t addr, const char *fmt,
                  ...)
{
    va_list ap;

    if (vector != UK_X86_PF && !d->ev.software)
        code |= CODE_EXT;
    d->next = (struct event){.vector = vector, .has_code = true, .code = code, .addr = addr};
    va_start(ap, fmt);
    vsnprintf(d->why, sizeof(d->why), fmt, ap);
    va_end(ap);
    return false;
}

static bool read_system(struct delivering *d, uint64_t gva, void *buf, size_t len, const char *what)
{
    struct uk_x86_fault f;

    if (uk_x86_read(&d->st, d->mem, gva, buf, len, true, &f))
        return true;
    return fails(d, f.vector, f.code, f.addr, "%s at 0x%" PRIx64 " not mapped", what, f.addr);
}

/* --- the gate --------------------------------------------------------------- */

static bool read_gate(struct delivering *d, struct gate *g)
{
    uint32_t code = (uint32_t)d->ev.vector * 8 + CODE_IDT;
    uint64_t at = (uint64_t)d->ev.vector * 16, raw[2];

    if (at + 15 > d->st.idt.limit)
        return fails(d, UK_X86_GP, code, 0,
                     d->st.idt.limit ? "beyond the IDT (limit 0x%x)" : "no IDT (limit %u)",
                     d->st.idt.limit);
    if (!read_system(d, d->st.idt.base + at, raw, sizeof(raw), "IDT"))
        return false;
    g->offset = (raw[0] & 0xffff) | ((raw[0] >> 48) << 16) | (raw[1] << 32);
    g->selector = (uint16_t)(raw[0] >> 16);
    g->ist = (raw[0] >> 32) & 7;
    g->type = (raw[0] >> 40) & 15;
    g->system = !((raw[0] >> 44) & 1);
    g->dpl = (raw[0] >> 45) & 3;
    g->present = (raw[0] >> 47) & 1;
    return true;
}

static bool check_gate(struct delivering *d, const struct gate *g)
{
    uint32_t code = (uint32_t)d->ev.vector * 8 + CODE_IDT;

    if (!g->system || (g->type != GATE_INTERRUPT && g->type != GATE_TRAP))
        return fails(d, UK_X86_GP, code, 0, "IDT entry %d is no 64-bit gate (type %u)",
                     d->ev.vector, g->type);
    if (d->ev.software && g->dpl < (d->st.seg[UKVM_CS].selector & 3u))
        return fails(d, UK_X86_GP, code, 0, "IDT gate %d is privileged (DPL %u)", d->ev.vector,
                     g->dpl);
    if (!g->present)
        return fails(d, UK_X86_NP, code, 0, "IDT gate %d not present", d->ev.vector);
    return true;
}

/* --- the handler's code segment --------------------------------------------- */

static bool read_descriptor(struct delivering *d, uint16_t selector, uint64_t *desc)
{
    uint64_t base = d->st.gdt.base, at = selector & ~7u;
    uint32_t limit = d->st.gdt.limit;

    if (!(selector & ~3u))
        return fails(d, UK_X86_GP, 0, 0, "IDT gate %d has a null selector", d->ev.vector);
    if (selector & TI) {
        base = d->st.seg[UKVM_LDTR].base;
        limit = d->st.seg[UKVM_LDTR].limit;
    }
    if (at + 7 > limit || (selector & TI && d->st.seg[UKVM_LDTR].attr & UKVM_SEG_UNUSABLE))
        return fails(d, UK_X86_GP, selector & ~3u, 0, "CS selector 0x%x beyond its table",
                     selector);
    return read_system(d, base + at, desc, sizeof(*desc), "descriptor table");
}

struct ukvm_x86_seg uk_x86_segment(uint16_t selector, uint64_t desc)
{
    struct ukvm_x86_seg s = {.selector = selector};

    s.attr = (uint16_t)((desc >> 40) & 0xf0ff);
    s.base = ((desc >> 16) & 0xffffff) | ((desc >> 56) << 24);
    s.limit = (uint32_t)((desc & 0xffff) | ((desc >> 32) & 0xf0000));
    if (s.attr & UKVM_SEG_G)
        s.limit = s.limit << 12 | 0xfff;
    return s;
}

/* (cs): what CS becomes; its RPL is the new privilege level. */
static bool load_cs(struct delivering *d, const struct gate *g, struct ukvm_x86_seg *cs)
{
    uint32_t code = g->selector & ~3u;
    unsigned dpl, cpl = d->st.seg[UKVM_CS].selector & 3;
    uint64_t desc;

    if (!read_descriptor(d, g->selector, &desc))
        return false;
    *cs = uk_x86_segment(g->selector, desc);
    dpl = (cs->attr & UKVM_SEG_DPL) >> 5;
    if (!(cs->attr & UKVM_SEG_S) || !(cs->attr & TYPE_CODE))
        return fails(d, UK_X86_GP, code, 0, "CS selector 0x%x is not code", g->selector);
    if (dpl > cpl)
        return fails(d, UK_X86_GP, code, 0, "CS selector 0x%x is less privileged", g->selector);
    if (!(cs->attr & UKVM_SEG_L) || (cs->attr & UKVM_SEG_DB))
        return fails(d, UK_X86_GP, code, 0, "CS selector 0x%x is not 64-bit code", g->selector);
    if (!(cs->attr & UKVM_SEG_P))
        return fails(d, UK_X86_NP, code, 0, "CS selector 0x%x not present", g->selector);
    if (cs->attr & TYPE_CONFORMING)
        dpl = cpl;
    cs->selector = (uint16_t)((g->selector & ~3u) | dpl);
    cs->attr |= 1; /* loading a descriptor marks it accessed */
    return true;
}

/* --- the stack -------------------------------------------------------------- */

static bool stack_from_tss(struct delivering *d, uint64_t off, uint64_t *rsp)
{
    const struct ukvm_x86_seg *tr = &d->st.seg[UKVM_TR];

    if (off + 7 > tr->limit)
        return fails(d, UK_X86_TS, tr->selector & ~3u, 0, "no stack in the TSS (its limit is 0x%x)",
                     tr->limit);
    return read_system(d, tr->base + off, rsp, sizeof(*rsp), "TSS");
}

/* Aligned to 16 always (SDM vol. 3, 6.14.2). */
static bool find_stack(struct delivering *d, const struct gate *g, unsigned cpl, uint64_t *rsp)
{
    bool inner = cpl < (d->st.seg[UKVM_CS].selector & 3u);

    *rsp = d->st.gpr[UKVM_RSP];
    if (g->ist && !stack_from_tss(d, TSS_IST1 + 8 * (uint64_t)(g->ist - 1), rsp))
        return false;
    if (!g->ist && inner && !stack_from_tss(d, TSS_RSP0 + 8 * (uint64_t)cpl, rsp))
        return false;
    *rsp &= ~UINT64_C(15);
    if (!uk_x86_canonical(*rsp - 1))
        return fails(d, UK_X86_SS, 0, 0, "stack at 0x%" PRIx64 " not canonical", *rsp);
    return true;
}

static void extend(struct ukvm_range *r, ukvm_gpa_t gpa)
{
    ukvm_gpa_t end = r->len && r->gpa + r->len > gpa + 8 ? r->gpa + r->len : gpa + 8;

    if (!r->len || gpa < r->gpa)
        r->gpa = gpa;
    r->len = end - r->gpa;
}

/* Push (frame[0]) first. Each is aligned to 8, so none lies on two pages. */
static bool push(struct delivering *d, uint64_t rsp, const uint64_t *frame, unsigned n)
{
    ukvm_gpa_t gpa[MAXFRAME];
    struct ukvm_walk w;

    for (unsigned i = 0; i < n; i++) {
        rsp -= 8;
        if (!uk_x86_canonical(rsp))
            return fails(d, UK_X86_SS, 0, 0, "stack at 0x%" PRIx64 " not canonical", rsp);
        uk_x86_walk_system(&d->st, d->mem, rsp, UKVM_ACCESS_WRITE, &w);
        if (!w.ok)
            return fails(d, UK_X86_PF, w.code, rsp, "stack at 0x%" PRIx64 " not %s", rsp,
                         w.mapped ? "writable" : "mapped");
        if (w.gpa > d->mem.size - 8)
            return fails(d, UK_X86_PF, 2, rsp, "stack at 0x%" PRIx64 " beyond memory", rsp);
        gpa[i] = w.gpa;
    }
    for (unsigned i = 0; i < n; i++) {
        memcpy(d->mem.p + gpa[i], &frame[i], 8);
        extend(&d->wrote, gpa[i]);
    }
    return true;
}

/* --- one attempt ------------------------------------------------------------ */

static void enter_handler(struct delivering *d, const struct gate *g, struct ukvm_x86_seg cs,
                          uint64_t rsp)
{
    struct ukvm_x86_state *st = &d->st;

    if ((cs.selector & 3) != (st->seg[UKVM_CS].selector & 3)) /* SDM vol. 3, 6.14.2 */
        st->seg[UKVM_SS] =
            (struct ukvm_x86_seg){.selector = cs.selector & 3, .attr = UKVM_SEG_UNUSABLE};
    st->seg[UKVM_CS] = cs;
    st->gpr[UKVM_RSP] = rsp;
    st->rip = g->offset;
    st->rflags &= ~(uint64_t)(UKVM_RFLAGS_TF | UKVM_RFLAGS_NT | UKVM_RFLAGS_RF);
    if (g->type == GATE_INTERRUPT)
        st->rflags &= ~(uint64_t)UKVM_RFLAGS_IF;
    if (d->ev.vector == UK_X86_DB)
        st->dr7 &= ~DR7_GD; /* SDM vol. 3, 17.2.4 */
}

/* True: the state is at the handler. False: d->next, d->why. */
static bool attempt(struct delivering *d)
{
    struct ukvm_x86_state *st = &d->st;
    uint64_t rsp, frame[MAXFRAME] = {st->seg[UKVM_SS].selector, st->gpr[UKVM_RSP], st->rflags,
                                     st->seg[UKVM_CS].selector, st->rip,           d->ev.code};
    unsigned n = d->ev.has_code ? 6 : 5;
    struct ukvm_x86_seg cs = {0};
    struct gate g = {0};

    if (d->ev.vector == UK_X86_PF && d->ev.has_code)
        st->cr2 = d->ev.addr;
    if (!read_gate(d, &g) || !check_gate(d, &g) || !load_cs(d, &g, &cs) ||
        !find_stack(d, &g, cs.selector & 3, &rsp))
        return false;
    if (!uk_x86_canonical(g.offset))
        return fails(d, UK_X86_GP, 0, 0, "handler at 0x%" PRIx64 " not canonical", g.offset);
    if (!push(d, rsp, frame, n))
        return false;
    enter_handler(d, &g, cs, rsp - 8 * (uint64_t)n);
    return true;
}

/* --- the chain -------------------------------------------------------------- */

static bool contributory(const struct event *ev)
{
    return !ev->software &&
           (ev->vector == UK_X86_DE || (ev->vector >= UK_X86_TS && ev->vector <= UK_X86_GP));
}

/* SDM vol. 3, table 6-5: what d->next becomes while d->ev is being delivered. False: shutdown. */
static bool combine(struct delivering *d)
{
    bool page = d->ev.vector == UK_X86_PF && !d->ev.software;
    bool next_page = d->next.vector == UK_X86_PF;

    if (next_page)
        d->st.cr2 = d->next.addr;
    if (d->ev.vector == UK_X86_DF && !d->ev.software)
        return false;
    if (page || (contributory(&d->ev) && !next_page))
        d->next = (struct event){.vector = UK_X86_DF, .has_code = true};
    if (d->ev.software) /* the INT has not happened: it faults (SDM vol. 3, 6.5) */
        d->st.rip = d->insn;
    d->st.rflags |= UKVM_RFLAGS_RF;
    d->ev = d->next;
    return true;
}

static void note(const struct delivering *d, struct ukvm_delivery *out)
{
    size_t i = out->n;

    if (i >= sizeof(out->chain) / sizeof(out->chain[0]))
        return;
    out->chain[i].vector = d->ev.vector;
    out->chain[i].has_code = d->ev.has_code;
    out->chain[i].code = d->ev.code;
    out->chain[i].addr = d->ev.addr;
    memcpy(out->chain[i].why, d->why, sizeof(out->chain[i].why));
    out->n++;
}

/*
 * Traps have run: their frame has the next instruction, and RF as it is. Faults set RF in the
 * frame, so that a breakpoint on the instruction does not hit twice (SDM vol. 3, 17.3.1.1). An
 * INT that cannot be delivered is itself what faults.
 */
static void begin(struct delivering *d, const struct ukvm_exit *ex)
{
    bool ran = ex->next != ex->pc;

    d->insn = ex->pc;
    d->st.rip = ex->next;
    if (!ran && ex->vector != UK_X86_DB)
        d->st.rflags |= UKVM_RFLAGS_RF;
    d->ev = (struct event){
        .vector = ex->vector & 0xff,
        .has_code = ex->has_code,
        .code = ex->code,
        .addr = ex->addr,
        .software = ran && ex->vector != UK_X86_DB,
    };
}

void uk_x86_deliver(struct ukvm_state *st, struct ukvm_mem mem, const struct ukvm_exit *ex,
                    struct ukvm_delivery *out, struct ukvm_range *wrote)
{
    struct delivering d = {.st = *uk_x86(st), .mem = mem};

    memset(out, 0, sizeof(*out));
    *wrote = (struct ukvm_range){0};
    begin(&d, ex);
    for (;;) {
        d.why[0] = '\0';
        out->ok = attempt(&d);
        note(&d, out);
        if (out->ok) {
            *uk_x86(st) = d.st;
            *wrote = d.wrote;
            return;
        }
        if (!combine(&d)) {
            out->fatal = true;
            return;
        }
    }
}
