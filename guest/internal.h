/* SPDX-License-Identifier: ISC */
/*
 * What the guest library's files share, and what each architecture supplies (guest/ARCH/).
 * Not for unikernels.
 */
#ifndef UKVM_GUEST_INTERNAL_H
#define UKVM_GUEST_INTERNAL_H

#include "guest/guest.h"
#include "guest/ukvm_guest.h"

extern const struct ukvm_boot_info *uk_guest_boot;
extern char _end[]; /* where the image ends: the linker script's */

/* Called by the start code, on the monitor's stack. */
_Noreturn void uk_guest_start(const struct ukvm_boot_info *boot);

/* The architecture's part: tables for exceptions, the cycle counter, the last instruction. */
void uk_guest_arch_init(void);
uint64_t uk_guest_cycles(void);
_Noreturn void uk_guest_end(const struct ukvm_halt *halt);

/* Ends the machine as an abort does, with (cookie): a trap frame or NULL. */
_Noreturn void uk_guest_give_up(const void *cookie);

#endif
