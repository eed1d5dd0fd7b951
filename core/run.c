/* SPDX-License-Identifier: ISC */
/*
 * run.c: the one run loop. Enter the guest, make its exit plain, tell the hooks,
 * ask the user's vmexit handlers, then do what the exit's kind says: a table. An
 * exit is served the same way on every backend.
 */
#include "core/machine.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef int exit_fn_t(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err);

/* --- instructions that the core executes -------------------------------------- */

/* Past the instruction, as a backend that executes it has it. */
static int to_next(struct ukvm *vm, struct ukvm_error *err)
{
    vm->emulated++;
    vm->on_behalf = true;
    return uk_vcpu_set_pc(vm, vm->exit.next, err);
}

static const enum ukvm_exit_kind kinds[] = {
    [UKVM_DONE] = UKVM_EXIT_INSN,           [UKVM_HYPERCALL] = UKVM_EXIT_HYPERCALL,
    [UKVM_SITE] = UKVM_EXIT_SITE,           [UKVM_IO] = UKVM_EXIT_IO,
    [UKVM_HALTED] = UKVM_EXIT_HALT,         [UKVM_EXCEPTION] = UKVM_EXIT_EXCEPTION,
    [UKVM_UNSUPPORTED] = UKVM_EXIT_UNKNOWN,
};

static bool is_undefined(const struct ukvm_exit *ex)
{
    return ex->kind == UKVM_EXIT_EXCEPTION && ex->vector == 6; /* x86_64: #UD */
}

/*
 * Turn an instruction that the backend left to us into the exit that a backend
 * which executes it would have made. (*done): it is executed, there is no exit.
 */
static int resolve(struct ukvm *vm, bool *done, struct ukvm_error *err)
{
    struct ukvm_exit *ex = &vm->exit;
    bool undefined = is_undefined(ex);
    enum ukvm_answer a;
    int rc;

    *done = false;
    if (ex->kind != UKVM_EXIT_INSN && !undefined)
        return UKVM_OK;
    rc = uk_vcpu_read(vm, UKVM_GPR | UKVM_SYS | (vm->hv->caps & UKVM_CAP_USER ? UKVM_MSR : 0), err);
    if (rc != UKVM_OK)
        return rc;
    a = vm->arch->emulate(vm->vcpu.st, uk_mem(vm), ex);
    if (undefined && a != UKVM_DONE)
        return UKVM_OK;
    ex->kind = kinds[a];
    if (a == UKVM_UNSUPPORTED)
        snprintf(ex->msg, sizeof(ex->msg), "an instruction that nobody here executes");
    *done = a == UKVM_DONE;
    if (a == UKVM_DONE) {
        vm->emulated++;
        return uk_vcpu_write(vm, UKVM_GPR | ex->changed, err);
    }
    return a == UKVM_HYPERCALL || a == UKVM_SITE || a == UKVM_HALTED ? to_next(vm, err) : UKVM_OK;
}

/* --- a handler a kind ------------------------------------------------------------ */

static int at_exit(struct ukvm *vm, struct ukvm_stop *stop, enum ukvm_stop_kind kind)
{
    stop->kind = kind;
    stop->pc = vm->exit.pc;
    return UK_STOP;
}

static int end_of_guest(struct ukvm *vm, struct ukvm_stop *stop)
{
    vm->phase = UK_ENDED;
    stop->status = vm->halt_status;
    stop->cookie = vm->halt_cookie;
    return at_exit(vm, stop, UKVM_STOP_EXIT);
}

static int on_call(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    int rc = uk_call_perform(vm, stop, err);

    if (vm->halted && rc == UK_GO_ON)
        return end_of_guest(vm, stop);
    return rc;
}

static int on_insn(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)vm, (void)stop, (void)err;
    return UK_GO_ON;
}

/* A read-modify-write is a write (Intel SDM vol. 3, 4.7), whatever the backend says. */
static void correct_write(struct ukvm *vm, struct ukvm_exit *ex)
{
    struct ukvm_mem_access acc[4];
    struct ukvm_walk w;
    size_t n, used, len;

    vm->arch->walk(vm->vcpu.st, uk_mem(vm), ex->pc, UKVM_ACCESS_FETCH, &w);
    if (!w.mapped || w.gpa >= vm->mem_size)
        return;
    len = vm->mem_size - w.gpa < vm->arch->max_insn ? vm->mem_size - w.gpa : vm->arch->max_insn;
    n = vm->arch->accesses(vm->vcpu.st, vm->mem + w.gpa, len, acc, 4, &used);
    for (size_t i = 0; i < n; i++) {
        if (!acc[i].write || ex->addr < acc[i].gva || ex->addr - acc[i].gva >= acc[i].len)
            continue;
        vm->arch->walk(vm->vcpu.st, uk_mem(vm), ex->addr, UKVM_ACCESS_WRITE, &w);
        if (!w.ok)
            ex->code = w.code;
    }
}

static int triple_fault(struct ukvm *vm, const struct ukvm_delivery *d, struct ukvm_stop *stop)
{
    char one[UKVM_ERRMSG_MAX], all[UKVM_ERRMSG_MAX] = "";
    size_t used = 0;

    for (size_t i = 0; i < d->n && used < sizeof(all); i++) {
        vm->arch->explain(d->chain[i].vector, d->chain[i].has_code, d->chain[i].code,
                          d->chain[i].addr, one, sizeof(one));
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%.100s (%s)",
                                 i ? ", then " : "", one, d->chain[i].why);
    }
    return uk_fault(vm, stop, "triple fault: %.220s", all);
}

static int on_exception(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    struct ukvm_exit *ex = &vm->exit;
    struct ukvm_delivery d = {0};
    struct ukvm_range wrote = {0};
    int rc = uk_vcpu_write(vm, UKVM_GPR | UKVM_SYS, err);

    if (rc != UKVM_OK)
        return rc;
    if (ex->vector == 14)
        correct_write(vm, ex);
    vm->arch->deliver(vm->vcpu.st, uk_mem(vm), ex, &d, &wrote);
    stop->vector = ex->vector;
    stop->code = ex->code;
    stop->addr = ex->addr;
    if (d.fatal)
        return triple_fault(vm, &d, stop);
    vm->exception = *ex;
    if (wrote.len > 0)
        vm->hv->ops->wrote(vm->hv, wrote.gpa, wrote.len);
    return UK_GO_ON;
}

static int on_io(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    const struct ukvm_exit *ex = &vm->exit;

    (void)err;
    return uk_fault(vm, stop,
                    "invalid port access: port 0x%" PRIx64
                    ", %u-byte %s: a hypercall is a 4-byte write to ports 0x501 and up",
                    ex->addr, ex->len, ex->write ? "write" : "read");
}

/* The segment that (gpa) lies in, for people; -1 if none. */
static int segment_of(const struct ukvm *vm, ukvm_gpa_t gpa)
{
    for (size_t i = 0; vm->image && i < vm->image->nseg; i++)
        if (gpa >= vm->image->seg[i].gpa && gpa - vm->image->seg[i].gpa < vm->image->seg[i].memsz)
            return (int)i;
    return -1;
}

static int on_prot(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    const struct ukvm_exit *ex = &vm->exit;
    const char *verb = ex->write ? "write" : "read";
    int seg = segment_of(vm, ex->addr);

    (void)err;
    stop->addr = ex->addr;
    if (ex->addr >= vm->mem_size)
        return uk_fault(vm, stop, "%u-byte %s at 0x%" PRIx64 ": beyond guest memory (%zu MiB)",
                        ex->len, verb, ex->addr, vm->mem_size >> 20);
    if (seg >= 0)
        return uk_fault(vm, stop, "%u-byte %s at 0x%" PRIx64 ": segment %d does not allow it",
                        ex->len, verb, ex->addr, seg);
    return uk_fault(vm, stop, "%u-byte %s at 0x%" PRIx64 ": protected memory", ex->len, verb,
                    ex->addr);
}

static int on_break(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)err;
    return at_exit(vm, stop, UKVM_STOP_BREAK);
}

static int on_watch(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)err;
    stop->addr = vm->exit.addr;
    return at_exit(vm, stop, UKVM_STOP_WATCH);
}

static int on_step(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)err;
    return at_exit(vm, stop, UKVM_STOP_STEP);
}

/* Families A and B end so; C's guests halt by hypercall, and one that gets here spins. */
static int on_halt(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)err;
    return end_of_guest(vm, stop);
}

static int on_shutdown(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)err;
    return uk_fault(vm, stop, "triple fault: an exception without a handler; --hv=emu says which");
}

/* The flag says whether it was meant: the loop looks at it next. */
static int on_interrupt(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    (void)vm, (void)stop, (void)err;
    return UK_GO_ON;
}

static int on_unknown(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    const struct ukvm_exit *ex = &vm->exit;
    char bytes[3 * sizeof(ex->insn) + 1] = "";

    (void)err;
    for (size_t i = 0; i < ex->insn_len && i < sizeof(ex->insn); i++)
        snprintf(bytes + 3 * i, 4, " %02x", ex->insn[i]);
    return uk_fault(vm, stop, "%s: %s%s%s%s", vm->hv->ops->name, ex->msg, bytes[0] ? ": bytes" : "",
                    bytes, strcmp(vm->hv->ops->name, "emu") == 0 ? "" : "; --hv=emu runs it");
}

static exit_fn_t *const handlers[] = {
    [UKVM_EXIT_HYPERCALL] = on_call,
    [UKVM_EXIT_SITE] = on_call,
    [UKVM_EXIT_INSN] = on_insn,
    [UKVM_EXIT_EXCEPTION] = on_exception,
    [UKVM_EXIT_IO] = on_io,
    [UKVM_EXIT_PROT] = on_prot,
    [UKVM_EXIT_BREAK] = on_break,
    [UKVM_EXIT_WATCH] = on_watch,
    [UKVM_EXIT_STEP] = on_step,
    [UKVM_EXIT_HALT] = on_halt,
    [UKVM_EXIT_SHUTDOWN] = on_shutdown,
    [UKVM_EXIT_INTERRUPT] = on_interrupt,
    [UKVM_EXIT_UNKNOWN] = on_unknown,
};

/* --- the loop --------------------------------------------------------------------- */

static int ask_vmexits(struct ukvm *vm, struct ukvm_error *err)
{
    for (size_t i = 0; i < vm->nvmexits; i++) {
        int rc = vm->vmexit[i].fn(vm->vmexit[i].self, &vm->exit, err);

        if (rc != UKVM_NOT_MINE)
            return rc;
    }
    return UKVM_NOT_MINE;
}

static int serve(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    int rc;

    uk_hook_exit(vm, &vm->exit);
    if (vm->nvmexits > 0) {
        rc = ask_vmexits(vm, err);
        if (rc != UKVM_NOT_MINE)
            return rc;
    }
    return handlers[vm->exit.kind](vm, stop, err);
}

/* Enter the guest once and serve its exit. */
static int once(struct ukvm *vm, const struct ukvm_hv_run *how, struct ukvm_stop *stop,
                struct ukvm_error *err)
{
    struct ukvm_hv_run now = *how;
    bool done;
    int rc = uk_vcpu_flush(vm, err);

    if (rc != UKVM_OK)
        return rc;
    if (now.until_count)
        now.until_count = now.until_count > vm->emulated ? now.until_count - vm->emulated : 1;
    uk_vcpu_forget(vm);
    vm->on_behalf = false;
    rc = vm->hv->ops->run(vm->hv, &now, &vm->exit, err);
    if (rc == UKVM_OK)
        rc = resolve(vm, &done, err);
    if (rc == UKVM_OK && !done)
        rc = serve(vm, stop, err);
    return rc;
}

static bool ends_step(const struct ukvm_exit *ex)
{
    return ex->kind != UKVM_EXIT_INTERRUPT;
}

/* A step ends with what the core did for the instruction: at its next. */
static int stepped(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    stop->kind = UKVM_STOP_STEP;
    return uk_vcpu_pc(vm, &stop->pc, err) == UKVM_OK ? UK_STOP : UKVM_ESYS;
}

/* A stop before the instruction that exited: pc stands at it, on every backend. */
static int put_back(struct ukvm *vm, const struct ukvm_stop *stop, struct ukvm_error *err)
{
    if (stop->kind != UKVM_STOP_FAULT)
        return uk_vcpu_read(vm, UKVM_GPR, err);
    return uk_vcpu_back(vm, stop->pc, err);
}

static int loop(struct ukvm *vm, const struct ukvm_hv_run *how, struct ukvm_stop *stop,
                struct ukvm_error *err)
{
    for (;;) {
        int rc;

        if (uk_interrupt_take(vm)) {
            stop->kind = UKVM_STOP_INTERRUPT;
            rc = uk_vcpu_pc(vm, &stop->pc, err);
            return rc == UKVM_OK ? UK_STOP : rc;
        }
        rc = once(vm, how, stop, err);
        if (rc != UK_GO_ON)
            return rc;
        if (how->step && ends_step(&vm->exit))
            return stepped(vm, stop, err);
    }
}

int uk_run(struct ukvm *vm, const struct ukvm_hv_run *how, struct ukvm_stop *stop,
           struct ukvm_error *err)
{
    int rc = uk_machine_check(vm, UK_BOOTED, err);

    memset(stop, 0, sizeof(*stop));
    if (rc != UKVM_OK)
        return rc;
    rc = vm->hv->ops->enter(vm->hv, err);
    if (rc != UKVM_OK)
        return rc;
    rc = loop(vm, how, stop, err);
    vm->hv->ops->leave(vm->hv);
    if (rc < 0)
        return rc;
    rc = put_back(vm, stop, err);
    if (rc == UKVM_OK)
        uk_hook_stop(vm, stop);
    return rc;
}

int ukvm_run(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err)
{
    return uk_run(vm, &(struct ukvm_hv_run){0}, stop, err);
}

int ukvm_core_register_vmexit(struct ukvm *vm, ukvm_vmexit_fn_t *fn, void *self,
                              struct ukvm_error *err)
{
    if (vm->nvmexits == UKVM_MAX_VMEXITS)
        return uk_error(err, UKVM_ELIMIT, "vmexit handler: at most %d", UKVM_MAX_VMEXITS);
    vm->vmexit[vm->nvmexits++] = (struct uk_vmexit){fn, self};
    return UKVM_OK;
}
