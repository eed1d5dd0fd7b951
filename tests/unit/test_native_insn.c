/* SPDX-License-Identifier: ISC */
/*
 * test_native_insn.c: each instruction that the monitor executes for the native backend,
 * and each exception, from random start states: registers, memory and frames must come
 * out as on the emulator. UKVM_SOAK=1: 10,000 states each, else a few hundred.
 */
#include "tests/support/native_pair.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct side native, emu;
static uint8_t image[PAIR_END - PAIR_FIRST];

/* --- chance ---------------------------------------------------------------------------- */

static uint64_t seed = 0x9e3779b97f4a7c15;

/* splitmix64: the same states in every run. */
static uint64_t any(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
    return any() % n;
}

/* A lower-half address, which FS and GS bases of a process are. */
static uint64_t low_address(void)
{
    return any() & 0x7fffffffefff;
}

static uint64_t canonical(void)
{
    return (uint64_t)((int64_t)(any() << 16) >> 16);
}

static uint64_t selector(void)
{
    /* A null selector loads without a trap: docs/STATUS.md. */
    static const uint16_t some[] = {SEL_CODE,     SEL_DATA,       SEL_DATA,    SEL_DATA,
                                    SEL_RODATA,   SEL_ABSENT,     SEL_USER,    SEL_USER | 3,
                                    SEL_DATA | 1, SEL_CONFORMING, SEL_TSS,     SEL_LDT,
                                    SEL_GATE,     SEL_BEYOND,     SEL_DATA | 4};

    return some[below(sizeof(some) / sizeof(some[0]))];
}

static void random_state(struct ukvm_x86_state *st)
{
    side_start(st);
    for (int i = 0; i < 16; i++)
        if (i != UKVM_RSP)
            st->gpr[i] = below(3) ? any() : below(0x10000);
    st->gpr[UKVM_RSP] = PAIR_STACK - below(256);
    st->rflags = UKVM_RFLAGS_FIXED | (any() & 0xed5); /* arithmetic, IF, DF, OF */
    st->seg[UKVM_FS].base = low_address();
    st->seg[UKVM_GS].base = low_address();
    st->kernel_gs_base = low_address();
    st->cr2 = any();
    st->cr8 = below(16);
    for (int i = 0; i < 4; i++)
        st->dr[i] = canonical();
    st->lstar = canonical();
    st->cstar = canonical();
    st->star = any();
    st->sfmask = any() & 0xffffffff;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            st->xmm[i][k] = (uint8_t)any();
}

/* --- cases ---------------------------------------------------------------------------------- */

struct insn {
    struct ukvm_x86_state *st;
    uint8_t code[16];
    size_t len;
};

struct test_case {
    const char *name;
    uint8_t code[12];
    uint8_t len;
    void (*arrange)(struct insn *i); /* or NULL */
};

static void put(uint64_t at, const void *p, size_t len)
{
    memcpy(image + at - PAIR_FIRST, p, len);
}

static void put64(uint64_t at, uint64_t v)
{
    put(at, &v, sizeof(v));
}

/* The operand is memory at RBX. */
static void at_rbx(struct insn *i)
{
    i->st->gpr[UKVM_RBX] = PAIR_DATA + below(64);
}

/* Sometimes elsewhere: not mapped, not canonical. */
static void maybe_at_rbx(struct insn *i)
{
    at_rbx(i);
    if (below(8) == 0)
        i->st->gpr[UKVM_RBX] = below(2) ? 0x8000 - below(2) * 4 : UINT64_C(0x8000000000000000);
    put64(PAIR_DATA + 0, any());
}

static void table(struct insn *i)
{
    uint16_t limit = (uint16_t)any();
    uint64_t base = canonical(), at = PAIR_DATA + below(64);

    maybe_at_rbx(i);
    if (i->st->gpr[UKVM_RBX] < PAIR_END && i->st->gpr[UKVM_RBX] >= PAIR_DATA)
        i->st->gpr[UKVM_RBX] = at;
    put(at, &limit, sizeof(limit));
    put64(at + 2, base);
}

static void selector_in_ax(struct insn *i)
{
    i->st->gpr[UKVM_RAX] = (any() & ~UINT64_C(0xffff)) | selector();
}

static void system_selector(struct insn *i)
{
    static const uint16_t some[] = {SEL_TSS,    SEL_RODATA,  SEL_TSS,    SEL_TSS,
                                    SEL_LDT,    SEL_LDT,     SEL_DATA,   SEL_GATE,
                                    SEL_BEYOND, SEL_TSS | 4, SEL_TSS | 1};

    i->st->gpr[UKVM_RAX] = (any() & ~UINT64_C(0xffff)) | some[below(11)];
}

static void selector_on_stack(struct insn *i)
{
    put64(i->st->gpr[UKVM_RSP], (any() & ~UINT64_C(0xffff)) | selector());
}

/* A register of the operand, as REX.B and rm say; not RSP. */
static unsigned some_register(struct insn *i, size_t modrm)
{
    unsigned reg;

    do {
        reg = (unsigned)below(16);
    } while (reg == UKVM_RSP);
    i->code[0] = (uint8_t)(i->code[0] | (reg >> 3));
    i->code[modrm] = (uint8_t)(i->code[modrm] | (reg & 7));
    return reg;
}

static void any_register(struct insn *i)
{
    some_register(i, 3);
}

/* The emulator refuses nothing: only what may be set. */
static void cr0_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = i->st->cr0 ^ (any() & 0x10022); /* MP, NE, WP */
}

static void cr4_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = UKVM_CR4_PAE | 0x600 | (any() & 0x9f & ~UINT64_C(0x20));
}

static void cr3_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = 0x1000 | (any() & 0x18);
}

static void dr_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = any() & 0x7fffffffffff;
}

static void dr6_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = 0xffff0ff0 | (any() & 0xe00f);
}

/* Nothing enabled: breakpoints are another test. */
static void dr7_value(struct insn *i)
{
    i->st->gpr[some_register(i, 3)] = (any() & 0xffff0300) | 0x400;
}

static const uint32_t msrs[] = {0x174,      0x175,      0x176,      0x277,
                                0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
                                0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};

static void msr(struct insn *i)
{
    uint32_t nr = msrs[below(sizeof(msrs) / sizeof(msrs[0]))];
    uint64_t v = low_address();

    if (nr == 0xc0000080)
        v = 0x500; /* SCE: not on the emulator */
    else if (nr == 0x277)
        v = 0x0007040600070406;
    else if (nr == 0xc0000084 || nr == 0x174)
        v &= 0xffff;
    i->st->gpr[UKVM_RCX] = (any() << 32) | nr;
    i->st->gpr[UKVM_RAX] = (any() << 32) | (uint32_t)v;
    i->st->gpr[UKVM_RDX] = (any() << 32) | v >> 32;
}

static void far_frame(struct insn *i)
{
    static const uint16_t some[] = {SEL_CODE, SEL_CODE,       SEL_CODE,   0,         SEL_DATA,
                                    SEL_TSS,  SEL_CONFORMING, SEL_BEYOND, SEL_ABSENT};
    uint64_t rsp = i->st->gpr[UKVM_RSP];

    put64(rsp, PAIR_CODE + below(64));
    put64(rsp + 8, (any() & ~UINT64_C(0xffff)) | some[below(9)]);
}

static void iret_frame(struct insn *i)
{
    static const uint16_t stacks[] = {SEL_DATA,   SEL_DATA, SEL_DATA,
                                      SEL_RODATA, SEL_CODE, SEL_BEYOND};
    uint64_t rsp = i->st->gpr[UKVM_RSP];

    far_frame(i);
    put64(rsp + 16, (any() & 0x214ed5) | (below(8) ? 0 : 0x3000));
    put64(rsp + 24, PAIR_STACK - below(512));
    put64(rsp + 32, (any() & ~UINT64_C(0xffff)) | stacks[below(6)]);
}

static void flags_on_stack(struct insn *i)
{
    put64(i->st->gpr[UKVM_RSP], any() & 0x204ed5);
}

/* INT 1 sets DR6.BS on the emulator, which has #UD for an INT 6. */
static void vector(struct insn *i)
{
    do {
        i->code[1] = (uint8_t)any();
    } while (i->code[1] == UK_X86_DB || i->code[1] == UK_X86_UD);
}

static void divide(struct insn *i)
{
    i->st->gpr[UKVM_RBX] = 0; /* else flags are undefined */
    i->st->gpr[UKVM_RDX] = any();
}

/* Not mapped, beyond memory, not canonical. */
static void bad_rbx(struct insn *i)
{
    static const uint64_t some[] = {0,
                                    0x1000,
                                    0xfff8,
                                    0x200000,
                                    0x40000000,
                                    0x7fffffffe000,
                                    0xffff800000000000,
                                    0xffffffffff600000,
                                    0x8000000000000000};

    i->st->gpr[UKVM_RBX] = some[below(9)] + below(0xff0);
    if (below(8) == 0) /* across the last page's end */
        i->st->gpr[UKVM_RBX] = 0x200000 - below(8);
}

static void bad_stack(struct insn *i)
{
    bad_rbx(i);
    i->st->gpr[UKVM_RSP] = (i->st->gpr[UKVM_RBX] & ~UINT64_C(7)) + 8;
}

static void x87_pending(struct insn *i)
{
    i->st->fcw = 0x37b; /* zero divide unmasked */
    i->st->fsw = 0x8084;
}

static void trap_flag(struct insn *i)
{
    i->st->rflags |= UKVM_RFLAGS_TF;
}

static void jump_away(struct insn *i)
{
    do {
        bad_rbx(i);
    } while (!uk_x86_canonical(i->st->gpr[UKVM_RBX]));
}

#define CODE(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})

static const struct test_case cases[] = {
    {"cli", CODE(0xfa), NULL},
    {"sti", CODE(0xfb), NULL},
    {"hlt", CODE(0xf4), NULL},
    {"clts", CODE(0x0f, 0x06), NULL},
    {"wbinvd", CODE(0x0f, 0x09), NULL},
    {"invlpg [rbx]", CODE(0x0f, 0x01, 0x3b), maybe_at_rbx},
    {"lgdt [rbx]", CODE(0x0f, 0x01, 0x13), table},
    {"lidt [rbx]", CODE(0x0f, 0x01, 0x1b), table},
    {"ltr ax", CODE(0x0f, 0x00, 0xd8), system_selector},
    {"lldt ax", CODE(0x0f, 0x00, 0xd0), system_selector},
    {"mov rN, cr0", CODE(0x40, 0x0f, 0x20, 0xc0), any_register},
    {"mov rN, cr2", CODE(0x40, 0x0f, 0x20, 0xd0), any_register},
    {"mov rN, cr3", CODE(0x40, 0x0f, 0x20, 0xd8), any_register},
    {"mov rN, cr4", CODE(0x40, 0x0f, 0x20, 0xe0), any_register},
    {"mov cr0, rN", CODE(0x40, 0x0f, 0x22, 0xc0), cr0_value},
    {"mov cr2, rN", CODE(0x40, 0x0f, 0x22, 0xd0), any_register},
    {"mov cr3, rN", CODE(0x40, 0x0f, 0x22, 0xd8), cr3_value},
    {"mov cr4, rN", CODE(0x40, 0x0f, 0x22, 0xe0), cr4_value},
    {"mov rN, dr0", CODE(0x40, 0x0f, 0x21, 0xc0), any_register},
    {"mov rN, dr3", CODE(0x40, 0x0f, 0x21, 0xd8), any_register},
    {"mov rN, dr6", CODE(0x40, 0x0f, 0x21, 0xf0), any_register},
    {"mov rN, dr7", CODE(0x40, 0x0f, 0x21, 0xf8), any_register},
    {"mov dr1, rN", CODE(0x40, 0x0f, 0x23, 0xc8), dr_value},
    {"mov dr2, rN", CODE(0x40, 0x0f, 0x23, 0xd0), dr_value},
    {"mov dr6, rN", CODE(0x40, 0x0f, 0x23, 0xf0), dr6_value},
    {"mov dr7, rN", CODE(0x40, 0x0f, 0x23, 0xf8), dr7_value},
    {"rdmsr", CODE(0x0f, 0x32), msr},
    {"wrmsr", CODE(0x0f, 0x30), msr},
    {"swapgs", CODE(0x0f, 0x01, 0xf8), NULL},
    {"mov es, ax", CODE(0x8e, 0xc0), selector_in_ax},
    {"mov ss, ax", CODE(0x8e, 0xd0), selector_in_ax},
    {"mov ds, ax", CODE(0x8e, 0xd8), selector_in_ax},
    {"mov fs, ax", CODE(0x8e, 0xe0), selector_in_ax},
    {"mov gs, ax", CODE(0x8e, 0xe8), selector_in_ax},
    {"pop fs", CODE(0x0f, 0xa1), selector_on_stack},
    {"pop gs", CODE(0x0f, 0xa9), selector_on_stack},
    {"lretq", CODE(0x48, 0xcb), far_frame},
    {"lretq 16", CODE(0x48, 0xca, 0x10, 0x00), far_frame},
    {"iretq", CODE(0x48, 0xcf), iret_frame},
    {"pushfq", CODE(0x9c), NULL},
    {"popfq", CODE(0x9d), flags_on_stack},
    {"int n", CODE(0xcd, 0x00), vector},
    {"int 0x80", CODE(0xcd, 0x80), NULL},
    {"int3", CODE(0xcc), NULL},
    {"int 3", CODE(0xcd, 0x03), NULL},
    {"int 4", CODE(0xcd, 0x04), NULL},
    {"#DE: div rbx", CODE(0x48, 0xf7, 0xf3), divide},
    {"#DB: nop with TF", CODE(0x90), trap_flag},
    {"#UD: ud2", CODE(0x0f, 0x0b), NULL},
    {"#UD: lock nop", CODE(0xf0, 0x90), NULL},
    {"#PF, #GP: mov rax, [rbx]", CODE(0x48, 0x8b, 0x03), bad_rbx},
    {"#PF, #GP: mov [rbx], rax", CODE(0x48, 0x89, 0x03), bad_rbx},
    {"#PF, #GP: mov [rbx], al", CODE(0x88, 0x03), bad_rbx},
    {"#PF, #GP: cmp [rbx], eax", CODE(0x39, 0x03), bad_rbx},
    {"#PF, #SS: push rax", CODE(0x50), bad_stack},
    {"#PF, #SS: pop rax", CODE(0x58), bad_stack},
    {"#PF, #SS: call", CODE(0xe8, 0, 0, 0, 0), bad_stack},
    {"#MF: fwait", CODE(0x9b), x87_pending},
    {"jmp rbx, then a fetch", CODE(0xff, 0xe3), jump_away},
};
#define NCASES (sizeof(cases) / sizeof(cases[0]))

/* --- comparing ---------------------------------------------------------------------------- */

static void show(const struct side *s, char *buf, size_t size)
{
    snprintf(buf, size,
             "exit %d answer %d vector %d code 0x%x addr 0x%" PRIx64 " pc 0x%" PRIx64
             " next 0x%" PRIx64 " rip 0x%" PRIx64 " rflags 0x%" PRIx64 " rsp 0x%" PRIx64,
             s->ex.kind, (int)s->answer, s->ex.vector, s->ex.code, s->ex.addr, s->ex.pc, s->ex.next,
             s->st.rip, s->st.rflags, s->st.gpr[UKVM_RSP]);
}

static void first_difference(char *buf, size_t size)
{
    const uint8_t *a = (const uint8_t *)&native.st, *b = (const uint8_t *)&emu.st;
    size_t i = 0;

    for (size_t k = 0; k < UK_X86_NREGS; k++) {
        const struct ukvm_reg *r = &uk_x86_regs[k];

        if (memcmp(a + r->offset, b + r->offset, r->size) != 0) {
            uint64_t x = 0, y = 0;

            memcpy(&x, a + r->offset, r->size < 8 ? r->size : 8);
            memcpy(&y, b + r->offset, r->size < 8 ? r->size : 8);
            snprintf(buf, size, "%s: native 0x%" PRIx64 ", emu 0x%" PRIx64, r->name, x, y);
            return;
        }
    }
    while (i < PAIR_MEM && native.hv.mem[i] == emu.hv.mem[i])
        i++;
    snprintf(buf, size, "memory at 0x%zx: native %02x, emu %02x", i,
             i < PAIR_MEM ? native.hv.mem[i] : 0, i < PAIR_MEM ? emu.hv.mem[i] : 0);
}

static bool same_event(void)
{
    if (native.delivery.n != emu.delivery.n || native.delivery.fatal != emu.delivery.fatal)
        return false;
    if (native.answer == UKVM_EXCEPTION && emu.answer == UKVM_EXCEPTION)
        return native.ex.vector == emu.ex.vector && native.ex.has_code == emu.ex.has_code &&
               native.ex.code == emu.ex.code && native.ex.addr == emu.ex.addr;
    return (native.answer == UKVM_EXCEPTION) == (emu.answer == UKVM_EXCEPTION);
}

static void normalise(struct side *s)
{
    uk_x86_normalise((struct ukvm_mem){s->hv.mem, PAIR_MEM}, (struct ukvm_state *)(void *)&s->st);
}

static bool same(void)
{
    normalise(&native);
    normalise(&emu);
    return same_event() && memcmp(&native.st, &emu.st, sizeof(native.st)) == 0 &&
           memcmp(native.hv.mem, emu.hv.mem, PAIR_MEM) == 0;
}

static void try_once(const struct test_case *c, int n)
{
    struct ukvm_x86_state st;
    struct insn i = {.st = &st, .len = c->len};
    char a[256], b[256], diff[128];

    random_state(&st);
    memcpy(i.code, c->code, c->len);
    side_memory(image, i.code, i.len);
    if (c->arrange)
        c->arrange(&i);
    put(PAIR_CODE, i.code, i.len);
    side_step(&native, image, &st);
    side_step(&emu, image, &st);
    show(&native, a, sizeof(a));
    show(&emu, b, sizeof(b));
    if (same())
        return;
    first_difference(diff, sizeof(diff));
    fail_msg("%s, state %d: %s\nnative: %s\nemu:    %s\nrax %" PRIx64 " rbx %" PRIx64
             " rcx %" PRIx64 " rflags %" PRIx64 " code %02x %02x %02x %02x",
             c->name, n, diff, a, b, st.gpr[0], st.gpr[UKVM_RBX], st.gpr[UKVM_RCX], st.rflags,
             i.code[0], i.code[1], i.code[2], i.code[3]);
}

static void test_case_of(void **state)
{
    const struct test_case *c = *state;
    const char *n = getenv("UKVM_SOAK");
    int times = n ? 10000 : 100;

    for (int k = 0; k < times; k++)
        try_once(c, k);
}

static int open_both(void **state)
{
    (void)state;
    side_open(&native, &ukvm_hv_native);
    side_open(&emu, &ukvm_hv_emu);
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    side_close(&native);
    side_close(&emu);
    return 0;
}

int main(void)
{
    static struct CMUnitTest tests[NCASES];

    for (size_t i = 0; i < NCASES; i++) {
        tests[i].name = cases[i].name;
        tests[i].test_func = test_case_of;
        tests[i].setup_func = open_both; /* anew: the emulator keeps each code it translated */
        tests[i].teardown_func = close_both;
        tests[i].initial_state = (void *)(uintptr_t)&cases[i];
    }
    return _cmocka_run_group_tests("native instructions", tests, NCASES, NULL, NULL);
}
