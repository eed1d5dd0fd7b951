/* SPDX-License-Identifier: ISC */
/*
 * Network. `ping N [A.B.C.D]` answers ARP and ICMP echo for its address (default 10.0.0.2) and ends
 * after N echo requests; `ping probe N A.B.C.D FROM` asks A.B.C.D itself: ARP, then N echo requests
 * from address FROM. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

#define FRAME  1514
#define SECOND 1000000000ul
#define ETH    14
#define IP     (ETH + 20)

static uint8_t mac[6], gateway[6];
static uint8_t own_ip[4] = {10, 0, 0, 2};
static uint8_t frame[FRAME], sent[FRAME];

/* NETINFO between canaries: the monitor must write the family's size and no more. */
static void netinfo(void)
{
    struct {
        uint8_t before[8];
        struct hc_netinfo info;
        uint8_t after[16];
    } arg;
    unsigned kept = 0;

    memset(&arg, 0xA5, sizeof arg);
    hypercall(HC_NETINFO, &arg.info);
    for (unsigned i = 0; i < 8; i++)
        kept += arg.before[i] == 0xA5;
    for (unsigned i = 0; i < 16; i++)
        kept += arg.after[i] == 0xA5;
    check_u64("NETINFO keeps to its size", kept, 24);
#ifdef FAMILY_B
    check_u64("MAC string ends with NUL", str_len(arg.info.mac), 17);
    for (unsigned i = 0; i < 17; i++) {
        char c = arg.info.mac[i];
        unsigned digit = c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 32) - 'a' + 10;

        if (i % 3 == 2)
            check_failures += c != ':';
        else
            mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | digit);
    }
#else
    memcpy(mac, arg.info.mac, 6);
#endif
    check_u64("MAC is a station's", mac[0] & 1, 0);
}

static int net_write(const void *data, uint64_t len)
{
    struct hc_netio arg = {(uintptr_t)data, len, -7, 0};

    hypercall(HC_NETWRITE, &arg);
    return arg.ret == 0 && arg.len == len;
}

/* One frame into frame[]: its length, or 0 if there is none. */
static size_t net_read(void)
{
    struct hc_netio arg = {(uintptr_t)frame, FRAME, -7, 0};

    hypercall(HC_NETREAD, &arg);
    if (arg.ret == -1 && arg.len != FRAME)
        print("FAIL len was changed though nothing came\n");
    return arg.ret == 0 ? arg.len : 0;
}

static int net_poll(uint64_t nsecs)
{
    struct hc_poll arg = {nsecs, -7, 0};

    hypercall(HC_POLL, &arg);
    return arg.ret;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t checksum(const uint8_t *at, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < n; i += 2)
        sum += get16(at + i);
    if (n & 1)
        sum += (uint32_t)at[n - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)~sum;
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t t = a[i];

        a[i] = b[i];
        b[i] = t;
    }
}

static void answer_arp(size_t len)
{
    if (len < ETH + 28 || get16(frame + ETH + 6) != 1 || memcmp(frame + ETH + 24, own_ip, 4) != 0)
        return;
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, mac, 6);
    put16(frame + ETH + 6, 2);
    memcpy(frame + ETH + 18, frame + ETH + 8, 10);
    memcpy(frame + ETH + 8, mac, 6);
    memcpy(frame + ETH + 14, own_ip, 4);
    net_write(frame, len);
}

/* Length of the ICMP message in frame[] of this type for us, 0 if it isn't one. */
static size_t icmp(size_t len, uint8_t type)
{
    size_t total;

    if (len < IP + 8 || get16(frame + 12) != 0x0800 || frame[ETH] != 0x45 || frame[ETH + 9] != 1)
        return 0;
    total = get16(frame + ETH + 2);
    if (total < 28 || total > len - ETH || memcmp(frame + ETH + 16, own_ip, 4) != 0)
        return 0;
    if (checksum(frame + ETH, 20) != 0 || checksum(frame + IP, total - 20) != 0)
        return 0;
    return frame[IP] == type ? total - 20 : 0;
}

static int answer_echo(size_t len)
{
    size_t n = icmp(len, 8);

    if (!n)
        return 0;
    swap(frame, frame + 6, 6);
    swap(frame + ETH + 12, frame + ETH + 16, 4);
    frame[IP] = 0;
    put16(frame + IP + 2, 0);
    put16(frame + IP + 2, checksum(frame + IP, n));
    return net_write(frame, len);
}

static uint64_t serve(uint64_t count)
{
    uint64_t served = 0;

    while (served < count) {
        size_t len = net_read();

        if (!len)
            net_poll(10 * SECOND);
        else if (len >= ETH && get16(frame + 12) == 0x0806)
            answer_arp(len);
        else
            served += (uint64_t)answer_echo(len);
    }
    return served;
}

static void send_arp(const uint8_t ip[4])
{
    static const uint8_t head[10] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};

    memset(sent, 0, 60);
    memset(sent, 0xFF, 6);
    memcpy(sent + 6, mac, 6);
    memcpy(sent + 12, head, 10);
    memcpy(sent + ETH + 8, mac, 6);
    memcpy(sent + ETH + 14, own_ip, 4);
    memcpy(sent + ETH + 24, ip, 4);
    check_u64("NETWRITE", (uint64_t)net_write(sent, 60), 1);
}

static void send_echo(const uint8_t ip[4], unsigned seq, size_t payload)
{
    static const uint8_t head[11] = {0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1, 0};
    size_t n = 8 + payload;

    memcpy(sent, gateway, 6);
    memcpy(sent + 6, mac, 6);
    put16(sent + 12, 0x0800);
    memcpy(sent + ETH, head, sizeof head);
    put16(sent + ETH + 2, (uint16_t)(20 + n));
    put16(sent + ETH + 10, 0);
    memcpy(sent + ETH + 12, own_ip, 4);
    memcpy(sent + ETH + 16, ip, 4);
    put16(sent + ETH + 10, checksum(sent + ETH, 20));
    memset(sent + IP, 0, 8);
    sent[IP] = 8;
    put16(sent + IP + 6, (uint16_t)seq);
    for (size_t i = 0; i < payload; i++)
        sent[IP + 8 + i] = (uint8_t)(seq + i);
    put16(sent + IP + 2, checksum(sent + IP, n));
    check_u64("NETWRITE", (uint64_t)net_write(sent, IP + n), 1);
}

/* The next frame that test takes, within about two seconds. */
static size_t wait_for(size_t (*test)(size_t len))
{
    for (unsigned tries = 0; tries < 50; tries++) {
        size_t len = net_read(), found;

        if (!len) {
            if (net_poll(2 * SECOND) == 0)
                return 0;
            continue;
        }
        found = test(len);
        if (found)
            return found;
    }
    return 0;
}

static size_t arp_reply(size_t len)
{
    if (len < ETH + 28 || get16(frame + 12) != 0x0806 || get16(frame + ETH + 6) != 2)
        return 0;
    memcpy(gateway, frame + ETH + 8, 6);
    return len;
}

static size_t echo_reply(size_t len)
{
    return icmp(len, 0);
}

static void ip_argument(char **text, uint8_t ip[4])
{
    for (unsigned i = 0; i < 4; i++) {
        ip[i] = (uint8_t)number(text);
        if (i < 3 && **text == '.')
            (*text)++;
    }
}

static void probe(char *cmdline)
{
    uint64_t count = number(&cmdline);
    uint8_t ip[4];

    ip_argument(&cmdline, ip);
    ip_argument(&cmdline, own_ip);
    check_u64("nothing to read yet", net_read(), 0);
    send_arp(ip);
    check_u64("ARP reply", wait_for(arp_reply) != 0, 1);
    for (unsigned i = 0; i < count; i++) {
        size_t payload = i % 2 ? 56 : 1400;
        size_t n;

        send_echo(ip, i, payload);
        n = wait_for(echo_reply);
        check_u64("echo reply", n, 8 + payload);
        check_u64("  its sequence number", get16(frame + IP + 6), i);
        check_u64("  its payload", memcmp(frame + IP + 8, sent + IP + 8, payload) == 0, 1);
    }
}

int solo5_app_main(char *cmdline)
{
    netinfo();
    print("MAC %02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    if (word(&cmdline, "probe")) {
        probe(cmdline);
    } else {
        uint64_t count = number(&cmdline);

        if (*cmdline)
            ip_argument(&cmdline, own_ip);
        print("answering for %u.%u.%u.%u\n", own_ip[0], own_ip[1], own_ip[2], own_ip[3]);
        print("answered %lu\n", serve(count));
    }
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
