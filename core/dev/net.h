/* SPDX-License-Identifier: ISC */
/*
 * net.h: the network device's ways to the world, each a row of a table, and the
 * argument that chooses one. A way depends on neither the device nor the machine,
 * so that one can be a plugin.
 */
#ifndef UKVM_NET_H
#define UKVM_NET_H

#include "core/ukvm.h"

#include <netinet/in.h>

#define UK_FRAME_MIN     14 /* bytes: an Ethernet header */
#define UK_NET_NAME_MAX  31
#define UK_NET_MAX_FWD   16
#define UK_MAC_TEXT_SIZE 18 /* "xx:xx:xx:xx:xx:xx" and a NUL */

struct uk_net_forward { /* user: a port of the host that leads to the guest */
    bool udp;
    struct in_addr host, guest;
    uint16_t host_port, guest_port;
};

/* `TAP`, `@FD` or `user`, then options after commas: see uk_dev_net's usage. */
struct uk_net_args {
    char name[UK_NET_NAME_MAX + 1];
    char mac_text[UK_MAC_TEXT_SIZE]; /* as it was given, which family B shows its guest */
    uint8_t mac[6];
    bool loopback; /* user: the guest may reach the host's 127.0.0.1, as the gateway */
    struct uk_net_forward fwd[UK_NET_MAX_FWD];
    size_t nfwd;
};

struct uk_net_way {
    const char *name;
    int (*open)(void **self, const struct uk_net_args *args, struct ukvm_error *err);
    void (*close)(void *self);
    /* Send one frame. UKVM_AGAIN: interrupted while there was no room for it. */
    int (*send)(void *self, struct ukvm *vm, const void *frame, size_t len, struct ukvm_error *err);
    /* The next frame, as much of it as fits (size). UKVM_AGAIN: there is none now. */
    int (*recv)(void *self, void *buf, size_t size, size_t *len, struct ukvm_error *err);
    struct ukvm_poll_ops poll;
};

extern const struct uk_net_way uk_net_tap, uk_net_fd;

/* Read what --net= and --net-mac= said. A MAC that was not given is random. */
int uk_net_parse(struct uk_net_args *args, const char *text, struct ukvm_error *err);
/* Six numbers of one or two hexadecimal digits, separated by colons. */
bool uk_net_parse_mac(const char *text, uint8_t mac[6]);

#endif /* UKVM_NET_H */
