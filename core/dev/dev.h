/* SPDX-License-Identifier: ISC */
/*
 * dev.h: the devices that come with the library, and what they share. They use the
 * public headers and, of the machine, only functions.
 *
 * A guest chooses where its argument struct lies, aligned or not, and whether a buffer
 * overlaps it: a handler copies it from call->in and copies its answer to call->arg.
 */
#ifndef UKVM_DEV_H
#define UKVM_DEV_H

#include "core/ukvm.h"
#include "core/ukvm_hook.h"

/* In every machine. */
extern const struct ukvm_module uk_dev_console, uk_dev_clock, uk_dev_poll, uk_dev_halt;
/* Attached on demand. */
extern const struct ukvm_module uk_dev_blk, uk_dev_net;

/* Give the machine's hypercall (name) its handler. */
int uk_dev_register(struct ukvm *vm, const char *name, ukvm_hypercall_fn_t *fn, void *self,
                    struct ukvm_error *err);

#endif /* UKVM_DEV_H */
