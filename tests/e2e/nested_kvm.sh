#!/bin/sh
# SPDX-License-Identifier: ISC
#
# nested_kvm.sh: the KVM backend on the complete KVM of the nested machine: its own
# tests, every example and guest, the program's probe, switches to the emulator and
# back. Prints what these print there, numbered anew.
. tests/lib.sh

if ! tests/nested/setup >"$T/log" 2>&1; then
    for name in unit probe examples switch; do skip "nested KVM: $name" no-nested-kvm; done
    done_testing
    exit
fi

# Where QEMU's processor differs from all others: a read-modify-write that faults says read.
sed 's/ec=0x2 /ec=0x[02] /' examples/crash.expected >"$T/crash.expected"

set -- -f "$T/crash.expected=examples/crash.expected" -f tests/lib.sh -f tests/expect
for f in examples/*.expected tests/guests/[bc]/*.expected "$O"/*.so \
    "$O"/examples/*.ukvm "$O"/examples/b/*.ukvm "$O"/guests/[bc]/*.elf; do
    [ ! -f "$f" ] || set -- "$@" -f "$f"
done
for p in awk sed grep tail head od tr basename dirname mktemp rm truncate uname id; do
    set -- "$@" -p $p
done
cat >"$T/list" <<END
unit     CMOCKA_MESSAGE_OUTPUT=TAP $O/test_kvm_run
probe    $UKVMDBG probe
examples O=$O tests/e2e/examples.sh kvm
switch   UKVM_SWITCH_VIA=kvm O=$O CMOCKA_MESSAGE_OUTPUT=TAP $O/test_switch
END
if ! tests/nested/batch -t 240 "$@" "$T/list" "$T/res" >"$T/log" 2>&1; then
    not_ok "the nested machine" "$(cat "$T/log")"
    done_testing
    exit
fi

# relay NAME: its results, as ours. Here nothing may be skipped.
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
relay unit
like "$(cat "$T/res/probe.out")" '^kvm: yes' "nested KVM: the probe finds it complete"
like "$(cat "$T/res/probe.out")" '^kvm\.sse: yes' "nested KVM: the probe finds floating point"
relay examples
relay switch
done_testing
