#!/bin/bash
# SPDX-License-Identifier: ISC
# net.sh: the network device end to end, on the emulator or backend HV: curl through a user-mode
# network without privileges, echo requests over a TAP without loss, captures by
# tshark's count, and each refusal. As root in a network namespace of its own.
# Without arguments the long figures; FAST=1 for short ones.
if [ "$(id -u)" = 0 ] && [ -z "${UKVM_NETNS:-}" ]; then
    UKVM_NETNS=1 exec unshare -n "$0" "$@"
fi
. tests/lib.sh
hv=${HV:-emu}
curls=1000 echoes=100000
[ -z "${FAST:-}" ] || curls=50 echoes=1000
ping=$O/examples/ping.ukvm http=$O/examples/http.ukvm
pid=
cleanup() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; }
unprivileged=
if [ "$(id -u)" = 0 ]; then
    ip link set lo up
    unprivileged="setpriv --inh-caps=-all --bounding-set=-all --"
fi

# until_says FILE ERE: waits, at most 20 s, until the file has such a line.
until_says() {
    for _ in $(seq 200); do
        ! grep -Eq -- "$2" "$1" || return 0
        sleep 0.1
    done
    return 1
}
# start COMMAND...: in the background, its output in $T/out and $T/err.
start() {
    "$@" >"$T/out" 2>"$T/err" </dev/null &
    pid=$!
}
# finish: its status.
finish() {
    status=0
    wait "$pid" || status=$?
    pid=
}
# refused NAME NET ERE
refused() {
    run "$UKVMDBG" run --hv="$hv" --net="$2" "$ping" 10.0.0.2/24
    is "$status" 125 "$1: status"
    like "$err" "^ukvmdbg: $3\$" "$1: says why, and what to try"
}

# --- user mode -----------------------------------------------------------------------
port=$((20000 + $$ % 20000))
# shellcheck disable=SC2086 # words
start $unprivileged "$UKVMDBG" run --hv="$hv" --net="user,hostfwd=tcp:$port:80" --pcap="$T/user.pcapng" \
    "$http" 10.0.2.15/24 "$curls"
until_says "$T/out" 10.0.2.15 || true
got=$(curl -s -f --max-time 20 "http://127.0.0.1:$port/#[1-$curls]" | grep -c 'Hello from a unikernel') || true
is "$got" "$curls" "user mode: curl gets the page $curls times"
finish
is "$status" 0 "user mode: the server counted them"
is "$(tshark -r "$T/user.pcapng" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' 2>/dev/null | wc -l)" \
    "$curls" "user mode: the capture has a SYN of each"

# A port that is taken: the machine that has it waits for nobody.
start "$UKVMDBG" run --hv="$hv" --net="user,hostfwd=tcp:$port:80" "$http" 10.0.2.15/24
until_says "$T/out" 10.0.2.15 || true
run "$UKVMDBG" run --hv="$hv" --net="user,hostfwd=tcp:$port:80" "$http" 10.0.2.15/24
is "$status" 125 "user mode: a port in use: status"
like "$err" "^ukvmdbg: --net=user: tcp 127.0.0.1:$port: Address already in use; choose another port\$" \
    "user mode: a port in use"
kill "$pid"
finish

# --- refusals ------------------------------------------------------------------------
refused "no such interface" ukvmnone0 '--net=ukvmnone0: no such interface; make it: ip tuntap add ukvmnone0 mode tap; ip link set ukvmnone0 up; or use --net=user'
refused "no such descriptor" @99 '--net=@99: Bad file descriptor; inherit it open, or use --net=TAP'
refused "no TAP" lo '--net=lo: .*[;,] or use --net=user'
refused "an option that is none" user,x=1 '--net=user: x=1: no such option; .*'
run "$UKVMDBG" run --hv="$hv" --net=user --net-mac=02:00 "$ping" 10.0.0.2/24
is "$status" 125 "a malformed MAC: status"
like "$err" '^ukvmdbg: --net-mac=02:00: .*; ' "a malformed MAC"
run "$UKVMDBG" run --hv="$hv" --net=user --pcap=/no/such/folder/f "$ping" 10.0.0.2/24
is "$status" 125 "a capture that cannot be made: status"
like "$err" '^ukvmdbg: --pcap=/no/such/folder/f: No such file or directory; ' "a capture that cannot be made"
run "$UKVMDBG" run --hv="$hv" "$ping" 10.0.0.2/24
is "$status" 139 "no network: status"
like "$err" 'no such device attached; --net=user' "no network: what to try"

# --- TAP -----------------------------------------------------------------------------
tap() {
    ip addr add 10.0.0.1/24 dev t0
    refused "a TAP that is down" t0 '--net=t0: interface is down; ip link set t0 up'
    ip link set t0 addrgenmode none 2>/dev/null || true
    ip link set t0 up
    start "$UKVMDBG" run --hv="$hv" --net=t0 --net-mac=02:00:00:00:00:07 --pcap="$T/tap.pcapng" \
        "$ping" 10.0.0.2/24 "$echoes"
    until_says "$T/out" answering || true
    refused "a TAP that is taken" t0 '--net=t0: Device or resource busy; .*'
    out=$(ping -q -f -c "$echoes" 10.0.0.2) || true
    like "$out" "^$echoes packets transmitted, $echoes received, 0% packet loss" \
        "TAP: $echoes echo requests without loss"
    finish
    is "$status" 0 "TAP: the guest counted them"
    is "$(tshark -r "$T/tap.pcapng" -Y 'icmp.type == 0' -c 20 -T fields -e eth.src 2>/dev/null | head -n 1)" \
        02:00:00:00:00:07 "TAP: --net-mac is the guest's address"
    tshark -r "$T/tap.pcapng" -T fields -e icmp.type -e frame.packet_flags_direction >"$T/fields" 2>/dev/null
    is "$(grep -c "^8.*1" "$T/fields")" "$echoes" "TAP: the capture has every request, inbound"
    is "$(grep -c "^0.*2" "$T/fields")" "$echoes" "TAP: the capture has every reply, outbound"
    is "$(grep -c '2$' "$T/fields")" "$(ip -s link show t0 | awk '/RX:/ { getline; print $2 }')" \
        "TAP: as many frames out as the interface counts"
    like "$(tshark -r "$T/tap.pcapng" -c 1 -T fields -e frame.interface_name -e frame.comment 2>/dev/null)" \
        '^t0.seq=[0-9]+ net(read|write)$' "TAP: frames carry their hypercall"
}
# The interface goes away under a guest that waits for it.
tap_goes() {
    start "$UKVMDBG" run --hv="$hv" --net=t0 "$ping" 10.0.0.2/24
    until_says "$T/out" answering || true
    ip link del t0
    finish
    is "$status" 125 "a TAP that goes away: status"
    like "$(cat "$T/err")" '^ukvmdbg: net: t0: read: .*; ' "a TAP that goes away: one line"
}
if [ "$(id -u)" != 0 ]; then
    skip "TAP: echo requests, refusals, captures" not-root
elif ! ip tuntap add t0 mode tap 2>"$T/err"; then
    skip "TAP: echo requests, refusals, captures" no-tap
else
    tap
    tap_goes
fi
done_testing
