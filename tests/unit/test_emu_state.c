/* SPDX-License-Identifier: ISC */
/*
 * test_emu_state.c: vCPU state goes into the emulator and comes out again, bit by bit;
 * what was set has its effect; and a guest moved to a fresh engine goes on as before.
 */
#include "tests/support/emu_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t rnd(void)
{
    uint64_t v = 0;

    for (int i = 0; i < 5; i++)
        v = v << 15 ^ (uint64_t)rand();
    return v;
}

static uint64_t canonical(void)
{
    return (uint64_t)((int64_t)(rnd() << 16) >> 16);
}

/* A state that a processor can be in, everything in it different from the start. */
static void random_state(struct ukvm_x86_state *st)
{
    for (int i = 0; i < 16; i++)
        st->gpr[i] = rnd();
    st->rip = canonical();
    st->rflags = (rnd() & 0x257ed5) | UKVM_RFLAGS_FIXED | (rnd() & UKVM_RFLAGS_RF);
    for (int i = 0; i < UKVM_NSEGS; i++) {
        st->seg[i].base = canonical();
        st->seg[i].limit = (uint32_t)rnd();
        st->seg[i].selector = (uint16_t)(rnd() & ~UINT64_C(3));
        st->seg[i].attr = (uint16_t)((rnd() & 0xf01f) | UKVM_SEG_P);
    }
    st->seg[UKVM_CS].attr = 0xa09b;
    st->seg[UKVM_TR].attr = 0x8b;
    st->seg[UKVM_GS] = (struct ukvm_x86_seg){.base = canonical(), .attr = UKVM_SEG_UNUSABLE};
    st->gdt = (struct ukvm_x86_table){canonical(), (uint32_t)rnd() & 0xffff, 0};
    st->idt = (struct ukvm_x86_table){canonical(), (uint32_t)rnd() & 0xffff, 0};
    st->cr0 = 0x80000031 | (rnd() & 0x4001000e);
    st->cr2 = rnd();
    st->cr3 = rnd() & 0xfffffff000;
    st->cr4 = UKVM_CR4_PAE | (rnd() & 0x69f);
    st->cr8 = rnd() & 15;
    st->efer = 0x500 | (rnd() & 0x801);
    for (int i = 0; i < 4; i++)
        st->dr[i] = rnd();
    st->dr6 = 0xffff0ff0 | (rnd() & 0xe00f);
    st->dr7 = 0x400 | (rnd() & 0xff);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 10; k++)
            st->st[i][k] = (uint8_t)rnd();
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            st->xmm[i][k] = (uint8_t)rnd();
    st->fcw = (uint16_t)((rnd() & 0xf3f) | 0x40);
    st->fsw = (uint16_t)(rnd() & 0x7f7f);
    st->ftw = (uint16_t)(rnd() & 0xff);
    st->fop = (uint16_t)(rnd() & 0x7ff);
    st->fip = rnd();
    st->fdp = rnd();
    st->mxcsr = (uint32_t)(rnd() & 0xffbf);
    st->tsc = rnd();
    st->kernel_gs_base = canonical();
    st->star = rnd();
    st->lstar = canonical();
    st->cstar = canonical();
    st->sfmask = rnd() & 0xffffffff;
    st->sysenter_cs = rnd() & 0xffff;
    st->sysenter_esp = canonical();
    st->sysenter_eip = canonical();
    st->pat = 0x0007040600070406 ^ (rnd() & 0x0001010100010100);
    st->exc_pending = 1;
    st->exc_vector = (uint8_t)(rnd() & 31);
    st->exc_has_code = (uint8_t)(rnd() & 1);
    st->exc_code = (uint32_t)rnd();
    st->intr_shadow = (uint8_t)(1 + (rnd() & 1));
}

#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct ukvm_x86_state, name), sizeof(((struct ukvm_x86_state *)0)->name)   \
    }
static const struct {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD(gpr),          FIELD(rip),
    FIELD(rflags),       FIELD(seg),
    FIELD(gdt),          FIELD(idt),
    FIELD(cr0),          FIELD(cr2),
    FIELD(cr3),          FIELD(cr4),
    FIELD(cr8),          FIELD(efer),
    FIELD(dr),           FIELD(dr6),
    FIELD(dr7),          FIELD(st),
    FIELD(xmm),          FIELD(fcw),
    FIELD(fsw),          FIELD(ftw),
    FIELD(fop),          FIELD(fip),
    FIELD(fdp),          FIELD(mxcsr),
    FIELD(tsc),          FIELD(kernel_gs_base),
    FIELD(star),         FIELD(lstar),
    FIELD(cstar),        FIELD(sfmask),
    FIELD(sysenter_cs),  FIELD(sysenter_esp),
    FIELD(sysenter_eip), FIELD(pat),
    FIELD(exc_pending),  FIELD(exc_vector),
    FIELD(exc_has_code), FIELD(exc_code),
    FIELD(intr_shadow),
};

static void same(const struct ukvm_x86_state *a, const struct ukvm_x86_state *b)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (memcmp((const uint8_t *)a + fields[i].offset, (const uint8_t *)b + fields[i].offset,
                   fields[i].size) != 0)
            fail_msg("%s differs: 0x%llx, 0x%llx", fields[i].name,
                     (unsigned long long)*(const uint64_t *)(const void *)((const uint8_t *)a +
                                                                           fields[i].offset),
                     (unsigned long long)*(const uint64_t *)(const void *)((const uint8_t *)b +
                                                                           fields[i].offset));
}

static void test_round_trip(void **state)
{
    struct guest g, h;

    (void)state;
    srand(2);
    guest_open(&g, "\xf4", 1);
    guest_open(&h, "\xf4", 1);
    for (int i = 0; i < 200; i++) {
        struct ukvm_x86_state want;

        memset(&want, 0, sizeof(want));
        random_state(&want);
        g.st = want;
        guest_set(&g);
        guest_get(&g);
        same(&g.st, &want);
        h.st = g.st;
        guest_set(&h);
        guest_get(&h);
        same(&h.st, &want);
    }
    guest_close(&g);
    guest_close(&h);
}

/* A group that is not asked for is left alone, in the engine and in the caller's state. */
static void test_groups(void **state)
{
    static const struct {
        unsigned group;
        size_t from, to;
    } groups[] = {
        {UKVM_GPR, offsetof(struct ukvm_x86_state, gpr), offsetof(struct ukvm_x86_state, seg)},
        {UKVM_SYS, offsetof(struct ukvm_x86_state, seg), offsetof(struct ukvm_x86_state, st)},
        {UKVM_FPU, offsetof(struct ukvm_x86_state, st), offsetof(struct ukvm_x86_state, tsc)},
        {UKVM_MSR, offsetof(struct ukvm_x86_state, tsc),
         offsetof(struct ukvm_x86_state, exc_pending)},
    };
    struct ukvm_x86_state want, other = {0}, got;
    struct ukvm_error err;
    struct guest g;

    (void)state;
    srand(3);
    guest_open(&g, "\xf4", 1);
    for (size_t i = 0; i < 4; i++) {
        memset(&want, 0, sizeof(want));
        random_state(&want);
        g.st = want;
        guest_set(&g);
        random_state(&other);
        g.hv.ops->set(&g.hv, groups[i].group, (struct ukvm_state *)(void *)&other, &err);
        memcpy((uint8_t *)&want + groups[i].from, (uint8_t *)&other + groups[i].from,
               groups[i].to - groups[i].from);
        guest_get(&g);
        same(&g.st, &want);
        memset(&got, 0x5a, sizeof(got));
        g.hv.ops->get(&g.hv, groups[i].group, (struct ukvm_state *)(void *)&got, &err);
        for (size_t k = 0; k < sizeof(got); k++)
            if ((k < groups[i].from || k >= groups[i].to) && ((uint8_t *)&got)[k] != 0x5a)
                fail_msg("group %u wrote at %zu", groups[i].group, k);
    }
    guest_close(&g);
}

/* --- effects ---------------------------------------------------------------------- */

/* CR0.TS: a floating-point instruction is #NM (SDM vol. 3, 6.15, interrupt 7). */
static void test_ts(void **state)
{
    static const char code[] = "\x0f\x58\xc0\xd9\xe8\xf4"; /* addps; fld1; hlt */
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    g.st.cr0 |= 8;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.vector, 7);
    assert_int_equal(g.ex.pc, GUEST_CODE);
    g.st.cr0 &= ~UINT64_C(8);
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    guest_close(&g);
}

/* EFER.NXE: a fetch from an NX page is refused, with the I/D bit (SDM vol. 3, 4.7). */
static void test_nx(void **state)
{
    uint64_t entry = GUEST_FINE | 3 | UINT64_C(1) << 63;
    struct guest g;

    (void)state;
    guest_open(&g, "\xff\xe3", 2);
    memcpy(g.hv.mem + GUEST_TABLES + 0x3000, &entry, 8);
    g.hv.mem[GUEST_FINE] = 0xf4;
    g.st.gpr[UKVM_RBX] = GUEST_FINE;
    g.st.efer |= UKVM_EFER_NXE;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_EXCEPTION);
    assert_int_equal(g.ex.vector, 14);
    assert_int_equal(g.ex.code, 0x11);
    assert_int_equal(g.ex.pc, GUEST_FINE);
    guest_close(&g);
}

/* MXCSR's rounding mode and the x87 control word act, not only read back. */
static void test_rounding(void **state)
{
    /* cvtsd2si eax,xmm0; fld xmm-less: fldpi, frndint, fistp [rbx]; hlt */
    static const char code[] = "\xf2\x0f\x2d\xc0\xd9\xeb\xd9\xfc\xdb\x1b\xf4";
    double x = 2.5;
    struct guest g;

    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        static const unsigned sse[] = {2, 2, 3, 2}, x87[] = {3, 3, 4, 3};

        guest_open(&g, code, sizeof(code) - 1);
        memcpy(g.st.xmm[0], &x, 8);
        g.st.mxcsr = 0x1f80 | mode << 13;
        g.st.fcw = (uint16_t)(0x37f | mode << 10);
        g.st.gpr[UKVM_RBX] = GUEST_DATA;
        guest_set(&g);
        assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
        assert_int_equal(g.st.gpr[UKVM_RAX], sse[mode]);
        assert_int_equal(g.hv.mem[GUEST_DATA], x87[mode]);
        guest_close(&g);
    }
}

/* FXSAVE's own picture of the registers is the one that the state gives. */
static void test_fxsave(void **state)
{
    static const char code[] = "\xd9\xe8\xd9\xeb\xd9\xee" /* fld1; fldpi; fldz */
                               "\x48\x0f\xae\x03\xf4";    /* fxsave64 [rbx]; hlt */
    struct guest g;
    const uint8_t *m;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    g.st.gpr[UKVM_RBX] = GUEST_DATA;
    memset(g.st.xmm[3], 0x33, 16);
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    m = g.hv.mem + GUEST_DATA;
    assert_memory_equal(m, &g.st.fcw, 2);
    assert_memory_equal(m + 2, &g.st.fsw, 2);
    assert_int_equal(m[4], g.st.ftw);
    assert_memory_equal(m + 24, &g.st.mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        assert_memory_equal(m + 32 + 16 * i, g.st.st[i], 10);
    for (unsigned i = 0; i < 16; i++)
        assert_memory_equal(m + 160 + 16 * i, g.st.xmm[i], 16);
    assert_int_equal(g.st.ftw, 0xe0);
    guest_close(&g);
}

/* What the guest itself loads shows in the state: SWAPGS, LGDT, LTR, MOV to DS, WRMSR. */
static void test_guest_loads(void **state)
{
    static const char code[] = "\x0f\x01\xf8"               /* swapgs */
                               "\x0f\x01\x13"               /* lgdt [rbx] */
                               "\x0f\x01\x5b\x10"           /* lidt [rbx+16] */
                               "\xb8\x10\0\0\0\x8e\xd8"     /* mov ds,0x10 */
                               "\xb8\x18\0\0\0\x0f\x00\xd8" /* ltr 0x18 */
                               "\x0f\x06"                   /* clts */
                               "\xfb\xfd\xf4";              /* sti; std; hlt */
    static const uint64_t gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x0000892000000067,
                                   0};
    uint8_t regs[32] = {0x27, 0, 0, 0x10, 0x20}; /* limit 0x27, base 0x201000 */
    struct guest g;

    (void)state;
    guest_open(&g, code, sizeof(code) - 1);
    memcpy(g.hv.mem + GUEST_DATA + 0x1000, gdt, sizeof(gdt));
    memcpy(regs + 16, "\xff\x0f\x00\x20\x20", 5); /* limit 0xfff, base 0x202000 */
    memcpy(g.hv.mem + GUEST_DATA, regs, sizeof(regs));
    g.st.gpr[UKVM_RBX] = GUEST_DATA;
    g.st.seg[UKVM_GS].base = 0x1111;
    g.st.kernel_gs_base = 0x2222;
    g.st.cr0 |= 8;
    guest_set(&g);
    assert_int_equal(guest_run(&g), UKVM_EXIT_INSN);
    assert_int_equal(g.st.seg[UKVM_GS].base, 0x2222);
    assert_int_equal(g.st.kernel_gs_base, 0x1111);
    assert_int_equal(g.st.gdt.base, 0x201000);
    assert_int_equal(g.st.gdt.limit, 0x27);
    assert_int_equal(g.st.idt.base, 0x202000);
    assert_int_equal(g.st.idt.limit, 0xfff);
    assert_int_equal(g.st.seg[UKVM_DS].selector, 0x10);
    assert_int_equal(g.st.seg[UKVM_DS].attr, 0xc093);
    assert_int_equal(g.st.seg[UKVM_DS].limit, 0xffffffff);
    assert_int_equal(g.st.seg[UKVM_TR].selector, 0x18);
    assert_int_equal(g.st.seg[UKVM_TR].base, 0x200000);
    assert_int_equal(g.st.seg[UKVM_TR].attr, 0x8b);
    assert_int_equal(g.st.cr0 & 8, 0);
    assert_int_equal(g.st.rflags & 0x600, 0x600);
    guest_close(&g);
}

/* --- moving ----------------------------------------------------------------------- */

/* Integer, x87 and SSE work in a loop; moved between engines at random counts. */
static const char work[] = "\xb9\xe8\x03\x00\x00"     /* mov ecx,1000 */
                           "\xd9\xe8"                 /* fld1 */
                           "\xf2\x0f\x2a\xc1"         /* 7 cvtsi2sd xmm0,ecx */
                           "\xf2\x0f\x58\xc8"         /* addsd xmm1,xmm0 */
                           "\xf2\x0f\x5e\xd1"         /* divsd xmm2,xmm1 */
                           "\xd8\xc0"                 /* fadd st0,st0 */
                           "\xd9\xeb"                 /* fldpi */
                           "\xde\xf9"                 /* fdivp */
                           "\x11\xc8"                 /* adc eax,ecx */
                           "\x69\xc0\x6d\x4e\xc6\x41" /* imul eax,eax,.. */
                           "\x50\x8f\x03"             /* push rax; pop [rbx] */
                           "\xff\xc9"                 /* dec ecx */
                           "\x75\xdf"                 /* jnz 7 */
                           "\xf4";

static void open_work(struct guest *g)
{
    guest_open(g, work, sizeof(work) - 1);
    g->st.gpr[UKVM_RBX] = GUEST_DATA;
    guest_set(g);
}

static void test_move(void **state)
{
    struct guest still, from, to;
    uint64_t done = 0;

    (void)state;
    srand(4);
    open_work(&still);
    assert_int_equal(guest_run(&still), UKVM_EXIT_INSN);
    open_work(&from);
    while (guest_until(&from, guest_count(&from) + 1 + (uint64_t)rand() % 800) == UKVM_EXIT_STEP) {
        done += guest_count(&from);
        open_work(&to);
        memcpy(to.hv.mem, from.hv.mem, GUEST_MEM);
        to.hv.ops->wrote(&to.hv, 0, GUEST_MEM);
        to.st = from.st;
        guest_set(&to);
        guest_close(&from);
        from = to;
    }
    assert_int_equal(from.ex.kind, UKVM_EXIT_INSN);
    assert_int_equal(done + guest_count(&from), guest_count(&still));
    same(&from.st, &still.st);
    assert_memory_equal(from.hv.mem, still.hv.mem, GUEST_MEM);
    guest_close(&from);
    guest_close(&still);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_groups),
        cmocka_unit_test(test_ts),          cmocka_unit_test(test_nx),
        cmocka_unit_test(test_rounding),    cmocka_unit_test(test_fxsave),
        cmocka_unit_test(test_guest_loads), cmocka_unit_test(test_move),
    };

    return cmocka_run_group_tests_name("emu state", tests, NULL, NULL);
}
