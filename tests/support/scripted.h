/* SPDX-License-Identifier: ISC */
/*
 * scripted.h: a backend that executes nothing: it returns the exits of a script, so
 * that the core is tested on any machine. And a unikernel file to create it with.
 */
#ifndef UKVM_TESTS_SCRIPTED_H
#define UKVM_TESTS_SCRIPTED_H

#include "core/machine.h"
#include "arch/x86_64/state.h"

struct scripted {
    const struct ukvm_exit *exits; /* run() returns one after the other, then HALT */
    size_t nexits, at;
    bool pc_before;  /* the last exit is completed by settle(), as real KVMs do */
    uint64_t tsc_hz; /* 0: unstable */
    unsigned caps;
    int fail_run;                                     /* run() number (fail_run) fails; 0: none */
    int fail_create, fail_get, fail_set, fail_settle; /* != 0: fails */
    void (*on_run)(struct scripted *s, const struct ukvm_hv_run *how); /* or NULL */
    struct ukvm_x86_state st;
    /* what was asked of it */
    int runs, settles, sets, gets, interrupts, creates, destroys;
    unsigned set_groups;
    struct ukvm_range wrote[64], view[16];
    size_t nwrote, nview;
};

/* The one script of the test at hand: tests are sequential. */
extern struct scripted scripted;
extern const struct ukvm_hv_ops scripted_ops;

/* Write an image of family (abi) with (n) bytes of code at 0x100000; its path, static. */
const char *scripted_image(enum ukvm_abi abi, const void *code, size_t n);

/* A machine on the script, 16 MiB, booted. Fails the test if it cannot. */
struct ukvm *scripted_machine(enum ukvm_abi abi, const struct ukvm_exit *exits, size_t n);

#endif
