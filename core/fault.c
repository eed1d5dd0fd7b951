/* SPDX-License-Identifier: ISC */
/*
 * fault.c: stops that say which rule the guest broke. A stop is not an error.
 */
#include "core/machine.h"

#include <stdarg.h>
#include <stdio.h>

/* A fault stop at the last exit's instruction, where pc is put back to. Returns UK_STOP. */
int uk_fault(struct ukvm *vm, struct ukvm_stop *stop, const char *fmt, ...)
{
    va_list ap;

    stop->kind = UKVM_STOP_FAULT;
    stop->pc = vm->exit.pc;
    va_start(ap, fmt);
    vsnprintf(stop->msg, sizeof(stop->msg), fmt, ap);
    va_end(ap);
    return UK_STOP;
}
