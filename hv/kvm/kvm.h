/* SPDX-License-Identifier: ISC */
/*
 * kvm.h: what the files of the KVM backend share. Nothing outside hv/kvm includes
 * it: KVM's constants and structures stay here.
 */
#ifndef UKVM_HV_KVM_H
#define UKVM_HV_KVM_H

#include "arch/x86_64/state.h"
#include "core/hv.h"

#include <linux/kvm.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#define UK_KVM_MAX_SLOTS 64

/* A stretch of guest memory as the guest sees it. */
enum uk_kvm_access { UK_KVM_NONE, UK_KVM_READ, UK_KVM_WRITE };
struct uk_kvm_region {
    ukvm_gpa_t start, end;
    enum uk_kvm_access access;
};

/* Where RIP stands when an OUT has exited: kernels differ, the first OUT tells. */
enum uk_kvm_rip { UK_KVM_RIP_UNKNOWN, UK_KVM_RIP_AT, UK_KVM_RIP_PAST };

struct ukvm_hvb {
    int kvm, vm, cpu; /* descriptors */
    struct kvm_run *run;
    size_t run_size;
    struct kvm_sregs sregs; /* of a fresh vCPU: what struct ukvm_state does not hold */

    enum uk_kvm_rip rip_rule;
    bool unsettled; /* the last exit awaits its completion */
    bool stepping;  /* KVM_GUESTDBG_SINGLESTEP is on */

    /* The view wanted, without gaps, and the slots that are made, at their numbers. */
    struct uk_kvm_region view[UK_KVM_MAX_SLOTS], slot[UK_KVM_MAX_SLOTS];
    size_t nview;
    bool view_dirty;

    int signal;        /* kicks KVM_RUN; blocked in the thread while entered */
    sigset_t old_mask; /* the thread's own, while entered */
    bool entered;
    _Atomic(pid_t) tid;   /* of the thread that is entered, else 0 */
    atomic_int interrupt; /* asked for, not yet reported */
    atomic_int kickers;   /* threads inside uk_kvm_interrupt() */
};

/* kvm.c */
extern const struct ukvm_hv_ops ukvm_hv_kvm;
/* Open /dev/kvm, API and necessary extensions checked; UKVM_ENOTSUP or UKVM_ESYS says why not. */
int uk_kvm_open(int *fd, struct ukvm_error *err);
/* Make VM and vCPU, with all that KVM supports in CPUID. uk_kvm_close() also after failure. */
int uk_kvm_new(struct ukvm_hvb *b, struct ukvm_error *err);
void uk_kvm_close(struct ukvm_hvb *b);
/* Hz of the guest's time-stamp counter; 0 with (err): unstable. */
uint64_t uk_kvm_tsc_hz(struct ukvm_hv *hv, struct ukvm_error *err);

/* exit.c: pure. */
void uk_kvm_translate(const struct kvm_run *run, const uint8_t *mem, size_t mem_size,
                      enum uk_kvm_rip rule, struct ukvm_exit *ex);
/* The length of the port instruction at or, if (past), before (p); (before) and (after) bytes
 * may be read on its sides. */
unsigned uk_kvm_port_insn_len(const uint8_t *p, size_t before, size_t after, bool past,
                              unsigned port, unsigned size);

/* run.c */
int uk_kvm_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err);
int uk_kvm_settle(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err);
/* Enter until an exit or an interrupt, translated. */
int uk_kvm_go(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err);

/* locate.c: at an exit by a store, find (ex->pc); RIP is past it already. */
int uk_kvm_locate_store(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err);
/* The guest's byte at (gva), mapped for (how); NULL if there is none, or not (len) in its page. */
uint8_t *uk_kvm_guest(struct ukvm_hv *hv, const struct ukvm_x86_state *st, ukvm_gva_t gva,
                      size_t len, int how);

/* kick.c */
int uk_kvm_enter(struct ukvm_hv *hv, struct ukvm_error *err);
void uk_kvm_leave(struct ukvm_hv *hv);
void uk_kvm_interrupt(struct ukvm_hv *hv);
/* KVM_RUN was interrupted: make the next one enter. */
void uk_kvm_unkick(struct ukvm_hvb *b);

/* step.c */
int uk_kvm_step(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err);
int uk_kvm_set_stepping(struct ukvm_hvb *b, bool on, struct ukvm_error *err);

/* state.c */
int uk_kvm_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st, struct ukvm_error *err);
int uk_kvm_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
               struct ukvm_error *err);

/* slots.c */
void uk_kvm_view_init(struct ukvm_hv *hv);
int uk_kvm_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err);
int uk_kvm_view_apply(struct ukvm_hv *hv, struct ukvm_error *err);

/* probe.c */
void uk_kvm_probe(struct ukvm_report *report);

#endif /* UKVM_HV_KVM_H */
