/* SPDX-License-Identifier: ISC */
/*
 * probe.c: does the native backend work here? A guest of a page is tried: its privileged
 * instruction must come back, its floating point work, its system call reach nothing.
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM  ((size_t)2 << 20)
#define CODE UINT64_C(0x20000)

struct probe {
    struct ukvm_report *report;
    struct ukvm_hv hv;
    struct ukvm_x86_state st;
    struct ukvm_exit ex;
    struct ukvm_error err;
};

static void fact(struct ukvm_report *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void fact(struct ukvm_report *r, const char *name, const char *fmt, ...)
{
    struct ukvm_fact *f = &r->facts[r->nfacts];
    va_list ap;

    if (r->nfacts == UKVM_MAX_FACTS)
        return;
    snprintf(f->name, sizeof(f->name), "%s", name);
    va_start(ap, fmt);
    vsnprintf(f->value, sizeof(f->value), fmt, ap);
    va_end(ap);
    r->nfacts++;
}

/* --- a guest ------------------------------------------------------------------------- */

/* One to one from 0x10000 on, as a guest finds it; the tables below. */
static void prepare(struct probe *p)
{
    static const uint64_t links[][2] = {{0x1000, 0x2003}, {0x2000, 0x3003}, {0x3000, 0x4003}};
    struct ukvm_x86_seg code = {.selector = 8, .limit = 0xffffffff, .attr = 0xa09b};

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        memcpy(p->hv.mem + links[i][0], &links[i][1], sizeof(uint64_t));
    for (uint64_t page = UK_NATIVE_FIRST; page < MEM; page += UK_NATIVE_PAGE) {
        uint64_t entry = page | 3;

        memcpy(p->hv.mem + 0x4000 + page / UK_NATIVE_PAGE * 8, &entry, sizeof(entry));
    }
    p->st.rflags = UKVM_RFLAGS_FIXED;
    p->st.cr0 = UKVM_CR0_PE | UKVM_CR0_NE | UKVM_CR0_PG;
    p->st.cr3 = 0x1000;
    p->st.cr4 = UKVM_CR4_PAE | 0x600; /* OSFXSR, OSXMMEXCPT */
    p->st.efer = UKVM_EFER_LMA | 0x100;
    p->st.dr7 = 0x400;
    p->st.fcw = 0x37f;
    p->st.mxcsr = 0x1f80;
    p->st.seg[UKVM_CS] = code;
}

static bool try(struct probe *p, const void *code, size_t len, bool step)
{
    struct ukvm_state *st = (struct ukvm_state *)(void *)&p->st;

    memcpy(p->hv.mem + CODE, code, len);
    p->st.rip = CODE;
    return ukvm_hv_native.set(&p->hv, UKVM_ALL, st, &p->err) == UKVM_OK &&
           ukvm_hv_native.run(&p->hv, &(struct ukvm_hv_run){.step = step}, &p->ex, &p->err) ==
               UKVM_OK &&
           ukvm_hv_native.get(&p->hv, UKVM_GPR | UKVM_FPU, st, &p->err) == UKVM_OK;
}

static bool try_fp(struct probe *p)
{
    /* mov eax, 20; cvtsi2sd xmm0, eax; addsd xmm0, xmm0; cvtsd2si ebx, xmm0; hlt */
    static const uint8_t code[] = {0xb8, 20,   0,    0,    0,    0xf2, 0x0f, 0x2a, 0xc0,
                                   0xf2, 0x0f, 0x58, 0xc0, 0xf2, 0x0f, 0x2d, 0xd8, 0xf4};

    return try(p, code, sizeof(code), false) && p->ex.kind == UKVM_EXIT_INSN &&
           p->ex.pc == CODE + sizeof(code) - 1 && p->st.gpr[UKVM_RBX] == 40;
}

static bool try_syscall(struct probe *p)
{
    static const uint8_t code[] = {0x0f, 0x05, 0xf4};

    p->st.gpr[UKVM_RAX] = 39; /* getpid */
    return try(p, code, sizeof(code), false) && p->ex.kind == UKVM_EXIT_EXCEPTION &&
           p->ex.vector == UK_X86_UD && p->st.gpr[UKVM_RAX] == 39;
}

static bool try_step(struct probe *p)
{
    static const uint8_t code[] = {0x90, 0xf4};

    return try(p, code, sizeof(code), true) && p->ex.kind == UKVM_EXIT_STEP &&
           p->ex.next == CODE + 1;
}

/* mov [0x21000], al; hlt: watched. */
static bool try_watch(struct probe *p)
{
    static const uint8_t code[] = {0x88, 0x04, 0x25, 0x00, 0x10, 0x02, 0x00, 0xf4};
    const struct ukvm_trap trap = {UKVM_TRAP_WRITE, 0x21000, 1};
    bool done, ok;

    ok = ukvm_hv_native.arm(&p->hv, &trap, 1, &done, &p->err) == UKVM_OK && done &&
         try(p, code, sizeof(code), false) && p->ex.kind == UKVM_EXIT_WATCH;
    ukvm_hv_native.arm(&p->hv, NULL, 0, NULL, &p->err);
    return ok;
}

/* --- facts ----------------------------------------------------------------------------- */

static void tell_setting(struct ukvm_report *r, const char *name, const char *path)
{
    char buf[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

    if (fd >= 0)
        close(fd);
    if (n > 0)
        fact(r, name, "%.*s", (int)strcspn(buf, "\n"), buf);
}

static void try_all(struct probe *p)
{
    struct ukvm_report *r = p->report;
    bool locked = try_syscall(p), fp = locked && try_fp(p);

    r->works = r->full = fp;
    if (!fp)
        snprintf(r->why, sizeof(r->why), "native: %s went wrong (exit %d); use --hv=emu",
                 locked ? "a run of 5 instructions" : "a system call of the guest's",
                 (int)p->ex.kind);
    fact(r, "system calls", locked ? "refused" : "not refused");
    fact(r, "sse", fp ? "yes" : "no");
    fact(r, "single-step", try_step(p) ? "yes" : "no");
    fact(r, "watchpoints",
         try_watch(p) ? "4, by debug registers" : "no: debug registers have no effect here");
    fact(r, "tsc", "%llu MHz", (unsigned long long)p->hv.b->tsc_hz / 1000000);
}

static int open_guest(struct probe *p, int fd)
{
    const struct ukvm_hv_config cfg = {.mem_fd = fd, .e_machine = EM_X86_64};
    void *mem;

    if (fd < 0 || ftruncate(fd, MEM))
        return uk_error_sys(&p->err, "use --hv=emu", "native: memfd_create");
    mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED)
        return uk_error_sys(&p->err, "use --hv=emu", "native: memory");
    p->hv.mem = mem;
    p->hv.mem_size = MEM;
    p->hv.ops = &ukvm_hv_native;
    return ukvm_hv_native.create(&p->hv, &cfg, &p->err);
}

void uk_native_probe(struct ukvm_report *report)
{
    struct probe p = {.report = report};
    int fd = memfd_create("ukvm-probe", MFD_CLOEXEC);

    if (open_guest(&p, fd) == UKVM_OK) {
        prepare(&p);
        try_all(&p);
        ukvm_hv_native.destroy(&p.hv);
    } else {
        snprintf(report->why, sizeof(report->why), "%s", p.err.msg);
    }
    tell_setting(report, "yama.ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope");
    tell_setting(report, "vm.mmap_min_addr", "/proc/sys/vm/mmap_min_addr");
    tell_setting(report, "vm.memfd_noexec", "/proc/sys/vm/memfd_noexec");
    if (p.hv.mem)
        munmap(p.hv.mem, MEM);
    if (fd >= 0)
        close(fd);
}
