#!/bin/sh
# SPDX-License-Identifier: ISC
# native.sh: the native backend as users meet it: chosen by itself, without any privilege,
# its process gone with the monitor, its clock right.
. tests/lib.sh

E=$O/examples
unprivileged() {
    setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
        --ambient-caps=-all --no-new-privs "$@"
}

probe=$("$UKVMDBG" probe 2>/dev/null) || true
if ! printf '%s\n' "$probe" | grep -q '^native: yes'; then
    skip "native: all of it" no-native
    done_testing
    exit
fi

# --- chosen by itself
case $probe in
*'kvm: yes'*) ;;
*) like "$probe" '^auto: native$' "auto takes native where KVM does not pass" ;;
esac
run "$UKVMDBG" run --hv=native "$E/hello.ukvm" one exit=3
is "$status" 3 "an exit status"

# --- without privileges
if [ "$(id -u)" = 0 ]; then
    dir=$(mktemp -d /tmp/ukvm-native.XXXXXX)
    cleanup() { rm -rf "$dir"; }
    cp "$UKVMDBG" "$O"/*.so "$E/hello.ukvm" "$E/fpu.ukvm" "$E/block.ukvm" "$dir"
    truncate -s 1M "$dir/disk"
    chmod -R a+rX "$dir"
    chmod a+rw "$dir/disk"
    for g in hello fpu block; do
        set --
        [ $g != block ] || set -- --disk="$dir/disk"
        run unprivileged "$dir/ukvmdbg" run --hv=native "$@" "$dir/$g.ukvm"
        is "$status" 0 "$g as nobody, without capabilities, with no_new_privs"
    done
else
    skip "as nobody" not-root
fi

# --- the end of the one and the other
children() { ps -o pid= --ppid "$1" 2>/dev/null | tr -d ' '; }
start_hang() {
    "$UKVMDBG" run --hv=native --net=user "$E/hang.ukvm" >"$T/hang.out" 2>"$T/hang.err" &
    monitor=$!
    i=0
    child=
    while [ -z "$child" ] && [ $i -lt 100 ]; do
        sleep 0.05
        i=$((i + 1))
        child=$(children "$monitor" | head -n 1)
    done
    sleep 0.3
}
start_hang
kill -KILL "$monitor"
wait "$monitor" 2>/dev/null || true
i=0
while kill -0 "$child" 2>/dev/null && [ $i -lt 100 ]; do
    sleep 0.05
    i=$((i + 1))
done
if [ -n "$child" ] && ! kill -0 "$child" 2>/dev/null; then
    ok "a monitor killed by SIGKILL leaves no child"
else
    not_ok "a monitor killed by SIGKILL leaves no child" "child: $child"
fi


# --- the clock
run "$UKVMDBG" run --hv=native "$E/clock.ukvm"
slept=$(printf '%s\n' "$out" | sed -n 's/^slept 1 s: \([0-9]*\) ns by the monotonic clock$/\1/p')
if [ "${slept:-0}" -gt 990000000 ] && [ "${slept:-0}" -lt 1010000000 ]; then
    ok "a second is a second, within 1 %"
else
    not_ok "a second is a second, within 1 %" "$out"
fi

# --- what it is not for
run "$UKVMDBG" run --hv=native --low-memory=original "$E/hello.ukvm"
is "$status" 125 "the original's low memory is refused"
like "$err" 'low-memory=original.*--hv=emu' "by name, with what to try"
run "$UKVMDBG" run --low-memory=original "$E/hello.ukvm"
is "$status" 0 "auto goes on to a backend that has it"
done_testing
