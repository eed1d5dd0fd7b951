/* SPDX-License-Identifier: ISC */
/*
 * call.c: the transaction: one hypercall, or one nondeterministic instruction, from
 * its decoded exit to the guest's going on. Decode and check by the descriptor;
 * hooks enter; one responder answers; hooks leave; it is an event.
 *
 * A call that cannot be finished now (a catchpoint, an interrupted wait, a host
 * error) is suspended at its entry: pc goes back to its instruction, (pending) keeps
 * how far it came, and the same exit later goes on from there.
 */
#include "core/machine.h"
#include "core/error.h"
#include "core/sites.h"

#include <inttypes.h>
#include <string.h>

static uint64_t field_value(const struct ukvm_field *f, const void *arg)
{
    uint64_t v = 0;

    memcpy(&v, (const uint8_t *)arg + f->offset, f->size <= 8 ? f->size : 8);
    return v;
}

/* A bad request of the guest's: which call, which rule. */
static int refuse(struct ukvm *vm, struct ukvm_stop *stop, const char *field, const char *why)
{
    const struct ukvm_call_desc *d = vm->call.desc;

    stop->hypercall = d->nr;
    return uk_fault(vm, stop, "%s: %s%s%s", d->name, field, *field ? ": " : "", why);
}

/* --- entry ------------------------------------------------------------------ */

static int check_buf(struct ukvm *vm, const struct ukvm_field *f, struct ukvm_stop *stop)
{
    struct ukvm_call *c = &vm->call;
    uint64_t gpa = field_value(f, c->in);
    uint64_t len = field_value(&c->desc->fields[f->of], c->in);
    struct ukvm_error why;

    if (uk_mem_check(vm, gpa, len, f->dir & UKVM_OUT, &why) != UKVM_OK)
        return refuse(vm, stop, f->name, why.msg);
    if (!c->buf)
        c->buf = vm->mem + gpa;
    return UK_GO_ON;
}

static int check_cookie(struct ukvm *vm, const struct ukvm_field *f, struct ukvm_stop *stop)
{
    uint64_t gpa = field_value(f, vm->call.in);
    struct ukvm_error why;

    if (gpa != 0 && uk_mem_check(vm, gpa, f->of, false, &why) != UKVM_OK)
        return refuse(vm, stop, f->name, why.msg);
    return UK_GO_ON;
}

/* Every address in the arguments, before anybody follows one. */
static int check_fields(struct ukvm *vm, struct ukvm_stop *stop)
{
    const struct ukvm_call_desc *d = vm->call.desc;
    int rc = UK_GO_ON;

    for (unsigned i = 0; i < d->nfields && rc == UK_GO_ON; i++) {
        if (d->fields[i].kind == UKVM_F_BUF)
            rc = check_buf(vm, &d->fields[i], stop);
        else if (d->fields[i].kind == UKVM_F_COOKIE)
            rc = check_cookie(vm, &d->fields[i], stop);
    }
    return rc;
}

static bool writes_arg(const struct ukvm_call_desc *d)
{
    for (unsigned i = 0; i < d->nfields; i++)
        if (d->fields[i].kind != UKVM_F_BUF && (d->fields[i].dir & UKVM_OUT))
            return true;
    return false;
}

/* The argument struct of a hypercall, in guest memory. */
static int find_arg(struct ukvm *vm, struct ukvm_stop *stop)
{
    struct ukvm_call *c = &vm->call;
    struct ukvm_error why;

    if (uk_mem_check(vm, c->arg_gpa, c->desc->arg_size, writes_arg(c->desc), &why) != UKVM_OK)
        return refuse(vm, stop, "argument struct", why.msg);
    c->arg = vm->mem + c->arg_gpa;
    memcpy(c->in, c->arg, c->desc->arg_size);
    return check_fields(vm, stop);
}

static bool resumes(const struct ukvm *vm)
{
    return vm->pending.active && vm->pending.pc == vm->exit.pc && vm->pending.arg == vm->exit.gpa;
}

/* The views of a suspended call are taken again: the machine may have been changed meanwhile. */
static void begin(struct ukvm *vm, const struct uk_handler *h, ukvm_gpa_t arg_gpa)
{
    struct ukvm_call *c = &vm->call;

    if (!resumes(vm)) {
        memset(c, 0, sizeof(*c));
        vm->pending = (struct uk_pending){.pc = vm->exit.pc, .arg = vm->exit.gpa};
        c->vm = vm;
        c->desc = h->desc;
        c->seq = vm->events + 1;
        c->pc = vm->exit.pc;
        c->arg_gpa = arg_gpa;
        c->host_ns = vm->nhooks > 0 ? uk_now_ns() : 0; /* only hooks look at it */
    }
    vm->pending.active = false;
    c->nout = 0;
    c->buf = NULL;
    vm->refused.code = UKVM_OK;
}

/* --- the end ------------------------------------------------------------------ */

static int suspend(struct ukvm *vm, struct ukvm_error *err)
{
    vm->pending.active = true;
    return uk_vcpu_back(vm, vm->exit.pc, err);
}

static bool succeeded(const struct ukvm_call *c)
{
    for (unsigned i = 0; i < c->desc->nfields; i++)
        if (c->desc->fields[i].kind == UKVM_F_RET)
            return field_value(&c->desc->fields[i], c->arg) == 0;
    return true;
}

/* What the responder wrote by the descriptor's word, beside what the accessor noted. */
static void note_out(struct ukvm *vm)
{
    struct ukvm_call *c = &vm->call;

    if (writes_arg(c->desc) && c->nout < UKVM_CALL_OUT_MAX)
        c->out[c->nout++] = (struct ukvm_range){c->arg_gpa, c->desc->arg_size};
    for (unsigned i = 0; i < c->desc->nfields; i++) {
        const struct ukvm_field *f = &c->desc->fields[i];
        uint64_t len;

        if (f->kind != UKVM_F_BUF || !(f->dir & UKVM_OUT) || (f->if_ok && !succeeded(c)))
            continue;
        len = field_value(&c->desc->fields[f->of], c->arg);
        if (len > 0 && c->nout < UKVM_CALL_OUT_MAX)
            c->out[c->nout++] = (struct ukvm_range){field_value(f, c->in), len};
    }
    for (size_t i = 0; i < c->nout; i++)
        vm->hv->ops->wrote(vm->hv, c->out[i].gpa, c->out[i].len);
}

static int finish(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    struct ukvm_call *c = &vm->call;
    int rc;

    vm->events++;
    rc = uk_hook_leave(vm, err);
    if (rc < 0 || rc == UKVM_GO_ON)
        return rc;
    stop->kind = UKVM_STOP_CATCH;
    stop->pc = c->pc;
    stop->hypercall = c->desc->nr;
    stop->on_return = true;
    return UK_STOP;
}

/* --- the middle ---------------------------------------------------------------- */

static int enter(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    int rc = uk_hook_enter(vm, &vm->pending.next_hook, err);

    if (rc == UKVM_GO_ON)
        return UK_GO_ON;
    if (rc > 0) {
        stop->kind = UKVM_STOP_CATCH;
        stop->pc = vm->exit.pc;
        stop->hypercall = vm->call.desc->nr;
        rc = UK_STOP;
    }
    return suspend(vm, err) == UKVM_OK ? rc : UKVM_ESYS;
}

/* The responder's answer: UK_GO_ON if the call was performed. */
static int respond(struct ukvm *vm, const struct uk_handler *h, struct ukvm_stop *stop,
                   struct ukvm_error *err)
{
    struct ukvm_error local;
    int rc;

    local.code = UKVM_OK;
    local.sys_errno = 0;
    local.msg[0] = '\0';
    rc = h->fn(h->self, &vm->call, &local);

    if (rc == UKVM_OK && vm->refused.code == UKVM_OK)
        return UK_GO_ON;
    if (suspend(vm, err) != UKVM_OK)
        return UKVM_ESYS;
    if (rc == UKVM_AGAIN) {
        stop->kind = UKVM_STOP_INTERRUPT;
        stop->pc = vm->exit.pc;
        (void)uk_interrupt_take(vm);
        return UK_STOP;
    }
    if (rc == UKVM_OK || rc == UKVM_EGUEST) {
        vm->pending.active = false;
        return refuse(vm, stop, "", local.msg[0] ? local.msg : vm->refused.msg);
    }
    if (err)
        *err = local;
    return rc;
}

static int transact(struct ukvm *vm, const struct uk_handler *h, struct ukvm_stop *stop,
                    struct ukvm_error *err)
{
    int rc = enter(vm, stop, err);

    if (rc == UK_GO_ON)
        rc = respond(vm, h, stop, err);
    return rc;
}

static int unknown(struct ukvm *vm, struct ukvm_stop *stop)
{
    stop->hypercall = vm->exit.nr;
    return uk_fault(vm, stop, "hypercall %u: unknown to this ABI family; --abi= chooses another",
                    vm->exit.nr);
}

static int missing(struct ukvm *vm, const struct ukvm_call_desc *d, struct ukvm_stop *stop)
{
    stop->hypercall = d->nr;
    if (d->needs)
        return uk_fault(vm, stop, "%s: no such device attached; %s", d->name, d->needs);
    return uk_fault(vm, stop, "%s: nothing attached performs it", d->name);
}

static int perform_hypercall(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    const struct uk_handler *h = &vm->handler[vm->exit.nr];
    int rc;

    if (vm->exit.nr >= UKVM_NR_MAX || !h->desc)
        return unknown(vm, stop);
    if (!h->fn)
        return missing(vm, h->desc, stop);
    begin(vm, h, vm->exit.gpa);
    rc = find_arg(vm, stop);
    if (rc == UK_GO_ON)
        rc = transact(vm, h, stop, err);
    if (rc != UK_GO_ON)
        return rc;
    note_out(vm);
    return finish(vm, stop, err);
}

static int perform_site(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    const struct uk_handler *h = &vm->site[vm->exit.site];
    union uk_call_site arg = {0};
    int rc;

    if (!h->fn)
        return missing(vm, h->desc, stop);
    begin(vm, h, 0);
    vm->call.arg = &arg;
    rc = transact(vm, h, stop, err);
    if (rc == UK_GO_ON)
        rc = uk_vcpu_write(vm, UKVM_GPR, err);
    if (rc != UK_GO_ON)
        return rc;
    vm->arch->serve(vm->vcpu.st, &vm->exit, &arg);
    rc = finish(vm, stop, err);
    vm->call.arg = NULL;
    return rc;
}

int uk_call_perform(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    if (vm->exit.kind == UKVM_EXIT_SITE)
        return perform_site(vm, stop, err);
    return perform_hypercall(vm, stop, err);
}
