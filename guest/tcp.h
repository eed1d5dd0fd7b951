/* SPDX-License-Identifier: ISC */
/*
 * The server's side of TCP, for one question and one answer a connection: the peer connects and
 * sends a request, gets the reply, and the connection is closed. Several at a time.
 * Sequence numbers are predictable, so that runs can be compared: not for the open internet.
 */
#ifndef UKVM_GUEST_TCP_H
#define UKVM_GUEST_TCP_H

#include "guest/inet.h"

#define UKVM_TCP_CONNS   64
#define UKVM_TCP_REQUEST 1024 /* bytes; a longer request is reset */
#define UKVM_TCP_REPLY   2048 /* bytes */

/* Writes the reply to a request and returns its length; 0: the request is not yet complete. */
typedef size_t ukvm_tcp_answer_t(const char *request, size_t len, char *reply);

enum ukvm_tcp_state {
    UKVM_TCP_FREE,
    UKVM_TCP_SYN_RECEIVED,
    UKVM_TCP_OPEN,    /* the request is coming in */
    UKVM_TCP_REPLIED, /* reply and FIN are sent, not all acknowledged or no FIN from the peer */
    UKVM_TCP_WAIT,    /* done; remembered to answer what the peer repeats */
};

struct ukvm_tcp_conn {
    enum ukvm_tcp_state state;
    uint8_t mac[6];
    uint32_t ip;
    uint16_t port;
    bool peer_done; /* the peer's FIN has arrived */
    unsigned tries; /* of what is unacknowledged */
    uint64_t due;   /* when to act next, by the monotonic clock */
    uint32_t first; /* sequence number of our SYN */
    uint32_t unacked;
    uint32_t next;   /* to send */
    uint32_t expect; /* the peer's next */
    size_t request_len, reply_len;
    char request[UKVM_TCP_REQUEST];
    char reply[UKVM_TCP_REPLY];
};

struct ukvm_tcp {
    const struct ukvm_inet *in;
    ukvm_tcp_answer_t *answer;
    uint16_t port;
    uint32_t sequence;
    uint64_t served; /* replies that the peer has acknowledged whole */
    struct ukvm_tcp_conn conns[UKVM_TCP_CONNS];
};

void ukvm_tcp_init(struct ukvm_tcp *t, const struct ukvm_inet *in, uint16_t port,
                   ukvm_tcp_answer_t *answer);

/* A segment that ukvm_inet_input passed on. (now): the monotonic clock. */
void ukvm_tcp_input(struct ukvm_tcp *t, const struct ukvm_packet *p, uint64_t now);

/* Repeats what was lost and forgets what is over; returns nanoseconds to the next time. */
uint64_t ukvm_tcp_timers(struct ukvm_tcp *t, uint64_t now);

/* How many connections are neither free nor done. */
unsigned ukvm_tcp_busy(const struct ukvm_tcp *t);

#endif
