/* SPDX-License-Identifier: ISC */
/*
 * Runtime of the family B and C test guests: start, descriptor tables, traps, the end, console.
 * It does in the same order what images of the two families do, and depends on abi.h alone.
 */
#include "tests/guests/abi.h"

#include <stdarg.h>

#ifdef FAMILY_B
#define FAMILY "B"
#else
#define FAMILY "C"
#endif

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_mid;
    uint32_t offset_high;
    uint32_t zero;
};

struct __attribute__((packed)) tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap;
};

extern const uint64_t trap_stubs[NR_GATES];

const struct boot_info *boot;
void (*trap_hook)(struct trap_frame *frame);
unsigned check_failures;
uint64_t gdt[6] __attribute__((aligned(64)));
uint8_t stack_irq[IST_STACK_SIZE] __attribute__((aligned(16)));
uint8_t stack_trap[IST_STACK_SIZE] __attribute__((aligned(16)));
uint8_t stack_abort[IST_STACK_SIZE] __attribute__((aligned(16)));
static struct gate idt[NR_GATES] __attribute__((aligned(64)));
static struct tss tss __attribute__((aligned(128)));
static int quiet;

void put(const void *data, size_t len)
{
    struct hc_puts arg = {(uintptr_t)data, len};

    hypercall(HC_PUTS, &arg);
}

size_t str_len(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

int str_same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

int word(char **text, const char *want)
{
    size_t n = str_len(want);

    for (size_t i = 0; i < n; i++)
        if ((*text)[i] != want[i])
            return 0;
    if ((*text)[n] && (*text)[n] != ' ')
        return 0;
    *text += n;
    while (**text == ' ')
        (*text)++;
    return 1;
}

uint64_t number(char **text)
{
    uint64_t value = 0;

    while (**text >= '0' && **text <= '9')
        value = value * 10 + (uint64_t)(*(*text)++ - '0');
    while (**text == ' ')
        (*text)++;
    return value;
}

int told_cpl3(const char *cmdline)
{
    const char *want = "cpl3";

    while (*want && *cmdline == *want)
        cmdline++, want++;
    return *cmdline == *want;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    for (size_t i = 0; i < n; i++)
        ((volatile uint8_t *)d)[i] = s[i];
    return to;
}

void *memset(void *to, int value, size_t n)
{
    volatile uint8_t *d = to;

    for (size_t i = 0; i < n; i++)
        d[i] = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

/* Writes value's digits so that they end before *end; returns where they begin. */
static char *digits(char *end, uint64_t value, unsigned base, int width, char pad)
{
    char *at = end;

    do {
        *--at = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (end - at < width)
        *--at = pad;
    return at;
}

/* One conversion of print: its text is at *from, its length the result; tmp is its space. */
static size_t convert(const char **format, va_list *args, char tmp[static 32], const char **from)
{
    const char *f = *format;
    char pad = *f == '0' ? '0' : ' ';
    char *end = tmp + 32;
    int width = 0, is_long = 0;
    uint64_t value;

    while (*f >= '0' && *f <= '9')
        width = width * 10 + (*f++ - '0');
    while (*f == 'l') {
        is_long = 1;
        f++;
    }
    *format = f + 1;
    if (*f == 's') {
        *from = va_arg(*args, const char *);
        return str_len(*from);
    }
    if (*f == 'c' || *f == 'd') {
        int n = va_arg(*args, int);
        char *at = end - 1;

        if (*f == 'c') {
            *at = (char)n;
        } else {
            at = digits(end, n < 0 ? -(uint64_t)n : (uint64_t)n, 10, width, pad);
            if (n < 0)
                *--at = '-';
        }
        *from = at;
        return (size_t)(end - at);
    }
    value = is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
    *from = digits(end, value, *f == 'x' ? 16 : 10, width, pad);
    return (size_t)(end - *from);
}

void print(const char *format, ...)
{
    char line[512], tmp[32];
    size_t n = 0;
    va_list args;

    va_start(args, format);
    while (*format && n < sizeof line) {
        const char *from = format;
        size_t len = 1;

        if (*format++ == '%')
            len = convert(&format, &args, tmp, &from);
        for (size_t i = 0; i < len && n < sizeof line; i++)
            line[n++] = from[i];
    }
    va_end(args);
    put(line, n);
}

void check_u64(const char *name, uint64_t got, uint64_t want)
{
    if (got == want) {
        print("ok %s\n", name);
        return;
    }
    check_failures++;
    print("FAIL %s: got 0x%lx want 0x%lx\n", name, got, want);
}

void rt_halt(int status, const void *cookie)
{
#ifdef FAMILY_C
    struct hc_halt arg = {(uintptr_t)cookie, status, 0};

    hypercall(HC_HALT, &arg);
    for (;;)
        ;
#else
    (void)status;
    (void)cookie;
    for (;;)
        __asm__ volatile("cli\n\thlt");
#endif
}

void rt_exit(int status)
{
    if (!quiet)
#ifdef FAMILY_C
        print("Solo5: solo5_exit(%d) called\n", status);
#else
        print("Solo5: solo5_app_main() returned with %d\n", status);
#endif
    rt_halt(status, NULL);
}

void rt_assert_fail(const char *file, int line, const char *text)
{
    print("Solo5: ABORT: ");
    print("%s:%d: ", file, line);
    print("%s\n", text);
    rt_halt(255, NULL);
}

#ifdef FAMILY_C
void solo5_abort(void)
{
    print("Solo5: solo5_abort() called\n");
    rt_halt(255, NULL);
}
#endif

static const char *trap_name(uint64_t vector)
{
    static const char names[21][4] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                      "#NM", "#DF", "#9",  "#TS", "#NP", "#SS", "#GP",
                                      "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE"};

    return vector < 21 ? names[vector] : "IRQ";
}

/* The 56 bytes behind the halt cookie. */
static struct {
    uint64_t cr2, error, rip, cs, rflags, rsp, ss;
    uint8_t rest[512 - 56];
} cookie;

void trap(struct trap_frame *f)
{
    if (trap_hook) {
        trap_hook(f);
        return;
    }
    if (f->vector == 14)
        __asm__ volatile("movq %%cr2, %0" : "=r"(cookie.cr2));
    cookie.error = f->error;
    cookie.rip = f->rip;
    cookie.cs = f->cs;
    cookie.rflags = f->rflags;
    cookie.rsp = f->rsp;
    cookie.ss = f->ss;
    print("Solo5: trap: type=%s ec=0x%lx rip=0x%lx rsp=0x%lx rflags=0x%lx\n", trap_name(f->vector),
          f->error, f->rip, f->rsp, f->rflags);
    if (f->vector == 14)
        print("Solo5: trap: cr2=0x%lx\n", cookie.cr2);
    print("Solo5: ABORT: ");
    print("%s:%d: ", __FILE__, __LINE__);
    print("Fatal trap\n");
    rt_halt(255, &cookie);
}

void gate_set(unsigned vector, uint8_t type, uint8_t ist)
{
    uint64_t at = trap_stubs[vector];

    idt[vector] = (struct gate){(uint16_t)at,         SEL_CODE, ist, type, (uint16_t)(at >> 16),
                                (uint32_t)(at >> 32), 0};
}

static void gates_fill(void)
{
    for (unsigned v = 0; v < NR_GATES; v++) {
        if (v == 9 || v == 15 || (v > 20 && v < 32))
            continue;
        gate_set(v, GATE_INTERRUPT, v >= 32 ? IST_IRQ : v == 2 || v == 8 ? IST_ABORT : IST_TRAP);
    }
}

/* Own tables: six GDT slots (code 1, data 3, TSS 4 and 5), no selector but TR is reloaded. */
static void tables_load(void)
{
    uint64_t at = (uintptr_t)&tss;
    struct table_register gdtr = {sizeof gdt - 1, (uintptr_t)gdt};
    struct table_register idtr = {sizeof idt - 1, (uintptr_t)idt};

    gdt[SEL_CODE / 8] = 0x00AF99000000FFFFul;
    gdt[SEL_DATA / 8] = 0x00CF93000000FFFFul;
    gdt[SEL_TSS / 8] =
        (sizeof tss - 1) | (at & 0xFFFFFF) << 16 | 0x89ul << 40 | (at >> 24 & 0xFF) << 56;
    gdt[SEL_TSS / 8 + 1] = at >> 32;
    tss.ist[IST_IRQ - 1] = (uintptr_t)stack_irq + IST_STACK_SIZE;
    tss.ist[IST_TRAP - 1] = (uintptr_t)stack_trap + IST_STACK_SIZE;
    tss.ist[IST_ABORT - 1] = (uintptr_t)stack_abort + IST_STACK_SIZE;
    tss.iomap = sizeof tss;
    gates_fill();
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

static void banner(void)
{
    if (!quiet)
        print("ABI guest, family " FAMILY "\n");
}

#ifdef FAMILY_C
/* Takes the leading --solo5: words off, which are for the runtime. */
static char *own_options(char *cmdline)
{
    for (;;) {
        if (word(&cmdline, "--solo5:quiet"))
            quiet = 1;
        else if (!word(&cmdline, "--solo5:debug"))
            return cmdline;
    }
}
#endif

void rt_start(const struct boot_info *info)
{
    char *cmdline = (char *)(uintptr_t)info->cmdline;

    boot = info;
#ifdef FAMILY_B
    banner();
    tables_load();
    __asm__ volatile("sti");
#else
    tables_load();
    cmdline = own_options(cmdline);
    banner();
#endif
    rt_exit(solo5_app_main(cmdline));
}

/* The entry of most guests is plain C: RSP + 8 is 16-aligned as after a call. */
void _start(const struct boot_info *info) __attribute__((weak, noreturn));
void _start(const struct boot_info *info)
{
    rt_start(info);
}
