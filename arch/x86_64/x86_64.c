/* SPDX-License-Identifier: ISC */
/*
 * x86_64.c: x86_64 as the core sees it.
 */
#include "arch/x86_64/x86.h"

#include <elf.h>

const struct ukvm_arch uk_arch_x86_64 = {
    .name = "x86_64",
    .e_machine = EM_X86_64,
    .state_size = sizeof(struct ukvm_x86_state),
    .max_insn = UK_X86_INSN_MAX,
    .low_end = 0x14000,
    .hole = 0x10000,
    .regs = uk_x86_regs,
    .nregs = UK_X86_NREGS,
    .boot = uk_x86_boot,
    .walk = uk_x86_walk,
    .accesses = uk_x86_accesses,
    .emulate = uk_x86_emulate,
    .serve = uk_x86_serve,
    .deliver = uk_x86_deliver,
    .shows = uk_x86_shows,
    .explain = uk_x86_explain,
    .cookie = uk_x86_cookie,
    .normalise = uk_x86_normalise,
};
