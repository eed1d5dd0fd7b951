/* SPDX-License-Identifier: ISC */
/*
 * The server's side of TCP (RFC 9293). Segments are taken in order only; a peer repeats what
 * came early. Replies are sent at once, in segments of the size that every host takes.
 */
#include "guest/tcp.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define HEADER   20
#define SEGMENT  536 /* bytes of data that every host accepts */
#define MSS      1460
#define WINDOW   8192
#define MSEC     1000000ULL
#define REPEAT   (200 * MSEC) /* doubled each time */
#define TRIES    6
#define IDLE     (10000 * MSEC) /* for a request to arrive, or for the peer's FIN */
#define LINGER   (1000 * MSEC)
#define NO_TIMER (60000 * MSEC)
#define ISS_STEP 64007 /* between our first sequence numbers */

struct segment {
    uint16_t src, dst;
    uint32_t seq, ack;
    uint8_t flags;
    const uint8_t *data;
    uint32_t len;
};

static uint8_t frame[UKVM_FRAME_MAX];

void ukvm_tcp_init(struct ukvm_tcp *t, const struct ukvm_inet *in, uint16_t port,
                   ukvm_tcp_answer_t *answer)
{
    memset(t, 0, sizeof(*t));
    t->in = in;
    t->port = port;
    t->answer = answer;
}

/* Sends one segment; a SYN says how large the peer's may be. */
static void output(const struct ukvm_tcp *t, const uint8_t mac[6], uint32_t ip,
                   const struct segment *s)
{
    uint8_t *h = frame + UKVM_INET_PAYLOAD;
    size_t head = (s->flags & SYN) != 0 ? HEADER + 4 : HEADER;
    memset(h, 0, head);
    ukvm_put16(h, s->src);
    ukvm_put16(h + 2, s->dst);
    ukvm_put32(h + 4, s->seq);
    ukvm_put32(h + 8, s->ack);
    h[12] = (uint8_t)(head / 4 << 4);
    h[13] = s->flags;
    ukvm_put16(h + 14, WINDOW);
    if ((s->flags & SYN) != 0)
        ukvm_put32(h + HEADER, 2U << 24 | 4U << 16 | MSS);
    memcpy(h + head, s->data, s->len);
    size_t len = head + s->len;
    uint32_t pseudo = ukvm_inet_pseudo(t->in->ip, ip, UKVM_PROTO_TCP, len);
    ukvm_put16(h + 16, ukvm_inet_sum(h, len, pseudo));
    ukvm_inet_output(t->in, frame, mac, ip, UKVM_PROTO_TCP, len);
}

static void send(const struct ukvm_tcp *t, const struct ukvm_tcp_conn *c, uint8_t flags,
                 uint32_t seq, const char *data, size_t len)
{
    struct segment s = {t->port,      c->port, seq, c->expect, flags, (const uint8_t *)data,
                        (uint32_t)len};
    output(t, c->mac, c->ip, &s);
}

static void send_ack(const struct ukvm_tcp *t, const struct ukvm_tcp_conn *c)
{
    send(t, c, ACK, c->next, NULL, 0);
}

/* Refuses a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
static void refuse(const struct ukvm_tcp *t, const struct ukvm_packet *p, const struct segment *s)
{
    struct segment r = {s->dst, s->src, s->ack, 0, RST, NULL, 0};
    if ((s->flags & ACK) == 0) {
        r.seq = 0;
        r.ack = s->seq + s->len + ((s->flags & SYN) != 0) + ((s->flags & FIN) != 0);
        r.flags = RST | ACK;
    }
    output(t, p->mac, p->src, &r);
}

/* Sends, or sends again, all that the peer has not acknowledged. */
static void send_unacked(const struct ukvm_tcp *t, const struct ukvm_tcp_conn *c)
{
    if (c->state == UKVM_TCP_SYN_RECEIVED) {
        send(t, c, SYN | ACK, c->first, NULL, 0);
        return;
    }
    size_t done = c->unacked - c->first - 1;
    if (done > c->reply_len)
        return;
    do {
        size_t len = c->reply_len - done < SEGMENT ? c->reply_len - done : SEGMENT;
        bool last = done + len == c->reply_len;
        send(t, c, last ? FIN | PSH | ACK : ACK, c->first + 1 + (uint32_t)done, c->reply + done,
             len);
        done += len;
    } while (done < c->reply_len);
}

static struct ukvm_tcp_conn *find(struct ukvm_tcp *t, uint32_t ip, uint16_t port)
{
    for (size_t i = 0; i < UKVM_TCP_CONNS; i++) {
        struct ukvm_tcp_conn *c = &t->conns[i];
        if (c->state != UKVM_TCP_FREE && c->ip == ip && c->port == port)
            return c;
    }
    return NULL;
}

/* A place for a new connection: a free one, else the one that has been done for longest. */
static struct ukvm_tcp_conn *place(struct ukvm_tcp *t)
{
    struct ukvm_tcp_conn *best = NULL;
    for (size_t i = 0; i < UKVM_TCP_CONNS; i++) {
        struct ukvm_tcp_conn *c = &t->conns[i];
        if (c->state == UKVM_TCP_FREE)
            return c;
        if (c->state == UKVM_TCP_WAIT && (best == NULL || c->due < best->due))
            best = c;
    }
    return best;
}

/* A new connection. With no place for it the peer hears nothing, and will try again. */
static void open(struct ukvm_tcp *t, struct ukvm_tcp_conn *c, const struct ukvm_packet *p,
                 const struct segment *s, uint64_t now)
{
    if (c == NULL && (c = place(t)) == NULL)
        return;
    t->sequence += ISS_STEP;
    memset(c, 0, offsetof(struct ukvm_tcp_conn, request));
    c->state = UKVM_TCP_SYN_RECEIVED;
    memcpy(c->mac, p->mac, 6);
    c->ip = p->src;
    c->port = s->src;
    c->first = c->unacked = t->sequence;
    c->next = c->first + 1;
    c->expect = s->seq + 1;
    c->due = now + REPEAT;
    send_unacked(t, c);
}

static void set_state(struct ukvm_tcp_conn *c, enum ukvm_tcp_state state, uint64_t due)
{
    c->state = state;
    c->tries = 0;
    c->due = due;
}

/* Takes the acknowledgement; false if it is for something that was never sent. */
static bool take_ack(struct ukvm_tcp *t, struct ukvm_tcp_conn *c, uint32_t ack, uint64_t now)
{
    uint32_t fresh = ack - c->unacked;
    if (fresh > c->next - c->unacked)
        return (int32_t)fresh < 0; /* an old one is harmless */
    if (fresh == 0)
        return true;
    c->unacked = ack;
    if (c->state == UKVM_TCP_SYN_RECEIVED) {
        set_state(c, UKVM_TCP_OPEN, now + IDLE);
    } else if (c->state == UKVM_TCP_REPLIED) {
        t->served += c->unacked == c->next;
        c->tries = 0;
        c->due = now + (c->unacked == c->next ? IDLE : REPEAT);
    }
    return true;
}

/* Takes data and FIN if they continue what there is; true if anything was new. */
static bool take_data(struct ukvm_tcp_conn *c, const struct segment *s)
{
    uint32_t known = c->expect - s->seq;
    bool fin = (s->flags & FIN) != 0;
    if (known > s->len || (known == s->len && !fin) || c->peer_done)
        return false;
    uint32_t fresh = s->len - known;
    if (c->state == UKVM_TCP_OPEN) {
        if (fresh > UKVM_TCP_REQUEST - c->request_len)
            return false;
        memcpy(c->request + c->request_len, s->data + known, fresh);
        c->request_len += fresh;
    }
    c->expect += fresh + fin;
    c->peer_done = fin;
    return true;
}

/* Replies when the request is whole, closes when none will come. */
static bool reply(const struct ukvm_tcp *t, struct ukvm_tcp_conn *c, uint64_t now)
{
    c->reply_len = t->answer(c->request, c->request_len, c->reply);
    if (c->reply_len == 0 && !c->peer_done)
        return false;
    c->next += (uint32_t)c->reply_len + 1;
    set_state(c, UKVM_TCP_REPLIED, now + REPEAT);
    send_unacked(t, c);
    return true;
}

static void established(struct ukvm_tcp *t, struct ukvm_tcp_conn *c, const struct segment *s,
                        uint64_t now)
{
    bool news = take_data(c, s);
    bool sent = c->state == UKVM_TCP_OPEN && news && reply(t, c, now);
    if (!sent && (s->len > 0 || (s->flags & (FIN | SYN)) != 0))
        send_ack(t, c);
    if (c->state == UKVM_TCP_OPEN && c->request_len == UKVM_TCP_REQUEST) {
        send(t, c, RST | ACK, c->next, NULL, 0);
        c->state = UKVM_TCP_FREE;
    }
    if (c->state == UKVM_TCP_REPLIED && c->peer_done && c->unacked == c->next)
        set_state(c, UKVM_TCP_WAIT, now + LINGER);
}

static bool parse(const struct ukvm_packet *p, struct segment *s)
{
    const uint8_t *h = p->data;
    size_t head = (size_t)(h[12] >> 4) * 4;
    if (head < HEADER || head > p->len)
        return false;
    *s = (struct segment){
        ukvm_get16(h), ukvm_get16(h + 2), ukvm_get32(h + 4),        ukvm_get32(h + 8),
        h[13],         h + head,          (uint32_t)(p->len - head)};
    return true;
}

/* A SYN: a new connection, a repeated request for one, or a stray one to be told so. */
static void syn(struct ukvm_tcp *t, struct ukvm_tcp_conn *c, const struct ukvm_packet *p,
                const struct segment *s, uint64_t now)
{
    if (c == NULL || c->state == UKVM_TCP_WAIT)
        open(t, c, p, s, now);
    else if (c->state == UKVM_TCP_SYN_RECEIVED && c->expect == s->seq + 1)
        send_unacked(t, c);
    else
        send_ack(t, c);
}

void ukvm_tcp_input(struct ukvm_tcp *t, const struct ukvm_packet *p, uint64_t now)
{
    struct segment s;
    if (!parse(p, &s))
        return;
    struct ukvm_tcp_conn *c = s.dst == t->port ? find(t, p->src, s.src) : NULL;
    if ((s.flags & RST) != 0) {
        if (c != NULL && s.seq == c->expect)
            c->state = UKVM_TCP_FREE;
    } else if (s.dst == t->port && (s.flags & (SYN | ACK)) == SYN) {
        syn(t, c, p, &s, now);
    } else if (c == NULL) {
        refuse(t, p, &s);
    } else if ((s.flags & ACK) != 0) {
        if (take_ack(t, c, s.ack, now) && c->state != UKVM_TCP_SYN_RECEIVED)
            established(t, c, &s, now);
        else if (c->state == UKVM_TCP_SYN_RECEIVED)
            refuse(t, p, &s);
        else
            send_ack(t, c);
    }
}

/* What is due for one connection: send again, or give up. */
static void expire(const struct ukvm_tcp *t, struct ukvm_tcp_conn *c, uint64_t now)
{
    bool waits_for_ack = c->state == UKVM_TCP_SYN_RECEIVED || c->unacked != c->next;
    if (waits_for_ack && ++c->tries < TRIES) {
        c->due = now + (REPEAT << c->tries);
        send_unacked(t, c);
        return;
    }
    if (c->state != UKVM_TCP_WAIT)
        send(t, c, RST | ACK, c->next, NULL, 0);
    c->state = UKVM_TCP_FREE;
}

uint64_t ukvm_tcp_timers(struct ukvm_tcp *t, uint64_t now)
{
    uint64_t first = now + NO_TIMER;
    for (size_t i = 0; i < UKVM_TCP_CONNS; i++) {
        struct ukvm_tcp_conn *c = &t->conns[i];
        if (c->state != UKVM_TCP_FREE && c->due <= now)
            expire(t, c, now);
        if (c->state != UKVM_TCP_FREE && c->due < first)
            first = c->due;
    }
    return first - now;
}

unsigned ukvm_tcp_busy(const struct ukvm_tcp *t)
{
    unsigned n = 0;
    for (size_t i = 0; i < UKVM_TCP_CONNS; i++)
        n += t->conns[i].state != UKVM_TCP_FREE && t->conns[i].state != UKVM_TCP_WAIT;
    return n;
}
