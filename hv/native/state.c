/* SPDX-License-Identifier: ISC */
/*
 * state.c: struct ukvm_x86_state from and to the child. The processor holds general
 * registers, bases of FS and GS, and floating point; everything else, which CPL 3 has
 * no say in, is kept here.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>

#define RFLAGS_IOPL 0x3000u
#define RFLAGS_OURS (UKVM_RFLAGS_IF | RFLAGS_IOPL) /* CPL 3 does not change them */
#define USER_END    UINT64_C(0x7ffffffff000)

/* --- general registers ------------------------------------------------------------ */

/* The order of struct user_regs_struct (sys/user.h) in that of instruction encodings. */
static const size_t gpr_at[16] = {
    offsetof(struct user_regs_struct, rax), offsetof(struct user_regs_struct, rcx),
    offsetof(struct user_regs_struct, rdx), offsetof(struct user_regs_struct, rbx),
    offsetof(struct user_regs_struct, rsp), offsetof(struct user_regs_struct, rbp),
    offsetof(struct user_regs_struct, rsi), offsetof(struct user_regs_struct, rdi),
    offsetof(struct user_regs_struct, r8),  offsetof(struct user_regs_struct, r9),
    offsetof(struct user_regs_struct, r10), offsetof(struct user_regs_struct, r11),
    offsetof(struct user_regs_struct, r12), offsetof(struct user_regs_struct, r13),
    offsetof(struct user_regs_struct, r14), offsetof(struct user_regs_struct, r15),
};

const struct ukvm_x86_state *uk_native_state(struct ukvm_hvb *b)
{
    struct ukvm_x86_state *st = &b->st;

    for (int i = 0; i < 16; i++)
        memcpy(&st->gpr[i], (const uint8_t *)&b->regs + gpr_at[i], sizeof(st->gpr[i]));
    st->rip = b->regs.rip;
    st->rflags = (b->regs.eflags & ~(uint64_t)(RFLAGS_OURS | UKVM_RFLAGS_RF)) |
                 (st->rflags & RFLAGS_OURS) | (b->rf_at == st->rip ? UKVM_RFLAGS_RF : 0);
    st->seg[UKVM_FS].base = b->regs.fs_base;
    st->seg[UKVM_GS].base = b->regs.gs_base;
    return st;
}

static void set_gpr(struct ukvm_hvb *b, const struct ukvm_x86_state *st)
{
    for (int i = 0; i < 16; i++)
        memcpy((uint8_t *)&b->regs + gpr_at[i], &st->gpr[i], sizeof(st->gpr[i]));
    b->regs.rip = st->rip;
    b->regs.eflags = (st->rflags & ~(uint64_t)RFLAGS_OURS) | UKVM_RFLAGS_IF | UKVM_RFLAGS_FIXED;
    b->st.rflags = st->rflags;
    b->rf_at = st->rflags & UKVM_RFLAGS_RF ? st->rip : UK_NATIVE_NOWHERE;
    b->regs_dirty = true;
}

/* --- system registers ---------------------------------------------------------------- */

static int set_sys(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    uint64_t fs = st->seg[UKVM_FS].base, gs = st->seg[UKVM_GS].base;
    bool same = b->st.cr0 == st->cr0 && b->st.cr3 == st->cr3 && b->st.cr4 == st->cr4 &&
                b->st.efer == st->efer;

    if (fs >= USER_END || gs >= USER_END)
        return uk_error(err, UKVM_ENOTSUP,
                        "native: FS or GS base 0x%llx: a process has only the lower half; "
                        "--hv=emu",
                        (unsigned long long)(fs >= USER_END ? fs : gs));
    b->tables_checked = b->tables_checked && same;
    b->regs_dirty = b->regs_dirty || b->regs.fs_base != fs || b->regs.gs_base != gs;
    b->regs.fs_base = fs;
    b->regs.gs_base = gs;
    return UKVM_OK;
}

/* --- floating point --------------------------------------------------------------------- */

/* FXSAVE's layout (SDM vol. 1, table 10-2), which struct user_fpregs_struct has. */
static const struct {
    size_t state, len, fx;
} fpu[] = {
#define FPU(member, fx)                                                                            \
    {                                                                                              \
        offsetof(struct ukvm_x86_state, member), sizeof(((struct ukvm_x86_state *)0)->member), fx  \
    }
    FPU(st, 32), FPU(xmm, 160), FPU(fcw, 0),  FPU(fsw, 2),    FPU(ftw, 4),
    FPU(fop, 6), FPU(fip, 8),   FPU(fdp, 16), FPU(mxcsr, 24),
#undef FPU
};
#define NFPU (sizeof(fpu) / sizeof(fpu[0]))

static int get_fpu(struct ukvm_hvb *b, struct ukvm_error *err)
{
    struct user_fpregs_struct fx;

    errno = 0;
    if (ptrace(PTRACE_GETFPREGS, b->pid, NULL, &fx) && errno == ESRCH)
        return UKVM_OK; /* it is gone: what was known stays */
    if (errno)
        return uk_error_sys(err, NULL, "native: reading floating-point registers");
    for (size_t i = 0; i < NFPU; i++)
        memcpy((uint8_t *)&b->st + fpu[i].state, (const uint8_t *)&fx + fpu[i].fx, fpu[i].len);
    return UKVM_OK;
}

static int set_fpu(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct user_fpregs_struct fx = {0};

    for (size_t i = 0; i < NFPU; i++)
        memcpy((uint8_t *)&fx + fpu[i].fx, (const uint8_t *)st + fpu[i].state, fpu[i].len);
    if (ptrace(PTRACE_SETFPREGS, b->pid, NULL, &fx) && errno != ESRCH)
        return uk_error_sys(err, NULL, "native: writing floating-point registers");
    return UKVM_OK;
}

/* --- groups --------------------------------------------------------------------------------- */

static void copy(struct ukvm_x86_state *to, const struct ukvm_x86_state *from, size_t start,
                 size_t end)
{
    memcpy((uint8_t *)to + start, (const uint8_t *)from + start, end - start);
}

/* Where each group lies in the state (arch/x86_64/state.h). */
static const struct {
    unsigned group;
    size_t start, end;
} groups_at[] = {
    {UKVM_GPR, 0, offsetof(struct ukvm_x86_state, seg)},
    {UKVM_SYS, offsetof(struct ukvm_x86_state, seg), offsetof(struct ukvm_x86_state, st)},
    {UKVM_FPU, offsetof(struct ukvm_x86_state, st), offsetof(struct ukvm_x86_state, tsc)},
    {UKVM_MSR, offsetof(struct ukvm_x86_state, tsc), offsetof(struct ukvm_x86_state, exc_pending)},
    {UKVM_EVENT, offsetof(struct ukvm_x86_state, exc_pending), sizeof(struct ukvm_x86_state)},
};
#define NGROUPS (sizeof(groups_at) / sizeof(groups_at[0]))

/* The state of a child that is gone stays readable: it explains its end. */
int uk_native_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *state,
                  struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    int rc = UKVM_OK;

    uk_native_state(b);
    if ((groups & UKVM_FPU) && !b->dead)
        rc = get_fpu(b, err);
    if (groups & UKVM_MSR)
        b->st.tsc = b->tsc_given = uk_native_tsc(b);
    for (size_t i = 0; i < NGROUPS; i++)
        if (groups & groups_at[i].group)
            copy(uk_x86(state), &b->st, groups_at[i].start, groups_at[i].end);
    return rc;
}

int uk_native_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *state,
                  struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    const struct ukvm_x86_state *st = uk_x86_const(state);
    int rc = UKVM_OK;

    if (b->dead)
        return uk_error(err, UKVM_ESTATE, "native: the guest's process is gone: %s", b->died);
    uk_native_state(b);
    if (groups & UKVM_SYS)
        rc = set_sys(b, st, err);
    if (rc == UKVM_OK && (groups & UKVM_FPU))
        rc = set_fpu(b, st, err);
    if (rc == UKVM_OK && (groups & UKVM_MSR))
        rc = uk_native_set_tsc(hv, st->tsc, err);
    if (rc != UKVM_OK)
        return rc;
    if (groups & UKVM_GPR)
        set_gpr(b, st);
    for (size_t i = 0; i < NGROUPS; i++)
        if (groups & groups_at[i].group)
            copy(&b->st, st, groups_at[i].start, groups_at[i].end);
    return UKVM_OK;
}
