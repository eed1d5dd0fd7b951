#!/bin/sh
# SPDX-License-Identifier: ISC
# configure.sh: ukvm-configure makes a monitor with just the named modules, from
# outside the tree; its command line is the original's.
. tests/lib.sh
src=$PWD
guest=$src/$O/examples/hello.ukvm
mkdir -p "$T/app" "$T/none"
cd "$T/app"

run "$src/ukvm-configure" "$src" net blk
is "$status" 0 "configures net and blk from outside the tree"
run make -s -f Makefile.ukvm ukvm-bin
is "$status:$err" "0:" "builds by make -f, without a warning"
printf 'all: ukvm-bin\ninclude Makefile.ukvm\n' >Makefile
run make -q all
is "$status" 0 "builds by include: up to date"
printf '%s\n' "$src/core/hv.h" >"$T/touched"
run make -s -W "$src/core/hv.h" -n all
like "$out" 'core/run' "a touched header rebuilds what includes it"
run readelf -d ukvm-bin
is "$(printf '%s\n' "$out" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')" \
    "libc.so.6 libelf.so.1 " "links libelf and libc only"

run ./ukvm-bin
is "$status" 1 "no KERNEL: status 1"
like "$err" '^usage: .*KERNEL' "no KERNEL: usage"
run ./ukvm-bin --help
is "$status" 1 "--help: status 1, as the original"
like "$err" '--mem=N' "--help: the core's options"
like "$err" '--disk=' "--help: blk's options"
like "$err" '--net-mac=' "--help: net's options"
run ./ukvm-bin --bogus=1 "$guest"
is "$status" 1 "an unknown option: status 1"
like "$err" "Invalid option: .--bogus=1'" "an unknown option: named"
for bad in 0 x -1 99999999999999999999 12x ''; do
    run ./ukvm-bin --mem=$bad "$guest"
    is "$status" 1 "--mem=$bad: status 1"
    like "$err" 'Malformed argument to --mem' "--mem=$bad: said so"
done
run ./ukvm-bin --disk=/dev/null --net=none -- /nonexistent.ukvm
is "$status" 1 "no such image: status 1"
like "$err" '/nonexistent.ukvm|nonexistent.ukvm' "no such image: named"
if [ ! -e /dev/kvm ]; then
    run ./ukvm-bin "$guest"
    is "$status" 1 "without KVM: status 1"
    like "$err" '/dev/kvm: ' "without KVM: why"
else
    run ./ukvm-bin "$guest"
    is "$status" 1 "with KVM, without --disk: status 1"
    like "$err" "Module .blk' setup failed" "with KVM, without --disk: which module"
fi

cd "$T/none"
run "$src/ukvm-configure" "$src"
is "$status" 0 "configures without modules"
run make -s -f Makefile.ukvm ukvm-bin
is "$status:$err" "0:" "builds without modules"
run ./ukvm-bin --disk=x "$guest"
like "$err" "Invalid option: .--disk=x'" "a module that is not built in has no option"
run make -s -f Makefile.ukvm ukvm-clean ukvm-bin
is "$status" 0 "builds again after ukvm-clean"

run "$src/ukvm-configure"
is "$status" 1 "no arguments: status 1"
run "$src/ukvm-configure" --help
is "$status" 0 "ukvm-configure --help: status 0"
like "$out" 'ukvm-configure SRCDIR' "ukvm-configure --help: on standard output"
run "$src/ukvm-configure" "$T"
is "$status" 1 "not a source tree: status 1"
like "$err" 'not a ukvmdbg source tree' "not a source tree: said so"
run "$src/ukvm-configure" "$src" floppy
like "$err" 'floppy: no such module; net and blk are' "an unknown module: named"
run "$src/ukvm-configure" "$src" gdb
like "$err" 'gdb: not yet' "a module that comes later: said so"
printf '#!/bin/sh\necho aarch64-linux-gnu\n' >"$T/cross"
chmod +x "$T/cross"
run env UKVM_CC="$T/cross" "$src/ukvm-configure" "$src" net
is "$status" 1 "a cross compiler: status 1"
like "$err" 'builds for aarch64-linux-gnu: not supported yet' "a cross compiler: its target named"
run env UKVM_CC=/nonexistent/cc "$src/ukvm-configure" "$src" net
like "$err" 'UKVM_CC=/nonexistent/cc: does not run' "no such compiler: named"
if [ -e /usr/lib/x86_64-linux-gnu/libelf.a ]; then
    run env UKVM_STATIC=1 "$src/ukvm-configure" "$src" blk
    run make -s -f Makefile.ukvm ukvm-clean ukvm-bin
    is "$status" 0 "UKVM_STATIC builds"
    like "$(readelf -l ukvm-bin | grep INTERP || echo static)" '^static$' "UKVM_STATIC: no interpreter"
else
    not_ok "UKVM_STATIC: libelf.a is not installed (libelf-dev has it)"
fi
cd "$src"
done_testing
