/* SPDX-License-Identifier: ISC */
/*
 * test_arch_x86_64_access.c: which memory instructions touch: hand-made rows; and all
 * opcodes of four maps, their lengths against Capstone, their accesses against what
 * Unicorn does when it runs them.
 */
#include "arch/x86_64/opcodes.h"

#include <capstone/capstone.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>
#include <cmocka.h>

#define PC      0x18000u
#define RAM     0x20000u
#define FS_BASE 0x14000u

/* Each register points somewhere else; RCX is a small count. */
static struct ukvm_x86_state start(void)
{
    struct ukvm_x86_state st = {.rip = PC};

    for (unsigned i = 0; i < 16; i++)
        st.gpr[i] = 0x1000u * (i + 1);
    st.gpr[UKVM_RCX] = 3;
    st.seg[UKVM_FS].base = FS_BASE;
    return st;
}

static size_t accesses(const struct ukvm_x86_state *st, const uint8_t *p, size_t n,
                       struct ukvm_mem_access *acc, size_t *used)
{
    return uk_x86_accesses((const struct ukvm_state *)(const void *)st, p, n, acc, 4, used);
}

/* --- an engine that runs one instruction -------------------------------------------------- */

enum { READ = 1, WRITE = 2, OURS = 4 }; /* OURS * READ, OURS * WRITE: what we say */

static struct oracle {
    uc_engine *uc;
    uc_context *start;
    uint8_t touched[RAM];
    uint32_t at[4096]; /* where bits of (touched) are set */
    size_t n;
} oracle;

static void mark(uint64_t gva, size_t len, unsigned bits)
{
    for (size_t i = 0; i < len && gva + i < RAM && bits; i++) {
        if (!oracle.touched[gva + i] && oracle.n < sizeof(oracle.at) / sizeof(oracle.at[0]))
            oracle.at[oracle.n++] = (uint32_t)(gva + i);
        oracle.touched[gva + i] |= (uint8_t)bits;
    }
}

static void forget(void)
{
    while (oracle.n > 0)
        oracle.touched[oracle.at[--oracle.n]] = 0;
}

static void on_access(uc_engine *uc, uc_mem_type type, uint64_t gva, int size, int64_t value,
                      void *self)
{
    (void)uc, (void)value, (void)self;
    mark(gva, (size_t)size, type == UC_MEM_WRITE ? WRITE : READ);
}

static int open_oracle(void **state)
{
    static const int ids[] = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
                              UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                              UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
                              UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
    struct ukvm_x86_state st = start();
    uint8_t halts[0x800];
    uc_hook hook;

    (void)state;
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &oracle.uc) || uc_context_alloc(oracle.uc, &oracle.start))
        return -1;
    if (uc_mem_map(oracle.uc, 0, RAM, UC_PROT_ALL) ||
        uc_hook_add(oracle.uc, &hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE,
                    (void *)(uintptr_t)on_access, NULL, 1, 0))
        return -1;
    memset(halts, 0xf4, sizeof(halts)); /* where short branches land */
    uc_mem_write(oracle.uc, PC - sizeof(halts) / 2, halts, sizeof(halts));
    for (unsigned i = 0; i < 16; i++)
        uc_reg_write(oracle.uc, ids[i], &st.gpr[i]);
    uc_reg_write(oracle.uc, UC_X86_REG_FS_BASE, &st.seg[UKVM_FS].base);
    return uc_context_save(oracle.uc, oracle.start) ? -1 : 0;
}

static int close_oracle(void **state)
{
    (void)state;
    uc_context_free(oracle.start);
    uc_close(oracle.uc);
    return 0;
}

/* One instruction and a HLT. False if the engine has no such instruction, or it faults. */
static bool run_one(const uint8_t *p, size_t n)
{
    uint8_t code[32];

    memset(code, 0xf4, sizeof(code));
    memcpy(code, p, n);
    forget();
    uc_context_restore(oracle.uc, oracle.start);
    uc_mem_write(oracle.uc, PC, code, sizeof(code));
    uc_ctl_remove_cache(oracle.uc, PC, PC + sizeof(code));
    return uc_emu_start(oracle.uc, PC, 0, 0, 0) == UC_ERR_OK;
}

/* --- all opcodes ---------------------------------------------------------------------- */

static bool among(const cs_insn *insn, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(insn->mnemonic, *names) == 0)
            return true;
    return false;
}

/* Branches have rows of their own below; Capstone and AMD heed their operand-size prefix. */
static bool is_branch(const struct uk_x86_insn *i)
{
    if (i->map == UK_X86_MAP_0F)
        return (i->op & 0xf0) == 0x80;
    return i->map == UK_X86_MAP_1 &&
           ((i->op & 0xf0) == 0x70 || (i->op & 0xfc) == 0xe0 || (i->op & 0xfc) == 0xe8 ||
            (i->op & 0xf6) == 0xc2 || i->op == 0xcf || i->op == 0xff);
}

/* What cannot be run by itself, or where the engine has no processor's behaviour. */
static bool left_out(const struct uk_x86_insn *i, const cs_insn *insn)
{
    static const char
        *const odd[] = {"hlt",      "lgdt",       "lidt",    "lldt",     "ltr",     "lmsw",
                        "wrmsr",    "syscall",    "sysret",  "sysenter", "sysexit", "swapgs",
                        "vmcall",   "vmmcall",    "clflush", /* a read for faults, but none here */
                        "maskmovq", "maskmovdqu",            /* masks are 0 here */
                        NULL};
    bool repeats = i->rep || i->repne;
    bool string = i->map == UK_X86_MAP_1 &&
                  ((i->op >= 0x6c && i->op <= 0x6f) || (i->op >= 0xa4 && i->op <= 0xaf));

    return among(insn, odd) || (repeats && string) ||
           (repeats && i->map == UK_X86_MAP_0F && i->op == 0xae) ||
           (i->rex & 8 && (i->op == 0xd9 || i->op == 0xdd)); /* saves a 56-byte environment */
}

/* The engine skips reserved fields of saved states, and reads 8 or 16 bytes for some of SSE. */
static bool may_differ(const struct uk_x86_insn *i, const cs_insn *insn, unsigned bits)
{
    static const char *const states[] = {"fxsave",  "fxsave64", "fxrstor", "fxrstor64", "fldenv",
                                         "fnstenv", "frstor",   "fnsave",  NULL};

    if ((bits & 3) == 0 && among(insn, states))
        return true;
    return i->map != UK_X86_MAP_1 && bits == READ;
}

static unsigned ran, measured;

static void compare_accesses(const struct uk_x86_insn *i, const cs_insn *insn,
                             const struct ukvm_mem_access *acc, size_t n)
{
    if (is_branch(i) || left_out(i, insn) || !run_one(insn->bytes, insn->size))
        return;
    ran++;
    for (size_t k = 0; k < n; k++)
        mark(acc[k].gva, acc[k].len,
             (acc[k].read ? OURS * READ : 0u) | (acc[k].write ? OURS * WRITE : 0u));
    for (size_t k = 0; k < oracle.n; k++) {
        unsigned bits = oracle.touched[oracle.at[k]];

        if ((bits & 3) != bits >> 2 && !may_differ(i, insn, bits))
            fail_msg("%02x %02x %02x %02x %02x: %s %s: at 0x%x: engine %u, we %u", insn->bytes[0],
                     insn->bytes[1], insn->bytes[2], insn->bytes[3], insn->bytes[4], insn->mnemonic,
                     insn->op_str, oracle.at[k], bits & 3, bits >> 2);
    }
}

static void compare(csh cs, cs_insn *insn, const uint8_t *p, size_t n)
{
    struct ukvm_x86_state st = start();
    struct ukvm_mem_access acc[4];
    struct uk_x86_insn i;
    const uint8_t *code = p;
    uint64_t at = PC;
    size_t left = n, used, got = accesses(&st, p, n, acc, &used);

    if (used == 0 || !cs_disasm_iter(cs, &code, &left, &at, insn))
        return;
    assert_true(uk_x86_insn_opcode(&i, p, n));
    if (!(is_branch(&i) && (i.opsize || i.rex)) && used != insn->size)
        fail_msg("%02x %02x %02x %02x: %s %s: length %u, we %zu", p[0], p[1], p[2], p[3],
                 insn->mnemonic, insn->op_str, insn->size, used);
    measured++;
    compare_accesses(&i, insn, acc, got);
}

static bool is_prefix(unsigned op)
{
    static const uint8_t ops[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

    return (op & 0xf0) == 0x40 || op == 0x0f || memchr(ops, (int)op, sizeof(ops));
}

/* Opcode (op) of map (m) behind (np) prefixes: each /reg, with memory and a register as rm. */
static void each_form(csh cs, cs_insn *insn, const uint8_t *prefix, size_t np, unsigned m,
                      unsigned op)
{
    static const uint8_t maps[][3] = {{0}, {1, 0x0f}, {2, 0x0f, 0x38}, {2, 0x0f, 0x3a}};

    for (unsigned reg = 0; reg < 16; reg++) {
        uint8_t p[24] = {0};
        size_t n = np;

        memcpy(p, prefix, np);
        memcpy(p + n, &maps[m][1], maps[m][0]);
        n += maps[m][0];
        p[n++] = (uint8_t)op;
        p[n++] = (uint8_t)((reg & 8 ? 0xc3 : 0x43) | (reg & 7) << 3); /* rbx, [rbx + disp8] */
        p[n] = 0x10;
        compare(cs, insn, p, UK_X86_INSN_MAX);
    }
}

static void test_all_opcodes(void **state)
{
    static const uint8_t prefixes[][3] = {
        {0}, {1, 0x66}, {1, 0xf3}, {1, 0xf2}, {1, 0x48}, {2, 0x66, 0x48}, {2, 0xf3, 0x48},
    };
    cs_insn *insn;
    csh cs;

    (void)state;
    assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
    insn = cs_malloc(cs);
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        for (unsigned k = 0; k < 4 * 256; k++)
            if (k >= 256 || !is_prefix(k))
                each_form(cs, insn, &prefixes[i][1], prefixes[i][0], k / 256, k % 256);
    cs_free(insn, 1);
    cs_close(&cs);
    print_message("# lengths of %u encodings, accesses of %u\n", measured, ran);
    assert_true(measured > 30000 && ran > 20000);
}

/* --- by hand ------------------------------------------------------------------------------ */

#define REG(r) (0x1000u * ((r) + 1u))
#define RSP    REG(UKVM_RSP)

static const struct row {
    const char *text, *code;
    size_t len;
    size_t n;
    struct ukvm_mem_access want[2];
} rows[] = {
    /* Branches; in 64-bit mode near ones have 8 bytes on the stack whatever the prefix. */
    {"call rel32", "\xe8\0\0\0\0", 5, 1, {{RSP - 8, 8, false, true}}},
    {"66 call rel32", "\x66\xe8\0\0\0\0", 6, 1, {{RSP - 8, 8, false, true}}},
    {"call [rbx]", "\xff\x13", 2, 2, {{REG(3), 8, true, false}, {RSP - 8, 8, false, true}}},
    {"call rbx", "\xff\xd3", 2, 1, {{RSP - 8, 8, false, true}}},
    {"jmp [rbx]", "\xff\x23", 2, 1, {{REG(3), 8, true, false}}},
    {"jmp rel8", "\xeb\0", 2, 0, {{0}}},
    {"jne rel32", "\x0f\x85\0\0\0\0", 6, 0, {{0}}},
    {"loop", "\xe2\xfe", 2, 0, {{0}}},
    {"ret", "\xc3", 1, 1, {{RSP, 8, true, false}}},
    {"ret 16", "\xc2\x10\0", 3, 1, {{RSP, 8, true, false}}},
    {"lretq", "\x48\xcb", 2, 1, {{RSP, 16, true, false}}},
    {"iretq", "\x48\xcf", 2, 1, {{RSP, 40, true, false}}},
    /* The stack. */
    {"push r9", "\x41\x51", 2, 1, {{RSP - 8, 8, false, true}}},
    {"push ax", "\x66\x50", 2, 1, {{RSP - 2, 2, false, true}}},
    {"push [rbx]", "\xff\x33", 2, 2, {{REG(3), 8, true, false}, {RSP - 8, 8, false, true}}},
    {"pop rbx", "\x5b", 1, 1, {{RSP, 8, true, false}}},
    {"pop [rsp + 8]",
     "\x8f\x44\x24\x08",
     4,
     2,
     {{RSP, 8, true, false}, {RSP + 16, 8, false, true}}},
    {"pushfq", "\x9c", 1, 1, {{RSP - 8, 8, false, true}}},
    {"leave", "\xc9", 1, 1, {{REG(UKVM_RBP), 8, true, false}}},
    {"enter 32, 0", "\xc8\x20\0\0", 4, 1, {{RSP - 8, 8, false, true}}},
    /* Operands' addresses (SDM vol. 2, tables 2-2 and 2-3). */
    {"mov eax, [rip + 16]", "\x8b\x05\x10\0\0\0", 6, 1, {{PC + 22, 4, true, false}}},
    {"mov byte [rip + 16], 1", "\xc6\x05\x10\0\0\0\x01", 7, 1, {{PC + 23, 1, false, true}}},
    {"mov eax, [0x7000]", "\x8b\x04\x25\0\x70\0\0", 7, 1, {{0x7000, 4, true, false}}},
    {"mov eax, [rbx + rsi * 8]", "\x8b\x04\xf3", 3, 1, {{REG(3) + 8 * REG(6), 4, true, false}}},
    {"mov eax, [rsp]", "\x8b\x04\x24", 3, 1, {{RSP, 4, true, false}}},
    {"mov eax, [r12]", "\x41\x8b\x04\x24", 4, 1, {{REG(12), 4, true, false}}},
    {"mov eax, [r13 - 8]", "\x41\x8b\x45\xf8", 4, 1, {{REG(13) - 8, 4, true, false}}},
    {"mov eax, [rax + r12 * 2]",
     "\x42\x8b\x04\x60",
     4,
     1,
     {{REG(0) + 2 * REG(12), 4, true, false}}},
    {"rex.w 66 mov ax, [rbx]", "\x48\x66\x8b\x03", 4, 1, {{REG(3), 2, true, false}}},
    {"rex.wb mov rax, [r11]", "\x66\x49\x8b\x03", 4, 1, {{REG(11), 8, true, false}}},
    {"mov eax, fs:[rbx]", "\x64\x8b\x03", 3, 1, {{FS_BASE + REG(3), 4, true, false}}},
    {"mov eax, ds:[rbx]", "\x3e\x8b\x03", 3, 1, {{REG(3), 4, true, false}}},
    {"mov eax, [ebx - 0x5000]",
     "\x67\x8b\x83\0\xb0\xff\xff",
     7,
     1,
     {{(uint32_t)(REG(3) - 0x5000), 4, true, false}}},
    {"mov al, [moffs]", "\xa0\0\x70\0\0\0\0\0\0", 9, 1, {{0x7000, 1, true, false}}},
    {"mov [moffs32], rax", "\x67\x48\xa3\0\x70\0\0", 7, 1, {{0x7000, 8, false, true}}},
    /* Read-modify-write. */
    {"lock add [rbx], eax", "\xf0\x01\x03", 3, 1, {{REG(3), 4, true, true}}},
    {"lock cmpxchg16b [rbx]", "\xf0\x48\x0f\xc7\x0b", 5, 1, {{REG(3), 16, true, true}}},
    {"lock xadd [rbx], al", "\xf0\x0f\xc0\x03", 4, 1, {{REG(3), 1, true, true}}},
    {"inc dword [rbx]", "\xff\x03", 2, 1, {{REG(3), 4, true, true}}},
    {"cmp [rbx], eax", "\x39\x03", 2, 1, {{REG(3), 4, true, false}}},
    {"test byte [rbx], 1", "\xf6\x03\x01", 3, 1, {{REG(3), 1, true, false}}},
    /* RAX is 0x1000: 0x1000 / 8 bytes on. RCX is 3. */
    {"bts [rbx], eax", "\x0f\xab\x03", 3, 1, {{REG(3) + 0x200, 4, true, true}}},
    {"bt [rbx], rcx", "\x48\x0f\xa3\x0b", 4, 1, {{REG(3), 8, true, false}}},
    {"btc [rbx], 65", "\x0f\xba\x3b\x41", 4, 1, {{REG(3), 4, true, true}}},
    /* Strings: one element; RCX is 3. */
    {"rep movsq", "\xf3\x48\xa5", 3, 2, {{REG(6), 8, true, false}, {REG(7), 8, false, true}}},
    {"fs movsb", "\x64\xa4", 2, 2, {{FS_BASE + REG(6), 1, true, false}, {REG(7), 1, false, true}}},
    {"repe cmpsb", "\xf3\xa6", 2, 2, {{REG(6), 1, true, false}, {REG(7), 1, true, false}}},
    {"rep stosd", "\xf3\xab", 2, 1, {{REG(7), 4, false, true}}},
    {"repne scasw", "\xf2\x66\xaf", 3, 1, {{REG(7), 2, true, false}}},
    {"lodsb", "\xac", 1, 1, {{REG(6), 1, true, false}}},
    {"xlat", "\xd7", 1, 1, {{REG(3), 1, true, false}}},
    /* SSE, x87. */
    {"movaps [rbx], xmm0", "\x0f\x29\x03", 3, 1, {{REG(3), 16, false, true}}},
    {"maskmovdqu xmm0, xmm1", "\x66\x0f\xf7\xc1", 4, 1, {{REG(7), 16, false, true}}},
    {"clflush [rbx]", "\x0f\xae\x3b", 3, 1, {{REG(3), 1, true, false}}},
    {"fstp tbyte [rbx]", "\xdb\x3b", 2, 1, {{REG(3), 10, false, true}}},
    {"fnsave [rbx]", "\xdd\x33", 2, 1, {{REG(3), 108, false, true}}},
    /* Nothing in memory. */
    {"lea rax, [rbx]", "\x48\x8d\x03", 3, 0, {{0}}},
    {"nop [rbx]", "\x0f\x1f\x03", 3, 0, {{0}}},
    {"endbr64", "\xf3\x0f\x1e\xfa", 4, 0, {{0}}},
    {"mov cr0, rax", "\x0f\x22\xc0", 3, 0, {{0}}},
    {"movabs rax", "\x48\xb8\1\2\3\4\5\6\7\x08", 10, 0, {{0}}},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        const struct row *r = &rows[k];
        struct ukvm_x86_state st = start();
        struct ukvm_mem_access acc[4] = {{0}};
        size_t used, n = accesses(&st, (const uint8_t *)r->code, r->len, acc, &used);

        if (n != r->n || used != r->len)
            fail_msg("%s: %zu accesses, length %zu", r->text, n, used);
        for (size_t i = 0; i < n; i++)
            if (acc[i].gva != r->want[i].gva || acc[i].len != r->want[i].len ||
                acc[i].read != r->want[i].read || acc[i].write != r->want[i].write)
                fail_msg("%s: access %zu: 0x%llx, %u bytes, read %d, write %d", r->text, i,
                         (unsigned long long)acc[i].gva, acc[i].len, acc[i].read, acc[i].write);
    }
}

/* Each row's code cut short is not understood, and nothing behind it is read. */
static void test_cut_off(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
        for (size_t n = 0; n < rows[k].len; n++) {
            struct ukvm_x86_state st = start();
            struct ukvm_mem_access acc[4];
            uint8_t *exact = malloc(n ? n : 1); /* a reader past its end meets ASan */
            size_t used;

            assert_non_null(exact);
            memcpy(exact, rows[k].code, n);
            if (accesses(&st, exact, n, acc, &used) != 0 || used != 0)
                fail_msg("%s: understood of %zu bytes", rows[k].text, n);
            free(exact);
        }
}

static void test_not_understood(void **state)
{
    static const char *const codes[] = {"\x06", "\xc5\xf8\x28\x03", "\x62",        "\x0f\xff",
                                        "\xd6", "\x8f\x48",         "\x0f\x38\xff"};
    struct ukvm_x86_state st = start();
    struct ukvm_mem_access acc[4];
    uint8_t code[15] = {0};
    size_t used;

    (void)state;
    for (size_t k = 0; k < sizeof(codes) / sizeof(codes[0]); k++) {
        memset(code, 0, sizeof(code));
        memcpy(code, codes[k], strlen(codes[k]));
        assert_int_equal(accesses(&st, code, sizeof(code), acc, &used), 0);
        assert_int_equal(used, 0);
    }
    memset(code, 0x66, sizeof(code)); /* 15 prefixes and no opcode */
    assert_int_equal(accesses(&st, code, sizeof(code), acc, &used), 0);
    assert_int_equal(used, 0);
}

/* A count of 0 does nothing, and with the address-size prefix only ECX counts. */
static void test_spent_repeat(void **state)
{
    struct ukvm_x86_state st = start();
    struct ukvm_mem_access acc[4];
    size_t used;

    (void)state;
    st.gpr[UKVM_RCX] = 1ull << 32;
    assert_int_equal(accesses(&st, (const uint8_t *)"\xf3\xaa", 2, acc, &used), 1);
    assert_int_equal(accesses(&st, (const uint8_t *)"\x67\xf3\xaa", 3, acc, &used), 0);
    assert_int_equal(used, 3);
    st.gpr[UKVM_RCX] = 0;
    assert_int_equal(accesses(&st, (const uint8_t *)"\xf3\xaa", 2, acc, &used), 0);
    assert_int_equal(used, 2);
    assert_int_equal(accesses(&st, (const uint8_t *)"\xaa", 1, acc, &used), 1);
}

/* Bit offsets are signed: -1 is the last bit of the operand before. */
static void test_negative_bit_offset(void **state)
{
    struct ukvm_x86_state st = start();
    struct ukvm_mem_access acc[4];
    size_t used;

    (void)state;
    st.gpr[UKVM_RAX] = 0xffffffff;
    assert_int_equal(accesses(&st, (const uint8_t *)"\x0f\xb3\x03", 3, acc, &used), 1);
    assert_int_equal(acc[0].gva, REG(3) - 4);
    assert_int_equal(accesses(&st, (const uint8_t *)"\x66\x0f\xb3\x03", 4, acc, &used), 1);
    assert_int_equal(acc[0].gva, REG(3) - 2);
    assert_int_equal(accesses(&st, (const uint8_t *)"\x48\x0f\xb3\x03", 4, acc, &used), 1);
    assert_int_equal(acc[0].gva, REG(3) + 0x1ffffff8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_not_understood),
        cmocka_unit_test(test_spent_repeat),
        cmocka_unit_test(test_negative_bit_offset),
        cmocka_unit_test(test_all_opcodes),
    };

    return cmocka_run_group_tests(tests, open_oracle, close_oracle);
}
