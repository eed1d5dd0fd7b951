/* SPDX-License-Identifier: ISC */
/*
 * test_dev_poll.c: POLL: how long it waits, what it counts, and that an interrupted
 * wait goes on for its rest only.
 */
#include "tests/support/devices.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define MS 1000000u

static int poll_for(struct ukvm *vm, uint64_t timeout)
{
    struct ukvm_poll arg = {.timeout_nsecs = timeout, .ret = 77};

    devices_call(vm, UKVM_HYPERCALL_POLL, &arg, sizeof(arg), NULL, NULL);
    return arg.ret;
}

static void test_without_sources_it_sleeps(void **state)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    uint64_t from, took;

    (void)state;
    devices_boot(vm);
    from = uk_now_ns();
    assert_int_equal(poll_for(vm, 0), 0);
    took = uk_now_ns() - from;
    assert_true(took < 100 * MS);
    from = uk_now_ns();
    assert_int_equal(poll_for(vm, 30 * MS), 0);
    took = uk_now_ns() - from;
    assert_true(took >= 30 * MS);
    ukvm_destroy(vm);
}

/* A source that counts its turns and is readable at the (readable_at)th. */
struct source {
    int prepared, dispatched, readable_at;
    int64_t lower; /* the wait that it wants, ns; 0: any */
};

static size_t src_prepare(void *self, struct pollfd *fds, size_t max, int64_t *timeout_ns)
{
    struct source *s = self;

    (void)fds, (void)max;
    s->prepared++;
    if (s->lower > 0 && (*timeout_ns < 0 || *timeout_ns > s->lower))
        *timeout_ns = s->lower;
    return 0;
}

static void src_dispatch(void *self, const struct pollfd *fds, size_t n)
{
    (void)fds, (void)n;
    ((struct source *)self)->dispatched++;
}

static bool src_readable(void *self)
{
    const struct source *s = self;

    return s->readable_at > 0 && s->dispatched >= s->readable_at;
}

static const struct ukvm_poll_ops src_ops = {src_prepare, src_dispatch, src_readable};

static void test_sources_take_turns_until_one_is_readable(void **state)
{
    struct source busy = {.lower = MS}, idle = {0};
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err;
    int p[2];

    (void)state;
    busy.readable_at = 5;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(ukvm_core_register_poll(vm, &src_ops, &idle, &err), UKVM_OK);
    assert_int_equal(ukvm_core_register_poll(vm, &src_ops, &busy, &err), UKVM_OK);
    assert_int_equal(ukvm_core_register_pollfd(vm, p[0], &err), UKVM_OK);
    devices_boot(vm);
    assert_int_equal(poll_for(vm, UINT64_MAX), 1);
    assert_int_equal(busy.dispatched, 5);
    assert_int_equal(idle.prepared, 5);
    assert_int_equal(write(p[1], "x", 1), 1);
    assert_int_equal(poll_for(vm, 0), 2);
    busy.readable_at = 0;
    assert_int_equal(poll_for(vm, UINT64_MAX - 1), 1);
    assert_int_equal(read(p[0], &(char){0}, 1), 1);
    assert_int_equal(poll_for(vm, 0), 0);
    close(p[1]); /* a source that ended is readable: reading it says why */
    assert_int_equal(poll_for(vm, UINT64_MAX), 1);
    ukvm_destroy(vm);
    close(p[0]);
}

static void test_at_most_eight_sources(void **state)
{
    struct source s = {0};
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err;

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ukvm_core_register_poll(vm, &src_ops, &s, &err), UKVM_OK);
        assert_int_equal(ukvm_core_register_pollfd(vm, 0, &err), UKVM_OK);
    }
    assert_int_equal(ukvm_core_register_poll(vm, &src_ops, &s, &err), UKVM_ELIMIT);
    assert_int_equal(ukvm_core_register_pollfd(vm, 0, &err), UKVM_ELIMIT);
    ukvm_destroy(vm);
}

static void *interrupt_soon(void *vm)
{
    usleep(60000);
    ukvm_interrupt(vm);
    return NULL;
}

static void test_interrupted_wait_goes_on_for_its_rest(void **state)
{
    struct ukvm_poll arg = {.timeout_nsecs = 200 * MS};
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_stop stop;
    struct ukvm_error err;
    uint64_t from = uk_now_ns(), took;
    pthread_t t;

    (void)state;
    devices_boot(vm);
    assert_int_equal(pthread_create(&t, NULL, interrupt_soon, vm), 0);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_POLL, &arg, sizeof(arg), &stop, &err), 0);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    pthread_join(t, NULL);
    usleep(60000);
    assert_int_equal(poll_for(vm, 200 * MS), 0);
    took = uk_now_ns() - from;
    assert_true(took >= 200 * MS && took < 300 * MS);
    ukvm_destroy(vm);
}

static void test_walltime(void **state)
{
    struct ukvm_walltime arg = {0};
    struct ukvm *vm = devices_machine(UKVM_ABI_B, 0);
    time_t before = time(NULL);

    (void)state;
    devices_boot(vm);
    devices_call(vm, UKVM_HYPERCALL_WALLTIME, &arg, sizeof(arg), NULL, NULL);
    assert_in_range(arg.nsecs / 1000000000, before, before + 5);
    ukvm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_sources_it_sleeps),
        cmocka_unit_test(test_sources_take_turns_until_one_is_readable),
        cmocka_unit_test(test_at_most_eight_sources),
        cmocka_unit_test(test_interrupted_wait_goes_on_for_its_rest),
        cmocka_unit_test(test_walltime),
    };

    return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
