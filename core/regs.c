/* SPDX-License-Identifier: ISC */
/*
 * regs.c: registers by the architecture's one table, and stepping.
 */
#include "core/machine.h"
#include "core/error.h"

#include <string.h>

const struct ukvm_reg *ukvm_reg_table(const struct ukvm *vm, size_t *n)
{
    *n = vm->arch->nregs;
    return vm->arch->regs;
}

const struct ukvm_reg *ukvm_reg_find(const struct ukvm *vm, const char *name)
{
    for (size_t i = 0; i < vm->arch->nregs; i++)
        if (strcmp(vm->arch->regs[i].name, name) == 0)
            return &vm->arch->regs[i];
    return NULL;
}

const struct ukvm_reg *ukvm_reg_by_flag(const struct ukvm *vm, unsigned flags)
{
    for (size_t i = 0; i < vm->arch->nregs; i++)
        if ((vm->arch->regs[i].flags & flags) == flags)
            return &vm->arch->regs[i];
    return NULL;
}

int ukvm_reg_get(struct ukvm *vm, const struct ukvm_reg *reg, void *buf, struct ukvm_error *err)
{
    int rc = uk_vcpu_read(vm, reg->group, err);

    if (rc == UKVM_OK)
        memcpy(buf, (const uint8_t *)vm->vcpu.st + reg->offset, reg->size);
    return rc;
}

/* Another pc or argument is another call than the one that waits. */
int ukvm_reg_set(struct ukvm *vm, const struct ukvm_reg *reg, const void *buf,
                 struct ukvm_error *err)
{
    int rc;

    if (reg->flags & UKVM_REG_READONLY)
        return uk_error(err, UKVM_ENOTSUP, "%s: register is read-only", reg->name);
    rc = uk_vcpu_write(vm, reg->group, err);
    if (rc != UKVM_OK)
        return rc;
    memcpy((uint8_t *)vm->vcpu.st + reg->offset, buf, reg->size);
    if (reg->flags & (UKVM_REG_PC | UKVM_REG_ARG))
        vm->pending.active = false;
    return UKVM_OK;
}

int ukvm_pc(struct ukvm *vm, ukvm_gva_t *pc, struct ukvm_error *err)
{
    return uk_vcpu_pc(vm, pc, err);
}

int ukvm_step(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    if (!(vm->hv->caps & UKVM_CAP_STEP))
        return uk_error(err, UKVM_ENOTSUP, "%s: cannot step; --hv=emu can", vm->hv->ops->name);
    return uk_run(vm, &(struct ukvm_hv_run){.step = true}, stop, err);
}

int ukvm_count(struct ukvm *vm, uint64_t *n, struct ukvm_error *err)
{
    int rc = vm->hv->ops->count(vm->hv, n, err);

    if (rc == UKVM_OK)
        *n += vm->emulated;
    return rc;
}

int ukvm_run_count(struct ukvm *vm, uint64_t n, struct ukvm_stop *stop, struct ukvm_error *err)
{
    uint64_t now;
    int rc = ukvm_count(vm, &now, err);

    if (rc != UKVM_OK)
        return rc;
    return uk_run(vm, &(struct ukvm_hv_run){.until_count = now + n}, stop, err);
}

/* The frame does not say which exception it was; where the core delivered it, it knows. */
bool ukvm_trap_frame(struct ukvm *vm, ukvm_gpa_t cookie, ukvm_gva_t *pc, char *buf, size_t size)
{
    const struct ukvm_exit *ex = &vm->exception;

    if (cookie == 0 || !vm->arch->cookie(uk_mem(vm), cookie, pc, buf, size))
        return false;
    if (ex->kind == UKVM_EXIT_EXCEPTION && ex->next == *pc)
        vm->arch->explain(ex->vector, ex->has_code, ex->code, ex->addr, buf, size);
    return true;
}
