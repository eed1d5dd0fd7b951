/* SPDX-License-Identifier: ISC */
/*
 * test_dev_slirp.c: user-mode networking through the device: the gateway answers, a
 * forwarded port leads to the guest, the host's own services are out of reach.
 */
#include "tests/support/devices.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define TIMEOUT 2000000000u /* ns */

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t our_ip[4] = {10, 0, 2, 15}, gateway[4] = {10, 0, 2, 2};
static uint8_t gateway_mac[6];

static struct ukvm *machine(const char *options)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};
    char arg[128];

    snprintf(arg, sizeof(arg), "user%s", options);
    if (ukvm_attach(vm, "net", arg, &err) != UKVM_OK)
        fail_msg("attach: %s", err.msg);
    devices_boot(vm);
    return vm;
}

static void send_frame(struct ukvm *vm, const uint8_t *f, size_t len)
{
    struct ukvm_netwrite wr = {.data = DEV_BUF, .len = len};

    memcpy(devices_mem(vm, DEV_BUF), f, len);
    devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(wr.ret, 0);
}

/* The next frame, or NULL when none came in time. */
static const uint8_t *frame(struct ukvm *vm, size_t *len, uint64_t timeout)
{
    struct ukvm_poll p = {.timeout_nsecs = timeout};
    struct ukvm_netread rd = {.data = DEV_BUF + 4096, .len = 2000};

    devices_call(vm, UKVM_HYPERCALL_POLL, &p, sizeof(p), NULL, NULL);
    devices_call(vm, UKVM_HYPERCALL_NETREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, p.ret == 1 ? 0 : -1);
    *len = rd.len;
    return rd.ret == 0 ? devices_mem(vm, DEV_BUF + 4096) : NULL;
}

/* Ethernet and ARP: (op) 1 asks for (tip), 2 answers (tmac). */
static void arp(struct ukvm *vm, int op, const uint8_t *tmac, const uint8_t *tip)
{
    uint8_t f[42] = {[12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4};

    memset(f, 0xff, 6);
    memcpy(f + 6, our_mac, 6);
    f[21] = (uint8_t)op;
    memcpy(f + 22, our_mac, 6);
    memcpy(f + 28, our_ip, 4);
    memcpy(f + 32, tmac, 6);
    memcpy(f + 38, tip, 4);
    send_frame(vm, f, sizeof(f));
}

static bool is_arp(const uint8_t *f, size_t len, int op)
{
    return len >= 42 && f[12] == 8 && f[13] == 6 && f[21] == op;
}

static void meet_gateway(struct ukvm *vm)
{
    const uint8_t *f;
    size_t len;

    arp(vm, 1, (const uint8_t[6]){0}, gateway);
    f = frame(vm, &len, TIMEOUT);
    assert_non_null(f);
    assert_true(is_arp(f, len, 2));
    memcpy(gateway_mac, f + 22, 6);
}

static uint16_t checksum(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++)
        sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Ethernet and IPv4 around the (n) bytes at (f + 34). */
static void send_ip(struct ukvm *vm, uint8_t *f, int protocol, size_t n)
{
    memcpy(f, gateway_mac, 6);
    memcpy(f + 6, our_mac, 6);
    put16(f + 12, 0x0800);
    f[14] = 0x45;
    put16(f + 16, (unsigned)(20 + n));
    f[22] = 64;
    f[23] = (uint8_t)protocol;
    memcpy(f + 26, our_ip, 4);
    memcpy(f + 30, gateway, 4);
    put16(f + 24, checksum(f + 14, 20, 0));
    send_frame(vm, f, 34 + n);
}

static void send_tcp(struct ukvm *vm, unsigned from, unsigned to, uint32_t seq, uint32_t ack,
                     unsigned flags)
{
    uint8_t f[60] = {0}, *t = f + 34;

    put16(t, from);
    put16(t + 2, to);
    put16(t + 4, seq >> 16);
    put16(t + 6, seq & 0xffff);
    put16(t + 8, ack >> 16);
    put16(t + 10, ack & 0xffff);
    t[12] = 0x50;
    t[13] = (uint8_t)flags;
    put16(t + 14, 4096);
    memcpy(f + 26, our_ip, 4);
    memcpy(f + 30, gateway, 4);
    put16(t + 16, checksum(f + 26, 8 + 20, 6 + 20));
    send_ip(vm, f, 6, 20);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The next TCP segment; ARP requests on the way are answered. NULL: none in time. */
static const uint8_t *segment(struct ukvm *vm, uint64_t timeout)
{
    const uint8_t *f;
    size_t len;

    while ((f = frame(vm, &len, timeout)) != NULL) {
        if (is_arp(f, len, 1))
            arp(vm, 2, gateway_mac, gateway);
        else if (len >= 54 && f[12] == 8 && f[13] == 0 && f[23] == 6)
            return f + 34;
    }
    return NULL;
}

static void test_gateway_answers_echo(void **state)
{
    struct ukvm *vm = machine("");
    uint8_t f[98] = {0};
    const uint8_t *got;
    size_t len;

    (void)state;
    meet_gateway(vm);
    for (unsigned i = 0; i < 100; i++) {
        memset(f, 0, sizeof(f));
        f[34] = 8; /* echo request */
        put16(f + 40, i);
        put16(f + 36, checksum(f + 34, 64, 0));
        send_ip(vm, f, 1, 64);
        got = frame(vm, &len, TIMEOUT);
        assert_non_null(got);
        assert_int_equal(len, 98);
        assert_int_equal(got[34], 0);
        assert_int_equal(got[41], i);
    }
    ukvm_destroy(vm);
}

static void test_garbage_is_dropped(void **state)
{
    struct ukvm *vm = machine("");
    uint8_t f[1500];
    uint32_t x = 1;
    size_t len;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        for (size_t k = 0; k < sizeof(f); k++) {
            x = x * 1664525 + 1013904223;
            f[k] = (uint8_t)(x >> 24);
        }
        memcpy(f + 12, i % 2 ? "\x08\x00\x45" : "\x08\x06\x00", 3);
        send_frame(vm, f, 14 + x % 1486);
    }
    while (frame(vm, &len, 0))
        ;
    meet_gateway(vm);
    ukvm_destroy(vm);
}

static int host_socket(uint16_t *port, bool listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&a, &n), 0);
    if (listening)
        assert_int_equal(listen(s, 5), 0);
    *port = ntohs(a.sin_port);
    return s;
}

static void test_forwarded_port_leads_to_the_guest(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct ukvm *vm;
    const uint8_t *t;
    uint32_t seq;
    unsigned peer;
    uint16_t port;
    char options[64];
    int s = host_socket(&port, false);

    (void)state;
    close(s);
    snprintf(options, sizeof(options), ",hostfwd=tcp:%u:80", port);
    vm = machine(options);
    meet_gateway(vm);
    s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_port = htons(port);
    assert_int_equal(connect(s, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(send(s, "hello", 5, 0), 5);
    t = segment(vm, TIMEOUT);
    assert_non_null(t);
    assert_int_equal(t[13], 2); /* SYN */
    assert_int_equal(t[2] << 8 | t[3], 80);
    peer = (unsigned)(t[0] << 8 | t[1]);
    seq = get32(t + 4);
    send_tcp(vm, 80, peer, 1000, seq + 1, 0x12);
    do {
        t = segment(vm, TIMEOUT);
        assert_non_null(t);
    } while (!(t[13] & 8)); /* PSH */
    assert_memory_equal(t + (t[12] >> 4) * 4, "hello", 5);
    close(s);
    ukvm_destroy(vm);
}

/* What answers a SYN to the gateway's (port): SYN and ACK? */
static bool reaches_host(const char *options, uint16_t port)
{
    struct ukvm *vm = machine(options);
    const uint8_t *t;
    bool yes;

    meet_gateway(vm);
    send_tcp(vm, 4000, port, 7, 0, 2);
    t = segment(vm, TIMEOUT / 4);
    yes = t && (t[13] & 0x12) == 0x12;
    ukvm_destroy(vm);
    return yes;
}

static void test_the_hosts_loopback_is_closed(void **state)
{
    uint16_t port;
    int s = host_socket(&port, true);

    (void)state;
    assert_false(reaches_host("", port));
    assert_true(reaches_host(",loopback", port));
    close(s);
}

static void test_port_in_use(void **state)
{
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};
    char arg[64], says[128];
    uint16_t port;
    int s = host_socket(&port, true);

    (void)state;
    snprintf(arg, sizeof(arg), "user,hostfwd=tcp:%u:80", port);
    snprintf(says, sizeof(says),
             "--net=user: tcp 127.0.0.1:%u: Address already in use; choose another port", port);
    assert_int_equal(ukvm_attach(vm, "net", arg, &err), UKVM_ESYS);
    assert_string_equal(err.msg, says);
    close(s);
    assert_int_equal(ukvm_attach(vm, "net", arg, &err), UKVM_OK);
    ukvm_destroy(vm);
}

static void test_absent_plugin(void **state)
{
    struct ukvm_config cfg = {
        .ops = &scripted_ops, .mem_size = 16 << 20, .plugin_dir = "/nonesuch"};
    struct ukvm_error err = {0};
    struct ukvm *vm;

    (void)state;
    cfg.image = scripted_image(UKVM_ABI_C, "\xf4", 1);
    assert_int_equal(ukvm_create(&vm, &cfg, &err), UKVM_OK);
    assert_int_equal(ukvm_attach(vm, "net", "user", &err), UKVM_ENOTSUP);
    devices_says(err.msg, "ukvm_net_user.so: not there");
    ukvm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway_answers_echo),
        cmocka_unit_test(test_garbage_is_dropped),
        cmocka_unit_test(test_forwarded_port_leads_to_the_guest),
        cmocka_unit_test(test_the_hosts_loopback_is_closed),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_absent_plugin),
    };

    return cmocka_run_group_tests_name("slirp", tests, NULL, NULL);
}
