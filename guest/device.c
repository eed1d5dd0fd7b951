/* SPDX-License-Identifier: ISC */
/*
 * The disk and the network: one hypercall each. The only difference between families B and C
 * that a unikernel could see, the form of the hardware address, ends here.
 */
#include "guest/internal.h"

void ukvm_blk_info(struct ukvm_disk *disk)
{
    struct ukvm_blkinfo arg = {0};
    ukvm_do_hypercall(UKVM_HYPERCALL_BLKINFO, &arg);
    *disk = (struct ukvm_disk){arg.num_sectors, arg.sector_size, arg.rw != 0};
}

int ukvm_blk_read(uint64_t sector, void *data, size_t len)
{
    struct ukvm_blkread arg = {sector, data, len, 0};
    ukvm_do_hypercall(UKVM_HYPERCALL_BLKREAD, &arg);
    return arg.ret == 0 ? 0 : -1;
}

int ukvm_blk_write(uint64_t sector, const void *data, size_t len)
{
    struct ukvm_blkwrite arg = {sector, data, len, 0};
    ukvm_do_hypercall(UKVM_HYPERCALL_BLKWRITE, &arg);
    return arg.ret == 0 ? 0 : -1;
}

#ifdef UKVM_ABI_B

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return (unsigned)((c | 0x20) - 'a' + 10) & 15;
}

void ukvm_net_mac(uint8_t mac[6])
{
    struct ukvm_netinfo_b arg = {{0}};
    ukvm_do_hypercall(UKVM_HYPERCALL_NETINFO, &arg);
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)(hex_digit(arg.mac_str[3 * i]) << 4 | hex_digit(arg.mac_str[3 * i + 1]));
}

#else

void ukvm_net_mac(uint8_t mac[6])
{
    struct ukvm_netinfo arg = {{0}};
    ukvm_do_hypercall(UKVM_HYPERCALL_NETINFO, &arg);
    memcpy(mac, arg.mac, sizeof(arg.mac));
}

#endif

int ukvm_net_read(void *frame, size_t size)
{
    struct ukvm_netread arg = {frame, size, 0};
    ukvm_do_hypercall(UKVM_HYPERCALL_NETREAD, &arg);
    return arg.ret == 0 ? (int)arg.len : -1;
}

int ukvm_net_write(const void *frame, size_t len)
{
    struct ukvm_netwrite arg = {frame, len, 0};
    ukvm_do_hypercall(UKVM_HYPERCALL_NETWRITE, &arg);
    return arg.ret == 0 ? 0 : -1;
}
