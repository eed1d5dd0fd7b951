/* SPDX-License-Identifier: ISC */
/*
 * fault.c: what the processor's exceptions mean, which arrive as signals: an
 * instruction that needs privilege, the guest's own exception, or an access that the
 * view refuses. Linux tells no error codes: the guest's page tables do.
 */
#include "core/arch.h"
#include "hv/native/native.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SI_OF_KERNEL = 0x80 }; /* SI_KERNEL (asm-generic/siginfo.h): no address */

static struct ukvm_mem mem_of(const struct ukvm_hv *hv)
{
    return (struct ukvm_mem){hv->mem, hv->mem_size};
}

static void walk(const struct ukvm_hv *hv, ukvm_gva_t gva, enum ukvm_access how,
                 struct ukvm_walk *w)
{
    uk_x86_walk((const struct ukvm_state *)(const void *)&hv->b->st, mem_of(hv), gva, how, w);
}

size_t uk_native_fetch(const struct ukvm_hv *hv, ukvm_gva_t gva, uint8_t *buf, size_t n)
{
    if (gva < UK_NATIVE_FIRST || gva >= hv->mem_size)
        return 0;
    if (n > hv->mem_size - gva)
        n = hv->mem_size - gva;
    memcpy(buf, hv->mem + gva, n);
    return n;
}

static enum uk_native_what raise_in(struct ukvm_hvb *b, struct ukvm_exit *ex, int vector,
                                    bool has_code)
{
    ex->kind = UKVM_EXIT_EXCEPTION;
    ex->pc = ex->next = b->regs.rip;
    ex->vector = vector;
    ex->has_code = has_code;
    return UK_NATIVE_EXIT;
}

/* --- page faults ---------------------------------------------------------------------- */

/* How the instruction at RIP touched (addr); false: not by a data access that is known. */
static bool data_access(const struct ukvm_hv *hv, ukvm_gva_t addr, struct ukvm_mem_access *a)
{
    struct ukvm_mem_access acc[4];
    uint8_t insn[UK_X86_INSN_MAX];
    size_t used, len = uk_native_fetch(hv, hv->b->regs.rip, insn, sizeof(insn));
    size_t n = uk_x86_accesses((const struct ukvm_state *)(const void *)&hv->b->st, insn, len, acc,
                               4, &used);

    for (size_t i = 0; i < n; i++)
        if (addr >= acc[i].gva && addr - acc[i].gva < acc[i].len) {
            *a = acc[i];
            return true;
        }
    return false;
}

/* The page is there but forbidden: it was a write, of an instruction that is not known. */
static enum ukvm_access guess(const struct ukvm_hv *hv, const siginfo_t *si, ukvm_gva_t addr)
{
    uint8_t byte;

    if (addr - hv->b->regs.rip < UK_X86_INSN_MAX &&
        (si->si_code == SEGV_MAPERR || uk_native_fetch(hv, addr, &byte, 1) == 0 || hv->b->nx))
        return UKVM_ACCESS_FETCH;
    return si->si_code == SEGV_ACCERR ? UKVM_ACCESS_WRITE : UKVM_ACCESS_READ;
}

static void refused(const struct ukvm_hv *hv, const struct ukvm_mem_access *a,
                    const struct ukvm_walk *w, struct ukvm_exit *ex)
{
    ex->pc = ex->next = hv->b->regs.rip;
    if (w->gpa != ex->addr) {
        ex->kind = UKVM_EXIT_UNKNOWN;
        snprintf(ex->msg, sizeof(ex->msg), "0x%" PRIx64 " is not mapped one to one", ex->addr);
        return;
    }
    ex->kind = UKVM_EXIT_PROT;
    ex->len = a->len ? a->len : 1;
    ex->write = a->write;
}

static enum uk_native_what page_fault(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    ukvm_gva_t addr = (uintptr_t)si->si_addr;
    struct ukvm_mem_access a = {0};
    enum ukvm_access how;
    struct ukvm_walk w;

    how = !data_access(hv, addr, &a) ? guess(hv, si, addr)
          : a.write                  ? UKVM_ACCESS_WRITE
                                     : UKVM_ACCESS_READ;
    a.write = how == UKVM_ACCESS_WRITE;
    walk(hv, addr, how, &w);
    ex->addr = addr;
    if (w.ok) {
        refused(hv, &a, &w, ex);
        return UK_NATIVE_EXIT;
    }
    raise_in(hv->b, ex, UK_X86_PF, true);
    ex->code = w.code;
    hv->b->st.cr2 = addr;
    return UK_NATIVE_EXIT;
}

/* --- general protection ------------------------------------------------------------------- */

/* Linux lets INT 4 through its own gate; RIP is past it, where a run that begins stands too. */
static bool is_int4(const struct ukvm_hv *hv)
{
    uint8_t before[2];

    return hv->b->from != hv->b->regs.rip &&
           uk_native_fetch(hv, hv->b->regs.rip - 2, before, 2) == 2 && before[0] == 0xcd &&
           before[1] == UK_X86_OF;
}

static enum uk_native_what general_protection(struct ukvm_hv *hv, struct ukvm_exit *ex)
{
    struct ukvm_hvb *b = hv->b;
    uint8_t insn[UK_X86_INSN_MAX];
    size_t n = uk_native_fetch(hv, b->regs.rip, insn, sizeof(insn));

    ex->pc = ex->next = b->regs.rip;
    if (is_int4(hv)) {
        raise_in(b, ex, UK_X86_OF, false);
        ex->pc -= 2;
        return UK_NATIVE_EXIT;
    }
    if (uk_x86_emulates(insn, n)) {
        if (b->tsc_trap && !b->tsc_exits && uk_x86_reads_tsc(insn, n))
            return UK_NATIVE_TSC;
        ex->kind = UKVM_EXIT_INSN;
        return UK_NATIVE_EXIT;
    }
    return raise_in(b, ex, UK_X86_GP, true);
}

/* --- the rest ------------------------------------------------------------------------------ */

static enum uk_native_what on_segv(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    return si->si_code == SI_OF_KERNEL ? general_protection(hv, ex) : page_fault(hv, si, ex);
}

/* #AC, or #SS, or #NP (Linux, arch/x86/kernel/traps.c); host memory exhausted. */
static enum uk_native_what on_bus(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    uint8_t insn[UK_X86_INSN_MAX];
    size_t n = uk_native_fetch(hv, hv->b->regs.rip, insn, sizeof(insn));

    if (si->si_code == BUS_ADRALN)
        return raise_in(hv->b, ex, 17, true);
    if (si->si_code != SI_OF_KERNEL) {
        ex->kind = UKVM_EXIT_UNKNOWN;
        ex->pc = ex->next = hv->b->regs.rip;
        snprintf(ex->msg, sizeof(ex->msg), "host memory at 0x%" PRIxPTR " is exhausted",
                 (uintptr_t)si->si_addr);
        return UK_NATIVE_EXIT;
    }
    ex->pc = ex->next = hv->b->regs.rip;
    if (!uk_x86_emulates(insn, n))
        return raise_in(hv->b, ex, UK_X86_SS, true);
    ex->kind = UKVM_EXIT_INSN;
    return UK_NATIVE_EXIT;
}

/* Some hypervisors make an INT n that the host has no gate for #UD. */
static enum uk_native_what on_ill(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    uint8_t op = 0;

    (void)si;
    uk_native_fetch(hv, hv->b->regs.rip, &op, 1);
    if (op == 0xcd) {
        ex->kind = UKVM_EXIT_INSN;
        ex->pc = ex->next = hv->b->regs.rip;
        return UK_NATIVE_EXIT;
    }
    return raise_in(hv->b, ex, UK_X86_UD, false);
}

/* #DE; #XM if an unmasked SSE exception is noted (SDM vol. 1, 11.5), else #MF. */
static enum uk_native_what on_fpe(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    struct ukvm_x86_state st;

    if (si->si_code == FPE_INTDIV)
        return raise_in(hv->b, ex, UK_X86_DE, false);
    if (uk_native_get(hv, UKVM_FPU, (struct ukvm_state *)(void *)&st, NULL) == UKVM_OK &&
        (st.mxcsr & ~(st.mxcsr >> 7) & 0x3f))
        return raise_in(hv->b, ex, 19, false);
    return raise_in(hv->b, ex, 16, false);
}

enum uk_native_what uk_native_fault(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex)
{
    static const struct {
        int signal;
        enum uk_native_what (*fn)(struct ukvm_hv *hv, const siginfo_t *si, struct ukvm_exit *ex);
    } signals[] = {
        {SIGSEGV, on_segv},
        {SIGBUS, on_bus},
        {SIGILL, on_ill},
        {SIGFPE, on_fpe},
    };

    uk_native_state(hv->b);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].signal == si->si_signo && si->si_code > 0) /* else somebody sent it */
            return signals[i].fn(hv, si, ex);
    return UK_NATIVE_IGNORE;
}
