/* SPDX-License-Identifier: ISC */
/*
 * test_kvm_run.c: the KVM backend on a KVM: exits, settling, state both ways, views,
 * steps, interrupts. Guests are a few instructions in 64 KiB. Where /dev/kvm is
 * missing, tests/e2e/nested_kvm.sh runs this program under emulation.
 */
#include "core/arch.h"
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <elf.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD = 0x3000,
    IDT = 0x4000,
    STUBS = 0x5000,
    GDT = 0x6000,
    CODE = 0x7000,
    STACK_TOP = 0x9000,
    DATA = 0xa000,
    MEM_SIZE = 0x10000
};

/* Guest code, assembled here and copied to CODE. */
#define GUEST(name, text)                                                                          \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection")

struct machine {
    struct ukvm_hv hv;
    struct ukvm_exit ex;
    struct ukvm_error err;
};

static struct ukvm_report report;

static void need(struct machine *m, int rc)
{
    if (rc != UKVM_OK)
        fail_msg("%s", m->err.msg);
}

static void put(struct machine *m, size_t at, uint64_t value)
{
    memcpy(m->hv.mem + at, &value, sizeof(value));
}

static uint64_t peek(struct machine *m, size_t at)
{
    uint64_t v;

    memcpy(&v, m->hv.mem + at, sizeof(v));
    return v;
}

static struct ukvm_x86_state start_state(void)
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

static void set(struct machine *m, unsigned groups, const struct ukvm_x86_state *st)
{
    need(m, m->hv.ops->set(&m->hv, groups, (const struct ukvm_state *)st, &m->err));
}

static struct ukvm_x86_state get(struct machine *m, unsigned groups)
{
    struct ukvm_x86_state st = {0};

    need(m, m->hv.ops->settle(&m->hv, &m->ex, &m->err));
    need(m, m->hv.ops->get(&m->hv, groups, (struct ukvm_state *)&st, &m->err));
    return st;
}

/* Handlers are HLT stubs at STUBS + vector. */
static struct machine *machine(const uint8_t *code, const uint8_t *end)
{
    const struct ukvm_hv_config cfg = {.mem_fd = -1, .e_machine = EM_X86_64};
    struct machine *m = calloc(1, sizeof(*m));
    struct ukvm_x86_state st = start_state();

    m->hv.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    m->hv.mem_size = MEM_SIZE;
    m->hv.ops = &ukvm_hv_kvm;
    assert_ptr_not_equal(m->hv.mem, MAP_FAILED);
    need(m, m->hv.ops->create(&m->hv, &cfg, &m->err));
    put(m, PML4, PDPT | 3);
    put(m, PDPT, PD | 3);
    put(m, PD, 0x83);
    put(m, GDT + 8, 0x00af9b000000ffff);
    put(m, GDT + 16, 0x00cf93000000ffff);
    for (unsigned v = 0; v < 32; v++) {
        put(m, IDT + v * 16, (STUBS + v) | 8u << 16 | 0x8e00ull << 32);
        m->hv.mem[STUBS + v] = 0xf4;
    }
    memcpy(m->hv.mem + CODE, code, (size_t)(end - code));
    set(m, UKVM_GPR | UKVM_SYS, &st);
    return m;
}
#define MACHINE(name) machine(name, name##_end)

static void done(struct machine *m)
{
    m->hv.ops->destroy(&m->hv);
    munmap(m->hv.mem, MEM_SIZE);
    free(m);
}

static void go(struct machine *m, enum ukvm_exit_kind want)
{
    need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){0}, &m->ex, &m->err));
    if (m->ex.kind != want)
        fail_msg("exit kind %d at 0x%llx (%s), not %d", m->ex.kind, (unsigned long long)m->ex.pc,
                 m->ex.msg, want);
}

static void step(struct machine *m, enum ukvm_exit_kind want)
{
    need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){.step = true}, &m->ex, &m->err));
    if (m->ex.kind != want)
        fail_msg("step: exit kind %d at 0x%llx (%s), not %d", m->ex.kind,
                 (unsigned long long)m->ex.pc, m->ex.msg, want);
}

static uint64_t rip(struct machine *m)
{
    return get(m, UKVM_GPR).rip;
}

/* --- exits ------------------------------------------------------------------------- */

GUEST(two_calls, "mov $0x501, %edx; mov $7, %eax; out %eax, %dx; inc %edx; inc %eax;"
                 "out %eax, %dx; inc %ebx; hlt");

static void test_hypercall(void **state)
{
    struct machine *m = MACHINE(two_calls);
    (void)state;

    go(m, UKVM_EXIT_HYPERCALL);
    assert_int_equal(m->ex.nr, 1);
    assert_int_equal(m->ex.gpa, 7);
    assert_int_equal(m->ex.pc, CODE + 10);
    assert_int_equal(m->ex.next, CODE + 11);
    for (int i = 0; i < 3; i++) { /* settling is idempotent, and nothing more runs */
        struct ukvm_x86_state st = get(m, UKVM_GPR);
        assert_int_equal(st.rip, CODE + 11);
        assert_int_equal(st.gpr[UKVM_RAX], 7);
    }
    go(m, UKVM_EXIT_HYPERCALL); /* not settled this time, until later */
    assert_int_equal(m->ex.nr, 2);
    assert_int_equal(m->ex.gpa, 8);
    assert_int_equal(m->ex.pc, CODE + 15);
    assert_int_equal(m->ex.next, CODE + 16);
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(m->ex.pc, CODE + 18);
    assert_int_equal(m->ex.next, CODE + 19);
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RBX], 1);
    done(m);
}

/* What a stop does: pc back to the hypercall, which is then made again. */
static void test_call_made_again(void **state)
{
    struct machine *m = MACHINE(two_calls);
    (void)state;

    for (int i = 0; i < 3; i++) {
        go(m, UKVM_EXIT_HYPERCALL);
        assert_int_equal(m->ex.pc, CODE + 10);
        struct ukvm_x86_state st = get(m, UKVM_GPR);
        st.rip = m->ex.pc;
        set(m, UKVM_GPR, &st);
        assert_int_equal(rip(m), CODE + 10);
    }
    done(m);
}

GUEST(in_port, "mov $0x60, %edx; in (%dx), %al; in (%dx), %eax; hlt");

static void test_in(void **state)
{
    struct machine *m = MACHINE(in_port);
    (void)state;

    go(m, UKVM_EXIT_IO);
    assert_int_equal(m->ex.addr, 0x60);
    assert_int_equal(m->ex.len, 1);
    assert_false(m->ex.write);
    assert_int_equal(m->ex.pc, CODE + 5);
    assert_int_equal(m->ex.next, CODE + 6);
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RAX], 0xff); /* as from no device */
    go(m, UKVM_EXIT_IO);
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RAX], 0xffffffff);
    done(m);
}

GUEST(undefined, "nop; ud2");

static void test_triple_fault(void **state)
{
    struct machine *m = MACHINE(undefined);
    struct ukvm_x86_state st = get(m, UKVM_SYS);
    (void)state;

    go(m, UKVM_EXIT_HALT); /* #UD's handler */
    assert_int_equal(m->ex.pc, STUBS + 6);
    done(m);

    m = MACHINE(undefined);
    st.idt.limit = 0;
    set(m, UKVM_SYS, &st);
    go(m, UKVM_EXIT_SHUTDOWN);
    done(m);
}

/* --- state -------------------------------------------------------------------------- */

static void fill(void *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static void test_state_both_ways(void **state)
{
    struct machine *m = MACHINE(two_calls);
    struct ukvm_x86_state st = get(m, UKVM_ALL), got;
    (void)state;

    assert_int_equal(st.mxcsr, 0x1f80); /* of a fresh vCPU */
    assert_int_equal(st.fcw, 0x37f);
    fill(st.gpr, sizeof(st.gpr), 1);
    fill(st.xmm, sizeof(st.xmm), 2);
    for (int i = 0; i < 8; i++)
        fill(st.st[i], 10, 3 + (unsigned)i);
    st.rip = CODE + 5;
    st.rflags = 0x8d7; /* CF PF AF ZF SF OF */
    st.fcw = 0x27f;
    st.fsw = 0x3800;
    st.ftw = 0xa5;
    st.mxcsr = 0x1fa0;
    st.cr2 = 0x123456789a;
    st.dr[0] = CODE;
    st.dr[3] = DATA;
    st.seg[UKVM_FS].base = 0x1122334455;
    st.seg[UKVM_GS].base = 0xffff800000001000;
    st.gdt = (struct ukvm_x86_table){DATA, 0x47, 0};
    st.seg[UKVM_TR] = (struct ukvm_x86_seg){DATA + 0x100, 0x67, 0x20, 0x8b};
    st.kernel_gs_base = 0x1234000;
    st.star = 0x0010000800000000;
    st.lstar = CODE;
    st.sfmask = 0x700;
    st.sysenter_eip = CODE;
    st.tsc = 1ull << 40;
    st.intr_shadow = 1;
    set(m, UKVM_ALL, &st);
    got = get(m, UKVM_ALL);
    assert_true(got.tsc >= st.tsc && got.tsc - st.tsc < 1ull << 36);
    got.tsc = st.tsc;
    for (size_t i = 0; i < sizeof(st); i++)
        if (((uint8_t *)&got)[i] != ((uint8_t *)&st)[i])
            fail_msg("state differs at offset %zu: 0x%x, not 0x%x", i, ((uint8_t *)&got)[i],
                     ((uint8_t *)&st)[i]);
    st = start_state();
    st.exc_pending = 1; /* delivered when the guest goes on */
    st.exc_vector = 13;
    st.exc_has_code = 1;
    st.exc_code = 0x18;
    set(m, UKVM_GPR | UKVM_SYS | UKVM_EVENT, &st);
    got = get(m, UKVM_EVENT);
    assert_int_equal(got.exc_pending, 1);
    assert_int_equal(got.exc_vector, 13);
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(m->ex.pc, STUBS + 13);
    assert_int_equal(peek(m, get(m, UKVM_GPR).gpr[UKVM_RSP]), 0x18);
    done(m);
}

GUEST(read_tsc, "rdtsc; mov $0x501, %edx; out %eax, %dx; jmp read_tsc");

static void test_tsc(void **state)
{
    static const uint64_t values[] = {1ull << 40, 1ull << 33, 1000, 1000, 2000000, 0};
    struct machine *m = MACHINE(read_tsc);
    struct ukvm_error err;
    uint64_t hz = m->hv.ops->tsc_hz(&m->hv, &err);
    (void)state;

    assert_true(hz > 1000000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct ukvm_x86_state st = get(m, UKVM_MSR);

        st.tsc = values[i];
        set(m, UKVM_MSR, &st);
        go(m, UKVM_EXIT_HYPERCALL);
        uint64_t tsc = get(m, UKVM_MSR).tsc;
        if (tsc < values[i] || tsc - values[i] > 2 * hz)
            fail_msg("TSC set to %llu, then %llu", (unsigned long long)values[i],
                     (unsigned long long)tsc);
        assert_true((uint32_t)(m->ex.gpa - values[i]) < 2 * hz);
    }
    done(m);
}

GUEST(float_code, "movq %rax, %xmm3; fld1; fldpi; fmulp; cvtsi2sd %ecx, %xmm1; mulsd %xmm1, %xmm1;"
                  "mov $0x501, %edx; out %eax, %dx");

static void test_float(void **state)
{
    struct machine *m = MACHINE(float_code);
    struct ukvm_x86_state st = get(m, UKVM_GPR);
    double d;
    (void)state;

    st.gpr[UKVM_RAX] = 0x1122334455667788;
    st.gpr[UKVM_RCX] = 12;
    set(m, UKVM_GPR, &st);
    go(m, UKVM_EXIT_HYPERCALL);
    st = get(m, UKVM_FPU);
    assert_memory_equal(st.xmm[3], "\x88\x77\x66\x55\x44\x33\x22\x11\0\0\0\0\0\0\0\0", 16);
    memcpy(&d, st.xmm[1], sizeof(d));
    assert_true(d == 144.0);
    assert_memory_equal(st.st[0], "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10); /* pi */
    assert_int_equal(st.ftw, 0x80);
    done(m);
}

/* --- views --------------------------------------------------------------------------- */

static void protect(struct machine *m, ukvm_gpa_t gpa, size_t len, unsigned prot)
{
    need(m, m->hv.ops->protect(&m->hv, gpa, len, prot, &m->err));
}

GUEST(stores, "mov $0xa008, %edi; mov (%rdi), %eax; movl $0x11223344, (%rdi); mov %r8, 8(%rdi);"
              "stosb; mov $0xa800, %esp; push %rax; inc %ebx; hlt");

static void test_read_only(void **state)
{
    /* Offset of each store, bytes, gpa. */
    static const struct {
        unsigned at, len;
        uint64_t gpa, data;
    } rows[] = {{7, 4, DATA + 8, 0x11223344},
                {13, 8, DATA + 16, 0x8877665544332211},
                {17, 1, DATA + 8, 0x99},
                {23, 8, DATA + 0x7f8, 0x99}};
    struct machine *m = MACHINE(stores);
    struct ukvm_x86_state st = get(m, UKVM_GPR);
    (void)state;

    st.gpr[UKVM_R8] = 0x8877665544332211;
    set(m, UKVM_GPR, &st);
    put(m, DATA + 8, 0x99);
    protect(m, DATA, 0x1000, UKVM_PROT_R);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        go(m, UKVM_EXIT_PROT);
        assert_int_equal(m->ex.pc, CODE + rows[i].at);
        assert_int_equal(m->ex.addr, rows[i].gpa);
        assert_int_equal(m->ex.len, rows[i].len);
        assert_int_equal(m->ex.data, rows[i].data);
        assert_true(m->ex.write);
        assert_int_equal(peek(m, DATA + 8), 0x99);
        assert_int_equal(rip(m), m->ex.next);
    }
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RBX], 1);

    /* Back to the first, then with the right to write. */
    st = get(m, UKVM_GPR);
    st.rip = CODE;
    set(m, UKVM_GPR, &st);
    go(m, UKVM_EXIT_PROT);
    st = get(m, UKVM_GPR);
    st.rip = m->ex.pc;
    set(m, UKVM_GPR, &st);
    protect(m, DATA, 0x1000, UKVM_PROT_R | UKVM_PROT_W);
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(peek(m, DATA + 16), 0x8877665544332211);
    done(m);
}

GUEST(split, "movaps %xmm0, 0xa010; inc %ebx; hlt");

static void test_store_in_two_exits(void **state)
{
    struct machine *m = MACHINE(split);
    (void)state;

    protect(m, DATA, 0x1000, UKVM_PROT_R);
    go(m, UKVM_EXIT_PROT);
    assert_int_equal(m->ex.pc, CODE);
    struct ukvm_x86_state st = get(m, UKVM_GPR); /* both are completed, nothing more */
    assert_int_equal(st.rip, CODE + 8);
    assert_int_equal(st.gpr[UKVM_RBX], 0);
    go(m, UKVM_EXIT_HALT);
    done(m);
}

GUEST(holes, "mov 0xa000, %eax; mov %eax, 0x20000; hlt");

static void test_no_memory(void **state)
{
    struct machine *m = MACHINE(holes);
    (void)state;

    put(m, DATA, 0x5566);
    protect(m, DATA, 0x1000, 0);
    go(m, UKVM_EXIT_PROT);
    assert_false(m->ex.write);
    assert_int_equal(m->ex.addr, DATA);
    assert_int_equal(m->ex.pc, CODE);
    go(m, UKVM_EXIT_PROT); /* beyond memory, but mapped */
    assert_true(m->ex.write);
    assert_int_equal(m->ex.addr, 0x20000);
    assert_int_equal(m->ex.data, 0x5566);
    assert_int_equal(m->ex.pc, CODE + 7);
    done(m);
}

GUEST(no_emulation, "nop; addps 0x20000, %xmm0; hlt");

static void test_not_emulated(void **state)
{
    struct machine *m = MACHINE(no_emulation);
    (void)state;

    go(m, UKVM_EXIT_UNKNOWN);
    assert_int_equal(m->ex.pc, CODE + 1);
    assert_true(m->ex.insn_len >= 8);
    assert_memory_equal(m->ex.insn, no_emulation + 1, 8);
    struct ukvm_x86_state st = get(m, UKVM_GPR); /* the vCPU stays usable */
    st.rip += 8;
    set(m, UKVM_GPR, &st);
    go(m, UKVM_EXIT_HALT);
    done(m);
}

/* --- steps --------------------------------------------------------------------------- */

GUEST(steps, "nop; mov $0x501, %edx; out %eax, %dx; inc %ebx; pushf; popf; mov $16, %ecx;"
             "mov %ecx, %ss; inc %ebx; sti; cli; jmp 1f; 1: hlt");

static void test_steps(void **state)
{
    static const struct {
        enum ukvm_exit_kind kind;
        unsigned next;
    } rows[] = {
        {UKVM_EXIT_STEP, 1},  {UKVM_EXIT_STEP, 6},  {UKVM_EXIT_HYPERCALL, 7}, {UKVM_EXIT_STEP, 9},
        {UKVM_EXIT_STEP, 10}, {UKVM_EXIT_STEP, 11}, {UKVM_EXIT_STEP, 16},     {UKVM_EXIT_STEP, 18},
        {UKVM_EXIT_STEP, 20}, {UKVM_EXIT_STEP, 21}, {UKVM_EXIT_STEP, 22},     {UKVM_EXIT_STEP, 24},
        {UKVM_EXIT_HALT, 25},
    };
    struct machine *m = MACHINE(steps);
    uint8_t before[MEM_SIZE - CODE];
    (void)state;

    memcpy(before, m->hv.mem + CODE, 0x100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        step(m, rows[i].kind);
        if (rip(m) != CODE + rows[i].next)
            fail_msg("step %zu: at 0x%llx, not 0x%x", i, (unsigned long long)rip(m),
                     CODE + rows[i].next);
        assert_int_equal(m->ex.next, CODE + rows[i].next);
        assert_false(get(m, UKVM_GPR).rflags & UKVM_RFLAGS_TF);
        if (rows[i].next == 10)
            assert_int_equal(peek(m, STACK_TOP - 8) & UKVM_RFLAGS_TF, 0);
        assert_memory_equal(before, m->hv.mem + CODE, 0x100);
    }
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RBX], 2);
    done(m);
}

static void test_step_onto_fault(void **state)
{
    struct machine *m = MACHINE(undefined);
    (void)state;

    step(m, UKVM_EXIT_STEP);
    step(m, UKVM_EXIT_STEP);
    uint64_t at = rip(m); /* the handler, at most an instruction into it */
    assert_true(at == STUBS + 6);
    assert_int_equal(m->hv.mem[STUBS + 6], 0xf4);
    assert_int_equal(peek(m, get(m, UKVM_GPR).gpr[UKVM_RSP]), CODE + 1);
    step(m, UKVM_EXIT_HALT); /* its own HLT is one */
    assert_int_equal(m->ex.pc, STUBS + 6);
    done(m);
}

GUEST(repeat, "mov $0xa000, %edi; mov $3, %ecx; rep stosb; hlt");

/* A step of a repeated instruction is one iteration: pc stands until it is complete. */
static void test_step_repeat(void **state)
{
    struct machine *m = MACHINE(repeat);
    int n = 0;
    (void)state;

    step(m, UKVM_EXIT_STEP);
    step(m, UKVM_EXIT_STEP);
    do
        step(m, UKVM_EXIT_STEP);
    while (n++ < 10 && rip(m) == CODE + 10);
    assert_int_equal(n, 3);
    assert_int_equal(rip(m), CODE + 12);
    done(m);
}

static void test_step_then_run(void **state)
{
    struct machine *m = MACHINE(two_calls);
    (void)state;

    for (int i = 0; i < 4; i++)
        step(m, i == 2 ? UKVM_EXIT_HYPERCALL : UKVM_EXIT_STEP);
    go(m, UKVM_EXIT_HYPERCALL);
    go(m, UKVM_EXIT_HALT);
    assert_int_equal(get(m, UKVM_GPR).gpr[UKVM_RBX], 1);
    done(m);
}

/* --- interrupts -------------------------------------------------------------------- */

GUEST(spin, "1: inc %rbx; jmp 1b");
GUEST(call_loop, "mov $0x501, %edx; 1: out %eax, %dx; inc %rbx; jmp 1b");

static void test_interrupt_before(void **state)
{
    struct machine *m = MACHINE(spin);
    (void)state;

    m->hv.ops->interrupt(&m->hv);
    m->hv.ops->interrupt(&m->hv);
    go(m, UKVM_EXIT_INTERRUPT);
    assert_int_equal(m->ex.pc, CODE);
    step(m, UKVM_EXIT_STEP); /* it is spent */
    m->hv.ops->interrupt(&m->hv);
    step(m, UKVM_EXIT_INTERRUPT);
    step(m, UKVM_EXIT_STEP);
    done(m);
}

struct kicker {
    struct machine *m;
    atomic_int runs, want; /* how often the owner came back; how often to kick */
};

static void *kick(void *arg)
{
    struct kicker *k = arg;
    unsigned seed = 1;

    for (int i = 0; i < atomic_load(&k->want); i++) {
        usleep((seed = seed * 1103515245u + 12345u, seed >> 16) % 200);
        k->m->hv.ops->interrupt(&k->m->hv);
        while (atomic_load(&k->runs) <= i)
            sched_yield();
    }
    return NULL;
}

/* Each of many kicks at a random time ends the guest, whether it spins or calls. */
static void kicks(const uint8_t *code, const uint8_t *end, bool held)
{
    struct machine *m = machine(code, end);
    struct kicker k = {.m = m};
    sigset_t before, after, pending;
    pthread_t t;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    atomic_store(&k.want, 200);
    if (held)
        need(m, uk_kvm_enter(&m->hv, &m->err));
    assert_int_equal(pthread_create(&t, NULL, kick, &k), 0);
    while (atomic_load(&k.runs) < 200) {
        need(m, m->hv.ops->run(&m->hv, &(struct ukvm_hv_run){0}, &m->ex, &m->err));
        if (m->ex.kind != UKVM_EXIT_INTERRUPT) {
            assert_int_equal(m->ex.kind, UKVM_EXIT_HYPERCALL);
            continue;
        }
        assert_int_equal(rip(m), m->ex.next);
        atomic_fetch_add(&k.runs, 1);
    }
    pthread_join(t, NULL);
    uk_kvm_leave(&m->hv);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    sigpending(&pending);
    assert_memory_equal(&before, &after, 8);
    assert_false(sigismember(&pending, SIGURG));
    done(m);
}

static void test_kick_spinning(void **state)
{
    (void)state;
    kicks(spin, spin_end, false);
    kicks(spin, spin_end, true);
}

static void test_kick_calling(void **state)
{
    (void)state;
    kicks(call_loop, call_loop_end, false);
    kicks(call_loop, call_loop_end, true);
}

static struct machine *alarmed;

static void on_alarm(int sig)
{
    (void)sig;
    alarmed->hv.ops->interrupt(&alarmed->hv);
}

static void test_interrupt_from_handler(void **state)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {0, 20000}};
    struct machine *m = MACHINE(spin);
    (void)state;

    alarmed = m;
    sigaction(SIGALRM, &sa, NULL);
    for (int i = 0; i < 3; i++) {
        setitimer(ITIMER_REAL, &soon, NULL);
        go(m, UKVM_EXIT_INTERRUPT);
    }
    signal(SIGALRM, SIG_DFL);
    done(m);
}

/* Two machines of one thread, in turns; neither's interrupt is the other's. */
static void test_two_machines(void **state)
{
    struct machine *a = MACHINE(call_loop), *b = MACHINE(call_loop);
    (void)state;

    for (int i = 0; i < 10; i++) {
        go(a, UKVM_EXIT_HYPERCALL);
        a->hv.ops->interrupt(&a->hv);
        go(b, UKVM_EXIT_HYPERCALL);
        go(a, UKVM_EXIT_INTERRUPT);
    }
    assert_int_equal(get(a, UKVM_GPR).gpr[UKVM_RBX], 9);
    done(a);
    go(b, UKVM_EXIT_HYPERCALL);
    done(b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_hypercall),
    cmocka_unit_test(test_call_made_again),
    cmocka_unit_test(test_in),
    cmocka_unit_test(test_triple_fault),
    cmocka_unit_test(test_state_both_ways),
    cmocka_unit_test(test_tsc),
    cmocka_unit_test(test_read_only),
    cmocka_unit_test(test_store_in_two_exits),
    cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_not_emulated),
    cmocka_unit_test(test_steps),
    cmocka_unit_test(test_step_onto_fault),
    cmocka_unit_test(test_step_repeat),
    cmocka_unit_test(test_step_then_run),
    cmocka_unit_test(test_interrupt_before),
    cmocka_unit_test(test_kick_spinning),
    cmocka_unit_test(test_kick_calling),
    cmocka_unit_test(test_interrupt_from_handler),
    cmocka_unit_test(test_two_machines),
};
#define NTESTS (sizeof(tests) / sizeof(tests[0]))

/* A group of its own: KVMs that interpret supervisor code can't. */
static const struct CMUnitTest float_tests[] = {cmocka_unit_test(test_float)};

static void skip_all(const struct CMUnitTest *list, size_t n, const char *why)
{
    for (size_t i = 0; i < n; i++)
        printf("ok %zu - %s # SKIP %s\n", i + 1, list[i].name, why);
    printf("1..%zu\n", n);
}

int main(void)
{
    int failed = 0;

    ukvm_hv_kvm.probe(&report);
    for (size_t i = 0; i < report.nfacts; i++)
        printf("# kvm.%s: %s\n", report.facts[i].name, report.facts[i].value);
    fflush(stdout);
    if (report.works)
        failed += cmocka_run_group_tests_name("kvm_run", tests, NULL, NULL);
    else
        skip_all(tests, NTESTS, "no-kvm");
    fflush(stdout);
    if (report.full)
        failed += cmocka_run_group_tests_name("kvm_float", float_tests, NULL, NULL);
    else
        skip_all(float_tests, 1, report.works ? "kvm-no-sse" : "no-kvm");
    return failed;
}
