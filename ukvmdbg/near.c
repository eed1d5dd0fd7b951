/* SPDX-License-Identifier: ISC */
/*
 * near.c: edit distance with transpositions, and the few nearest names. Knows no table.
 */
#include "ukvmdbg/near.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 48 /* characters that count */

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours that make (b) of (a). */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[3][LONGEST + 1], na, nb;

    na = (unsigned)strnlen(a, LONGEST);
    nb = (unsigned)strnlen(b, LONGEST);
    for (unsigned j = 0; j <= nb; j++)
        d[0][j] = j;
    for (unsigned i = 1; i <= na; i++) {
        unsigned *now = d[i % 3], *last = d[(i + 2) % 3], *before = d[(i + 1) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            now[j] = min(last[j - 1] + (a[i - 1] != b[j - 1]), min(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min(now[j], before[j - 2] + 1);
        }
    }
    return d[na % 3][nb];
}

void ud_near_begin(struct ud_near *near, const char *name)
{
    memset(near, 0, sizeof(*near));
    near->name = name;
}

void ud_near_try(struct ud_near *near, const char *candidate)
{
    size_t len = strlen(near->name), i;
    unsigned d = distance(near->name, candidate);

    if (len >= 3 && d > 1 && strstr(candidate, near->name))
        d = 2;
    if (d > (unsigned)len / 3 + 1)
        return;
    for (i = near->n; i > 0 && near->distance[i - 1] > d; i--)
        if (i < UD_NEAR_MAX) {
            near->best[i] = near->best[i - 1];
            near->distance[i] = near->distance[i - 1];
        }
    if (i == UD_NEAR_MAX)
        return;
    near->best[i] = candidate;
    near->distance[i] = d;
    near->n += near->n < UD_NEAR_MAX;
}

const char *ud_near_format(const struct ud_near *near, const char *prefix, const char *otherwise,
                           char *buf, size_t size)
{
    size_t used;

    if (near->n == 0) {
        snprintf(buf, size, "%s", otherwise);
        return buf;
    }
    used = (size_t)snprintf(buf, size, "nearest: ");
    for (size_t i = 0; i < near->n && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s%s", i ? ", " : "", prefix,
                                 near->best[i]);
    return buf;
}
