/* SPDX-License-Identifier: ISC */
/*
 * report.c: how a run ended, in one line or two on standard error, and the exit
 * status that says so.
 */
#include "ukvmdbg/session.h"
#include "ukvmdbg/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A word as a shell takes it back. */
static void quote(struct ud_out *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./,:@%";

    if (word[0] && word[strspn(word, plain)] == '\0') {
        ud_out_printf(out, " %s", word);
        return;
    }
    ud_out_printf(out, " '");
    for (; *word; word++)
        if (*word == '\'')
            ud_out_printf(out, "'\\''");
        else
            ud_out_printf(out, "%c", *word);
    ud_out_printf(out, "'");
}

/* The command that looks into it: the same run in the shell, then (look). */
static void next(const struct ud_session *s, const char *look)
{
    const struct ud_options *o = s->o;
    struct ud_out out;

    if (!ud_out_string(&out))
        return;
    ud_out_printf(&out, "next: ukvmdbg -ex run -ex");
    quote(&out, look);
    for (int i = 0; i < o->own_argc; i++)
        if (strcmp(o->own_argv[i], "--") != 0)
            quote(&out, o->own_argv[i]);
    quote(&out, o->image);
    for (int i = 0; i < o->guest_argc; i++)
        quote(&out, o->guest_argv[i]);
    ud_error_print(out.text);
    ud_out_free(&out);
}

void ud_report_where(struct ud_session *s, ukvm_gva_t pc, const char *what)
{
    char place[UD_PLACE_MAX], line[UD_PLACE_MAX + 128];

    snprintf(line, sizeof(line), "%.80s: %s: the guest is at %s", s->o->image, what,
             ud_place(s->vm, pc, place, sizeof(place)));
    ud_error_print(line);
}

void ud_report_notes(const struct ukvm *vm)
{
    char line[1024];

    for (const char *p = ukvm_notes(vm); *p;) {
        size_t n = strcspn(p, "\n");

        snprintf(line, sizeof(line), "%.*s", (int)n, p);
        ud_error_print(line);
        p += n + (p[n] != '\0');
    }
}

bool ud_report_abort(struct ukvm *vm, const struct ukvm_stop *stop, ukvm_gva_t *pc, char *buf,
                     size_t size)
{
    char what[120], place[UD_PLACE_MAX];

    if (stop->kind != UKVM_STOP_EXIT || stop->status != 255)
        return false;
    if (!ukvm_trap_frame(vm, stop->cookie, pc, what, sizeof(what))) {
        *pc = stop->pc;
        snprintf(buf, size, "guest aborted at %s", ud_place(vm, *pc, place, sizeof(place)));
        return true;
    }
    snprintf(buf, size, "guest aborted at %s: %s", ud_place(vm, *pc, place, sizeof(place)), what);
    return true;
}

static int exited(struct ud_session *s, const struct ukvm_stop *stop)
{
    char text[UD_PLACE_MAX + 160], line[sizeof(text) + 100], look[80];
    ukvm_gva_t pc;

    if (ud_report_abort(s->vm, stop, &pc, text, sizeof(text))) {
        snprintf(line, sizeof(line), "%.80s: %s", s->o->image, text);
        ud_error_print(line);
        if (pc != stop->pc)
            snprintf(look, sizeof(look), "disassemble 0x%" PRIx64, pc);
        next(s, pc != stop->pc ? look : "x/32a $sp");
    } else if (stop->status < 0 || stop->status > 255) {
        snprintf(line, sizeof(line), "%.80s: guest's status %d: a shell sees its low 8 bits, %d",
                 s->o->image, stop->status, stop->status & 255);
        ud_error_print(line);
    }
    return stop->status & 255;
}

static int faulted(struct ud_session *s, const struct ukvm_stop *stop)
{
    const struct ud_dbg *dbg = ud_plugin_dbg(&(struct ukvm_error){0});
    char place[UD_PLACE_MAX], insn[100], line[UKVM_ERRMSG_MAX + UD_PLACE_MAX + 200];
    bool known = dbg && dbg->insn(s->vm, stop->pc, insn, sizeof(insn));

    snprintf(line, sizeof(line), "%.80s: %s; at %s%s%s", s->o->image, stop->msg,
             ud_place(s->vm, stop->pc, place, sizeof(place)), known ? ": " : "", known ? insn : "");
    ud_error_print(line);
    next(s, "registers");
    return UD_STATUS_FAULT;
}

static int interrupted(struct ud_session *s, const struct ukvm_stop *stop, int cause)
{
    char what[64];

    if (cause == UD_CAUSE_TIMEOUT) {
        snprintf(what, sizeof(what), "--timeout=%g", (double)s->o->timeout_ns / 1e9);
        ud_report_where(s, stop->pc, what);
        return UD_STATUS_TIMEOUT;
    }
    s->raise = cause;
    return UD_STATUS_OURS;
}

/* Kinds that a plain run cannot end with are our error. */
int ud_report_stop(struct ud_session *s, const struct ukvm_stop *stop, int cause)
{
    char line[160];

    if (stop->kind == UKVM_STOP_EXIT)
        return exited(s, stop);
    if (stop->kind == UKVM_STOP_FAULT)
        return faulted(s, stop);
    if (stop->kind == UKVM_STOP_INTERRUPT)
        return interrupted(s, stop, cause);
    snprintf(line, sizeof(line), "%.80s: stopped (%d) though nobody asked for it", s->o->image,
             (int)stop->kind);
    ud_error_print(line);
    return UD_STATUS_OURS;
}
