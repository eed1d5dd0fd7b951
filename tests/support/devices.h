/* SPDX-License-Identifier: ISC */
/*
 * devices.h: calling a machine's devices from a test, through the whole transaction
 * and on the scripted backend.
 */
#ifndef UKVM_TESTS_DEVICES_H
#define UKVM_TESTS_DEVICES_H

#include "tests/support/scripted.h"
#include "guest/ukvm_guest.h"

#define DEV_ARG 0x300000u /* where a call's argument struct lies */
#define DEV_BUF 0x310000u /* for its buffer: 64 KiB and more */

/* A machine of family (abi) that is not booted yet, 16 MiB. Its console is (console_fd). */
struct ukvm *devices_machine(enum ukvm_abi abi, int console_fd);
void devices_boot(struct ukvm *vm);
void *devices_mem(struct ukvm *vm, ukvm_gpa_t gpa);

/*
 * Make hypercall (nr) with (arg), which gets the answer. What ukvm_run() returned;
 * (stop) is a BREAK if the call was performed. (stop), (err) may be NULL: then it must.
 */
int devices_call(struct ukvm *vm, unsigned nr, void *arg, size_t size, struct ukvm_stop *stop,
                 struct ukvm_error *err);

/* Fails the test unless (text) has (piece) in it. */
void devices_says(const char *text, const char *piece);

#endif
