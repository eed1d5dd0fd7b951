/* SPDX-License-Identifier: ISC */
/*
 * emu_guest.c: hand-made x86_64 guests on the bare emulator backend.
 */
#include "tests/support/emu_guest.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define PD (GUEST_TABLES + 0x2000)
#define PT (GUEST_TABLES + 0x3000)

static void put64(struct guest *g, uint64_t at, uint64_t v)
{
    memcpy(g->hv.mem + at, &v, sizeof(v));
}

void guest_map(struct guest *g, unsigned i, uint64_t gpa, uint64_t flags)
{
    put64(g, PD + 8 * i, flags ? gpa | flags | 0x80 : 0);
}

void guest_page(struct guest *g, unsigned i, uint64_t flags)
{
    put64(g, PT + 8 * i, flags ? (GUEST_FINE + 0x1000 * (uint64_t)i) | flags : 0);
}

static void tables(struct guest *g)
{
    put64(g, GUEST_TABLES, (GUEST_TABLES + 0x1000) | 3);
    put64(g, GUEST_TABLES + 0x1000, PD | 3);
    for (unsigned i = 0; i < GUEST_MEM >> 21; i++)
        guest_map(g, i, (uint64_t)i << 21, 3);
    put64(g, PD + 8 * 2, PT | 3);
    for (unsigned i = 0; i < 512; i++)
        guest_page(g, i, 3);
}

static void start_state(struct ukvm_x86_state *st)
{
    struct ukvm_x86_seg data = {.limit = 0xffffffff, .selector = 16, .attr = 0xc093};

    memset(st, 0, sizeof(*st));
    st->rip = GUEST_CODE;
    st->rflags = UKVM_RFLAGS_FIXED;
    st->gpr[UKVM_RSP] = GUEST_STACK;
    for (int i = UKVM_ES; i <= UKVM_GS; i++)
        st->seg[i] = data;
    st->seg[UKVM_CS] = (struct ukvm_x86_seg){.limit = 0xffffffff, .selector = 8, .attr = 0xa09b};
    st->seg[UKVM_TR] = (struct ukvm_x86_seg){.limit = 0x67, .selector = 24, .attr = 0x8b};
    st->seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st->cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_WP | UKVM_CR0_PG | 2;
    st->cr3 = GUEST_TABLES;
    st->cr4 = UKVM_CR4_PAE | 0x600;
    st->efer = UKVM_EFER_LMA | 0x100;
    st->dr6 = 0xffff0ff0;
    st->dr7 = 0x400;
    st->fcw = 0x37f;
    st->mxcsr = 0x1f80;
    st->pat = 0x0007040600070406;
}

void guest_open(struct guest *g, const void *code, size_t len)
{
    struct ukvm_hv_config cfg = {.mem_fd = -1, .e_machine = EM_X86_64};
    struct ukvm_error err = {0};

    memset(g, 0, sizeof(*g));
    g->hv.ops = &ukvm_hv_emu;
    g->hv.mem_size = GUEST_MEM;
    g->hv.mem = mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(g->hv.mem, MAP_FAILED);
    tables(g);
    memcpy(g->hv.mem + GUEST_CODE, code, len);
    if (g->hv.ops->create(&g->hv, &cfg, &err) != UKVM_OK)
        fail_msg("create: %s", err.msg);
    start_state(&g->st);
    guest_set(g);
}

void guest_close(struct guest *g)
{
    g->hv.ops->destroy(&g->hv);
    munmap(g->hv.mem, g->hv.mem_size);
}

void guest_code(struct guest *g, uint64_t at, const void *code, size_t len)
{
    memcpy(g->hv.mem + at, code, len);
    g->hv.ops->wrote(&g->hv, at, len);
}

void guest_set(struct guest *g)
{
    struct ukvm_error err = {0};

    assert_int_equal(g->hv.ops->set(&g->hv, UKVM_ALL, (struct ukvm_state *)(void *)&g->st, &err),
                     UKVM_OK);
}

void guest_get(struct guest *g)
{
    struct ukvm_error err = {0};

    memset(&g->st, 0x5a, sizeof(g->st));
    assert_int_equal(g->hv.ops->get(&g->hv, UKVM_ALL, (struct ukvm_state *)(void *)&g->st, &err),
                     UKVM_OK);
}

/* After every exit the state is fetched, and pc is what the exit says. */
static enum ukvm_exit_kind run(struct guest *g, bool step, uint64_t count)
{
    struct ukvm_hv_run how = {.step = step, .until_count = count};
    struct ukvm_error err = {0};

    if (g->hv.ops->run(&g->hv, &how, &g->ex, &err) != UKVM_OK)
        fail_msg("run: %s", err.msg);
    assert_int_equal(g->hv.ops->settle(&g->hv, &g->ex, &err), UKVM_OK);
    guest_get(g);
    assert_int_equal(g->st.rip, g->ex.next);
    return g->ex.kind;
}

enum ukvm_exit_kind guest_run(struct guest *g)
{
    return run(g, false, 0);
}

enum ukvm_exit_kind guest_step(struct guest *g)
{
    return run(g, true, 0);
}

enum ukvm_exit_kind guest_until(struct guest *g, uint64_t count)
{
    return run(g, false, count);
}

uint64_t guest_count(struct guest *g)
{
    struct ukvm_error err = {0};
    uint64_t n = 0;

    assert_int_equal(g->hv.ops->count(&g->hv, &n, &err), UKVM_OK);
    return n;
}

void guest_emulated(struct guest *g, uint64_t pc)
{
    g->st.rip = pc;
    guest_set(g);
}
