/* SPDX-License-Identifier: ISC */
/*
 * cmd.c: the command table, finding a command in it, and doing one line. Knows no
 * terminal.
 */
#include "ukvmdbg/dbg/shell.h"
#include "ukvmdbg/near.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct ud_cmd ud_cmds[] = {
    {"start", "", "", "make the machine anew and stop at its entry point", NULL, 0, UD_WORD_NONE,
     ud_cmd_start},
    {"run", "r", "", "start, if need be, and go on until the guest stops",
     "The guest's arguments are those of the command line, after IMAGE.", 0, UD_WORD_NONE,
     ud_cmd_run},
    {"continue", "c", "", "go on until the guest stops", "Ctrl-C stops it.",
     UD_NEEDS_VM | UD_NEEDS_LIVE, UD_WORD_NONE, ud_cmd_continue},
    {"stepi", "si", "[N]", "do one instruction, or N; a hypercall is done whole", NULL,
     UD_NEEDS_VM | UD_NEEDS_LIVE | UD_REPEATS, UD_WORD_ADDRESS, ud_cmd_stepi},
    {"registers", "regs", "[NAME|all]...", "show registers", NULL, UD_NEEDS_VM, UD_WORD_REGISTER,
     ud_cmd_registers},
    {"print", "p", "[/FMT] EXPR", "work out an expression",
     "EXPR: numbers, $registers, symbols (their address), + - and parentheses.\n"
     "FMT: x hexadecimal, d signed, u unsigned, o octal, t binary, a address, c character.",
     UD_NEEDS_VM, UD_WORD_ADDRESS, ud_cmd_print},
    {"x", "memory", "[/NFU] ADDR", "show memory at a virtual address",
     "/NFU: how many, a format of print's or s (string) or i (instruction), and the\n"
     "unit: b 1, h 2, w 4, g 8 bytes. Without ADDR it goes on behind the last.\n"
     "x/4i $pc   x/8xb message   x/s $rdi",
     UD_NEEDS_VM | UD_REPEATS, UD_WORD_ADDRESS, ud_cmd_x},
    {"xp", "", "[/NFU] ADDR", "the same at a guest physical address", NULL,
     UD_NEEDS_VM | UD_REPEATS, UD_WORD_ADDRESS, ud_cmd_xp},
    {"disassemble", "disas", "[ADDR [COUNT]]", "show a function, or COUNT instructions at ADDR",
     NULL, UD_NEEDS_VM, UD_WORD_ADDRESS, ud_cmd_disassemble},
    {"symbols", "", "[PREFIX]", "list symbols, all or those that begin so", NULL, UD_NEEDS_VM,
     UD_WORD_ADDRESS, ud_cmd_symbols},
    {"info", "i", "TOPIC", "image, line, registers, symbol", NULL, 0, UD_WORD_TOPIC, ud_cmd_info},
    {"hv", "", "[NAME]", "show the backend, or go on with another", NULL, UD_NEEDS_VM, UD_WORD_HV,
     ud_cmd_hv},
    {"help", "h", "[COMMAND]", "list commands, or say more of one", NULL, 0, UD_WORD_COMMAND,
     ud_cmd_help},
    {"quit", "q exit", "", "leave", NULL, 0, UD_WORD_NONE, ud_cmd_quit},
    {NULL, NULL, NULL, NULL, NULL, 0, UD_WORD_NONE, NULL},
};

const struct ud_cmd ud_topics[] = {
    {"image", "", "", "the image: family, segments, symbols", NULL, UD_NEEDS_VM, UD_WORD_NONE,
     ud_cmd_info_image},
    {"line", "", "ADDR", "source line of an address", NULL, UD_NEEDS_VM, UD_WORD_ADDRESS,
     ud_cmd_info_line},
    {"registers", "", "[NAME|all]...", "as registers", NULL, UD_NEEDS_VM, UD_WORD_REGISTER,
     ud_cmd_registers},
    {"symbol", "", "ADDR", "symbol of an address", NULL, UD_NEEDS_VM, UD_WORD_ADDRESS,
     ud_cmd_info_symbol},
    {NULL, NULL, NULL, NULL, NULL, 0, UD_WORD_NONE, NULL},
};

/* --- finding ------------------------------------------------------------------------ */

/* Is (word) one of (list), separated by spaces? */
static bool listed(const char *list, const char *word, size_t len)
{
    while (*list) {
        size_t n = strcspn(list, " ");

        if (n == len && strncmp(list, word, len) == 0)
            return true;
        list += n + strspn(list + n, " ");
    }
    return false;
}

/* What debuggers have and this version has not. */
static const char planned[] =
    "advance backtrace break bt call catch clear commands condition delete disable display down "
    "enable finish frame hbreak ignore jump kill list next nexti reverse-continue reverse-step "
    "rwatch set step tbreak tty undisplay until up watch where";

static int unknown(const struct ud_cmd *table, const char *word, struct ukvm_error *err)
{
    struct ud_near near;
    char names[100];

    if (table == ud_cmds && listed(planned, word, strlen(word)))
        return ud_error(err, UKVM_ENOTSUP,
                        "%s: not yet: this version steps and looks only; help lists its commands",
                        word);
    ud_near_begin(&near, word);
    for (const struct ud_cmd *c = table; c->name; c++)
        ud_near_try(&near, c->name);
    ud_near_format(&near, "", table == ud_topics ? "help info" : "help lists them", names,
                   sizeof(names));
    return ud_error(err, UKVM_ENOENT, "%s: no such %s; %s", word,
                    table == ud_topics ? "topic of info" : "command", names);
}

static int ambiguous(const struct ud_cmd *table, const char *word, size_t len,
                     struct ukvm_error *err)
{
    char names[160];
    size_t used = 0;

    for (const struct ud_cmd *c = table; c->name && used < sizeof(names); c++)
        if (strncmp(c->name, word, len) == 0)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                                     c->name);
    return ud_error(err, UKVM_EINVAL, "%s: ambiguous; %s", word, names);
}

const struct ud_cmd *ud_cmd_find(const struct ud_cmd *table, const char *word, size_t len,
                                 struct ukvm_error *err)
{
    const struct ud_cmd *found = NULL;
    char name[40];
    size_t n = 0;

    for (const struct ud_cmd *c = table; c->name; c++) {
        if ((strlen(c->name) == len && strncmp(c->name, word, len) == 0) ||
            listed(c->aliases, word, len))
            return c;
        if (strncmp(c->name, word, len) == 0) {
            found = c;
            n++;
        }
    }
    if (n == 1)
        return found;
    snprintf(name, sizeof(name), "%.*s", (int)(len < 39 ? len : 39), word);
    if (n > 1)
        ambiguous(table, name, len, err);
    else
        unknown(table, name, err);
    return NULL;
}

/* --- doing -------------------------------------------------------------------------- */

static int check(struct ud_shell *sh, const struct ud_cmd *c, const char *args,
                 struct ukvm_error *err)
{
    if (*args && !c->args[0])
        return ud_error(err, UKVM_EINVAL, "%s: \"%.80s\": takes no arguments; help %s", c->name,
                        args, c->name);
    if ((c->flags & UD_NEEDS_VM) && !sh->s->vm)
        return ud_error(err, UKVM_ESTATE, "%s: there is no machine; start", c->name);
    if ((c->flags & UD_NEEDS_LIVE) && sh->s->ended)
        return ud_error(err, UKVM_ESTATE, "%s: the guest has ended; run or start begins again",
                        c->name);
    return UKVM_OK;
}

/* By the row of (table) that (line) begins with; the rest is its arguments. */
static int dispatch(struct ud_shell *sh, const struct ud_cmd *table, const char *line,
                    struct ukvm_error *err)
{
    size_t len = 0;
    const struct ud_cmd *c;
    int rc;

    while (line[len] && !isspace((unsigned char)line[len]) && line[len] != '/')
        len++;
    c = ud_cmd_find(table, line, len, err);
    if (!c)
        return UKVM_ENOENT;
    line += len;
    line += strspn(line, " \t");
    rc = check(sh, c, line, err);
    return rc == UKVM_OK ? c->run(sh, line, err) : rc;
}

int ud_cmd_do(struct ud_shell *sh, const char *line, struct ukvm_error *err)
{
    char buf[1024];
    size_t n;

    line += strspn(line, " \t");
    n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    if (n == 0 || line[0] == '#')
        return UKVM_OK;
    if (n >= sizeof(buf))
        return ud_error(err, UKVM_EINVAL,
                        "%.20s...: a line has at most %zu characters; make it shorter", line,
                        sizeof(buf) - 1);
    memcpy(buf, line, n);
    buf[n] = '\0';
    return dispatch(sh, ud_cmds, buf, err);
}

int ud_cmd_info(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    if (!*args)
        return ud_error(err, UKVM_EINVAL, "info: of what; help info");
    return dispatch(sh, ud_topics, args, err);
}

/* --- help and quit ------------------------------------------------------------------- */

static void list(struct ud_shell *sh, const struct ud_cmd *table, const char *prefix)
{
    char usage[48];

    for (const struct ud_cmd *c = table; c->name; c++) {
        bool glued = strncmp(c->args, "[/", 2) == 0;

        snprintf(usage, sizeof(usage), "%s%s%s%s", prefix, c->name, c->args[0] && !glued ? " " : "",
                 c->args);
        ud_out_printf(sh->out, "  %-29s %s\n", usage, c->help);
    }
}

static void explain(struct ud_shell *sh, const struct ud_cmd *c)
{
    bool glued = strncmp(c->args, "[/", 2) == 0;

    ud_out_style(sh->out, UD_HEAD, "%s", c->name);
    ud_out_printf(sh->out, "%s%s: %s\n", glued || !c->args[0] ? "" : " ", c->args, c->help);
    if (c->aliases[0])
        ud_out_printf(sh->out, "also: %s\n", c->aliases);
    if (c->more)
        ud_out_printf(sh->out, "%s\n", c->more);
    if (c->run == ud_cmd_info)
        list(sh, ud_topics, "info ");
}

int ud_cmd_help(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    const struct ud_cmd *c;

    if (!*args) {
        list(sh, ud_cmds, "");
        ud_out_printf(sh->out, "A command may be shortened while it is unique; Tab completes.\n");
        return UKVM_OK;
    }
    c = ud_cmd_find(ud_cmds, args, strlen(args), err);
    if (!c)
        return UKVM_ENOENT;
    explain(sh, c);
    return UKVM_OK;
}

int ud_cmd_quit(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    (void)args, (void)err;
    sh->quit = true;
    return UKVM_OK;
}
