/* SPDX-License-Identifier: ISC */
/*
 * vcpu.c: the vCPU's registers for everybody above the backend: settled first,
 * fetched by group, written back before the guest goes on.
 */
#include "core/machine.h"
#include "core/error.h"
#include "core/sites.h"

#include <string.h>
#include <time.h>

uint64_t uk_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Seconds and rest apart: ns * hz would overflow after some seconds. */
uint64_t uk_vcpu_tsc(const struct ukvm *vm)
{
    uint64_t ns = uk_now_ns() - vm->tsc.t0_ns;
    uint64_t s = ns / 1000000000u, rest = ns % 1000000000u;

    return vm->tsc.base + s * vm->tsc.hz + rest * (vm->tsc.hz / 1000) / 1000000;
}

static void *reg_bytes(const struct ukvm *vm, const struct ukvm_reg *r)
{
    return (uint8_t *)vm->vcpu.st + r->offset;
}

static const struct ukvm_reg *tsc_reg(const struct ukvm *vm)
{
    return ukvm_reg_find(vm, "tsc");
}

/* Where the core serves the counter, its value in the state is ours, not the backend's. */
static void exchange_tsc(struct ukvm *vm, bool to_state)
{
    const struct ukvm_reg *r = tsc_reg(vm);
    uint64_t v;

    if (!(vm->hv->caps & UKVM_CAP_TSC_TRAP) || !r)
        return;
    if (to_state) {
        v = uk_vcpu_tsc(vm);
        memcpy(reg_bytes(vm, r), &v, sizeof(v));
    } else {
        memcpy(&vm->tsc.base, reg_bytes(vm, r), sizeof(vm->tsc.base));
        vm->tsc.t0_ns = uk_now_ns();
    }
}

static int settle(struct ukvm *vm, struct ukvm_error *err)
{
    int rc;

    if (vm->vcpu.settled)
        return UKVM_OK;
    rc = vm->hv->ops->settle(vm->hv, &vm->exit, err);
    vm->vcpu.settled = rc == UKVM_OK;
    return rc;
}

int uk_vcpu_read(struct ukvm *vm, unsigned groups, struct ukvm_error *err)
{
    struct uk_vcpu *v = &vm->vcpu;
    unsigned missing = groups & ~v->valid;
    int rc = settle(vm, err);

    if (rc != UKVM_OK || missing == 0)
        return rc;
    rc = vm->hv->ops->get(vm->hv, missing, v->st, err);
    if (rc != UKVM_OK)
        return rc;
    v->valid |= missing;
    if (missing & UKVM_MSR)
        exchange_tsc(vm, true);
    return UKVM_OK;
}

int uk_vcpu_write(struct ukvm *vm, unsigned groups, struct ukvm_error *err)
{
    int rc = uk_vcpu_read(vm, groups, err);

    if (rc == UKVM_OK)
        vm->vcpu.dirty |= groups;
    return rc;
}

int uk_vcpu_flush(struct ukvm *vm, struct ukvm_error *err)
{
    struct uk_vcpu *v = &vm->vcpu;
    int rc;

    if (v->dirty == 0)
        return UKVM_OK;
    if (v->dirty & UKVM_MSR)
        exchange_tsc(vm, false);
    rc = vm->hv->ops->set(vm->hv, v->dirty, v->st, err);
    if (rc == UKVM_OK)
        v->dirty = 0;
    return rc;
}

void uk_vcpu_forget(struct ukvm *vm)
{
    vm->vcpu.valid = 0;
    vm->vcpu.settled = false;
}

int uk_vcpu_pc(struct ukvm *vm, ukvm_gva_t *pc, struct ukvm_error *err)
{
    int rc = uk_vcpu_read(vm, UKVM_GPR, err);

    if (rc == UKVM_OK)
        memcpy(pc, reg_bytes(vm, ukvm_reg_by_flag(vm, UKVM_REG_PC)), sizeof(*pc));
    return rc;
}

int uk_vcpu_set_pc(struct ukvm *vm, ukvm_gva_t pc, struct ukvm_error *err)
{
    int rc = uk_vcpu_write(vm, UKVM_GPR, err);

    if (rc == UKVM_OK)
        memcpy(reg_bytes(vm, ukvm_reg_by_flag(vm, UKVM_REG_PC)), &pc, sizeof(pc));
    return rc;
}

int uk_vcpu_back(struct ukvm *vm, ukvm_gva_t pc, struct ukvm_error *err)
{
    if (vm->on_behalf)
        vm->emulated--;
    vm->on_behalf = false;
    return uk_vcpu_set_pc(vm, pc, err);
}
