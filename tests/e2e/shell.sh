#!/bin/sh
# SPDX-License-Identifier: ISC
# shell.sh: golden sessions of the shell: commands by -ex and -x, what they print,
# and the status. Addresses that a compiler chooses read ADDR. On the emulator.
. tests/lib.sh
e=$O/examples

# session IMAGE COMMAND...: sets out, err, status.
session() {
    image=$1
    shift
    for c in "$@"; do
        set -- "$@" -ex "$c"
        shift
    done
    run "$UKVMDBG" --hv=emu -batch "$@" "$image"
}
# golden NAME: standard input is what it must have printed.
golden() {
    is "$(printf '%s\n' "$out" | sed 's/0x[0-9a-f]*/ADDR/g; s/([a-z_]*\.[cS]:[0-9]*)/(LINE)/')" "$(cat)" "$1"
}

session "$e/hello.ukvm" start run
is "$status:$err" "0:" "start and run: status 0"
golden "start and run" <<'EOF'
stopped at _start (LINE)
=> ADDR <_start>: xor ebp, ebp
Hello from a unikernel
the guest has ended: status 0
EOF

session "$e/hello.ukvm" run run 'start' stepi 'si 2' 'p $pc - _start'
is "$status:$err" "0:" "again and steps: status 0"
is "$(printf '%s\n' "$out" | grep -c '^Hello')" 2 "run after the end runs again"

session "$e/crash.ukvm" run 'registers rip' 'p 1+2' 'p/x $rsp - $sp' 'disas count_use' 'info symbol count_use'
is "$status:$err" "0:" "crash: status 0"
like "$out" '^guest aborted at count_use.* \(crash\.c:[0-9]+\): .*#PF' "crash: where it trapped"
like "$out" '^the guest has ended: status 255$' "crash: its status"
like "$out" '^0x3 \(3\)$' "print"
like "$out" '^0x0$' "print with registers"
like "$out" '^   0x[0-9a-f]+ <count_use\+0x[0-9a-f]+>: ret$' "disassemble shows the function"
like "$out" '^count_use: code, 0x[0-9a-f]+, [0-9]+ bytes$' "info symbol"

session "$e/hello.ukvm" registers 'x/2i $pc' 'x/s 0' 'hv' 'hv emu' 'info image' 'symbols _sta' 'info line _start'
is "$status" 1 "a command that failed: status 1"
like "$err" '^0x0: not mapped' "the failure is on standard error"
like "$out" '^rip +0x100000 +<_start>$' "registers at the entry point"
like "$out" '^eflags +0x2 +\[ \]$' "flags are decoded"
like "$out" '^rsp +0x1ffffff8 ' "the stack pointer that a guest starts with"
like "$out" '^hv: emu$' "hv"
like "$out" '^abi: C, x86_64$' "info image: family"
like "$out" '^segment 0: 0x100000\.\.' "info image: segments"
like "$out" '^0x0000000000100000 T +[0-9]+ _start$' "symbols"
like "$out" '^0x100000 is at _start \(start\.S:[0-9]+\)$' "info line"

# Refusals name the near or what to do next.
refusals() {
    while IFS='|' read -r c re; do
        session "$e/hello.ukvm" "$c"
        is "$status" 1 "$c: status 1"
        like "$err" "$re" "$c: says why"
        is "$(printf '%s\n' "$err" | wc -l)" 1 "$c: one line"
    done
}
refusals <<'EOF'
strat|^strat: no such command; nearest: start
s|^s: ambiguous; start, stepi, symbols
zzz|^zzz: no such command; help lists them
break main|^break: not yet: 
bt|^bt: not yet: 
x/1q _start|^x: "/1q": no such format; 
start now|^start: "now": takes no arguments; help start
p _stat|^_stat: no such symbol; nearest: _start
p $rpi|^\$rpi: no such register; nearest: .*\$rip
p 1 +|belongs here; help print
x/4q 1|no such format; 
info nosuch|^nosuch: no such topic of info; 
hv nosuch|no such backend; 
symbols zzz|none begins so; symbols lists all
stepi 0|no step; stepi 1
help nosuch|^nosuch: no such command; 
EOF

printf '# a script\nrun\n\nnosuch\nprint 77\n' >"$T/script"
run "$UKVMDBG" --hv=emu -batch -x "$T/script" -ex 'print 5' "$e/hello.ukvm"
is "$status" 1 "a script that fails: status 1"
like "$err" "script:4: nosuch: no such command" "a script's failure has file and line"
is "$(printf '%s\n' "$out" | grep -c '(77)')" 0 "a script ends at its failure"
like "$out" '^0x5 \(5\)$' "what follows it is done"
run "$UKVMDBG" -batch -x "$T/none" "$e/hello.ukvm"
is "$status" 1 "no such script: status 1"
like "$err" "none: No such file" "no such script: said so"
run "$UKVMDBG" --hv=emu -batch -ex quit -ex 'print 5' "$e/hello.ukvm"
is "$status:$out" "0:" "quit ends it"

# A script on standard input, by the plain reader.
printf 'print 6\n\nstepi\n\nprint 7' >"$T/in"
"$UKVMDBG" --hv=emu "$e/hello.ukvm" <"$T/in" >"$T/out" 2>"$T/err"
out=$(cat "$T/out")
is "$(grep -c '^=>' "$T/out")" 2 "an empty line steps again"
like "$out" '^0x7 \(7\)$' "a last line without its end"

session "$e/crash.ukvm" 'stepi 100000000'
like "$out" 'guest aborted' "stepping to the end"
run "$UKVMDBG" --hv=emu -batch --timeout=0.3 -ex run -ex 'p 8' "$e/sort.ukvm"
is "$status" 1 "--timeout in the shell: the command failed"
like "$out" '^timed out at [a-z_]+.*\([a-z_]+\.[cS]' "--timeout in the shell: where"
like "$out" '^0x8 \(8\)$' "the shell goes on"
run "$UKVMDBG" --hv=emu -batch -ex run -ex 'registers rip' "$e/block.ukvm"
like "$out" '^fault: blkinfo: .*--disk=FILE' "a fault is a stop"
like "$out" '^rip ' "that can be looked at"
run timeout --preserve-status -s INT 0.4 "$UKVMDBG" --hv=emu -batch -ex run -ex 'p 9' "$e/sort.ukvm"
is "$status" 130 "SIGINT ends a batch"

# An image on the library's path that the plugin is missing from.
mkdir "$T/alone"
cp "$UKVMDBG" "$T/alone/"
run "$T/alone/ukvmdbg" -batch "$e/hello.ukvm"
if [ "$status" != 0 ]; then
    is "$status" 125 "no ukvm_dbg.so: status 125"
    like "$err" '^ukvmdbg: ukvm_dbg\.so: .*; ' "no ukvm_dbg.so: what to do"
else
    ok "an installed ukvm_dbg.so is found"
    ok "and works"
fi
done_testing
