#!/bin/sh
# SPDX-License-Identifier: ISC
# examples.sh: every example, and every guest written from the ABI alone, gives its
# NAME.expected, of both families, on each backend that the machine has.
. tests/lib.sh

# case NAME EXPECTED IMAGE BACKEND [B]
case_() {
    status=0
    EXPECT_B=${5:-} tests/expect "$UKVMDBG" run --hv="$4" -- "$2" "$3" >"$T/out" 2>&1 || status=$?
    if [ "$status" = 0 ]; then ok "$1"; else not_ok "$1" "$(tail -n +2 "$T/out")"; fi
}

probe=$("$UKVMDBG" probe 2>/dev/null) || true
proved() { printf '%s\n' "$probe" | grep -Eq -- "$1"; }

# What changes on native, as docs/STATUS.md has it: low memory as the original has it, and page
# tables of the guest's own, are refused by name; privilege is the host's where the guest reads it.
# on_native EXPECTED NAME: the file that says so.
on_native() {
    f=$T/native/$2.expected
    mkdir -p "${f%/*}"
    case $2 in
    *@original) printf 'options: --low-memory=original\nstatus: 125\nstdout:\n' >"$f" ;;
    */paging*)
        { sed '/^status:/d; /^stdout:/,$d' "$1"; printf 'status: 139\n'; } >"$f"
        printf 'stdout:\nABI guest, family %s\n' "$(printf '%s' "${2%%/*}" | tr bc BC)" >>"$f"
        ;;
    */exceptions* | */excfpu*) { echo 'args: cpl3'; cat "$1"; } >"$f" ;;
    */start*) { echo 'args: cpl3'; grep -Ev '^ok ([CSDEFG]S|TR|[GI]DT .*)$' "$1"; } >"$f" ;;
    *) f=$1 ;;
    esac
    echo "$f"
}

# all BACKEND
all() {
    for e in examples/*.expected; do
        name=$(basename "$e" .expected)
        [ "$1 $name" != "kvm fpu" ] || ! proved '^kvm\.sse: no' || { skip "kvm: fpu" kvm-no-sse; continue; }
        case_ "$1: example $name" "$e" "$O/examples/$name.ukvm" "$1"
        case_ "$1: example b/$name" "$e" "$O/examples/b/$name.ukvm" "$1" 1
    done
    for e in tests/guests/[bc]/*.expected; do
        name=${e#tests/guests/} name=${name%.expected} # b/fpu, c/args@words
        [ "$1" != native ] || e=$(on_native "$e" "$name")
        case $name in
        */fpu* | */excfpu*) [ "$1" != kvm ] || ! proved '^kvm\.sse: no' || { skip "kvm: guest $name" kvm-no-sse; continue; } ;;
        esac
        case_ "$1: guest $name" "$e" "$O/guests/${name%@*}.elf" "$1"
    done
}

all emu
all native
if proved '^kvm: yes|^kvm: partly'; then
    all kvm
else
    skip "kvm: examples and guests" no-kvm
fi
done_testing
