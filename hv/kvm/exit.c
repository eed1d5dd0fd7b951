/* SPDX-License-Identifier: ISC */
/*
 * exit.c: what KVM says in struct kvm_run, as a struct ukvm_exit. Pure: it reads its
 * arguments only, so that it is tested without a KVM.
 */
#include "hv/kvm/kvm.h"
#include "arch/x86_64/x86.h"

#include <stdio.h>
#include <string.h>

#define DR6_BS 0x4000u /* single step (Intel SDM vol. 3, 17.2.3) */

struct source {
    const struct kvm_run *run;
    const uint8_t *mem;
    size_t mem_size;
    enum uk_kvm_rip rule;
};

static bool is_prefix(uint8_t c, unsigned size)
{
    return c == 0xf2 || c == 0xf3 || (c == 0x66 && size == 2);
}

unsigned uk_kvm_port_insn_len(const uint8_t *p, size_t before, size_t after, bool past,
                              unsigned port, unsigned size)
{
    unsigned n = 0;

    if (!past) {
        while (n < after && n < 14 && (is_prefix(p[n], size) || (p[n] & 0xf0) == 0x40))
            n++;
        return n < after && (p[n] & 0xfc) == 0xe4 ? n + 2 : n < after ? n + 1 : 1;
    }
    /* Backwards an immediate port can look like an opcode, but its value gives it away. */
    if (before >= 2 && port < 256 && (p[-2] & 0xfc) == 0xe4 && p[-1] == port)
        n = 2;
    else
        n = 1;
    while (before > n && n < 15 && is_prefix(p[-(ptrdiff_t)n - 1], size))
        n++;
    return n;
}

/* Guest code is mapped one to one; elsewhere uk_kvm_settle() corrects what follows from it. */
static unsigned port_len(const struct source *s, uint64_t rip, bool past)
{
    if (rip >= s->mem_size)
        return 1;
    return uk_kvm_port_insn_len(s->mem + rip, rip, s->mem_size - rip, past, s->run->io.port,
                                s->run->io.size);
}

static void on_io(const struct source *s, struct ukvm_exit *ex)
{
    const struct kvm_run *run = s->run;
    bool write = run->io.direction == KVM_EXIT_IO_OUT;
    uint32_t value = 0;

    if (write && s->rule == UK_KVM_RIP_PAST)
        ex->pc -= port_len(s, ex->pc, true);
    else
        ex->next += port_len(s, ex->pc, false);
    if (write && run->io.size <= sizeof(value))
        memcpy(&value, (const uint8_t *)run + run->io.data_offset, run->io.size);
    ex->kind = UKVM_EXIT_IO;
    if (uk_x86_hypercall(run->io.port, run->io.size, !write, value, ex) && run->io.count == 1)
        ex->kind = UKVM_EXIT_HYPERCALL; /* a string instruction makes none */
}

/* RIP is past a store and at a load (Linux, x86_emulate_instruction()). */
static void on_mmio(const struct source *s, struct ukvm_exit *ex)
{
    const struct kvm_run *run = s->run;

    ex->kind = UKVM_EXIT_PROT;
    ex->addr = run->mmio.phys_addr;
    ex->len = run->mmio.len;
    ex->write = run->mmio.is_write;
    if (ex->write && ex->len <= sizeof(ex->data))
        memcpy(&ex->data, run->mmio.data, ex->len);
}

/* Without an interrupt controller the vCPU leaves HLT, RIP past it. */
static void on_hlt(const struct source *s, struct ukvm_exit *ex)
{
    (void)s;
    ex->kind = UKVM_EXIT_HALT;
    ex->pc -= 1;
}

static void on_shutdown(const struct source *s, struct ukvm_exit *ex)
{
    (void)s;
    ex->kind = UKVM_EXIT_SHUTDOWN;
}

static void on_debug(const struct source *s, struct ukvm_exit *ex)
{
    const struct kvm_debug_exit_arch *d = &s->run->debug.arch;

    ex->pc = ex->next = d->pc;
    if (d->exception == 3) {
        ex->kind = UKVM_EXIT_BREAK;
    } else if (d->dr6 & DR6_BS) {
        ex->kind = UKVM_EXIT_STEP;
    } else {
        ex->kind = UKVM_EXIT_UNKNOWN;
        snprintf(ex->msg, sizeof(ex->msg), "a debug exception that nobody asked for (dr6 0x%llx)",
                 (unsigned long long)d->dr6);
    }
}

static void on_internal_error(const struct source *s, struct ukvm_exit *ex)
{
    const struct kvm_run *run = s->run;

    ex->kind = UKVM_EXIT_UNKNOWN;
    ex->raw |= (uint64_t)run->internal.suberror << 32;
    if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
        snprintf(ex->msg, sizeof(ex->msg), "internal error %u", run->internal.suberror);
        return;
    }
    snprintf(ex->msg, sizeof(ex->msg), "this KVM can't emulate the instruction");
    if (run->emulation_failure.ndata < 4 ||
        !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        return;
    ex->insn_len = run->emulation_failure.insn_size;
    if (ex->insn_len > sizeof(ex->insn))
        ex->insn_len = sizeof(ex->insn);
    memcpy(ex->insn, run->emulation_failure.insn_bytes, ex->insn_len);
}

static void on_fail_entry(const struct source *s, struct ukvm_exit *ex)
{
    ex->kind = UKVM_EXIT_UNKNOWN;
    snprintf(ex->msg, sizeof(ex->msg), "the processor refuses the vCPU's state (reason 0x%llx)",
             (unsigned long long)s->run->fail_entry.hardware_entry_failure_reason);
}

static const struct {
    uint32_t reason;
    void (*fn)(const struct source *s, struct ukvm_exit *ex);
} reasons[] = {
    {KVM_EXIT_IO, on_io},
    {KVM_EXIT_MMIO, on_mmio},
    {KVM_EXIT_HLT, on_hlt},
    {KVM_EXIT_DEBUG, on_debug},
    {KVM_EXIT_SHUTDOWN, on_shutdown},
    {KVM_EXIT_INTERNAL_ERROR, on_internal_error},
    {KVM_EXIT_FAIL_ENTRY, on_fail_entry},
};

void uk_kvm_translate(const struct kvm_run *run, const uint8_t *mem, size_t mem_size,
                      enum uk_kvm_rip rule, struct ukvm_exit *ex)
{
    const struct source s = {run, mem, mem_size, rule};

    memset(ex, 0, sizeof(*ex));
    ex->pc = ex->next = run->s.regs.regs.rip;
    ex->raw = run->exit_reason;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].reason != run->exit_reason)
            continue;
        reasons[i].fn(&s, ex);
        return;
    }
    ex->kind = UKVM_EXIT_UNKNOWN;
    snprintf(ex->msg, sizeof(ex->msg), "an exit of unknown reason (%u)", run->exit_reason);
}
