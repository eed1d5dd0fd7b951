/* SPDX-License-Identifier: ISC */
/*
 * insn.c: the form of 64-bit instructions: prefixes, opcode, operands' encoding
 * (SDM vol. 2, chapter 2). What opcodes mean is known elsewhere. VEX and EVEX forms
 * are not taken apart.
 */
#include "arch/x86_64/x86.h"

#include <string.h>

static bool next(struct uk_x86_insn *i, uint8_t *byte)
{
    if (i->at >= i->n)
        return false;
    *byte = i->p[i->at++];
    return true;
}

/* Legacy prefixes, in any order; the last segment override counts. */
static bool take_prefix(struct uk_x86_insn *i, uint8_t byte)
{
    switch (byte) {
    case 0x26: /* ES, CS, SS, DS */
    case 0x2e:
    case 0x36:
    case 0x3e:
        return true;
    case 0x64:
        i->seg = UKVM_FS;
        return true;
    case 0x65:
        i->seg = UKVM_GS;
        return true;
    case 0x66:
        return i->opsize = true;
    case 0x67:
        return i->addrsize = true;
    case 0xf0:
        return i->lock = true;
    case 0xf2:
        i->rep = false;
        return i->repne = true;
    case 0xf3:
        i->repne = false;
        return i->rep = true;
    default:
        return false;
    }
}

/* A REX prefix counts only if the opcode follows it at once. */
static bool take_prefixes(struct uk_x86_insn *i, uint8_t *byte)
{
    for (;;) {
        if (!next(i, byte))
            return false;
        if ((*byte & 0xf0) == 0x40)
            i->rex = *byte;
        else if (take_prefix(i, *byte))
            i->rex = 0;
        else
            return true;
    }
}

bool uk_x86_insn_opcode(struct uk_x86_insn *i, const uint8_t *p, size_t n)
{
    *i = (struct uk_x86_insn){.p = p, .n = n < UK_X86_INSN_MAX ? n : UK_X86_INSN_MAX};
    i->seg = i->base = i->index = UK_X86_NONE;
    if (!take_prefixes(i, &i->op))
        return false;
    if (i->op != 0x0f)
        return true;
    i->map = UK_X86_MAP_0F;
    if (!next(i, &i->op))
        return false;
    if (i->op != 0x38 && i->op != 0x3a)
        return true;
    i->map = i->op == 0x38 ? UK_X86_MAP_0F38 : UK_X86_MAP_0F3A;
    return next(i, &i->op);
}

static bool take_signed(struct uk_x86_insn *i, size_t len, uint64_t *v)
{
    *v = 0;
    if (len > i->n - i->at)
        return false;
    memcpy(v, i->p + i->at, len);
    i->at += len;
    if (len > 0 && len < 8 && (*v >> (8 * len - 1)))
        *v |= ~UINT64_C(0) << (8 * len);
    return true;
}

bool uk_x86_insn_imm(struct uk_x86_insn *i, size_t len)
{
    return take_signed(i, len, &i->imm);
}

/* SDM vol. 2, table 2-3: no index is encoded as 4, a base of 5 without displacement is none. */
static bool take_sib(struct uk_x86_insn *i, size_t *disp_len)
{
    uint8_t sib;

    if (!next(i, &sib))
        return false;
    i->scale = (uint8_t)(1u << (sib >> 6));
    i->index = (uint8_t)(((sib >> 3) & 7) | (i->rex & 2 ? 8 : 0));
    if (i->index == 4)
        i->index = UK_X86_NONE;
    i->base = (uint8_t)((sib & 7) | (i->rex & 1 ? 8 : 0));
    if ((sib & 7) == 5 && i->mod == 0) {
        i->base = UK_X86_NONE;
        *disp_len = 4;
    }
    return true;
}

bool uk_x86_insn_modrm(struct uk_x86_insn *i)
{
    static const uint8_t disp_lens[] = {0, 1, 4};
    size_t disp_len;
    uint64_t disp;
    uint8_t byte;

    if (!next(i, &byte))
        return false;
    i->mod = byte >> 6;
    i->reg = (uint8_t)(((byte >> 3) & 7) | (i->rex & 4 ? 8 : 0));
    i->rm = (uint8_t)((byte & 7) | (i->rex & 1 ? 8 : 0));
    if (i->mod == 3)
        return true;
    i->mem = true;
    i->scale = 1;
    disp_len = disp_lens[i->mod];
    if ((byte & 7) == 4) {
        if (!take_sib(i, &disp_len))
            return false;
    } else if ((byte & 7) == 5 && i->mod == 0) {
        i->rip_relative = true;
        disp_len = 4;
    } else {
        i->base = i->rm;
    }
    if (!take_signed(i, disp_len, &disp))
        return false;
    i->disp = (int64_t)disp;
    return true;
}

unsigned uk_x86_insn_opsize(const struct uk_x86_insn *i)
{
    return i->rex & 8 ? 8 : i->opsize ? 2 : 4;
}

ukvm_gva_t uk_x86_insn_linear(const struct uk_x86_insn *i, const struct ukvm_x86_state *st,
                              uint64_t off, uint8_t seg)
{
    if (i->addrsize)
        off = (uint32_t)off;
    return seg == UK_X86_NONE ? off : off + st->seg[seg].base;
}

ukvm_gva_t uk_x86_insn_address(const struct uk_x86_insn *i, const struct ukvm_x86_state *st)
{
    uint64_t off = (uint64_t)i->disp;

    if (i->rip_relative)
        off += st->rip + i->at;
    if (i->base != UK_X86_NONE)
        off += st->gpr[i->base];
    if (i->index != UK_X86_NONE)
        off += st->gpr[i->index] * i->scale;
    return uk_x86_insn_linear(i, st, off, i->seg);
}
