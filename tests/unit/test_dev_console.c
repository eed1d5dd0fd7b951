/* SPDX-License-Identifier: ISC */
/*
 * test_dev_console.c: PUTS: all bytes arrive, a full pipe can be interrupted and gone
 * on from, a console that fails is a host error that is tried again.
 */
#include "tests/support/devices.h"

#include <fcntl.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BIG 200000u /* bytes: more than a pipe holds */

static struct ukvm *machine(int fd)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, fd);
    uint8_t *buf = devices_mem(vm, DEV_BUF);

    devices_boot(vm);
    for (size_t i = 0; i < BIG; i++)
        buf[i] = (uint8_t)(i * 7 + i / 256);
    return vm;
}

static void make_pipe(int p[2])
{
    assert_int_equal(pipe(p), 0);
}

static void test_bytes_arrive(void **state)
{
    struct ukvm_puts arg = {.data = DEV_BUF, .len = 1000};
    struct ukvm *vm;
    uint8_t got[2000];
    int p[2];

    (void)state;
    make_pipe(p);
    vm = machine(p[1]);
    devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), NULL, NULL);
    arg.len = 0;
    devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), NULL, NULL);
    assert_int_equal(read(p[0], got, sizeof(got)), 1000);
    assert_memory_equal(got, devices_mem(vm, DEV_BUF), 1000);
    ukvm_destroy(vm);
    close(p[0]);
    close(p[1]);
}

static void test_regular_file(void **state)
{
    struct ukvm_puts arg = {.data = DEV_BUF, .len = BIG};
    char path[] = "/tmp/ukvm-console-XXXXXX";
    int fd = mkstemp(path);
    struct ukvm *vm = machine(fd);

    (void)state;
    unlink(path);
    devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), NULL, NULL);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), BIG);
    ukvm_destroy(vm);
    close(fd);
}

static void *interrupt_soon(void *vm)
{
    usleep(50000);
    ukvm_interrupt(vm);
    return NULL;
}

/* Reads (BIG) bytes and compares them. */
struct reader {
    int fd;
    const uint8_t *want;
    bool same;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    uint8_t *got = malloc(BIG);
    size_t n = 0;
    ssize_t k;

    while (n < BIG && (k = read(r->fd, got + n, BIG - n)) > 0)
        n += (size_t)k;
    r->same = n == BIG && memcmp(got, r->want, BIG) == 0;
    free(got);
    return NULL;
}

/* A pipe that nobody reads: an interrupt ends the wait; going on loses and doubles nothing. */
static void test_full_pipe_is_interrupted(void **state)
{
    struct ukvm_puts arg = {.data = DEV_BUF, .len = BIG};
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct reader r;
    pthread_t t;
    struct ukvm *vm;
    int p[2];

    (void)state;
    make_pipe(p);
    vm = machine(p[1]);
    assert_int_equal(pthread_create(&t, NULL, interrupt_soon, vm), 0);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), &stop, &err), 0);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    pthread_join(t, NULL);
    r = (struct reader){p[0], devices_mem(vm, DEV_BUF), false};
    assert_int_equal(pthread_create(&t, NULL, read_all, &r), 0);
    devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), NULL, NULL);
    pthread_join(t, NULL);
    assert_true(r.same);
    ukvm_destroy(vm);
    close(p[0]);
    close(p[1]);
}

static void test_full_device(void **state)
{
    struct ukvm_puts arg = {.data = DEV_BUF, .len = 10};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct ukvm *vm = machine(fd);
    struct ukvm_stop stop;
    struct ukvm_error err;

    (void)state;
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), &stop, &err),
                     UKVM_ESYS);
    assert_int_equal(err.sys_errno, ENOSPC);
    devices_says(err.msg, ": No space left on device; make room and go on");
    ukvm_destroy(vm);
    close(fd);
}

static void test_reader_gone(void **state)
{
    struct ukvm_puts arg = {.data = DEV_BUF, .len = 10};
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct ukvm *vm;
    int p[2];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    make_pipe(p);
    close(p[0]);
    vm = machine(p[1]);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_PUTS, &arg, sizeof(arg), &stop, &err),
                     UKVM_ESYS);
    assert_int_equal(err.sys_errno, EPIPE);
    ukvm_destroy(vm);
    close(p[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_arrive),
        cmocka_unit_test(test_regular_file),
        cmocka_unit_test(test_full_pipe_is_interrupted),
        cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_reader_gone),
    };

    return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
