/* SPDX-License-Identifier: ISC */
/*
 * session.h: a machine as the command line asks for it: made, run with the watcher
 * armed, made again. What run and the shell share. Prints nothing.
 */
#ifndef UD_SESSION_H
#define UD_SESSION_H

#include "core/ukvm_debug.h"
#include "ukvmdbg/options.h"
#include "ukvmdbg/plugin.h"
#include "ukvmdbg/watch.h"

struct ud_session {
    const struct ud_options *o;
    struct ud_watch *watch;
    const char *hv;  /* the backend to make machines with; NULL: auto */
    struct ukvm *vm; /* booted, or NULL */
    bool fresh;      /* at its entry point: nothing has run */
    bool ended;      /* the guest has ended; its memory can be looked at */
    int64_t left_ns; /* of --timeout; 0: no limit */
    int raise;       /* a signal that ends the program: raised last */
};

/* Make the machine and boot it. 0, or the exit status and why in (err). */
UD_SHARED int ud_session_open(struct ud_session *s, struct ukvm_error *err);
UD_SHARED void ud_session_close(struct ud_session *s);

/* ukvm_run, ukvm_step: what makes the guest go on. */
typedef int ud_go_fn(struct ukvm *vm, struct ukvm_stop *stop, struct ukvm_error *err);

/*
 * Let the guest go on by (go), watched. (*cause) says who interrupted it; SIGQUIT
 * reports where the guest is and goes on. As (go) returns.
 */
UD_SHARED int ud_session_go(struct ud_session *s, ud_go_fn *go, struct ukvm_stop *stop, int *cause,
                            struct ukvm_error *err);

/*
 * place.c: "leaf+0x4 (crash.c:12)" for (pc), as far as symbols and lines are there;
 * lines load the plugin. Returns (buf).
 */
#define UD_PLACE_MAX 160
UD_SHARED const char *ud_place(const struct ukvm *vm, ukvm_gva_t pc, char *buf, size_t size);

/* report.c: what a run ended with, in words on standard error. Returns the exit status. */
int ud_report_stop(struct ud_session *s, const struct ukvm_stop *stop, int cause);
UD_SHARED void ud_report_where(struct ud_session *s, ukvm_gva_t pc, const char *what);
/* Why the machine is as it is: a line each on standard error. */
UD_SHARED void ud_report_notes(const struct ukvm *vm);
/* "guest aborted at leaf+0x4 (crash.c:12): #PF" of an exit; false if it was none. */
UD_SHARED bool ud_report_abort(struct ukvm *vm, const struct ukvm_stop *stop, ukvm_gva_t *pc,
                               char *buf, size_t size);

/* The commands. Each returns the exit status. */
int ud_run(struct ud_session *s);
int ud_shell(struct ud_session *s);
int ud_probe(const struct ud_options *o, struct ud_out *out);

#endif /* UD_SESSION_H */
