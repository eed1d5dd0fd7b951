/* SPDX-License-Identifier: ISC */
/*
 * locate.c: guest memory by virtual address, and the instruction that made a store:
 * KVM's emulator has RIP past it when it exits, so it is looked for backwards.
 */
#include "core/arch.h"
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <elf.h>

#define PAGE 4096u

static struct ukvm_mem mem_of(const struct ukvm_hv *hv)
{
    return (struct ukvm_mem){hv->mem, hv->mem_size};
}

uint8_t *uk_kvm_guest(struct ukvm_hv *hv, const struct ukvm_x86_state *st, ukvm_gva_t gva,
                      size_t len, int how)
{
    const struct ukvm_arch *arch = uk_arch_find(EM_X86_64);
    struct ukvm_walk w;

    arch->walk((const struct ukvm_state *)st, mem_of(hv), gva, (enum ukvm_access)how, &w);
    if (!w.ok || w.gpa >= hv->mem_size || len > hv->mem_size - w.gpa || len > PAGE - gva % PAGE)
        return NULL;
    return hv->mem + w.gpa;
}

/* Does the instruction of (len) bytes at (pc) store to (gpa)? */
static bool stores(struct ukvm_hv *hv, const struct ukvm_x86_state *st, unsigned len,
                   ukvm_gpa_t gpa)
{
    const struct ukvm_arch *arch = uk_arch_find(EM_X86_64);
    struct ukvm_mem_access acc[4];
    struct ukvm_walk w;
    size_t used = 0, n;
    const uint8_t *p = uk_kvm_guest(hv, st, st->rip, len, UKVM_ACCESS_FETCH);

    if (!p)
        return false;
    n = arch->accesses((const struct ukvm_state *)st, p, len, acc, 4, &used);
    for (size_t i = 0; used == len && i < n; i++) {
        arch->walk((const struct ukvm_state *)st, mem_of(hv), acc[i].gva, UKVM_ACCESS_WRITE, &w);
        if (acc[i].write && w.ok && gpa >= w.gpa && gpa - w.gpa < acc[i].len)
            return true;
    }
    return false;
}

/*
 * The longest candidate wins: shorter ones are the same instruction without its
 * prefixes. A push has moved RSP already, a string store RDI.
 */
int uk_kvm_locate_store(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    static const struct {
        int reg, by;
    } moved[] = {{UKVM_RSP, 0},  {UKVM_RSP, 8},  {UKVM_RDI, -1},
                 {UKVM_RDI, -2}, {UKVM_RDI, -4}, {UKVM_RDI, -8}};
    struct ukvm_x86_state now = {0};
    int rc = uk_kvm_get(hv, UKVM_GPR | UKVM_SYS, (struct ukvm_state *)&now, err);

    if (rc != UKVM_OK)
        return rc;
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        for (unsigned len = 15; len > 0; len--) {
            struct ukvm_x86_state st = now;

            st.rip -= len;
            st.gpr[moved[i].reg] += (uint64_t)(int64_t)moved[i].by;
            if (!stores(hv, &st, len, ex->addr))
                continue;
            ex->pc = st.rip;
            return UKVM_OK;
        }
    }
    return UKVM_OK;
}
