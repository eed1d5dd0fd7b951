#!/bin/sh
# SPDX-License-Identifier: ISC
# abi_guests_asan.sh: the same under the address and undefined-behaviour sanitizers: a guest's
# or a file's misbehaviour is never the monitor's.
O=${BUILD:-build}/asan
export O
exec tests/e2e/abi_guests.sh
