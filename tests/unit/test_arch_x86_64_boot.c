/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_boot.c: the register table, row by row, and what a guest finds at
 * its entry in both layouts, byte by byte.
 */
#include "arch/x86_64/x86.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static const struct ukvm_arch *const arch = &uk_arch_x86_64;

static void test_found_by_machine(void **state)
{
    (void)state;
    assert_ptr_equal(uk_arch_find(EM_X86_64), arch);
    assert_null(uk_arch_find(EM_386));
    assert_null(uk_arch_find(0));
    for (size_t i = 0; uk_archs[i]; i++)
        assert_ptr_equal(uk_arch_find(uk_archs[i]->e_machine), uk_archs[i]);
}

/* --- registers ------------------------------------------------------------------ */

static void test_each_register(void **state)
{
    const unsigned one_group[] = {UKVM_GPR, UKVM_SYS, UKVM_FPU, UKVM_MSR, UKVM_EVENT};

    (void)state;
    for (size_t i = 0; i < arch->nregs; i++) {
        const struct ukvm_reg *r = &arch->regs[i];
        bool known = false;

        assert_true(r->name && r->feature && r->type && r->name[0]);
        assert_true(strlen(r->name) < 24); /* a snapshot's records */
        assert_int_equal(r->gdb_num, i);
        assert_true(r->size > 0 && r->size <= 16 && r->gdb_size >= r->size);
        assert_true((size_t)r->offset + r->size <= arch->state_size);
        for (size_t k = 0; k < sizeof(one_group) / sizeof(one_group[0]); k++)
            known = known || r->group == one_group[k];
        assert_true(known);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(r->name, arch->regs[k].name);
    }
}

/* What is not in the table is lost by a snapshot; what is twice has two names. */
static void test_registers_cover_the_state(void **state)
{
    static const struct {
        size_t at, len;
    } zeros[] = {
        {offsetof(struct ukvm_x86_state, rflags) + 4, 4},
        {offsetof(struct ukvm_x86_state, gdt.zero), 4},
        {offsetof(struct ukvm_x86_state, idt.zero), 4},
        {offsetof(struct ukvm_x86_state, zero), 4},
    };
    uint8_t seen[sizeof(struct ukvm_x86_state)] = {0};

    (void)state;
    for (size_t i = 0; i < arch->nregs; i++)
        for (size_t k = 0; k < arch->regs[i].size; k++)
            seen[arch->regs[i].offset + k]++;
    for (size_t i = 0; i < 8; i++) /* ST(i) has 10 bytes */
        memset(seen + offsetof(struct ukvm_x86_state, st) + 16 * i + 10, 1, 6);
    for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
        memset(seen + zeros[i].at, 1, zeros[i].len);
    for (size_t i = 0; i < sizeof(seen); i++)
        if (seen[i] != 1)
            fail_msg("byte %zu of the state is in %u rows", i, seen[i]);
}

/* GDB rejects a description whose core feature has another order or size. */
static void test_numbers_that_gdb_fixes(void **state)
{
    static const struct {
        const char *name;
        unsigned num, size;
    } fixed[] = {
        {"rax", 0, 8},        {"rbx", 1, 8},       {"rcx", 2, 8},      {"rdx", 3, 8},
        {"rsi", 4, 8},        {"rdi", 5, 8},       {"rbp", 6, 8},      {"rsp", 7, 8},
        {"r8", 8, 8},         {"r15", 15, 8},      {"rip", 0x10, 8},   {"eflags", 0x11, 4},
        {"cs", 0x12, 4},      {"ss", 0x13, 4},     {"ds", 0x14, 4},    {"es", 0x15, 4},
        {"fs", 0x16, 4},      {"gs", 0x17, 4},     {"st0", 0x18, 10},  {"st7", 0x1f, 10},
        {"fctrl", 0x20, 4},   {"fstat", 0x21, 4},  {"ftag", 0x22, 4},  {"fiseg", 0x23, 4},
        {"fioff", 0x24, 4},   {"foseg", 0x25, 4},  {"fooff", 0x26, 4}, {"fop", 0x27, 4},
        {"xmm0", 0x28, 16},   {"xmm15", 0x37, 16}, {"mxcsr", 0x38, 4}, {"fs_base", 0x39, 8},
        {"gs_base", 0x3a, 8}, {"cr0", 0x3b, 8},
    };
    static const struct {
        const char *name;
        unsigned from, to, num;
    } rows[] = {{"r", 8, 15, 8}, {"st", 0, 7, 0x18}, {"xmm", 0, 15, 0x28}};
    char name[8];

    (void)state;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        assert_string_equal(arch->regs[fixed[i].num].name, fixed[i].name);
        assert_int_equal(arch->regs[fixed[i].num].gdb_size, fixed[i].size);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned k = rows[i].from; k <= rows[i].to; k++) {
            snprintf(name, sizeof(name), "%s%u", rows[i].name, k);
            assert_string_equal(arch->regs[rows[i].num + k - rows[i].from].name, name);
        }
}

static const struct ukvm_reg *flagged(unsigned flag)
{
    const struct ukvm_reg *found = NULL;

    for (size_t i = 0; i < arch->nregs; i++)
        if (arch->regs[i].flags & flag) {
            assert_null(found);
            found = &arch->regs[i];
        }
    assert_non_null(found);
    return found;
}

static void test_registers_with_a_role(void **state)
{
    struct ukvm_x86_state st = {.rip = 0x1122334455667788, .ftw = 0xa5};
    uint64_t v = 0;

    (void)state;
    assert_string_equal(flagged(UKVM_REG_PC)->name, "rip");
    assert_string_equal(flagged(UKVM_REG_SP)->name, "rsp");
    assert_string_equal(flagged(UKVM_REG_FP)->name, "rbp");
    assert_string_equal(flagged(UKVM_REG_ARG)->name, "rax");
    assert_string_equal(flagged(UKVM_REG_FLAGS)->name, "eflags");
    assert_string_equal(flagged(UKVM_REG_TAGS)->name, "ftag");
    assert_string_equal(flagged(UKVM_REG_READONLY)->name, "ftag");
    memcpy(&v, (uint8_t *)&st + flagged(UKVM_REG_PC)->offset, 8);
    assert_true(v == st.rip);
    memcpy(&v, (uint8_t *)&st + flagged(UKVM_REG_TAGS)->offset, 2);
    assert_int_equal(v & 0xffff, 0xa5);
}

/* --- boot -------------------------------------------------------------------------- */

static struct ukvm_mem memory(size_t mib)
{
    struct ukvm_mem mem = {calloc(mib, MIB), mib * MIB};

    assert_non_null(mem.p);
    return mem;
}

static uint64_t get64(struct ukvm_mem mem, ukvm_gpa_t gpa)
{
    uint64_t v;

    memcpy(&v, mem.p + gpa, sizeof(v));
    return v;
}

static int boot(struct ukvm_mem mem, bool original, const char *cmdline, struct ukvm_x86_state *st,
                struct ukvm_error *err)
{
    struct ukvm_boot b = {
        .abi = UKVM_ABI_C,
        .low_original = original,
        .entry = 0x100040,
        .kernel_end = 0x123000,
        .tsc_hz = 2595000000,
        .cmdline = cmdline,
    };

    return arch->boot(&b, mem, (struct ukvm_state *)(void *)st, err);
}

/* Solo5 v0.3, ukvm/ukvm_cpu_x86_64.h and ukvm_hv_kvm_x86_64.c. */
static void test_original_layout(void **state)
{
    struct ukvm_mem mem = memory(64);
    struct ukvm_x86_state st;
    struct ukvm_error err;

    (void)state;
    assert_int_equal(boot(mem, true, "one two", &st, &err), UKVM_OK);
    assert_true(get64(mem, 0x1000) == 0);
    assert_true(get64(mem, 0x1008) == 0x00af99000000ffff);
    assert_true(get64(mem, 0x1010) == 0x00cf93000000ffff);
    assert_true(get64(mem, 0x2000) == 0x3003);
    assert_true(get64(mem, 0x3000) == 0x4003);
    for (unsigned i = 0; i < 512; i++)
        assert_true(get64(mem, 0x4000 + 8 * i) == (i < 32 ? i * 0x200000ull + 0x83 : 0));
    assert_true(get64(mem, 0x5000) == 64 * MIB);
    assert_true(get64(mem, 0x5008) == 0x123000);
    assert_true(get64(mem, 0x5010) == 0x6000);
    assert_true(get64(mem, 0x5018) == 2595000000);
    assert_string_equal((char *)mem.p + 0x6000, "one two");
    assert_int_equal(st.gpr[UKVM_RDI], 0x5000);
    assert_int_equal(st.gdt.base, 0x1000);
    free(mem.p);
}

static void test_default_layout(void **state)
{
    struct ukvm_mem mem = memory(64);
    struct ukvm_x86_state st;
    struct ukvm_error err;

    (void)state;
    assert_int_equal(boot(mem, false, "one two", &st, &err), UKVM_OK);
    assert_true(get64(mem, 0x2000) == 0x3023);
    assert_true(get64(mem, 0x3000) == 0x4023);
    assert_true(get64(mem, 0x4000) == 0x5023);
    for (unsigned i = 1; i < 512; i++)
        assert_true(get64(mem, 0x4000 + 8 * i) == (i < 32 ? i * 0x200000ull + 0xe3 : 0));
    for (unsigned i = 0; i < 512; i++)
        assert_true(get64(mem, 0x5000 + 8 * i) == (i < 16 ? 0 : i * 0x1000ull + 0x63));
    assert_true(get64(mem, 0x10000) == 64 * MIB);
    assert_true(get64(mem, 0x10008) == 0x123000);
    assert_true(get64(mem, 0x10010) == 0x11000);
    assert_true(get64(mem, 0x10018) == 2595000000);
    assert_string_equal((char *)mem.p + 0x11000, "one two");
    assert_true(get64(mem, 0x13008) == 0x00af99000000ffff);
    assert_true(get64(mem, 0x13010) == 0x00cf93000000ffff);
    assert_int_equal(st.gpr[UKVM_RDI], 0x10000);
    assert_int_equal(st.gdt.base, 0x13000);
    free(mem.p);
}

static void check_segments(const struct ukvm_x86_state *st)
{
    for (unsigned i = UKVM_ES; i <= UKVM_GS; i++) {
        assert_int_equal(st->seg[i].selector, i == UKVM_CS ? 0x08 : 0x10);
        assert_int_equal(st->seg[i].base, 0);
        assert_int_equal(st->seg[i].limit, 0xffffffff);
        /* CS: type 9, S, P, L, G. Others: type 3, S, P, DB, G. */
        assert_int_equal(st->seg[i].attr, i == UKVM_CS ? 0xa099 : 0xc093);
    }
    assert_int_equal(st->seg[UKVM_TR].attr, 0x8b);
    assert_int_equal(st->seg[UKVM_TR].limit, 0);
    assert_int_equal(st->seg[UKVM_LDTR].attr, UKVM_SEG_UNUSABLE);
}

static void test_start_state(void **state)
{
    struct ukvm_mem mem = memory(4);
    struct ukvm_x86_state st;
    struct ukvm_error err;

    (void)state;
    memset(&st, 0xff, sizeof(st));
    assert_int_equal(boot(mem, false, "", &st, &err), UKVM_OK);
    for (unsigned i = 0; i < 16; i++)
        if (i != UKVM_RDI && i != UKVM_RSP)
            assert_int_equal(st.gpr[i], 0);
    assert_int_equal(st.rip, 0x100040);
    assert_int_equal(st.rflags, 2);
    assert_int_equal(st.gpr[UKVM_RSP], 4 * MIB - 8);
    assert_int_equal(st.cr0, 0x80000021);
    assert_int_equal(st.cr3, 0x2000);
    assert_int_equal(st.cr4, 0x620);
    assert_int_equal(st.efer, 0x500);
    assert_int_equal(st.gdt.limit, 23);
    assert_int_equal(st.idt.base | st.idt.limit, 0);
    assert_int_equal(st.fcw, 0x37f);
    assert_int_equal(st.mxcsr, 0x1f80);
    assert_int_equal(st.ftw, 0);
    assert_int_equal(st.dr6, 0xffff0ff0);
    assert_int_equal(st.dr7, 0x400);
    assert_true(st.pat == 0x0007040600070406);
    assert_int_equal(st.exc_pending, 0);
    check_segments(&st);
    free(mem.p);
}

/* The walk, too, sees what was meant: nothing below 64 KiB, memory one to one above. */
static void test_walks_of_the_layouts(void **state)
{
    struct ukvm_mem mem = memory(8);
    struct ukvm_x86_state st;
    struct ukvm_error err;
    struct ukvm_walk w;

    (void)state;
    for (int original = 0; original < 2; original++) {
        memset(mem.p, 0, mem.size);
        assert_int_equal(boot(mem, original, "", &st, &err), UKVM_OK);
        for (uint64_t gva = 0; gva < 10 * MIB; gva += 0x1000) {
            bool want = gva < 8 * MIB && (original || gva >= arch->hole);

            arch->walk((struct ukvm_state *)(void *)&st, mem, gva, UKVM_ACCESS_WRITE, &w);
            assert_int_equal(w.ok, want);
            assert_int_equal(w.mapped, want);
            if (want)
                assert_int_equal(w.gpa, gva);
        }
    }
    free(mem.p);
}

static void test_command_line_limits(void **state)
{
    struct ukvm_mem mem = memory(2);
    struct ukvm_x86_state st;
    struct ukvm_error err;
    char *line = malloc(UKVM_CMDLINE_MAX + 2);

    (void)state;
    memset(line, 'x', UKVM_CMDLINE_MAX + 1);
    line[UKVM_CMDLINE_MAX + 1] = '\0';
    for (int original = 0; original < 2; original++) {
        assert_int_equal(boot(mem, original, line, &st, &err), UKVM_EINVAL);
        assert_string_equal(err.msg, "Guest command line too long: 8192 characters "
                                     "(max=8191 characters); pass fewer or shorter arguments");
        assert_int_equal(boot(mem, original, line + 1, &st, &err), UKVM_OK);
        assert_string_equal((char *)mem.p + (original ? 0x6000 : 0x11000), line + 1);
    }
    /* The longest does not reach the boot GDT. */
    assert_true(get64(mem, 0x13000) == 0 && get64(mem, 0x13008) == 0x00af99000000ffff);
    free(line);
    free(mem.p);
}

static void test_memory_sizes(void **state)
{
    struct ukvm_mem mem = memory(4);
    struct ukvm_x86_state st;
    struct ukvm_error err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const size_t sizes[] = {MIB, 3 * MIB, 1026 * MIB};

        mem.size = sizes[i];
        assert_int_equal(boot(mem, false, "", &st, &err), UKVM_EINVAL);
        assert_non_null(strstr(err.msg, "--mem=512"));
    }
    mem.size = 1024 * MIB; /* tables are all that is touched */
    assert_int_equal(boot(mem, false, "", &st, &err), UKVM_OK);
    assert_true(get64(mem, 0x4000 + 8 * 511) == 511 * 0x200000ull + 0xe3);
    free(mem.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_machine),
        cmocka_unit_test(test_each_register),
        cmocka_unit_test(test_registers_cover_the_state),
        cmocka_unit_test(test_numbers_that_gdb_fixes),
        cmocka_unit_test(test_registers_with_a_role),
        cmocka_unit_test(test_original_layout),
        cmocka_unit_test(test_default_layout),
        cmocka_unit_test(test_start_state),
        cmocka_unit_test(test_walks_of_the_layouts),
        cmocka_unit_test(test_command_line_limits),
        cmocka_unit_test(test_memory_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
