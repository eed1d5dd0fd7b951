/* SPDX-License-Identifier: ISC */
/*
 * expr.c: small expressions over numbers, registers and symbols. Knows no terminal.
 */
#include "ukvmdbg/dbg/shell.h"
#include "ukvmdbg/near.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 32 /* parentheses and signs within each other */

struct expr {
    struct ukvm *vm;
    const char *p;
    int depth;
    struct ukvm_error *err;
};

static int sum(struct expr *e, uint64_t *v);

static void spaces(struct expr *e)
{
    e->p += strspn(e->p, " \t");
}

static int number(struct expr *e, uint64_t *v)
{
    char *end;

    errno = 0;
    *v = strtoull(e->p, &end, 0);
    if (errno || isalnum((unsigned char)*end) || *end == '_')
        return ud_error(e->err, UKVM_EINVAL, "%.40s: not a number of 64 bits; 12, 0xc", e->p);
    e->p = end;
    return UKVM_OK;
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '@';
}

static void name(struct expr *e, char *buf, size_t size)
{
    size_t n = 0;

    while (in_name(*e->p)) {
        if (n + 1 < size)
            buf[n++] = *e->p;
        e->p++;
    }
    buf[n] = '\0';
}

/* Names that every processor has. */
static const struct {
    const char *name;
    unsigned flag;
} common[] = {{"pc", UKVM_REG_PC}, {"sp", UKVM_REG_SP}, {"fp", UKVM_REG_FP}};

const struct ukvm_reg *ud_register(struct ukvm *vm, const char *word, struct ukvm_error *err)
{
    const struct ukvm_reg *regs, *r = ukvm_reg_find(vm, word);
    struct ud_near near;
    char names[80];
    size_t n;

    for (size_t i = 0; !r && i < sizeof(common) / sizeof(common[0]); i++)
        if (strcmp(common[i].name, word) == 0)
            r = ukvm_reg_by_flag(vm, common[i].flag);
    if (r)
        return r;
    regs = ukvm_reg_table(vm, &n);
    ud_near_begin(&near, word);
    for (size_t i = 0; i < n; i++)
        ud_near_try(&near, regs[i].name);
    ud_error(err, UKVM_ENOENT, "$%s: no such register; %s", word,
             ud_near_format(&near, "$", "registers all", names, sizeof(names)));
    return NULL;
}

static int reg(struct expr *e, uint64_t *v)
{
    const struct ukvm_reg *r;
    uint8_t bytes[64] = {0};
    char word[40];
    int rc;

    e->p++;
    name(e, word, sizeof(word));
    r = ud_register(e->vm, word, e->err);
    if (!r)
        return UKVM_ENOENT;
    if (r->size > 8)
        return ud_error(e->err, UKVM_ENOTSUP, "$%s: wider than 64 bits; registers %s", word, word);
    rc = ukvm_reg_get(e->vm, r, bytes, e->err);
    *v = 0;
    for (unsigned i = 0; i < r->size; i++)
        *v |= (uint64_t)bytes[i] << (8 * i);
    return rc;
}

static int symbol(struct expr *e, uint64_t *v)
{
    const struct ukvm_sym *s;
    struct ud_near near;
    char word[128], names[100];

    name(e, word, sizeof(word));
    s = ukvm_sym_by_name(e->vm, word);
    if (s) {
        *v = s->addr;
        return UKVM_OK;
    }
    if (!ukvm_sym_at(e->vm, 0))
        return ud_error(e->err, UKVM_ENOENT, "%s: the image has no symbols; --symbols=FILE", word);
    ud_near_begin(&near, word);
    for (size_t i = 0; (s = ukvm_sym_at(e->vm, i)); i++)
        ud_near_try(&near, s->name);
    return ud_error(e->err, UKVM_ENOENT, "%s: no such symbol; %s", word,
                    ud_near_format(&near, "", "symbols lists them", names, sizeof(names)));
}

static int parenthesis(struct expr *e, uint64_t *v)
{
    int rc;

    e->p++;
    rc = sum(e, v);
    if (rc != UKVM_OK)
        return rc;
    spaces(e);
    if (*e->p != ')')
        return ud_error(e->err, UKVM_EINVAL, "\"%.40s\": a ) is missing before it; help print",
                        e->p);
    e->p++;
    return UKVM_OK;
}

static int term(struct expr *e, uint64_t *v)
{
    int rc;

    spaces(e);
    if (++e->depth > DEEPEST)
        return ud_error(e->err, UKVM_ELIMIT,
                        "expression: more than %d levels deep; make it simpler", DEEPEST);
    if (*e->p == '-') {
        e->p++;
        rc = term(e, v);
        *v = -*v;
    } else if (*e->p == '(') {
        rc = parenthesis(e, v);
    } else if (*e->p == '$') {
        rc = reg(e, v);
    } else if (isdigit((unsigned char)*e->p)) {
        rc = number(e, v);
    } else if (in_name(*e->p)) {
        rc = symbol(e, v);
    } else {
        rc = ud_error(e->err, UKVM_EINVAL,
                      "\"%.40s\": a number, $register or symbol belongs here; help print", e->p);
    }
    e->depth--;
    return rc;
}

static int sum(struct expr *e, uint64_t *v)
{
    int rc = term(e, v);

    for (;;) {
        uint64_t right = 0;
        bool minus;

        if (rc != UKVM_OK)
            return rc;
        spaces(e);
        if (*e->p != '+' && *e->p != '-')
            return UKVM_OK;
        minus = *e->p++ == '-';
        rc = term(e, &right);
        *v += minus ? -right : right;
    }
}

int ud_expr(struct ukvm *vm, const char **text, uint64_t *value, struct ukvm_error *err)
{
    struct expr e = {vm, *text, 0, err};
    int rc;

    *value = 0;
    rc = sum(&e, value);
    *text = e.p;
    return rc;
}

int ud_expr_whole(struct ukvm *vm, const char *text, uint64_t *value, struct ukvm_error *err)
{
    int rc = ud_expr(vm, &text, value, err);

    text += strspn(text, " \t");
    if (rc == UKVM_OK && *text)
        return ud_error(err, UKVM_EINVAL, "\"%.60s\": not understood; help print", text);
    return rc;
}
