/* SPDX-License-Identifier: ISC */
/*
 * run.c: entering the guest until one exit, and completing that exit. KVM finishes
 * an exit only when it is entered again, so registers are looked at after settling.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define MAX_FRAGMENTS 64 /* exits of one instruction; a 64-byte store makes eight */

static bool awaits_completion(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO;
}

/* Enter with immediate_exit until there is nothing left to complete. */
static int complete(struct ukvm_hvb *b, struct ukvm_error *err)
{
    int rc = 0;

    for (int i = 0; i < MAX_FRAGMENTS && b->unsettled; i++) {
        __atomic_store_n(&b->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        rc = ioctl(b->cpu, KVM_RUN, 0);
        if (rc && errno != EINTR)
            break;
        b->unsettled = rc == 0 && awaits_completion(b->run);
    }
    __atomic_store_n(&b->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (atomic_load(&b->interrupt))
        __atomic_store_n(&b->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (rc && errno != EINTR)
        return uk_error_sys(err, NULL, "KVM_RUN: completing an exit");
    return UKVM_OK;
}

int uk_kvm_settle(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    int rc;

    if (!b->unsettled)
        return UKVM_OK;
    rc = complete(b, err);
    if (rc == UKVM_OK)
        ex->next = b->run->s.regs.regs.rip;
    return rc;
}

/*
 * The first OUT tells where RIP stands at one: compare it before and after completion.
 * An OUT changes no register, so it may be completed before it is served.
 */
static int learn_rip_rule(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t before = b->run->s.regs.regs.rip;
    unsigned size = b->run->io.size, len = 1;
    int rc = complete(b, err);

    if (rc != UKVM_OK)
        return rc;
    ex->next = b->run->s.regs.regs.rip;
    b->rip_rule = ex->next == before ? UK_KVM_RIP_PAST : UK_KVM_RIP_AT;
    if (b->rip_rule == UK_KVM_RIP_AT)
        return UKVM_OK;
    if (ex->next < hv->mem_size)
        len = uk_kvm_port_insn_len(hv->mem + ex->next, ex->next, hv->mem_size - ex->next, true,
                                   (unsigned)(ex->kind == UKVM_EXIT_IO ? ex->addr : 0x500), size);
    ex->pc = ex->next - len;
    return UKVM_OK;
}

/* What a load finds where the view has nothing: memory if there is some, else ones. */
static void answer_read(struct ukvm_hv *hv, struct kvm_run *run)
{
    uint64_t gpa = run->mmio.phys_addr;

    if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN) {
        memset((uint8_t *)run + run->io.data_offset, 0xff, (size_t)run->io.size * run->io.count);
    } else if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write) {
        memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
        if (gpa < hv->mem_size && run->mmio.len <= hv->mem_size - gpa)
            memcpy(run->mmio.data, hv->mem + gpa, run->mmio.len);
    }
}

static int explain(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;

    uk_kvm_translate(b->run, hv->mem, hv->mem_size, b->rip_rule, ex);
    b->unsettled = awaits_completion(b->run);
    if (!b->unsettled)
        return UKVM_OK;
    answer_read(hv, b->run);
    if (ex->kind == UKVM_EXIT_PROT && ex->write)
        return uk_kvm_locate_store(hv, ex, err);
    if (b->rip_rule == UK_KVM_RIP_UNKNOWN && ex->kind != UKVM_EXIT_PROT && ex->write)
        return learn_rip_rule(hv, ex, err);
    return UKVM_OK;
}

static int interrupted(struct ukvm_hvb *b, struct ukvm_exit *ex, struct ukvm_error *err)
{
    int rc = complete(b, err);

    uk_kvm_unkick(b);
    memset(ex, 0, sizeof(*ex));
    ex->kind = UKVM_EXIT_INTERRUPT;
    ex->pc = ex->next = b->run->s.regs.regs.rip;
    return rc;
}

int uk_kvm_go(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;

    for (;;) {
        if (atomic_load(&b->interrupt) && atomic_exchange(&b->interrupt, 0))
            return interrupted(b, ex, err);
        if (ioctl(b->cpu, KVM_RUN, 0) == 0)
            return explain(hv, ex, err);
        if (errno != EINTR)
            return uk_error_sys(err, "see the kernel's log", "KVM_RUN at 0x%llx",
                                (unsigned long long)b->run->s.regs.regs.rip);
        b->unsettled = false;
        uk_kvm_unkick(b);
    }
}

static int run_or_step(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
                       struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    int rc = b->view_dirty ? uk_kvm_view_apply(hv, err) : UKVM_OK;

    if (rc != UKVM_OK)
        return rc;
    if (how->step)
        return uk_kvm_step(hv, ex, err);
    if (b->stepping)
        rc = uk_kvm_set_stepping(b, false, err);
    return rc == UKVM_OK ? uk_kvm_go(hv, ex, err) : rc;
}

int uk_kvm_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err)
{
    bool outside = !hv->b->entered;
    int rc = outside ? uk_kvm_enter(hv, err) : UKVM_OK;

    if (rc != UKVM_OK)
        return rc;
    rc = run_or_step(hv, how, ex, err);
    if (outside)
        uk_kvm_leave(hv);
    return rc;
}
