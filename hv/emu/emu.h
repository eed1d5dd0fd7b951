/* SPDX-License-Identifier: ISC */
/*
 * emu.h: the emulator backend's own declarations: its state, and what its files
 * give each other. What depends on the guest's architecture is in x86_64*.c.
 */
#ifndef UKVM_HV_EMU_EMU_H
#define UKVM_HV_EMU_EMU_H

#include <stdatomic.h>
#include <unicorn/unicorn.h>

#include "core/error.h"
#include "core/arch.h"

#define UK_EMU_PAGE    UINT64_C(4096)
#define UK_EMU_NOWHERE UINT64_C(0x8000000000000001) /* no instruction lies there: not canonical */
#define UK_EMU_LINES   64
#define UK_EMU_SEG     24 /* bytes of a segment cache in a saved context */

/* Where guest code of one virtual page lies in host memory. */
struct emu_line {
    uint64_t tag;        /* the page's address; UK_EMU_NOWHERE: take the slow path */
    uint64_t page;       /* the page's address; UK_EMU_NOWHERE: empty */
    const uint8_t *host; /* of the page's first byte; NULL: not in guest memory */
};

/* Where things lie in a saved context, found by uk_emu_calibrate(). */
struct emu_blob {
    size_t size;
    size_t code;     /* int: the last exception's error code */
    size_t old_exc;  /* int: the exception being delivered, -1: none */
    size_t segs;     /* the first of 10 segment caches */
    size_t hflags;   /* u32: what translation depends on */
    size_t efer;     /* u64 */
    bool translates; /* addresses are translated; else the tables only allow or refuse */
};

/* What is known of a page of guest memory. */
enum { EMU_PAGE_CODE = 1, EMU_PAGE_TABLE = 2, EMU_PAGE_READONLY = 4, EMU_PAGE_UNREADABLE = 8 };

/* Why the engine came back. */
enum emu_event {
    EMU_NOTHING,
    EMU_LIMIT,     /* the count wanted is reached */
    EMU_INTERRUPT, /* interrupt() */
    EMU_BREAK,     /* an armed address */
    EMU_INSN,      /* an instruction that the core emulates */
    EMU_EXCEPTION, /* vector */
    EMU_DENIED,    /* an access that is no business of guest memory's: denied */
};

struct emu_denied {
    uint64_t addr; /* gva, or gpa if (physical) */
    unsigned len;
    uint64_t data;
    bool write, fetch, physical;
    uint64_t pc, count; /* not (fetch): the instruction, and what ran before it */
};

struct emu_cover {
    struct ukvm_hvb *b;
    uint64_t base;
};

struct ukvm_hvb {
    /* What the hook looks at for each instruction. */
    _Atomic uint64_t limit; /* stop when (count) is not below: the target; 0 if interrupted */
    uint64_t count;         /* instructions begun, less those that did not complete */
    uint64_t last;          /* the last one begun in this run */
    struct emu_line line[UK_EMU_LINES];
    uint32_t odd[65536 / 32];  /* bit for each pair of first bytes: look closer */
    uint32_t prefix[256 / 32]; /* bit for each byte that is a prefix */

    uc_engine *uc;
    uint8_t *mem;
    size_t mem_size;
    uint64_t tsc_hz;

    atomic_bool interrupted;
    uint64_t target;
    uint64_t pc; /* the engine's own is stale at times */

    enum emu_event event;
    int vector;
    struct emu_denied denied;
    uc_context *at_denial; /* the state before the instruction that was denied */

    bool single;  /* TF is ours: one instruction at a time */
    uint64_t dr6; /* before that */
    uint64_t cr2; /* at the run's start, if it ends at a count */

    uint64_t *armed; /* sorted */
    size_t narmed;
    uint8_t *pages; /* EMU_PAGE_* for each page of guest memory */
    bool tables_known;
    bool odd_mapping; /* not one to one, from (odd_gva) on, in an engine that cannot do it */
    uint64_t odd_gva;

    struct emu_blob blob;
    uc_context *ctx;
    struct emu_cover cover[2];
    uc_hook hooks[4];

    /* vCPU state that the engine has no place for. */
    uint64_t tsc, cr8, fip, fdp;
    uint16_t fop;
    bool rf_set; /* RFLAGS.RF, until an instruction has run */
    uint64_t rf_count;
    uint8_t exc_pending, exc_vector, exc_has_code, shadow_kind;
    uint32_t exc_code;
};

/* emu.c */
extern const struct ukvm_hv_ops ukvm_hv_emu;
#define UK_EMU_VERSION_MAX 16
const char *uk_emu_version(char buf[UK_EMU_VERSION_MAX]);
typedef void emu_callback(void); /* any of Unicorn's types of callback, cast */
uc_err uk_emu_hook(uc_engine *uc, uc_hook *hook, int type, emu_callback *fn, void *user);
int uk_emu_fail(struct ukvm_error *err, uc_err e, const char *what);

/* mem.c: guest memory, what surrounds it, what the view forbids. */
int uk_emu_mem_map(struct ukvm_hvb *b, struct ukvm_error *err);
int uk_emu_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err);
void uk_emu_wrote(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len);
void uk_emu_mem_flush_tlb(struct ukvm_hvb *b);
void uk_emu_mem_forget_lines(struct ukvm_hvb *b);
const struct emu_line *uk_emu_mem_line(struct ukvm_hvb *b, uint64_t addr);
size_t uk_emu_mem_fetch(struct ukvm_hvb *b, uint64_t addr, uint8_t *buf, size_t n);

/* run.c */
int uk_emu_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err);
int uk_emu_run_hooks(struct ukvm_hvb *b, struct ukvm_error *err);

/* probe.c */
void uk_emu_probe(struct ukvm_report *report);

/* --- architecture: x86_64*.c -------------------------------------------------- */

enum emu_insn {
    EMU_PLAIN,
    EMU_TRAPS, /* the core emulates it */
    EMU_REMAP, /* it may change the translation of addresses */
};

/* x86_64.c */
int uk_emu_x86_get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st,
                   struct ukvm_error *err);
int uk_emu_x86_set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
                   struct ukvm_error *err);
uint64_t uk_emu_x86_pc(struct ukvm_hvb *b);

/* x86_64_blob.c */
int uk_emu_x86_calibrate(uc_engine *uc, struct emu_blob *blob, struct ukvm_error *err);

/* x86_64_insn.c: an instruction from its first (n) bytes. */
void uk_emu_x86_odd(uint32_t *odd, uint32_t *prefix);
enum emu_insn uk_emu_x86_class(const uint8_t *p, size_t n);
bool uk_emu_x86_jumps(const uint8_t *p, size_t n);
uint8_t uk_emu_x86_opcode(const uint8_t *p, size_t n, size_t *at);

/* x86_64_walk.c */
void uk_emu_x86_walk(struct ukvm_hvb *b, uint64_t gva, enum ukvm_access how, struct ukvm_walk *out);
void uk_emu_x86_tables(struct ukvm_hvb *b);

/* x86_64_exc.c */
/* What came of the engine's stay. False: go on, nothing has happened that anybody sees. */
bool uk_emu_x86_after(struct ukvm_hvb *b, struct ukvm_exit *ex);
/* A page fault that the engine has not noticed. */
void uk_emu_x86_page_fault(struct ukvm_hvb *b, struct ukvm_exit *ex, uint64_t gva, uint32_t code);
void uk_emu_x86_before(struct ukvm_hvb *b);

#endif /* UKVM_HV_EMU_EMU_H */
