/* SPDX-License-Identifier: ISC */
/*
 * ukvm_debug.h: looking into a stopped machine: steps, registers, memory,
 * symbols, source lines, disassembly.
 *
 * The shell and the GDB server are clients of this header and of nothing below
 * it. All calls need a stopped machine, else UKVM_ESTATE.
 */
#ifndef UKVM_DEBUG_H
#define UKVM_DEBUG_H

#include "core/ukvm.h"

/* --- stepping ---------------------------------------------------------------- */

/* One instruction; one that makes a hypercall performs it whole. UKVM_STOP_STEP. */
UKVM_API int ukvm_step(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err);

/*
 * Run, but for at most (n) completed instructions: UKVM_STOP_STEP then. UKVM_ENOTSUP
 * where the backend does not count.
 */
UKVM_API int ukvm_run_count(struct ukvm *vm, uint64_t n, struct ukvm_stop *stop,
                            struct ukvm_error *err);
/* Instructions completed since this backend took over. */
UKVM_API int ukvm_count(struct ukvm *vm, uint64_t *n, struct ukvm_error *err);

/* --- registers --------------------------------------------------------------- */

enum {
    UKVM_REG_PC = 1,  /* the one that is pc */
    UKVM_REG_SP = 2,  /* stack pointer */
    UKVM_REG_FP = 4,  /* frame pointer */
    UKVM_REG_ARG = 8, /* holds a hypercall's argument */
    UKVM_REG_READONLY = 16,
    UKVM_REG_FLAGS = 32,    /* processor flags: print their letters */
    UKVM_REG_VOLATILE = 64, /* differs between two reads or backends: not compared */
    UKVM_REG_TAGS = 128,    /* x87 tags, a bit for each register in use; the remote protocol has
                               two: 3 if it is empty */
};

struct ukvm_reg {
    const char *name, *feature, *type; /* as in GDB target descriptions */
    uint16_t gdb_num;                  /* its number in the remote protocol */
    uint16_t offset, size;             /* its bytes in the vCPU state */
    uint16_t gdb_size;                 /* bytes in the remote protocol (>= size: zero-extended) */
    uint16_t group;                    /* UKVM_GPR, ... (hv.h) */
    uint16_t flags;                    /* UKVM_REG_* */
};

UKVM_API const struct ukvm_reg *ukvm_reg_table(const struct ukvm *vm, size_t *n);
/* By name; NULL if there is none. */
UKVM_API const struct ukvm_reg *ukvm_reg_find(const struct ukvm *vm, const char *name);
/* The one with all of (flags). */
UKVM_API const struct ukvm_reg *ukvm_reg_by_flag(const struct ukvm *vm, unsigned flags);
/* (buf) holds reg->size bytes, little-endian. */
UKVM_API int ukvm_reg_get(struct ukvm *vm, const struct ukvm_reg *reg, void *buf,
                          struct ukvm_error *err);
UKVM_API int ukvm_reg_set(struct ukvm *vm, const struct ukvm_reg *reg, const void *buf,
                          struct ukvm_error *err);
UKVM_API int ukvm_pc(struct ukvm *vm, ukvm_gva_t *pc, struct ukvm_error *err);

/*
 * If an aborting guest's cookie (ukvm_stop.cookie) is a trap frame: the pc of the
 * trap, and into (buf) what it was. False if it is none.
 */
UKVM_API bool ukvm_trap_frame(struct ukvm *vm, ukvm_gpa_t cookie, ukvm_gva_t *pc, char *buf,
                              size_t size);

/* --- memory -------------------------------------------------------------------- */

enum ukvm_space { UKVM_VIRT, UKVM_PHYS };

/*
 * Read or write guest memory whatever the guest's own rights; virtual addresses by
 * a walk of the guest's tables without side effects. UKVM_EADDR if the first byte
 * is not mapped; (*done), if not NULL, bytes done before the first that is not.
 */
UKVM_API int ukvm_peek(struct ukvm *vm, enum ukvm_space space, uint64_t addr, void *buf, size_t len,
                       size_t *done, struct ukvm_error *err);
UKVM_API int ukvm_poke(struct ukvm *vm, enum ukvm_space space, uint64_t addr, const void *buf,
                       size_t len, size_t *done, struct ukvm_error *err);
/*
 * A hash of all guest memory and comparable registers, without what legally
 * differs between backends (accessed and dirty bits, volatile registers).
 */
UKVM_API int ukvm_state_hash(struct ukvm *vm, uint64_t *hash, struct ukvm_error *err);

/* --- symbols -------------------------------------------------------------------- */

struct ukvm_sym {
    const char *name;
    ukvm_gva_t addr;
    uint64_t size; /* if the image does not say: up to the next symbol or the section's end */
    char type;     /* 't' code, 'd' data, capital if global */
};
/* Sorted by address. NULL past the last, or if the image has none. */
UKVM_API const struct ukvm_sym *ukvm_sym_at(const struct ukvm *vm, size_t i);
UKVM_API const struct ukvm_sym *ukvm_sym_by_name(const struct ukvm *vm, const char *name);
/* The innermost symbol that contains (addr), NULL if none does. */
UKVM_API const struct ukvm_sym *ukvm_sym_by_addr(const struct ukvm *vm, ukvm_gva_t addr);
/* "leaf", "leaf+0x4", or "0x10100d" without a symbol. Returns (buf). */
UKVM_API const char *ukvm_sym_format(const struct ukvm *vm, ukvm_gva_t addr, char *buf,
                                     size_t size);
/* Names like (name), the likest first, at most (max) and 8. Returns how many. */
UKVM_API size_t ukvm_sym_nearest(const struct ukvm *vm, const char *name, const char *names[],
                                 size_t max);

/* What a loaded segment is; (i) from 0; UKVM_ENOENT past the last. */
struct ukvm_segment {
    ukvm_gpa_t gpa;
    uint64_t filesz, memsz;
    unsigned prot; /* bits as in ELF: 4 R, 2 W, 1 X */
};
UKVM_API int ukvm_segment_at(const struct ukvm *vm, size_t i, struct ukvm_segment *seg);
/* Paths of the image and of the file that symbols and debug information come from, "" if
 * nothing has any; lower-case hex id or "". */
UKVM_API const char *ukvm_image_path(const struct ukvm *vm);
UKVM_API const char *ukvm_symbols_path(const struct ukvm *vm);
UKVM_API const char *ukvm_build_id(const struct ukvm *vm);

/* --- lines and disassembly (in ukvm_dbg.so of the program) ----------------------- */

/* Line tables of an ELF file. UKVM_ENOENT: it has none; UKVM_EFILE, UKVM_ESYS. */
struct ukvm_lines;
UKVM_API int ukvm_lines_open(struct ukvm_lines **l, const char *path, struct ukvm_error *err);
UKVM_API void ukvm_lines_close(struct ukvm_lines *l);
/* File (as recorded, valid until close) and line of (pc). False if there is none. */
UKVM_API bool ukvm_lines_find(struct ukvm_lines *l, ukvm_gva_t pc, const char **file, int *line);

/*
 * One instruction of (len) bytes at (pc): text as "mov eax, dword ptr [rdi]" into
 * (buf). Returns its length in bytes, 0 if the bytes are none.
 */
UKVM_API size_t ukvm_disasm(const char *arch, const uint8_t *bytes, size_t len, ukvm_gva_t pc,
                            char *buf, size_t size);

#endif /* UKVM_DEBUG_H */
