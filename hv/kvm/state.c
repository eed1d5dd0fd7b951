/* SPDX-License-Identifier: ISC */
/*
 * state.c: struct ukvm_x86_state to and from a KVM vCPU. General registers travel in
 * struct kvm_run (KVM_CAP_SYNC_REGS) and cost nothing; the rest is an ioctl a group.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

static int failed(struct ukvm_error *err, const char *what)
{
    return uk_error_sys(err, NULL, "%s", what);
}

/* --- general registers ------------------------------------------------------- */

/* The order of struct kvm_regs (asm/kvm.h) in that of instruction encodings. */
static const size_t gpr_at[16] = {
    offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx), offsetof(struct kvm_regs, rdx),
    offsetof(struct kvm_regs, rbx), offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
    offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi), offsetof(struct kvm_regs, r8),
    offsetof(struct kvm_regs, r9),  offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
    offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13), offsetof(struct kvm_regs, r14),
    offsetof(struct kvm_regs, r15),
};

static int get_gpr(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    const struct kvm_regs *r = &b->run->s.regs.regs;

    (void)err;
    for (int i = 0; i < 16; i++)
        memcpy(&st->gpr[i], (const uint8_t *)r + gpr_at[i], sizeof(st->gpr[i]));
    st->rip = r->rip;
    st->rflags = r->rflags;
    return UKVM_OK;
}

static int set_gpr(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_regs *r = &b->run->s.regs.regs;

    (void)err;
    for (int i = 0; i < 16; i++)
        memcpy((uint8_t *)r + gpr_at[i], &st->gpr[i], sizeof(st->gpr[i]));
    r->rip = st->rip;
    r->rflags = st->rflags;
    b->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return UKVM_OK;
}

/* --- system registers ---------------------------------------------------------- */

static const size_t seg_at[UKVM_NSEGS] = {
    [UKVM_ES] = offsetof(struct kvm_sregs, es),    [UKVM_CS] = offsetof(struct kvm_sregs, cs),
    [UKVM_SS] = offsetof(struct kvm_sregs, ss),    [UKVM_DS] = offsetof(struct kvm_sregs, ds),
    [UKVM_FS] = offsetof(struct kvm_sregs, fs),    [UKVM_GS] = offsetof(struct kvm_sregs, gs),
    [UKVM_LDTR] = offsetof(struct kvm_sregs, ldt), [UKVM_TR] = offsetof(struct kvm_sregs, tr),
};

static struct ukvm_x86_seg from_seg(const struct kvm_segment *k)
{
    unsigned attr = k->type | (k->s ? UKVM_SEG_S : 0) | (unsigned)k->dpl << 5 |
                    (k->present ? UKVM_SEG_P : 0) | (k->avl ? UKVM_SEG_AVL : 0) |
                    (k->l ? UKVM_SEG_L : 0) | (k->db ? UKVM_SEG_DB : 0) | (k->g ? UKVM_SEG_G : 0) |
                    (k->unusable ? UKVM_SEG_UNUSABLE : 0);

    return (struct ukvm_x86_seg){k->base, k->limit, k->selector, (uint16_t)attr};
}

static struct kvm_segment to_seg(const struct ukvm_x86_seg *s)
{
    return (struct kvm_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .type = s->attr & UKVM_SEG_TYPE,
        .present = !!(s->attr & UKVM_SEG_P),
        .dpl = (s->attr & UKVM_SEG_DPL) >> 5,
        .db = !!(s->attr & UKVM_SEG_DB),
        .s = !!(s->attr & UKVM_SEG_S),
        .l = !!(s->attr & UKVM_SEG_L),
        .g = !!(s->attr & UKVM_SEG_G),
        .avl = !!(s->attr & UKVM_SEG_AVL),
        .unusable = !!(s->attr & UKVM_SEG_UNUSABLE),
    };
}

static int get_debugregs(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_debugregs d;

    if (ioctl(b->cpu, KVM_GET_DEBUGREGS, &d))
        return failed(err, "KVM_GET_DEBUGREGS");
    memcpy(st->dr, d.db, sizeof(st->dr));
    st->dr6 = d.dr6;
    st->dr7 = d.dr7;
    return UKVM_OK;
}

static int get_sys(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_sregs s;

    if (ioctl(b->cpu, KVM_GET_SREGS, &s))
        return failed(err, "KVM_GET_SREGS");
    for (int i = 0; i < UKVM_NSEGS; i++) {
        struct kvm_segment k;

        memcpy(&k, (const uint8_t *)&s + seg_at[i], sizeof(k));
        st->seg[i] = from_seg(&k);
    }
    st->gdt = (struct ukvm_x86_table){s.gdt.base, s.gdt.limit, 0};
    st->idt = (struct ukvm_x86_table){s.idt.base, s.idt.limit, 0};
    st->cr0 = s.cr0;
    st->cr2 = s.cr2;
    st->cr3 = s.cr3;
    st->cr4 = s.cr4;
    st->cr8 = s.cr8;
    st->efer = s.efer;
    return get_debugregs(b, st, err);
}

static int set_sys(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_debugregs d = {.dr6 = st->dr6, .dr7 = st->dr7};
    struct kvm_sregs s = b->sregs;

    for (int i = 0; i < UKVM_NSEGS; i++) {
        struct kvm_segment k = to_seg(&st->seg[i]);

        memcpy((uint8_t *)&s + seg_at[i], &k, sizeof(k));
    }
    s.gdt = (struct kvm_dtable){.base = st->gdt.base, .limit = (uint16_t)st->gdt.limit};
    s.idt = (struct kvm_dtable){.base = st->idt.base, .limit = (uint16_t)st->idt.limit};
    s.cr0 = st->cr0;
    s.cr2 = st->cr2;
    s.cr3 = st->cr3;
    s.cr4 = st->cr4;
    s.cr8 = st->cr8;
    s.efer = st->efer;
    if (ioctl(b->cpu, KVM_SET_SREGS, &s))
        return failed(err, "KVM_SET_SREGS");
    memcpy(d.db, st->dr, sizeof(d.db));
    if (ioctl(b->cpu, KVM_SET_DEBUGREGS, &d))
        return failed(err, "KVM_SET_DEBUGREGS");
    return UKVM_OK;
}

/* --- floating point: KVM_GET_FPU gives a fresh vCPU's MXCSR as 0, XSAVE does not ------ */

/* The XSAVE area's legacy region and header (Intel SDM vol. 1, 10.5.1 and 13.4.2). */
struct xsave {
    uint16_t fcw, fsw;
    uint8_t ftw, zero;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16], xmm[16][16], unused[96];
    uint64_t xstate_bv, xcomp_bv;
    uint8_t rest[sizeof(struct kvm_xsave) - 528];
};
_Static_assert(sizeof(struct xsave) == sizeof(struct kvm_xsave), "XSAVE area");
#define XSTATE_X87_SSE 3u

static int get_fpu(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct xsave x;

    if (ioctl(b->cpu, KVM_GET_XSAVE, &x))
        return failed(err, "KVM_GET_XSAVE");
    memcpy(st->st, x.st, sizeof(st->st));
    memcpy(st->xmm, x.xmm, sizeof(st->xmm));
    st->fcw = x.fcw;
    st->fsw = x.fsw;
    st->ftw = x.ftw;
    st->fop = x.fop;
    st->fip = x.fip;
    st->fdp = x.fdp;
    st->mxcsr = x.mxcsr;
    st->zero = 0;
    return UKVM_OK;
}

static int set_fpu(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct xsave x;

    if (ioctl(b->cpu, KVM_GET_XSAVE, &x))
        return failed(err, "KVM_GET_XSAVE");
    memcpy(x.st, st->st, sizeof(x.st));
    memcpy(x.xmm, st->xmm, sizeof(x.xmm));
    x.fcw = st->fcw;
    x.fsw = st->fsw;
    x.ftw = (uint8_t)st->ftw;
    x.fop = st->fop;
    x.fip = st->fip;
    x.fdp = st->fdp;
    x.mxcsr = st->mxcsr;
    x.xstate_bv |= XSTATE_X87_SSE;
    if (ioctl(b->cpu, KVM_SET_XSAVE, &x))
        return failed(err, "KVM_SET_XSAVE");
    return UKVM_OK;
}

/* --- model-specific registers ------------------------------------------------------ */

#define MSR_TSC 0x10u

/* Numbers: Intel SDM vol. 4, 2.1. The time-stamp counter comes last: it runs on. */
static const struct {
    uint32_t index;
    size_t at;
} msrs[] = {
    {0xc0000102, offsetof(struct ukvm_x86_state, kernel_gs_base)},
    {0xc0000081, offsetof(struct ukvm_x86_state, star)},
    {0xc0000082, offsetof(struct ukvm_x86_state, lstar)},
    {0xc0000083, offsetof(struct ukvm_x86_state, cstar)},
    {0xc0000084, offsetof(struct ukvm_x86_state, sfmask)},
    {0x174, offsetof(struct ukvm_x86_state, sysenter_cs)},
    {0x175, offsetof(struct ukvm_x86_state, sysenter_esp)},
    {0x176, offsetof(struct ukvm_x86_state, sysenter_eip)},
    {0x277, offsetof(struct ukvm_x86_state, pat)},
    {MSR_TSC, offsetof(struct ukvm_x86_state, tsc)},
};
#define NMSRS (sizeof(msrs) / sizeof(msrs[0]))

union msr_list {
    struct kvm_msrs head;
    uint8_t space[sizeof(struct kvm_msrs) + NMSRS * sizeof(struct kvm_msr_entry)];
};

static int do_msrs(struct ukvm_hvb *b, unsigned long request, union msr_list *list,
                   struct ukvm_error *err)
{
    int n = ioctl(b->cpu, request, list);

    if (n < 0)
        return failed(err, "model-specific registers");
    if ((size_t)n < list->head.nmsrs)
        return uk_error(err, UKVM_ENOTSUP, "MSR 0x%x: KVM refuses it", list->head.entries[n].index);
    return UKVM_OK;
}

static int get_msr(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    union msr_list list = {.head.nmsrs = NMSRS};
    int rc;

    for (size_t i = 0; i < NMSRS; i++)
        list.head.entries[i].index = msrs[i].index;
    rc = do_msrs(b, KVM_GET_MSRS, &list, err);
    for (size_t i = 0; rc == UKVM_OK && i < NMSRS; i++)
        memcpy((uint8_t *)st + msrs[i].at, &list.head.entries[i].data, sizeof(uint64_t));
    return rc;
}

static int do_tsc(struct ukvm_hvb *b, unsigned long request, uint64_t *tsc, struct ukvm_error *err)
{
    union msr_list list = {.head.nmsrs = 1};
    int rc;

    list.head.entries[0].index = MSR_TSC;
    list.head.entries[0].data = *tsc;
    rc = do_msrs(b, request, &list, err);
    *tsc = list.head.entries[0].data;
    return rc;
}

/*
 * KVM takes a value within a second of what an earlier one would have become for an
 * attempt to synchronise, and keeps the earlier; 0 always (Linux,
 * kvm_synchronize_tsc()). One that is far off comes between, then, and 0 becomes 1.
 */
static int set_tsc_again(struct ukvm_hvb *b, uint64_t tsc, struct ukvm_error *err)
{
    uint64_t now = 0, far = tsc + (1ull << 62);
    int rc = do_tsc(b, KVM_GET_MSRS, &now, err);

    tsc += tsc == 0;
    if (rc != UKVM_OK || now - tsc < 1u << 20)
        return rc;
    rc = do_tsc(b, KVM_SET_MSRS, &far, err);
    return rc == UKVM_OK ? do_tsc(b, KVM_SET_MSRS, &tsc, err) : rc;
}

static int set_msr(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    union msr_list list = {.head.nmsrs = NMSRS};
    int rc;

    for (size_t i = 0; i < NMSRS; i++) {
        list.head.entries[i].index = msrs[i].index;
        memcpy(&list.head.entries[i].data, (const uint8_t *)st + msrs[i].at, sizeof(uint64_t));
    }
    rc = do_msrs(b, KVM_SET_MSRS, &list, err);
    return rc == UKVM_OK ? set_tsc_again(b, st->tsc, err) : rc;
}

/* --- events ---------------------------------------------------------------------- */

#define SHADOW_STI    1
#define SHADOW_MOV_SS 2

static int get_event(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_vcpu_events e;

    if (ioctl(b->cpu, KVM_GET_VCPU_EVENTS, &e))
        return failed(err, "KVM_GET_VCPU_EVENTS");
    st->exc_pending = e.exception.injected;
    st->exc_vector = e.exception.injected ? e.exception.nr : 0;
    st->exc_has_code = e.exception.injected ? e.exception.has_error_code : 0;
    st->exc_code = e.exception.injected ? e.exception.error_code : 0;
    /* AMD's processors do not tell which it is: KVM sets both then. */
    st->intr_shadow = e.interrupt.shadow & KVM_X86_SHADOW_INT_STI      ? SHADOW_STI
                      : e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOV_SS
                                                                       : 0;
    return UKVM_OK;
}

static int set_event(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err)
{
    struct kvm_vcpu_events e;

    if (ioctl(b->cpu, KVM_GET_VCPU_EVENTS, &e))
        return failed(err, "KVM_GET_VCPU_EVENTS");
    e.exception.injected = st->exc_pending;
    e.exception.pending = 0;
    e.exception.nr = st->exc_vector;
    e.exception.has_error_code = st->exc_has_code;
    e.exception.error_code = st->exc_code;
    e.interrupt.shadow = (st->intr_shadow & SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
                         (st->intr_shadow & SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
    e.flags = KVM_VCPUEVENT_VALID_SHADOW;
    if (ioctl(b->cpu, KVM_SET_VCPU_EVENTS, &e))
        return failed(err, "KVM_SET_VCPU_EVENTS");
    return UKVM_OK;
}

/* --- groups ---------------------------------------------------------------------- */

static const struct {
    unsigned group;
    int (*get)(struct ukvm_hvb *b, struct ukvm_x86_state *st, struct ukvm_error *err);
    int (*set)(struct ukvm_hvb *b, const struct ukvm_x86_state *st, struct ukvm_error *err);
} groups_of[] = {
    {UKVM_GPR, get_gpr, set_gpr}, {UKVM_SYS, get_sys, set_sys},       {UKVM_FPU, get_fpu, set_fpu},
    {UKVM_MSR, get_msr, set_msr}, {UKVM_EVENT, get_event, set_event},
};
#define NGROUPS (sizeof(groups_of) / sizeof(groups_of[0]))

int uk_kvm_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st, struct ukvm_error *err)
{
    int rc = UKVM_OK;

    for (size_t i = 0; rc == UKVM_OK && i < NGROUPS; i++)
        if (groups & groups_of[i].group)
            rc = groups_of[i].get(hv->b, (struct ukvm_x86_state *)st, err);
    return rc;
}

int uk_kvm_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
               struct ukvm_error *err)
{
    int rc = UKVM_OK;

    for (size_t i = 0; rc == UKVM_OK && i < NGROUPS; i++)
        if (groups & groups_of[i].group)
            rc = groups_of[i].set(hv->b, (const struct ukvm_x86_state *)st, err);
    return rc;
}
