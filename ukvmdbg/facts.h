/* SPDX-License-Identifier: ISC */
/*
 * facts.h: KEY: VALUE pairs in order, printed as text or JSON: what probe says.
 */
#ifndef UD_FACTS_H
#define UD_FACTS_H

#include "ukvmdbg/out.h"

#define UD_KEY_MAX   64
#define UD_VALUE_MAX 320

struct ud_fact {
    char key[UD_KEY_MAX], value[UD_VALUE_MAX];
};

struct ud_facts {
    struct ud_fact *fact;
    size_t n, room;
};

/* Without memory the pair is dropped. */
void ud_facts_add(struct ud_facts *f, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line a pair; an empty line where the part of the key before the first "." changes. */
void ud_facts_text(const struct ud_facts *f, struct ud_out *out);
/* One object, with (schema) as its first member. */
void ud_facts_json(const struct ud_facts *f, const char *schema, struct ud_out *out);
void ud_facts_free(struct ud_facts *f);

#endif /* UD_FACTS_H */
