/* SPDX-License-Identifier: ISC */
/*
 * hv.c: typed answers for what a backend cannot do, so that no slot of the vtable
 * is empty. Depends on core/error only: plugins carry their own copy.
 */
#include "core/hv.h"
#include "core/error.h"

int uk_hv_no_enter(struct ukvm_hv *hv, struct ukvm_error *err)
{
    (void)hv, (void)err;
    return UKVM_OK;
}

void uk_hv_no_leave(struct ukvm_hv *hv)
{
    (void)hv;
}

int uk_hv_no_arm(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
                 struct ukvm_error *err)
{
    (void)hv, (void)traps, (void)err;
    for (size_t i = 0; i < n; i++)
        done[i] = false;
    return UKVM_OK;
}

int uk_hv_no_count(struct ukvm_hv *hv, uint64_t *n, struct ukvm_error *err)
{
    (void)n;
    return uk_error(err, UKVM_ENOTSUP, "%s: does not count instructions; --hv=emu does",
                    hv->ops->name);
}

void uk_hv_no_wrote(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len)
{
    (void)hv, (void)gpa, (void)len;
}
