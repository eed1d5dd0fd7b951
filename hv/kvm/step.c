/* SPDX-License-Identifier: ISC */
/*
 * step.c: one instruction on KVM. The trap flag does most of it; what it does wrong
 * is known by looking at the instruction first, and an exception's handler, which
 * would run free, is stopped by a HLT in the place of its first byte.
 */
#include "core/arch.h"
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <elf.h>
#include <string.h>
#include <sys/ioctl.h>

#define HLT        0xf4
#define MAX_PLANTS 257 /* every vector's handler, and the next instruction */

struct plant {
    uint8_t *p;
    ukvm_gva_t gva;
    uint8_t old;
};

/* A step under way. */
struct step {
    struct ukvm_hv *hv;
    struct ukvm_x86_state st; /* before it: general and system registers */
    uint8_t insn[15];
    unsigned len;    /* bytes of (insn) that are mapped */
    unsigned opcode; /* index of the opcode in (insn) */
    struct plant plant[MAX_PLANTS];
    size_t nplants;
};

/*
 * KVM sets the trap flag only if RIP is where it was at KVM_SET_GUEST_DEBUG, so
 * registers in struct kvm_run must go there first (Linux, __kvm_set_rflags()).
 */
int uk_kvm_set_stepping(struct ukvm_hvb *b, bool on, struct ukvm_error *err)
{
    struct kvm_guest_debug d = {
        .control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
    };

    if (b->run->kvm_dirty_regs & KVM_SYNC_X86_REGS) {
        if (ioctl(b->cpu, KVM_SET_REGS, &b->run->s.regs.regs))
            return uk_error_sys(err, NULL, "KVM_SET_REGS");
        b->run->kvm_dirty_regs &= ~(uint64_t)KVM_SYNC_X86_REGS;
    }
    if (ioctl(b->cpu, KVM_SET_GUEST_DEBUG, &d))
        return uk_error_sys(err, NULL, "KVM_SET_GUEST_DEBUG");
    b->stepping = on;
    return UKVM_OK;
}

static void fetch(struct step *s)
{
    for (s->len = 0; s->len < sizeof(s->insn); s->len++) {
        const uint8_t *p = uk_kvm_guest(s->hv, &s->st, s->st.rip + s->len, 1, UKVM_ACCESS_FETCH);

        if (!p)
            break;
        s->insn[s->len] = *p;
    }
}

static bool is_prefix(uint8_t c)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};

    return (c & 0xf0) == 0x40 || memchr(prefixes, c, sizeof(prefixes)) != NULL;
}

static int opcode(const struct step *s)
{
    return s->opcode < s->len ? s->insn[s->opcode] : -1;
}

/* IN, OUT, INS, OUTS and HLT exit by themselves. */
static bool exits_anyway(const struct step *s)
{
    int op = opcode(s);

    return (op & ~3) == 0xe4 || (op & ~3) == 0xec || (op & ~3) == 0x6c || op == HLT;
}

/*
 * No trap comes between MOV SS and the next instruction (Intel SDM vol. 3, 6.8.3); some
 * KVMs see none after STI either.
 */
static bool shadows_next(const struct step *s)
{
    if (opcode(s) == 0x8e)
        return s->opcode + 1 < s->len && (s->insn[s->opcode + 1] & 0x38) == 0x10;
    return opcode(s) == 0xfb;
}

static void plant(struct step *s, ukvm_gva_t gva)
{
    uint8_t *p = uk_kvm_guest(s->hv, &s->st, gva, 1, UKVM_ACCESS_FETCH);

    if (!p || gva == s->st.rip || s->nplants == MAX_PLANTS)
        return;
    s->plant[s->nplants++] = (struct plant){p, gva, *p};
    *p = HLT;
}

/* In reverse: two handlers may be one. What the guest wrote there itself stays. */
static void lift(struct step *s)
{
    for (size_t i = s->nplants; i-- > 0;)
        if (*s->plant[i].p == HLT)
            *s->plant[i].p = s->plant[i].old;
}

/* A gate of the IDT: Intel SDM vol. 3, 6.14.1. */
static void plant_handlers(struct step *s)
{
    for (unsigned v = 0; v < 256 && v * 16 + 15 <= s->st.idt.limit; v++) {
        const uint8_t *gate =
            uk_kvm_guest(s->hv, &s->st, s->st.idt.base + v * 16, 16, UKVM_ACCESS_READ);
        uint16_t low, mid;
        uint32_t high;

        if (!gate || !(gate[5] & 0x80))
            continue;
        memcpy(&low, gate, 2);
        memcpy(&mid, gate + 6, 2);
        memcpy(&high, gate + 8, 4);
        plant(s, low | (uint64_t)mid << 16 | (uint64_t)high << 32);
    }
}

/* Such an instruction is let run into a HLT behind it; false: its length is not known. */
static bool plant_next(struct step *s)
{
    const struct ukvm_arch *arch = uk_arch_find(EM_X86_64);
    struct ukvm_mem_access acc[4];
    size_t used = 0;

    if (opcode(s) == 0xfb)
        used = s->opcode + 1;
    else if (s->insn[s->opcode + 1] >= 0xc0)
        used = s->opcode + 2;
    else
        arch->accesses((const struct ukvm_state *)&s->st, s->insn, s->len, acc, 4, &used);
    if (used > 0)
        plant(s, s->st.rip + used);
    return used > 0;
}

/*
 * The HLT that ended the step is one of ours: the vCPU stands at what it covers. A KVM
 * that interprets takes the trap behind it instead.
 */
static void take_back(struct step *s, struct ukvm_exit *ex)
{
    struct kvm_run *run = s->hv->b->run;
    ukvm_gva_t at = ex->kind == UKVM_EXIT_HALT ? ex->pc : ex->pc - 1;

    if (ex->kind != UKVM_EXIT_HALT && ex->kind != UKVM_EXIT_STEP)
        return;
    for (size_t i = 0; i < s->nplants; i++) {
        if (s->plant[i].gva != at)
            continue;
        run->s.regs.regs.rip = at;
        run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
        ex->kind = UKVM_EXIT_STEP;
        ex->pc = ex->next = at;
        return;
    }
}

/* Processors push the trap flag that KVM set; the guest did not. */
static void clean_pushed_flags(struct step *s, const struct ukvm_exit *ex)
{
    uint8_t *p;

    if (ex->kind != UKVM_EXIT_STEP || opcode(s) != 0x9c || (s->st.rflags & UKVM_RFLAGS_TF))
        return;
    p = uk_kvm_guest(s->hv, &s->st, s->hv->b->run->s.regs.regs.rsp + 1, 1, UKVM_ACCESS_WRITE);
    if (p)
        *p &= (uint8_t) ~(UKVM_RFLAGS_TF >> 8);
}

int uk_kvm_step(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    struct step s = {.hv = hv};
    bool trap = true;
    int rc = hv->b->unsettled ? uk_kvm_settle(hv, ex, err) : UKVM_OK;

    if (rc == UKVM_OK)
        rc = uk_kvm_get(hv, UKVM_GPR | UKVM_SYS, (struct ukvm_state *)&s.st, err);
    if (rc != UKVM_OK)
        return rc;
    fetch(&s);
    while (s.opcode < s.len && is_prefix(s.insn[s.opcode]))
        s.opcode++;
    if (exits_anyway(&s)) {
        rc = hv->b->stepping ? uk_kvm_set_stepping(hv->b, false, err) : UKVM_OK;
        return rc == UKVM_OK ? uk_kvm_go(hv, ex, err) : rc;
    }
    plant_handlers(&s);
    if (shadows_next(&s))
        trap = !plant_next(&s);
    rc = uk_kvm_set_stepping(hv->b, trap, err);
    if (rc == UKVM_OK)
        rc = uk_kvm_go(hv, ex, err);
    lift(&s);
    if (rc == UKVM_OK) {
        take_back(&s, ex);
        clean_pushed_flags(&s, ex);
    }
    return rc;
}
