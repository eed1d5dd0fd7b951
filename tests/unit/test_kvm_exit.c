/* SPDX-License-Identifier: ISC */
/*
 * test_kvm_exit.c: what the KVM backend makes of struct kvm_run, and of the views
 * asked for; needs no KVM. Where RIP stands is as measured on Linux 6.1 and 6.18.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MEM_SIZE 0x10000u
#define PC       0x7000u
#define IO_DATA  4096u /* offset of the data page */

static uint8_t mem[MEM_SIZE];
static union {
    struct kvm_run run;
    uint8_t bytes[2 * 4096];
} u;

/* A run that exited for (reason) with (code) at PC and RIP at PC + (past). */
static struct kvm_run *exited(uint32_t reason, const void *code, size_t len, size_t past)
{
    memset(&u, 0, sizeof(u));
    memset(mem, 0, sizeof(mem));
    if (len)
        memcpy(mem + PC, code, len);
    u.run.exit_reason = reason;
    u.run.s.regs.regs.rip = PC + past;
    return &u.run;
}

static struct ukvm_exit translate(enum uk_kvm_rip rule)
{
    struct ukvm_exit ex;

    uk_kvm_translate(&u.run, mem, sizeof(mem), rule, &ex);
    return ex;
}

static void set_io(unsigned port, unsigned size, bool out, uint32_t value)
{
    u.run.io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
    u.run.io.size = (uint8_t)size;
    u.run.io.port = (uint16_t)port;
    u.run.io.count = 1;
    u.run.io.data_offset = IO_DATA;
    memcpy(u.bytes + IO_DATA, &value, sizeof(value));
}

/* --- ports --------------------------------------------------------------------- */

static void test_hypercall_either_rip(void **state)
{
    static const uint8_t out[] = {0xef};
    (void)state;

    for (int past = 0; past < 2; past++) {
        exited(KVM_EXIT_IO, out, sizeof(out), (size_t)past);
        set_io(0x502, 4, true, 0x12345678);
        struct ukvm_exit ex = translate(past ? UK_KVM_RIP_PAST : UK_KVM_RIP_AT);
        assert_int_equal(ex.kind, UKVM_EXIT_HYPERCALL);
        assert_int_equal(ex.nr, 2);
        assert_int_equal(ex.gpa, 0x12345678);
        assert_int_equal(ex.pc, PC);
        assert_int_equal(ex.next, PC + 1);
    }
}

static void test_two_outs_in_a_row(void **state)
{
    static const uint8_t out[] = {0xef, 0xef};
    (void)state;

    exited(KVM_EXIT_IO, out, sizeof(out), 1);
    set_io(0x501, 4, true, 0);
    struct ukvm_exit ex = translate(UK_KVM_RIP_PAST);
    assert_int_equal(ex.pc, PC);
    ex = translate(UK_KVM_RIP_AT);
    assert_int_equal(ex.pc, PC + 1);
    assert_int_equal(ex.next, PC + 2);
}

static void test_ports_that_are_no_hypercall(void **state)
{
    static const struct {
        uint8_t code[3];
        uint8_t len;
        unsigned port, size;
        bool out;
    } rows[] = {
        {{0xee}, 1, 0x501, 1, true},       /* out dx, al */
        {{0x66, 0xef}, 2, 0x501, 2, true}, /* out dx, ax */
        {{0xed}, 1, 0x501, 4, false},      /* in eax, dx */
        {{0xe7, 0xef}, 2, 0xef, 4, true},  /* out 0xef, eax */
        {{0x66, 0xe7, 0x10}, 3, 0x10, 2, true},
        {{0xe4, 0x60}, 2, 0x60, 1, false}, /* in al, 0x60 */
        {{0xef}, 1, 0x4ff, 4, true},
        {{0xef}, 1, 0x500 + UKVM_NR_MAX, 4, true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int past = 0; past < 2; past++) {
            exited(KVM_EXIT_IO, rows[i].code, rows[i].len, rows[i].out && past ? rows[i].len : 0);
            set_io(rows[i].port, rows[i].size, rows[i].out, 0xaabbccdd);
            struct ukvm_exit ex = translate(past ? UK_KVM_RIP_PAST : UK_KVM_RIP_AT);
            assert_int_equal(ex.kind, UKVM_EXIT_IO);
            assert_int_equal(ex.addr, rows[i].port);
            assert_int_equal(ex.len, rows[i].size);
            assert_int_equal(ex.write, rows[i].out);
            assert_int_equal(
                ex.data, rows[i].out ? 0xaabbccdd & (0xffffffffu >> (32 - 8 * rows[i].size)) : 0);
            assert_int_equal(ex.pc, PC);
            assert_int_equal(ex.next, PC + rows[i].len);
        }
    }
}

static void test_rip_outside_memory(void **state)
{
    (void)state;
    exited(KVM_EXIT_IO, NULL, 0, 0);
    set_io(0x501, 4, true, 1);
    u.run.s.regs.regs.rip = ~0ull;
    assert_int_equal(translate(UK_KVM_RIP_AT).next, 0);
    assert_int_equal(translate(UK_KVM_RIP_PAST).pc, ~0ull - 1);
    u.run.s.regs.regs.rip = MEM_SIZE;
    assert_int_equal(translate(UK_KVM_RIP_AT).next, MEM_SIZE + 1);
    u.run.s.regs.regs.rip = 0;
    assert_int_equal(translate(UK_KVM_RIP_PAST).next, 0);
    u.run.s.regs.regs.rip = MEM_SIZE - 1;
    memset(mem, 0x66, sizeof(mem)); /* prefixes to the end of memory */
    u.run.io.size = 2;
    assert_int_equal(translate(UK_KVM_RIP_AT).next, MEM_SIZE);
}

/* --- the other reasons ------------------------------------------------------------ */

static void test_mmio(void **state)
{
    (void)state;
    exited(KVM_EXIT_MMIO, NULL, 0, 0);
    u.run.mmio.phys_addr = 0x5008;
    u.run.mmio.len = 4;
    u.run.mmio.is_write = 1;
    memcpy(u.run.mmio.data, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    struct ukvm_exit ex = translate(UK_KVM_RIP_AT);
    assert_int_equal(ex.kind, UKVM_EXIT_PROT);
    assert_int_equal(ex.addr, 0x5008);
    assert_int_equal(ex.len, 4);
    assert_true(ex.write);
    assert_int_equal(ex.data, 0x44332211);
    u.run.mmio.is_write = 0;
    ex = translate(UK_KVM_RIP_AT);
    assert_false(ex.write);
    assert_int_equal(ex.data, 0);
}

static void test_hlt(void **state)
{
    (void)state;
    exited(KVM_EXIT_HLT, "\xf4", 1, 1);
    struct ukvm_exit ex = translate(UK_KVM_RIP_AT);
    assert_int_equal(ex.kind, UKVM_EXIT_HALT);
    assert_int_equal(ex.pc, PC);
    assert_int_equal(ex.next, PC + 1);
}

static void test_debug(void **state)
{
    static const struct {
        uint32_t exception;
        uint64_t dr6;
        enum ukvm_exit_kind kind;
    } rows[] = {
        {1, 0xffff4ff0, UKVM_EXIT_STEP},
        {3, 0, UKVM_EXIT_BREAK},
        {1, 0xffff0ff1, UKVM_EXIT_UNKNOWN},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        exited(KVM_EXIT_DEBUG, NULL, 0, 0);
        u.run.debug.arch.exception = rows[i].exception;
        u.run.debug.arch.dr6 = rows[i].dr6;
        u.run.debug.arch.pc = PC + 2;
        struct ukvm_exit ex = translate(UK_KVM_RIP_AT);
        assert_int_equal(ex.kind, rows[i].kind);
        assert_int_equal(ex.pc, PC + 2);
        assert_int_equal(ex.next, PC + 2);
    }
}

static void test_emulation_failure(void **state)
{
    static const uint8_t mulps[] = {0x0f, 0x59, 0xc0};
    (void)state;

    exited(KVM_EXIT_INTERNAL_ERROR, mulps, sizeof(mulps), 0);
    u.run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    struct ukvm_exit ex = translate(UK_KVM_RIP_AT);
    assert_int_equal(ex.kind, UKVM_EXIT_UNKNOWN);
    assert_int_equal(ex.insn_len, 0);
    u.run.emulation_failure.ndata = 4;
    u.run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    memcpy(u.run.emulation_failure.insn_bytes, mulps, sizeof(mulps));
    u.run.emulation_failure.insn_size = 15;
    ex = translate(UK_KVM_RIP_AT);
    assert_int_equal(ex.insn_len, 15);
    assert_memory_equal(ex.insn, mulps, sizeof(mulps));
    assert_int_equal(ex.pc, PC);
    assert_int_equal(ex.raw,
                     (uint64_t)KVM_INTERNAL_ERROR_EMULATION << 32 | KVM_EXIT_INTERNAL_ERROR);
    u.run.emulation_failure.insn_size = 255; /* never beyond our array */
    assert_int_equal(translate(UK_KVM_RIP_AT).insn_len, 15);
    u.run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    assert_string_equal(translate(UK_KVM_RIP_AT).msg, "internal error 3");
}

static void test_ends(void **state)
{
    (void)state;
    exited(KVM_EXIT_SHUTDOWN, NULL, 0, 0);
    assert_int_equal(translate(UK_KVM_RIP_AT).kind, UKVM_EXIT_SHUTDOWN);
    exited(KVM_EXIT_FAIL_ENTRY, NULL, 0, 0);
    u.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
    assert_non_null(strstr(translate(UK_KVM_RIP_AT).msg, "0x80000021"));
    exited(999, NULL, 0, 0);
    assert_int_equal(translate(UK_KVM_RIP_AT).kind, UKVM_EXIT_UNKNOWN);
    assert_non_null(strstr(translate(UK_KVM_RIP_AT).msg, "(999)"));
    assert_int_equal(translate(UK_KVM_RIP_AT).raw, 999);
}

/* --- views ------------------------------------------------------------------------- */

static struct ukvm_hvb backend;
static struct ukvm_hv hv = {.mem_size = 0x10000, .b = &backend};

static void is_view(const char *want)
{
    char got[512] = "";

    for (size_t i = 0; i < backend.nview; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%x-%x%c", i ? " " : "",
                 (unsigned)backend.view[i].start >> 12, (unsigned)backend.view[i].end >> 12,
                 "nrw"[backend.view[i].access]);
    assert_string_equal(got, want);
}

static void protect(ukvm_gpa_t gpa, size_t len, unsigned prot)
{
    struct ukvm_error err;

    if (uk_kvm_protect(&hv, gpa, len, prot, &err) != UKVM_OK)
        fail_msg("%s", err.msg);
}

static void test_view(void **state)
{
    (void)state;
    uk_kvm_view_init(&hv);
    is_view("0-10w");
    protect(0x4000, 0x2000, UKVM_PROT_R | UKVM_PROT_X);
    is_view("0-4w 4-6r 6-10w");
    protect(0x6000, 0x1000, UKVM_PROT_R);
    is_view("0-4w 4-7r 7-10w");
    protect(0x5000, 0x1000, UKVM_PROT_R | UKVM_PROT_W);
    is_view("0-4w 4-5r 5-6w 6-7r 7-10w");
    protect(0x3000, 0x5000, 0);
    is_view("0-3w 3-8n 8-10w");
    protect(0, 0x3000, UKVM_PROT_R);
    protect(0xf000, 0x1000, UKVM_PROT_R);
    is_view("0-3r 3-8n 8-fw f-10r");
    protect(0, 0x10000, UKVM_PROT_W);
    is_view("0-10w");
    protect(0x5000, 0, UKVM_PROT_R);
    is_view("0-10w");
}

static void test_view_refusals(void **state)
{
    static const struct {
        ukvm_gpa_t gpa;
        size_t len;
    } bad[] = {{0x800, 0x1000},  {0x1000, 0x800},     {0x10000, 0x1000},
               {0xf000, 0x2000}, {~0xfffull, 0x2000}, {0, ~(size_t)0xfff}};
    struct ukvm_error err;
    (void)state;

    uk_kvm_view_init(&hv);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(uk_kvm_protect(&hv, bad[i].gpa, bad[i].len, UKVM_PROT_R, &err),
                         UKVM_EINVAL);
    is_view("0-10w");

    hv.mem_size = 1u << 20;
    uk_kvm_view_init(&hv);
    int rc = UKVM_OK;
    for (unsigned page = 1; rc == UKVM_OK && page < 256; page += 2)
        rc = uk_kvm_protect(&hv, page << 12, 0x1000, UKVM_PROT_R, &err);
    assert_int_equal(rc, UKVM_ELIMIT);
    assert_true(backend.nview <= UK_KVM_MAX_SLOTS);
    assert_int_equal(backend.view[backend.nview - 1].end, hv.mem_size);
    hv.mem_size = 0x10000;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hypercall_either_rip),
        cmocka_unit_test(test_two_outs_in_a_row),
        cmocka_unit_test(test_ports_that_are_no_hypercall),
        cmocka_unit_test(test_rip_outside_memory),
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_hlt),
        cmocka_unit_test(test_debug),
        cmocka_unit_test(test_emulation_failure),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_view_refusals),
    };

    return cmocka_run_group_tests_name("kvm_exit", tests, NULL, NULL);
}
