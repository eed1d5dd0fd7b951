/* SPDX-License-Identifier: ISC */
/*
 * probe.c: what this machine's KVM can do, found by running a few instructions in a
 * VM of 64 KiB. No capability tells that a KVM interprets supervisor code or that it
 * lacks floating point there. Leaves nothing behind.
 */
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The VM's memory. */
enum {
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD = 0x3000,
    IDT = 0x4000,
    STUBS = 0x5000,
    GDT = 0x6000,
    CODE = 0x7000,
    STACK_TOP = 0x9000,
    MEM_SIZE = 0x10000
};
#define VECTORS 32

#define LOOP_INSNS    20000u
#define INTERPRETED   20000000.0 /* instructions a second; processors do a hundred times more */
#define LOOP_ATTEMPTS 3

struct probe {
    struct ukvm_hv hv;
    struct ukvm_report *report;
    struct ukvm_exit ex;
    struct ukvm_error err;
};

static void __attribute__((format(printf, 3, 4)))
fact(struct ukvm_report *r, const char *name, const char *fmt, ...)
{
    struct ukvm_fact *f = &r->facts[r->nfacts];
    va_list ap;

    if (r->nfacts == UKVM_MAX_FACTS)
        return;
    r->nfacts++;
    snprintf(f->name, sizeof(f->name), "%s", name);
    va_start(ap, fmt);
    vsnprintf(f->value, sizeof(f->value), fmt, ap);
    va_end(ap);
}

static void put(struct probe *p, size_t at, uint64_t value)
{
    memcpy(p->hv.mem + at, &value, sizeof(value));
}

/* One 2 MiB page, and an IDT whose handlers halt: a fault is an exit, not a reset. */
static void write_tables(struct probe *p)
{
    put(p, PML4, PDPT | 3);
    put(p, PDPT, PD | 3);
    put(p, PD, 0x83);
    put(p, GDT + 8, 0x00af9b000000ffff);
    put(p, GDT + 16, 0x00cf93000000ffff);
    for (unsigned v = 0; v < VECTORS; v++) {
        put(p, IDT + v * 16, (STUBS + v) | 8u << 16 | 0x8e00ull << 32);
        p->hv.mem[STUBS + v] = 0xf4;
    }
}

static int set_state(struct probe *p)
{
    const struct ukvm_x86_seg code = {0, 0xffffffff, 8, 0xa09b}, data = {0, 0xffffffff, 16, 0xc093};
    struct ukvm_x86_state st = {
        .rip = CODE,
        .rflags = UKVM_RFLAGS_FIXED,
        .cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_PG,
        .cr3 = PML4,
        .cr4 = 0x620,  /* PAE, OSFXSR, OSXMMEXCPT */
        .efer = 0x500, /* LME, LMA */
        .gdt = {GDT, 3 * 8 - 1, 0},
        .idt = {IDT, VECTORS * 16 - 1, 0},
        .dr6 = 0xffff0ff0,
        .dr7 = 0x400,
    };

    st.gpr[UKVM_RSP] = STACK_TOP;
    for (int i = 0; i < UKVM_LDTR; i++)
        st.seg[i] = data;
    st.seg[UKVM_CS] = code;
    st.seg[UKVM_LDTR].attr = UKVM_SEG_UNUSABLE;
    st.seg[UKVM_TR] = (struct ukvm_x86_seg){0, 0, 0, 0x8b};
    return uk_kvm_set(&p->hv, UKVM_GPR | UKVM_SYS, (const struct ukvm_state *)&st, &p->err);
}

/* Run (code) from its start to an exit, completed; false: p->err. */
static bool try(struct probe *p, const void *code, size_t len, bool step)
{
    const struct ukvm_hv_run how = {.step = step};

    memcpy(p->hv.mem + CODE, code, len);
    return uk_kvm_settle(&p->hv, &p->ex, &p->err) == UKVM_OK && set_state(p) == UKVM_OK &&
           uk_kvm_run(&p->hv, &how, &p->ex, &p->err) == UKVM_OK &&
           uk_kvm_settle(&p->hv, &p->ex, &p->err) == UKVM_OK;
}

/* What came instead of what was hoped for. */
static const char *instead(const struct probe *p)
{
    static const char *const kinds[] = {
        [UKVM_EXIT_HYPERCALL] = "a hypercall", [UKVM_EXIT_IO] = "a port access",
        [UKVM_EXIT_PROT] = "a memory exit",    [UKVM_EXIT_STEP] = "a step",
        [UKVM_EXIT_HALT] = "an exception",     [UKVM_EXIT_SHUTDOWN] = "a triple fault",
        [UKVM_EXIT_BREAK] = "a breakpoint",    [UKVM_EXIT_INTERRUPT] = "an interrupt",
    };

    if (p->err.code != UKVM_OK)
        return p->err.msg;
    if (p->ex.kind == UKVM_EXIT_UNKNOWN)
        return p->ex.msg;
    return p->ex.kind < sizeof(kinds) / sizeof(kinds[0]) && kinds[p->ex.kind] ? kinds[p->ex.kind]
                                                                              : "another exit";
}

static bool tell(struct probe *p, const char *name, bool ok)
{
    if (ok)
        fact(p->report, name, "yes");
    else
        fact(p->report, name, "no: %.90s", instead(p));
    return ok;
}

static bool try_out(struct probe *p)
{
    static const uint8_t code[] = {0xb8, 42,   0,    0,    0,
                                   0x66, 0xba, 0x01, 0x05, 0xef}; /* out dx, eax */
    bool ok = try(p, code, sizeof(code), false) && p->ex.kind == UKVM_EXIT_HYPERCALL &&
              p->ex.nr == 1 && p->ex.gpa == 42 && p->ex.pc == CODE + 9 && p->ex.next == CODE + 10;

    return tell(p, "hypercall", ok);
}

static bool halts(const struct probe *p, size_t len)
{
    return p->ex.kind == UKVM_EXIT_HALT && p->ex.next == CODE + len;
}

static bool try_hlt(struct probe *p)
{
    static const uint8_t code[] = {0xf4};

    return tell(p, "hlt", try(p, code, sizeof(code), false) && halts(p, sizeof(code)));
}

static bool try_fp(struct probe *p)
{
    static const uint8_t code[] = {0x66, 0x48, 0x0f, 0x6e, 0xc0, /* movq xmm0, rax */
                                   0x0f, 0x59, 0xc0,             /* mulps xmm0, xmm0 */
                                   0xd9, 0xe8,                   /* fld1 */
                                   0xf4};

    return tell(p, "sse", try(p, code, sizeof(code), false) && halts(p, sizeof(code)));
}

static bool try_step(struct probe *p)
{
    static const uint8_t code[] = {0x90, 0xf4};
    bool ok =
        try(p, code, sizeof(code), true) && p->ex.kind == UKVM_EXIT_STEP && p->ex.next == CODE + 1;

    return tell(p, "single-step", ok);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The best of some attempts: the machine may be busy. */
static void try_speed(struct probe *p)
{
    static const uint8_t code[] = {
        0xb9, LOOP_INSNS / 2 & 0xff, LOOP_INSNS / 2 >> 8, 0, 0, 0xff, 0xc9, 0x75, 0xfc,
        0xf4}; /* dec ecx; jnz */
    double best = 0;

    for (int i = 0; i < LOOP_ATTEMPTS && best < INTERPRETED; i++) {
        double t = now();

        if (!try(p, code, sizeof(code), false))
            return;
        t = LOOP_INSNS / (now() - t);
        best = t > best ? t : best;
    }
    if (best < INTERPRETED)
        fact(p->report, "speed", "interpreted: %.1f million instructions/s", best / 1e6);
    else
        fact(p->report, "speed", "the processor's");
}

static bool try_tsc(struct probe *p)
{
    uint64_t hz = uk_kvm_tsc_hz(&p->hv, &p->err);

    if (hz)
        fact(p->report, "tsc", "%llu MHz", (unsigned long long)hz / 1000000);
    else
        fact(p->report, "tsc", "unstable");
    return hz != 0;
}

static void __attribute__((format(printf, 2, 3)))
because(struct ukvm_report *r, const char *fmt, ...)
{
    va_list ap;

    if (r->why[0])
        return;
    va_start(ap, fmt);
    vsnprintf(r->why, sizeof(r->why), fmt, ap);
    va_end(ap);
}

static void try_all(struct probe *p)
{
    struct ukvm_report *r = p->report;
    bool tsc = try_tsc(p), out = try_out(p), hlt = out && try_hlt(p);

    if (!tsc)
        because(r, "/dev/kvm: %.200s", p->err.msg);
    if (!out)
        because(r, "/dev/kvm: a hypercall gave %.150s; use --hv=emu", instead(p));
    else if (!hlt)
        because(r, "/dev/kvm: hlt gave %.150s; use --hv=emu", instead(p));
    r->works = tsc && out && hlt;
    if (!out || !hlt)
        return;
    r->full = try_fp(p) && r->works;
    if (!r->full)
        because(r, "/dev/kvm: no floating point in supervisor mode: %.120s; use --hv=emu",
                instead(p));
    p->err.code = UKVM_OK;
    try_step(p);
    try_speed(p);
}

static int open_vm(struct probe *p)
{
    const struct ukvm_hv_config cfg = {.mem_fd = -1, .e_machine = EM_X86_64};
    void *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED)
        return uk_error_sys(&p->err, NULL, "mmap");
    p->hv.mem = mem;
    p->hv.mem_size = MEM_SIZE;
    p->hv.ops = &ukvm_hv_kvm;
    return ukvm_hv_kvm.create(&p->hv, &cfg, &p->err);
}

void uk_kvm_probe(struct ukvm_report *report)
{
    struct probe p = {.report = report};

    if (open_vm(&p) == UKVM_OK) {
        fact(report, "api", "version %d", KVM_API_VERSION);
        write_tables(&p);
        try_all(&p);
        ukvm_hv_kvm.destroy(&p.hv);
    } else {
        because(report, "%.230s", p.err.msg);
    }
    if (p.hv.mem)
        munmap(p.hv.mem, MEM_SIZE);
}
