/* SPDX-License-Identifier: ISC */
/*
 * cmd_run.c: commands that make the guest go on, and what its stop looks like.
 */
#include "ukvmdbg/dbg/shell.h"

#include <stdio.h>
#include <string.h>

/* --- stops --------------------------------------------------------------------------- */

static void at(struct ud_shell *sh, const char *what, ukvm_gva_t pc)
{
    struct ukvm_error err;
    char place[UD_PLACE_MAX];
    size_t len;

    if (what[0])
        ud_out_printf(sh->out, "%s at ", what);
    ud_out_style(sh->out, UD_PLACE, "%s", ud_show_place(sh, pc, place, sizeof(place)));
    ud_out_printf(sh->out, "\n");
    if (ud_show_insn(sh, pc, &len, &err) != UKVM_OK)
        ud_out_printf(sh->out, "=> 0x%llx: cannot be read\n", (unsigned long long)pc);
}

static int exited(struct ud_shell *sh, const struct ukvm_stop *stop)
{
    char text[UD_PLACE_MAX + 160];
    ukvm_gva_t pc;

    if (ud_report_abort(sh->s->vm, stop, &pc, text, sizeof(text)))
        ud_out_style(sh->out, UD_BAD, "%s\n", text);
    ud_out_printf(sh->out, "the guest has ended: status %d\n", stop->status);
    return UKVM_OK;
}

/* A signal that ends us leaves the shell; a timeout is a command that failed. */
static int interrupted(struct ud_shell *sh, const struct ukvm_stop *stop, int cause,
                       struct ukvm_error *err)
{
    if (cause == UD_CAUSE_TIMEOUT) {
        at(sh, "timed out", stop->pc);
        return ud_error(err, UKVM_ESTATE, "--timeout=%g: the guest ran so long; run begins again",
                        (double)sh->s->o->timeout_ns / 1e9);
    }
    if (cause != SIGINT || !sh->interactive) {
        sh->s->raise = cause;
        sh->quit = true;
        return UKVM_OK;
    }
    at(sh, "\ninterrupted", stop->pc);
    return UKVM_OK;
}

static int show_stop(struct ud_shell *sh, const struct ukvm_stop *stop, int cause,
                     struct ukvm_error *err)
{
    if (stop->kind == UKVM_STOP_EXIT)
        return exited(sh, stop);
    if (stop->kind == UKVM_STOP_INTERRUPT)
        return interrupted(sh, stop, cause, err);
    if (stop->kind == UKVM_STOP_FAULT) {
        ud_out_style(sh->out, UD_BAD, "fault: %s\n", stop->msg);
        at(sh, "", stop->pc);
        return UKVM_OK;
    }
    at(sh, stop->kind == UKVM_STOP_STEP ? "" : "stopped", stop->pc);
    return UKVM_OK;
}

/* --- going on ------------------------------------------------------------------------- */

/* What we printed comes before what the guest prints: its console knows no buffer of ours. */
static int go(struct ud_shell *sh, ud_go_fn *fn, struct ukvm_stop *stop, int *cause,
              struct ukvm_error *err)
{
    ud_out_flush(sh->out);
    return ud_session_go(sh->s, fn, stop, cause, err);
}

int ud_cmd_start(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    ukvm_gva_t pc;
    int rc;

    (void)args;
    ud_session_close(sh->s);
    ud_shell_forget_lines(sh);
    if (ud_session_open(sh->s, err) != 0)
        return err->code;
    rc = ukvm_pc(sh->s->vm, &pc, err);
    if (rc == UKVM_OK)
        at(sh, "stopped", pc);
    return rc;
}

int ud_cmd_continue(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    struct ukvm_stop stop;
    int cause, rc;

    (void)args;
    rc = go(sh, ukvm_run, &stop, &cause, err);
    return rc == UKVM_OK ? show_stop(sh, &stop, cause, err) : rc;
}

int ud_cmd_run(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    if (!sh->s->vm || !sh->s->fresh) {
        ud_session_close(sh->s);
        ud_shell_forget_lines(sh);
        if (ud_session_open(sh->s, err) != 0)
            return err->code;
    }
    return ud_cmd_continue(sh, args, err);
}

int ud_cmd_stepi(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    uint64_t n = 1;
    struct ukvm_stop stop;
    int cause, rc = UKVM_OK;

    if (*args)
        rc = ud_expr_whole(sh->s->vm, args, &n, err);
    if (rc == UKVM_OK && n == 0)
        rc = ud_error(err, UKVM_EINVAL, "stepi: 0: no step; stepi 1");
    while (rc == UKVM_OK && n-- > 0) {
        rc = go(sh, ukvm_step, &stop, &cause, err);
        if (rc == UKVM_OK && stop.kind != UKVM_STOP_STEP)
            break;
    }
    return rc == UKVM_OK ? show_stop(sh, &stop, cause, err) : rc;
}
