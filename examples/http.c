/* SPDX-License-Identifier: ISC */
/*
 * http: serves one page to anything that speaks HTTP: `http [IP[/BITS] [COUNT]]`, by default
 * at 10.0.2.15 (a user-mode network's guest), for ever; with COUNT it ends after so many replies.
 */
#include "guest/tcp.h"

#define PORT 80

static const char page[] = "<!doctype html>\n"
                           "<title>unikernel</title>\n"
                           "<p>Hello from a unikernel: no kernel below, no process around.\n";

static struct ukvm_inet inet;
static struct ukvm_tcp tcp;

static char *append(char *to, const char *s)
{
    size_t n = strlen(s);
    memcpy(to, s, n);
    return to + n;
}

static bool begins(const char *request, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(request, with, n) == 0;
}

static bool whole(const char *request, size_t len)
{
    return len >= 4 && memcmp(request + len - 4, "\r\n\r\n", 4) == 0;
}

static size_t answer(const char *request, size_t len, char *reply)
{
    bool head = begins(request, len, "HEAD / ");
    const char *status = head || begins(request, len, "GET / ") ? "200 OK"
                         : begins(request, len, "GET /")        ? "404 Not Found"
                                                                : "405 Method Not Allowed";
    const char *body = status[0] == '2' ? page : "not here\n";
    if (!whole(request, len))
        return 0;
    char *p = append(append(append(reply, "HTTP/1.0 "), status), "\r\n");
    p = append(p, "Content-Type: text/html\r\nConnection: close\r\n\r\n");
    if (!head)
        p = append(p, body);
    return (size_t)(p - reply);
}

static void serve(uint64_t count)
{
    static uint8_t frame[UKVM_FRAME_MAX];
    struct ukvm_packet packet;
    uint64_t timeout = 0;
    while (count == 0 || tcp.served < count || ukvm_tcp_busy(&tcp) > 0) {
        ukvm_poll(timeout);
        uint64_t now = ukvm_clock_monotonic();
        for (int n; (n = ukvm_net_read(frame, sizeof(frame))) >= 0;)
            if (ukvm_inet_input(&inet, frame, (size_t)n, &packet) == UKVM_INET_TCP)
                ukvm_tcp_input(&tcp, &packet, now);
        timeout = ukvm_tcp_timers(&tcp, now);
    }
}

int main(int argc, char **argv)
{
    const char *address = argc > 1 ? argv[1] : "10.0.2.15", *end = "";
    uint64_t count = 0;
    uint32_t ip;
    if (!ukvm_inet_parse(address, &ip) || argc > 3 ||
        (argc == 3 && (!ukvm_parse_u64(argv[2], &end, &count) || *end != '\0'))) {
        ukvm_puts("usage: http [IP[/BITS] [COUNT]]\n");
        return 1;
    }
    ukvm_inet_init(&inet, ip);
    ukvm_tcp_init(&tcp, &inet, PORT, answer);
    ukvm_printf("http: serving at %s, port %d\n", address, PORT);
    serve(count);
    ukvm_printf("http: served %lu\n", tcp.served);
    return 0;
}
