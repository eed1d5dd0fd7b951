/* SPDX-License-Identifier: ISC */
/*
 * native_pair.h: the same guest on the bare native backend and on the bare emulator,
 * step by step, with what the core does in between. Needs cmocka only.
 */
#ifndef UKVM_TESTS_NATIVE_PAIR_H
#define UKVM_TESTS_NATIVE_PAIR_H

#include "arch/x86_64/x86.h"

#define PAIR_MEM     ((size_t)2 << 20)
#define PAIR_FIRST   0x20000u /* what a case may use begins here */
#define PAIR_GDT     0x20000u
#define PAIR_IDT     0x21000u /* 256 gates */
#define PAIR_TSS     0x22000u
#define PAIR_CODE    0x23000u
#define PAIR_HANDLER 0x24000u
#define PAIR_DATA    0x25000u
#define PAIR_STACK   0x27800u /* inside its page */
#define PAIR_IST     0x29000u /* the end of one */
#define PAIR_END     0x29000u

/*
 * Selectors of PAIR_GDT: none that a process may load from Linux's table, which would not
 * trap (asm/segment.h: 0x20 to 0x33 and 0x78).
 */
enum {
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_RODATA = 0x18, /* read-only */
    SEL_ABSENT = 0x38, /* not present */
    SEL_TSS = 0x40,
    SEL_LDT = 0x50,
    SEL_USER = 0x60, /* data, DPL 3 */
    SEL_CONFORMING = 0x68,
    SEL_GATE = 0x70,   /* a call gate: nothing to load */
    SEL_BEYOND = 0x80, /* beyond the limit */
};

/* One side. */
struct side {
    struct ukvm_hv hv;
    int fd;
    struct ukvm_x86_state st;
    struct ukvm_exit ex;
    enum ukvm_answer answer; /* of an INSN exit; else -1 */
    struct ukvm_delivery delivery;
};

extern const struct ukvm_hv_ops ukvm_hv_native, ukvm_hv_emu;

void side_open(struct side *s, const struct ukvm_hv_ops *ops);
void side_close(struct side *s);
/* A sound start state, at PAIR_CODE. */
void side_start(struct ukvm_x86_state *st);
/* Write what lies from PAIR_FIRST to PAIR_END: tables, handlers; then (code). */
void side_memory(uint8_t *image, const void *code, size_t len);
/* Set state and memory from (image), run one step as the core does, fetch the state. */
void side_step(struct side *s, const uint8_t *image, const struct ukvm_x86_state *st);
/* The same without a step wanted: to an exit that is no INSN that the core executes. */
void side_run(struct side *s, const uint8_t *image, const struct ukvm_x86_state *st);

#endif /* UKVM_TESTS_NATIVE_PAIR_H */
