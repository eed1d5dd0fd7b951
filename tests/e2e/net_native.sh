#!/bin/sh
# SPDX-License-Identifier: ISC
# net_native.sh: the network device on the native backend, in short.
. tests/lib.sh
if ! "$UKVMDBG" probe 2>/dev/null | grep -q '^native: yes'; then
    skip "native: network" no-native
    done_testing
    exit
fi
HV=native FAST=1 exec tests/e2e/net.sh
