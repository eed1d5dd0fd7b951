/* SPDX-License-Identifier: ISC */
/*
 * test_dev_net.c: the network device: its argument, frames through a descriptor, the
 * user-mode network's own answers, what is refused. A TAP needs privileges: e2e.
 */
#include "tests/support/devices.h"
#include "core/dev/net.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* --- the argument ------------------------------------------------------------------------ */

static const struct {
    const char *text;
    bool ok;
    uint8_t first, last;
} macs[] = {
    {"02:00:00:00:00:01", true, 2, 1},
    {"aA:bb:cc:dd:ee:Ff", true, 0xaa, 0xff},
    {"2:0:0:0:0:f", true, 2, 15},
    {"02:00:00:00:00", false, 0, 0},
    {"02:00:00:00:00:", false, 0, 0},
    {"02:00:00:00:00:01:", false, 0, 0},
    {"02:00:00:00:00:001", false, 0, 0},
    {"02-00-00-00-00-01", false, 0, 0},
    {"02:00:00:00:00:0g", false, 0, 0},
    {"", false, 0, 0},
    {":::::", false, 0, 0},
};

static void test_mac_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
        uint8_t mac[6] = {0};

        if (uk_net_parse_mac(macs[i].text, mac) != macs[i].ok)
            fail_msg("%s", macs[i].text);
        if (macs[i].ok)
            assert_true(mac[0] == macs[i].first && mac[5] == macs[i].last);
    }
}

static void test_random_mac(void **state)
{
    struct uk_net_args a, b;
    struct ukvm_error err;
    uint8_t again[6];

    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(uk_net_parse(&a, "tap0", &err), UKVM_OK);
        assert_int_equal(a.mac[0] & 3, 2);
        assert_int_equal(strlen(a.mac_text), 17);
        assert_true(uk_net_parse_mac(a.mac_text, again));
        assert_memory_equal(a.mac, again, 6);
    }
    assert_int_equal(uk_net_parse(&b, "tap0", &err), UKVM_OK);
    assert_memory_not_equal(a.mac, b.mac, 6);
}

static const struct {
    const char *text, *host;
    uint16_t host_port;
    const char *guest;
    uint16_t guest_port;
} forwards[] = {
    {"user,hostfwd=tcp:8080:80", "127.0.0.1", 8080, "0.0.0.0", 80},
    {"user,hostfwd=tcp:0.0.0.0:1:65535", "0.0.0.0", 1, "0.0.0.0", 65535},
    {"user,hostfwd=tcp:8080:10.0.2.15:80", "127.0.0.1", 8080, "10.0.2.15", 80},
    {"user,hostfwd=udp:127.0.0.2:53:10.0.2.15:53", "127.0.0.2", 53, "10.0.2.15", 53},
};

static void test_forwards(void **state)
{
    struct uk_net_args a;
    struct ukvm_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(forwards) / sizeof(forwards[0]); i++) {
        if (uk_net_parse(&a, forwards[i].text, &err) != UKVM_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(a.nfwd, 1);
        assert_int_equal(a.fwd[0].host.s_addr, inet_addr(forwards[i].host));
        assert_int_equal(a.fwd[0].guest.s_addr, inet_addr(forwards[i].guest));
        assert_int_equal(a.fwd[0].host_port, forwards[i].host_port);
        assert_int_equal(a.fwd[0].guest_port, forwards[i].guest_port);
    }
    assert_int_equal(
        uk_net_parse(&a, "user,hostfwd=tcp:1:2,hostfwd=udp:3:4,mac=2:0:0:0:0:9,loopback", &err),
        UKVM_OK);
    assert_int_equal(a.nfwd, 2);
    assert_true(a.fwd[1].udp && a.loopback);
    assert_string_equal(a.mac_text, "2:0:0:0:0:9");
}

static const struct {
    const char *text, *says;
} refusals[] = {
    {"", "no interface's name; TAP, @FD or user"},
    {",mac=02:00:00:00:00:01", "no interface's name"},
    {"a-name-that-is-longer-than-any-interface", "no interface's name"},
    {"user,mac=1", "--net-mac=1: not a MAC address; six bytes"},
    {"user,hostfwd=", "hostfwd=: malformed; hostfwd=tcp:[HOST:]HPORT:[GUEST:]GPORT"},
    {"user,hostfwd", "malformed"},
    {"user,hostfwd=tcp:80", "malformed"},
    {"user,hostfwd=sctp:80:80", "malformed"},
    {"user,hostfwd=tcp::80:80", "malformed"},
    {"user,hostfwd=tcp:0:80", "malformed"},
    {"user,hostfwd=tcp:80:65536", "malformed"},
    {"user,hostfwd=tcp:80:x", "malformed"},
    {"user,hostfwd=tcp:-1:80", "malformed"},
    {"user,hostfwd=tcp:1.2.3:80:80", "malformed"},
    {"user,hostfwd=tcp:80:1.2.3.400:80", "malformed"},
    {"user,hostfwd=tcp:1.2.3.4:80:10.0.2.15:80:1", "malformed"},
    {"user,loopback=1", "takes no value"},
    {"user,ipv6", "--net=user: ipv6: no such option"},
    {"user,", "--net=user: : no such option"},
    {"tap0,hostfwd=tcp:1:2", "--net=tap0: hostfwd=tcp:1:2: for user-mode networking only"},
    {"tap0,loopback", "for user-mode networking only"},
};

static void test_argument_refusals(void **state)
{
    struct uk_net_args a;
    struct ukvm_error err = {0};
    char many[1024] = "user";

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (uk_net_parse(&a, refusals[i].text, &err) == UKVM_OK)
            fail_msg("%s: taken", refusals[i].text);
        devices_says(err.msg, refusals[i].says);
    }
    for (int i = 0; i < UK_NET_MAX_FWD + 1; i++)
        strcat(many, ",hostfwd=tcp:1:2");
    assert_int_equal(uk_net_parse(&a, many, &err), UKVM_ELIMIT);
}

/* --- a descriptor --------------------------------------------------------------------------- */

static struct ukvm *machine(enum ukvm_abi abi, const char *arg)
{
    struct ukvm *vm = devices_machine(abi, 0);
    struct ukvm_error err = {0};

    if (ukvm_attach(vm, "net", arg, &err) != UKVM_OK)
        fail_msg("attach: %s", err.msg);
    devices_boot(vm);
    return vm;
}

/* One end in the machine, the other in (*fd). */
static struct ukvm *socket_machine(enum ukvm_abi abi, int sv[2])
{
    char arg[64];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
    snprintf(arg, sizeof(arg), "@%d,mac=2:aB:0:0:0:1", sv[0]);
    return machine(abi, arg);
}

static void end(struct ukvm *vm, int sv[2])
{
    ukvm_destroy(vm);
    assert_int_equal(close(sv[0]), 0); /* it was not the device's to close */
    close(sv[1]);
}

static void test_netinfo_of_both_families(void **state)
{
    struct ukvm_netinfo_b b = {0};
    uint8_t c[8] = {0, 0, 0, 0, 0, 0, 0x77, 0x77};
    struct ukvm *vm;
    int sv[2];

    (void)state;
    vm = socket_machine(UKVM_ABI_B, sv);
    devices_call(vm, UKVM_HYPERCALL_NETINFO, &b, sizeof(b), NULL, NULL);
    assert_string_equal(b.mac_str, "2:aB:0:0:0:1");
    end(vm, sv);
    vm = socket_machine(UKVM_ABI_C, sv);
    devices_call(vm, UKVM_HYPERCALL_NETINFO, c, sizeof(c), NULL, NULL);
    assert_memory_equal(c, "\x02\xab\0\0\0\1\x77\x77", 8);
    end(vm, sv);
}

static void test_frames_through_a_descriptor(void **state)
{
    struct ukvm_netwrite wr = {.data = DEV_BUF, .len = 60};
    struct ukvm_netread rd = {.data = DEV_BUF + 4096, .len = 1514};
    struct ukvm_poll poll_ = {0};
    struct ukvm *vm;
    uint8_t got[2000], *mem;
    int sv[2];

    (void)state;
    vm = socket_machine(UKVM_ABI_C, sv);
    mem = devices_mem(vm, DEV_BUF);
    memset(mem, 0x61, 60);
    devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(wr.ret, 0);
    assert_int_equal(recv(sv[1], got, sizeof(got), 0), 60);
    devices_call(vm, UKVM_HYPERCALL_NETREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, -1);
    assert_int_equal(rd.len, 1514);
    devices_call(vm, UKVM_HYPERCALL_POLL, &poll_, sizeof(poll_), NULL, NULL);
    assert_int_equal(poll_.ret, 0);
    assert_int_equal(send(sv[1], "fourteen bytes.", 15, 0), 15);
    poll_.timeout_nsecs = UINT64_MAX;
    devices_call(vm, UKVM_HYPERCALL_POLL, &poll_, sizeof(poll_), NULL, NULL);
    assert_int_equal(poll_.ret, 1);
    devices_call(vm, UKVM_HYPERCALL_NETREAD, &rd, sizeof(rd), NULL, NULL);
    assert_int_equal(rd.ret, 0);
    assert_int_equal(rd.len, 15);
    assert_memory_equal(mem + 4096, "fourteen bytes.", 15);
    end(vm, sv);
}

static void test_short_frame_is_a_stop(void **state)
{
    struct ukvm_netwrite wr = {.data = DEV_BUF, .len = 13};
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct ukvm *vm;
    int sv[2];

    (void)state;
    vm = socket_machine(UKVM_ABI_C, sv);
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), &stop, &err), 0);
    assert_int_equal(stop.kind, UKVM_STOP_FAULT);
    devices_says(stop.msg, "netwrite: len: 13: a frame has at least 14 bytes");
    wr.len = 4 << 20;
    assert_int_equal(devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), &stop, &err), 0);
    assert_int_equal(stop.kind, UKVM_STOP_FAULT);
    devices_says(stop.msg, "takes no frame of that size");
    end(vm, sv);
}

static void *interrupt_soon(void *vm)
{
    usleep(50000);
    ukvm_interrupt(vm);
    return NULL;
}

/* Nobody reads: the guest waits, and can be interrupted; no frame is lost or doubled. */
static void test_full_link_waits(void **state)
{
    struct ukvm_netwrite wr = {.data = DEV_BUF, .len = 1000};
    struct ukvm_stop stop = {0};
    struct ukvm_error err;
    struct ukvm *vm;
    uint32_t sent = 0, seen = 0, got[250];
    pthread_t t;
    int sv[2];

    (void)state;
    vm = socket_machine(UKVM_ABI_C, sv);
    assert_int_equal(pthread_create(&t, NULL, interrupt_soon, vm), 0);
    do {
        memcpy(devices_mem(vm, DEV_BUF), &sent, sizeof(sent));
        assert_int_equal(devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), &stop, &err),
                         0);
        sent += stop.kind == UKVM_STOP_BREAK;
    } while (stop.kind == UKVM_STOP_BREAK);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    pthread_join(t, NULL);
    while (seen < sent && recv(sv[1], got, sizeof(got), MSG_DONTWAIT) == sizeof(got))
        assert_int_equal(got[0], seen++);
    assert_int_equal(seen, sent);
    devices_call(vm, UKVM_HYPERCALL_NETWRITE, &wr, sizeof(wr), NULL, NULL);
    assert_int_equal(recv(sv[1], got, sizeof(got), MSG_DONTWAIT), sizeof(got));
    assert_int_equal(got[0], sent);
    end(vm, sv);
}

static void test_attach_refusals(void **state)
{
    static const struct {
        const char *arg, *says;
    } cases[] = {
        {"@", "--net=@: no descriptor's number; --net=@3"},
        {"@x", "--net=@x: no descriptor's number"},
        {"@3x", "no descriptor's number"},
        {"@999", "--net=@999: Bad file descriptor; inherit it open"},
        {"@99999999999999999999", "no descriptor's number"},
        {"ukvmnone7", "--net=ukvmnone7: no such interface; make it: ip tuntap add ukvmnone7 mode "
                      "tap; ip link set ukvmnone7 up; or use --net=user"},
        {"sixteen-letters-", "--net=sixteen-letters-: no such interface: a name has at most 15"},
        {"tap%d", "--net=tap%d: no such interface"},
    };
    struct ukvm *vm = devices_machine(UKVM_ABI_C, 0);
    struct ukvm_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(ukvm_attach(vm, "net", cases[i].arg, &err) < 0);
        devices_says(err.msg, cases[i].says);
    }
    ukvm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mac_addresses),
        cmocka_unit_test(test_random_mac),
        cmocka_unit_test(test_forwards),
        cmocka_unit_test(test_argument_refusals),
        cmocka_unit_test(test_netinfo_of_both_families),
        cmocka_unit_test(test_frames_through_a_descriptor),
        cmocka_unit_test(test_short_frame_is_a_stop),
        cmocka_unit_test(test_full_link_waits),
        cmocka_unit_test(test_attach_refusals),
    };

    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
