/* SPDX-License-Identifier: ISC */
/*
 * ukvm_hook.h: what happens at the hypercall boundary: the descriptors that say
 * what a hypercall is, the vmexit as data, and the ordered chain of hooks that is
 * told of both. One responder answers at the chain's end: a handler.
 */
#ifndef UKVM_HOOK_H
#define UKVM_HOOK_H

#include "core/ukvm.h"

/* --- vmexits ------------------------------------------------------------- */

enum ukvm_exit_kind {
    UKVM_EXIT_HYPERCALL, /* nr, gpa */
    UKVM_EXIT_SITE,      /* a nondeterministic instruction at pc: site */
    UKVM_EXIT_INSN,      /* an instruction at pc that the core must emulate: not executed */
    UKVM_EXIT_EXCEPTION, /* the instruction at pc raised vector, code, addr; not delivered */
    UKVM_EXIT_IO,        /* a port access that is no hypercall: addr, len, write, data */
    UKVM_EXIT_PROT,      /* the view refused an access: addr (gpa), len, write, data */
    UKVM_EXIT_BREAK,     /* a trap armed at pc; its instruction has not run */
    UKVM_EXIT_WATCH,     /* a watched access: addr, len, write */
    UKVM_EXIT_STEP,      /* the step or the count asked for is done */
    UKVM_EXIT_HALT,      /* the guest halted the CPU */
    UKVM_EXIT_SHUTDOWN,  /* triple fault seen by the backend */
    UKVM_EXIT_INTERRUPT, /* ops->interrupt() ended the run */
    UKVM_EXIT_UNKNOWN,   /* none of these: msg, and insn if the backend knows the bytes */
};

/* Nondeterministic instructions; each is a pseudo row of the descriptor table. */
enum ukvm_site { UKVM_SITE_TSC, UKVM_SITE_NSITES };

struct ukvm_exit {
    enum ukvm_exit_kind kind;
    ukvm_gva_t pc;   /* the instruction that exited; PROT: == next if the backend cannot tell */
    ukvm_gva_t next; /* where the guest goes on; == pc if the instruction has not run */
    unsigned nr;     /* HYPERCALL: its number */
    ukvm_gpa_t gpa;  /* HYPERCALL: its argument */
    enum ukvm_site site;
    int vector;       /* EXCEPTION: 0-31 */
    bool has_code;    /* EXCEPTION: (code) is one that the processor pushes */
    uint32_t code;    /* EXCEPTION: error code */
    uint64_t addr;    /* EXCEPTION: faulting gva of a page fault; PROT, WATCH: address; IO: port */
    unsigned len;     /* IO, PROT, WATCH: bytes */
    bool write;       /* IO, PROT, WATCH: direction */
    uint64_t data;    /* IO, PROT: what was to be written, if at most 8 bytes */
    uint8_t insn[15]; /* UNKNOWN, SITE: bytes at pc */
    uint8_t insn_len; /* how many of them are known; 0: none */
    unsigned changed; /* what the core's emulation changed besides UKVM_GPR: groups of hv.h */
    char msg[96];     /* UNKNOWN: what the backend says, in words */
    uint64_t raw;     /* the backend's own reason, for statistics and messages */
};

/* --- hypercall descriptors ------------------------------------------------ */

enum ukvm_field_kind {
    UKVM_F_U64,    /* a number */
    UKVM_F_I32,    /* a signed number */
    UKVM_F_RET,    /* the result: i32, 0 is success */
    UKVM_F_NSECS,  /* nanoseconds, u64 */
    UKVM_F_GPA,    /* an address, not followed */
    UKVM_F_BUF,    /* u64 gpa of a buffer whose length is field (of) */
    UKVM_F_LEN,    /* u64 length in bytes of a buffer */
    UKVM_F_COOKIE, /* u64 gpa of (of) bytes, or 0 */
    UKVM_F_MAC,    /* 6 bytes */
    UKVM_F_STRING, /* (size) bytes, NUL-terminated */
};
enum ukvm_field_dir { UKVM_IN = 1, UKVM_OUT = 2, UKVM_INOUT = 3 };

struct ukvm_field {
    const char *name;
    uint8_t kind;    /* enum ukvm_field_kind */
    uint8_t dir;     /* enum ukvm_field_dir; a BUF's is its content's direction */
    uint16_t offset; /* in the argument struct */
    uint16_t size;   /* bytes in the argument struct */
    uint16_t of;     /* BUF: index of its LEN field; COOKIE: bytes behind the address */
    bool if_ok;      /* OUT: valid only if the RET field is 0 */
};

struct ukvm_call_desc {
    const char *name;
    unsigned abis; /* bit (1 << enum ukvm_abi) for each family that has it; 0: all */
    unsigned nr;   /* number; pseudo rows: UKVM_NR_SITES + enum ukvm_site */
    uint16_t arg_size;
    uint8_t nfields;
    bool may_block; /* it can wait for the world */
    const struct ukvm_field *fields;
    const char *needs; /* what to try if nothing performs it: "--disk=FILE"; NULL: nothing */
};
#define UKVM_NR_MAX   64   /* hypercall numbers are below this */
#define UKVM_NR_SITES 1000 /* pseudo rows are numbered from here */

/* The built-in row (name) of the machine's ABI family; NULL if there is none. */
UKVM_API const struct ukvm_call_desc *ukvm_call_find(const struct ukvm *vm, const char *name);
/* The (i)th row that the machine knows, its users' included; NULL past the last. */
UKVM_API const struct ukvm_call_desc *ukvm_call_at(const struct ukvm *vm, size_t i);

struct ukvm_range { /* guest memory that the monitor wrote */
    ukvm_gpa_t gpa;
    size_t len;
};
#define UKVM_CALL_ARG_MAX 64
#define UKVM_CALL_OUT_MAX 8

struct ukvm_call {
    struct ukvm *vm;
    const struct ukvm_call_desc *desc;
    uint64_t seq;       /* event number, from 1, over the machine's life */
    ukvm_gva_t pc;      /* guest instruction that called */
    ukvm_gpa_t arg_gpa; /* its argument; 0 for a pseudo row */
    void *arg;          /* the argument struct, in guest memory, or ours for a pseudo row */
    uint8_t in[UKVM_CALL_ARG_MAX]; /* a copy of it at entry */
    void *buf;                     /* the first BUF field's bytes, checked; NULL if there is none */
    uint64_t host_ns;              /* CLOCK_MONOTONIC at entry; 0 if nobody hooks */
    struct ukvm_range out[UKVM_CALL_OUT_MAX]; /* what the responder wrote */
    size_t nout;
    uint64_t keep[2]; /* the handler's own across UKVM_AGAIN; 0 at first entry */
};

/* --- hooks ----------------------------------------------------------------- */

enum ukvm_rank { /* outermost first: enter in this order, leave in reverse */
                 UKVM_RANK_STATS,
                 UKVM_RANK_TRACE,
                 UKVM_RANK_CATCH,
                 UKVM_RANK_RECORD,
};
enum { UKVM_GO_ON = 0, UKVM_STOP_HERE = 1 }; /* on_enter(), on_leave() */

/*
 * Any member may be NULL. on_enter() and on_leave() return UKVM_GO_ON,
 * UKVM_STOP_HERE (the machine stops before, or after, the call; going on goes on
 * with the next hook) or an error, which ends the run.
 */
struct ukvm_hook_ops {
    const char *name;
    enum ukvm_rank rank;
    void (*on_exit)(void *self, const struct ukvm_exit *ex);
    int (*on_enter)(void *self, const struct ukvm_call *c, struct ukvm_error *err);
    int (*on_leave)(void *self, const struct ukvm_call *c, struct ukvm_error *err);
    void (*on_stop)(void *self, const struct ukvm_stop *stop);
    void (*close)(void *self);
};
/* At most 8. UKVM_ESTATE if one of that name is there. */
UKVM_API int ukvm_hook_add(struct ukvm *vm, const struct ukvm_hook_ops *ops, void *self,
                           struct ukvm_error *err);
UKVM_API int ukvm_hook_remove(struct ukvm *vm, const char *name, struct ukvm_error *err);

/* --- what watches ------------------------------------------------------------ */

/*
 * Write each frame that crosses the network device to (path), as pcapng, from now
 * on: both directions, wall-clock time in ns, comment "seq=42 netwrite" with the
 * hypercall's event number. An existing file is overwritten; a new one has mode
 * 0600. UKVM_ESTATE: there is no network device yet, or a capture already.
 */
UKVM_API int ukvm_capture(struct ukvm *vm, const char *path, struct ukvm_error *err);
/*
 * Why the capture ended before the machine (a full disk), in one line; NULL if it
 * did not. The guest goes on; the file ends after its last whole frame.
 */
UKVM_API const char *ukvm_capture_failed(const struct ukvm *vm);

#endif /* UKVM_HOOK_H */
