/* SPDX-License-Identifier: ISC */
/*
 * opcodes.c: the table of 64-bit instructions (SDM vol. 2, appendix A): integer,
 * string, stack, x87, MMX and SSE. What is not in it is not understood, so a wrong
 * guess is never made. Data only.
 */
#include "arch/x86_64/opcodes.h"

#define R                      UK_OP_R
#define W                      UK_OP_W
#define RW                     UK_OP_RW
#define V                      UK_OP_SV
#define Y                      UK_OP_SY
#define FP                     UK_OP_SFP
#define MX                     UK_OP_SMX
#define RM                     UK_OP_RM
#define NP                     UK_OP_NP
#define P66                    UK_OP_66
#define F3                     UK_OP_F3
#define F2                     UK_OP_F2
#define NONE                   UK_OP_PLAIN
#define IB                     UK_OP_IB
#define IZ                     UK_OP_IZ
#define REGS(...)              REGS_(__VA_ARGS__, 9, 9, 9, 9)
#define REGS_(a, b, c, d, ...) ((1 << (a) | 1 << (b) | 1 << (c) | 1 << (d)) & 0xff)

/* Rows of one map; the first that fits counts, so special forms stand before general ones. */
#define ONE(first, last, regs, use, rw, size, imm)                                                 \
    {                                                                                              \
        UK_X86_MAP_1, first, last, 0, regs, use, rw, size, imm                                     \
    }
#define TWO(first, last, prefixes, regs, use, rw, size, imm)                                       \
    {                                                                                              \
        UK_X86_MAP_0F, first, last, prefixes, regs, use, rw, size, imm                             \
    }
#define SSE(first, last, prefixes, rw, size)                                                       \
    {                                                                                              \
        UK_X86_MAP_0F, first, last, prefixes, 0, RM, rw, size, 0                                   \
    }
#define SSEI(first, last, prefixes, rw, size)                                                      \
    {                                                                                              \
        UK_X86_MAP_0F, first, last, prefixes, 0, RM, rw, size, IB                                  \
    }
#define M38(first, last, prefixes, rw, size)                                                       \
    {                                                                                              \
        UK_X86_MAP_0F38, first, last, prefixes, 0, RM, rw, size, 0                                 \
    }
#define M3A(first, last, prefixes, rw, size)                                                       \
    {                                                                                              \
        UK_X86_MAP_0F3A, first, last, prefixes, 0, RM, rw, size, IB                                \
    }

/* ADD, OR, ADC, SBB, AND, SUB, XOR at (op): r/m, r; r, r/m; AL, imm8; eAX, imm. */
#define ARITHMETIC(op, rw)                                                                         \
    ONE((op) + 0, (op) + 0, 0, RM, rw, 1, 0), ONE((op) + 1, (op) + 1, 0, RM, rw, V, 0),            \
        ONE((op) + 2, (op) + 2, 0, RM, R, 1, 0), ONE((op) + 3, (op) + 3, 0, RM, R, V, 0),          \
        ONE((op) + 4, (op) + 4, 0, NONE, 0, 0, IB), ONE((op) + 5, (op) + 5, 0, NONE, 0, 0, IZ)

static const struct uk_opcode opcodes[] = {
    ARITHMETIC(0x00, RW),
    ARITHMETIC(0x08, RW),
    ARITHMETIC(0x10, RW),
    ARITHMETIC(0x18, RW),
    ARITHMETIC(0x20, RW),
    ARITHMETIC(0x28, RW),
    ARITHMETIC(0x30, RW),
    ARITHMETIC(0x38, R), /* CMP */
    ONE(0x50, 0x57, 0, UK_OP_PUSH, 0, 0, 0),
    ONE(0x58, 0x5f, 0, UK_OP_POP, 0, 0, 0),
    ONE(0x63, 0x63, 0, RM, R, 4, 0), /* MOVSXD */
    ONE(0x68, 0x68, 0, UK_OP_PUSH, 0, 0, IZ),
    ONE(0x69, 0x69, 0, RM, R, V, IZ), /* IMUL */
    ONE(0x6a, 0x6a, 0, UK_OP_PUSH, 0, 0, IB),
    ONE(0x6b, 0x6b, 0, RM, R, V, IB),
    ONE(0x6c, 0x6c, 0, UK_OP_DEST, W, 1, 0), /* INS */
    ONE(0x6d, 0x6d, 0, UK_OP_DEST, W, UK_OP_SIO, 0),
    ONE(0x6e, 0x6e, 0, UK_OP_SOURCE, R, 1, 0), /* OUTS */
    ONE(0x6f, 0x6f, 0, UK_OP_SOURCE, R, UK_OP_SIO, 0),
    ONE(0x70, 0x7f, 0, NONE, 0, 0, IB),     /* Jcc */
    ONE(0x80, 0x80, REGS(7), RM, R, 1, IB), /* CMP */
    ONE(0x80, 0x80, 0, RM, RW, 1, IB),
    ONE(0x81, 0x81, REGS(7), RM, R, V, IZ),
    ONE(0x81, 0x81, 0, RM, RW, V, IZ),
    ONE(0x83, 0x83, REGS(7), RM, R, V, IB),
    ONE(0x83, 0x83, 0, RM, RW, V, IB),
    ONE(0x84, 0x84, 0, RM, R, 1, 0), /* TEST */
    ONE(0x85, 0x85, 0, RM, R, V, 0),
    ONE(0x86, 0x86, 0, RM, RW, 1, 0), /* XCHG */
    ONE(0x87, 0x87, 0, RM, RW, V, 0),
    ONE(0x88, 0x88, 0, RM, W, 1, 0), /* MOV */
    ONE(0x89, 0x89, 0, RM, W, V, 0),
    ONE(0x8a, 0x8a, 0, RM, R, 1, 0),
    ONE(0x8b, 0x8b, 0, RM, R, V, 0),
    ONE(0x8c, 0x8c, 0, RM, W, 2, 0),            /* MOV from Sreg */
    ONE(0x8d, 0x8d, 0, UK_OP_ADDRESS, 0, 0, 0), /* LEA */
    ONE(0x8e, 0x8e, 0, RM, R, 2, 0),            /* MOV to Sreg */
    ONE(0x8f, 0x8f, REGS(0), UK_OP_POP_RM, W, V, 0),
    ONE(0x90, 0x99, 0, NONE, 0, 0, 0),
    ONE(0x9b, 0x9b, 0, NONE, 0, 0, 0),
    ONE(0x9c, 0x9c, 0, UK_OP_PUSH, 0, 0, 0), /* PUSHF */
    ONE(0x9d, 0x9d, 0, UK_OP_POP, 0, 0, 0),
    ONE(0x9e, 0x9f, 0, NONE, 0, 0, 0),
    ONE(0xa0, 0xa0, 0, UK_OP_OFFSET, R, 1, 0),
    ONE(0xa1, 0xa1, 0, UK_OP_OFFSET, R, V, 0),
    ONE(0xa2, 0xa2, 0, UK_OP_OFFSET, W, 1, 0),
    ONE(0xa3, 0xa3, 0, UK_OP_OFFSET, W, V, 0),
    ONE(0xa4, 0xa4, 0, UK_OP_BOTH, W, 1, 0), /* MOVS */
    ONE(0xa5, 0xa5, 0, UK_OP_BOTH, W, V, 0),
    ONE(0xa6, 0xa6, 0, UK_OP_BOTH, R, 1, 0), /* CMPS */
    ONE(0xa7, 0xa7, 0, UK_OP_BOTH, R, V, 0),
    ONE(0xa8, 0xa8, 0, NONE, 0, 0, IB),
    ONE(0xa9, 0xa9, 0, NONE, 0, 0, IZ),
    ONE(0xaa, 0xaa, 0, UK_OP_DEST, W, 1, 0), /* STOS */
    ONE(0xab, 0xab, 0, UK_OP_DEST, W, V, 0),
    ONE(0xac, 0xac, 0, UK_OP_SOURCE, R, 1, 0), /* LODS */
    ONE(0xad, 0xad, 0, UK_OP_SOURCE, R, V, 0),
    ONE(0xae, 0xae, 0, UK_OP_DEST, R, 1, 0), /* SCAS */
    ONE(0xaf, 0xaf, 0, UK_OP_DEST, R, V, 0),
    ONE(0xb0, 0xb7, 0, NONE, 0, 0, IB),
    ONE(0xb8, 0xbf, 0, NONE, 0, 0, UK_OP_IV),
    ONE(0xc0, 0xc0, 0, RM, RW, 1, IB), /* shifts */
    ONE(0xc1, 0xc1, 0, RM, RW, V, IB),
    ONE(0xc2, 0xc2, 0, UK_OP_RET, 0, 0, UK_OP_IW),
    ONE(0xc3, 0xc3, 0, UK_OP_RET, 0, 0, 0),
    ONE(0xc6, 0xc6, REGS(0), RM, W, 1, IB), /* MOV */
    ONE(0xc7, 0xc7, REGS(0), RM, W, V, IZ),
    ONE(0xc8, 0xc8, 0, UK_OP_PUSH, 0, 0, UK_OP_IWB), /* ENTER: of level 0 */
    ONE(0xc9, 0xc9, 0, UK_OP_LEAVE, 0, 0, 0),
    ONE(0xca, 0xca, 0, UK_OP_FAR_RET, 0, 0, UK_OP_IW),
    ONE(0xcb, 0xcb, 0, UK_OP_FAR_RET, 0, 0, 0),
    ONE(0xcc, 0xcc, 0, NONE, 0, 0, 0),
    ONE(0xcd, 0xcd, 0, NONE, 0, 0, IB),
    ONE(0xcf, 0xcf, 0, UK_OP_IRET, 0, 0, 0),
    ONE(0xd0, 0xd0, 0, RM, RW, 1, 0),
    ONE(0xd1, 0xd1, 0, RM, RW, V, 0),
    ONE(0xd2, 0xd2, 0, RM, RW, 1, 0),
    ONE(0xd3, 0xd3, 0, RM, RW, V, 0),
    ONE(0xd7, 0xd7, 0, UK_OP_XLAT, 0, 0, 0),
    ONE(0xd8, 0xd8, 0, RM, R, 4, 0), /* x87: D8 to DF */
    ONE(0xd9, 0xd9, REGS(0), RM, R, 4, 0),
    ONE(0xd9, 0xd9, REGS(1), UK_OP_REGS, 0, 0, 0), /* FXCH */
    ONE(0xd9, 0xd9, REGS(2, 3), RM, W, 4, 0),
    ONE(0xd9, 0xd9, REGS(4), RM, R, UK_OP_SENV, 0),
    ONE(0xd9, 0xd9, REGS(5), RM, R, 2, 0),
    ONE(0xd9, 0xd9, REGS(6), RM, W, UK_OP_SENV, 0),
    ONE(0xd9, 0xd9, REGS(7), RM, W, 2, 0),
    ONE(0xda, 0xda, 0, RM, R, 4, 0),
    ONE(0xdb, 0xdb, REGS(0), RM, R, 4, 0),
    ONE(0xdb, 0xdb, REGS(1, 2, 3), RM, W, 4, 0),
    ONE(0xdb, 0xdb, REGS(5), RM, R, 10, 0),
    ONE(0xdb, 0xdb, REGS(7), RM, W, 10, 0),
    ONE(0xdb, 0xdb, REGS(4, 6), UK_OP_REGS, 0, 0, 0), /* FNINIT, FNCLEX, FCOMI */
    ONE(0xdc, 0xdc, 0, RM, R, 8, 0),
    ONE(0xdd, 0xdd, REGS(0), RM, R, 8, 0),
    ONE(0xdd, 0xdd, REGS(1, 2, 3), RM, W, 8, 0),
    ONE(0xdd, 0xdd, REGS(4), RM, R, UK_OP_SX87, 0),
    ONE(0xdd, 0xdd, REGS(6), RM, W, UK_OP_SX87, 0),
    ONE(0xdd, 0xdd, REGS(7), RM, W, 2, 0),
    ONE(0xdd, 0xdd, REGS(5), UK_OP_REGS, 0, 0, 0), /* FUCOMP */
    ONE(0xde, 0xde, 0, RM, R, 2, 0),
    ONE(0xdf, 0xdf, REGS(0), RM, R, 2, 0),
    ONE(0xdf, 0xdf, REGS(1, 2, 3), RM, W, 2, 0),
    ONE(0xdf, 0xdf, REGS(4), RM, R, 10, 0),
    ONE(0xdf, 0xdf, REGS(5), RM, R, 8, 0),
    ONE(0xdf, 0xdf, REGS(6), RM, W, 10, 0),
    ONE(0xdf, 0xdf, REGS(7), RM, W, 8, 0),
    ONE(0xe0, 0xe7, 0, NONE, 0, 0, IB), /* LOOP, JRCXZ, IN, OUT */
    ONE(0xe8, 0xe8, 0, UK_OP_CALL, 0, 0, UK_OP_I32),
    ONE(0xe9, 0xe9, 0, NONE, 0, 0, UK_OP_I32),
    ONE(0xeb, 0xeb, 0, NONE, 0, 0, IB),
    ONE(0xec, 0xef, 0, NONE, 0, 0, 0),
    ONE(0xf1, 0xf1, 0, NONE, 0, 0, 0),
    ONE(0xf4, 0xf5, 0, NONE, 0, 0, 0),
    ONE(0xf6, 0xf6, REGS(0, 1), RM, R, 1, IB), /* TEST */
    ONE(0xf6, 0xf6, REGS(2, 3), RM, RW, 1, 0), /* NOT, NEG */
    ONE(0xf6, 0xf6, 0, RM, R, 1, 0),           /* MUL, DIV */
    ONE(0xf7, 0xf7, REGS(0, 1), RM, R, V, IZ),
    ONE(0xf7, 0xf7, REGS(2, 3), RM, RW, V, 0),
    ONE(0xf7, 0xf7, 0, RM, R, V, 0),
    ONE(0xf8, 0xfd, 0, NONE, 0, 0, 0),
    ONE(0xfe, 0xfe, REGS(0, 1), RM, RW, 1, 0), /* INC, DEC */
    ONE(0xff, 0xff, REGS(0, 1), RM, RW, V, 0),
    ONE(0xff, 0xff, REGS(2), UK_OP_CALL_RM, R, 8, 0),
    ONE(0xff, 0xff, REGS(4), RM, R, 8, 0), /* JMP */
    ONE(0xff, 0xff, REGS(6), UK_OP_PUSH_RM, R, V, 0),

    TWO(0x00, 0x00, 0, REGS(0, 1), RM, W, 2, 0),         /* SLDT, STR */
    TWO(0x00, 0x00, 0, REGS(2, 3), RM, R, 2, 0),         /* LLDT, LTR */
    TWO(0x00, 0x00, 0, REGS(4, 5), RM, R, 2, 0),         /* VERR, VERW */
    TWO(0x01, 0x01, 0, REGS(0, 1), RM, W, 10, 0),        /* SGDT, SIDT */
    TWO(0x01, 0x01, 0, REGS(2, 3), RM, R, 10, 0),        /* LGDT, LIDT */
    TWO(0x01, 0x01, 0, REGS(4), RM, W, 2, 0),            /* SMSW */
    TWO(0x01, 0x01, 0, REGS(6), RM, R, 2, 0),            /* LMSW */
    TWO(0x01, 0x01, 0, REGS(7), UK_OP_ADDRESS, 0, 0, 0), /* INVLPG, RDTSCP, SWAPGS */
    TWO(0x02, 0x03, 0, 0, RM, R, 2, 0),                  /* LAR, LSL */
    TWO(0x05, 0x09, 0, 0, NONE, 0, 0, 0),
    TWO(0x0b, 0x0b, 0, 0, NONE, 0, 0, 0),          /* UD2 */
    TWO(0x0d, 0x0d, 0, 0, UK_OP_ADDRESS, 0, 0, 0), /* PREFETCHW */
    SSE(0x10, 0x10, 0, R, FP),                     /* MOVUPS and so on */
    SSE(0x11, 0x11, 0, W, FP),
    SSE(0x12, 0x12, NP | P66 | F2, R, 8),
    SSE(0x12, 0x12, F3, R, 16),
    SSE(0x13, 0x13, NP | P66, W, 8),
    SSE(0x14, 0x15, NP | P66, R, 16),
    SSE(0x16, 0x16, NP | P66, R, 8),
    SSE(0x16, 0x16, F3, R, 16),
    SSE(0x17, 0x17, NP | P66, W, 8),
    TWO(0x18, 0x1f, 0, 0, UK_OP_ADDRESS, 0, 0, 0), /* prefetches, NOP */
    TWO(0x20, 0x23, 0, 0, UK_OP_REGS, 0, 0, 0),    /* MOV CRn, DRn */
    SSE(0x28, 0x28, NP | P66, R, 16),
    SSE(0x29, 0x29, NP | P66, W, 16),
    SSE(0x2a, 0x2a, NP | P66, R, 8), /* CVTPI2PS */
    SSE(0x2a, 0x2a, F3 | F2, R, Y),  /* CVTSI2SS */
    SSE(0x2b, 0x2b, NP | P66, W, 16),
    SSE(0x2c, 0x2d, NP | F2, R, 8),
    SSE(0x2c, 0x2d, P66, R, 16),
    SSE(0x2c, 0x2d, F3, R, 4),
    SSE(0x2e, 0x2f, NP, R, 4), /* UCOMISS */
    SSE(0x2e, 0x2f, P66, R, 8),
    TWO(0x30, 0x33, 0, 0, NONE, 0, 0, 0),              /* WRMSR, RDTSC, RDMSR, RDPMC */
    TWO(0x40, 0x4f, 0, 0, RM, R, V, 0),                /* CMOVcc: reads whatever the condition */
    TWO(0x50, 0x50, NP | P66, 0, UK_OP_REGS, 0, 0, 0), /* MOVMSKPS */
    SSE(0x51, 0x51, 0, R, FP),
    SSE(0x52, 0x53, NP | F3, R, FP),
    SSE(0x54, 0x57, NP | P66, R, 16),
    SSE(0x58, 0x59, 0, R, FP),
    SSE(0x5a, 0x5a, NP | F2, R, 8), /* CVTPS2PD */
    SSE(0x5a, 0x5a, P66, R, 16),
    SSE(0x5a, 0x5a, F3, R, 4),
    SSE(0x5b, 0x5b, NP | P66 | F3, R, 16),
    SSE(0x5c, 0x5f, 0, R, FP),
    SSE(0x60, 0x62, NP, R, 4),
    SSE(0x60, 0x62, P66, R, 16),
    SSE(0x63, 0x6b, NP | P66, R, MX),
    SSE(0x6c, 0x6d, P66, R, 16),
    SSE(0x6e, 0x6e, NP | P66, R, Y), /* MOVD */
    SSE(0x6f, 0x6f, NP | P66 | F3, R, MX),
    SSEI(0x70, 0x70, 0, R, MX), /* PSHUF */
    TWO(0x71, 0x73, NP | P66, 0, UK_OP_REGS, 0, 0, IB),
    SSE(0x74, 0x76, NP | P66, R, MX),
    TWO(0x77, 0x77, NP, 0, NONE, 0, 0, 0), /* EMMS */
    SSE(0x7c, 0x7d, P66 | F2, R, 16),
    SSE(0x7e, 0x7e, NP | P66, W, Y), /* MOVD */
    SSE(0x7e, 0x7e, F3, R, 8),       /* MOVQ */
    SSE(0x7f, 0x7f, NP | P66 | F3, W, MX),
    TWO(0x80, 0x8f, 0, 0, NONE, 0, 0, UK_OP_I32), /* Jcc */
    TWO(0x90, 0x9f, 0, 0, RM, W, 1, 0),           /* SETcc */
    TWO(0xa0, 0xa0, 0, 0, UK_OP_PUSH, 0, 0, 0),   /* FS */
    TWO(0xa1, 0xa1, 0, 0, UK_OP_POP, 0, 0, 0),
    TWO(0xa2, 0xa2, 0, 0, NONE, 0, 0, 0),       /* CPUID */
    TWO(0xa3, 0xa3, 0, 0, UK_OP_BITS, R, V, 0), /* BT */
    TWO(0xa4, 0xa4, 0, 0, RM, RW, V, IB),       /* SHLD */
    TWO(0xa5, 0xa5, 0, 0, RM, RW, V, 0),
    TWO(0xa8, 0xa8, 0, 0, UK_OP_PUSH, 0, 0, 0), /* GS */
    TWO(0xa9, 0xa9, 0, 0, UK_OP_POP, 0, 0, 0),
    TWO(0xab, 0xab, 0, 0, UK_OP_BITS, RW, V, 0), /* BTS */
    TWO(0xac, 0xac, 0, 0, RM, RW, V, IB),        /* SHRD */
    TWO(0xad, 0xad, 0, 0, RM, RW, V, 0),
    TWO(0xae, 0xae, F3 | F2, 0, UK_OP_ADDRESS, 0, 0, 0), /* RDFSBASE and so on */
    TWO(0xae, 0xae, 0, REGS(0), RM, W, UK_OP_SFX, 0),    /* FXSAVE */
    TWO(0xae, 0xae, 0, REGS(1), RM, R, UK_OP_SFX, 0),
    TWO(0xae, 0xae, 0, REGS(2), RM, R, 4, 0), /* LDMXCSR */
    TWO(0xae, 0xae, 0, REGS(3), RM, W, 4, 0),
    TWO(0xae, 0xae, 0, REGS(5, 6), UK_OP_ADDRESS, 0, 0, 0), /* LFENCE, MFENCE; not XRSTOR */
    TWO(0xae, 0xae, 0, REGS(7), RM, R, 1, 0),               /* CLFLUSH faults as a read; SFENCE */
    TWO(0xaf, 0xaf, 0, 0, RM, R, V, 0),                     /* IMUL */
    TWO(0xb0, 0xb0, 0, 0, RM, RW, 1, 0), /* CMPXCHG: writes whatever the comparison */
    TWO(0xb1, 0xb1, 0, 0, RM, RW, V, 0),
    TWO(0xb3, 0xb3, 0, 0, UK_OP_BITS, RW, V, 0), /* BTR */
    TWO(0xb6, 0xb6, 0, 0, RM, R, 1, 0),          /* MOVZX */
    TWO(0xb7, 0xb7, 0, 0, RM, R, 2, 0),
    TWO(0xb8, 0xb8, F3, 0, RM, R, V, 0),       /* POPCNT */
    TWO(0xba, 0xba, 0, REGS(4), RM, R, V, IB), /* BT */
    TWO(0xba, 0xba, 0, REGS(5, 6, 7), RM, RW, V, IB),
    TWO(0xbb, 0xbb, 0, 0, UK_OP_BITS, RW, V, 0), /* BTC */
    TWO(0xbc, 0xbd, 0, 0, RM, R, V, 0),          /* BSF, BSR, TZCNT, LZCNT */
    TWO(0xbe, 0xbe, 0, 0, RM, R, 1, 0),          /* MOVSX */
    TWO(0xbf, 0xbf, 0, 0, RM, R, 2, 0),
    TWO(0xc0, 0xc0, 0, 0, RM, RW, 1, 0), /* XADD */
    TWO(0xc1, 0xc1, 0, 0, RM, RW, V, 0),
    SSEI(0xc2, 0xc2, 0, R, FP),                         /* CMPPS */
    SSE(0xc3, 0xc3, NP, W, Y),                          /* MOVNTI */
    SSEI(0xc4, 0xc4, NP | P66, R, 2),                   /* PINSRW */
    TWO(0xc5, 0xc5, NP | P66, 0, UK_OP_REGS, 0, 0, IB), /* PEXTRW */
    SSEI(0xc6, 0xc6, NP | P66, R, 16),                  /* SHUFPS */
    TWO(0xc7, 0xc7, 0, REGS(1), RM, RW, UK_OP_SWX, 0),  /* CMPXCHG8B */
    TWO(0xc8, 0xcf, 0, 0, NONE, 0, 0, 0),               /* BSWAP */
    SSE(0xd0, 0xd0, P66 | F2, R, 16),
    SSE(0xd1, 0xd5, NP | P66, R, MX),
    SSE(0xd6, 0xd6, P66, W, 8), /* MOVQ */
    TWO(0xd6, 0xd6, F3 | F2, 0, UK_OP_REGS, 0, 0, 0),
    TWO(0xd7, 0xd7, NP | P66, 0, UK_OP_REGS, 0, 0, 0), /* PMOVMSKB */
    SSE(0xd8, 0xe5, NP | P66, R, MX),
    SSE(0xe6, 0xe6, F3, R, 8), /* CVTDQ2PD */
    SSE(0xe6, 0xe6, P66 | F2, R, 16),
    SSE(0xe7, 0xe7, NP | P66, W, MX), /* MOVNTQ */
    SSE(0xe8, 0xef, NP | P66, R, MX),
    SSE(0xf0, 0xf0, F2, R, 16), /* LDDQU */
    SSE(0xf1, 0xf6, NP | P66, R, MX),
    TWO(0xf7, 0xf7, NP | P66, 0, UK_OP_MASKED, W, MX, 0),
    SSE(0xf8, 0xfe, NP | P66, R, MX),

    M38(0x00, 0x0b, NP | P66, R, MX), /* PSHUFB, PHADD, PSIGN */
    M38(0x10, 0x10, P66, R, 16),
    M38(0x14, 0x15, P66, R, 16),
    M38(0x17, 0x17, P66, R, 16), /* PTEST */
    M38(0x1c, 0x1e, NP | P66, R, MX),
    M38(0x20, 0x20, P66, R, 8), /* PMOVSX */
    M38(0x21, 0x21, P66, R, 4),
    M38(0x22, 0x22, P66, R, 2),
    M38(0x23, 0x23, P66, R, 8),
    M38(0x24, 0x24, P66, R, 4),
    M38(0x25, 0x25, P66, R, 8),
    M38(0x28, 0x2b, P66, R, 16),
    M38(0x30, 0x30, P66, R, 8), /* PMOVZX */
    M38(0x31, 0x31, P66, R, 4),
    M38(0x32, 0x32, P66, R, 2),
    M38(0x33, 0x33, P66, R, 8),
    M38(0x34, 0x34, P66, R, 4),
    M38(0x35, 0x35, P66, R, 8),
    M38(0x37, 0x41, P66, R, 16),
    M38(0xc8, 0xcd, NP, R, 16),      /* SHA */
    M38(0xdb, 0xdf, P66, R, 16),     /* AES */
    M38(0xf0, 0xf0, NP | P66, R, V), /* MOVBE */
    M38(0xf1, 0xf1, NP | P66, W, V),
    M38(0xf0, 0xf0, F2, R, 1), /* CRC32 */
    M38(0xf1, 0xf1, F2, R, V),
    M38(0xf6, 0xf6, P66 | F3, R, Y), /* ADCX, ADOX */

    M3A(0x08, 0x09, P66, R, 16), /* ROUND, BLEND */
    M3A(0x0a, 0x0a, P66, R, 4),
    M3A(0x0b, 0x0b, P66, R, 8),
    M3A(0x0c, 0x0e, P66, R, 16),
    M3A(0x0f, 0x0f, NP | P66, R, MX), /* PALIGNR */
    M3A(0x14, 0x14, P66, W, 1),       /* PEXTR */
    M3A(0x15, 0x15, P66, W, 2),
    M3A(0x16, 0x16, P66, W, Y),
    M3A(0x17, 0x17, P66, W, 4),
    M3A(0x20, 0x20, P66, R, 1), /* PINSR */
    M3A(0x21, 0x21, P66, R, 4),
    M3A(0x22, 0x22, P66, R, Y),
    M3A(0x40, 0x42, P66, R, 16), /* DP, MPSADBW */
    M3A(0x44, 0x44, P66, R, 16), /* PCLMULQDQ */
    M3A(0x60, 0x63, P66, R, 16), /* PCMPSTR */
    M3A(0xcc, 0xcc, NP, R, 16),  /* SHA1RNDS4 */
    M3A(0xdf, 0xdf, P66, R, 16), /* AESKEYGENASSIST */
};

/* The one that selects a form: F2 and F3 before 66 (SDM vol. 2, 2.1.2, appendix A.2.1). */
static uint8_t prefix_of(const struct uk_x86_insn *i)
{
    if (i->rep)
        return F3;
    if (i->repne)
        return F2;
    return i->opsize ? P66 : NP;
}

const struct uk_opcode *uk_x86_opcode(const struct uk_x86_insn *i)
{
    uint8_t prefix = prefix_of(i);

    for (size_t k = 0; k < sizeof(opcodes) / sizeof(opcodes[0]); k++) {
        const struct uk_opcode *o = &opcodes[k];

        if (o->map != i->map || i->op < o->first || i->op > o->last)
            continue;
        if (o->prefixes && !(o->prefixes & prefix))
            continue;
        if (o->regs && (i->at >= i->n || !(o->regs & 1 << ((i->p[i->at] >> 3) & 7))))
            continue;
        return o;
    }
    return NULL;
}
