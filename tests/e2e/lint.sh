#!/bin/sh
# SPDX-License-Identifier: ISC
# lint.sh: `make lint` is part of the tests.
. tests/lib.sh
run tools/lint
is "$status" 0 "lint: $(printf '%s' "$out" | tail -n 1)"
[ "$status" = 0 ] || printf '%s\n' "$out" | sed 's/^/# /'
done_testing
