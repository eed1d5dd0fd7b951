/* SPDX-License-Identifier: ISC */
/*
 * block: writes a pattern to a disk, reads it back and compares:
 * `block [size=BYTES] [req=BYTES] [seed=N]`, sizes with K or M. A read-only disk is only read.
 */
#include "guest/guest.h"

#define REQ_MAX (1024 * 1024)

static struct ukvm_disk disk;
static uint64_t size, req = 4096, seed = 1;

/* KEY=NUMBER with K or M; false if (arg) is another key or no number. */
static bool option(const char *arg, const char *key, uint64_t *value)
{
    size_t n = strlen(key);
    const char *end;
    if (strncmp(arg, key, n) != 0 || !ukvm_parse_u64(arg + n, &end, value))
        return false;
    int shift = *end == 'M' ? 20 : *end == 'K' ? 10 : 0;
    if (*value > UINT64_MAX >> shift)
        return false;
    *value <<= shift;
    return end[shift != 0] == '\0';
}

static bool options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!option(argv[i], "size=", &size) && !option(argv[i], "req=", &req) &&
            !option(argv[i], "seed=", &seed))
            return false;
    return req > 0 && req <= REQ_MAX;
}

/* What belongs at a byte of the disk, by words; differs everywhere, and by the seed. */
static void pattern(uint64_t *to, uint64_t at, size_t len)
{
    uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15 ^ seed;
    for (size_t i = 0; i < len / 8; i++) {
        to[i] = x;
        x += 0x9e3779b97f4a7c15;
    }
}

/* The buffers are aligned and the length is whole words, so this is quicker than memcmp. */
static void compare(const uint64_t *got, const uint64_t *want, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len / 8; i++)
        if (got[i] != want[i])
            ukvm_abort("block.c: byte %lu of the disk: read 0x%lx, wrote 0x%lx", at + 8 * i, got[i],
                       want[i]);
}

static void write_all(uint64_t *buf)
{
    uint64_t n = 0;
    for (uint64_t at = 0; at < size; at += req, n++) {
        size_t len = size - at < req ? size - at : req;
        pattern(buf, at, len);
        if (ukvm_blk_write(at / disk.sector_size, buf, len) != 0)
            ukvm_abort("block.c: write of %lu bytes at byte %lu refused", len, at);
    }
    ukvm_printf("wrote %lu bytes in %lu requests\n", size, n);
}

static void verify_all(uint64_t *buf, uint64_t *want)
{
    uint64_t n = 0;
    for (uint64_t at = 0; at < size; at += req, n++) {
        size_t len = size - at < req ? size - at : req;
        if (ukvm_blk_read(at / disk.sector_size, buf, len) != 0)
            ukvm_abort("block.c: read of %lu bytes at byte %lu refused", len, at);
        if (!disk.rw)
            continue;
        pattern(want, at, len);
        compare(buf, want, at, len);
    }
    ukvm_printf("%s %lu bytes in %lu requests\n", disk.rw ? "verified" : "read", size, n);
}

/* Requests that begin or end outside the disk change nothing and say so. */
static void refusals(uint64_t *buf)
{
    if (ukvm_blk_read(disk.sectors, buf, disk.sector_size) == 0 ||
        ukvm_blk_read(disk.sectors - 1, buf, 2 * disk.sector_size) == 0 ||
        ukvm_blk_read(UINT64_MAX, buf, disk.sector_size) == 0 ||
        (disk.rw && ukvm_blk_write(disk.sectors, buf, disk.sector_size) == 0))
        ukvm_abort("block.c: a request outside the disk was served");
    ukvm_puts("requests outside the disk are refused\n");
}

int main(int argc, char **argv)
{
    if (!options(argc, argv)) {
        ukvm_puts("usage: block [size=BYTES] [req=BYTES] [seed=N], req up to 1M\n");
        return 1;
    }
    ukvm_blk_info(&disk);
    ukvm_printf("disk: %lu sectors of %lu bytes, %s\n", disk.sectors, disk.sector_size,
                disk.rw ? "read-write" : "read-only");
    uint64_t whole = disk.sectors * disk.sector_size;
    if (size == 0)
        size = whole;
    if (size > whole || size % disk.sector_size != 0 || req % disk.sector_size != 0)
        ukvm_abort("block.c: size and req must be whole sectors of the disk");
    uint64_t *buf = ukvm_alloc(REQ_MAX), *want = ukvm_alloc(req);
    if (buf == NULL || want == NULL)
        ukvm_abort("block.c: out of memory");
    if (disk.rw)
        write_all(buf);
    verify_all(buf, want);
    refusals(buf);
    return 0;
}
