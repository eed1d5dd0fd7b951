/* SPDX-License-Identifier: ISC */
/*
 * bench: the figures that the project promises: bench FOLDER JSON [FIGURE...]. A line a figure:
 * name, value, goal, ok or short; and the same as JSON. A ratio is the median of
 * pairs taken in turn in one run, so that a busy machine troubles both sides alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define PAIRS_MAX 31
#define CALLS     "20000"

static const char *folder; /* build/release */

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Seconds from exec to exit; words beginning with @ are files in the build folder. */
static double seconds(const char *const words[])
{
    posix_spawn_file_actions_t quiet;
    char paths[8][512], *argv[9] = {0};
    double began = now();
    int status = -1;
    pid_t pid;

    for (int i = 0; words[i] && i < 8; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s%s%s", words[i][0] == '@' ? folder : "",
                 words[i][0] == '@' ? "/" : "", words[i] + (words[i][0] == '@'));
        argv[i] = paths[i];
    }
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, argv[0], &quiet, NULL, argv, environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "bench: %s: failed (status 0x%x)\n", argv[0], (unsigned)status);
        exit(1);
    }
    posix_spawn_file_actions_destroy(&quiet);
    return now() - began;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* --- figures ------------------------------------------------------------------------ */

#define MONITOR "@ukvmdbg", "run"

static const char *const our_start[] = {MONITOR, "--hv=kvm", "@bench/calls.ukvm", NULL};
static const char *const bare_start[] = {"@bench/bare_kvm", "@bench/calls.ukvm", "512", NULL};
static const char *const our_calls[] = {MONITOR, "--hv=kvm", "@bench/calls.ukvm", CALLS, NULL};
static const char *const bare_calls[] = {"@bench/bare_kvm", "@bench/calls.ukvm", "512", CALLS,
                                         NULL};
static const char *const our_sort[] = {MONITOR, "--hv=emu", "@examples/sort.ukvm", NULL};
static const char *const plain_sort[] = {"@bench/plain_unicorn", "@examples/sort.ukvm", NULL};

static double start_kvm(void)
{
    return seconds(our_start) / seconds(bare_start);
}

/* What the calls add to a run without any. */
static double hypercall_kvm(void)
{
    double ours = seconds(our_calls) - seconds(our_start);

    return ours / (seconds(bare_calls) - seconds(bare_start));
}

static double sort_emu(void)
{
    return seconds(plain_sort) / seconds(our_sort);
}

/* --- the native backend, beside the others ------------------------------------------- */

#define SORTS "80" /* two seconds and more */

static double sort_native(void)
{
    const char *const ours[] = {MONITOR, "--hv=native", "@bench/sorts.ukvm", SORTS, NULL};
    const char *const process[] = {"@bench/sorts", SORTS, NULL};

    return seconds(ours) / seconds(process);
}

static double start_of(const char *hv)
{
    const char *const words[] = {MONITOR, hv, "@bench/calls.ukvm", NULL};

    return seconds(words);
}

/* Microseconds of one of many hypercalls. */
static double hypercall_of(const char *hv)
{
    const char *const words[] = {MONITOR, hv, "@bench/calls.ukvm", CALLS, NULL};
    double with = seconds(words);

    return (with - start_of(hv)) / (double)atoi(CALLS) * 1e6;
}

static double hypercall_native_us(void)
{
    return hypercall_of("--hv=native");
}

static double hypercall_emu_us(void)
{
    return hypercall_of("--hv=emu");
}

static double hypercall_kvm_us(void)
{
    return hypercall_of("--hv=kvm");
}

/* Exec to exit of a guest that does nothing, milliseconds. */
static double start_native_ms(void)
{
    return 1e3 * start_of("--hv=native");
}

static double start_kvm_ms(void)
{
    return 1e3 * start_of("--hv=kvm");
}

static const struct {
    const char *name;
    double (*pair)(void);
    int pairs;
    const char *unit;
    double goal; /* 0: none, the figure stands beside others */
    bool at_most;
    const char *device; /* without it: skipped */
} figures[] = {
    {"hypercall_kvm", hypercall_kvm, 9, "ratio", 1.05, true, "/dev/kvm"},
    {"start_kvm", start_kvm, 31, "ratio", 1.5, true, "/dev/kvm"},
    {"sort_emu", sort_emu, 5, "ratio", 0.4, false, NULL},
    {"sort_native", sort_native, 5, "ratio", 1.05, true, NULL},
    {"hypercall_native_us", hypercall_native_us, 5, "us", 0, true, NULL},
    {"hypercall_kvm_us", hypercall_kvm_us, 5, "us", 0, true, "/dev/kvm"},
    {"hypercall_emu_us", hypercall_emu_us, 5, "us", 0, true, NULL},
    {"start_native_ms", start_native_ms, 15, "ms", 0, true, NULL},
    {"start_kvm_ms", start_kvm_ms, 15, "ms", 0, true, "/dev/kvm"},
};
#define NFIGURES (sizeof(figures) / sizeof(figures[0]))

/* Returns whether the goal is met. */
static bool measure(size_t i, FILE *json, bool first)
{
    double v[PAIRS_MAX], value;
    bool ok;

    if (figures[i].device && access(figures[i].device, R_OK | W_OK) != 0) {
        printf("%-20s skipped: %s: %s\n", figures[i].name, figures[i].device, strerror(errno));
        return true;
    }
    figures[i].pair(); /* warms caches */
    for (int p = 0; p < figures[i].pairs; p++)
        v[p] = figures[i].pair();
    value = median(v, figures[i].pairs);
    ok = figures[i].goal == 0 ||
         (figures[i].at_most ? value <= figures[i].goal : value >= figures[i].goal);
    if (figures[i].goal == 0)
        printf("%-20s %8.3f %s\n", figures[i].name, value, figures[i].unit);
    else
        printf("%-20s %8.3f  goal %s %.2f  %s\n", figures[i].name, value,
               figures[i].at_most ? "<=" : ">=", figures[i].goal, ok ? "ok" : "short");
    fflush(stdout);
    fprintf(json, "%s\n  {\"name\":\"%s\",\"value\":%.4f,\"unit\":\"%s\",\"goal\":%.2f,\"ok\":%s}",
            first ? "" : ",", figures[i].name, value, figures[i].unit, figures[i].goal,
            ok ? "true" : "false");
    return ok;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 3; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc <= 3;
}

int main(int argc, char **argv)
{
    bool ok = true;
    long empty;
    FILE *json;

    if (argc < 3) {
        fprintf(stderr, "usage: bench FOLDER JSON [FIGURE...]\n");
        return 2;
    }
    folder = argv[1];
    json = fopen(argv[2], "w");
    if (!json) {
        fprintf(stderr, "bench: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    fputs("[", json);
    empty = ftell(json);
    for (size_t i = 0; i < NFIGURES; i++)
        if (wanted(figures[i].name, argc, argv))
            ok &= measure(i, json, ftell(json) == empty);
    fputs("\n]\n", json);
    return fclose(json) == 0 && ok ? 0 : 1;
}
