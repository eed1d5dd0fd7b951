/* SPDX-License-Identifier: ISC */
/*
 * The console: bytes, strings and a subset of printf. A formatted line is one hypercall, if it
 * is shorter than the buffer. Must not allocate.
 */
#include "guest/internal.h"

#define OUT_SIZE 256

struct out {
    char buf[OUT_SIZE];
    size_t n;
    int total;
};

struct spec {
    bool left, zero, prefix;
    const char *plus;     /* what a number without a minus begins with */
    int width, precision; /* precision -1: none given */
    int longs;            /* l 1, ll 2, z 1 */
};

void ukvm_write(const void *data, size_t len)
{
    struct ukvm_puts arg = {data, len};
    ukvm_do_hypercall(UKVM_HYPERCALL_PUTS, &arg);
}

void ukvm_puts(const char *s)
{
    ukvm_write(s, strlen(s));
}

static void flush(struct out *o)
{
    if (o->n > 0)
        ukvm_write(o->buf, o->n);
    o->n = 0;
}

static void put(struct out *o, char c)
{
    if (o->n == OUT_SIZE)
        flush(o);
    o->buf[o->n++] = c;
    o->total++;
}

/* Puts (n) characters, padded to the width; zeros go between a sign and its digits. */
static void field(struct out *o, const struct spec *f, const char *prefix, const char *s, int n)
{
    int lead = (int)strlen(prefix);
    int pad = f->width - n - lead;
    bool zero = f->zero && !f->left;
    if (!f->left && !zero)
        for (; pad > 0; pad--)
            put(o, ' ');
    for (int i = 0; i < lead; i++)
        put(o, prefix[i]);
    if (zero)
        for (; pad > 0; pad--)
            put(o, '0');
    for (int i = 0; i < n; i++)
        put(o, s[i]);
    for (; pad > 0; pad--)
        put(o, ' ');
}

static void number(struct out *o, const struct spec *f, const char *prefix, uint64_t v,
                   unsigned base, bool upper)
{
    char digits[20];
    int at = (int)sizeof(digits);
    do {
        unsigned d = (unsigned)(v % base);
        digits[--at] = (char)(d < 10 ? '0' + d : (upper ? 'A' : 'a') + d - 10);
        v /= base;
    } while (v != 0);
    field(o, f, prefix, digits + at, (int)sizeof(digits) - at);
}

static const char *parse_spec(const char *p, struct spec *f)
{
    *f = (struct spec){.precision = -1, .plus = ""};
    for (; *p == '-' || *p == '0' || *p == '#' || *p == '+' || *p == ' '; p++) {
        f->left |= *p == '-';
        f->zero |= *p == '0';
        f->prefix |= *p == '#';
        if (*p == '+' || *p == ' ')
            f->plus = *p == '+' ? "+" : " ";
    }
    for (; *p >= '0' && *p <= '9'; p++)
        f->width = f->width * 10 + (*p - '0');
    if (*p == '.') {
        f->precision = 0;
        for (p++; *p >= '0' && *p <= '9'; p++)
            f->precision = f->precision * 10 + (*p - '0');
    }
    for (; *p == 'l' || *p == 'z' || *p == 'h'; p++)
        f->longs += *p != 'h';
    return p;
}

static void string(struct out *o, const struct spec *f, const char *s)
{
    int n = 0;
    if (s == NULL)
        s = "(null)";
    while ((f->precision < 0 || n < f->precision) && s[n] != '\0')
        n++;
    field(o, f, "", s, n);
}

static void convert(struct out *o, const struct spec *f, char how, va_list *ap)
{
    char c;
    int64_t sv;
    uint64_t uv;
    switch (how) {
    case 'd':
    case 'i':
        sv = f->longs > 0 ? va_arg(*ap, int64_t) : va_arg(*ap, int);
        number(o, f, sv < 0 ? "-" : f->plus, sv < 0 ? -(uint64_t)sv : (uint64_t)sv, 10, false);
        break;
    case 'u':
    case 'x':
    case 'X':
        uv = f->longs > 0 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned);
        number(o, f, f->prefix && how != 'u' && uv != 0 ? "0x" : "", uv, how == 'u' ? 10 : 16,
               how == 'X');
        break;
    case 'p':
        number(o, f, "0x", (uintptr_t)va_arg(*ap, void *), 16, false);
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        field(o, f, "", &c, 1);
        break;
    case 's':
        string(o, f, va_arg(*ap, const char *));
        break;
    case '%':
        put(o, '%');
        break;
    default: /* its argument's size is unknown, and so where the next one is */
        ukvm_abort("printf: no conversion '%c' here", how);
    }
}

int ukvm_vprintf(const char *fmt, va_list ap)
{
    struct out o;
    struct spec f;
    va_list copy;
    o.n = 0;
    o.total = 0;
    va_copy(copy, ap);
    for (const char *p = fmt; *p != '\0'; p++) {
        if (*p != '%') {
            put(&o, *p);
            continue;
        }
        p = parse_spec(p + 1, &f);
        if (*p == '\0')
            break;
        convert(&o, &f, *p, &copy);
    }
    va_end(copy);
    flush(&o);
    return o.total;
}

int ukvm_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = ukvm_vprintf(fmt, ap);
    va_end(ap);
    return n;
}
