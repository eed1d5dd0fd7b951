/* SPDX-License-Identifier: ISC */
/*
 * x86_64_exc.c: what the emulator reports of exceptions, made exact. The exception's
 * (pc) is the instruction, (next) the RIP that a handler's frame holds: the same for
 * faults, the one after it for traps (INT3, INT n, single steps), which have run.
 */
#include <string.h>

#include "arch/x86_64/state.h"
#include "hv/emu/emu.h"

enum { DB = 1, BP = 3, UD = 6, PF = 14 };
#define DR6_BS UINT64_C(0x4000)

static uint64_t reg(struct ukvm_hvb *b, int id)
{
    uint64_t v = 0;

    uc_reg_read(b->uc, id, &v);
    return v;
}

static void set_reg(struct ukvm_hvb *b, int id, uint64_t v)
{
    uc_reg_write(b->uc, id, &v);
}

/* Of the exception in the engine; it then forgets that it was about to deliver one. */
static uint32_t take_code(struct ukvm_hvb *b)
{
    uint8_t *blob = (uint8_t *)b->ctx;
    int32_t code, none = -1;

    uc_context_save(b->uc, b->ctx);
    memcpy(&code, blob + b->blob.code, sizeof(code));
    memcpy(blob + b->blob.old_exc, &none, sizeof(none));
    uc_context_restore(b->uc, b->ctx);
    return (uint32_t)code;
}

/* Vectors with an error code (SDM vol. 3, 6.3.1, table 6-1). */
static bool pushes_code(int vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* The last instruction's opcode and what follows it. */
static uint8_t last_opcode(struct ukvm_hvb *b, uint8_t *operand)
{
    uint8_t insn[15];
    size_t at, n = uk_emu_mem_fetch(b, b->last, insn, sizeof(insn));
    uint8_t op = uk_emu_x86_opcode(insn, n, &at);

    *operand = at + 1 < n ? insn[at + 1] : 0;
    return op;
}

/* Did the last instruction run and trap: INT3, INT n, INT1, or a step by TF? */
static bool is_trap(struct ukvm_hvb *b)
{
    uint8_t op, operand;

    if (b->last == UK_EMU_NOWHERE)
        return false;
    if (b->vector == DB)
        return true;
    if (b->pc == b->last)
        return false;
    op = last_opcode(b, &operand);
    return (op == 0xcc && b->vector == BP) || (op == 0xcd && b->vector == operand);
}

/* --- one instruction at a time ---------------------------------------------------- */

/*
 * The block that begins at pc runs into a page that is not there, and was refused
 * whole, though its first instructions may not need that page. A block of one
 * instruction, as TF makes them, faults only if it does.
 */
static bool refused_early(struct ukvm_hvb *b, uint64_t cr2)
{
    uint64_t next = (b->pc & ~(UK_EMU_PAGE - 1)) + UK_EMU_PAGE;

    return b->vector == PF && b->pc != b->last && cr2 == next &&
           !(reg(b, UC_X86_REG_EFLAGS) & UKVM_RFLAGS_TF);
}

static void set_tf(struct ukvm_hvb *b, bool on)
{
    uint64_t flags = (uint32_t)reg(b, UC_X86_REG_EFLAGS);

    flags = on ? flags | UKVM_RFLAGS_TF : flags & ~(uint64_t)UKVM_RFLAGS_TF;
    set_reg(b, UC_X86_REG_EFLAGS, flags);
}

/* PUSHF has pushed our TF. */
static void clean_pushed(struct ukvm_hvb *b)
{
    struct ukvm_walk w;

    uk_emu_x86_walk(b, reg(b, UC_X86_REG_RSP) + 1, UKVM_ACCESS_READ, &w);
    if (w.mapped && w.gpa < b->mem_size)
        b->mem[w.gpa] &= (uint8_t) ~(UKVM_RFLAGS_TF >> 8);
}

static void begin_single(struct ukvm_hvb *b)
{
    b->dr6 = reg(b, UC_X86_REG_DR6);
    b->single = true;
    set_tf(b, true);
}

/*
 * TF was ours: the guest never sees it. It is not one that POPF or IRET has loaded: they
 * end their block, which is not refused for what lies behind them.
 */
static void end_single(struct ukvm_hvb *b, bool stepped)
{
    uint8_t operand, op = stepped ? last_opcode(b, &operand) : 0;

    b->single = false;
    set_reg(b, UC_X86_REG_DR6, b->dr6);
    if (op == 0x9c)
        clean_pushed(b);
    set_tf(b, false);
}

/* --- exceptions ------------------------------------------------------------------- */

static void fill(struct ukvm_hvb *b, struct ukvm_exit *ex, uint32_t code, uint64_t cr2, bool trap)
{
    bool software = trap && b->vector != DB;

    ex->kind = UKVM_EXIT_EXCEPTION;
    ex->pc = trap ? b->last : b->pc;
    ex->next = b->pc;
    ex->vector = b->vector;
    ex->has_code = pushes_code(b->vector) && !software;
    ex->code = ex->has_code ? code : 0;
    ex->addr = b->vector == PF && !software ? cr2 : 0;
}

static bool exception(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    uint32_t code = take_code(b);
    uint64_t cr2 = reg(b, UC_X86_REG_CR2);
    bool trap, was_single = b->single;

    b->pc = uk_emu_x86_pc(b);
    trap = is_trap(b);
    if (b->single)
        end_single(b, trap && b->vector == DB);
    if (was_single && trap && b->vector == DB)
        return false;
    if (!was_single && refused_early(b, cr2)) {
        set_reg(b, UC_X86_REG_CR2, b->cr2);
        begin_single(b);
        return false;
    }
    if (!trap && b->pc == b->last) {
        b->count--;
    } else if (!trap && b->count >= b->target) { /* the step ends before this fetch */
        set_reg(b, UC_X86_REG_CR2, b->cr2);
        b->event = EMU_LIMIT;
        return true;
    }
    if (b->vector == DB)
        set_reg(b, UC_X86_REG_DR6, reg(b, UC_X86_REG_DR6) | DR6_BS);
    fill(b, ex, code, cr2, trap);
    return true;
}

bool uk_emu_x86_after(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    if (b->event == EMU_EXCEPTION)
        return exception(b, ex);
    if (b->single)
        end_single(b, false);
    return true;
}

/* CR2 is put back where a fault turns out to lie behind the run's end. */
void uk_emu_x86_before(struct ukvm_hvb *b)
{
    b->cr2 = reg(b, UC_X86_REG_CR2);
}

void uk_emu_x86_page_fault(struct ukvm_hvb *b, struct ukvm_exit *ex, uint64_t gva, uint32_t code)
{
    set_reg(b, UC_X86_REG_CR2, gva);
    b->vector = PF;
    b->last = UK_EMU_NOWHERE;
    fill(b, ex, code, gva, false);
}
