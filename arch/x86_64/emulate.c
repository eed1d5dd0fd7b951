/* SPDX-License-Identifier: ISC */
/*
 * emulate.c: instructions that a backend leaves to the monitor: port accesses, HLT,
 * time-stamp reads, and POPCNT for engines that lack it. A table: what an opcode
 * does is a row. Nothing is executed but by uk_x86_emulate() and uk_x86_serve().
 */
#include "arch/x86_64/emulate.h"
#include "core/sites.h"

#include <string.h>

#define HYPERCALL_BASE 0x500u /* ukvm_guest.h of Solo5 v0.3: port 0x500 + number */

#define RFLAGS_ZF   UINT64_C(0x40)
#define RFLAGS_MATH UINT64_C(0x8d5) /* OF SF ZF AF PF CF */

enum ukvm_answer uk_x86_raise(struct uk_x86_run *r, int vector, bool has_code, uint32_t code,
                              ukvm_gva_t addr)
{
    r->ex->pc = r->ex->next = r->st->rip;
    r->ex->vector = vector;
    r->ex->has_code = has_code;
    r->ex->code = code;
    r->ex->addr = vector == UK_X86_PF ? addr : 0;
    return UKVM_EXCEPTION;
}

/* --- ports ------------------------------------------------------------------------ */

bool uk_x86_hypercall(uint16_t port, unsigned size, bool in, uint32_t value, struct ukvm_exit *ex)
{
    ex->addr = port;
    ex->len = size;
    ex->write = !in;
    ex->data = in ? 0 : value;
    if (in || size != 4 || port < HYPERCALL_BASE || port - HYPERCALL_BASE >= UKVM_NR_MAX)
        return false;
    ex->nr = port - HYPERCALL_BASE;
    ex->gpa = value;
    return true;
}

/* IN, OUT: bit 0 of the opcode: more than a byte, bit 1: OUT, bit 3: the port is in DX. */
static enum ukvm_answer port(struct uk_x86_run *r)
{
    static const uint32_t masks[] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};
    unsigned size = !(r->i.op & 1) ? 1 : uk_x86_insn_opsize(&r->i) == 2 ? 2 : 4;
    uint32_t value = (uint32_t)r->st->gpr[UKVM_RAX] & masks[size];
    uint16_t where = r->i.op & 8 ? (uint16_t)r->st->gpr[UKVM_RDX] : (uint8_t)r->i.imm;

    return uk_x86_hypercall(where, size, !(r->i.op & 2), value, r->ex) ? UKVM_HYPERCALL : UKVM_IO;
}

/* INS, OUTS: no guest's hypercall, so what they would move does not matter. */
static enum ukvm_answer string_port(struct uk_x86_run *r)
{
    unsigned size = !(r->i.op & 1) ? 1 : uk_x86_insn_opsize(&r->i) == 2 ? 2 : 4;

    r->ex->addr = (uint16_t)r->st->gpr[UKVM_RDX];
    r->ex->len = size;
    r->ex->write = r->i.op & 2;
    r->ex->data = 0;
    return UKVM_IO;
}

/* --- others ------------------------------------------------------------------------ */

static enum ukvm_answer hlt(struct uk_x86_run *r)
{
    if (r->st->seg[UKVM_CS].selector & 3)
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    return UKVM_HALTED;
}

static enum ukvm_answer tsc(struct uk_x86_run *r)
{
    r->ex->site = UKVM_SITE_TSC;
    return UKVM_SITE;
}

/* RBP or RSP as base make it the stack's segment (SDM vol. 1, 3.7.4). */
static bool on_stack(const struct uk_x86_insn *i)
{
    return i->seg == UK_X86_NONE && (i->base == UKVM_RSP || i->base == UKVM_RBP);
}

bool uk_x86_load_rm(struct uk_x86_run *r, unsigned size, uint64_t *v, enum ukvm_answer *a)
{
    struct uk_x86_fault f;
    ukvm_gva_t gva;

    *v = 0;
    if (!r->i.mem) {
        memcpy(v, &r->st->gpr[r->i.rm], size);
        return true;
    }
    gva = uk_x86_insn_address(&r->i, r->st);
    if (uk_x86_read(r->st, r->mem, gva, v, size, false, &f))
        return true;
    if (f.vector == UK_X86_GP && on_stack(&r->i))
        f.vector = UK_X86_SS;
    *a = uk_x86_raise(r, f.vector, true, f.code, f.addr);
    return false;
}

void uk_x86_store_reg(struct uk_x86_run *r, uint8_t reg, unsigned size, uint64_t v)
{
    if (size == 2)
        v |= r->st->gpr[reg] & ~UINT64_C(0xffff);
    r->st->gpr[reg] = v;
}

static enum ukvm_answer popcnt(struct uk_x86_run *r)
{
    unsigned size = uk_x86_insn_opsize(&r->i);
    enum ukvm_answer a;
    uint64_t v;

    if (!uk_x86_load_rm(r, size, &v, &a))
        return a;
    uk_x86_store_reg(r, r->i.reg, size, (uint64_t)__builtin_popcountll(v));
    r->st->rflags = (r->st->rflags & ~RFLAGS_MATH) | (v == 0 ? RFLAGS_ZF : 0);
    return UKVM_DONE;
}

/* --- the table ---------------------------------------------------------------------- */

static const struct uk_x86_row rows[] = {
    {UK_X86_MAP_1, 0xec, 0xef, 0, 0, 0, port},
    {UK_X86_MAP_1, 0xe4, 0xe7, 0, 0, UK_X86_IMM8, port},
    {UK_X86_MAP_1, 0x6c, 0x6f, 0, 0, 0, string_port},
    {UK_X86_MAP_1, 0xf4, 0xf4, 0, 0, 0, hlt},
    {UK_X86_MAP_0F, 0x31, 0x31, 0, 0, 0, tsc},
    {UK_X86_MAP_0F, 0x01, 0x01, 0xf9, 0, UK_X86_MODRM, tsc}, /* RDTSCP */
    {UK_X86_MAP_0F, 0xb8, 0xb8, 0, 0, UK_X86_MODRM | UK_X86_REP, popcnt},
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static bool is_row(const struct uk_x86_row *row, const struct uk_x86_insn *i)
{
    uint8_t modrm = i->at < i->n ? i->p[i->at] : 0;

    return row->map == i->map && i->op >= row->first && i->op <= row->last &&
           (!(row->form & UK_X86_REP) || i->rep) && (!row->modrm || modrm == row->modrm) &&
           (!row->regs || row->regs >> ((modrm >> 3) & 7) & 1);
}

static const struct uk_x86_row *find_in(const struct uk_x86_row *table, size_t n,
                                        const struct uk_x86_insn *i)
{
    for (size_t k = 0; k < n; k++)
        if (is_row(&table[k], i))
            return &table[k];
    return NULL;
}

static const struct uk_x86_row *find_row(const struct uk_x86_insn *i)
{
    const struct uk_x86_row *row = find_in(rows, NROWS, i);

    return row ? row : find_in(uk_x86_privileged, UK_X86_NPRIVILEGED, i);
}

/* MOV CRn takes its ModRM byte for registers, whatever it says (SDM vol. 2, MOV CR). */
static bool take_regs(struct uk_x86_insn *i)
{
    uint8_t modrm;

    if (i->at >= i->n)
        return false;
    modrm = i->p[i->at++];
    i->reg = (uint8_t)(((modrm >> 3) & 7) | (i->rex & 4 ? 8 : 0));
    i->rm = (uint8_t)((modrm & 7) | (i->rex & 1 ? 8 : 0));
    return true;
}

static bool take_operands(const struct uk_x86_row *row, struct uk_x86_insn *i)
{
    return (!(row->form & UK_X86_MODRM) || uk_x86_insn_modrm(i)) &&
           (!(row->form & UK_X86_REGS) || take_regs(i)) &&
           (!(row->form & UK_X86_IMM8) || uk_x86_insn_imm(i, 1)) &&
           (!(row->form & UK_X86_IMM16) || uk_x86_insn_imm(i, 2));
}

bool uk_x86_emulates(const uint8_t *insn, size_t n)
{
    struct uk_x86_insn i;

    return uk_x86_insn_opcode(&i, insn, n) && find_row(&i);
}

bool uk_x86_reads_tsc(const uint8_t *insn, size_t n)
{
    struct uk_x86_insn i;
    const struct uk_x86_row *row = uk_x86_insn_opcode(&i, insn, n) ? find_row(&i) : NULL;

    return row && row->fn == tsc;
}

/* --- fetching ------------------------------------------------------------------------ */

/* The bytes at pc, as many as the guest can fetch; what ends them goes to (w). */
static size_t fetch(const struct uk_x86_run *r, uint8_t *buf, struct ukvm_walk *w)
{
    size_t n;

    for (n = 0; n < UK_X86_INSN_MAX; n++) {
        uk_x86_walk((const struct ukvm_state *)(const void *)r->st, r->mem, r->st->rip + n,
                    UKVM_ACCESS_FETCH, w);
        if (!w->ok || w->gpa >= r->mem.size)
            break;
        buf[n] = r->mem.p[w->gpa];
    }
    return n;
}

/* It is longer than what can be fetched, or than any may be (SDM vol. 2, 2.3.11). */
static enum ukvm_answer cut_off(struct uk_x86_run *r, size_t n, const struct ukvm_walk *w)
{
    if (n == UK_X86_INSN_MAX || (!w->ok && !uk_x86_canonical(r->st->rip + n)))
        return uk_x86_raise(r, UK_X86_GP, true, 0, 0);
    return w->ok ? UKVM_UNSUPPORTED : uk_x86_raise(r, UK_X86_PF, true, w->code, r->st->rip + n);
}

static void note_bytes(struct uk_x86_run *r, const uint8_t *buf, size_t n)
{
    memcpy(r->ex->insn, buf, n);
    r->ex->insn_len = (uint8_t)n;
}

enum ukvm_answer uk_x86_emulate(struct ukvm_state *st, struct ukvm_mem mem, struct ukvm_exit *ex)
{
    struct uk_x86_run r = {.st = uk_x86(st), .mem = mem, .ex = ex};
    uint8_t buf[UK_X86_INSN_MAX];
    struct ukvm_walk w;
    size_t n = fetch(&r, buf, &w);
    const ukvm_gva_t pc = r.st->rip;
    const struct uk_x86_row *row;
    enum ukvm_answer a;

    if (!uk_x86_insn_opcode(&r.i, buf, n))
        return cut_off(&r, n, &w);
    row = find_row(&r.i);
    if (!row) {
        note_bytes(&r, buf, n);
        return UKVM_UNSUPPORTED;
    }
    if (!take_operands(row, &r.i))
        return cut_off(&r, n, &w);
    if (r.i.lock)
        return uk_x86_raise(&r, UK_X86_UD, false, 0, 0);
    ex->changed = 0;
    a = row->fn(&r);
    if (a == UKVM_EXCEPTION)
        return a;
    note_bytes(&r, buf, r.i.at);
    if (r.jumped) {
        ex->pc = pc;
        ex->next = r.st->rip;
        return a;
    }
    ex->pc = r.st->rip;
    ex->next = ex->pc + r.i.at;
    if (a == UKVM_DONE) {
        r.st->rip = ex->next;
        r.st->rflags &= ~(uint64_t)UKVM_RFLAGS_RF;
    }
    return a;
}

/* --- served sites --------------------------------------------------------------------- */

/* RDTSCP also reads IA32_TSC_AUX, which nobody here sets (SDM vol. 2, RDTSCP). */
static bool reads_aux(const struct ukvm_exit *ex)
{
    struct uk_x86_insn i;

    return uk_x86_insn_opcode(&i, ex->insn, ex->insn_len) && i.op == 0x01;
}

static void serve_tsc(struct ukvm_x86_state *st, const struct ukvm_exit *ex,
                      const union uk_call_site *arg)
{
    st->gpr[UKVM_RAX] = (uint32_t)arg->tsc.value;
    st->gpr[UKVM_RDX] = arg->tsc.value >> 32;
    if (reads_aux(ex))
        st->gpr[UKVM_RCX] = 0;
}

void uk_x86_serve(struct ukvm_state *st, const struct ukvm_exit *ex, const void *arg)
{
    static void (*const fns[UKVM_SITE_NSITES])(struct ukvm_x86_state *, const struct ukvm_exit *,
                                               const union uk_call_site *) = {
        [UKVM_SITE_TSC] = serve_tsc,
    };

    fns[ex->site](uk_x86(st), ex, arg);
    uk_x86(st)->rip = ex->next;
}
