#!/bin/sh
# SPDX-License-Identifier: ISC
#
# nested_kvm.sh: the KVM backend's own tests on the KVM of the nested machine. Prints
# what test_kvm_run prints there.
set -eu
O=${O:-build/release}
T=$(mktemp -d "${TMPDIR:-/tmp}/ukvm-test.XXXXXX")
trap 'rm -rf "$T"' EXIT

if ! tests/nested/setup >"$T/log" 2>&1; then
    echo "ok 1 - the KVM backend on the nested machine # SKIP no-nested-kvm"
    echo 1..1
    exit
fi
echo "unit CMOCKA_MESSAGE_OUTPUT=TAP $O/test_kvm_run" >"$T/list"
if ! tests/nested/batch -t 120 "$T/list" "$T/res" >"$T/log" 2>&1; then
    sed 's/^/# /' "$T/log"
    echo "not ok 1 - the nested machine"
    echo 1..1
    exit 1
fi
cat "$T/res/unit.out"
cat "$T/res/unit.err" >&2
if grep -q 'SKIP' "$T/res/unit.out"; then
    echo "not ok - there is a complete KVM, but something was skipped"
    echo 1..1
fi
exit "$(cat "$T/res/unit.status")"
