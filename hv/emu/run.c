/* SPDX-License-Identifier: ISC */
/*
 * run.c: running the emulator to exactly one exit. A hook looks at every instruction
 * before it runs: it counts, and it stops the engine where something is to be done.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hv/emu/emu.h"

#define INSN_MAX  15
#define likely(x) __builtin_expect(!!(x), 1)

/* --- the hook --------------------------------------------------------------------- */

static void stop_at(struct ukvm_hvb *b, enum emu_event event, uint64_t addr)
{
    b->event = event;
    b->pc = addr;
    uc_emu_stop(b->uc);
}

static bool armed(const struct ukvm_hvb *b, uint64_t addr)
{
    size_t lo = 0, hi = b->narmed;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (b->armed[mid] == addr)
            return true;
        if (b->armed[mid] < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/*
 * The hook came to the last instruction again. A jump to itself runs anew; a string
 * instruction goes on repeating; a store into its own block is done over.
 */
static bool goes_on(struct ukvm_hvb *b, uint64_t addr)
{
    uint8_t insn[INSN_MAX];

    return addr == b->last &&
           !uk_emu_x86_jumps(insn, uk_emu_mem_fetch(b, addr, insn, sizeof(insn)));
}

/* The instruction's first bytes; (*n): how many of them are guest memory. */
static const uint8_t *bytes_at(struct ukvm_hvb *b, uint64_t addr, uint8_t *buf, size_t *n)
{
    const struct emu_line *l = uk_emu_mem_line(b, addr);
    uint64_t off = addr % UK_EMU_PAGE;

    if (l->host && off <= UK_EMU_PAGE - INSN_MAX) {
        *n = INSN_MAX;
        return l->host + off;
    }
    *n = uk_emu_mem_fetch(b, addr, buf, INSN_MAX);
    return buf;
}

/* Code beyond guest memory: its first byte, or that of the page that it crosses into. */
static void deny_fetch(struct ukvm_hvb *b, uint64_t addr, size_t n)
{
    struct ukvm_walk w;

    uk_emu_x86_walk(b, addr + n, UKVM_ACCESS_READ, &w);
    b->denied = (struct emu_denied){.addr = w.gpa, .len = 1, .fetch = true, .physical = true};
    stop_at(b, EMU_DENIED, addr);
}

/* What is to be done before the instruction at (addr) runs; it is new. */
static void look_at(struct ukvm_hvb *b, uint64_t addr, uint32_t size, bool interrupted)
{
    uint8_t buf[INSN_MAX];
    size_t n;
    const uint8_t *insn = bytes_at(b, addr, buf, &n);
    enum emu_insn class = uk_emu_x86_class(insn, n);

    if (interrupted) {
        stop_at(b, EMU_INTERRUPT, addr);
    } else if (b->count >= b->target) {
        stop_at(b, EMU_LIMIT, addr);
    } else if (b->narmed && armed(b, addr)) {
        stop_at(b, EMU_BREAK, addr);
    } else if (n < INSN_MAX && n < size) {
        deny_fetch(b, addr, n);
    } else if (class == EMU_TRAPS) {
        stop_at(b, EMU_INSN, addr);
    } else {
        if (class == EMU_REMAP) {
            uk_emu_mem_forget_lines(b);
            b->tables_known = false;
        }
        b->count++;
        b->last = addr;
    }
}

static __attribute__((noinline)) void look_closer(struct ukvm_hvb *b, uint64_t addr, uint32_t size)
{
    bool interrupted = atomic_load_explicit(&b->interrupted, memory_order_relaxed);

    if (b->event != EMU_NOTHING)
        return;
    if (goes_on(b, addr)) {
        if (!interrupted)
            return;
        b->count--;
    }
    look_at(b, addr, size, interrupted);
}

static bool odd(const struct ukvm_hvb *b, const uint8_t *insn)
{
    uint16_t pair;

    memcpy(&pair, insn, sizeof(pair));
    return b->odd[pair / 32] >> (pair % 32) & 1;
}

/* Most instructions with a prefix are as plain as without it; SSE has one on each. */
static bool odd_behind_prefixes(const struct ukvm_hvb *b, const uint8_t *insn)
{
    const uint8_t *end = insn + INSN_MAX - 1;

    while (insn < end && (b->prefix[*insn / 32] >> (*insn % 32) & 1))
        insn++;
    return odd(b, insn);
}

static void on_insn(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
    struct ukvm_hvb *b = user;
    const struct emu_line *l = &b->line[(addr / UK_EMU_PAGE) % UK_EMU_LINES];
    const uint8_t *insn;

    (void)uc;
    /* An instruction that may cross into the next page never matches. */
    if (likely(l->tag == ((addr + INSN_MAX) & ~(UK_EMU_PAGE - 1)) && addr != b->last &&
               b->count < atomic_load_explicit(&b->limit, memory_order_relaxed))) {
        insn = l->host + addr % UK_EMU_PAGE;
        if (likely(!odd(b, insn)) || !odd_behind_prefixes(b, insn)) {
            b->count++;
            b->last = addr;
            return;
        }
    }
    look_closer(b, addr, size);
}

static void on_exception(uc_engine *uc, uint32_t vector, void *user)
{
    struct ukvm_hvb *b = user;

    if (b->event == EMU_NOTHING) {
        b->event = EMU_EXCEPTION;
        b->vector = (int)vector;
    }
    uc_emu_stop(uc);
}

static bool on_undefined(uc_engine *uc, void *user)
{
    on_exception(uc, 6, user);
    return true;
}

int uk_emu_run_hooks(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uc_err e = uk_emu_hook(b->uc, &b->hooks[0], UC_HOOK_CODE, (emu_callback *)on_insn, b);

    if (!e)
        e = uk_emu_hook(b->uc, &b->hooks[1], UC_HOOK_INTR, (emu_callback *)on_exception, b);
    if (!e)
        e = uk_emu_hook(b->uc, &b->hooks[2], UC_HOOK_INSN_INVALID, (emu_callback *)on_undefined, b);
    return e ? uk_emu_fail(err, e, "adding hooks") : UKVM_OK;
}

/* --- the run ---------------------------------------------------------------------- */

static int exit_at(struct ukvm_hvb *b, struct ukvm_exit *ex, enum ukvm_exit_kind kind)
{
    ex->kind = kind;
    ex->pc = ex->next = b->pc;
    return UKVM_OK;
}

static int exit_denied(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    const struct emu_denied *d = &b->denied;
    struct ukvm_walk w = {.mapped = true, .ok = true, .gpa = d->addr};

    if (!d->fetch) { /* the instruction has begun: nothing of it stays */
        uc_context_restore(b->uc, b->at_denial);
        b->pc = d->pc;
        b->count = d->count;
    }
    if (!d->physical)
        uk_emu_x86_walk(b, d->addr, d->write ? UKVM_ACCESS_WRITE : UKVM_ACCESS_READ, &w);
    exit_at(b, ex, UKVM_EXIT_PROT);
    if (!w.ok) {
        uk_emu_x86_page_fault(b, ex, d->addr, w.code);
        return UKVM_OK;
    }
    ex->addr = w.gpa;
    ex->len = d->len;
    ex->write = d->write;
    ex->data = d->data;
    return UKVM_OK;
}

static int exit_nothing(struct ukvm_hvb *b, uc_err e, struct ukvm_exit *ex)
{
    b->pc = uk_emu_x86_pc(b);
    exit_at(b, ex, UKVM_EXIT_UNKNOWN);
    ex->raw = (uint64_t)e;
    ex->insn_len = (uint8_t)uk_emu_mem_fetch(b, b->pc, ex->insn, sizeof(ex->insn));
    snprintf(ex->msg, sizeof(ex->msg), "the emulator stopped: %s",
             e ? uc_strerror(e) : "no reason given");
    return UKVM_OK;
}

static int exit_interrupt(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    atomic_store(&b->interrupted, false);
    return exit_at(b, ex, UKVM_EXIT_INTERRUPT);
}

static int exit_of(struct ukvm_hvb *b, uc_err e, struct ukvm_exit *ex)
{
    switch (b->event) {
    case EMU_LIMIT:
        return exit_at(b, ex, UKVM_EXIT_STEP);
    case EMU_BREAK:
        return exit_at(b, ex, UKVM_EXIT_BREAK);
    case EMU_INTERRUPT:
        return exit_interrupt(b, ex);
    case EMU_INSN:
        return exit_at(b, ex, UKVM_EXIT_INSN);
    case EMU_EXCEPTION: /* (ex) is filled in */
        return UKVM_OK;
    case EMU_DENIED:
        return exit_denied(b, ex);
    case EMU_NOTHING:
        break;
    }
    return exit_nothing(b, e, ex);
}

/* Better no run than a wrong one: see uk_emu_x86_tables(). */
static int exit_odd_mapping(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    char version[UK_EMU_VERSION_MAX];

    exit_at(b, ex, UKVM_EXIT_UNKNOWN);
    snprintf(ex->msg, sizeof(ex->msg),
             "0x%" PRIx64 " is not mapped one to one, which Unicorn %s cannot follow (2.1 can)",
             b->odd_gva, uk_emu_version(version));
    return UKVM_OK;
}

/* The exception of the state that was set, as from another backend, comes first. */
static int exit_pending(struct ukvm_hvb *b, struct ukvm_exit *ex)
{
    exit_at(b, ex, UKVM_EXIT_EXCEPTION);
    ex->vector = b->exc_vector;
    ex->has_code = b->exc_has_code;
    ex->code = b->exc_code;
    b->exc_pending = 0;
    return UKVM_OK;
}

/* One stay in the engine; false if it is to go on. */
static bool enter(struct ukvm_hvb *b, struct ukvm_exit *ex, uc_err *e)
{
    b->event = EMU_NOTHING;
    b->last = UK_EMU_NOWHERE;
    *e = UC_ERR_OK;
    atomic_store(&b->limit, b->target);
    if (atomic_load(&b->interrupted)) /* after the limit: interrupt() sets both, this one first */
        b->event = EMU_INTERRUPT;
    else if (b->count >= b->target)
        b->event = EMU_LIMIT;
    else
        *e = uc_emu_start(b->uc, b->pc, 0, 0, 0);
    return uk_emu_x86_after(b, ex);
}

int uk_emu_run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uc_err e;

    (void)err;
    memset(ex, 0, sizeof(*ex));
    if (b->exc_pending)
        return exit_pending(b, ex);
    if (!b->tables_known)
        uk_emu_x86_tables(b);
    if (b->odd_mapping)
        return exit_odd_mapping(b, ex);
    b->target = how->until_count ? how->until_count : UINT64_MAX;
    if (how->step && b->count + 1 < b->target)
        b->target = b->count + 1;
    uk_emu_x86_before(b);
    while (!enter(b, ex, &e))
        ;
    return exit_of(b, e, ex);
}
