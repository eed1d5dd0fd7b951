/* SPDX-License-Identifier: ISC */
/*
 * machine.h: what a machine is inside the library. Devices and the program do not
 * include this; the core's wings (dev, debug, trace, record) use the functions.
 */
#ifndef UKVM_MACHINE_H
#define UKVM_MACHINE_H

#include "core/arch.h"
#include "core/image.h"
#include "core/plugin.h"

#include <pthread.h>
#include <stdatomic.h>

#define UKVM_MAX_HOOKS   8
#define UKVM_MAX_VMEXITS 8
#define UKVM_MAX_POLLS   8
#define UKVM_MAX_MODULES 16
#define UKVM_MEM_DEFAULT ((size_t)512 << 20)

/* A hypercall suspended at its entry: an interrupted wait, a catchpoint, a host error. */
struct uk_pending {
    bool active;
    ukvm_gva_t pc; /* of the instruction that will make it again */
    ukvm_gpa_t arg;
    size_t next_hook; /* hooks before this one have entered */
};

struct uk_handler {
    const struct ukvm_call_desc *desc;
    ukvm_hypercall_fn_t *fn; /* NULL: described, but nothing attached performs it */
    void *self;
};

struct uk_hook {
    const struct ukvm_hook_ops *ops;
    void *self;
};

struct uk_vmexit {
    ukvm_vmexit_fn_t *fn;
    void *self;
};

struct uk_poll_source {
    const struct ukvm_poll_ops *ops;
    void *self;
    int fd;     /* of ukvm_core_register_pollfd(): self is then this struct */
    bool ready; /* it was found readable */
};

/* What ukvm_core_describe_net() said. */
struct uk_net_id {
    char name[32];
    uint8_t mac[6];
};

struct uk_attached {
    const struct ukvm_module *module;
    void *self;
};

/* The vCPU's state as far as it was fetched; (dirty) goes back before the next run. */
struct uk_vcpu {
    struct ukvm_state *st;
    unsigned valid, dirty; /* groups */
    bool settled;          /* the last exit was completed */
};

/* The time-stamp counter where the core serves it: base at t0, then hz. */
struct uk_tsc {
    uint64_t hz, base, t0_ns;
};

enum uk_phase { UK_CREATED, UK_BOOTED, UK_ENDED };

struct ukvm {
    struct ukvm_config cfg; /* strings owned */
    enum uk_phase phase;
    pthread_t owner;
    const struct ukvm_arch *arch;
    struct uk_image *image;
    struct uk_plugins plugins;
    char notes[1024];

    int mem_fd;
    uint8_t *mem;
    size_t mem_size;
    ukvm_gpa_t hole; /* the guest does not see memory below */

    struct ukvm_hv *hv;
    struct ukvm_backend own_backend; /* cfg.ops as a row */
    struct uk_vcpu vcpu;
    struct uk_tsc tsc;
    struct ukvm_exit exit;      /* the last one */
    struct ukvm_exit exception; /* the last that the core delivered; kind EXCEPTION if any */
    uint64_t emulated;          /* instructions that the core completed for this backend */
    bool on_behalf;             /* the last exit's instruction is one of them */

    _Atomic(struct ukvm_hv *) kick; /* whom ukvm_interrupt() kicks; NULL while it changes */
    atomic_int kicking;             /* interrupters inside a kick */
    atomic_int interrupted;
    int wake[2]; /* pipe: part of every wait */

    struct uk_handler handler[UKVM_NR_MAX];
    struct uk_handler site[UKVM_SITE_NSITES];
    struct ukvm_call call; /* the one in flight */
    struct uk_pending pending;
    uint64_t events;           /* seq of the last completed call */
    struct ukvm_error refused; /* what the checked accessor found wrong */
    bool halted;
    int halt_status;
    ukvm_gpa_t halt_cookie;

    struct uk_hook hook[UKVM_MAX_HOOKS];
    size_t nhooks;
    struct uk_vmexit vmexit[UKVM_MAX_VMEXITS];
    size_t nvmexits;
    struct uk_poll_source poll[UKVM_MAX_POLLS];
    size_t npolls;
    struct uk_net_id net;
    const struct ukvm_module *module[UKVM_MAX_MODULES]; /* known */
    size_t nmodules;
    struct uk_attached attached[UKVM_MAX_MODULES];
    size_t nattached;
};

/* Modules that come with this build, ended by NULL; core/dev/table.c fills it. Those
 * without a usage line need no argument and are set up in every machine. */
extern const struct ukvm_module *const uk_modules[];

/* What asks a source that is a descriptor; core/dev/poll.c. */
extern const struct ukvm_poll_ops uk_poll_fd;

/* machine.c */
int uk_machine_check(const struct ukvm *vm, enum uk_phase need, struct ukvm_error *err);
void uk_machine_note(struct ukvm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int uk_machine_console_fd(const struct ukvm *vm);
const struct uk_net_id *uk_machine_net(const struct ukvm *vm);
size_t uk_machine_polls(const struct ukvm *vm, const struct uk_poll_source **polls);
struct uk_image *uk_machine_image(const struct ukvm *vm);

/* backend.c */
int uk_backend_open(struct ukvm *vm, struct ukvm_error *err);
void uk_backend_close(struct ukvm *vm, struct ukvm_hv *hv);

/* scan.c: notes on instructions that differ on this backend. The image is in memory. */
void uk_scan(struct ukvm *vm);

/* mem.c */
int uk_mem_create(struct ukvm *vm, size_t size, struct ukvm_error *err);
void uk_mem_destroy(struct ukvm *vm);
struct ukvm_mem uk_mem(const struct ukvm *vm);
/* Is [gpa, gpa + sz) guest memory that the guest sees, and may write if (write)? Says why not. */
int uk_mem_check(const struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, bool write,
                 struct ukvm_error *err);
/* Give (hv) the view that the image's segments ask for. */
int uk_mem_protect(struct ukvm *vm, struct ukvm_hv *hv, struct ukvm_error *err);

/* vcpu.c: the only way to registers. Settles, then fetches what is missing of (groups). */
int uk_vcpu_read(struct ukvm *vm, unsigned groups, struct ukvm_error *err);
/* The same for changing them. */
int uk_vcpu_write(struct ukvm *vm, unsigned groups, struct ukvm_error *err);
int uk_vcpu_flush(struct ukvm *vm, struct ukvm_error *err);
/* Forget what was fetched: the guest runs. */
void uk_vcpu_forget(struct ukvm *vm);
int uk_vcpu_pc(struct ukvm *vm, ukvm_gva_t *pc, struct ukvm_error *err);
int uk_vcpu_set_pc(struct ukvm *vm, ukvm_gva_t pc, struct ukvm_error *err);
/* Back to the last exit's instruction, which has then not been executed. */
int uk_vcpu_back(struct ukvm *vm, ukvm_gva_t pc, struct ukvm_error *err);
/* The counter now, where the core serves it. */
uint64_t uk_vcpu_tsc(const struct ukvm *vm);
uint64_t uk_now_ns(void);

/* hook.c */
void uk_hook_exit(struct ukvm *vm, const struct ukvm_exit *ex);
int uk_hook_enter(struct ukvm *vm, size_t *next, struct ukvm_error *err);
int uk_hook_leave(struct ukvm *vm, struct ukvm_error *err);
void uk_hook_stop(struct ukvm *vm, const struct ukvm_stop *stop);
void uk_hook_close(struct ukvm *vm);

/* hypercall.c */
int uk_hypercall_register_rows(struct ukvm *vm, struct ukvm_error *err);

/*
 * call.c: the one transaction. A non-negative result says what the run loop does.
 */
enum uk_next { UK_GO_ON = 0, UK_STOP = 1 };
int uk_call_perform(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err);

/* fault.c: stops that explain themselves. */
int uk_fault(struct ukvm *vm, struct ukvm_stop *stop, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* run.c */
int uk_run(struct ukvm *vm, const struct ukvm_hv_run *how, struct ukvm_stop *stop,
           struct ukvm_error *err);

/* interrupt.c */
int uk_interrupt_open(struct ukvm *vm, struct ukvm_error *err);
void uk_interrupt_close(struct ukvm *vm);
/* Was the machine interrupted? Spends the interrupt. */
bool uk_interrupt_take(struct ukvm *vm);
bool uk_interrupt_pending(const struct ukvm *vm);
/* Whom to kick from now on; NULL: wait until nobody kicks the one before. */
void uk_interrupt_target(struct ukvm *vm, struct ukvm_hv *hv);

#endif /* UKVM_MACHINE_H */
