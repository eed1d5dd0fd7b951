/* SPDX-License-Identifier: ISC */
/*
 * state.h: the whole state of an x86_64 vCPU as plain data, the form in which
 * backends give and take it. No pointers, no padding that matters.
 */
#ifndef UKVM_ARCH_X86_64_STATE_H
#define UKVM_ARCH_X86_64_STATE_H

#include <stdint.h>

/* In the order of instruction encodings (Intel SDM vol. 2, 2.1.5). */
enum {
    UKVM_RAX,
    UKVM_RCX,
    UKVM_RDX,
    UKVM_RBX,
    UKVM_RSP,
    UKVM_RBP,
    UKVM_RSI,
    UKVM_RDI,
    UKVM_R8,
    UKVM_R9,
    UKVM_R10,
    UKVM_R11,
    UKVM_R12,
    UKVM_R13,
    UKVM_R14,
    UKVM_R15,
};

/* As the sreg field encodes them; then those that have no encoding there. */
enum {
    UKVM_ES,
    UKVM_CS,
    UKVM_SS,
    UKVM_DS,
    UKVM_FS,
    UKVM_GS,
    UKVM_LDTR,
    UKVM_TR,
    UKVM_NSEGS,
};

/* The hidden part too: no selector is reloaded when state is set. */
struct ukvm_x86_seg {
    uint64_t base;
    uint32_t limit; /* bytes - 1, granularity applied */
    uint16_t selector;
    uint16_t attr; /* bits as UKVM_SEG_*; descriptor bits 40-47 and 52-55 (SDM vol. 3, 3.4.5) */
};
#define UKVM_SEG_TYPE     0x000fu
#define UKVM_SEG_S        0x0010u
#define UKVM_SEG_DPL      0x0060u
#define UKVM_SEG_P        0x0080u
#define UKVM_SEG_AVL      0x1000u
#define UKVM_SEG_L        0x2000u
#define UKVM_SEG_DB       0x4000u
#define UKVM_SEG_G        0x8000u
#define UKVM_SEG_UNUSABLE 0x0100u /* not a descriptor bit: the register holds a null selector */

struct ukvm_x86_table {
    uint64_t base;
    uint32_t limit; /* bytes - 1 */
    uint32_t zero;
};

struct ukvm_x86_state {
    /* UKVM_GPR */
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
    /* UKVM_SYS */
    struct ukvm_x86_seg seg[UKVM_NSEGS];
    struct ukvm_x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer;
    uint64_t dr[4], dr6, dr7;
    /* UKVM_FPU: as FXSAVE64 stores them (SDM vol. 1, 10.5.1) */
    uint8_t st[8][16]; /* ST(i), 10 bytes used */
    uint8_t xmm[16][16];
    uint16_t fcw, fsw;
    uint16_t ftw; /* abridged: bit i set: physical register i is not empty */
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, zero;
    /* UKVM_MSR */
    uint64_t tsc;
    uint64_t kernel_gs_base, star, lstar, cstar, sfmask;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat;
    /* UKVM_EVENT */
    uint8_t exc_pending, exc_vector, exc_has_code, intr_shadow; /* shadow: 1 STI, 2 MOV SS */
    uint32_t exc_code;
};

#define UKVM_RFLAGS_FIXED 0x2u
#define UKVM_RFLAGS_TF    0x100u
#define UKVM_RFLAGS_IF    0x200u
#define UKVM_RFLAGS_NT    0x4000u
#define UKVM_RFLAGS_RF    0x10000u
#define UKVM_RFLAGS_AC    0x40000u
#define UKVM_CR0_PE       0x1u
#define UKVM_CR0_NE       0x20u
#define UKVM_CR0_WP       0x10000u
#define UKVM_CR0_PG       0x80000000u
#define UKVM_CR4_PAE      0x20u
#define UKVM_EFER_LMA     0x400u
#define UKVM_EFER_NXE     0x800u

#endif /* UKVM_ARCH_X86_64_STATE_H */
