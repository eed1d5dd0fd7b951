# SPDX-License-Identifier: ISC
# lib.sh: what a shell test needs; sourced. Prints TAP.
#   ok NAME; not_ok NAME [TEXT]; is GOT WANT NAME; like GOT ERE NAME; skip NAME KEY; done_testing
# skip's KEY is a line's key in tests/skips, whose probe must prove it.
set -eu
O=${O:-build/release}
UKVMDBG=$O/ukvmdbg
n=0
failed=0
T=$(mktemp -d "${TMPDIR:-/tmp}/ukvm-test.XXXXXX")
cleanup() { :; }
trap 'cleanup; rm -rf "$T"' EXIT

ok() {
    n=$((n + 1))
    echo "ok $n - $1"
}
not_ok() {
    n=$((n + 1))
    failed=$((failed + 1))
    echo "not ok $n - $1"
    [ $# -lt 2 ] || printf '%s\n' "$2" | sed 's/^/# /'
}
is() {
    if [ "$1" = "$2" ]; then ok "$3"; else not_ok "$3" "got:  $1
want: $2"; fi
}
like() {
    if printf '%s\n' "$1" | grep -Eq -- "$2"; then ok "$3"; else not_ok "$3" "got:  $1
want: /$2/"; fi
}
skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}
# run COMMAND...: sets out, err, status.
run() {
    status=0
    "$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
    out=$(cat "$T/out")
    err=$(cat "$T/err")
}
done_testing() {
    echo "1..$n"
    [ "$failed" = 0 ]
}
