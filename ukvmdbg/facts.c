/* SPDX-License-Identifier: ISC */
/*
 * facts.c: pairs collected and printed. Knows nothing of what they say.
 */
#include "ukvmdbg/facts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ud_facts_add(struct ud_facts *f, const char *key, const char *fmt, ...)
{
    struct ud_fact *fact;
    va_list ap;

    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 32;

        fact = realloc(f->fact, room * sizeof(*fact));
        if (!fact)
            return;
        f->fact = fact;
        f->room = room;
    }
    fact = &f->fact[f->n++];
    snprintf(fact->key, sizeof(fact->key), "%s", key);
    va_start(ap, fmt);
    vsnprintf(fact->value, sizeof(fact->value), fmt, ap);
    va_end(ap);
    for (char *p = fact->value; *p; p++) /* one pair, one line */
        if (*p == '\n')
            *p = ' ';
}

static bool refused(const char *value)
{
    return strncmp(value, "no:", 3) == 0 || strncmp(value, "cannot ", 7) == 0;
}

void ud_facts_text(const struct ud_facts *f, struct ud_out *out)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *key = f->fact[i].key, *value = f->fact[i].value;
        size_t len = strcspn(key, ".");

        if (i > 0 &&
            (strncmp(f->fact[i - 1].key, key, len) != 0 || strcspn(f->fact[i - 1].key, ".") != len))
            ud_out_printf(out, "\n");
        ud_out_style(out, UD_HEAD, "%s", key);
        ud_out_printf(out, ": ");
        ud_out_style(out, refused(value) ? UD_BAD : UD_PLAIN, "%s", value);
        ud_out_printf(out, "\n");
    }
}

/* Bytes that are no text of JSON's become "?". */
static void string(struct ud_out *out, const char *s)
{
    ud_out_printf(out, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            ud_out_printf(out, "\\%c", c);
        else
            ud_out_printf(out, "%c", c < 0x20 || c >= 0x7f ? '?' : c);
    }
    ud_out_printf(out, "\"");
}

void ud_facts_json(const struct ud_facts *f, const char *schema, struct ud_out *out)
{
    ud_out_printf(out, "{\"schema\":");
    string(out, schema);
    for (size_t i = 0; i < f->n; i++) {
        ud_out_printf(out, ",\n ");
        string(out, f->fact[i].key);
        ud_out_printf(out, ":");
        string(out, f->fact[i].value);
    }
    ud_out_printf(out, "}\n");
}

void ud_facts_free(struct ud_facts *f)
{
    free(f->fact);
    memset(f, 0, sizeof(*f));
}
