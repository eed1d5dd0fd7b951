#!/bin/sh
# SPDX-License-Identifier: ISC
# block.sh: the block device end to end, on the emulator: a large disk, a read-only one,
# a disk that shrinks or has no room while the guest runs, and each refusal.
. tests/lib.sh
block=$O/examples/block.ukvm

# refused NAME ARGUMENT ERE: one line that matches, status 125.
refused() {
    run "$UKVMDBG" run --hv=emu --disk="$2" "$block"
    is "$status" 125 "$1: status"
    like "$err" "^ukvmdbg: --disk=$3\$" "$1: says why, and what to try"
}

truncate -s 64M "$T/disk"
run "$UKVMDBG" run --hv=emu --disk="$T/disk" "$block" req=64K
is "$status" 0 "64 MiB by requests of 64 KiB: status"
like "$out" '^verified 67108864 bytes in 1024 requests$' "64 MiB by requests of 64 KiB"
is "$(stat -c %s "$T/disk")" 67108864 "its size is as before"

cp "$T/disk" "$T/copy"
run "$UKVMDBG" run --hv=emu --disk="$T/disk,ro" "$block" size=1M req=64K
is "$status" 0 "a read-only disk: status"
like "$out" '^disk: 131072 sectors of 512 bytes, read-only$' "a read-only disk: the guest knows"
if cmp -s "$T/disk" "$T/copy"; then ok "it is untouched"; else not_ok "it is untouched"; fi

truncate -s 1000 "$T/odd"
run "$UKVMDBG" run --hv=emu --disk="$T/odd" "$block" req=512
is "$status" 0 "a disk of 1,000 bytes: status"
like "$out" '^disk: 1 sectors' "a disk of 1,000 bytes has one sector"

refused "no such file" "$T/none" '.*/none: No such file or directory; make it: truncate -s 1M FILE'
refused "a folder" "$T" '.*: Is a directory; give a disk image or a block device'
refused "a character device" /dev/null '/dev/null: neither a file nor a block device; give a disk image'
: >"$T/empty"
refused "an empty file" "$T/empty" '.*: 0 bytes: less than one sector of 512; truncate -s 1M FILE'
mkfifo "$T/fifo"
refused "a pipe" "$T/fifo" '.*: neither a file nor a block device; give a disk image'

# The guest verifies while its disk is cut short under it.
"$UKVMDBG" run --hv=emu --disk="$T/disk" "$block" req=4K >"$T/out" 2>"$T/err" </dev/null &
pid=$!
sleep 0.3
truncate -s 512 "$T/disk"
status=0
wait $pid || status=$?
is "$status" 125 "a disk that shrank: status"
like "$(cat "$T/err")" \
    '^ukvmdbg: disk: .*/disk: ends at offset [0-9]+, it shrank while running; truncate -s 67108864 and go on$' \
    "a disk that shrank: one line"

# A sparse file that may not grow (the memory of the guest is a file too): the disk is full.
truncate -s 64M "$T/sparse"
run sh -c 'ulimit -f 16384; exec "$@"' sh "$UKVMDBG" run --hv=emu --mem=8 --disk="$T/sparse" "$block" req=64K
is "$status" 125 "a disk without room: status"
like "$err" '^ukvmdbg: disk: .*/sparse: write at offset [0-9]+: File too large; ' "a disk without room: one line"

# No device: a stop that says what to try.
run "$UKVMDBG" run --hv=emu "$block"
is "$status" 139 "no disk: status"
like "$err" 'blkinfo: no such device attached; --disk=FILE' "no disk: what to try"
done_testing
