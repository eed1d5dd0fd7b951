#!/bin/sh
# SPDX-License-Identifier: ISC
# write-your-own.sh: what docs/write-your-own.md tells a reader to type does what it says: its C
# file is built by its command, with each compiler that is here, in a folder elsewhere, and run.
. tests/lib.sh
here=$(pwd)
mon=$(cd "$O" && pwd)/ukvmdbg
doc=$here/docs/write-your-own.md

# The Nth block of the page that is fenced with LANGUAGE.
block() {
    awk -v lang="$1" -v nth="$2" '
        !inside && $0 == "```" lang { inside = 1; n++; next }
        inside && $0 == "```" { inside = 0; next }
        !inside && /^```/ { inside = 2; next }
        inside == 1 && n == nth' "$doc"
}

block c 1 >"$T/sum.c"
build=$(block sh 1 | sed -n 1p)
start=$(block sh 1 | sed -n 2p)
lines=$(grep -c . "$T/sum.c")
if [ "$lines" -gt 0 ] && [ "$lines" -le 20 ]; then
    ok "the example has at most 20 lines"
else
    not_ok "the example has at most 20 lines" "$lines"
fi

for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    for family in '' -DUKVM_ABI_B; do
        run sh -c "cd '$T' && U='$here' && $(echo "$build" | sed "s/^gcc/$cc -Wall -Wextra -Werror $family/")"
        is "$status$out$err" 0 "$cc $family builds it without a word"
        run sh -c "cd '$T' && U='$here' && $(echo "$start" | sed "s|\$U/build/release/ukvmdbg run|$mon run --hv=emu|")"
        is "$out" "$(block '' 1)" "$cc $family: it prints what the page says"
        is "$status" 0 "$cc $family: status 0"
    done
    run "$UKVMDBG" run --hv=emu --abi=b "$T/sum.ukvm" 1 x
    is "$out" "x is not a number" "$cc: it refuses what is no number"
done
done_testing
