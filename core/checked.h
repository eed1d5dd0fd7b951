/* SPDX-License-Identifier: ISC */
/*
 * checked.h: arithmetic on numbers that a guest or a file gave. Depends on nothing.
 */
#ifndef UKVM_CHECKED_H
#define UKVM_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* *sum = a + b; false if that overflows. */
static inline bool uk_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* *up = n rounded up to a multiple of (align), a power of two; false if that overflows. */
static inline bool uk_round_up(uint64_t n, uint64_t align, uint64_t *up)
{
    if (!uk_add(n, align - 1, up))
        return false;
    *up &= ~(align - 1);
    return true;
}

/* Whether [start, start + len) lies in [0, limit]. */
static inline bool uk_within(uint64_t start, uint64_t len, uint64_t limit)
{
    uint64_t end;

    return uk_add(start, len, &end) && end <= limit;
}

#endif /* UKVM_CHECKED_H */
