/* SPDX-License-Identifier: ISC */
/*
 * watch.h: the watcher, a thread that owns the signals and the timeout: it only
 * waits for them, notes the cause and interrupts the machine that runs. Everything
 * else is done by the thread that owns the machine.
 */
#ifndef UD_WATCH_H
#define UD_WATCH_H

#include "core/ukvm.h"
#include "ukvmdbg/shared.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define UD_CAUSE_TIMEOUT (-1) /* a cause is this, a signal's number, or 0: none */

struct ud_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    struct ukvm *vm; /* the machine that runs, or NULL */
    int cause;       /* the gravest since it was last taken */
    int pipe[2];     /* readable while there is a cause: for the prompt's wait */
    bool has_deadline, quit;
    struct timespec deadline; /* CLOCK_MONOTONIC */
    sigset_t signals, before;
};

/* Take the signals over and start the thread: before any other thread is there. */
int ud_watch_start(struct ud_watch *w, struct ukvm_error *err);
/* End the thread; signals are as they were before. */
void ud_watch_stop(struct ud_watch *w);

/* (vm) runs from now on, for at most (timeout_ns); 0: no limit. */
void ud_watch_arm(struct ud_watch *w, struct ukvm *vm, int64_t timeout_ns);
/* It has stopped: nothing interrupts it afterwards. Takes the cause. */
int ud_watch_disarm(struct ud_watch *w);
/* Take the cause, when nothing runs. */
UD_SHARED int ud_watch_take(struct ud_watch *w);

#endif /* UD_WATCH_H */
