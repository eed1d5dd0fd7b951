/* SPDX-License-Identifier: ISC */
/*
 * opcodes.h: what 64-bit instructions take after their opcode and what they do to
 * memory, as a table. Depends on the instruction form only.
 */
#ifndef UKVM_ARCH_X86_64_OPCODES_H
#define UKVM_ARCH_X86_64_OPCODES_H

#include "arch/x86_64/x86.h"

/* How an instruction uses memory. */
enum {
    UK_OP_PLAIN,   /* no ModRM byte, no memory */
    UK_OP_RM,      /* its rm operand: rw, size */
    UK_OP_BITS,    /* the same, but a register's bit offset moves it (BT, BTS, BTR, BTC) */
    UK_OP_ADDRESS, /* ModRM, but memory is not touched: LEA, NOP, prefetches */
    UK_OP_REGS,    /* ModRM whose rm is a register whatever it says: MOV CRn */
    UK_OP_OFFSET,  /* an absolute 64-bit address: MOV AL, moffs8 */
    UK_OP_PUSH,    /* 8 bytes onto the stack, 2 with an operand-size prefix */
    UK_OP_POP,
    UK_OP_PUSH_RM, /* the rm operand onto the stack: PUSH, CALL */
    UK_OP_POP_RM,
    UK_OP_CALL, /* 8 bytes onto the stack whatever the prefixes */
    UK_OP_CALL_RM,
    UK_OP_RET,
    UK_OP_FAR_RET, /* two values of the operand size from the stack */
    UK_OP_IRET,    /* five */
    UK_OP_LEAVE,
    UK_OP_SOURCE, /* string element at RSI: LODS, OUTS */
    UK_OP_DEST,   /* at RDI, rw: STOS, SCAS, INS */
    UK_OP_BOTH,   /* at RSI, read, and at RDI, rw: MOVS, CMPS */
    UK_OP_MASKED, /* at RDI, whatever the mask: MASKMOVQ, MASKMOVDQU */
    UK_OP_XLAT,
};

enum { UK_OP_R = 1, UK_OP_W = 2, UK_OP_RW = 3 };

/* Sizes of memory operands that the prefixes decide; others are bytes. */
enum {
    UK_OP_SV = 200, /* 2, 4, 8: operand size */
    UK_OP_SY,       /* 4, or 8 with REX.W */
    UK_OP_SIO,      /* 4, or 2 with an operand-size prefix: INS, OUTS */
    UK_OP_SFP,      /* 16; 4 after F3, 8 after F2: SSE arithmetic */
    UK_OP_SMX,      /* 8, 16 after a prefix: MMX forms of SSE instructions */
    UK_OP_SWX,      /* 8, 16 with REX.W: CMPXCHG8B, CMPXCHG16B */
    UK_OP_SENV,     /* 28, 14 with an operand-size prefix: FLDENV, FNSTENV */
    UK_OP_SX87,     /* 108, 94: FRSTOR, FNSAVE */
    UK_OP_SFX,      /* 512: FXSAVE, FXRSTOR */
};

/* Immediates. */
enum { UK_OP_I0, UK_OP_IB, UK_OP_IW, UK_OP_IZ, UK_OP_IV, UK_OP_IWB, UK_OP_I32 };

/* Mandatory prefixes that a row is for: a set; 0: any. */
enum { UK_OP_NP = 1, UK_OP_66 = 2, UK_OP_F3 = 4, UK_OP_F2 = 8 };

struct uk_opcode {
    uint8_t map, first, last; /* opcodes first to last */
    uint8_t prefixes;
    uint8_t regs; /* set of ModRM.reg values, 0: all */
    uint8_t use, rw, size, imm;
};

/* The row of (i), whose ModRM byte is next if it has one; NULL: not known. */
const struct uk_opcode *uk_x86_opcode(const struct uk_x86_insn *i);

#endif /* UKVM_ARCH_X86_64_OPCODES_H */
