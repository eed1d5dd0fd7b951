/* SPDX-License-Identifier: ISC */
/*
 * ukvm.h: libukvm, the monitor as a library: create, attach, boot, run, destroy.
 *
 * Every function that can fail returns UKVM_OK (0) or a negative enum ukvm_code
 * and, if (err) is not NULL, says why in it. The library never prints, never
 * exits, installs no signal handler and keeps no process-wide mutable state: two
 * machines may live in one process. A machine is created, run and destroyed by
 * one thread; another one gets UKVM_ESTATE. Only ukvm_interrupt() may come from
 * elsewhere.
 *
 * Users of the library need no header but this one, ukvm_hook.h (what happens at
 * the hypercall boundary) and ukvm_debug.h (registers, memory, symbols).
 */
#ifndef UKVM_H
#define UKVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UKVM_API __attribute__((visibility("default")))

typedef uint64_t ukvm_gpa_t; /* guest physical address */
typedef uint64_t ukvm_gva_t; /* guest virtual address */

/* --- errors ------------------------------------------------------------- */

enum ukvm_code {
    UKVM_OK = 0,
    UKVM_ENOMEM = -1,  /* host memory exhausted */
    UKVM_ESYS = -2,    /* a system call failed; sys_errno is set */
    UKVM_EINVAL = -3,  /* an argument is malformed */
    UKVM_ESTATE = -4,  /* not allowed in the machine's present state */
    UKVM_ENOTSUP = -5, /* this backend or architecture cannot do it */
    UKVM_ENOENT = -6,  /* no such file, symbol, register, device */
    UKVM_ELIMIT = -7,  /* out of hardware breakpoints, slots, descriptors */
    UKVM_EADDR = -8,   /* address not mapped or not in guest memory */
    UKVM_EIMAGE = -9,  /* not a loadable unikernel */
    UKVM_EFILE = -10,  /* file unreadable, damaged or of another version */
    UKVM_EGUEST = -11, /* the guest broke a rule: the run ends as a fault stop */
};

#define UKVM_ERRMSG_MAX 240

struct ukvm_error {
    enum ukvm_code code;
    int sys_errno;             /* errno, when code is UKVM_ESYS; else 0 */
    char msg[UKVM_ERRMSG_MAX]; /* one line, no newline: WHAT: WHERE OR VALUE: WHY; NEXT */
};

/* The name of a code, as "UKVM_EADDR"; "unknown" if it is none. */
UKVM_API const char *ukvm_strcode(int code);

/* --- machine ------------------------------------------------------------ */

struct ukvm; /* one machine: memory, one vCPU, devices, hooks */

/*
 * The ABI families without notes that this monitor runs: B (Solo5 between v0.2
 * and v0.3) and C (v0.3 and v0.4). They differ in NETINFO and in how a guest ends.
 */
enum ukvm_abi { UKVM_ABI_AUTO, UKVM_ABI_B, UKVM_ABI_C };

/* Guest memory: the byte at guest physical address (gpa) is hv->mem[gpa]. */
struct ukvm_hv_ops;
struct ukvm_hvb;
struct ukvm_hv {
    uint8_t *mem;
    size_t mem_size; /* bytes, a multiple of 2 MiB */
    const struct ukvm_hv_ops *ops;
    struct ukvm_hvb *b; /* the backend's own state */
    unsigned caps;      /* UKVM_CAP_* of hv.h */
};

struct ukvm_config {
    const char *image;             /* path of the ELF unikernel */
    const char *symbols;           /* path of separate debug information, or NULL: looked for */
    const char *backend;           /* a name, "emu"; NULL: the first that runs guests in full */
    const struct ukvm_hv_ops *ops; /* a backend of the caller's own (hv.h) instead, or NULL */
    const char *plugin_dir;        /* where plugins are; NULL: beside the program, then libexec */
    size_t mem_size;               /* bytes, rounded down to 2 MiB; 0: 512 MiB */
    enum ukvm_abi abi;             /* UKVM_ABI_AUTO: told from the image */
    bool nx;                       /* enforce execute rights; UKVM_ENOTSUP if the backend cannot */
    bool low_memory_original;      /* the original's low memory: tables writable below 64 KiB */
    int console_fd;                /* where PUTS goes; 0 means 1, standard output */
    int interrupt_signal;          /* a signal the KVM backend may use; 0: SIGURG */
};

/*
 * Make a machine from (cfg): load the image, choose the backend, give it memory.
 * UKVM_EIMAGE: not loadable; UKVM_ENOENT: no such image or backend; UKVM_ENOTSUP:
 * no backend works, or not this one; the message says why and what to try.
 */
UKVM_API int ukvm_create(struct ukvm **vm, const struct ukvm_config *cfg, struct ukvm_error *err);

/*
 * Attach a device by its module's name ("blk", "net"), with its argument: a file
 * for blk, an interface for net. Before ukvm_boot() only.
 */
UKVM_API int ukvm_attach(struct ukvm *vm, const char *device, const char *arg,
                         struct ukvm_error *err);

/*
 * Write the boot tables, boot information and command line ((argv) joined by
 * single spaces, at most 8191 characters) and set the vCPU to the entry point.
 */
UKVM_API int ukvm_boot(struct ukvm *vm, int argc, char *const argv[], struct ukvm_error *err);
UKVM_API void ukvm_destroy(struct ukvm *vm);

/*
 * Go on with the same memory and vCPU state on another backend. On failure the
 * machine stays as it was. UKVM_ENOTSUP: that backend cannot take this machine.
 */
UKVM_API int ukvm_switch(struct ukvm *vm, const char *backend, struct ukvm_error *err);

/*
 * Write memory and vCPU state into a file / set a booted machine of the same
 * image and memory size to them. Devices are not part of it: UKVM_ESTATE with any
 * attached. The file is written aside and renamed, mode 0600.
 */
UKVM_API int ukvm_save(struct ukvm *vm, const char *path, struct ukvm_error *err);
UKVM_API int ukvm_restore(struct ukvm *vm, const char *path, struct ukvm_error *err);

UKVM_API struct ukvm_hv *ukvm_hv(struct ukvm *vm);
UKVM_API const char *ukvm_backend(const struct ukvm *vm);   /* "kvm", "emu" */
UKVM_API const char *ukvm_arch_name(const struct ukvm *vm); /* "x86_64" */
UKVM_API enum ukvm_abi ukvm_abi(const struct ukvm *vm);

/*
 * Why backends before the chosen one were passed over and what is odd about the
 * image, a line each, separated by newlines; "" if there is nothing to say.
 */
UKVM_API const char *ukvm_notes(const struct ukvm *vm);

/*
 * A checked view of (sz) bytes at (gpa), valid until the machine next runs. NULL
 * if they are not guest memory (the last byte of memory never ends a range, as in
 * the original); the hypercall in flight then ends as a fault stop that names the
 * caller's file and line. The plain form is for reading. The OUT form is for
 * writing: it also refuses what the guest could not write itself, and notes the
 * range for hooks and the backend.
 */
#define UKVM_CHECKED_GPA_P(vm, gpa, sz) ukvm_checked_gpa_p((vm), (gpa), (sz), __FILE__, __LINE__)
#define UKVM_CHECKED_GPA_P_OUT(vm, gpa, sz)                                                        \
    ukvm_checked_gpa_p_out((vm), (gpa), (sz), __FILE__, __LINE__)
UKVM_API const void *ukvm_checked_gpa_p(struct ukvm *vm, ukvm_gpa_t gpa, size_t sz,
                                        const char *file, int line);
UKVM_API void *ukvm_checked_gpa_p_out(struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, const char *file,
                                      int line);

/* --- running ------------------------------------------------------------ */

enum ukvm_stop_kind {
    UKVM_STOP_EXIT,      /* the guest halted: status, cookie */
    UKVM_STOP_FAULT,     /* the guest broke the rules: msg */
    UKVM_STOP_EXCEPTION, /* caught before the guest's own handler: vector */
    UKVM_STOP_INTERRUPT, /* ukvm_interrupt() was called */
    UKVM_STOP_STEP,      /* the instructions asked for are done */
    UKVM_STOP_BREAK,     /* breakpoint: bp */
    UKVM_STOP_WATCH,     /* watchpoint: bp, addr */
    UKVM_STOP_CATCH,     /* about to perform, or back from, a caught hypercall */
    UKVM_STOP_LOG_END,   /* replay reached the end of its recording */
    UKVM_STOP_DIVERGED,  /* replay no longer matches its recording: msg */
};

struct ukvm_stop {
    enum ukvm_stop_kind kind;
    ukvm_gva_t pc;      /* the instruction concerned */
    int status;         /* exit: what the guest said; its low 8 bits reach a shell */
    ukvm_gpa_t cookie;  /* exit: the guest's, 0 if none */
    int bp;             /* breakpoint's or watchpoint's id */
    unsigned hypercall; /* its number, for faults in one and catchpoints */
    bool on_return;     /* catch: back from the call, not before it */
    int vector;         /* exception */
    uint32_t code;      /* its error code */
    ukvm_gva_t addr;    /* watch, exception: address concerned */
    char msg[UKVM_ERRMSG_MAX];
};

/*
 * Run until something stops the guest. 0: (stop) says what. Negative: we could
 * not do what was asked (a device failed: a full disk); pc is at the instruction
 * concerned, and running again tries again. After UKVM_STOP_EXIT: UKVM_ESTATE.
 */
UKVM_API int ukvm_run(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err);

/*
 * End a run at the next instruction, also one that waits in a device: the run
 * returns UKVM_STOP_INTERRUPT. Before a run: that run returns at once. May be
 * called from any thread and from a signal handler.
 */
UKVM_API void ukvm_interrupt(struct ukvm *vm);

/* --- backends ----------------------------------------------------------- */

/* What a backend can do on this host, as ukvm_probe() finds it by trying. */
struct ukvm_fact {
    char name[24];   /* "sse", "single-step" */
    char value[104]; /* "yes", "no: KVM_EXIT_INTERNAL_ERROR", "2595 MHz" */
};
#define UKVM_MAX_FACTS 24
struct ukvm_report {
    const char *backend;
    bool works;                /* it can run a guest */
    bool full;                 /* it can run every guest: floating point included */
    char why[UKVM_ERRMSG_MAX]; /* if not works or not full: one line, with the way to mend it */
    struct ukvm_fact facts[UKVM_MAX_FACTS];
    size_t nfacts;
};

/* The (i)th backend's report, in the order of preference; UKVM_ENOENT past the last. */
UKVM_API int ukvm_probe(size_t i, const char *plugin_dir, struct ukvm_report *report);

/* --- devices ------------------------------------------------------------ */

struct ukvm_call;      /* one hypercall in flight, see ukvm_hook.h */
struct ukvm_call_desc; /* one hypercall's description, see ukvm_hook.h */
struct ukvm_exit;      /* one normalised vmexit, see ukvm_hook.h */
struct pollfd;

/*
 * A handler performs a hypercall: (call->arg) is the guest's argument struct.
 * 0: done. UKVM_EGUEST: the guest broke a rule, (err) says which. UKVM_AGAIN: an
 * interrupt ended a wait, the call goes on when the machine does. Else: the host
 * failed, ukvm_run() returns the error.
 */
#define UKVM_AGAIN 1
typedef int ukvm_hypercall_fn_t(void *self, struct ukvm_call *call, struct ukvm_error *err);

#define UKVM_NOT_MINE 1
/* 0: handled, the guest goes on; UKVM_NOT_MINE: the next one looks; negative: an error. */
typedef int ukvm_vmexit_fn_t(void *self, const struct ukvm_exit *exit, struct ukvm_error *err);

/* A device: blk, net; or a user's own. (self) is what setup() made. */
struct ukvm_module {
    const char *name;
    const char *usage; /* what ukvm_attach()'s (arg) means, one line */
    int (*setup)(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err);
    void (*close)(void *self);
};

/* What POLL waits for. prepare() gives at most (max) descriptors and returns how
 * many; it may lower (*timeout_ns). dispatch() gets them back after the wait. */
struct ukvm_poll_ops {
    size_t (*prepare)(void *self, struct pollfd *fds, size_t max, int64_t *timeout_ns);
    void (*dispatch)(void *self, const struct pollfd *fds, size_t n);
    bool (*readable)(void *self);
};

UKVM_API int ukvm_core_register_module(struct ukvm *vm, const struct ukvm_module *m,
                                       struct ukvm_error *err);

/*
 * Give hypercall (desc) its handler. (desc) may be a row of the built-in table or
 * the caller's own, which must live as long as the machine. UKVM_EINVAL if its
 * number is out of range, UKVM_ESTATE if it is taken.
 */
UKVM_API int ukvm_core_register_hypercall(struct ukvm *vm, const struct ukvm_call_desc *desc,
                                          ukvm_hypercall_fn_t *fn, void *self,
                                          struct ukvm_error *err);
/* The guest ends with (status): for the handler of a hypercall that is the guest's last. */
UKVM_API void ukvm_core_halt(struct ukvm *vm, int status, ukvm_gpa_t cookie);
/* At most 8; asked in order on each vmexit before the core looks at it. */
UKVM_API int ukvm_core_register_vmexit(struct ukvm *vm, ukvm_vmexit_fn_t *fn, void *self,
                                       struct ukvm_error *err);
/* At most 8 sources of both kinds; POLL's ret counts the readable ones. */
UKVM_API int ukvm_core_register_poll(struct ukvm *vm, const struct ukvm_poll_ops *ops, void *self,
                                     struct ukvm_error *err);
UKVM_API int ukvm_core_register_pollfd(struct ukvm *vm, int fd, struct ukvm_error *err);
/* A network device says what it is, for captures: its name (31 characters), its MAC. */
UKVM_API void ukvm_core_describe_net(struct ukvm *vm, const char *name, const uint8_t mac[6]);

/*
 * Wait until a descriptor in (fds), at most UKVM_WAIT_MAX, is ready, (timeout_ns)
 * passed (-1: never), or the machine is interrupted: the one wait for every device
 * that blocks. Returns ppoll's count, UKVM_WAIT_INTERRUPTED, UKVM_ESYS.
 */
#define UKVM_WAIT_INTERRUPTED (-100)
#define UKVM_WAIT_MAX         512
UKVM_API int ukvm_wait(struct ukvm *vm, struct pollfd *fds, size_t n, int64_t timeout_ns,
                       struct ukvm_error *err);

#endif /* UKVM_H */
