/* SPDX-License-Identifier: ISC */
/*
 * watch.c: waiting for signals and for the timeout, beside the thread that runs the
 * machine. Uses nothing of the library but ukvm_interrupt().
 */
#include "ukvmdbg/watch.h"
#include "ukvmdbg/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WAKE SIGUSR2 /* look again: the deadline changed, or the end */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, WAKE};

/* Graver causes are not forgotten for lighter ones: the first that ends, else the last. */
static bool graver(int cause, int than)
{
    return than == 0 || than == SIGQUIT || (than == SIGINT && cause != SIGQUIT);
}

static void note(struct ud_watch *w, int cause)
{
    ssize_t n;

    if (graver(cause, w->cause))
        w->cause = cause;
    n = write(w->pipe[1], "", 1); /* full is readable too */
    (void)n;
    if (w->vm)
        ukvm_interrupt(w->vm);
}

/* How long until the deadline, not below 0. */
static struct timespec remaining(const struct ud_watch *w)
{
    struct timespec now, left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_sec = w->deadline.tv_sec - now.tv_sec;
    left.tv_nsec = w->deadline.tv_nsec - now.tv_nsec;
    if (left.tv_nsec < 0) {
        left.tv_sec--;
        left.tv_nsec += 1000000000;
    }
    if (left.tv_sec < 0)
        left.tv_sec = left.tv_nsec = 0;
    return left;
}

static int wait_signal(struct ud_watch *w)
{
    struct timespec left;
    bool limited;

    pthread_mutex_lock(&w->lock);
    limited = w->has_deadline;
    if (limited)
        left = remaining(w);
    pthread_mutex_unlock(&w->lock);
    return sigtimedwait(&w->signals, NULL, limited ? &left : NULL);
}

static void *watch(void *arg)
{
    struct ud_watch *w = arg;
    bool quit = false;

    while (!quit) {
        int sig = wait_signal(w), why = errno;

        pthread_mutex_lock(&w->lock);
        quit = w->quit;
        if (!quit && sig > 0 && sig != WAKE)
            note(w, sig);
        if (!quit && sig < 0 && why == EAGAIN && w->has_deadline) {
            struct timespec left = remaining(w);

            if (left.tv_sec == 0 && left.tv_nsec == 0) {
                w->has_deadline = false;
                note(w, UD_CAUSE_TIMEOUT);
            }
        }
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* Those to wait for; what our parent ignores (nohup, a shell's &) stays ignored. */
static void choose(struct ud_watch *w)
{
    struct sigaction sa;

    sigemptyset(&w->signals);
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        if (watched[i] == WAKE || sigaction(watched[i], NULL, &sa) != 0 || sa.sa_handler != SIG_IGN)
            sigaddset(&w->signals, watched[i]);
}

/* The thread takes no other signal: handlers, as libedit's, run where they belong. */
static int start_thread(struct ud_watch *w)
{
    sigset_t all, mine;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mine);
    rc = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &mine, NULL);
    return rc;
}

int ud_watch_start(struct ud_watch *w, struct ukvm_error *err)
{
    int rc;

    memset(w, 0, sizeof(*w));
    if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return ud_error(err, UKVM_ESYS, "pipe: %s; see ulimit -n", strerror(errno));
    choose(w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_sigmask(SIG_BLOCK, &w->signals, &w->before);
    rc = start_thread(w);
    if (rc != 0) {
        pthread_sigmask(SIG_SETMASK, &w->before, NULL);
        return ud_error(err, UKVM_ESYS, "thread: %s; see ulimit -u", strerror(rc));
    }
    return UKVM_OK;
}

void ud_watch_stop(struct ud_watch *w)
{
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_mutex_unlock(&w->lock);
    pthread_kill(w->thread, WAKE);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_sigmask(SIG_SETMASK, &w->before, NULL);
    close(w->pipe[0]);
    close(w->pipe[1]);
}

static void set_deadline(struct ud_watch *w, int64_t timeout_ns)
{
    clock_gettime(CLOCK_MONOTONIC, &w->deadline);
    w->deadline.tv_sec += timeout_ns / 1000000000;
    w->deadline.tv_nsec += timeout_ns % 1000000000;
    if (w->deadline.tv_nsec >= 1000000000) {
        w->deadline.tv_sec++;
        w->deadline.tv_nsec -= 1000000000;
    }
    w->has_deadline = true;
}

void ud_watch_arm(struct ud_watch *w, struct ukvm *vm, int64_t timeout_ns)
{
    pthread_mutex_lock(&w->lock);
    w->vm = vm;
    if (w->cause)
        ukvm_interrupt(vm);
    if (timeout_ns > 0)
        set_deadline(w, timeout_ns);
    pthread_mutex_unlock(&w->lock);
    if (timeout_ns > 0)
        pthread_kill(w->thread, WAKE);
}

/* Under the lock. */
static int take(struct ud_watch *w)
{
    int cause = w->cause;
    char buf[64];

    w->cause = 0;
    while (read(w->pipe[0], buf, sizeof(buf)) > 0)
        ;
    return cause;
}

int ud_watch_disarm(struct ud_watch *w)
{
    int cause;

    pthread_mutex_lock(&w->lock);
    w->vm = NULL;
    w->has_deadline = false;
    cause = take(w);
    pthread_mutex_unlock(&w->lock);
    return cause;
}

int ud_watch_take(struct ud_watch *w)
{
    int cause;

    pthread_mutex_lock(&w->lock);
    cause = take(w);
    pthread_mutex_unlock(&w->lock);
    return cause;
}
