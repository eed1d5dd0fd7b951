/* SPDX-License-Identifier: ISC */
/*
 * Raising an exception on purpose and checking everything that the processor must have done:
 * for exceptions.c, paging.c and excfpu.c. Depends on the test guests' runtime only.
 */
#ifndef TESTS_GUESTS_RAISE_H
#define TESTS_GUESTS_RAISE_H

#include "tests/guests/abi.h"

/* What the instruction about to raise should leave; rip and rsp are filled by RAISE. */
extern uint64_t raise_at, raise_next, raise_rsp, raise_back, raise_rflags, raise_flags_set,
    raise_resumed;

/* For BEFORE: RSP from here on is what the frame should show; the old one comes back by itself. */
#define NEW_RSP "movq %%rsp, raise_rsp(%%rip)\n\t"

/*
 * Runs BEFORE (which must keep the flags), then INSN at label 1, which is to raise; execution goes
 * on at label 2, with RSP as it was. R11 holds label 2's address, RAX is there to use.
 */
#define RAISE_FROM(before, insn, ...)                                                              \
    __asm__ volatile("leaq 1f(%%rip), %%r11\n\t"                                                   \
                     "movq %%r11, raise_at(%%rip)\n\t"                                             \
                     "leaq 2f(%%rip), %%r11\n\t"                                                   \
                     "movq %%r11, raise_next(%%rip)\n\t"                                           \
                     "movq $0, raise_resumed(%%rip)\n\t"                                           \
                     "movq %%rsp, raise_rsp(%%rip)\n\t"                                            \
                     "movq %%rsp, raise_back(%%rip)\n\t"                                           \
                     "pushfq\n\t"                                                                  \
                     "popq raise_rflags(%%rip)\n\t" before "\n"                                    \
                     "1:\t" insn "\n"                                                              \
                     "2:\tmovq $1, raise_resumed(%%rip)"                                           \
                     :                                                                             \
                     : __VA_ARGS__                                                                 \
                     : "rax", "r11", "memory", "cc")
#define RAISE(insn, ...) RAISE_FROM("", insn, __VA_ARGS__)

enum raise_rip { RIP_AT, RIP_NEXT, RIP_VALUE, RIP_ANY };

/* What must have come; cr2 counts for vector 14 only, rip_value for RIP_VALUE only. */
struct raise_want {
    const char *name;
    uint64_t vector;
    uint64_t error;
    enum raise_rip rip;
    uint64_t rip_value;
    uint64_t cr2;
};

/* Sets the hook, loads SS, DS and ES from the guest's own table so that IRETQ can reload SS. */
/* (cmdline) "cpl3": the guest runs without privilege, and sees the processor's IF. */
void raise_init(const char *cmdline);
/* Compares what came since the last call with want; prints "ok NAME" or a FAIL line each. */
void raise_check(const struct raise_want *want);

/* Called in the hook before it returns; may mend the cause and set *retry. */
extern void (*raise_mend)(struct trap_frame *frame, int *retry);
/* The stack that the gate used ends here; 0: the interrupted one, aligned down to 16. */
extern uint64_t raise_stack_end;
/* RFLAGS.IF as the handler must see it: cleared by an interrupt gate, kept by a trap gate. */
extern uint64_t raise_handler_if;
/* How many exceptions came since raise_check, and the SS to expect in the frame. */
extern unsigned raise_count;
extern uint64_t raise_ss;

#endif
