#!/bin/sh
# SPDX-License-Identifier: ISC
# cli.sh: the program's command line: each status, each refusal in its form, what a
# signal, a timeout and a reader that goes do; probe. On the emulator.
. tests/lib.sh
e=$O/examples

# refused STATUS ERE NAME COMMAND...: one line, three parts, and the status.
refused() {
    want=$1 re=$2 name=$3
    shift 3
    run "$UKVMDBG" "$@"
    is "$status" "$want" "$name: status $want"
    is "$(printf '%s\n' "$err" | wc -l)" 1 "$name: one line"
    like "$err" "^ukvmdbg: .+: .*$re" "$name: says what, why and what next"
}

# --- help ---------------------------------------------------------------------
run "$UKVMDBG"
is "$status" 0 "no arguments: status 0"
like "$out" "ukvmdbg run IMAGE" "no arguments: a screen of help"
is "$(printf '%s\n' "$out" | awk 'END { print (NR <= 24) }')" 1 "the screen has at most 24 lines"
screen=$out
run "$UKVMDBG" --help
is "$out" "$screen" "--help is the same screen"
for c in shell run probe gdb trace stat record replay diff info core sites gdb-files; do
    run "$UKVMDBG" $c --help
    is "$status" 0 "$c --help: status 0"
    like "$out" "^ukvmdbg $c " "$c --help: names the command"
done
run "$UKVMDBG" --version
is "$status" 0 "--version: status 0"
for part in Unicorn libslirp libedit ukvm; do
    like "$out" "$part" "--version says whether $part is there"
done

# --- output that cannot be written ---------------------------------------------
for c in --help probe "run --help"; do
    # shellcheck disable=SC2086
    run sh -c 'exec "$@" >/dev/full' sh "$UKVMDBG" $c
    is "$status" 125 "$c to a full device: status 125"
    like "$err" '^ukvmdbg: standard output: .+; ' "$c to a full device: said so"
done
run sh -c 'exec "$@" >&-' sh timeout 60 "$UKVMDBG" run --hv=emu "$e/hello.ukvm"
is "$status" 125 "no standard output: status 125"
like "$err" '^ukvmdbg: console: standard output: Bad file descriptor' "no standard output: said so"
run sh -c 'exec "$@" <&-' sh timeout 60 "$UKVMDBG" run --hv=emu "$e/hello.ukvm"
is "$status" 0 "no standard input: status 0"

# --- not yet ------------------------------------------------------------------
for c in gdb trace stat record replay diff info core sites gdb-files; do
    refused 125 'not yet: .*; ' "$c" $c "$e/hello.ukvm"
done
for o in --gdb --gdb=1 --gdb-port=1 --dumpcore --stack-limit=1 --record --report=f --core=d --annotate; do
    refused 125 'not yet: .*; ' "run $o" run $o "$e/hello.ukvm"
done
refused 125 'not yet: .*; ' "a recording" run "$T/x.ukr"

# --- usage --------------------------------------------------------------------
refused 125 'no such option; nearest: --disk' "unknown option" run --dsk=f "$e/hello.ukvm"
refused 125 'no such option; ukvmdbg run --help' "one letter resembles nothing" run -h "$e/hello.ukvm"
refused 125 'not an option of run; ' "another command's option" run --json "$e/hello.ukvm"
refused 125 'missing; ' "no value" run --mem
refused 125 'not a number of MiB; ' "--mem=x" run --mem=x "$e/hello.ukvm"
refused 125 'not a number of seconds; ' "--timeout=x" run --timeout=x "$e/hello.ukvm"
refused 125 'must be more than 0; ' "--timeout=0" run --timeout=0 "$e/hello.ukvm"
refused 125 '1 MiB: less than 2 MiB; --mem=2' "--mem=1" run --hv=emu --mem=1 "$e/hello.ukvm"
refused 125 'no such file; check' "--symbols missing" run --hv=emu --symbols="$T/none" "$e/hello.ukvm"
refused 125 'is a directory; give' "--symbols of a directory" run --hv=emu --symbols="$T" "$e/hello.ukvm"
refused 125 'more than 1 GiB; --mem=1024' "--mem=2000" run --hv=emu --mem=2000 "$e/hello.ukvm"
refused 125 'no such backend; ' "--hv=nosuch" run --hv=nosuch "$e/hello.ukvm"
refused 125 'there is no network; --net=user' "--pcap alone" run --hv=emu --pcap="$T/p" "$e/hello.ukvm"
refused 125 'there is no network; --net=user' "--net-mac alone" run --hv=emu --net-mac=2:0:0:0:0:1 "$e/hello.ukvm"
refused 125 'no such interface; make it: ip tuntap add nosuch0' "TAP missing" run --hv=emu --net=nosuch0 "$e/hello.ukvm"
refused 125 'No such file or directory; ' "disk missing" run --hv=emu --disk="$T/none" "$e/hello.ukvm"
run "$UKVMDBG" run
is "$status" 125 "run alone: status 125"
like "$err" '^ukvmdbg: no image given; ' "run alone: said so"
long=$(head -c 8192 /dev/zero | tr '\0' a)
refused 125 'max=8191' "long arguments" run --hv=emu "$e/hello.ukvm" "$long"

# --- images -------------------------------------------------------------------
refused 127 'no such image; ' "no such image" run "$T/none.ukvm"
refused 127 'no such command; nearest: probe; ukvmdbg --help' "a mistyped command" prob
(cd "$T" && mkdir dir && echo hello >text && : >empty && printf '\177ELF' >cut)
refused 126 'not a file; ' "a directory" run "$T/dir"
refused 126 'not an ELF file' "a text" run "$T/text"
refused 126 '' "an empty file" run "$T/empty"
refused 126 '' "a cut file" run "$T/cut"
refused 126 '' "a program of the host" run /bin/sh
refused 126 '--mem=' "too little memory" run --hv=emu --mem=2 "$e/sort.ukvm"

# --- the guest's own status -----------------------------------------------------
run "$UKVMDBG" run --hv=emu "$e/hello.ukvm" --mem=x -- run
is "$status" 0 "hello: status 0"
is "$err" "" "hello: nothing on standard error"
like "$out" 'argument 1: --mem=x' "options after the image are the guest's"
like "$out" 'argument 2: --$' "so is --"
run "$UKVMDBG" run -- "$e/hello.ukvm"
is "$status" 0 "-- before the image"
run "$UKVMDBG" run --hv=emu "$e/crash.ukvm"
is "$status" 255 "crash: status 255"
like "$err" '^ukvmdbg: .*crash\.ukvm: guest aborted at [a-z_]+.* \(crash\.c:[0-9]+\): .*#PF' "crash: the trap's place in the source"
like "$err" "^ukvmdbg: next: ukvmdbg -ex run -ex 'disassemble 0x[0-9a-f]+' --hv=emu .*crash\.ukvm" "crash: a command to try"
run sh -c "$(printf '%s\n' "$err" | sed -n "s|^ukvmdbg: next: ukvmdbg|$UKVMDBG -batch|p")"
is "$status" 0 "crash: the command to try works"
like "$out" 'mov|add|push' "crash: and shows the code"
run "$UKVMDBG" run --hv=emu "$e/abort.ukvm"
is "$status" 255 "abort: status 255"
like "$err" '^ukvmdbg: .*abort\.ukvm: guest aborted at ' "abort: said so"
run sh -c "$(printf '%s\n' "$err" | sed -n "s|^ukvmdbg: next: ukvmdbg|$UKVMDBG -batch|p")"
like "$out" ' <uk_guest_start' "abort: the command to try shows the way there"

# --- faults ---------------------------------------------------------------------
run "$UKVMDBG" run --hv=emu "$e/block.ukvm"
is "$status" 139 "a hypercall without its device: status 139"
like "$err" '^ukvmdbg: .*block\.ukvm: blkinfo: .*--disk=FILE; at [a-z_]+\+0x[0-9a-f]+ \(' "what, why, next, and where"
like "$err" '^ukvmdbg: next: ukvmdbg -ex run -ex registers' "and a command to try"

# --- timeout and signals ----------------------------------------------------------
run "$UKVMDBG" run --hv=emu --timeout=0.3 "$e/sort.ukvm"
is "$status" 124 "--timeout: status 124"
like "$err" '--timeout=0\.3: the guest is at [a-z_]+.*\([a-z_]+\.[cS]:' "--timeout: where the guest was"
if [ -e "$O/ukvm_net_user.so" ]; then
    run "$UKVMDBG" run --hv=emu --net=user --timeout=0.3 "$e/hang.ukvm"
    is "$status" 124 "--timeout ends a wait"
fi
for s in INT:130 TERM:143 HUP:129; do
    run timeout --preserve-status -k 5 -s "${s%:*}" 0.4 "$UKVMDBG" run --hv=emu "$e/sort.ukvm"
    is "$status" "${s#*:}" "SIG${s%:*} ends the run as a signal does"
    is "$err" "" "SIG${s%:*}: nothing to say"
done
"$UKVMDBG" run --hv=emu "$e/sort.ukvm" >"$T/out" 2>"$T/err" &
pid=$!
for _ in $(seq 100); do [ -s "$T/out" ] || sleep 0.2; done
kill -INT $pid # which a background job of sh ignores
kill -USR2 $pid
status=0
wait $pid || status=$?
is "$status" 0 "an ignored signal stays ignored"
cat >"$T/quit.py" <<'EOF'
import signal, subprocess, sys
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
p.stdout.readline()
p.send_signal(signal.SIGQUIT)
sys.exit(p.wait())
EOF
if command -v python3 >/dev/null; then
    run python3 "$T/quit.py" "$UKVMDBG" run --hv=emu "$e/sort.ukvm"
    is "$status" 0 "SIGQUIT: the guest goes on"
    like "$err" 'SIGQUIT: the guest is at .*\([a-z_]+\.[cS]:' "SIGQUIT: says where it is"
fi
{ "$UKVMDBG" run --hv=emu "$e/hello.ukvm" || echo $? >"$T/pipe"; } 2>"$T/err" | :
for _ in $(seq 100); do [ -s "$T/pipe" ] || sleep 0.2; done
like "$(cat "$T/pipe" 2>/dev/null || echo 141)" '^141$' "a console that nobody reads: as SIGPIPE"
is "$(cat "$T/err")" "" "and without a word"

# --- probe ------------------------------------------------------------------------
run "$UKVMDBG" probe
is "$status" 0 "probe: status 0"
is "$(printf '%s\n' "$out" | grep -Evc '^$|^[a-z][^ ]*: ')" 0 "probe: each line is KEY: VALUE"
for key in host user dev.kvm dev.tun tap net.user kvm emu auto; do
    like "$out" "^$key: ." "probe says $key"
done
like "$out" '^user: (root|not root: )' "probe: user's form"
like "$out" '^tap: (can be made$|cannot be made: .*; )' "probe: tap's form"
[ ! -e /dev/kvm ] && like "$out" '^kvm: no: .*; ' "probe: why no KVM, and what to do"
run "$UKVMDBG" probe "$e/crash.ukvm"
is "$status" 0 "probe IMAGE: status 0"
like "$out" '^image\.abi: C, x86_64$' "probe IMAGE: family"
like "$out" '^image\.segment0: 0x100000\.\.0x[0-9a-f]+ r-x, [0-9]+ bytes' "probe IMAGE: segments"
like "$out" '^image\.symbols: [0-9]+, from ' "probe IMAGE: symbols"
like "$out" '^image\.lines: yes' "probe IMAGE: lines"
strip -o "$T/stripped.ukvm" "$e/crash.ukvm"
run "$UKVMDBG" probe "$T/stripped.ukvm"
like "$out" '^image\.symbols: no: .*; --symbols' "probe of a stripped image"
run "$UKVMDBG" probe "$T/text"
is "$status" 126 "probe of no image: status 126"
run "$UKVMDBG" probe --json "$e/crash.ukvm"
if command -v python3 >/dev/null; then
    is "$(printf '%s' "$out" | python3 -c 'import json,sys; print(json.load(sys.stdin)["schema"])')" \
        "ukvmdbg-probe-1" "probe --json is JSON"
fi
run "$UKVMDBG" probe --color=always
like "$out" "$(printf '\033')\\[1mhost" "--color=always"
run env NO_COLOR=1 "$UKVMDBG" probe
is "$(printf '%s' "$out" | tr -dc '\033')" "" "no colour off a terminal"
done_testing
