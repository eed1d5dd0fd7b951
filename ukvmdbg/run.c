/* SPDX-License-Identifier: ISC */
/*
 * run.c: the commands run and shell: open a session, let it go, say how it ended.
 */
#include "ukvmdbg/session.h"
#include "core/ukvm_hook.h"
#include "ukvmdbg/error.h"
#include "ukvmdbg/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A first word that is neither a command nor a file was perhaps meant to be a command. */
static void perhaps_command(const struct ud_options *o, struct ukvm_error *err)
{
    struct ud_near near;
    char names[80];

    if (o->command != UD_SHELL || strpbrk(o->image, "/."))
        return;
    ud_near_begin(&near, o->image);
    for (int c = 0; c < UD_NCOMMANDS; c++) {
        if (strcmp(ud_commands[c].name, o->image) == 0) {
            ud_error(err, UKVM_ENOENT,
                     "%s: no such image; a command comes before its options: "
                     "ukvmdbg %s %s",
                     o->image, o->image, o->own_argv[0]);
            return;
        }
        ud_near_try(&near, ud_commands[c].name);
    }
    ud_near_format(&near, "", "ukvmdbg --help", names, sizeof(names));
    ud_error(err, UKVM_ENOENT, "%.100s: no such image, and no such command; %s%s", o->image, names,
             near.n ? "; ukvmdbg --help lists all" : "");
}

/* 0, or the exit status with the refusal printed. */
static int open_session(struct ud_session *s)
{
    const char *dot = strrchr(s->o->image, '.');
    struct ukvm_error err;
    int status;

    if (dot && strcmp(dot, ".ukr") == 0) {
        ud_error(&err, UKVM_ENOTSUP,
                 "%.160s: a recording: not yet: this version runs images; "
                 "ukvmdbg --help",
                 s->o->image);
        ud_error_print(err.msg);
        return UD_STATUS_OURS;
    }
    status = ud_session_open(s, &err);
    if (status == UD_STATUS_NO_IMAGE)
        perhaps_command(s->o, &err);
    if (status != 0)
        ud_error_print(err.msg);
    return status;
}

/* We could not go on. A console that nobody reads ends us as it ends others. */
static int failed(struct ud_session *s, const struct ukvm_error *err)
{
    if (err->code == UKVM_ESYS && err->sys_errno == EPIPE) {
        s->raise = SIGPIPE;
        return UD_STATUS_OURS;
    }
    ud_error_print(err->msg);
    return UD_STATUS_OURS;
}

/* A capture that is not whole is an error of ours, however the guest ended. */
static int check_capture(struct ud_session *s, int status)
{
    const char *why = s->o->pcap ? ukvm_capture_failed(s->vm) : NULL;

    if (!why)
        return status;
    ud_error_print(why);
    return UD_STATUS_OURS;
}

int ud_run(struct ud_session *s)
{
    struct ukvm_stop stop;
    struct ukvm_error err;
    int cause, status = open_session(s);

    if (status != 0)
        return status;
    ud_report_notes(s->vm);
    if (ud_session_go(s, ukvm_run, &stop, &cause, &err) != UKVM_OK)
        status = failed(s, &err);
    else
        status = ud_report_stop(s, &stop, cause);
    status = check_capture(s, status);
    ud_session_close(s);
    return status;
}

int ud_shell(struct ud_session *s)
{
    struct ukvm_error err;
    const struct ud_dbg *dbg = ud_plugin_dbg(&err);
    int status;

    if (!dbg) {
        ud_error_print(err.msg);
        return UD_STATUS_OURS;
    }
    status = open_session(s);
    if (status == 0) {
        ud_report_notes(s->vm);
        status = dbg->shell(s);
    }
    ud_session_close(s);
    return status;
}
