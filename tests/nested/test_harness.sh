#!/bin/bash
# SPDX-License-Identifier: ISC
#
# test_harness.sh: the nested machine itself: a KVM that works, output to the byte,
# statuses, time limits. TAP.

set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
names=("a KVM guest runs" "output and error, to the byte" "a command's status" "a signal's status" \
    "a missing command" "the time limit" "what a command leaves running is gone" "TAP devices" \
    "run: arguments and status, exactly")

if ! why=$(tests/nested/setup 2>&1 >/dev/null); then
    echo "1..${#names[@]}"
    for i in "${!names[@]}"; do echo "ok $((i + 1)) - ${names[i]} # SKIP ${why#nested: }"; done
    exit 0
fi

mkdir -p "$build/nested"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -o "$build/nested/kvm_smoke" tests/nested/kvm_smoke.c
seq 100000 >"$tmp/long"
cat >"$tmp/list" <<END
# a comment, then an empty line

smoke   $build/nested/kvm_smoke
bytes   printf 'a\\000b\\r\\n'; printf 'err\\377' >&2; cat $tmp/long
status  exit 37
signal  kill -9 \$\$
missing no-such-command
slow    echo before; sleep 60
orphan  (sleep 50; echo late) & echo now
none    for p in /proc/[0-9]*; do cat \$p/comm; done
tap     cat /sys/class/misc/tun/dev
END
tests/nested/batch -t 3 "$tmp/list" "$tmp/out"

n=0 failed=0
is() { # is NAME COMMAND...
    n=$((n + 1))
    if "${@:2}"; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        failed=1
    fi
}
status() { [ "$(cat "$tmp/out/$1.status")" = "$2" ]; }
smoke() { status smoke 0 && grep -q '^out, hlt' "$tmp/out/smoke.out"; }
bytes() {
    { printf 'a\000b\r\n'; cat "$tmp/long"; } | cmp - "$tmp/out/bytes.out" &&
        printf 'err\377' | cmp - "$tmp/out/bytes.err"
}
slow() { status slow 124 && [ "$(cat "$tmp/out/slow.out")" = before ]; }
orphan() { [ "$(cat "$tmp/out/orphan.out")" = now ] && ! grep -q sleep "$tmp/out/none.out"; }
run_exactly() {
    local rc=0
    # shellcheck disable=SC2016 # expanded inside
    tests/nested/run -- sh -c 'printf "<%s>" "$@"; echo e >&2; exit 9' sh "a  b" "" '*' \
        >"$tmp/o" 2>"$tmp/e" || rc=$?
    [ "$rc $(cat "$tmp/o") $(cat "$tmp/e")" = '9 <a  b><><*> e' ]
}

is "${names[0]}" smoke
is "${names[1]}" bytes
is "${names[2]}" status status 37
is "${names[3]}" status signal 137
is "${names[4]}" status missing 127
is "${names[5]}" slow
is "${names[6]}" orphan
is "${names[7]}" status tap 0
is "${names[8]}" run_exactly
echo "1..$n"
exit $failed
