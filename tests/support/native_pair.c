/* SPDX-License-Identifier: ISC */
/*
 * native_pair.c: one guest on two bare backends, driven as the core does.
 */
#include "tests/support/native_pair.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static struct ukvm_state *opaque(struct ukvm_x86_state *st)
{
    return (struct ukvm_state *)(void *)st;
}

static void put64(uint8_t *mem, uint64_t at, uint64_t v)
{
    memcpy(mem + at, &v, sizeof(v));
}

/* One to one from 0x10000, all marked as accessed and dirty. */
static void tables(uint8_t *mem)
{
    put64(mem, 0x1000, 0x2023);
    put64(mem, 0x2000, 0x3023);
    put64(mem, 0x3000, 0x4023);
    for (uint64_t page = 0x10000; page < PAIR_MEM; page += 0x1000)
        put64(mem, 0x4000 + page / 0x1000 * 8, page | 0x63);
}

void side_open(struct side *s, const struct ukvm_hv_ops *ops)
{
    struct ukvm_hv_config cfg = {.e_machine = EM_X86_64, .tsc_hz = 0};
    struct ukvm_error err = {0};

    memset(s, 0, sizeof(*s));
    s->fd = memfd_create("pair", MFD_CLOEXEC);
    assert_true(s->fd >= 0 && ftruncate(s->fd, PAIR_MEM) == 0);
    s->hv.mem = mmap(NULL, PAIR_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    assert_ptr_not_equal(s->hv.mem, MAP_FAILED);
    s->hv.mem_size = PAIR_MEM;
    s->hv.ops = ops;
    tables(s->hv.mem);
    cfg.mem_fd = s->fd;
    if (ops->create(&s->hv, &cfg, &err) != UKVM_OK)
        fail_msg("create: %s", err.msg);
}

void side_close(struct side *s)
{
    s->hv.ops->destroy(&s->hv);
    munmap(s->hv.mem, PAIR_MEM);
    close(s->fd);
}

void side_start(struct ukvm_x86_state *st)
{
    const struct ukvm_x86_seg data = {.limit = 0xffffffff, .selector = SEL_DATA, .attr = 0xc093};

    memset(st, 0, sizeof(*st));
    st->rip = PAIR_CODE;
    st->rflags = UKVM_RFLAGS_FIXED;
    st->gpr[UKVM_RSP] = PAIR_STACK;
    for (int i = UKVM_ES; i <= UKVM_GS; i++)
        st->seg[i] = data;
    st->seg[UKVM_CS] =
        (struct ukvm_x86_seg){.limit = 0xffffffff, .selector = SEL_CODE, .attr = 0xa09b};
    st->seg[UKVM_TR] =
        (struct ukvm_x86_seg){.base = PAIR_TSS, .limit = 0x67, .selector = SEL_TSS, .attr = 0x8b};
    st->seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st->gdt = (struct ukvm_x86_table){.base = PAIR_GDT, .limit = 0x7f};
    st->idt = (struct ukvm_x86_table){.base = PAIR_IDT, .limit = 0xfff};
    st->cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_WP | UKVM_CR0_PG | 0x12; /* MP, ET */
    st->cr3 = 0x1000;
    st->cr4 = UKVM_CR4_PAE | 0x600;
    st->efer = UKVM_EFER_LMA | 0x100;
    st->dr6 = 0xffff0ff0;
    st->dr7 = 0x400;
    st->fcw = 0x37f;
    st->mxcsr = 0x1f80;
    st->pat = 0x0007040600070406;
}

/* Interrupt gates; odd vectors are trap gates, every fifth has a stack of its own. */
static void gates(uint8_t *image)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t handler = PAIR_HANDLER + 4 * v, type = v & 1 ? 15 : 14, ist = v % 5 == 0;
        uint64_t at = PAIR_IDT - PAIR_FIRST + 16 * v;

        if (v == 77) /* one that is not present */
            continue;
        put64(image, at,
              (handler & 0xffff) | SEL_CODE << 16 | ist << 32 | (0x80 | type) << 40 |
                  (handler >> 16) << 48);
        put64(image, at + 8, 0);
    }
}

void side_memory(uint8_t *image, const void *code, size_t len)
{
    static const struct {
        unsigned at;
        uint64_t desc;
    } descs[] = {
        {SEL_CODE, 0x00af9b000000ffff},   {SEL_DATA, 0x00cf93000000ffff},
        {SEL_RODATA, 0x12cf90345678ffff}, {SEL_ABSENT, 0x00cf13000000ffff},
        {SEL_USER, 0x00cff2000000ffff},   {SEL_CONFORMING, 0x00af9e000000ffff},
        {SEL_TSS, 0x0000890220000067},    {SEL_LDT, 0x000082020000007f},
        {SEL_GATE, 0x00008c0000080000},
    };

    memset(image, 0, PAIR_END - PAIR_FIRST);
    for (size_t i = 0; i < sizeof(descs) / sizeof(descs[0]); i++)
        put64(image, PAIR_GDT - PAIR_FIRST + descs[i].at, descs[i].desc);
    gates(image);
    put64(image, PAIR_TSS - PAIR_FIRST + 4, PAIR_IST);
    put64(image, PAIR_TSS - PAIR_FIRST + 36, PAIR_IST);
    memset(image + PAIR_HANDLER - PAIR_FIRST, 0xf4, 4 * 256);
    memset(image + PAIR_CODE - PAIR_FIRST, 0xf4, 64);
    memcpy(image + PAIR_CODE - PAIR_FIRST, code, len);
}

static void begin(struct side *s, const uint8_t *image, const struct ukvm_x86_state *st)
{
    struct ukvm_error err = {0};

    memcpy(s->hv.mem + PAIR_FIRST, image, PAIR_END - PAIR_FIRST);
    s->hv.ops->wrote(&s->hv, PAIR_FIRST, PAIR_END - PAIR_FIRST);
    s->st = *st;
    if (s->hv.ops->set(&s->hv, UKVM_ALL, opaque(&s->st), &err) != UKVM_OK)
        fail_msg("set: %s", err.msg);
    memset(&s->delivery, 0, sizeof(s->delivery));
}

/* One exit; what the core does for it is done in s->st. */
static void once(struct side *s, bool step)
{
    const struct ukvm_hv_run how = {.step = step};
    struct ukvm_mem mem = {s->hv.mem, s->hv.mem_size};
    struct ukvm_error err = {0};
    struct ukvm_range wrote;

    if (s->hv.ops->run(&s->hv, &how, &s->ex, &err) != UKVM_OK)
        fail_msg("run: %s", err.msg);
    memset(&s->st, 0, sizeof(s->st));
    assert_int_equal(s->hv.ops->get(&s->hv, UKVM_ALL, opaque(&s->st), &err), UKVM_OK);
    assert_int_equal(s->st.rip, s->ex.next);
    s->answer = (enum ukvm_answer) - 1;
    if (s->ex.kind == UKVM_EXIT_INSN)
        s->answer = uk_x86_emulate(opaque(&s->st), mem, &s->ex);
    else if (s->ex.kind == UKVM_EXIT_EXCEPTION)
        s->answer = UKVM_EXCEPTION;
    if (s->answer == UKVM_EXCEPTION)
        uk_x86_deliver(opaque(&s->st), mem, &s->ex, &s->delivery, &wrote);
    else if (s->answer == UKVM_HYPERCALL || s->answer == UKVM_SITE || s->answer == UKVM_HALTED)
        s->st.rip = s->ex.next;
}

void side_step(struct side *s, const uint8_t *image, const struct ukvm_x86_state *st)
{
    begin(s, image, st);
    once(s, true);
}

void side_run(struct side *s, const uint8_t *image, const struct ukvm_x86_state *st)
{
    struct ukvm_error err = {0};

    begin(s, image, st);
    for (;;) {
        once(s, false);
        if (s->answer != UKVM_DONE && s->answer != UKVM_EXCEPTION)
            return;
        assert_int_equal(s->hv.ops->set(&s->hv, UKVM_ALL, opaque(&s->st), &err), UKVM_OK);
    }
}
