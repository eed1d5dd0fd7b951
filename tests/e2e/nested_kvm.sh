#!/bin/sh
# SPDX-License-Identifier: ISC
#
# nested_kvm.sh: the KVM backend on the complete KVM of the nested machine: its own
# tests, the program's probe, every example and guest, switches to the emulator and
# back; and the native backend's tests, with debug registers. One boot for all.
. tests/lib.sh

if ! tests/nested/setup >"$T/log" 2>&1; then
    for name in run step probe examples switch; do skip "nested KVM: $name" no-nested-kvm; done
    done_testing
    exit
fi

# Where QEMU's processor differs from all others: a read-modify-write that faults says read.
sed 's/ec=0x2 /ec=0x[02] /' examples/crash.expected >"$T/crash.expected"

# each DO: DO NAME EXPECTED IMAGE [B] for each example and guest.
each() {
    for e in examples/*.expected; do
        name=$(basename "$e" .expected)
        [ "$name" != crash ] || e=$T/crash.expected
        "$1" "example-$name" "$e" "$O/examples/$name.ukvm"
        "$1" "example-b-$name" "$e" "$O/examples/b/$name.ukvm" 1
    done
    for e in tests/guests/[bc]/*.expected; do
        name=${e#tests/guests/} name=${name%.expected}
        case $name in */exceptions* | */paging*) continue ;; esac # they test the processor: QEMU's
        "$1" "guest-$(echo "$name" | tr / -)" "$e" "$O/guests/${name%@*}.elf"
    done
}

plan() {
    tests/expect tests/nested/as-monitor plan "$T/list" "$1" "$UKVMDBG" run --hv=kvm -- \
        "$2" "$3" >/dev/null || true
}

check() {
    if EXPECT_B=${4:-} tests/expect tests/nested/as-monitor result "$T/res" "$1" -- "$2" "$3" \
        >"$T/out" 2>&1; then
        ok "nested KVM: $1"
    else
        not_ok "nested KVM: $1" "$(tail -n +2 "$T/out")"
    fi
}

cat >"$T/list" <<END
run      CMOCKA_MESSAGE_OUTPUT=TAP exec $O/test_kvm_run
step     CMOCKA_MESSAGE_OUTPUT=TAP exec $O/test_kvm_step
probe    exec $UKVMDBG probe
native   CMOCKA_MESSAGE_OUTPUT=TAP exec $O/test_native_run
escape   CMOCKA_MESSAGE_OUTPUT=TAP exec $O/test_native_escape
move     exec $UKVMDBG --hv=kvm --batch -ex 'stepi 50' -ex 'hv native' -ex 'stepi 500' -ex 'hv kvm' -ex 'stepi 300' -ex 'hv native' -ex 'stepi 7' -ex 'hv emu' -ex 'stepi 5' -ex 'hv kvm' -ex continue $O/examples/hello.ukvm one
switch   UKVM_SWITCH_VIA=kvm UKVM_SWITCH_WITHOUT=crash O=$O CMOCKA_MESSAGE_OUTPUT=TAP exec $O/test_switch
END
# A TAP there, and 1,000 echo requests over it; the generated monitor with all its options.
cat >>"$T/list" <<END
tap      ip tuntap add tap7 mode tap && ip addr add 10.7.0.1/24 dev tap7 && ip link set tap7 up
echo     $UKVMDBG run --hv=kvm --net=tap7 --pcap=/tmp/e.pcapng $O/examples/ping.ukvm 10.7.0.2 1000 >/tmp/e.out & sleep 3; ping -q -c 1000 -i 0.005 -W 5 10.7.0.2; wait; cat /tmp/e.out
pcap     cat /tmp/e.pcapng
bin      truncate -s 1M /tmp/d.img; $O/all-modules/ukvm-bin --mem=64 --disk=/tmp/d.img --net=tap7 --net-mac=02:00:00:00:00:07 -- $O/examples/block.ukvm size=512K req=64K seed=3
binstat  $O/all-modules/ukvm-bin --disk=/tmp/d.img --net=tap7 $O/examples/hello.ukvm one exit=7
binmod   $O/all-modules/ukvm-bin --disk=/tmp/d.img $O/examples/hello.ukvm
binsig   timeout -s TERM 0.5 $O/all-modules/ukvm-bin --disk=/tmp/d.img --net=tap7 $O/examples/chat.ukvm 100000000; echo "status \$?"
END
each plan
set -- -p mkdir -p truncate -p ip -p ping
for f in "$O"/*.so "$O"/examples/*.ukvm "$O"/examples/b/*.ukvm; do set -- "$@" -f "$f"; done
if ! tests/nested/batch -t 300 "$@" "$T/list" "$T/res" >"$T/log" 2>&1; then
    not_ok "the nested machine" "$(cat "$T/log")"
    done_testing
    exit
fi

# relay NAME: the tests of a program there, as ours. Nothing may be skipped there.
relay() {
    while IFS= read -r line; do
        case $line in
        *'# SKIP'*) not_ok "nested KVM: $1: ${line#*- }" "there is a complete KVM" ;;
        'ok '*) ok "nested KVM: $1: ${line#*- }" ;;
        'not ok '*) not_ok "nested KVM: $1: ${line#*- }" ;;
        '#'*) printf '%s\n' "$line" ;;
        esac
    done <"$T/res/$1.out"
    is "$(cat "$T/res/$1.status")" 0 "nested KVM: $1: status"
    sed "s/^/# $1: /" "$T/res/$1.err"
}
relay run
relay step
like "$(cat "$T/res/probe.out")" '^kvm: yes' "nested KVM: the probe finds it complete"
like "$(cat "$T/res/probe.out")" '^kvm\.sse: yes' "nested KVM: the probe finds floating point"
relay switch
# Its processor has debug registers that work, which not every virtual one has.
like "$(cat "$T/res/probe.out")" '^native\.watchpoints: 4' "nested: native's watchpoints"
relay native
relay escape
is "$(cat "$T/res/move.status")" 0 "nested KVM: a guest goes from kvm to native, kvm, native, emu and kvm"
like "$(cat "$T/res/move.out")" '^argument 1: one' "nested KVM: and says what it would have said"
echoes=$(cat "$T/res/echo.out")
like "$echoes" '1000 packets transmitted, 1000 received, 0% packet loss' "nested KVM: 1,000 echo requests over a TAP"
is "$(tshark -r "$T/res/pcap.out" -Y icmp 2>/dev/null | wc -l)" 2000 "nested KVM: each request and reply is captured"
is "$(cat "$T/res/bin.status")" 0 "nested KVM: ukvm-bin takes every option of its modules"
like "$(cat "$T/res/bin.out")" 'verified 524288 bytes' "nested KVM: ukvm-bin's disk"
is "$(cat "$T/res/binstat.status")" 7 "nested KVM: ukvm-bin gives the guest's status"
is "$(cat "$T/res/binmod.status")" 1 "nested KVM: ukvm-bin without --net: status 1"
like "$(cat "$T/res/binmod.err")" "Module .net' setup failed" "nested KVM: ukvm-bin without --net: which module"
like "$(cat "$T/res/binsig.err")" 'Exiting on signal 15' "nested KVM: ukvm-bin ends on SIGTERM"
each check
done_testing
