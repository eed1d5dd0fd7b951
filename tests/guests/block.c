/* SPDX-License-Identifier: ISC */
/*
 * Block device: what BLKINFO says, writes that are read back, requests at and beyond the end.
 * Argument ro: the disk is read-only, writes must fail. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

#define SECTOR 512
#define MANY   16

static uint8_t out[MANY * SECTOR], in[MANY * SECTOR + 8];
static uint64_t sectors;

static int transfer(int write, uint64_t sector, void *data, uint64_t len)
{
    struct hc_blkio arg = {sector, (uintptr_t)data, len, -7, 0};

    if (write)
        hypercall(HC_BLKWRITE, &arg);
    else
        hypercall(HC_BLKREAD, &arg);
    if (arg.len != len)
        print("FAIL len was changed to 0x%lx\n", arg.len);
    return arg.ret;
}

static int write_at(uint64_t sector, uint64_t len)
{
    return transfer(1, sector, out, len);
}

static int read_at(uint64_t sector, uint64_t len)
{
    memset(in, 0xEE, sizeof in);
    return transfer(0, sector, in, len);
}

static void pattern(uint64_t seed)
{
    for (size_t i = 0; i < sizeof out; i++) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        out[i] = (uint8_t)(seed >> 56);
    }
}

/* Bytes of in[] from a to b that still have their filling. */
static uint64_t untouched(size_t a, size_t b)
{
    uint64_t n = 0;

    for (; a < b; a++)
        n += in[a] == 0xEE;
    return n;
}

#define INT(value) ((uint32_t)(value))

static void write_and_verify(const char *name, uint64_t sector, uint64_t len)
{
    pattern(sector);
    print("%s\n", name);
    check_u64("  write", INT(write_at(sector, len)), 0);
    check_u64("  read", INT(read_at(sector, len)), 0);
    check_u64("  same", memcmp(out, in, len) == 0, 1);
    check_u64("  not more than asked", untouched(len, len + 8), 8);
}

static void refused(const char *name, uint64_t sector, uint64_t len)
{
    check_u64(name, INT(read_at(sector, len)), INT(-1));
    check_u64("  nothing was read", untouched(0, sizeof in), sizeof in);
    check_u64("  nor can it be written", INT(write_at(sector, len)), INT(-1));
}

static void bounds(void)
{
    refused("sector beyond the end", sectors, SECTOR);
    refused("empty request beyond the end", sectors, 0);
    refused("sector far beyond", 1ul << 40, SECTOR);
    refused("sector * 512 overflows to 0", 1ul << 55, SECTOR);
    refused("largest sector", ~0ul, SECTOR);
    refused("last sector, two of them", sectors - 1, 2 * SECTOR);
    refused("last sector, one byte more", sectors - 1, SECTOR + 1);
    check_u64("empty request", INT(read_at(0, 0)), 0);
    check_u64("  nothing was read", untouched(0, sizeof in), sizeof in);
}

static void neighbours(void)
{
    check_u64("zero sectors 2 to 4", INT((memset(out, 0, sizeof out), write_at(2, 3 * SECTOR))), 0);
    memset(out, 0x5A, sizeof out);
    check_u64("fill sector 3", INT(write_at(3, SECTOR)), 0);
    check_u64("read all three", INT(read_at(2, 3 * SECTOR)), 0);
    check_u64("end of the one before", in[SECTOR - 1], 0);
    check_u64("first byte", in[SECTOR], 0x5A);
    check_u64("last byte", in[2 * SECTOR - 1], 0x5A);
    check_u64("start of the one behind", in[2 * SECTOR], 0);
}

static void read_only(int rw)
{
    check_u64("rw", INT(rw), 0);
    check_u64("read", INT(read_at(0, SECTOR)), 0);
    pattern(1);
    check_u64("write is refused", INT(write_at(0, SECTOR)), INT(-1));
    memcpy(out, in, SECTOR);
    check_u64("read again", INT(read_at(0, SECTOR)), 0);
    check_u64("nothing was written", memcmp(in, out, SECTOR) == 0, 1);
}

static void read_write(int rw)
{
    check_u64("rw", INT(rw), 1);
    write_and_verify("sector 0", 0, SECTOR);
    write_and_verify("sector 1", 1, SECTOR);
    write_and_verify("sector in the middle", sectors / 2, SECTOR);
    write_and_verify("last sector", sectors - 1, SECTOR);
    write_and_verify("16 sectors at once", 8, MANY * SECTOR);
    write_and_verify("700 bytes", 5, 700);
    write_and_verify("1 byte", 6, 1);
    neighbours();
    bounds();
}

int solo5_app_main(char *cmdline)
{
    struct hc_blkinfo info = {0, 0, -7, 0x12345678};

    hypercall(HC_BLKINFO, &info);
    sectors = info.num_sectors;
    check_u64("sector size", info.sector_size, SECTOR);
    check_u64("at least 32 sectors", sectors >= 32, 1);
    check_u64("what lies behind BLKINFO's last field is kept", info.pad, 0x12345678);
    if (word(&cmdline, "ro"))
        read_only(info.rw);
    else
        read_write(info.rw);
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
