/* SPDX-License-Identifier: ISC */
/*
 * x86_64_blob.c: where the engine keeps what it has no interface for, in the bytes
 * that uc_context_save() fills. The layout is the library build's own, so each place
 * is found by its content, and a build in which one is not found once is refused.
 */
#include <string.h>

#include "arch/x86_64/state.h"
#include "hv/emu/emu.h"

#define SCRATCH     UINT64_C(0x1000)
#define SCRATCH_LEN (4 * UK_EMU_PAGE)
#define MSR_EFER    0xc0000080u
#define GP          13
#define GP_CODE     0x1238
#define CR0_TS      0x8u
#define OLD_EXC     112 /* bytes from the error code to old_exception */

/* hflags bits, which translated code depends on (Unicorn's target/i386/cpu.h). */
#define HF_TS (1u << 11)

struct scratch {
    uc_engine *uc;
    uc_context *ctx;
    const uint8_t *blob;
    size_t size;
    int vector;
};

static void on_intr(uc_engine *uc, uint32_t vector, void *user)
{
    ((struct scratch *)user)->vector = (int)vector;
    uc_emu_stop(uc);
}

static uint32_t u32(const struct scratch *s, size_t at)
{
    uint32_t v;

    memcpy(&v, s->blob + at, sizeof(v));
    return v;
}

static uint64_t u64(const struct scratch *s, size_t at)
{
    uint64_t v;

    memcpy(&v, s->blob + at, sizeof(v));
    return v;
}

/* The place whose content (is) accepts, if there is exactly one; else 0. */
static size_t find_once(const struct scratch *s, bool (*is)(const struct scratch *s, size_t at),
                        size_t room)
{
    size_t found = 0;

    for (size_t at = 8; at + room <= s->size; at += 4) {
        if (!is(s, at))
            continue;
        if (found)
            return 0;
        found = at;
    }
    return found;
}

static uc_err run(struct scratch *s, const void *code, size_t len)
{
    uc_err e = uc_mem_write(s->uc, SCRATCH, code, len);

    s->vector = -1;
    if (!e)
        e = uc_ctl_remove_cache(s->uc, SCRATCH, SCRATCH + len);
    if (!e)
        e = uc_emu_start(s->uc, SCRATCH, 0, 0, 0);
    return e ? e : uc_context_save(s->uc, s->ctx);
}

/* {error code, 0} with the vector further on. */
static bool is_code(const struct scratch *s, size_t at)
{
    return u32(s, at) == GP_CODE && u32(s, at + 4) == 0 && u32(s, at + OLD_EXC) == GP;
}

static bool find_code(struct scratch *s, struct emu_blob *out)
{
    static const uint8_t insn[] = {0xb8, 0x38, 0x12, 0, 0, 0x8e, 0xd8}; /* mov eax; mov ds,eax */

    if (run(s, insn, sizeof(insn)) || s->vector != GP)
        return false;
    out->code = find_once(s, is_code, OLD_EXC + 4);
    out->old_exc = out->code + OLD_EXC;
    return out->code != 0;
}

/* A marked TR, GDTR and IDTR in a row of {u32 selector, u64 base, u32 limit, u32 flags}. */
#define MARK UINT64_C(0x0000123456789000)
static bool is_tr(const struct scratch *s, size_t at)
{
    return (u32(s, at) & 0xffff) == 0x2340 && u64(s, at + 8) == MARK && u32(s, at + 16) == 0x789 &&
           u64(s, at + 32) == MARK + 1 && u32(s, at + 40) == 0x678 && u64(s, at + 56) == MARK + 2 &&
           u32(s, at + 64) == 0x567;
}

static bool find_segs(struct scratch *s, struct emu_blob *out)
{
    uc_x86_mmr tr = {0x2340, MARK, 0x789, 0x8b00}, gdt = {0, MARK + 1, 0x678, 0};
    uc_x86_mmr idt = {0, MARK + 2, 0x567, 0};
    uint64_t fs = MARK + 3, gs = MARK + 4;
    size_t at;

    uc_reg_write(s->uc, UC_X86_REG_TR, &tr);
    uc_reg_write(s->uc, UC_X86_REG_GDTR, &gdt);
    uc_reg_write(s->uc, UC_X86_REG_IDTR, &idt);
    uc_reg_write(s->uc, UC_X86_REG_FS_BASE, &fs);
    uc_reg_write(s->uc, UC_X86_REG_GS_BASE, &gs);
    uc_context_save(s->uc, s->ctx);
    at = find_once(s, is_tr, 3 * UK_EMU_SEG);
    if (at < 7 * UK_EMU_SEG + 8)
        return false;
    out->segs = at - 7 * UK_EMU_SEG;
    return u64(s, out->segs + 4 * UK_EMU_SEG + 8) == fs &&
           u64(s, out->segs + 5 * UK_EMU_SEG + 8) == gs;
}

/* LME and LMA; the engine lets nobody clear the latter. */
#define LME_LMA UINT64_C(0x500)
static bool is_efer(const struct scratch *s, size_t at)
{
    return at % 8 == 0 && u64(s, at) == LME_LMA;
}

static void write_efer(struct scratch *s, uint64_t value)
{
    uc_x86_msr efer = {MSR_EFER, value};

    uc_reg_write(s->uc, UC_X86_REG_MSR, &efer);
    uc_context_save(s->uc, s->ctx);
}

static bool find_efer(struct scratch *s, struct emu_blob *out)
{
    write_efer(s, LME_LMA);
    out->efer = find_once(s, is_efer, 8);
    write_efer(s, 0);
    return out->efer != 0 && (u64(s, out->efer) | UKVM_EFER_LMA) == UKVM_EFER_LMA;
}

/* The flags stand two words before the segments; setting CR0.TS shows there. */
static bool find_hflags(struct scratch *s, struct emu_blob *out)
{
    static const uint8_t insn[] = {0x0f, 0x20, 0xc0, 0x0c, CR0_TS, 0x0f, 0x22, 0xc0, 0xcc};
    uint32_t before;

    out->hflags = out->segs - 8;
    before = u32(s, out->hflags);
    return run(s, insn, sizeof(insn)) == UC_ERR_OK && s->vector == 3 && !(before & HF_TS) &&
           u32(s, out->hflags) == (before | HF_TS);
}

/*
 * Does the engine go where the page tables lead? 2.0 walks them for their rights, and
 * then uses the virtual address. Here the second 2 MiB are the first once more.
 */
static bool find_translation(struct scratch *s, struct emu_blob *out)
{
    static const uint64_t tables[][2] = {
        {SCRATCH + 0x1000, (SCRATCH + 0x2000) | 3},
        {SCRATCH + 0x2000, (SCRATCH + 0x3000) | 3},
        {SCRATCH + 0x3000, 0x83},
        {SCRATCH + 0x3008, 0x83},
    };
    static const uint8_t insn[] = {0x8b, 0x04, 0x25, 0x00, 0x10, 0x20, 0x00, 0xcc}; /* mov eax,[] */
    static const struct {
        int id;
        uint64_t value;
    } regs[] = {
        {UC_X86_REG_RAX, 0},
        {UC_X86_REG_CR3, SCRATCH + 0x1000},
        {UC_X86_REG_CR4, UKVM_CR4_PAE},
        {UC_X86_REG_CR0, UKVM_CR0_PG | UKVM_CR0_PE},
    };
    uint64_t rax = 0;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (uc_mem_write(s->uc, tables[i][0], &tables[i][1], sizeof(uint64_t)))
            return false;
    write_efer(s, LME_LMA);
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        uc_reg_write(s->uc, regs[i].id, &regs[i].value);
    run(s, insn, sizeof(insn)); /* an error is an answer: nothing lies at the address itself */
    uc_reg_read(s->uc, UC_X86_REG_RAX, &rax);
    out->translates = s->vector == 3 && memcmp(&rax, insn, 4) == 0;
    return true;
}

static const struct {
    const char *what;
    bool (*find)(struct scratch *s, struct emu_blob *out);
} places[] = {
    {"error code", find_code},
    {"segments", find_segs},
    {"EFER", find_efer},
    {"flags of translated code", find_hflags},
    {"use of page tables", find_translation},
};

static int find_all(struct scratch *s, struct emu_blob *out, struct ukvm_error *err)
{
    char version[UK_EMU_VERSION_MAX];

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (!places[i].find(s, out))
            return uk_error(err, UKVM_ENOTSUP,
                            "emu: Unicorn %s: its saved context does not show the %s; "
                            "use another version of libunicorn",
                            uk_emu_version(version), places[i].what);
    return UKVM_OK;
}

/* Leaves the engine as it was: nothing mapped, its first state. */
int uk_emu_x86_calibrate(uc_engine *uc, struct emu_blob *out, struct ukvm_error *err)
{
    struct scratch s = {.uc = uc, .size = uc_context_size(uc)};
    uc_context *first = NULL;
    uc_hook hook;
    int rc;

    memset(out, 0, sizeof(*out));
    if (uc_context_alloc(uc, &first) || uc_context_alloc(uc, &s.ctx)) {
        uc_context_free(first);
        return uk_error(err, UKVM_ENOMEM, "emu: out of memory");
    }
    s.blob = (const uint8_t *)s.ctx;
    uc_context_save(uc, first);
    if (uc_mem_map(uc, SCRATCH, SCRATCH_LEN, UC_PROT_ALL) ||
        uk_emu_hook(uc, &hook, UC_HOOK_INTR, (emu_callback *)on_intr, &s)) {
        rc = uk_error(err, UKVM_ENOTSUP, "emu: Unicorn runs no code here");
    } else {
        rc = find_all(&s, out, err);
        uc_hook_del(uc, hook);
        uc_mem_unmap(uc, SCRATCH, SCRATCH_LEN);
    }
    uc_context_restore(uc, first);
    uc_context_free(first);
    uc_context_free(s.ctx);
    return rc;
}
