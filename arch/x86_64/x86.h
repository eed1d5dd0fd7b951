/* SPDX-License-Identifier: ISC */
/*
 * x86.h: what the files of arch/x86_64 give each other and backends: pure functions
 * over vCPU state and guest memory. Depends on the core's interfaces only.
 * "SDM" is Intel's Software Developer's Manual.
 */
#ifndef UKVM_ARCH_X86_64_X86_H
#define UKVM_ARCH_X86_64_X86_H

#include "core/arch.h"
#include "arch/x86_64/state.h"

extern const struct ukvm_arch uk_arch_x86_64;

/* The opaque state that arch.h passes, as what it is here. */
static inline struct ukvm_x86_state *uk_x86(struct ukvm_state *st)
{
    return (struct ukvm_x86_state *)(void *)st;
}

static inline const struct ukvm_x86_state *uk_x86_const(const struct ukvm_state *st)
{
    return (const struct ukvm_x86_state *)(const void *)st;
}

/* Exception vectors (SDM vol. 3, table 6-1). */
enum {
    UK_X86_DE = 0,
    UK_X86_DB = 1,
    UK_X86_BP = 3,
    UK_X86_OF = 4,
    UK_X86_UD = 6,
    UK_X86_DF = 8,
    UK_X86_TS = 10,
    UK_X86_NP = 11,
    UK_X86_SS = 12,
    UK_X86_GP = 13,
    UK_X86_PF = 14,
};

/* --- regs.c, boot.c ---------------------------------------------------------- */

#define UK_X86_NREGS 114
extern const struct ukvm_reg uk_x86_regs[UK_X86_NREGS];

int uk_x86_boot(const struct ukvm_boot *b, struct ukvm_mem mem, struct ukvm_state *st,
                struct ukvm_error *err);

/* --- walk.c -------------------------------------------------------------------- */

void uk_x86_walk(const struct ukvm_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                 enum ukvm_access how, struct ukvm_walk *out);
/* The same for an access that is a supervisor's, whatever the privilege level. */
void uk_x86_walk_system(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva,
                        enum ukvm_access how, struct ukvm_walk *out);
bool uk_x86_canonical(ukvm_gva_t gva);

/* 8 bytes of guest physical memory; false beyond it. */
bool uk_x86_load64(struct ukvm_mem mem, ukvm_gpa_t gpa, uint64_t *v);

struct uk_x86_fault {
    int vector;
    uint32_t code;
    ukvm_gva_t addr;
};

/*
 * (len) bytes at (gva), as the guest reads data: false if that faults, (f) says how.
 * What lies beyond guest memory counts as not present. (system): as uk_x86_walk_system().
 */
bool uk_x86_read(const struct ukvm_x86_state *st, struct ukvm_mem mem, ukvm_gva_t gva, void *buf,
                 size_t len, bool system, struct uk_x86_fault *f);

/* --- insn.c -------------------------------------------------------------------- */

enum { UK_X86_MAP_1, UK_X86_MAP_0F, UK_X86_MAP_0F38, UK_X86_MAP_0F3A };
enum { UK_X86_NONE = 0xff }; /* of base, index, seg */
#define UK_X86_INSN_MAX 15   /* bytes (SDM vol. 2, 2.3.11) */

/* An instruction taken apart as far as uk_x86_insn_*() have gone. */
struct uk_x86_insn {
    const uint8_t *p;
    size_t n;  /* bytes at (p) */
    size_t at; /* bytes taken: the length once all are */

    bool lock, repne, rep, opsize, addrsize;
    uint8_t seg; /* UKVM_FS, UKVM_GS, UK_X86_NONE: others have no effect in 64-bit mode */
    uint8_t rex; /* 0 if there is none */
    uint8_t map, op;

    uint8_t mod, reg, rm; /* reg and rm with REX's bit */
    bool mem;             /* rm is memory: base + index * scale + disp */
    bool rip_relative;
    uint8_t base, index, scale;
    int64_t disp;
    uint64_t imm;
};

/* Prefixes and opcode. False if the bytes end before or are none in 64-bit mode. */
bool uk_x86_insn_opcode(struct uk_x86_insn *i, const uint8_t *p, size_t n);
bool uk_x86_insn_modrm(struct uk_x86_insn *i);
/* An immediate of (len) bytes, sign-extended into i->imm. */
bool uk_x86_insn_imm(struct uk_x86_insn *i, size_t len);
/* 2, 4 or 8, by REX.W and the operand-size prefix (SDM vol. 1, table 3-4). */
unsigned uk_x86_insn_opsize(const struct uk_x86_insn *i);
/* The memory operand's address; all of the instruction is taken. */
ukvm_gva_t uk_x86_insn_address(const struct uk_x86_insn *i, const struct ukvm_x86_state *st);
/* (off) as an address: with the segment override's base and the address size. */
ukvm_gva_t uk_x86_insn_linear(const struct uk_x86_insn *i, const struct ukvm_x86_state *st,
                              uint64_t off, uint8_t seg);

/* --- emulate.c ----------------------------------------------------------------- */

/*
 * What a port access is. True: a hypercall, ex->nr and gpa are set (ukvm_guest.h of
 * Solo5 v0.3: a 32-bit OUT to port 0x500 + number). False: none, ex->addr, len,
 * write and data say what it is.
 */
bool uk_x86_hypercall(uint16_t port, unsigned size, bool in, uint32_t value, struct ukvm_exit *ex);

enum ukvm_answer uk_x86_emulate(struct ukvm_state *st, struct ukvm_mem mem, struct ukvm_exit *ex);
/* Is the instruction in (insn, n) one that uk_x86_emulate() has a row for? */
bool uk_x86_emulates(const uint8_t *insn, size_t n);
bool uk_x86_reads_tsc(const uint8_t *insn, size_t n);
void uk_x86_serve(struct ukvm_state *st, const struct ukvm_exit *ex, const void *arg);

/* --- access.c, opcodes.c ---------------------------------------------------------- */

size_t uk_x86_accesses(const struct ukvm_state *st, const uint8_t *insn, size_t len,
                       struct ukvm_mem_access *out, size_t max, size_t *used);

/* --- shows.c ---------------------------------------------------------------------- */

const char *uk_x86_shows(const uint8_t *insn, size_t len, size_t *used);

/* --- deliver.c, explain.c, normalise.c --------------------------------------------- */

/* A segment register as loading descriptor (desc) makes it (SDM vol. 3, 3.4.5). */
struct ukvm_x86_seg uk_x86_segment(uint16_t selector, uint64_t desc);

void uk_x86_deliver(struct ukvm_state *st, struct ukvm_mem mem, const struct ukvm_exit *ex,
                    struct ukvm_delivery *out, struct ukvm_range *wrote);
void uk_x86_explain(int vector, bool has_code, uint32_t code, uint64_t addr, char *buf,
                    size_t size);
bool uk_x86_cookie(struct ukvm_mem mem, ukvm_gpa_t cookie, ukvm_gva_t *pc, char *buf, size_t size);
void uk_x86_normalise(struct ukvm_mem mem, struct ukvm_state *st);

#endif /* UKVM_ARCH_X86_64_X86_H */
