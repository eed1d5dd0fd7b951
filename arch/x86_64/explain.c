/* SPDX-License-Identifier: ISC */
/*
 * explain.c: exceptions and trap frames in words.
 */
#include "arch/x86_64/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* SDM vol. 3, table 6-1; 28 to 30: AMD APM vol. 2, table 8-1. */
static const struct {
    const char *name, *what;
} vectors[32] = {
    {"#DE", "divide error"},
    {"#DB", "debug exception"},
    {"NMI", "non-maskable interrupt"},
    {"#BP", "breakpoint instruction"},
    {"#OF", "overflow"},
    {"#BR", "bound range exceeded"},
    {"#UD", "invalid opcode"},
    {"#NM", "no floating point: CR0.EM or CR0.TS is set"},
    {"#DF", "double fault"},
    {"vector 9", "coprocessor segment overrun"},
    {"#TS", "invalid TSS"},
    {"#NP", "segment not present"},
    {"#SS", "stack fault"},
    {"#GP", "general protection"},
    {"#PF", "page fault"},
    {"vector 15", "reserved"},
    {"#MF", "x87 floating-point error"},
    {"#AC", "alignment check"},
    {"#MC", "machine check"},
    {"#XM", "SIMD floating-point error"},
    {"#VE", "virtualization exception"},
    {"#CP", "control protection"},
    {"vector 22", "reserved"},
    {"vector 23", "reserved"},
    {"vector 24", "reserved"},
    {"vector 25", "reserved"},
    {"vector 26", "reserved"},
    {"vector 27", "reserved"},
    {"#HV", "hypervisor injection"},
    {"#VC", "VMM communication"},
    {"#SX", "security exception"},
    {"vector 31", "reserved"},
};

/* SDM vol. 3, 4.7. */
static void page_fault(uint32_t code, uint64_t addr, char *buf, size_t size)
{
    const char *verb = code & 16 ? "fetch from" : code & 2 ? "write to" : "read from";
    const char *state = !(code & 1) ? "not present"
                        : code & 8  ? "wrongly mapped (reserved bit set)"
                        : code & 16 ? "non-executable"
                        : code & 2  ? "read-only"
                                    : "protected";

    snprintf(buf, size, "#PF %s%s %s 0x%" PRIx64 " (error code 0x%x)", code & 4 ? "user " : "",
             verb, state, addr, code);
}

/* SDM vol. 3, 6.13: bit 0 EXT, bit 1 IDT, bit 2 TI, then the index. */
static void selector(const char *name, uint32_t code, char *buf, size_t size)
{
    const char *table = code & 2 ? "IDT" : code & 4 ? "LDT" : "GDT";
    const char *ext = code & 1 ? ", while delivering another" : "";

    if (code & 2)
        snprintf(buf, size, "%s IDT gate %u (error code 0x%x%s)", name, (code >> 3) & 0x1fff, code,
                 ext);
    else
        snprintf(buf, size, "%s selector 0x%x (%s index %u, error code 0x%x%s)", name,
                 code & 0xfff8u, table, (code >> 3) & 0x1fff, code, ext);
}

void uk_x86_explain(int vector, bool has_code, uint32_t code, uint64_t addr, char *buf, size_t size)
{
    const char *name;

    if (vector < 0 || vector >= 32) {
        snprintf(buf, size, "interrupt %d", vector);
        return;
    }
    name = vectors[vector].name;
    if (!has_code)
        snprintf(buf, size, "%s %s", name, vectors[vector].what);
    else if (vector == UK_X86_PF)
        page_fault(code, addr, buf, size);
    else if (vector >= UK_X86_TS && vector <= UK_X86_GP && (code & 0xffff) > 1)
        selector(name, code, buf, size);
    else
        snprintf(buf, size, "%s %s (error code 0x%x)", name, vectors[vector].what, code);
}

/* --- the frame behind an abort's cookie --------------------------------------------- */

/* Solo5 v0.3, kernel/ukvm/cpu_x86_64.h, struct trap_regs. */
struct frame {
    uint64_t cr2, code, rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct frame) == 56, "as guests lay it out");

#define RFLAGS_USED UINT64_C(0x3f7fd7) /* SDM vol. 1, figure 3-8; bit 1 is always set */

static bool plausible(const struct frame *f, size_t mem_size)
{
    bool pc_ok = (f->rip >= uk_arch_x86_64.hole && f->rip < mem_size) || f->rip == f->cr2;

    return pc_ok && f->cs != 0 && f->cs <= 0xffff && f->ss <= 0xffff && f->code <= 0xffffffff &&
           (f->rflags & UKVM_RFLAGS_FIXED) && !(f->rflags & ~RFLAGS_USED) &&
           uk_x86_canonical(f->rsp);
}

/* The frame does not hold the vector: what it says as a page fault, if it can be one. */
static void describe(const struct frame *f, char *buf, size_t size)
{
    int n = snprintf(buf, size, "trap at rip 0x%" PRIx64 ", rsp 0x%" PRIx64 ", rflags 0x%" PRIx64,
                     f->rip, f->rsp, f->rflags);

    if (n < 0 || (size_t)n >= size)
        return;
    buf += n;
    size -= (size_t)n;
    if (f->cr2 != 0 && f->code < 32) {
        n = snprintf(buf, size, "; if a page fault: ");
        if (n > 0 && (size_t)n < size)
            page_fault((uint32_t)f->code, f->cr2, buf + n, size - (size_t)n);
    } else {
        snprintf(buf, size, ", error code 0x%" PRIx64, f->code);
    }
}

bool uk_x86_cookie(struct ukvm_mem mem, ukvm_gpa_t cookie, ukvm_gva_t *pc, char *buf, size_t size)
{
    struct frame f;

    if (mem.size < sizeof(f) || cookie > mem.size - sizeof(f))
        return false;
    memcpy(&f, mem.p + cookie, sizeof(f));
    if (!plausible(&f, mem.size))
        return false;
    *pc = f.rip;
    describe(&f, buf, size);
    return true;
}
