/* SPDX-License-Identifier: ISC */
/*
 * shell.c: the shell's life: scripts first, then lines from whoever types, each
 * done by the command table.
 */
#include "ukvmdbg/dbg/shell.h"
#include "ukvmdbg/dbg/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Do (line) and say what went wrong. False: it failed. */
static bool give(struct ud_shell *sh, const char *where, const char *line)
{
    struct ukvm_error err;
    int rc = ud_cmd_do(sh, line, &err);

    ud_out_flush(sh->out);
    if (rc != UKVM_OK && err.code == UKVM_ESYS && err.sys_errno == EPIPE)
        sh->out->broken = true;
    else if (rc != UKVM_OK)
        ud_out_style(sh->err, UD_BAD, "%s%s\n", where, err.msg);
    ud_out_flush(sh->err);
    if (sh->out->broken) {
        sh->s->raise = SIGPIPE;
        sh->quit = true;
    }
    return rc == UKVM_OK;
}

/* --- scripts ---------------------------------------------------------------------------- */

/* Each line of a file, until one fails: later lines may rest on it. */
static bool give_file(struct ud_shell *sh, const char *path)
{
    FILE *f = fopen(path, "re");
    char *line = NULL, where[200];
    size_t room = 0;
    bool ok = true;

    if (!f) {
        ud_out_style(sh->err, UD_BAD, "-x %s: %s; -x takes a file of commands\n", path,
                     strerror(errno));
        return false;
    }
    for (int n = 1; ok && !sh->quit && getline(&line, &room, f) >= 0; n++) {
        snprintf(where, sizeof(where), "%.160s:%d: ", path, n);
        ok = give(sh, where, line);
    }
    free(line);
    fclose(f);
    return ok;
}

static bool give_scripts(struct ud_shell *sh)
{
    const struct ud_options *o = sh->s->o;
    bool ok = true;

    for (size_t i = 0; i < o->nscripts && !sh->quit; i++) {
        const struct ud_script *script = &o->script[i];

        if (!(script->is_file ? give_file(sh, script->text) : give(sh, "", script->text)))
            ok = false;
    }
    return ok;
}

/* --- prompt ----------------------------------------------------------------------------- */

static size_t complete(void *ctx, const char *line, ud_line_each_fn *each, void *self)
{
    return ud_complete(ctx, line, each, self);
}

/* A signal at the prompt: Ctrl-C drops the line, those that end us leave. */
static void woken(struct ud_shell *sh)
{
    int cause = ud_watch_take(sh->s->watch);

    if (cause == SIGTERM || cause == SIGHUP) {
        sh->s->raise = cause;
        sh->quit = true;
    }
    ud_out_printf(sh->out, "%s\n", cause == SIGINT ? "^C" : "");
    ud_out_flush(sh->out);
}

/* An empty line gives the last command again, where its row says so. */
static void remember(char *last, size_t size, const char *line)
{
    struct ukvm_error err;
    const char *word = line + strspn(line, " \t");
    const struct ud_cmd *c = ud_cmd_find(ud_cmds, word, strcspn(word, " \t/"), &err);

    snprintf(last, size, "%s", c && (c->flags & UD_REPEATS) ? line : "");
    if (c && (c->run == ud_cmd_x || c->run == ud_cmd_xp)) /* goes on behind the last */
        snprintf(last, size, "%s", c->name);
}

static void converse(struct ud_shell *sh, bool terminal)
{
    struct ud_line *l = ud_line_open("(ukvmdbg) ", sh->s->watch->pipe[0], terminal, complete, sh);
    char last[1024] = "";
    const char *line;

    while (l && !sh->quit) {
        enum ud_line_result r = ud_line_read(l, &line);

        if (r == UD_LINE_END) {
            if (terminal)
                ud_out_printf(sh->out, "\n");
            break;
        }
        if (r == UD_LINE_WOKEN) {
            woken(sh);
            continue;
        }
        if (line[strspn(line, " \t")])
            remember(last, sizeof(last), line);
        else
            line = last;
        give(sh, "", line);
    }
    ud_line_close(l);
}

static void greet(struct ud_shell *sh)
{
    struct ukvm *vm = sh->s->vm;
    char place[UD_PLACE_MAX];
    struct ukvm_error err;
    ukvm_gva_t pc;

    if (ukvm_pc(vm, &pc, &err) != UKVM_OK)
        return;
    ud_out_style(sh->out, UD_HEAD, "%s", ukvm_image_path(vm));
    ud_out_printf(sh->out, ": %s, %zu MiB, on %s; stopped at its entry point, %s\n",
                  ukvm_arch_name(vm), ukvm_hv(vm)->mem_size >> 20, ukvm_backend(vm),
                  ud_show_place(sh, pc, place, sizeof(place)));
    ud_out_printf(sh->out, "help lists the commands; run or continue lets it go.\n");
    ud_out_flush(sh->out);
}

int ud_shell_run(struct ud_session *s)
{
    const struct ud_options *o = s->o;
    bool terminal = isatty(0) && isatty(1), ok;
    struct ud_out out, err;
    struct ud_shell sh = {
        .s = s,
        .out = &out,
        .err = &err,
        .interactive = !o->batch && terminal,
        .x = {.format = 'x', .size = 4, .count = 1},
    };

    ud_out_stream(&out, stdout, o->color);
    ud_out_stream(&err, stderr, o->color);
    if (sh.interactive)
        greet(&sh);
    ok = give_scripts(&sh);
    if (!o->batch && !sh.quit)
        converse(&sh, terminal);
    ud_shell_forget_lines(&sh);
    ud_out_flush(&out);
    s->hv = NULL; /* may have been ours */
    return o->batch && !ok ? 1 : 0;
}
