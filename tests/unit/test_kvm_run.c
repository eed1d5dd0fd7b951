/* SPDX-License-Identifier: ISC */
/*
 * test_kvm_run.c: the KVM backend on a KVM: exits, settling, state both ways, views.
 * Where /dev/kvm is missing, tests/e2e/nested_kvm.sh runs this program under emulation.
 */
#include "tests/support/kvm_guest.h"

#include <string.h>

/* --- exits ------------------------------------------------------------------------- */

GUEST(two_calls, "mov $0x501, %edx; mov $7, %eax; out %eax, %dx; inc %edx; inc %eax;"
                 "out %eax, %dx; inc %ebx; hlt");

static void test_hypercall(void **state)
{
    struct kvm_machine *m = MACHINE(two_calls);
    (void)state;

    kvm_go(m, UKVM_EXIT_HYPERCALL);
    assert_int_equal(m->ex.nr, 1);
    assert_int_equal(m->ex.gpa, 7);
    assert_int_equal(m->ex.pc, CODE + 10);
    assert_int_equal(m->ex.next, CODE + 11);
    for (int i = 0; i < 3; i++) { /* settling is idempotent, and nothing more runs */
        struct ukvm_x86_state st = kvm_get(m, UKVM_GPR);
        assert_int_equal(st.rip, CODE + 11);
        assert_int_equal(st.gpr[UKVM_RAX], 7);
    }
    kvm_go(m, UKVM_EXIT_HYPERCALL); /* not settled this time, until later */
    assert_int_equal(m->ex.nr, 2);
    assert_int_equal(m->ex.gpa, 8);
    assert_int_equal(m->ex.pc, CODE + 15);
    assert_int_equal(m->ex.next, CODE + 16);
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(m->ex.pc, CODE + 18);
    assert_int_equal(m->ex.next, CODE + 19);
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RBX], 1);
    kvm_done(m);
}

/* What a stop does: pc back to the hypercall, which is then made again. */
static void test_call_made_again(void **state)
{
    struct kvm_machine *m = MACHINE(two_calls);
    (void)state;

    for (int i = 0; i < 3; i++) {
        kvm_go(m, UKVM_EXIT_HYPERCALL);
        assert_int_equal(m->ex.pc, CODE + 10);
        struct ukvm_x86_state st = kvm_get(m, UKVM_GPR);
        st.rip = m->ex.pc;
        kvm_set(m, UKVM_GPR, &st);
        assert_int_equal(kvm_rip(m), CODE + 10);
    }
    kvm_done(m);
}

GUEST(in_port, "mov $0x60, %edx; in (%dx), %al; in (%dx), %eax; hlt");

static void test_in(void **state)
{
    struct kvm_machine *m = MACHINE(in_port);
    (void)state;

    kvm_go(m, UKVM_EXIT_IO);
    assert_int_equal(m->ex.addr, 0x60);
    assert_int_equal(m->ex.len, 1);
    assert_false(m->ex.write);
    assert_int_equal(m->ex.pc, CODE + 5);
    assert_int_equal(m->ex.next, CODE + 6);
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RAX], 0xff); /* as from no device */
    kvm_go(m, UKVM_EXIT_IO);
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RAX], 0xffffffff);
    kvm_done(m);
}

GUEST(undefined, "nop; ud2");

static void test_triple_fault(void **state)
{
    struct kvm_machine *m = MACHINE(undefined);
    struct ukvm_x86_state st = kvm_get(m, UKVM_SYS);
    (void)state;

    kvm_go(m, UKVM_EXIT_HALT); /* #UD's handler */
    assert_int_equal(m->ex.pc, STUBS + 6);
    kvm_done(m);

    m = MACHINE(undefined);
    st.idt.limit = 0;
    kvm_set(m, UKVM_SYS, &st);
    kvm_go(m, UKVM_EXIT_SHUTDOWN);
    kvm_done(m);
}

/* --- state -------------------------------------------------------------------------- */

static void fill(void *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static void test_state_both_ways(void **state)
{
    struct kvm_machine *m = MACHINE(two_calls);
    struct ukvm_x86_state st = kvm_get(m, UKVM_ALL), got;
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
    kvm_set(m, UKVM_ALL, &st);
    got = kvm_get(m, UKVM_ALL);
    assert_true(got.tsc >= st.tsc && got.tsc - st.tsc < 1ull << 36);
    got.tsc = st.tsc;
    for (size_t i = 0; i < sizeof(st); i++)
        if (((uint8_t *)&got)[i] != ((uint8_t *)&st)[i])
            fail_msg("state differs at offset %zu: 0x%x, not 0x%x", i, ((uint8_t *)&got)[i],
                     ((uint8_t *)&st)[i]);
    st = kvm_start_state();
    st.exc_pending = 1; /* delivered when the guest goes on */
    st.exc_vector = 13;
    st.exc_has_code = 1;
    st.exc_code = 0x18;
    kvm_set(m, UKVM_GPR | UKVM_SYS | UKVM_EVENT, &st);
    got = kvm_get(m, UKVM_EVENT);
    assert_int_equal(got.exc_pending, 1);
    assert_int_equal(got.exc_vector, 13);
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(m->ex.pc, STUBS + 13);
    assert_int_equal(kvm_peek(m, kvm_get(m, UKVM_GPR).gpr[UKVM_RSP]), 0x18);
    kvm_done(m);
}

GUEST(read_tsc, "rdtsc; mov $0x501, %edx; out %eax, %dx; jmp read_tsc");

static void test_tsc(void **state)
{
    static const uint64_t values[] = {1ull << 40, 1ull << 33, 1000, 1000, 2000000, 0};
    struct kvm_machine *m = MACHINE(read_tsc);
    struct ukvm_error err;
    uint64_t hz = m->hv.ops->tsc_hz(&m->hv, &err);
    (void)state;

    assert_true(hz > 1000000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct ukvm_x86_state st = kvm_get(m, UKVM_MSR);

        st.tsc = values[i];
        kvm_set(m, UKVM_MSR, &st);
        kvm_go(m, UKVM_EXIT_HYPERCALL);
        uint64_t tsc = kvm_get(m, UKVM_MSR).tsc;
        if (tsc < values[i] || tsc - values[i] > 2 * hz)
            fail_msg("TSC set to %llu, then %llu", (unsigned long long)values[i],
                     (unsigned long long)tsc);
        assert_true((uint32_t)(m->ex.gpa - values[i]) < 2 * hz);
    }
    kvm_done(m);
}

GUEST(float_code, "movq %rax, %xmm3; fld1; fldpi; fmulp; cvtsi2sd %ecx, %xmm1; mulsd %xmm1, %xmm1;"
                  "mov $0x501, %edx; out %eax, %dx");

static void test_float(void **state)
{
    struct kvm_machine *m = MACHINE(float_code);
    struct ukvm_x86_state st = kvm_get(m, UKVM_GPR);
    double d;
    (void)state;

    st.gpr[UKVM_RAX] = 0x1122334455667788;
    st.gpr[UKVM_RCX] = 12;
    kvm_set(m, UKVM_GPR, &st);
    kvm_go(m, UKVM_EXIT_HYPERCALL);
    st = kvm_get(m, UKVM_FPU);
    assert_memory_equal(st.xmm[3], "\x88\x77\x66\x55\x44\x33\x22\x11\0\0\0\0\0\0\0\0", 16);
    memcpy(&d, st.xmm[1], sizeof(d));
    assert_true(d == 144.0);
    assert_memory_equal(st.st[0], "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10); /* pi */
    assert_int_equal(st.ftw, 0x80);
    kvm_done(m);
}

/* --- views --------------------------------------------------------------------------- */

static void protect(struct kvm_machine *m, ukvm_gpa_t gpa, size_t len, unsigned prot)
{
    kvm_need(m, m->hv.ops->protect(&m->hv, gpa, len, prot, &m->err));
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
    struct kvm_machine *m = MACHINE(stores);
    struct ukvm_x86_state st = kvm_get(m, UKVM_GPR);
    (void)state;

    st.gpr[UKVM_R8] = 0x8877665544332211;
    kvm_set(m, UKVM_GPR, &st);
    kvm_put(m, DATA + 8, 0x99);
    protect(m, DATA, 0x1000, UKVM_PROT_R);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        kvm_go(m, UKVM_EXIT_PROT);
        assert_int_equal(m->ex.pc, CODE + rows[i].at);
        assert_int_equal(m->ex.addr, rows[i].gpa);
        assert_int_equal(m->ex.len, rows[i].len);
        assert_int_equal(m->ex.data, rows[i].data);
        assert_true(m->ex.write);
        assert_int_equal(kvm_peek(m, DATA + 8), 0x99);
        assert_int_equal(kvm_rip(m), m->ex.next);
    }
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(kvm_get(m, UKVM_GPR).gpr[UKVM_RBX], 1);

    /* Back to the first, then with the right to write. */
    st = kvm_get(m, UKVM_GPR);
    st.rip = CODE;
    kvm_set(m, UKVM_GPR, &st);
    kvm_go(m, UKVM_EXIT_PROT);
    st = kvm_get(m, UKVM_GPR);
    st.rip = m->ex.pc;
    kvm_set(m, UKVM_GPR, &st);
    protect(m, DATA, 0x1000, UKVM_PROT_R | UKVM_PROT_W);
    kvm_go(m, UKVM_EXIT_HALT);
    assert_int_equal(kvm_peek(m, DATA + 16), 0x8877665544332211);
    kvm_done(m);
}

GUEST(split, "movaps %xmm0, 0xa010; inc %ebx; hlt");

static void test_store_in_two_exits(void **state)
{
    struct kvm_machine *m = MACHINE(split);
    (void)state;

    protect(m, DATA, 0x1000, UKVM_PROT_R);
    kvm_go(m, UKVM_EXIT_PROT);
    assert_int_equal(m->ex.pc, CODE);
    struct ukvm_x86_state st = kvm_get(m, UKVM_GPR); /* both are completed, nothing more */
    assert_int_equal(st.rip, CODE + 8);
    assert_int_equal(st.gpr[UKVM_RBX], 0);
    kvm_go(m, UKVM_EXIT_HALT);
    kvm_done(m);
}

GUEST(holes, "mov 0xa000, %eax; mov %eax, 0x20000; hlt");

static void test_no_memory(void **state)
{
    struct kvm_machine *m = MACHINE(holes);
    (void)state;

    kvm_put(m, DATA, 0x5566);
    protect(m, DATA, 0x1000, 0);
    kvm_go(m, UKVM_EXIT_PROT);
    assert_false(m->ex.write);
    assert_int_equal(m->ex.addr, DATA);
    assert_int_equal(m->ex.pc, CODE);
    kvm_go(m, UKVM_EXIT_PROT); /* beyond memory, but mapped */
    assert_true(m->ex.write);
    assert_int_equal(m->ex.addr, 0x20000);
    assert_int_equal(m->ex.data, 0x5566);
    assert_int_equal(m->ex.pc, CODE + 7);
    kvm_done(m);
}

GUEST(no_emulation, "nop; addps 0x20000, %xmm0; hlt");

static void test_not_emulated(void **state)
{
    struct kvm_machine *m = MACHINE(no_emulation);
    (void)state;

    kvm_go(m, UKVM_EXIT_UNKNOWN);
    assert_int_equal(m->ex.pc, CODE + 1);
    assert_true(m->ex.insn_len >= 8);
    assert_memory_equal(m->ex.insn, no_emulation + 1, 8);
    struct ukvm_x86_state st = kvm_get(m, UKVM_GPR); /* the vCPU stays usable */
    st.rip += 8;
    kvm_set(m, UKVM_GPR, &st);
    kvm_go(m, UKVM_EXIT_HALT);
    kvm_done(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    /* KVMs that interpret supervisor code can't. */
    const struct CMUnitTest float_tests[] = {cmocka_unit_test(test_float)};

    return KVM_RUN_GROUP("kvm_run", tests, false) + KVM_RUN_GROUP("kvm_float", float_tests, true);
}
