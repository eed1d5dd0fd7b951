/* SPDX-License-Identifier: ISC */
/*
 * test_capture.c: a capture holds what crossed, is whole at each stop and when the
 * disk is full. That other programs read it is tested with tshark, end to end.
 */
#include "tests/support/devices.h"
#include "core/trace/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/ukvm-capture-XXXXXX";
static uint8_t file[1 << 20];

static size_t slurp(void)
{
    FILE *fp = fopen(path, "rb");
    size_t n;

    assert_non_null(fp);
    n = fread(file, 1, sizeof(file), fp);
    fclose(fp);
    return n;
}

static uint32_t word(size_t at)
{
    uint32_t v;

    memcpy(&v, file + at, sizeof(v));
    return v;
}

/* The offset of the (i)th block; its length must stand at both its ends. */
static size_t block(size_t i, size_t n)
{
    size_t at = 0;

    for (;;) {
        if (at == n)
            fail_msg("there is no block %zu", i);
        assert_int_equal(word(at + word(at + 4) - 4), word(at + 4));
        if (i-- == 0)
            return at;
        at += word(at + 4);
    }
}

static struct ukvm *machine(int sv[2])
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};
    char arg[64];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
    snprintf(arg, sizeof(arg), "@%d,mac=02:00:00:00:00:01", sv[0]);
    if (ukvm_attach(vm, "net", arg, &err) != UKVM_OK)
        fail_msg("attach: %s", err.msg);
    devices_boot(vm);
    return vm;
}

static void start(struct ukvm *vm)
{
    struct ukvm_error err = {0};

    if (ukvm_capture(vm, path, &err) != UKVM_OK)
        fail_msg("capture: %s", err.msg);
}

static void end(struct ukvm *vm, int sv[2])
{
    ukvm_destroy(vm);
    close(sv[0]);
    close(sv[1]);
}

static void write_frame(struct ukvm *vm, int sv[2], size_t len)
{
    struct ukvm_netwrite wr = {.data = DEV_BUF, .len = len};

    memset(devices_mem(vm, DEV_BUF), 0x41, len);
    devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(recv(sv[1], file, sizeof(file), MSG_DONTWAIT), len);
}

static void test_both_directions(void **state)
{
    struct ukvm_netread rd = {.data = DEV_BUF, .len = 1514};
    struct ukvm *vm;
    struct stat st;
    size_t n, at;
    int sv[2];

    (void)state;
    unlink(path);
    vm = machine(sv);
    start(vm);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    devices_call(vm, UKVM_HYPERCALL_NETREAD, &rd, sizeof(rd), NULL, NULL); /* none: no record */
    write_frame(vm, sv, 15);
    assert_int_equal(send(sv[1], "a frame that came in", 20, 0), 20);
    devices_call(vm, UKVM_HYPERCALL_NETREAD, &rd, sizeof(rd), NULL, NULL);
    n = slurp(); /* complete at each stop */
    assert_int_equal(uk_capture_whole(file, n), n);
    assert_int_equal(word(block(0, n)), 0x0a0d0d0a);
    at = block(1, n);
    assert_int_equal(word(at), 1);
    assert_int_equal(word(at + 8), 1); /* Ethernet */
    at = block(2, n);
    assert_int_equal(word(at), 6);
    assert_int_equal(word(at + 20), 15);
    assert_memory_equal(file + at + 28, "AAAAAAAAAAAAAAA\0", 16);
    assert_memory_equal(file + at + 44, "\1\0\16\0seq=2 netwrite\0\0\2\0\4\0\2\0\0\0\0\0\0\0", 32);
    at = block(3, n);
    assert_int_equal(word(at + 24), 20);
    assert_memory_equal(file + at + 28, "a frame that came in", 20);
    assert_memory_equal(file + at + 48, "\1\0\15\0seq=3 netread\0\0\0\2\0\4\0\1\0\0\0", 28);
    assert_int_equal(at + word(at + 4), n);
    assert_null(ukvm_capture_failed(vm));
    end(vm, sv);
    assert_int_equal(slurp(), n);
}

static void test_many_frames_are_gathered(void **state)
{
    struct ukvm *vm;
    size_t n, i;
    int sv[2];

    (void)state;
    vm = machine(sv);
    start(vm);
    for (i = 0; i < 300; i++)
        write_frame(vm, sv, 60 + i * 4);
    end(vm, sv);
    n = slurp();
    for (i = 0; i < 300; i++)
        assert_int_equal(word(block(2 + i, n) + 24), 60 + i * 4);
    assert_int_equal(uk_capture_whole(file, n), n);
}

/* The file cannot grow: one line, whole blocks, and the guest goes on. */
static void test_full_disk(void **state)
{
    const struct rlimit small = {1000, RLIM_INFINITY};
    struct rlimit before;
    struct ukvm *vm;
    size_t n;
    int sv[2];

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    vm = machine(sv);
    start(vm);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 20; i++)
        write_frame(vm, sv, 100);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(ukvm_capture_failed(vm));
    devices_says(ukvm_capture_failed(vm), ": File too large; the capture ends here");
    n = slurp();
    assert_true(n > 500 && n <= 1000);
    assert_int_equal(uk_capture_whole(file, n), n);
    write_frame(vm, sv, 100);
    end(vm, sv);
    assert_int_equal(slurp(), n);
}

static void test_refusals(void **state)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err;
    int sv[2];

    (void)state;
    assert_int_equal(ukvm_capture(vm, path, &err), UKVM_ESTATE);
    devices_says(err.msg, "the machine has no network; --net=user");
    ukvm_destroy(vm);
    vm = machine(sv);
    assert_int_equal(ukvm_capture(vm, "/no/such/folder/file", &err), UKVM_ESYS);
    devices_says(err.msg, "--pcap=/no/such/folder/file: No such file or directory; give");
    assert_int_equal(ukvm_capture(vm, "/dev/full", &err), UKVM_ESYS);
    devices_says(err.msg, "No space left on device");
    start(vm);
    assert_int_equal(ukvm_capture(vm, path, &err), UKVM_ESTATE);
    end(vm, sv);
}

static void test_whole_blocks(void **state)
{
    const uint8_t mac[6] = {2};
    size_t n = uk_capture_header(file, "a-name-of-thirty-one-characters", mac);

    (void)state;
    assert_true(n <= UK_CAPTURE_HEAD_MAX);
    assert_int_equal(uk_capture_whole(file, n), n);
    assert_int_equal(uk_capture_whole(file, n - 1), word(4));
    assert_int_equal(uk_capture_whole(file, 7), 0);
    memset(file, 0, 100);
    assert_int_equal(uk_capture_whole(file, 100), 0);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions), cmocka_unit_test(test_many_frames_are_gathered),
        cmocka_unit_test(test_full_disk),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_whole_blocks),
    };

    return cmocka_run_group_tests_name("capture", tests, make_file, remove_file);
}
