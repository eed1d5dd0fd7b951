/* SPDX-License-Identifier: ISC */
/*
 * near.h: the names nearest to a mistyped one. Knows no table.
 */
#ifndef UD_NEAR_H
#define UD_NEAR_H

#include "ukvmdbg/shared.h"

#include <stddef.h>

#define UD_NEAR_MAX 3

struct ud_near {
    const char *name;
    const char *best[UD_NEAR_MAX]; /* nearest first */
    unsigned distance[UD_NEAR_MAX];
    size_t n;
};

UD_SHARED void ud_near_begin(struct ud_near *near, const char *name);
/* (candidate) must live as long as (near) is used. */
UD_SHARED void ud_near_try(struct ud_near *near, const char *candidate);
/* "nearest: --disk, --net" into (buf), each after (prefix); (otherwise) if none is near. */
UD_SHARED const char *ud_near_format(const struct ud_near *near, const char *prefix,
                                     const char *otherwise, char *buf, size_t size);

#endif /* UD_NEAR_H */
