/* SPDX-License-Identifier: ISC */
/*
 * complete.c: what a half-typed line can go on with. Knows no terminal.
 */
#include "ukvmdbg/dbg/shell.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct wish {
    const char *word; /* what is there of it */
    size_t len;
    ud_complete_fn *each;
    void *self;
};

static void offer(const struct wish *w, const char *candidate)
{
    if (strncmp(candidate, w->word, w->len) == 0)
        w->each(w->self, candidate);
}

static void offer_table(const struct wish *w, const struct ud_cmd *table)
{
    for (const struct ud_cmd *c = table; c->name; c++)
        offer(w, c->name);
}

/* Registers, with (prefix) before each name. */
static void offer_registers(struct ud_shell *sh, const struct wish *w, const char *prefix)
{
    const struct ukvm_reg *regs;
    char name[48];
    size_t n;

    if (!sh->s->vm)
        return;
    regs = ukvm_reg_table(sh->s->vm, &n);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%s%s", prefix, regs[i].name);
        offer(w, name);
    }
}

static void offer_symbols(struct ud_shell *sh, const struct wish *w)
{
    const struct ukvm_sym *sym;

    for (size_t i = 0; sh->s->vm && (sym = ukvm_sym_at(sh->s->vm, i)); i++)
        offer(w, sym->name);
}

static void offer_backends(const struct wish *w)
{
    struct ukvm_report r;

    for (size_t i = 0; ukvm_probe(i, NULL, &r) == UKVM_OK; i++)
        offer(w, r.backend);
}

static void offer_words(struct ud_shell *sh, const struct wish *w, int kind)
{
    if (w->word[0] == '$')
        offer_registers(sh, w, "$");
    else if (kind == UD_WORD_ADDRESS)
        offer_symbols(sh, w);
    else if (kind == UD_WORD_REGISTER)
        offer_registers(sh, w, "");
    else if (kind == UD_WORD_COMMAND)
        offer_table(w, ud_cmds);
    else if (kind == UD_WORD_TOPIC)
        offer_table(w, ud_topics);
    else if (kind == UD_WORD_HV)
        offer_backends(w);
}

/* The row that (line) begins with, or NULL; (*rest) is behind its name. */
static const struct ud_cmd *row(const struct ud_cmd *table, const char *line, const char **rest)
{
    struct ukvm_error err;
    size_t len = strcspn(line, " \t/");

    *rest = line + len;
    return **rest ? ud_cmd_find(table, line, len, &err) : NULL;
}

size_t ud_complete(struct ud_shell *sh, const char *line, ud_complete_fn *each, void *self)
{
    const char *start = line + strspn(line, " \t"), *rest;
    const struct ud_cmd *c = row(ud_cmds, start, &rest);
    size_t at = strlen(line);
    struct wish w = {.each = each, .self = self};

    while (at > 0 && !strchr(" \t+-(/,", line[at - 1]))
        at--;
    w.word = line + at;
    w.len = strlen(w.word);
    if (w.word == start) {
        offer_table(&w, ud_cmds);
        return at;
    }
    if (c && c->word == UD_WORD_TOPIC) {
        rest += strspn(rest, " \t");
        if (w.word > rest)
            c = row(ud_topics, rest, &rest);
    }
    if (c && !(w.word[-1] == '/'))
        offer_words(sh, &w, c->word);
    return at;
}
