/* SPDX-License-Identifier: ISC */
/*
 * slots.c: the guest's view of its memory as KVM memory slots. A store to a read-only
 * slot, and any access to none, is an exit. Changes are gathered and made before the
 * guest next runs: each costs the kernel a grace period.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <string.h>
#include <sys/ioctl.h>

#define PAGE 4096u

void uk_kvm_view_init(struct ukvm_hv *hv)
{
    hv->b->view[0] = (struct uk_kvm_region){0, hv->mem_size, UK_KVM_WRITE};
    hv->b->nview = 1;
    hv->b->view_dirty = true;
}

static enum uk_kvm_access access_of(unsigned prot)
{
    if (prot & UKVM_PROT_W)
        return UK_KVM_WRITE;
    return prot ? UK_KVM_READ : UK_KVM_NONE;
}

/* Append to (list), joined with a like neighbour. False if it is full. */
static bool append(struct uk_kvm_region *list, size_t *n, struct uk_kvm_region r)
{
    if (r.start >= r.end)
        return true;
    if (*n > 0 && list[*n - 1].access == r.access) {
        list[*n - 1].end = r.end;
        return true;
    }
    if (*n == UK_KVM_MAX_SLOTS)
        return false;
    list[(*n)++] = r;
    return true;
}

static ukvm_gpa_t min(ukvm_gpa_t a, ukvm_gpa_t b)
{
    return a < b ? a : b;
}

static ukvm_gpa_t max(ukvm_gpa_t a, ukvm_gpa_t b)
{
    return a > b ? a : b;
}

int uk_kvm_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err)
{
    struct uk_kvm_region list[UK_KVM_MAX_SLOTS], mid = {gpa, gpa + len, access_of(prot)};
    struct ukvm_hvb *b = hv->b;
    bool fits = true;
    size_t n = 0;

    if (gpa % PAGE || len % PAGE || gpa > hv->mem_size || len > hv->mem_size - gpa)
        return uk_error(err, UKVM_EINVAL, "protect: 0x%llx + 0x%zx: not whole pages of memory",
                        (unsigned long long)gpa, len);
    for (size_t i = 0; i < b->nview; i++) {
        struct uk_kvm_region r = b->view[i], left = r, right = r;

        left.end = min(r.end, mid.start);
        right.start = max(r.start, mid.end);
        fits = fits && append(list, &n, left);
        if (mid.start >= r.start && mid.start < r.end)
            fits = fits && append(list, &n, mid);
        fits = fits && append(list, &n, right);
    }
    if (!fits)
        return uk_error(err, UKVM_ELIMIT, "protect: more than %d stretches of memory",
                        UK_KVM_MAX_SLOTS);
    memcpy(b->view, list, n * sizeof(*list));
    b->nview = n;
    b->view_dirty = true;
    return UKVM_OK;
}

static bool same(const struct uk_kvm_region *a, const struct uk_kvm_region *b)
{
    return a->start == b->start && a->end == b->end && a->access == b->access;
}

static bool listed(const struct uk_kvm_region *list, size_t n, const struct uk_kvm_region *r)
{
    for (size_t i = 0; i < n; i++)
        if (same(&list[i], r))
            return true;
    return false;
}

static int set_slot(struct ukvm_hv *hv, size_t i, struct uk_kvm_region r, struct ukvm_error *err)
{
    struct kvm_userspace_memory_region m = {
        .slot = (uint32_t)i,
        .flags = r.access == UK_KVM_READ ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = r.start,
        .memory_size = r.access == UK_KVM_NONE ? 0 : r.end - r.start,
        .userspace_addr = (uintptr_t)(hv->mem + r.start),
    };

    if (ioctl(hv->b->vm, KVM_SET_USER_MEMORY_REGION, &m))
        return uk_error_sys(err, NULL, "KVM_SET_USER_MEMORY_REGION: 0x%llx..0x%llx",
                            (unsigned long long)r.start, (unsigned long long)r.end);
    hv->b->slot[i] = r;
    return UKVM_OK;
}

static int make_slot(struct ukvm_hv *hv, struct uk_kvm_region r, struct ukvm_error *err)
{
    for (size_t i = 0; i < UK_KVM_MAX_SLOTS; i++)
        if (hv->b->slot[i].access == UK_KVM_NONE)
            return set_slot(hv, i, r, err);
    return uk_error(err, UKVM_ELIMIT, "KVM: out of memory slots (%d)", UK_KVM_MAX_SLOTS);
}

/* KVM can't change a slot's read-only flag in place: what differs goes, then comes anew. */
int uk_kvm_view_apply(struct ukvm_hv *hv, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    int rc = UKVM_OK;

    for (size_t i = 0; rc == UKVM_OK && i < UK_KVM_MAX_SLOTS; i++) {
        struct uk_kvm_region gone = b->slot[i];

        if (gone.access == UK_KVM_NONE || listed(b->view, b->nview, &gone))
            continue;
        gone.access = UK_KVM_NONE;
        rc = set_slot(hv, i, gone, err);
    }
    for (size_t i = 0; rc == UKVM_OK && i < b->nview; i++)
        if (b->view[i].access != UK_KVM_NONE && !listed(b->slot, UK_KVM_MAX_SLOTS, &b->view[i]))
            rc = make_slot(hv, b->view[i], err);
    b->view_dirty = rc != UKVM_OK;
    return rc;
}
