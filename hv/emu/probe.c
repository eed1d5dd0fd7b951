/* SPDX-License-Identifier: ISC */
/*
 * probe.c: does the emulator work here? A machine of a few pages runs a few
 * instructions, SSE among them, and their results are looked at.
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86_64/state.h"
#include "hv/emu/emu.h"

#define MEM  (UINT64_C(2) << 20)
#define CODE UINT64_C(0x10000)

static void fact(struct ukvm_report *r, const char *name, const char *value)
{
    if (r->nfacts == UKVM_MAX_FACTS)
        return;
    snprintf(r->facts[r->nfacts].name, sizeof(r->facts[0].name), "%s", name);
    snprintf(r->facts[r->nfacts].value, sizeof(r->facts[0].value), "%s", value);
    r->nfacts++;
}

/* mov eax,20; cvtsi2sd xmm0,eax; addsd xmm0,xmm0; cvtsd2si ebx,xmm0; hlt */
static const uint8_t code[] = {0xb8, 20,   0,    0,    0,    0xf2, 0x0f, 0x2a, 0xc0,
                               0xf2, 0x0f, 0x58, 0xc0, 0xf2, 0x0f, 0x2d, 0xd8, 0xf4};

/* Identity tables for the first 2 MiB; long mode; at (code). */
static void prepare(struct ukvm_hv *hv, struct ukvm_x86_state *st)
{
    static const uint64_t tables[][2] = {{0x1000, 0x2003}, {0x2000, 0x3003}, {0x3000, 0x83}};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        memcpy(hv->mem + tables[i][0], &tables[i][1], sizeof(uint64_t));
    memcpy(hv->mem + CODE, code, sizeof(code));
    memset(st, 0, sizeof(*st));
    st->rip = CODE;
    st->rflags = UKVM_RFLAGS_FIXED;
    st->cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_PG;
    st->cr3 = 0x1000;
    st->cr4 = UKVM_CR4_PAE | 0x600; /* OSFXSR, OSXMMEXCPT */
    st->efer = UKVM_EFER_LMA | 0x100;
    st->seg[UKVM_CS].selector = 8;
    st->seg[UKVM_CS].attr = UKVM_SEG_P | UKVM_SEG_S | UKVM_SEG_L | 0xb;
    st->fcw = 0x37f;
    st->mxcsr = 0x1f80;
}

static int try_run(struct ukvm_hv *hv, struct ukvm_error *err)
{
    struct ukvm_x86_state st;
    struct ukvm_state *state = (struct ukvm_state *)(void *)&st;
    struct ukvm_exit ex;
    uint64_t n = 0;
    int rc;

    prepare(hv, &st);
    rc = ukvm_hv_emu.set(hv, UKVM_ALL, state, err);
    if (rc == UKVM_OK)
        rc = ukvm_hv_emu.run(hv, &(struct ukvm_hv_run){0}, &ex, err);
    if (rc == UKVM_OK)
        rc = ukvm_hv_emu.get(hv, UKVM_GPR, state, err);
    if (rc == UKVM_OK)
        rc = ukvm_hv_emu.count(hv, &n, err);
    if (rc != UKVM_OK)
        return rc;
    if (ex.kind != UKVM_EXIT_INSN || ex.pc != CODE + sizeof(code) - 1 || n != 4 ||
        st.gpr[UKVM_RBX] != 40)
        return uk_error(err, UKVM_ENOTSUP,
                        "emu: a run of 4 instructions went wrong: exit %d at 0x%llx, count %llu",
                        (int)ex.kind, (unsigned long long)ex.pc, (unsigned long long)n);
    return UKVM_OK;
}

static int try_all(struct ukvm_hv *hv, bool *translates, struct ukvm_error *err)
{
    struct ukvm_hv_config cfg = {.mem_fd = -1, .e_machine = EM_X86_64};
    int rc = ukvm_hv_emu.create(hv, &cfg, err);

    if (rc != UKVM_OK)
        return rc;
    rc = try_run(hv, err);
    *translates = hv->b->blob.translates;
    ukvm_hv_emu.destroy(hv);
    return rc;
}

void uk_emu_probe(struct ukvm_report *r)
{
    struct ukvm_hv hv = {.mem_size = MEM, .ops = &ukvm_hv_emu};
    char version[UK_EMU_VERSION_MAX];
    struct ukvm_error err;
    bool translates = false;
    int rc;

    memset(r, 0, sizeof(*r));
    r->backend = "emu";
    fact(r, "unicorn", uk_emu_version(version));
    hv.mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hv.mem == MAP_FAILED) {
        snprintf(r->why, sizeof(r->why), "emu: no memory for a trial");
        return;
    }
    rc = try_all(&hv, &translates, &err);
    munmap(hv.mem, MEM);
    r->works = r->full = rc == UKVM_OK;
    if (rc != UKVM_OK)
        snprintf(r->why, sizeof(r->why), "%s", err.msg);
    fact(r, "exact", r->works ? "yes: instruction counts, exceptions" : "no");
    fact(r, "page tables", translates ? "yes" : "rights only: memory is mapped one to one");
    fact(r, "breakpoints", "any number");
    fact(r, "single-step", "yes");
    fact(r, "sse", r->works ? "yes" : "no");
}
