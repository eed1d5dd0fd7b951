/* SPDX-License-Identifier: ISC */
/*
 * halt.c: the end of a guest, and its time-stamp counter where the core serves it.
 */
#include "core/dev/dev.h"
#include "core/machine.h"
#include "core/sites.h"
#include "guest/ukvm_guest.h"

#include <string.h>

static int halt(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    struct ukvm_halt arg;

    (void)self, (void)err;
    memcpy(&arg, call->in, sizeof(arg));
    ukvm_core_halt(call->vm, arg.exit_status, arg.cookie);
    return UKVM_OK;
}

static int tsc(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    struct uk_call_tsc *arg = call->arg;

    (void)self, (void)err;
    arg->value = uk_vcpu_tsc(call->vm);
    return UKVM_OK;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    const struct ukvm_call_desc *desc = ukvm_call_find(vm, "halt");
    int rc = UKVM_OK;

    (void)self, (void)arg;
    if (desc)
        rc = ukvm_core_register_hypercall(vm, desc, halt, NULL, err);
    if (rc == UKVM_OK)
        rc = ukvm_core_register_hypercall(vm, ukvm_call_find(vm, "tsc"), tsc, NULL, err);
    return rc;
}

const struct ukvm_module uk_dev_halt = {"halt", NULL, setup, NULL};
