#!/bin/sh
# SPDX-License-Identifier: ISC
# install.sh: what `make install` puts where, and that a user's program builds on it.
. tests/lib.sh
run make --no-print-directory install DESTDIR="$T/root" PREFIX=/opt/u
is "$status" 0 "make install"
for f in bin/ukvmdbg lib/libukvm.a lib/pkgconfig/libukvm.pc include/ukvm/core/ukvm.h \
    include/ukvm/core/ukvm_hook.h include/ukvm/core/ukvm_debug.h share/man/man1/ukvmdbg.1 \
    libexec/ukvmdbg/ukvm_dbg.so; do
    if [ -e "$T/root/opt/u/$f" ]; then ok "installs $f"; else not_ok "installs $f"; fi
done
flags=$(PKG_CONFIG_PATH=$T/root/opt/u/lib/pkgconfig pkg-config --define-variable=prefix="$T/root/opt/u" \
    --cflags --libs libukvm)
# shellcheck disable=SC2086 # words are wanted
run cc -Wall -Werror -o "$T/monitor" examples/lib/monitor.c $flags
is "$status:$err" "0:" "a user's program builds by pkg-config"
cp "$O"/*.so "$T/"
run "$T/monitor" "$O/examples/hello.ukvm" x
is "$status" 0 "and runs a guest"
like "$out" 'argument 1: x' "and the guest speaks"
done_testing
