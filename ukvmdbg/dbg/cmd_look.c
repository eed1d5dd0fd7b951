/* SPDX-License-Identifier: ISC */
/*
 * cmd_look.c: commands that look at registers and memory.
 */
#include "ukvmdbg/dbg/shell.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- registers ----------------------------------------------------------------------- */

static int show(struct ud_shell *sh, const struct ukvm_reg *reg, struct ukvm_error *err)
{
    uint8_t bytes[64] = {0};
    int rc = ukvm_reg_get(sh->s->vm, reg, bytes, err);

    if (rc == UKVM_OK)
        ud_show_register(sh, reg, bytes);
    return rc;
}

/* All registers, or those that are fetched together with pc. */
static int show_group(struct ud_shell *sh, bool all, struct ukvm_error *err)
{
    const struct ukvm_reg *pc = ukvm_reg_by_flag(sh->s->vm, UKVM_REG_PC), *regs;
    int rc = UKVM_OK;
    size_t n;

    regs = ukvm_reg_table(sh->s->vm, &n);
    for (size_t i = 0; i < n && rc == UKVM_OK; i++)
        if (all || (pc && regs[i].group == pc->group))
            rc = show(sh, &regs[i], err);
    return rc;
}

static int show_named(struct ud_shell *sh, const char *word, struct ukvm_error *err)
{
    const struct ukvm_reg *reg;

    if (strcmp(word, "all") == 0)
        return show_group(sh, true, err);
    reg = ud_register(sh->s->vm, word[0] == '$' ? word + 1 : word, err);
    return reg ? show(sh, reg, err) : UKVM_ENOENT;
}

int ud_cmd_registers(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    char word[32];
    int n, rc = UKVM_OK;

    if (!*args)
        return show_group(sh, false, err);
    while (rc == UKVM_OK && sscanf(args, " %31s%n", word, &n) == 1) {
        args += n;
        rc = show_named(sh, word, err);
    }
    return rc;
}

/* --- print ----------------------------------------------------------------------------- */

int ud_cmd_print(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    char format = 0, text[80], symbol[160];
    uint64_t v;
    int rc;

    if (args[0] == '/') {
        format = args[1];
        if (!format || !strchr("xduotac", format) || !isspace((unsigned char)args[2]))
            return ud_error(err, UKVM_EINVAL,
                            "print: \"%.20s\": not a format; one of /x /d /u /o /t /a /c", args);
        args += 2;
    }
    rc = ud_expr_whole(sh->s->vm, args, &v, err);
    if (rc != UKVM_OK)
        return rc;
    ud_show_symbol(sh, v, symbol, sizeof(symbol));
    if (!format)
        ud_out_printf(sh->out, "0x%" PRIx64 " (%" PRId64 ")%s\n", v, (int64_t)v, symbol);
    else
        ud_out_printf(sh->out, "%s%s\n",
                      format == 'x' ? ud_show_value('a', 8, v, text, sizeof(text))
                                    : ud_show_value(format, 8, v, text, sizeof(text)),
                      format == 'a' ? symbol : "");
    return UKVM_OK;
}

/* --- memory ---------------------------------------------------------------------------- */

static const struct {
    char letter;
    unsigned size;
} units[] = {{'b', 1}, {'h', 2}, {'w', 4}, {'g', 8}};

#define MOST 65536 /* units a command shows */

static bool unit(struct ud_examine *x, char c)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == c) {
            x->size = units[i].size;
            return true;
        }
    return false;
}

/* "/8xb" into (x); what it does not say stays as it was. */
static int parse_format(struct ud_examine *x, const char **args, struct ukvm_error *err)
{
    const char *p = *args + 1;
    bool sized = false, formatted = false;

    x->count = isdigit((unsigned char)*p) ? 0 : 1;
    for (; isdigit((unsigned char)*p); p++)
        if (x->count <= MOST)
            x->count = x->count * 10 + (uint64_t)(*p - '0');
    for (; *p && !isspace((unsigned char)*p); p++) {
        if (!sized && unit(x, *p)) {
            sized = true;
        } else if (!formatted && strchr("xduotacsi", *p)) {
            x->format = *p;
            formatted = true;
        } else {
            return ud_error(err, UKVM_EINVAL, "x: \"%.*s\": no such format; x/8xb, help x",
                            (int)strcspn(*args, " \t"), *args);
        }
    }
    if (x->count == 0 || x->count > MOST)
        return ud_error(err, UKVM_EINVAL, "x: \"%.*s\": too many or none; 1 to %d units",
                        (int)strcspn(*args, " \t"), *args, MOST);
    if (!sized && x->format == 'a')
        x->size = 8;
    if (!sized && x->format == 'c')
        x->size = 1;
    *args = p;
    return UKVM_OK;
}

static enum ukvm_space space(const struct ud_examine *x)
{
    return x->physical ? UKVM_PHYS : UKVM_VIRT;
}

static void address(struct ud_shell *sh, uint64_t addr)
{
    char symbol[160] = "";

    if (!sh->x.physical)
        ud_show_symbol(sh, addr, symbol, sizeof(symbol));
    ud_out_printf(sh->out, "0x%" PRIx64 "%s:", addr, symbol);
}

/* One unit at x->addr; moves it on. */
static int show_unit(struct ud_shell *sh, struct ukvm_error *err)
{
    struct ud_examine *x = &sh->x;
    char text[80], symbol[160] = "";
    uint8_t bytes[8] = {0};
    uint64_t v = 0;
    int rc = ukvm_peek(sh->s->vm, space(x), x->addr, bytes, x->size, NULL, err);

    if (rc != UKVM_OK)
        return rc;
    for (unsigned i = 0; i < x->size; i++)
        v |= (uint64_t)bytes[i] << (8 * i);
    if (x->format == 'a')
        ud_show_symbol(sh, v, symbol, sizeof(symbol));
    ud_out_printf(sh->out, " %s%s", ud_show_value(x->format, x->size, v, text, sizeof(text)),
                  symbol);
    x->addr += x->size;
    return UKVM_OK;
}

static int show_units(struct ud_shell *sh, struct ukvm_error *err)
{
    unsigned per_line = sh->x.size == 8 ? 2 : sh->x.size == 4 ? 4 : 8;
    int rc = UKVM_OK;

    for (uint64_t i = 0; i < sh->x.count && rc == UKVM_OK; i++) {
        if (i % per_line == 0) {
            if (i)
                ud_out_printf(sh->out, "\n");
            address(sh, sh->x.addr);
        }
        rc = show_unit(sh, err);
    }
    ud_out_printf(sh->out, "\n");
    return rc;
}

#define LONGEST 200 /* characters of a string in one piece */

static int show_string(struct ud_shell *sh, struct ukvm_error *err)
{
    char text[4 * LONGEST + 1];
    uint8_t c;
    size_t used = 0, n = 0;
    int rc;

    for (;; n++) {
        rc = ukvm_peek(sh->s->vm, space(&sh->x), sh->x.addr + n, &c, 1, NULL, err);
        if (rc != UKVM_OK || c == 0 || n == LONGEST)
            break;
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 c == '"' || c == '\\'   ? "\\%c"
                                 : c >= 0x20 && c < 0x7f ? "%c"
                                                         : "\\%03o",
                                 c);
    }
    if (rc != UKVM_OK && n == 0)
        return rc;
    text[used] = '\0';
    address(sh, sh->x.addr);
    ud_out_printf(sh->out, " \"%s\"%s\n", text, n == LONGEST ? "..." : "");
    sh->x.addr += n + (rc == UKVM_OK && c == 0);
    return rc;
}

static int show_lines(struct ud_shell *sh, struct ukvm_error *err)
{
    int rc = UKVM_OK;
    size_t len;

    for (uint64_t i = 0; i < sh->x.count && rc == UKVM_OK; i++) {
        if (sh->x.format == 's') {
            rc = show_string(sh, err);
            continue;
        }
        rc = ud_show_insn(sh, sh->x.addr, &len, err);
        if (rc == UKVM_OK)
            sh->x.addr += len;
    }
    return rc;
}

static int examine(struct ud_shell *sh, const char *args, bool physical, struct ukvm_error *err)
{
    struct ud_examine *x = &sh->x;
    int rc = UKVM_OK;

    x->physical = physical;
    if (args[0] == '/')
        rc = parse_format(x, &args, err);
    args += strspn(args, " \t");
    if (rc == UKVM_OK && *args)
        rc = ud_expr_whole(sh->s->vm, args, &x->addr, err);
    if (rc != UKVM_OK)
        return rc;
    if (x->format == 'i' && physical)
        return ud_error(err, UKVM_ENOTSUP, "xp/i: instructions are at virtual addresses; x/i");
    return x->format == 's' || x->format == 'i' ? show_lines(sh, err) : show_units(sh, err);
}

int ud_cmd_x(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    return examine(sh, args, false, err);
}

int ud_cmd_xp(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    return examine(sh, args, true, err);
}
