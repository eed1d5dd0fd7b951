/* SPDX-License-Identifier: ISC */
/*
 * dev.c: what devices share. Depends on the public headers only.
 */
#include "core/dev/dev.h"
#include "core/error.h"

int uk_dev_register(struct ukvm *vm, const char *name, ukvm_hypercall_fn_t *fn, void *self,
                    struct ukvm_error *err)
{
    const struct ukvm_call_desc *desc = ukvm_call_find(vm, name);

    if (!desc)
        return uk_error(err, UKVM_EINVAL, "hypercall %s: this ABI family has none", name);
    return ukvm_core_register_hypercall(vm, desc, fn, self, err);
}
