#!/bin/sh
# SPDX-License-Identifier: ISC
# shell_tty.sh: the shell on a terminal: completion, history, Ctrl-C while the guest
# runs and at the prompt, Ctrl-D. The terminal is script's; on the emulator.
. tests/lib.sh
e=$O/examples

# until_shown ERE: wait until the terminal has shown it.
until_shown() {
    for _ in $(seq 100); do
        if grep -aEq -- "$1" "$T/tty" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    return 1
}
# key TEXT: type it, as printf has it.
key() {
    # shellcheck disable=SC2059 # escapes are meant
    printf "$1" >&9
    sleep 0.2
}
# prompt: wait for an empty prompt; what is typed before it is the line discipline's.
prompt() {
    for _ in $(seq 100); do
        case $(tail -c 12 "$T/tty" | tr -d '\033' | tail -n 1) in *'dbg) ') return 0 ;; esac
        sleep 0.1
    done
}
# open IMAGE: the shell on a new terminal, its keys from descriptor 9.
open() {
    rm -f "$T/keys" "$T/tty"
    mkfifo "$T/keys"
    printf 'echo $$ >"%s"\nexec "%s" --hv=emu "$1"\n' "$T/pid" "$UKVMDBG" >"$T/shell"
    # A job of sh's ignores SIGINT, and what it starts would too.
    SHELL=/bin/sh TERM=vt100 NO_COLOR=1 env --default-signal=INT,QUIT script -qefc "trap : INT; sh '$T/shell' $1; echo STATUS=\$?" /dev/null \
        <"$T/keys" >"$T/tty" 2>&1 &
    exec 9>"$T/keys"
}
shows() {
    if until_shown "$1"; then ok "$2"; else not_ok "$2" "the terminal shows: $(tr -d '\r' <"$T/tty" | tail -n 12)"; fi
}

open "$e/sort.ukvm"
shows 'stopped at its entry point, _start' "the shell greets, at the entry point"
shows '\(ukvmdbg\) ' "and prompts"
key 'con\t'
shows 'continue ' "Tab completes a command"
key '\n'
shows 'sorting' "the guest runs"
key '\003'
shows 'interrupted at [a-z_]' "Ctrl-C stops the guest"
prompt
key 'p $ri\t\n'
shows '0x[0-9a-f]+ \([0-9]+\) <' "Tab completes a register"
prompt
key 'p ukvm_p\t\t'
shows 'ukvm_printf +ukvm_|ukvm_puts' "Tab lists symbols"
key '\003'
shows 'ukvm_p.*\^C' "Ctrl-C drops the line"
prompt
key 'p 41+1\n'
shows '0x2a \(42\)' "and the next line is done"
prompt
key '\033[A\n'
for _ in $(seq 50); do [ "$(grep -ac '0x2a (42)' "$T/tty")" = 2 ] || sleep 0.1; done
is "$(grep -ac '0x2a (42)' "$T/tty")" 2 "Up gives the line before"
prompt
key 'nosuch\n'
shows 'nosuch: no such command' "a mistake is said"
prompt
key 'stepi\n'
prompt
key '\n'
prompt
key '\004'
shows 'STATUS=0' "Ctrl-D leaves, status 0"
exec 9>&-
wait

open "$e/hello.ukvm"
shows '\(ukvmdbg\) ' "another session prompts"
key 'run\n'
shows 'the guest has ended: status 0' "run to the end"
prompt
key 'run\n'
for _ in $(seq 50); do [ "$(grep -ac '^Hello' "$T/tty")" = 2 ] || sleep 0.1; done
is "$(grep -ac '^Hello' "$T/tty")" 2 "and again"
kill -TERM "$(cat "$T/pid")"
shows 'STATUS=143' "SIGTERM at the prompt ends it by the signal"
exec 9>&-
wait
done_testing
