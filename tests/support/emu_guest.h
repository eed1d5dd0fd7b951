/* SPDX-License-Identifier: ISC */
/*
 * emu_guest.h: hand-made x86_64 guests on the bare emulator backend: long mode,
 * identity tables of 2 MiB pages, no core above. Needs cmocka only.
 */
#ifndef UKVM_TESTS_EMU_GUEST_H
#define UKVM_TESTS_EMU_GUEST_H

#include "arch/x86_64/state.h"
#include "core/hv.h"

#define GUEST_MEM    ((size_t)8 << 20)
#define GUEST_TABLES 0x10000u /* PML4, PDPT, PD; then a PT for the page at 4 MiB */
#define GUEST_CODE   0x100000u
#define GUEST_DATA   0x200000u
#define GUEST_STACK  0x300000u
#define GUEST_FINE   0x400000u /* 4 MiB to 6 MiB: in 4 KiB pages */

extern const struct ukvm_hv_ops ukvm_hv_emu;

struct guest {
    struct ukvm_hv hv;
    struct ukvm_x86_state st;
    struct ukvm_exit ex;
};

/* A fresh backend at (code), its state set; fails the test if that cannot be. */
void guest_open(struct guest *g, const void *code, size_t len);
void guest_close(struct guest *g);
/* The tables map [2 MiB * (i), 2 MiB more) to (gpa), or not at all if (flags) is 0. */
void guest_map(struct guest *g, unsigned i, uint64_t gpa, uint64_t flags);
/* The 4 KiB page at GUEST_FINE + 4096 * (i): its entry's flags. */
void guest_page(struct guest *g, unsigned i, uint64_t flags);
void guest_code(struct guest *g, uint64_t at, const void *code, size_t len);
void guest_set(struct guest *g);
void guest_get(struct guest *g);
enum ukvm_exit_kind guest_run(struct guest *g);
enum ukvm_exit_kind guest_step(struct guest *g);
enum ukvm_exit_kind guest_until(struct guest *g, uint64_t count);
uint64_t guest_count(struct guest *g);
void guest_emulated(struct guest *g, uint64_t pc); /* go on at (pc) */

#endif /* UKVM_TESTS_EMU_GUEST_H */
