/* SPDX-License-Identifier: ISC */
/*
 * hv.h: what a backend fills in. A backend executes guest instructions and turns
 * its native exits into struct ukvm_exit; it decides nothing and calls nothing
 * above it. Only core/ and hv/ include this.
 */
#ifndef UKVM_HV_H
#define UKVM_HV_H

#include "core/ukvm.h"
#include "core/ukvm_hook.h"

struct ukvm_state; /* vCPU state, plain data: arch/NAME/state.h gives each its own */

/* Groups of vCPU state: getting all of it at each exit would cost more than the exit. */
enum {
    UKVM_GPR = 1,    /* general registers, pc, flags */
    UKVM_SYS = 2,    /* segments, descriptor tables, control and debug registers */
    UKVM_FPU = 4,    /* x87, SSE */
    UKVM_MSR = 8,    /* model-specific registers, the time-stamp counter among them */
    UKVM_EVENT = 16, /* pending exception, interrupt shadow */
    UKVM_ALL = 31,
};

enum {
    UKVM_CAP_BREAK = 1,     /* arms execution traps */
    UKVM_CAP_WATCH = 2,     /* arms data watches */
    UKVM_CAP_STEP = 4,      /* runs one instruction */
    UKVM_CAP_COUNT = 8,     /* counts instructions, stops at a count */
    UKVM_CAP_NX = 16,       /* enforces execute rights of the view */
    UKVM_CAP_TSC_TRAP = 32, /* returns the guest's TSC reads as INSN exits */
    UKVM_CAP_CPUID = 64,    /* takes a CPUID table */
    UKVM_CAP_FP = 128,      /* runs floating point */
    UKVM_CAP_USER = 256,    /* without privilege: returns what needs it as INSN exits */
};

enum { UKVM_PROT_R = 4, UKVM_PROT_W = 2, UKVM_PROT_X = 1 }; /* as ELF has them */

struct ukvm_hv_config {
    int mem_fd;         /* hv->mem's memfd, for backends that map it elsewhere */
    uint16_t e_machine; /* the guest's architecture, as ELF says */
    int interrupt_signal;
    uint64_t tsc_hz; /* wanted, 0: the backend's own */
    bool trap_tsc;   /* wanted: reads of the time-stamp counter as INSN exits (CAP_TSC_TRAP) */
    bool nx;         /* wanted: execute rights of the view (CAP_NX) */
};

enum ukvm_trap_kind { UKVM_TRAP_EXEC, UKVM_TRAP_WRITE, UKVM_TRAP_READ, UKVM_TRAP_ACCESS };
struct ukvm_trap {
    enum ukvm_trap_kind kind;
    ukvm_gva_t addr;
    size_t len; /* data traps: bytes */
};

struct ukvm_hv_run {
    bool step;            /* one instruction, or its exit */
    uint64_t until_count; /* CAP_COUNT: end when that many have completed since create(); 0: no */
};

/*
 * Every slot is filled: uk_hv_no_* of core/hv.c where a backend cannot. Calls
 * come from the machine's thread, but for interrupt(). hv->mem, hv->mem_size and
 * hv->ops are set before create(), which sets hv->b and hv->caps.
 */
struct ukvm_hv_ops {
    const char *name;

    /* Find out by trying what works here; never fails, never leaves anything behind. */
    void (*probe)(struct ukvm_report *report);

    int (*create)(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err);
    void (*destroy)(struct ukvm_hv *hv);

    /* Read or write whole groups; the machine is settled. */
    int (*get)(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st, struct ukvm_error *err);
    int (*set)(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
               struct ukvm_error *err);

    /*
     * Around a series of runs by one thread: what each run would have to prepare and
     * put back by itself (signal mask, processor affinity). run() also works outside.
     */
    int (*enter)(struct ukvm_hv *hv, struct ukvm_error *err);
    void (*leave)(struct ukvm_hv *hv);

    /*
     * Run to exactly one exit. A step is one retired instruction (STEP exit) or the
     * exit it makes. INTERRUPT if interrupt() came, before or during; it is then spent.
     */
    int (*run)(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err);

    /*
     * Complete the last exit: afterwards pc == ex->next and nothing more has run.
     * Idempotent. May correct ex->pc and ex->next.
     */
    int (*settle)(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err);

    /* Replace the whole set of traps; (done[i]) says which the backend took. */
    int (*arm)(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
               struct ukvm_error *err);

    /* The guest's view of [gpa, gpa + len), page-aligned: UKVM_PROT_*. */
    int (*protect)(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err);

    /* The monitor wrote there: drop what was cached of it (translations). */
    void (*wrote)(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len);

    /* Instructions completed since create(); CAP_COUNT. Else UKVM_ENOTSUP. */
    int (*count)(struct ukvm_hv *hv, uint64_t *n, struct ukvm_error *err);

    /* Hz of the guest's time-stamp counter; 0 with (err) if it cannot be relied on. */
    uint64_t (*tsc_hz)(struct ukvm_hv *hv, struct ukvm_error *err);

    /* End the run from any thread or signal handler; sticky until the next run returns. */
    void (*interrupt)(struct ukvm_hv *hv);
};

int uk_hv_no_enter(struct ukvm_hv *hv, struct ukvm_error *err);
void uk_hv_no_leave(struct ukvm_hv *hv);
int uk_hv_no_arm(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
                 struct ukvm_error *err);
int uk_hv_no_count(struct ukvm_hv *hv, uint64_t *n, struct ukvm_error *err);
void uk_hv_no_wrote(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len);

/* A backend linked in (ops) or loaded on first use (plugin, exporting symbol). */
struct ukvm_backend {
    const char *name;
    const struct ukvm_hv_ops *ops;
    const char *plugin; /* "ukvm_emu.so" */
    const char *symbol; /* "ukvm_hv_emu" */
    bool hole;          /* guests must not see memory below 64 KiB: no original low memory */
};
/* In order of preference, ended by a row without name; hv/table.c fills it. */
extern const struct ukvm_backend uk_backends[];

#endif /* UKVM_HV_H */
