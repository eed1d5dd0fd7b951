/* SPDX-License-Identifier: ISC */
/*
 * ARP (RFC 826), IPv4 (RFC 791) without fragments, ICMP echo (RFC 792). Frames are untrusted:
 * each length is checked before what it covers is read.
 */
#include "guest/inet.h"

#define ETH_LEN     14
#define ETH_TYPE    12
#define TYPE_IP     0x0800
#define TYPE_ARP    0x0806
#define IP_LEN      20
#define ARP_LEN     28
#define ARP_REQUEST 1
#define ARP_REPLY   2
#define ECHO_LEN    8
#define ECHO        8
#define ECHO_REPLY  0
#define TTL         64

bool ukvm_inet_parse(const char *s, uint32_t *ip)
{
    uint64_t v;
    *ip = 0;
    for (int i = 0; i < 4; i++) {
        if (!ukvm_parse_u64(s, &s, &v) || v > 255 || (i < 3 && *s++ != '.'))
            return false;
        *ip = *ip << 8 | (uint32_t)v;
    }
    if (*s == '/' && (!ukvm_parse_u64(s + 1, &s, &v) || v > 32))
        return false;
    return *s == '\0';
}

void ukvm_inet_init(struct ukvm_inet *in, uint32_t ip)
{
    in->ip = ip;
    ukvm_net_mac(in->mac);
}

uint16_t ukvm_inet_sum(const void *data, size_t len, uint32_t sum)
{
    const uint8_t *p = data;
    uint64_t s = sum;
    for (; len > 1; len -= 2, p += 2)
        s += ukvm_get16(p);
    if (len > 0)
        s += (uint32_t)p[0] << 8;
    while (s > 0xffff)
        s = (s >> 16) + (s & 0xffff);
    return (uint16_t)~s;
}

uint32_t ukvm_inet_pseudo(uint32_t a, uint32_t b, uint8_t proto, size_t len)
{
    return (a >> 16) + (a & 0xffff) + (b >> 16) + (b & 0xffff) + proto + (uint32_t)len;
}

static void put_eth(const struct ukvm_inet *in, uint8_t *frame, const uint8_t mac[6], uint16_t type)
{
    memmove(frame, mac, 6);
    memcpy(frame + 6, in->mac, 6);
    ukvm_put16(frame + ETH_TYPE, type);
}

/* Answers who has our address, in the frame that asked. */
static enum ukvm_inet_kind arp(const struct ukvm_inet *in, uint8_t *frame, size_t len)
{
    static const uint8_t ipv4_on_ethernet[] = {0, 1, 8, 0, 6, 4, 0, ARP_REQUEST};
    uint8_t *a = frame + ETH_LEN;
    uint8_t *sender = a + 8, *target = a + 18;
    if (len < ETH_LEN + ARP_LEN || memcmp(a, ipv4_on_ethernet, sizeof(ipv4_on_ethernet)) != 0 ||
        ukvm_get32(target + 6) != in->ip)
        return UKVM_INET_OTHER;
    a[7] = ARP_REPLY;
    memcpy(target, sender, 10);
    memcpy(sender, in->mac, 6);
    ukvm_put32(sender + 6, in->ip);
    put_eth(in, frame, target, TYPE_ARP);
    ukvm_net_write(frame, ETH_LEN + ARP_LEN);
    return UKVM_INET_ARP;
}

void ukvm_inet_output(const struct ukvm_inet *in, uint8_t *frame, const uint8_t mac[6],
                      uint32_t dst, uint8_t proto, size_t len)
{
    uint8_t *h = frame + ETH_LEN;
    put_eth(in, frame, mac, TYPE_IP);
    memset(h, 0, IP_LEN);
    h[0] = 0x45;
    ukvm_put16(h + 2, (uint16_t)(IP_LEN + len));
    h[6] = 0x40; /* don't fragment */
    h[8] = TTL;
    h[9] = proto;
    ukvm_put32(h + 12, in->ip);
    ukvm_put32(h + 16, dst);
    ukvm_put16(h + 10, ukvm_inet_sum(h, IP_LEN, 0));
    ukvm_net_write(frame, ETH_LEN + IP_LEN + len);
}

static enum ukvm_inet_kind echo(const struct ukvm_inet *in, const struct ukvm_packet *p)
{
    static uint8_t reply[UKVM_FRAME_MAX];
    uint8_t *icmp = reply + UKVM_INET_PAYLOAD;
    if (p->len < ECHO_LEN || p->len > sizeof(reply) - UKVM_INET_PAYLOAD || p->data[0] != ECHO ||
        ukvm_inet_sum(p->data, p->len, 0) != 0)
        return UKVM_INET_OTHER;
    memcpy(icmp, p->data, p->len);
    icmp[0] = ECHO_REPLY;
    ukvm_put16(icmp + 2, 0);
    ukvm_put16(icmp + 2, ukvm_inet_sum(icmp, p->len, 0));
    ukvm_inet_output(in, reply, p->mac, p->src, UKVM_PROTO_ICMP, p->len);
    return UKVM_INET_ECHO;
}

static enum ukvm_inet_kind ip(const struct ukvm_inet *in, uint8_t *frame, size_t len,
                              struct ukvm_packet *p)
{
    uint8_t *h = frame + ETH_LEN;
    if (len < ETH_LEN + IP_LEN || h[0] >> 4 != 4)
        return UKVM_INET_OTHER;
    size_t head = (size_t)(h[0] & 15) * 4, total = ukvm_get16(h + 2);
    if (head < IP_LEN || total < head || total > len - ETH_LEN || ukvm_inet_sum(h, head, 0) != 0)
        return UKVM_INET_OTHER;
    if ((ukvm_get16(h + 6) & 0x3fff) != 0 || ukvm_get32(h + 16) != in->ip)
        return UKVM_INET_OTHER; /* a fragment, or for somebody else */
    memcpy(p->mac, frame + 6, 6);
    p->src = ukvm_get32(h + 12);
    p->data = h + head;
    p->len = total - head;
    if (h[9] == UKVM_PROTO_ICMP)
        return echo(in, p);
    if (h[9] != UKVM_PROTO_TCP || p->len < 20 ||
        ukvm_inet_sum(p->data, p->len, ukvm_inet_pseudo(p->src, in->ip, UKVM_PROTO_TCP, p->len)) !=
            0)
        return UKVM_INET_OTHER;
    return UKVM_INET_TCP;
}

enum ukvm_inet_kind ukvm_inet_input(const struct ukvm_inet *in, uint8_t *frame, size_t len,
                                    struct ukvm_packet *p)
{
    if (len < ETH_LEN)
        return UKVM_INET_OTHER;
    switch (ukvm_get16(frame + ETH_TYPE)) {
    case TYPE_ARP:
        return arp(in, frame, len);
    case TYPE_IP:
        return ip(in, frame, len, p);
    default:
        return UKVM_INET_OTHER;
    }
}
