#!/bin/sh
# SPDX-License-Identifier: ISC
#
# nested_harness.sh: the nested machine itself, by which the KVM backend is tested: a
# KVM that works, output to the byte, statuses, time limits.
. tests/lib.sh
BUILD=${BUILD:-build}

if ! tests/nested/setup >"$T/dir" 2>"$T/why"; then
    for name in smoke bytes status signal missing limit orphan tap run; do
        skip "nested machine: $name" no-nested-kvm
    done
    done_testing
    exit
fi

${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -o "$T/kvm_smoke" tests/nested/kvm_smoke.c
seq 100000 >"$T/long"
cat >"$T/list" <<END
# a comment, then an empty line

smoke   $T/kvm_smoke
bytes   printf 'a\\000b\\r\\n'; printf 'err\\377' >&2; cat $T/long
status  exit 37
signal  kill -9 \$\$
missing no-such-command
slow    echo before; sleep 60
orphan  (sleep 50; echo late) & echo now
none    for p in /proc/[0-9]*; do cat \$p/comm; done
tap     cat /sys/class/misc/tun/dev
END
tests/nested/batch -t 3 "$T/list" "$T/res" >"$T/log" 2>&1 || not_ok "a batch runs" "$(cat "$T/log")"

result() { cat "$T/res/$1" 2>&1; }

like "$(result smoke.out)" '^out, hlt' "a KVM guest runs"
{ printf 'a\000b\r\n'; cat "$T/long"; } >"$T/want"
printf 'err\377' >"$T/want.err"
if cmp "$T/want" "$T/res/bytes.out" && cmp "$T/want.err" "$T/res/bytes.err"; then
    ok "output and error, to the byte"
else
    not_ok "output and error, to the byte"
fi
is "$(result status.status)" 37 "a command's status"
is "$(result signal.status)" 137 "a signal's status"
is "$(result missing.status)" 127 "a missing command"
is "$(result slow.status) $(result slow.out)" "124 before" "the time limit"
is "$(result orphan.out) $(result none.out | grep -c sleep)" "now 0" \
    "what a command leaves running is gone"
is "$(result tap.status)" 0 "TAP devices"
# shellcheck disable=SC2016 # expanded inside
run tests/nested/run -- sh -c 'printf "<%s>" "$@"; echo e >&2; exit 9' sh "a  b" "" '*'
is "$status $out $err" '9 <a  b><><*> e' "run: arguments and status, exactly"
done_testing
