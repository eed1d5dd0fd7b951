/* SPDX-License-Identifier: ISC */
/*
 * arch.h: what an instruction set fills in, whatever host or backend: its
 * registers, boot state, page walk, exceptions, the instructions that the monitor
 * emulates. Pure functions over vCPU state and guest memory, tested without a
 * backend. The architecture is chosen by the image's ELF header.
 */
#ifndef UKVM_ARCH_H
#define UKVM_ARCH_H

#include "core/hv.h"
#include "core/ukvm_debug.h"

/* Guest physical memory as arch functions see it. */
struct ukvm_mem {
    uint8_t *p;
    size_t size;
};

/* --- boot ------------------------------------------------------------------ */

struct ukvm_boot {
    enum ukvm_abi abi;
    bool low_original; /* the original's low memory instead of a hole below 64 KiB */
    ukvm_gva_t entry;
    ukvm_gpa_t kernel_end;
    uint64_t tsc_hz;
    const char *cmdline; /* at most UKVM_CMDLINE_MAX characters */
};
#define UKVM_CMDLINE_MAX 8191

/* --- page walk --------------------------------------------------------------- */

enum ukvm_access { UKVM_ACCESS_READ, UKVM_ACCESS_WRITE, UKVM_ACCESS_FETCH };

struct ukvm_walk {
    bool ok;          /* the access is allowed by the guest's own tables */
    bool mapped;      /* some page is there, whatever its rights */
    ukvm_gpa_t gpa;   /* if mapped; may lie beyond guest memory */
    size_t page_size; /* if mapped: bytes */
    unsigned prot;    /* if mapped: UKVM_PROT_* */
    uint32_t code;    /* if not ok: the page fault's error code */
};

/* --- instructions ---------------------------------------------------------- */

enum ukvm_answer {
    UKVM_DONE,        /* executed: state is past it */
    UKVM_HYPERCALL,   /* it is one: ex->nr, gpa; ex->next is past it; state is untouched */
    UKVM_SITE,        /* nondeterministic: ex->site, ex->next; state is untouched */
    UKVM_IO,          /* a port access that is no hypercall: ex->addr, len, write, data */
    UKVM_HALTED,      /* it halts the CPU: ex->next */
    UKVM_EXCEPTION,   /* it faults: ex->vector, code, addr */
    UKVM_UNSUPPORTED, /* not one that the monitor emulates */
};

struct ukvm_mem_access {
    ukvm_gva_t gva;
    unsigned len;
    bool read, write; /* both: read-modify-write */
};

/* What came of delivering an exception, for the explanation of a triple fault. */
struct ukvm_delivery {
    bool ok;    /* state is at the guest's handler */
    bool fatal; /* triple fault: the vCPU shuts down; state is as before */
    size_t n;   /* faults in the chain, the first being the guest's own */
    struct {
        int vector;
        bool has_code;
        uint32_t code;
        uint64_t addr;
        char why[64]; /* why it could not be delivered: "no IDT (limit 0)" */
    } chain[4];
};

struct ukvm_arch {
    const char *name;   /* "x86_64" */
    uint16_t e_machine; /* EM_X86_64 */
    size_t state_size;  /* of its struct ukvm_state */
    size_t max_insn;    /* bytes of the longest instruction */
    ukvm_gpa_t low_end; /* below it lie the boot tables: images must not */
    ukvm_gpa_t hole;    /* below it the guest sees nothing in the default layout */

    const struct ukvm_reg *regs;
    size_t nregs;

    /* Write tables, boot information and command line; set (st) to the start state. */
    int (*boot)(const struct ukvm_boot *b, struct ukvm_mem mem, struct ukvm_state *st,
                struct ukvm_error *err);

    /* The guest's own translation of (gva), without side effects. Needs UKVM_SYS. */
    void (*walk)(const struct ukvm_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                 enum ukvm_access how, struct ukvm_walk *out);

    /*
     * The data accesses of the instruction in (insn, len), at (pc) of (st): at most
     * (max), returns how many; 0 too if it is not understood. Its length in (*used).
     */
    size_t (*accesses)(const struct ukvm_state *st, const uint8_t *insn, size_t len,
                       struct ukvm_mem_access *out, size_t max, size_t *used);

    /*
     * The instruction at (st)'s pc. Needs UKVM_GPR and UKVM_SYS; UKVM_MSR for one that needs
     * privilege. DONE: UKVM_GPR and the groups of ex->changed have changed, and maybe memory.
     */
    enum ukvm_answer (*emulate)(struct ukvm_state *st, struct ukvm_mem mem, struct ukvm_exit *ex);

    /* Apply a served site's result, (arg) being its pseudo row's struct; pc to ex->next. */
    void (*serve)(struct ukvm_state *st, const struct ukvm_exit *ex, const void *arg);

    /*
     * Deliver the exception of (ex) through the guest's own tables, with double and
     * triple fault. Changes (st) and, for the frame, memory: what was written goes
     * to (wrote). Needs UKVM_GPR and UKVM_SYS.
     */
    void (*deliver)(struct ukvm_state *st, struct ukvm_mem mem, const struct ukvm_exit *ex,
                    struct ukvm_delivery *out, struct ukvm_range *wrote);

    /*
     * What is different about the instruction in (insn, len) for a guest without privilege, in
     * words; NULL: nothing, or it traps. Its length in (*used), 0: not known.
     */
    const char *(*shows)(const uint8_t *insn, size_t len, size_t *used);

    /* "#PF write to not present 0x7f000000 (error code 0x2)": into (buf), one line. */
    void (*explain)(int vector, bool has_code, uint32_t code, uint64_t addr, char *buf,
                    size_t size);

    /*
     * Where an abort's cookie points to a trap frame: its pc and an explanation. False
     * if the bytes cannot be one.
     */
    bool (*cookie)(struct ukvm_mem mem, ukvm_gpa_t cookie, ukvm_gva_t *pc, char *buf, size_t size);

    /* Clear what legally differs between backends in (mem), a copy, and in (st). */
    void (*normalise)(struct ukvm_mem mem, struct ukvm_state *st);
};

/* By ELF e_machine; ended by NULL; arch/table.c fills it. */
extern const struct ukvm_arch *const uk_archs[];
const struct ukvm_arch *uk_arch_find(uint16_t e_machine);

#endif /* UKVM_ARCH_H */
