/* SPDX-License-Identifier: ISC */
/*
 * native.h: what the files of the native backend share: guest code at CPL 3 in a
 * traced child process that has nothing but guest memory. Linux on x86_64 only.
 */
#ifndef UKVM_HV_NATIVE_H
#define UKVM_HV_NATIVE_H

#include "arch/x86_64/x86.h"
#include "core/hv.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/user.h>

#define UK_NATIVE_PAGE  ((size_t)4096)
#define UK_NATIVE_FIRST ((size_t)0x10000) /* the guest does not see memory below it */
#define UK_NATIVE_DRS   4                 /* debug address registers */
#define UK_NATIVE_FRESH ((size_t)64)      /* exits looked at before processors are changed */

/* A trap that the backend took. */
struct uk_native_trap {
    ukvm_gva_t addr;
    uint8_t len; /* bytes watched; 0: an instruction */
    bool write;  /* writes only */
    uint8_t old; /* instruction: the byte under int3, while it is planted */
};

struct ukvm_hvb {
    /* The child; tests know that its id comes first. */
    pid_t pid;
    int pidfd; /* for interrupt(); -1: none */
    bool dead;
    char died[80]; /* how, in words */

    /* Its registers as last seen, or as they will be. */
    struct user_regs_struct regs;
    bool regs_dirty;
    unsigned long long cs, ss; /* selectors of a 64-bit process */
    /* The rest of the vCPU, which the processor does not hold at CPL 3. */
    struct ukvm_x86_state st;
    uint64_t from;       /* RIP when it was last let go */
    uint64_t rf_at;      /* where RFLAGS.RF was set; else UK_NATIVE_NOWHERE */
    bool tables_checked; /* the page tables are those that the child's mappings stand for */

    int mem_fd;
    uint8_t *view; /* UKVM_PROT_* for each page */
    bool nx;       /* execute rights count */
    struct uk_native_trap *traps;
    size_t ntraps;
    bool drs_loaded; /* the child has debug registers in use */

    /* The time-stamp counter: served by (tsc_base + time since tsc_t0) if it traps. */
    uint64_t tsc_host_hz, tsc_hz;
    bool tsc_exits; /* reads are INSN exits */
    bool tsc_trap;  /* they trap */
    uint64_t tsc_base, tsc_t0, tsc_given;

    /* Monitor and child on one processor, while exits are frequent. */
    cpu_set_t affinity; /* the thread's own, while entered */
    bool entered, pinned;
    bool handled;        /* the program has a handler for SIGCHLD, looked at when entered */
    size_t exits;        /* since the rate was last looked at */
    uint64_t exits_from; /* ns, when that was */

    int signal;           /* ends a run */
    atomic_int interrupt; /* asked for, not yet reported */
    _Atomic uint64_t asked_ns;
    atomic_bool waiting;  /* for a stop */
    atomic_bool given_up; /* the child was killed since an interrupt had no effect */
};
#define UK_NATIVE_NOWHERE UINT64_C(0x8000000000000001) /* not canonical: no instruction */

/* native.c */
extern const struct ukvm_hv_ops ukvm_hv_native;
uint64_t uk_native_now_ns(void);

/* child.c */
/* The child, with guest memory and nothing else, stopped. uk_native_kill() also on failure. */
int uk_native_spawn(struct ukvm_hv *hv, struct ukvm_error *err);
void uk_native_kill(struct ukvm_hvb *b);

/* inject.c: system calls that the child makes for us. */
/* Begin at (site), an executable address whose bytes the caller has made uk_native_code. */
extern const uint8_t uk_native_code[3];
int uk_native_inject(struct ukvm_hvb *b, uint64_t site, long nr, const uint64_t args[6], long *ret,
                     struct ukvm_error *err);
/* The same from guest memory, put back afterwards; (data) of (len) bytes is at *at for it. */
int uk_native_call(struct ukvm_hv *hv, long nr, const uint64_t args[6], long *ret,
                   struct ukvm_error *err);
/* Have the child run (code), at most 16 bytes; where in it RIP stands at its next stop. */
int uk_native_try(struct ukvm_hv *hv, const uint8_t *code, size_t len, uint64_t *rip);
/* Let the child go, with ptrace request (how), until it stops; (status) as wait gives it. */
int uk_native_go(struct ukvm_hvb *b, int how, int *status, struct ukvm_error *err);
bool uk_native_handled(void);
int uk_native_set_regs(struct ukvm_hvb *b, struct ukvm_error *err);
int uk_native_get_regs(struct ukvm_hvb *b, struct ukvm_error *err);

/* state.c */
int uk_native_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st,
                  struct ukvm_error *err);
int uk_native_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
                  struct ukvm_error *err);
/* The vCPU's general and system registers, for arch functions. */
const struct ukvm_x86_state *uk_native_state(struct ukvm_hvb *b);

/* clock.c */
int uk_native_open_tsc(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg,
                       struct ukvm_error *err);
bool uk_native_tsc_traps(struct ukvm_hv *hv);     /* can it be made to? */
uint64_t uk_native_tsc(const struct ukvm_hvb *b); /* the guest's, now */
int uk_native_set_tsc(struct ukvm_hv *hv, uint64_t tsc, struct ukvm_error *err);

/* run.c */
int uk_native_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
                  struct ukvm_error *err);

/* fault.c: what a signal of the processor's says, as an exit. */
enum uk_native_what { UK_NATIVE_EXIT, UK_NATIVE_IGNORE, UK_NATIVE_TSC };
enum uk_native_what uk_native_fault(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex);
/* The bytes at (gva), up to (n), of what the child has there. */
size_t uk_native_fetch(const struct ukvm_hv *hv, ukvm_gva_t gva, uint8_t *buf, size_t n);

/* tables.c: are the page tables one to one from UK_NATIVE_FIRST on? (why): if not. */
bool uk_native_tables(const struct ukvm_hv *hv, char *why, size_t size);

/* traps.c */
int uk_native_arm(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
                  struct ukvm_error *err);
void uk_native_plant(struct ukvm_hv *hv);
void uk_native_lift(struct ukvm_hv *hv);
bool uk_native_armed(const struct ukvm_hvb *b, ukvm_gva_t addr);
/* Give the child the debug registers that the traps and the guest's own ask for. */
int uk_native_load_drs(struct ukvm_hvb *b, struct ukvm_error *err);
bool uk_native_watches(struct ukvm_hv *hv);
/* A debug exception at (pc): whose was it? */
int uk_native_debug(struct ukvm_hvb *b, struct ukvm_exit *ex, struct ukvm_error *err);

/* view.c */
int uk_native_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                      struct ukvm_error *err);
bool uk_native_may_execute(const struct ukvm_hv *hv, ukvm_gva_t gva);
/* Where guest memory may be executed, for uk_native_call(); 0: nowhere. */
ukvm_gpa_t uk_native_executable(const struct ukvm_hv *hv);

/* pace.c */
int uk_native_enter(struct ukvm_hv *hv, struct ukvm_error *err);
void uk_native_leave(struct ukvm_hv *hv);
void uk_native_pace(struct ukvm_hvb *b);
void uk_native_interrupt(struct ukvm_hv *hv);

/* probe.c */
void uk_native_probe(struct ukvm_report *report);

#endif /* UKVM_HV_NATIVE_H */
