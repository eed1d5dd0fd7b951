/* SPDX-License-Identifier: ISC */
/*
 * emulate.h: what the files that execute instructions for the monitor share: an
 * instruction under way, and the form of their tables' rows.
 */
#ifndef UKVM_ARCH_X86_64_EMULATE_H
#define UKVM_ARCH_X86_64_EMULATE_H

#include "arch/x86_64/x86.h"

/* An instruction being executed. */
struct uk_x86_run {
    struct ukvm_x86_state *st;
    struct ukvm_mem mem;
    struct ukvm_exit *ex;
    struct uk_x86_insn i;
    bool jumped; /* the state's RIP and RFLAGS are final */
};

typedef enum ukvm_answer uk_x86_fn_t(struct uk_x86_run *r);

/* What a row's instruction takes after its opcode, and REP: it must have that prefix. */
enum {
    UK_X86_MODRM = 1,
    UK_X86_IMM8 = 2,
    UK_X86_REP = 4,
    UK_X86_REGS = 8, /* a ModRM byte that always means registers */
    UK_X86_IMM16 = 16,
};

/* Opcodes (first) to (last), whose ModRM byte is (modrm), or has a reg field in the set (regs). */
struct uk_x86_row {
    uint8_t map, first, last, modrm, regs, form;
    uk_x86_fn_t *fn;
};

/* privileged.c */
#define UK_X86_NPRIVILEGED 27
extern const struct uk_x86_row uk_x86_privileged[UK_X86_NPRIVILEGED];

/* emulate.c */
enum ukvm_answer uk_x86_raise(struct uk_x86_run *r, int vector, bool has_code, uint32_t code,
                              ukvm_gva_t addr);
/* The register or memory operand rm, zero-extended. False: (*a) says why not. */
bool uk_x86_load_rm(struct uk_x86_run *r, unsigned size, uint64_t *v, enum ukvm_answer *a);
/* 32 bits clear the upper half, 16 keep the rest (SDM vol. 1, 3.4.1.1). */
void uk_x86_store_reg(struct uk_x86_run *r, uint8_t reg, unsigned size, uint64_t v);

/* segments.c: loading selectors and going far; each returns the instruction's answer. */
uk_x86_fn_t uk_x86_mov_sreg, uk_x86_pop_sreg, uk_x86_ltr, uk_x86_lldt, uk_x86_far_ret, uk_x86_iret,
    uk_x86_pushf, uk_x86_popf;

#endif /* UKVM_ARCH_X86_64_EMULATE_H */
