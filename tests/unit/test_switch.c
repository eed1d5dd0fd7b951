/* SPDX-License-Identifier: ISC */
/*
 * test_switch.c: a machine goes on elsewhere: another backend in place, and another
 * machine through a snapshot, at random stops over the examples; it must end with
 * the output, memory and registers of an undisturbed run. Two machines at once, on
 * two threads. UKVM_SWITCH_VIA=kvm makes every second switch one to KVM;
 * UKVM_SWITCH_WITHOUT=WORD leaves out guests with that in their names.
 */
#include "core/ukvm.h"
#include "core/ukvm_debug.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define MEM        ((size_t)4 << 20)
#define OUTPUT_MAX 65536

struct ended {
    int status;
    uint64_t hash;
    uint64_t count; /* instructions, of an undisturbed run on emu */
    char output[OUTPUT_MAX];
};

static const char *folder(void)
{
    const char *o = getenv("O");

    return o ? o : "build/release";
}

static struct ukvm *machine(const char *image, const char *backend, FILE *console, char *arg)
{
    char path[256], *argv[] = {arg};
    struct ukvm_config cfg = {.image = path, .backend = backend, .mem_size = MEM};
    struct ukvm_error err;
    struct ukvm *vm;

    snprintf(path, sizeof(path), "%s/examples/%s.ukvm", folder(), image);
    cfg.console_fd = fileno(console);
    cfg.plugin_dir = folder();
    if (ukvm_create(&vm, &cfg, &err) != UKVM_OK ||
        ukvm_boot(vm, arg ? 1 : 0, argv, &err) != UKVM_OK)
        fail_msg("%s: %s", image, err.msg);
    return vm;
}

static void end(struct ukvm *vm, const struct ukvm_stop *stop, FILE *console, struct ended *e)
{
    struct ukvm_error err;
    size_t n;

    if (stop->kind != UKVM_STOP_EXIT)
        fail_msg("stop %d at 0x%llx: %s", stop->kind, (unsigned long long)stop->pc, stop->msg);
    e->status = stop->status;
    assert_int_equal(ukvm_state_hash(vm, &e->hash, &err), UKVM_OK);
    rewind(console);
    n = fread(e->output, 1, sizeof(e->output) - 1, console);
    e->output[n] = '\0';
    fclose(console);
    ukvm_destroy(vm);
}

/* On emu; told (via)'s frequency of the time-stamp counter, which is in memory. */
static void undisturbed(const char *image, char *arg, const char *via, struct ended *e)
{
    FILE *console = tmpfile();
    struct ukvm *vm = machine(image, via ? via : "emu", console, arg);
    struct ukvm_stop stop;
    struct ukvm_error err;

    if (via && ukvm_switch(vm, "emu", &err) != UKVM_OK)
        fail_msg("switch to emu: %s", err.msg);
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_OK);
    assert_int_equal(ukvm_count(vm, &e->count, &err), UKVM_OK);
    end(vm, &stop, console, e);
}

/* xorshift: the same stops in every run of the test. */
static uint64_t random_below(uint64_t n)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % n;
}

static void same(const char *image, const struct ended *got, const struct ended *want)
{
    if (got->status != want->status || strcmp(got->output, want->output) != 0)
        fail_msg("%s: ended with %d after:\n%s\nwant %d after:\n%s", image, got->status,
                 got->output, want->status, want->output);
    if (got->hash != want->hash)
        fail_msg("%s: memory or registers differ at the end", image);
}

/* Run to a random stop; false if the guest ended before. */
static bool run_some(struct ukvm *vm, uint64_t n, struct ukvm_stop *stop)
{
    struct ukvm_error err;

    if (ukvm_run_count(vm, n, stop, &err) != UKVM_OK)
        fail_msg("run: %s", err.msg);
    return stop->kind == UKVM_STOP_STEP;
}

/* A stretch on (via), of a few steps: it counts none. False if the guest ended. */
static bool over(const char *via, struct ukvm *vm, struct ukvm_stop *stop)
{
    struct ukvm_error err;
    uint64_t steps = random_below(20);

    if (ukvm_switch(vm, via, &err) != UKVM_OK)
        fail_msg("switch to %s: %s", via, err.msg);
    for (uint64_t i = 0; i < steps; i++) {
        if (ukvm_step(vm, stop, &err) != UKVM_OK)
            fail_msg("step: %s", err.msg);
        if (stop->kind == UKVM_STOP_EXIT)
            return false;
    }
    return true;
}

static int switched(const char *image, char *arg, const struct ended *want, const char *via)
{
    FILE *console = tmpfile();
    struct ukvm *vm = machine(image, via ? via : "emu", console, arg);
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct ended got;
    int n = 0;

    if (via && ukvm_switch(vm, "emu", &err) != UKVM_OK)
        fail_msg("switch to emu: %s", err.msg);
    while (run_some(vm, 1 + random_below(want->count / 8 + 1), &stop)) {
        if (via && !over(via, vm, &stop))
            break;
        if (ukvm_switch(vm, "emu", &err) != UKVM_OK)
            fail_msg("switch: %s", err.msg);
        n += via ? 2 : 1;
    }
    end(vm, &stop, console, &got);
    same(image, &got, want);
    return n;
}

static int restored(const char *image, char *arg, const struct ended *want)
{
    char path[] = "/dev/shm/ukvm-test-snap-XXXXXX";
    FILE *console = tmpfile();
    struct ukvm *vm = machine(image, "emu", console, arg);
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct ended got;
    int n = 0, fd = mkstemp(path);

    close(fd);
    while (run_some(vm, 1 + random_below(want->count / 8 + 1), &stop)) {
        if (ukvm_save(vm, path, &err) != UKVM_OK)
            fail_msg("save: %s", err.msg);
        ukvm_destroy(vm);
        vm = machine(image, "emu", console, arg);
        if (ukvm_restore(vm, path, &err) != UKVM_OK)
            fail_msg("restore: %s", err.msg);
        n++;
    }
    end(vm, &stop, console, &got);
    same(image, &got, want);
    unlink(path);
    return n;
}

static const struct {
    const char *image, *arg;
} guests[] = {
    {"hello", "one"},  {"crash", NULL}, {"abort", NULL},    {"smash", NULL},
    {"heapbug", NULL}, {"chat", "300"}, {"b/hello", "two"}, {"b/crash", NULL},
};
#define NGUESTS (sizeof(guests) / sizeof(guests[0]))

static bool left_out(const char *image)
{
    const char *word = getenv("UKVM_SWITCH_WITHOUT");

    return word && strstr(image, word);
}

static void times(const char *via, bool by_file, int total)
{
    static struct ended want[NGUESTS];
    char arg[8];
    int n = 0;

    for (size_t i = 0; i < NGUESTS; i++) {
        snprintf(arg, sizeof(arg), "%s", guests[i].arg ? guests[i].arg : "");
        if (!left_out(guests[i].image))
            undisturbed(guests[i].image, guests[i].arg ? arg : NULL, via, &want[i]);
    }
    for (size_t i = 0; n < total; i = (i + 1) % NGUESTS) {
        char *a = guests[i].arg ? arg : NULL;

        if (left_out(guests[i].image))
            continue;
        snprintf(arg, sizeof(arg), "%s", guests[i].arg ? guests[i].arg : "");
        n += by_file ? restored(guests[i].image, a, &want[i])
                     : switched(guests[i].image, a, &want[i], via);
    }
}

static void test_1000_switches_emu_to_emu(void **state)
{
    (void)state;
    times(NULL, false, 1000);
}

static void test_1000_moves_by_snapshot(void **state)
{
    (void)state;
    times(NULL, true, 1000);
}

static void test_1000_switches_over_native(void **state)
{
    (void)state;
    times("native", false, 1000);
}

static void test_1000_switches_over_kvm(void **state)
{
    (void)state;
    times("kvm", false, 1000);
}

/* --- two machines ------------------------------------------------------------------------ */

struct job {
    const char *image, *backend;
    struct ended e;
};

static void *run_job(void *arg)
{
    struct job *j = arg;
    FILE *console = tmpfile();
    struct ukvm *vm = machine(j->image, j->backend, console, NULL);
    struct ukvm_stop stop;
    struct ukvm_error err;

    if (ukvm_run(vm, &stop, &err) == UKVM_OK)
        end(vm, &stop, console, &j->e);
    return NULL;
}

static void two_at_once(const char *first, const char *second)
{
    static struct job jobs[2];
    static struct ended want[2];
    pthread_t t[2];

    jobs[0] = (struct job){.image = "heapbug", .backend = first};
    jobs[1] = (struct job){.image = "smash", .backend = second};
    undisturbed("heapbug", NULL, strcmp(first, "emu") ? first : NULL, &want[0]);
    undisturbed("smash", NULL, strcmp(second, "emu") ? second : NULL, &want[1]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_job, &jobs[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    for (int i = 0; i < 2; i++)
        same(jobs[i].image, &jobs[i].e, &want[i]);
}

static void test_two_machines_on_two_threads(void **state)
{
    (void)state;
    two_at_once("emu", "emu");
}

static void test_two_native_machines_on_two_threads(void **state)
{
    (void)state;
    two_at_once("native", "native");
}

static void test_two_machines_with_different_backends(void **state)
{
    (void)state;
    two_at_once("emu", "kvm");
}

int main(void)
{
    const struct CMUnitTest on_emu[] = {
        cmocka_unit_test(test_1000_switches_emu_to_emu),
        cmocka_unit_test(test_1000_moves_by_snapshot),
        cmocka_unit_test(test_two_machines_on_two_threads),
        cmocka_unit_test(test_1000_switches_over_native),
        cmocka_unit_test(test_two_native_machines_on_two_threads),
    };
    const struct CMUnitTest on_kvm[] = {
        cmocka_unit_test(test_1000_switches_over_kvm),
        cmocka_unit_test(test_two_machines_with_different_backends),
    };

    if (getenv("UKVM_SWITCH_VIA"))
        return cmocka_run_group_tests_name("switch over kvm", on_kvm, NULL, NULL);
    return cmocka_run_group_tests_name("switch", on_emu, NULL, NULL);
}
