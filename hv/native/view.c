/* SPDX-License-Identifier: ISC */
/*
 * view.c: the guest's view of its memory: protections of the child's mappings.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Without --nx what can be read can be executed, as on KVM. */
static int to_host(const struct ukvm_hvb *b, unsigned prot)
{
    bool exec = (prot & UKVM_PROT_X) || (!b->nx && prot);

    return (prot & UKVM_PROT_R ? PROT_READ : 0) | (prot & UKVM_PROT_W ? PROT_WRITE : 0) |
           (exec ? PROT_EXEC : 0);
}

int uk_native_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                      struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t args[6] = {gpa, len, (uint64_t)to_host(b, prot)};
    long ret = 0;
    int rc;

    if (gpa % UK_NATIVE_PAGE || len % UK_NATIVE_PAGE || gpa > hv->mem_size ||
        len > hv->mem_size - gpa)
        return uk_error(err, UKVM_EINVAL, "protect: 0x%llx+0x%zx: not whole pages of guest memory",
                        (unsigned long long)gpa, len);
    memset(b->view + gpa / UK_NATIVE_PAGE, (int)prot, len / UK_NATIVE_PAGE);
    if (gpa < UK_NATIVE_FIRST) {
        args[0] = UK_NATIVE_FIRST;
        args[1] = gpa + len > UK_NATIVE_FIRST ? gpa + len - UK_NATIVE_FIRST : 0;
    }
    if (args[1] == 0)
        return UKVM_OK;
    rc = uk_native_call(hv, SYS_mprotect, args, &ret, err);
    if (rc != UKVM_OK || ret == 0)
        return rc;
    errno = (int)-ret;
    return uk_error_sys(err, "use --hv=emu", "native: mprotect");
}

bool uk_native_may_execute(const struct ukvm_hv *hv, ukvm_gva_t gva)
{
    return gva >= UK_NATIVE_FIRST && gva < hv->mem_size &&
           (to_host(hv->b, hv->b->view[gva / UK_NATIVE_PAGE]) & PROT_EXEC);
}

ukvm_gpa_t uk_native_executable(const struct ukvm_hv *hv)
{
    for (size_t i = UK_NATIVE_FIRST / UK_NATIVE_PAGE; i < hv->mem_size / UK_NATIVE_PAGE; i++)
        if (uk_native_may_execute(hv, i * UK_NATIVE_PAGE))
            return i * UK_NATIVE_PAGE;
    return 0;
}
