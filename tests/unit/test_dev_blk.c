/* SPDX-License-Identifier: ISC */
/*
 * test_dev_blk.c: the block device: which requests are in range, what is refused at
 * attach, what a disk that fails while running does.
 */
#include "tests/support/devices.h"
#include "core/dev/blk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/ukvm-blk-XXXXXX";
static char disk[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(disk, sizeof(disk), "%s/disk", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(disk);
    return rmdir(dir);
}

/* A disk of (size) bytes in which byte i of sector s is s + i. */
static void make_disk(size_t size)
{
    FILE *fp = fopen(disk, "wb");

    assert_non_null(fp);
    for (size_t i = 0; i < size; i++)
        assert_int_not_equal(putc((int)((i / 512 + i % 512) & 0xff), fp), EOF);
    assert_int_equal(fclose(fp), 0);
}

static struct ukvm *machine(const char *option)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};
    char arg[80];

    snprintf(arg, sizeof(arg), "%s%s", disk, option);
    if (ukvm_attach(vm, "blk", arg, &err) != UKVM_OK)
        fail_msg("attach: %s", err.msg);
    devices_boot(vm);
    return vm;
}

static const struct {
    uint64_t sector, len, sectors;
    bool ok;
} ranges[] = {
    {0, 512, 1, true},
    {0, 0, 1, true},
    {0, 1, 1, true},
    {0, 513, 1, false},
    {1, 0, 1, false},
    {1, 512, 1, false},
    {7, 512, 8, true},
    {7, 513, 8, false},
    {0, 4096, 8, true},
    {1, 4096, 8, false},
    {0, UINT64_MAX, 8, false},
    {1, UINT64_MAX - 511, 8, false},
    {UINT64_MAX, 512, 8, false},
    {UINT64_MAX / 512, 512, UINT64_MAX, false},
    {UINT64_MAX / 512 + 1, 512, UINT64_MAX, false},
    {UINT64_MAX / 512 - 1, 512, UINT64_MAX / 512, true},
};

static void test_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (uk_blk_in_range(ranges[i].sector, ranges[i].len, ranges[i].sectors) != ranges[i].ok)
            fail_msg("range %zu", i);
}

static void test_info(void **state)
{
    struct ukvm_blkinfo info = {0};
    struct ukvm *vm;

    (void)state;
    make_disk(8 * 512 + 100);
    vm = machine("");
    devices_says(ukvm_notes(vm), "4196 bytes: the last 100 are no whole sector");
    devices_call(vm, UKVM_HYPERCALL_BLKINFO, &info, sizeof(info), NULL, NULL);
    assert_int_equal(info.sector_size, 512);
    assert_int_equal(info.num_sectors, 8);
    assert_int_equal(info.rw, 1);
    ukvm_destroy(vm);
}

static void test_read_and_write(void **state)
{
    struct ukvm_blkread rd = {.sector = 3, .data = DEV_BUF, .len = 1000};
    struct ukvm_blkwrite wr = {.sector = 7, .data = DEV_BUF, .len = 512};
    struct ukvm *vm;
    uint8_t *buf;

    (void)state;
    make_disk(8 * 512);
    vm = machine("");
    buf = devices_mem(vm, DEV_BUF);
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, 0);
    assert_int_equal(rd.len, 1000);
    assert_int_equal(buf[0], 3);
    assert_int_equal(buf[512], 4);
    assert_int_equal(buf[1000], 0);
    assert_int_equal(scripted.nwrote, 2);
    assert_int_equal(scripted.wrote[1].gpa, DEV_BUF);
    assert_int_equal(scripted.wrote[1].len, 1000);
    memset(buf, 0x5a, 512);
    devices_call(vm, UKVM_HYPERCALL_BLKWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(wr.ret, 0);
    rd = (struct ukvm_blkread){.sector = 6, .data = DEV_BUF + 8192, .len = 1024};
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(buf[8192], 6);
    assert_int_equal(buf[8192 + 512], 0x5a);
    ukvm_destroy(vm);
}

static void test_out_of_range_transfers_nothing(void **state)
{
    struct ukvm_blkread rd = {.sector = 8, .data = DEV_BUF, .len = 512};
    struct ukvm_blkwrite wr = {.sector = 7, .data = DEV_BUF, .len = 513};
    struct stat st;
    struct ukvm *vm;

    (void)state;
    make_disk(8 * 512);
    vm = machine("");
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, -1);
    assert_int_equal(rd.len, 512);
    assert_int_equal(scripted.nwrote, 1); /* ret */
    devices_call(vm, UKVM_HYPERCALL_BLKWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(wr.ret, -1);
    assert_int_equal(stat(disk, &st), 0);
    assert_int_equal(st.st_size, 8 * 512);
    ukvm_destroy(vm);
}

static void test_read_only(void **state)
{
    struct ukvm_blkinfo info = {0};
    struct ukvm_blkwrite wr = {.sector = 0, .data = DEV_BUF, .len = 512};
    struct ukvm_blkread rd = {.sector = 0, .data = DEV_BUF, .len = 512};
    struct ukvm *vm;

    (void)state;
    make_disk(512);
    vm = machine(",ro");
    devices_call(vm, UKVM_HYPERCALL_BLKINFO, &info, sizeof(info), NULL, NULL);
    assert_int_equal(info.rw, 0);
    devices_call(vm, UKVM_HYPERCALL_BLKWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(wr.ret, -1);
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, 0);
    assert_int_equal(((uint8_t *)devices_mem(vm, DEV_BUF))[5], 5);
    ukvm_destroy(vm);
}

/* The buffer lies over the argument struct, which is misaligned besides: no harm. */
static void test_buffer_over_the_argument(void **state)
{
    struct ukvm_blkread rd = {.sector = 0, .data = DEV_ARG - 8, .len = 512};
    struct ukvm *vm;

    (void)state;
    make_disk(512);
    vm = machine("");
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, 0);
    assert_int_equal(rd.len, 512);
    assert_int_equal(((uint8_t *)devices_mem(vm, DEV_ARG))[100], 108);
    ukvm_destroy(vm);
}

static void test_shrunk_while_running(void **state)
{
    struct ukvm_blkread rd = {.sector = 6, .data = DEV_BUF, .len = 1024};
    struct ukvm_blkwrite wr = {.sector = 7, .data = DEV_BUF, .len = 512};
    struct ukvm_stop stop;
    struct ukvm_error err = {0};
    struct ukvm *vm;

    (void)state;
    make_disk(8 * 512);
    vm = machine("");
    assert_int_equal(truncate(disk, 7 * 512), 0);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), &stop, &err),
                     UKVM_EFILE);
    devices_says(err.msg, "ends at offset 3584, it shrank while running; truncate -s 4096");
    assert_int_equal(truncate(disk, 8 * 512), 0);
    devices_call(vm, UKVM_HYPERCALL_BLKREAD, &rd, sizeof(rd), NULL, NULL); /* goes on */
    assert_int_equal(rd.ret, 0);
    assert_int_equal(truncate(disk, 512), 0);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_BLKWRITE, &wr, sizeof(wr), &stop, &err),
                     UKVM_EFILE);
    devices_says(err.msg, "ends at offset 512");
    ukvm_destroy(vm);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *path, *says;
    } cases[] = {
        {"/tmp/ukvm-no-such-file", "--disk=/tmp/ukvm-no-such-file: No such file or directory; "
                                   "make it: truncate"},
        {"/tmp", "--disk=/tmp: Is a directory; give a disk image"},
        {"/tmp,ro", "--disk=/tmp: neither a file nor a block device"},
        {"/dev/null", "--disk=/dev/null: neither a file nor a block device; give a disk image"},
        {"", "--disk=: No such file"},
        {",ro", "--disk=,ro: No such file"},
    };
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(ukvm_attach(vm, "blk", cases[i].path, &err) < 0);
        devices_says(err.msg, cases[i].says);
    }
    make_disk(511);
    assert_int_equal(ukvm_attach(vm, "blk", disk, &err), UKVM_EINVAL);
    devices_says(err.msg, "511 bytes: less than one sector of 512; truncate");
    ukvm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_read_and_write),
        cmocka_unit_test(test_out_of_range_transfers_nothing),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_buffer_over_the_argument),
        cmocka_unit_test(test_shrunk_while_running),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests_name("blk", tests, make_dir, remove_dir);
}
