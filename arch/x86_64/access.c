/* SPDX-License-Identifier: ISC */
/*
 * access.c: which memory an instruction reads and writes: for page faults' write
 * bit, which an engine that splits a read-modify-write gets wrong, and for watches.
 * A string instruction counts for its next element.
 */
#include "arch/x86_64/opcodes.h"

/* The accesses found so far. */
struct list {
    const struct ukvm_x86_state *st;
    const struct uk_x86_insn *i;
    struct ukvm_mem_access *out;
    size_t n, max;
};

static void add(struct list *l, ukvm_gva_t gva, unsigned len, unsigned rw)
{
    if (l->n == l->max)
        return;
    l->out[l->n++] = (struct ukvm_mem_access){
        .gva = gva, .len = len, .read = rw & UK_OP_R, .write = rw & UK_OP_W};
}

static unsigned size_of(const struct uk_opcode *o, const struct uk_x86_insn *i)
{
    bool wide = i->rex & 8;

    switch (o->size) {
    case UK_OP_SV:
        return uk_x86_insn_opsize(i);
    case UK_OP_SY:
        return wide ? 8 : 4;
    case UK_OP_SIO:
        return i->opsize && !wide ? 2 : 4;
    case UK_OP_SFP:
        return i->rep ? 4 : i->repne ? 8 : 16;
    case UK_OP_SMX:
        return i->rep || i->repne || i->opsize ? 16 : 8;
    case UK_OP_SWX:
        return wide ? 16 : 8;
    case UK_OP_SENV:
        return i->opsize && !wide ? 14 : 28;
    case UK_OP_SX87:
        return i->opsize && !wide ? 94 : 108;
    case UK_OP_SFX:
        return 512;
    default:
        return o->size;
    }
}

/* In 64-bit mode what is pushed and popped has 8 bytes, or 2 (SDM vol. 1, 6.2.2). */
static unsigned stack_size(const struct uk_x86_insn *i)
{
    return i->opsize && !(i->rex & 8) ? 2 : 8;
}

static void push(struct list *l, unsigned len)
{
    add(l, l->st->gpr[UKVM_RSP] - len, len, UK_OP_W);
}

static void pop(struct list *l, unsigned len)
{
    add(l, l->st->gpr[UKVM_RSP], len, UK_OP_R);
}

/* The rm operand, if it is memory. */
static void rm(struct list *l, unsigned len, unsigned rw)
{
    if (l->i->mem && rw)
        add(l, uk_x86_insn_address(l->i, l->st), len, rw);
}

/* The bit offset in a register is signed and reaches beyond the operand (SDM vol. 2, BT). */
static void bits(struct list *l, unsigned len, unsigned rw)
{
    int64_t off = (int64_t)l->st->gpr[l->i->reg];

    if (len == 2)
        off = (int16_t)off;
    else if (len == 4)
        off = (int32_t)off;
    off = (off >> (len == 2 ? 4 : len == 4 ? 5 : 6)) * (int64_t)len;
    if (l->i->mem)
        add(l, uk_x86_insn_address(l->i, l->st) + (uint64_t)off, len, rw);
}

/* POP's address is computed with the stack pointer that it leaves (SDM vol. 2, POP). */
static void pop_rm(struct list *l)
{
    unsigned len = stack_size(l->i);
    ukvm_gva_t gva = uk_x86_insn_address(l->i, l->st);

    pop(l, len);
    if (l->i->base == UKVM_RSP)
        gva += len;
    if (l->i->mem)
        add(l, gva, len, UK_OP_W);
}

static void source(struct list *l, unsigned len)
{
    add(l, uk_x86_insn_linear(l->i, l->st, l->st->gpr[UKVM_RSI], l->i->seg), len, UK_OP_R);
}

static void dest(struct list *l, unsigned len, unsigned rw)
{
    add(l, uk_x86_insn_linear(l->i, l->st, l->st->gpr[UKVM_RDI], UK_X86_NONE), len, rw);
}

/* A repeated string instruction whose count is 0 does nothing. */
static bool is_spent(const struct list *l)
{
    uint64_t count = l->st->gpr[UKVM_RCX];

    return (l->i->rep || l->i->repne) && (l->i->addrsize ? (uint32_t)count : count) == 0;
}

static void string(struct list *l, const struct uk_opcode *o)
{
    unsigned len = size_of(o, l->i);

    if (is_spent(l))
        return;
    if (o->use != UK_OP_DEST)
        source(l, len);
    if (o->use != UK_OP_SOURCE)
        dest(l, len, o->rw);
}

static void xlat(struct list *l)
{
    uint64_t off = l->st->gpr[UKVM_RBX] + (l->st->gpr[UKVM_RAX] & 0xff);

    add(l, uk_x86_insn_linear(l->i, l->st, off, l->i->seg), 1, UK_OP_R);
}

static void collect(struct list *l, const struct uk_opcode *o)
{
    const struct uk_x86_insn *i = l->i;
    unsigned len = size_of(o, i);

    switch (o->use) {
    case UK_OP_RM:
        rm(l, len, o->rw);
        break;
    case UK_OP_BITS:
        bits(l, len, o->rw);
        break;
    case UK_OP_OFFSET:
        add(l, uk_x86_insn_linear(i, l->st, i->imm, i->seg), len, o->rw);
        break;
    case UK_OP_PUSH:
        push(l, stack_size(i));
        break;
    case UK_OP_POP:
        pop(l, stack_size(i));
        break;
    case UK_OP_PUSH_RM:
        rm(l, stack_size(i), UK_OP_R);
        push(l, stack_size(i));
        break;
    case UK_OP_POP_RM:
        pop_rm(l);
        break;
    case UK_OP_CALL_RM:
        rm(l, 8, UK_OP_R);
        push(l, 8);
        break;
    case UK_OP_CALL:
        push(l, 8);
        break;
    case UK_OP_RET:
        pop(l, 8);
        break;
    case UK_OP_FAR_RET:
        pop(l, 2 * uk_x86_insn_opsize(i));
        break;
    case UK_OP_IRET:
        pop(l, 5 * uk_x86_insn_opsize(i));
        break;
    case UK_OP_LEAVE:
        add(l, l->st->gpr[UKVM_RBP], stack_size(i), UK_OP_R);
        break;
    case UK_OP_SOURCE:
    case UK_OP_DEST:
    case UK_OP_BOTH:
        string(l, o);
        break;
    case UK_OP_MASKED:
        add(l, uk_x86_insn_linear(i, l->st, l->st->gpr[UKVM_RDI], i->seg), len, o->rw);
        break;
    case UK_OP_XLAT:
        xlat(l);
        break;
    default: /* no memory */
        break;
    }
}

static bool has_modrm(const struct uk_opcode *o)
{
    return o->use == UK_OP_RM || o->use == UK_OP_BITS || o->use == UK_OP_ADDRESS ||
           o->use == UK_OP_PUSH_RM || o->use == UK_OP_POP_RM || o->use == UK_OP_CALL_RM ||
           o->use == UK_OP_MASKED;
}

/* The ModRM byte, with what it asks for unless its rm is a register by definition. */
static bool take_modrm(const struct uk_opcode *o, struct uk_x86_insn *i)
{
    if (o->use == UK_OP_REGS)
        return uk_x86_insn_imm(i, 1);
    return !has_modrm(o) || uk_x86_insn_modrm(i);
}

static bool take_imm(const struct uk_opcode *o, struct uk_x86_insn *i)
{
    unsigned opsize = uk_x86_insn_opsize(i);
    size_t lens[] = {
        [UK_OP_I0] = 0,      [UK_OP_IB] = 1,  [UK_OP_IW] = 2,  [UK_OP_IZ] = opsize == 2 ? 2 : 4,
        [UK_OP_IV] = opsize, [UK_OP_IWB] = 3, [UK_OP_I32] = 4,
    };

    if (o->use == UK_OP_OFFSET) {
        if (!uk_x86_insn_imm(i, i->addrsize ? 4 : 8))
            return false;
        i->imm = i->addrsize ? (uint32_t)i->imm : i->imm;
        return true;
    }
    return uk_x86_insn_imm(i, lens[o->imm]);
}

size_t uk_x86_accesses(const struct ukvm_state *st, const uint8_t *insn, size_t len,
                       struct ukvm_mem_access *out, size_t max, size_t *used)
{
    struct uk_x86_insn i;
    struct list l = {.st = uk_x86_const(st), .i = &i, .out = out, .max = max};
    const struct uk_opcode *o;

    *used = 0;
    if (!uk_x86_insn_opcode(&i, insn, len))
        return 0;
    o = uk_x86_opcode(&i);
    if (!o || !take_modrm(o, &i) || !take_imm(o, &i))
        return 0;
    *used = i.at;
    collect(&l, o);
    return l.n;
}
