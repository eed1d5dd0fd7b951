/* SPDX-License-Identifier: ISC */
/*
 * The memory and string functions that compilers and unikernels need, by words where it pays.
 * Plain loops: no repeated string instructions, so every instruction is a whole position.
 */
#include "guest/guest.h"

#define WORD sizeof(word_t)

typedef uint64_t __attribute__((may_alias, aligned(1))) word_t;

/* Keeps a compiler from turning a loop of memcpy into a call of memcpy. */
#define KEEP_LOOP(p) __asm__("" : "+r"(p))

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    for (; n >= WORD; n -= WORD, d += WORD, s += WORD) {
        *(word_t *)d = *(const word_t *)s;
        KEEP_LOOP(d);
    }
    for (; n > 0; n--) {
        *d++ = *s++;
        KEEP_LOOP(d);
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *d = (unsigned char *)to + n;
    const unsigned char *s = (const unsigned char *)from + n;
    if ((uintptr_t)to - (uintptr_t)from >= n) /* also when (to) is below: forwards is safe */
        return memcpy(to, from, n);
    while (n-- > 0) {
        *--d = *--s;
        KEEP_LOOP(d);
    }
    return to;
}

void *memset(void *to, int c, size_t n)
{
    unsigned char *d = to;
    word_t w = (unsigned char)c * 0x0101010101010101ULL;
    for (; n >= WORD; n -= WORD, d += WORD) {
        *(word_t *)d = w;
        KEEP_LOOP(d);
    }
    for (; n > 0; n--) {
        *d++ = (unsigned char)c;
        KEEP_LOOP(d);
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (; n >= WORD && *(const word_t *)p == *(const word_t *)q; n -= WORD) {
        p += WORD;
        q += WORD;
    }
    for (; n > 0; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n] != '\0') {
        n++;
        KEEP_LOOP(n);
    }
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0')
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

bool ukvm_parse_u64(const char *s, const char **end, uint64_t *value)
{
    const char *p = s;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned d = (unsigned)(*p - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *value = v;
    *end = p;
    return p != s;
}
