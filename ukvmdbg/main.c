/* SPDX-License-Identifier: ISC */
/*
 * main.c: ukvmdbg, the program on libukvm: reads the command line, keeps signals
 * for the watcher, runs one command and ends with its status.
 */
#include "ukvmdbg/error.h"
#include "ukvmdbg/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Commands that have a machine: under the watcher, which comes before any backend. */
static int with_session(const struct ud_options *o, int *raised)
{
    struct ud_watch watch;
    struct ud_session s = {.o = o, .watch = &watch, .hv = o->hv};
    struct ukvm_error err;
    int status;

    if (!o->image) {
        ud_error_print("no image given; ukvmdbg run hello.ukvm, or ukvmdbg --help");
        return UD_STATUS_OURS;
    }
    if (ud_watch_start(&watch, &err) != UKVM_OK) {
        ud_error_print(err.msg);
        return UD_STATUS_OURS;
    }
    status = o->command == UD_RUN ? ud_run(&s) : ud_shell(&s);
    if (s.raise == 0) {
        int late = ud_watch_take(&watch);

        s.raise = late == SIGTERM || late == SIGHUP ? late : 0;
    }
    ud_watch_stop(&watch);
    *raised = s.raise;
    return status;
}

static int run(const struct ud_options *o, int argc, int *raised)
{
    struct ud_out out;
    int status = 0;

    ud_out_stream(&out, stdout, o->color);
    if (o->version)
        ud_help_version(&out);
    else if (argc < 2 || (o->help && argc == 2 && o->command == UD_SHELL))
        ud_help_screen(&out);
    else if (o->help)
        ud_help_command(&out, o->command);
    else if (o->command == UD_PROBE)
        status = ud_probe(o, &out);
    else
        return with_session(o, raised);
    ud_out_flush(&out);
    if (out.broken)
        *raised = SIGPIPE;
    return status;
}

/*
 * A standard descriptor that we were started without would be the first file that we
 * open, and the guest's console would go into it: such a one fails instead.
 */
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(UD_STATUS_OURS);
}

/* Whether all that was printed has arrived; a reader that has gone is told apart before. */
static int flushed(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "ukvmdbg: standard output: %s; make room, or send it elsewhere\n",
            errno ? strerror(errno) : "not all could be written");
    return UD_STATUS_OURS;
}

/* End by (sig), as if it had not been taken; returns if it is ignored. */
static void end_by(int sig)
{
    sigset_t set;

    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    struct ud_options o;
    struct ukvm_error err;
    int status, raised = 0;

    keep_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a write that fails says so */
    signal(SIGXFSZ, SIG_IGN);
    if (ud_options_parse(&o, argc, argv, &err) != UKVM_OK) {
        ud_error_print(err.msg);
        return UD_STATUS_OURS;
    }
    status = run(&o, argc, &raised);
    if (raised) {
        fflush(stdout);
        end_by(raised);
    }
    return flushed(status);
}
