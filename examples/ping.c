/* SPDX-License-Identifier: ISC */
/*
 * ping: answers ARP and ICMP echo: `ping IP[/BITS] [COUNT]`; with COUNT it ends after so many
 * echo replies. It takes all the frames there are before it waits again.
 */
#include "guest/inet.h"

#define WAIT 1000000000ULL /* ns */

static uint64_t answer(const struct ukvm_inet *inet, uint64_t count)
{
    static uint8_t frame[UKVM_FRAME_MAX];
    struct ukvm_packet packet;
    uint64_t echoes = 0;
    for (;;) {
        ukvm_poll(WAIT);
        for (int n; (n = ukvm_net_read(frame, sizeof(frame))) >= 0;) {
            if (ukvm_inet_input(inet, frame, (size_t)n, &packet) != UKVM_INET_ECHO)
                continue;
            if (++echoes == count)
                return echoes;
        }
    }
}

int main(int argc, char **argv)
{
    const char *end = "";
    struct ukvm_inet inet;
    uint64_t count = 0;
    uint32_t ip;
    if (argc < 2 || argc > 3 || !ukvm_inet_parse(argv[1], &ip) ||
        (argc == 3 && (!ukvm_parse_u64(argv[2], &end, &count) || *end != '\0'))) {
        ukvm_puts("usage: ping IP[/BITS] [COUNT]\n");
        return 1;
    }
    ukvm_inet_init(&inet, ip);
    ukvm_printf("ping: answering at %s\n", argv[1]);
    ukvm_printf("ping: answered %lu\n", answer(&inet, count));
    return 0;
}
