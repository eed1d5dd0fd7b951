/* SPDX-License-Identifier: ISC */
/*
 * run.c: letting the child run to exactly one exit: its stop, as an exit. No system
 * call of the guest's is performed, no signal reaches it.
 */
#include "core/arch.h"
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define EVENT(status)  ((status) >> 8)
#define STOP_OF(event) (SIGTRAP | (event) << 8)
#define VSYSCALL       UINT64_C(0xffffffffff600000) /* Linux, asm/vsyscall.h */

/* A run under way. (again): the stop was no exit, the child goes on. */
struct run {
    struct ukvm_hv *hv;
    struct ukvm_hvb *b;
    const struct ukvm_hv_run *how;
    struct ukvm_exit *ex;
    struct ukvm_error *err;
    uint64_t trap_flag; /* the guest's own, when the child was let go */
};
enum { AGAIN = 1 }; /* else an enum ukvm_code */

static int exit_at(struct run *r, enum ukvm_exit_kind kind, ukvm_gva_t pc, ukvm_gva_t next)
{
    r->ex->kind = kind;
    r->ex->pc = pc;
    r->ex->next = next;
    return UKVM_OK;
}

static int unknown(struct run *r, const char *why)
{
    snprintf(r->ex->msg, sizeof(r->ex->msg), "%.90s", why);
    return exit_at(r, UKVM_EXIT_UNKNOWN, r->b->regs.rip, r->b->regs.rip);
}

static int exception(struct run *r, int vector, ukvm_gva_t pc)
{
    r->ex->vector = vector;
    return exit_at(r, UKVM_EXIT_EXCEPTION, pc, r->b->regs.rip);
}

static int gone(struct run *r)
{
    char why[sizeof(r->b->died) + 40];

    snprintf(why, sizeof(why), "the guest's process is gone: %s", r->b->died);
    return unknown(r, why);
}

/* --- system calls ---------------------------------------------------------------------- */

/* Leave the system call, which is not performed, without an instruction of the guest's. */
static int leave_call(struct ukvm_hvb *b, struct ukvm_error *err)
{
    int status = 0, rc = uk_native_set_regs(b, err); /* number -1: nothing is done */

    if (rc == UKVM_OK && ptrace(PTRACE_INTERRUPT, b->pid, NULL, NULL) && errno != ESRCH)
        rc = uk_error_sys(err, NULL, "native: stopping the guest's process");
    while (rc == UKVM_OK && !b->dead && status >> 16 != PTRACE_EVENT_STOP)
        rc = uk_native_go(b, PTRACE_CONT, &status, err);
    return rc;
}

/* A jump to the page at the address space's end that Linux emulates calls in. */
static int on_vsyscall(struct run *r)
{
    struct ukvm_walk w;

    uk_x86_walk((const struct ukvm_state *)(const void *)uk_native_state(r->b),
                (struct ukvm_mem){r->hv->mem, r->hv->mem_size}, r->b->regs.rip, UKVM_ACCESS_FETCH,
                &w);
    r->ex->has_code = true;
    r->ex->code = w.code;
    r->ex->addr = r->b->st.cr2 = r->b->regs.rip;
    return exception(r, UK_X86_PF, r->b->regs.rip);
}

/*
 * SYSCALL and SYSENTER are #UD where EFER.SCE and the MSRs are 0, INT 80H is any INT n.
 * What they did to RCX and R11, and to RAX in the vsyscall page, can't be undone.
 */
static int on_call(struct run *r)
{
    struct ukvm_hvb *b = r->b;
    struct user_regs_struct was;
    uint8_t insn[2] = {0};
    int rc = uk_native_get_regs(b, r->err);

    was = b->regs;
    if (rc == UKVM_OK)
        rc = leave_call(b, r->err);
    if (rc != UKVM_OK || b->dead)
        return rc != UKVM_OK ? rc : gone(r);
    b->regs = was;
    b->regs.rax = was.orig_rax;
    b->regs_dirty = true;
    if (b->regs.rip >= VSYSCALL && b->regs.rip - VSYSCALL < UK_NATIVE_PAGE)
        return on_vsyscall(r);
    if (uk_native_fetch(r->hv, b->regs.rip - 2, insn, 2) == 2)
        b->regs.rip -= 2;
    if (insn[0] == 0xcd)
        return exit_at(r, UKVM_EXIT_INSN, b->regs.rip, b->regs.rip);
    return exception(r, UK_X86_UD, b->regs.rip);
}

/* --- steps and breakpoints ------------------------------------------------------------------ */

static uint8_t byte_at(const struct run *r, ukvm_gva_t gva)
{
    uint8_t byte = 0;

    uk_native_fetch(r->hv, gva, &byte, 1);
    return byte;
}

static int on_int3(struct run *r)
{
    uint64_t next = r->b->regs.rip;

    if (byte_at(r, next - 1) != 0xcc) /* INT 3 in two bytes */
        return exception(r, UK_X86_BP, next - 2);
    if (r->how->step || !uk_native_armed(r->b, next - 1))
        return exception(r, UK_X86_BP, next - 1);
    r->b->regs.rip--;
    r->b->regs_dirty = true;
    return exit_at(r, UKVM_EXIT_BREAK, next - 1, next - 1);
}

/* A string instruction that goes on is one instruction: SDM vol. 1, 7.3.9.2. */
static bool repeats(const struct run *r)
{
    uint8_t buf[UK_X86_INSN_MAX];
    struct uk_x86_insn i;

    return r->b->regs.rip == r->b->from &&
           uk_x86_insn_opcode(&i, buf, uk_native_fetch(r->hv, r->b->from, buf, sizeof(buf))) &&
           i.map == UK_X86_MAP_1 && (i.rep || i.repne) &&
           ((i.op >= 0xa4 && i.op <= 0xa7) || (i.op >= 0xaa && i.op <= 0xaf));
}

/*
 * The kernel's single-stepping lets go of the trap flag at POPF and IRET, PUSHF would push
 * it, and INT n loses it on some hypervisors: in steps the core executes these.
 */
static bool moves_flags(const struct run *r)
{
    uint8_t buf[UK_X86_INSN_MAX];
    struct uk_x86_insn i;

    return uk_x86_insn_opcode(&i, buf, uk_native_fetch(r->hv, r->b->regs.rip, buf, sizeof(buf))) &&
           i.map == UK_X86_MAP_1 && (i.op == 0x9c || i.op == 0x9d || i.op == 0xcd || i.op == 0xcf);
}

static int on_debug(struct run *r)
{
    uint64_t rip = r->b->regs.rip;
    int rc;

    exit_at(r, UKVM_EXIT_STEP, rip, rip);
    rc = uk_native_debug(r->b, r->ex, r->err);
    if (rc != UKVM_OK || r->ex->kind != UKVM_EXIT_STEP)
        return rc;
    if (!r->how->step && byte_at(r, rip - 1) == 0xf1) /* INT1 */
        return exception(r, UK_X86_DB, rip - 1);
    return !r->how->step || repeats(r) ? AGAIN : UKVM_OK;
}

/* --- stops ---------------------------------------------------------------------------- */

/* The backend's own answer to RDTSC and RDTSCP. */
static int serve_tsc(struct run *r)
{
    struct user_regs_struct *regs = &r->b->regs;
    uint64_t tsc = uk_native_tsc(r->b);
    uint8_t buf[UK_X86_INSN_MAX];
    struct uk_x86_insn i;

    uk_x86_insn_opcode(&i, buf, uk_native_fetch(r->hv, regs->rip, buf, sizeof(buf)));
    regs->rax = (uint32_t)tsc;
    regs->rdx = tsc >> 32;
    if (i.op == 0x01) {
        regs->rcx = 0;
        i.at++;
    }
    regs->rip += i.at;
    r->b->regs_dirty = true;
    return r->how->step ? exit_at(r, UKVM_EXIT_STEP, regs->rip, regs->rip) : AGAIN;
}

/* OUT, IN and HLT are the most frequent stops, and speak for themselves. */
static bool is_plain_port(const struct run *r)
{
    uint8_t op = byte_at(r, r->b->regs.rip);

    if (!uk_native_may_execute(r->hv, r->b->regs.rip))
        return false;
    return (op & 0xfc) == 0xe4 || (op & 0xfc) == 0xec ||
           (op == 0xf4 && byte_at(r, r->b->regs.rip - 1) != UK_X86_OF); /* INT 4: fault.c */
}

static int on_signal(struct run *r, int signal)
{
    siginfo_t si;

    if (signal == SIGSEGV && is_plain_port(r))
        return exit_at(r, UKVM_EXIT_INSN, r->b->regs.rip, r->b->regs.rip);
    if (ptrace(PTRACE_GETSIGINFO, r->b->pid, NULL, &si)) {
        if (errno == ESRCH)
            return AGAIN;
        return uk_error_sys(r->err, NULL, "native: what stopped the guest");
    }
    if (signal == SIGTRAP && si.si_code > 0)
        return si.si_code == SI_KERNEL ? on_int3(r) : on_debug(r);
    switch (uk_native_fault(r->hv, &si, r->ex)) {
    case UK_NATIVE_EXIT:
        return UKVM_OK;
    case UK_NATIVE_TSC:
        return serve_tsc(r);
    case UK_NATIVE_IGNORE:
        break;
    }
    return AGAIN;
}

/*
 * No instruction that is stepped changes it, and what the kernel says of it is not to be
 * relied on once the guest has had its own set (Linux, enable_single_step()).
 */
static void keep_trap_flag(struct run *r)
{
    r->b->regs.eflags = (r->b->regs.eflags & ~(unsigned long long)UKVM_RFLAGS_TF) | r->trap_flag;
    r->b->regs_dirty = true;
}

static int on_stop(struct run *r, int status)
{
    int rc;

    if (r->b->dead)
        return gone(r);
    if (EVENT(status) == STOP_OF(PTRACE_EVENT_SECCOMP))
        return on_call(r);
    rc = uk_native_get_regs(r->b, r->err);
    if (rc != UKVM_OK)
        return rc;
    if (r->how->step)
        keep_trap_flag(r);
    rc = status >> 16 ? AGAIN : on_signal(r, WSTOPSIG(status));
    if (rc == AGAIN && atomic_exchange(&r->b->interrupt, 0))
        return exit_at(r, UKVM_EXIT_INTERRUPT, r->b->regs.rip, r->b->regs.rip);
    return rc;
}

/* --- the run -------------------------------------------------------------------------- */

static int go(struct run *r)
{
    int status, rc = UKVM_OK;

    r->b->from = r->b->regs.rip;
    r->trap_flag = r->b->regs.eflags & UKVM_RFLAGS_TF;
    if (r->b->regs_dirty)
        rc = uk_native_set_regs(r->b, r->err);
    if (rc == UKVM_OK)
        rc = uk_native_go(r->b, r->how->step ? PTRACE_SINGLESTEP : PTRACE_CONT, &status, r->err);
    return rc == UKVM_OK ? on_stop(r, status) : rc;
}

static int exit_pending(struct run *r)
{
    struct ukvm_x86_state *st = &r->b->st;

    st->exc_pending = 0;
    r->ex->has_code = st->exc_has_code;
    r->ex->code = st->exc_code;
    return exception(r, st->exc_vector, r->b->regs.rip);
}

/* What ends the run before it begins; AGAIN: nothing. */
static int before(struct run *r)
{
    struct ukvm_hvb *b = r->b;
    char why[90];
    int rc;

    if (atomic_exchange(&b->interrupt, 0))
        return exit_at(r, UKVM_EXIT_INTERRUPT, b->regs.rip, b->regs.rip);
    if (b->st.exc_pending)
        return exit_pending(r);
    uk_native_state(b);
    if (!b->tables_checked && !uk_native_tables(r->hv, why, sizeof(why)))
        return unknown(r, why);
    b->tables_checked = true;
    if (uk_native_armed(b, b->regs.rip))
        return exit_at(r, UKVM_EXIT_BREAK, b->regs.rip, b->regs.rip);
    if (r->how->step && moves_flags(r))
        return exit_at(r, UKVM_EXIT_INSN, b->regs.rip, b->regs.rip);
    rc = uk_native_load_drs(b, r->err);
    return rc == UKVM_OK ? AGAIN : rc;
}

int uk_native_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
                  struct ukvm_error *err)
{
    struct run r = {.hv = hv, .b = hv->b, .how = how, .ex = ex, .err = err};
    int rc;

    memset(ex, 0, sizeof(*ex));
    if (hv->b->dead)
        return uk_error(err, UKVM_ESTATE, "native: the guest's process is gone: %s", hv->b->died);
    rc = before(&r);
    if (rc != AGAIN)
        return rc;
    uk_native_pace(hv->b);
    if (!how->step)
        uk_native_plant(hv);
    do {
        rc = go(&r);
    } while (rc == AGAIN);
    if (!how->step)
        uk_native_lift(hv);
    return rc;
}
