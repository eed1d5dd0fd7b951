/* SPDX-License-Identifier: ISC */
/*
 * kvm_guest.c: see kvm_guest.h.
 */
#include "tests/support/kvm_guest.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void kvm_need(struct kvm_machine *m, int rc)
{
    if (rc != UKVM_OK)
        fail_msg("%s", m->err.msg);
}

void kvm_put(struct kvm_machine *m, size_t at, uint64_t value)
{
    memcpy(m->hv.mem + at, &value, sizeof(value));
}

uint64_t kvm_peek(struct kvm_machine *m, size_t at)
{
    uint64_t v;

    memcpy(&v, m->hv.mem + at, sizeof(v));
    return v;
}

struct ukvm_x86_state kvm_start_state(void)
{
    const struct ukvm_x86_seg code = {0, 0xffffffff, 8, 0xa09b}, data = {0, 0xffffffff, 16, 0xc093};
    struct ukvm_x86_state st = {
        .rip = CODE,
        .rflags = UKVM_RFLAGS_FIXED,
        .cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_PG,
        .cr3 = PML4,
        .cr4 = 0x620,
        .efer = 0x500,
        .gdt = {GDT, 3 * 8 - 1, 0},
        .idt = {IDT, 32 * 16 - 1, 0},
        .dr6 = 0xffff0ff0,
        .dr7 = 0x400,
    };

    st.gpr[UKVM_RSP] = STACK_TOP;
    for (int i = 0; i < UKVM_LDTR; i++)
        st.seg[i] = data;
    st.seg[UKVM_CS] = code;
    st.seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st.seg[UKVM_TR] = (struct ukvm_x86_seg){0, 0, 0, 0x8b};
    return st;
}

void kvm_set(struct kvm_machine *m, unsigned groups, const struct ukvm_x86_state *st)
{
    kvm_need(m, m->hv.ops->set(&m->hv, groups, (const struct ukvm_state *)st, &m->err));
}

struct ukvm_x86_state kvm_get(struct kvm_machine *m, unsigned groups)
{
    struct ukvm_x86_state st = {0};

    kvm_need(m, m->hv.ops->settle(&m->hv, &m->ex, &m->err));
    kvm_need(m, m->hv.ops->get(&m->hv, groups, (struct ukvm_state *)&st, &m->err));
    return st;
}

struct kvm_machine *kvm_machine(const uint8_t *code, const uint8_t *end)
{
    const struct ukvm_hv_config cfg = {.mem_fd = -1, .e_machine = EM_X86_64};
    struct kvm_machine *m = calloc(1, sizeof(*m));
    struct ukvm_x86_state st = kvm_start_state();

    m->hv.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->hv.mem_size = MEM_SIZE;
    m->hv.ops = &ukvm_hv_kvm;
    assert_ptr_not_equal(m->hv.mem, MAP_FAILED);
    kvm_need(m, m->hv.ops->create(&m->hv, &cfg, &m->err));
    kvm_put(m, PML4, PDPT | 3);
    kvm_put(m, PDPT, PD | 3);
    kvm_put(m, PD, 0x83);
    kvm_put(m, GDT + 8, 0x00af9b000000ffff);
    kvm_put(m, GDT + 16, 0x00cf93000000ffff);
    for (unsigned v = 0; v < 32; v++) {
        kvm_put(m, IDT + v * 16, (STUBS + v) | 8u << 16 | 0x8e00ull << 32);
        m->hv.mem[STUBS + v] = 0xf4;
    }
    memcpy(m->hv.mem + CODE, code, (size_t)(end - code));
    kvm_set(m, UKVM_GPR | UKVM_SYS, &st);
    return m;
}
void kvm_done(struct kvm_machine *m)
{
    m->hv.ops->destroy(&m->hv);
    munmap(m->hv.mem, MEM_SIZE);
    free(m);
}

void kvm_go(struct kvm_machine *m, enum ukvm_exit_kind want)
{
    kvm_need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){0}, &m->ex, &m->err));
    if (m->ex.kind != want)
        fail_msg("exit kind %d at 0x%llx (%s), not %d", m->ex.kind, (unsigned long long)m->ex.pc,
                 m->ex.msg, want);
}

void kvm_step(struct kvm_machine *m, enum ukvm_exit_kind want)
{
    kvm_need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){.step = true}, &m->ex, &m->err));
    if (m->ex.kind != want)
        fail_msg("step: exit kind %d at 0x%llx (%s), not %d", m->ex.kind,
                 (unsigned long long)m->ex.pc, m->ex.msg, want);
}

uint64_t kvm_rip(struct kvm_machine *m)
{
    return kvm_get(m, UKVM_GPR).rip;
}

static const char *reason(const struct ukvm_report *r, bool needs_float)
{
    if (!r->works)
        return "no-kvm";
    return needs_float && !r->full ? "kvm-no-sse" : NULL;
}

bool kvm_skips(const struct CMUnitTest *tests, size_t n, bool needs_float)
{
    static struct ukvm_report report;
    const char *why;

    if (!report.why[0] && !report.works)
        ukvm_hv_kvm.probe(&report);
    why = reason(&report, needs_float);
    if (!why)
        return false;
    for (size_t i = 0; i < n; i++)
        printf("ok %zu - %s # SKIP %s\n", i + 1, tests[i].name, why);
    printf("1..%zu\n", n);
    fflush(stdout);
    return true;
}
