#!/bin/sh
# SPDX-License-Identifier: ISC
# abi_guests.sh: guests of families B and C that share nothing with guest/ (tests/guests/): those
# that check what they get, those that misbehave (bad.cases), and files that can't be loaded.
#   HV=emu O=build/release tests/e2e/abi_guests.sh [FAMILY/NAME...]
. tests/lib.sh
hv=${HV:-emu}
G=$O/guests

# expected FILE: the guest does and ends as FILE says.
expected() {
    name=${1#tests/guests/}
    name=${name%.expected}
    image=$G/${name%@*}.elf
    if out=$(tests/expect "$UKVMDBG" run --hv="$hv" -- "$1" "$image"); then
        ok "$name"
    else
        not_ok "$name" "$out"
    fi
}

# case_of FAMILY NAME STATUS OPTIONS STREAM ERE: a line of bad.cases.
case_of() {
    opts=$(printf '%s\n' "$4" | sed "s|^-\$||; s|@DISK@|$T/disk|")
    truncate -s 1M "$T/disk"
    # shellcheck disable=SC2086 # no option or one
    run "$UKVMDBG" run --hv="$hv" $opts "$G/$1/bad.elf" "$2"
    case $5 in
    out) text=$out ;;
    err) text=$err ;;
    *) text=$out$err ;;
    esac
    title="$1/bad $2${opts:+ with ${opts%%=*}}"
    if [ "$status" != "$3" ]; then
        not_ok "$title" "status $status, expected $3: $err"
    elif ! printf '%s\n' "$text" | grep -Eq -- "$6"; then
        not_ok "$title" "no line matches /$6/: $text"
    else
        ok "$title"
    fi
}

misbehave() {
    while read -r name b c opts stream ere; do
        case $name in '#'*) continue ;; esac
        [ "$b" = - ] || case_of b "$name" "$b" "$opts" "$stream" "$ere"
        case_of c "$name" "$c" "$opts" "$stream" "$ere"
    done <tests/guests/bad.cases
}

# One line of the form WHAT: WHERE OR VALUE: WHY; NEXT, and nothing on standard output.
one_line() {
    [ -z "$out" ] && [ "$(printf '%s\n' "$err" | wc -l)" = 1 ] &&
        printf '%s\n' "$err" | grep -Eq '^ukvmdbg: [^:]+: .+(: .+)?; .+'
}

# file_of NAME VERDICT WHAT: a file of badelf.
file_of() {
    run timeout 10 "$UKVMDBG" run --hv="$hv" "$G/bad/$1.elf"
    title="bad/$1: $3"
    case $2:$status in
    refuse:126 | any:126)
        if one_line; then ok "$title"; else not_ok "$title" "not one line in three parts: $out$err"; fi
        ;;
    run:0) is "$out" fine "$title" ;;
    any:0 | any:139) ok "$title" ;;
    *) not_ok "$title" "status $status: $out$err" ;;
    esac
}

# over_tap FAMILY: in a network namespace, 1000 echo requests of 1400 bytes without loss.
over_tap() {
    # shellcheck disable=SC2016 # for the inner shell
    timeout 60 unshare -n sh -eu -c '
        ip tuntap add tap0 mode tap
        ip addr add 10.0.0.1/24 dev tap0
        ip link set tap0 up
        "$@" >"$0" 2>&1 &
        until ping -q -c 1 -W 1 10.0.0.2; do :; done
        ping -q -f -c 1000 -s 1400 10.0.0.2
        ping -q -f -c 99 -W 1 10.0.0.2 || true
        wait $!' "$T/guest" "$UKVMDBG" run --hv="$hv" --net=tap0 "$G/$1/ping.elf" 1100 >"$T/ping" 2>&1 || true
    if grep -q '^1000 packets transmitted, 1000 received' "$T/ping" && grep -q '^0 failures' "$T/guest"; then
        ok "$1/ping over a TAP"
    else
        not_ok "$1/ping over a TAP" "$(cat "$T/ping" "$T/guest")"
    fi
}

tap() {
    for f in b c; do
        if [ "$(id -u)" != 0 ]; then
            skip "$f/ping over a TAP" not-root
        elif ! unshare -n ip tuntap add tap0 mode tap 2>/dev/null; then
            skip "$f/ping over a TAP" no-tap
        else
            over_tap "$f"
        fi
    done
}

if [ $# -gt 0 ]; then
    for name; do expected "tests/guests/$name.expected"; done
else
    for f in tests/guests/[bc]/*.expected; do expected "$f"; done
    misbehave
    "$G/badelf" --list >"$T/list"
    while read -r name verdict what; do file_of "$name" "$verdict" "$what"; done <"$T/list"
    tap
fi
done_testing
