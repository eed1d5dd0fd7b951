/* SPDX-License-Identifier: ISC */
/*
 * As much of IPv4 over Ethernet as answering takes: ARP and ICMP echo by itself, TCP handed on.
 * No routes and no ARP of its own: an answer goes back to where its question came from.
 */
#ifndef UKVM_GUEST_INET_H
#define UKVM_GUEST_INET_H

#include "guest/guest.h"

struct ukvm_inet {
    uint8_t mac[6];
    uint32_t ip; /* host order, as all addresses and ports here */
};

enum ukvm_inet_kind {
    UKVM_INET_OTHER, /* not for us, or not understood: dropped */
    UKVM_INET_ARP,   /* answered */
    UKVM_INET_ECHO,  /* answered */
    UKVM_INET_TCP,   /* an intact segment, for the caller */
};

#define UKVM_PROTO_ICMP 1
#define UKVM_PROTO_TCP  6

/* An IPv4 packet within a frame, after its header was checked. */
struct ukvm_packet {
    uint8_t mac[6]; /* the sender's */
    uint32_t src;
    uint8_t *data; /* behind the header */
    size_t len;    /* bytes there */
};

/* Reads "A.B.C.D" or "A.B.C.D/BITS"; the width of the network makes no difference to answers. */
bool ukvm_inet_parse(const char *s, uint32_t *ip);

void ukvm_inet_init(struct ukvm_inet *in, uint32_t ip);

/* Looks at a frame received; fills (p) for UKVM_INET_TCP. */
enum ukvm_inet_kind ukvm_inet_input(const struct ukvm_inet *in, uint8_t *frame, size_t len,
                                    struct ukvm_packet *p);

/* Where the payload of a packet to send begins in its frame. */
#define UKVM_INET_PAYLOAD (14 + 20)

/* Puts Ethernet and IPv4 headers before (len) bytes at frame + UKVM_INET_PAYLOAD and sends. */
void ukvm_inet_output(const struct ukvm_inet *in, uint8_t *frame, const uint8_t mac[6],
                      uint32_t dst, uint8_t proto, size_t len);

/* The internet checksum (RFC 1071) of (len) bytes, begun with (sum); over good data it is 0. */
uint16_t ukvm_inet_sum(const void *data, size_t len, uint32_t sum);

/* What TCP's checksum adds for addresses, protocol and length (RFC 9293, 3.1). */
uint32_t ukvm_inet_pseudo(uint32_t a, uint32_t b, uint8_t proto, size_t len);

/* Numbers in network order, at any address. */
static inline uint16_t ukvm_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t ukvm_get32(const uint8_t *p)
{
    return (uint32_t)ukvm_get16(p) << 16 | ukvm_get16(p + 2);
}

static inline void ukvm_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void ukvm_put32(uint8_t *p, uint32_t v)
{
    ukvm_put16(p, (uint16_t)(v >> 16));
    ukvm_put16(p + 2, (uint16_t)v);
}

#endif
