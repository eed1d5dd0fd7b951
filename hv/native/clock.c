/* SPDX-License-Identifier: ISC */
/*
 * clock.c: the guest's time-stamp counter. It is the processor's own, read without an
 * exit, unless the guest's must be another (it comes from elsewhere, or runs at another
 * frequency) or reads are to be seen: then they trap (prctl PR_SET_TSC).
 */
#include "core/error.h"
#include "hv/native/native.h"
#include "hv/tsc.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <x86intrin.h>

uint64_t uk_native_tsc(const struct ukvm_hvb *b)
{
    uint64_t now = __rdtsc();

    if (!b->tsc_trap || b->tsc_exits)
        return now;
    return b->tsc_base + uk_tsc_scale(now - b->tsc_t0, b->tsc_hz, b->tsc_host_hz);
}

/* To a thousandth: what measuring gives. */
static bool same_rate(uint64_t a, uint64_t b)
{
    return (a > b ? a - b : b - a) < b / 1000;
}

static int set_trap(struct ukvm_hv *hv, int how, struct ukvm_error *err)
{
    const uint64_t args[6] = {PR_SET_TSC, (uint64_t)how};
    long ret;
    int rc = uk_native_call(hv, SYS_prctl, args, &ret, err);

    if (rc != UKVM_OK || ret >= 0)
        return rc;
    errno = (int)-ret;
    return uk_error_sys(err, "use --hv=emu", "native: PR_SET_TSC");
}

/*
 * Does it work? Some hypervisors keep CR4.TSD from having an effect. The child tries: RDTSC
 * behind a call that is never made, at the place where calls are.
 */
bool uk_native_tsc_traps(struct ukvm_hv *hv)
{
    static const uint8_t code[] = {0x0f, 0x31, 0xcc}; /* rdtsc; int3 */
    struct ukvm_hvb *b = hv->b;
    uint64_t rip = 0;

    if (set_trap(hv, PR_TSC_SIGSEGV, NULL) != UKVM_OK ||
        uk_native_try(hv, code, sizeof(code), &rip))
        return false;
    if (!b->tsc_trap)
        set_trap(hv, PR_TSC_ENABLE, NULL);
    return rip == 0;
}

static int trap(struct ukvm_hv *hv, struct ukvm_error *err)
{
    if (!uk_native_tsc_traps(hv))
        return uk_error(err, UKVM_ENOTSUP,
                        "native: time-stamp counter: this machine does not let it trap, and the "
                        "guest's is another; --hv=emu");
    hv->b->tsc_trap = true;
    return set_trap(hv, PR_TSC_SIGSEGV, err);
}

int uk_native_open_tsc(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;

    b->tsc_host_hz = uk_tsc_hz(err);
    if (!b->tsc_host_hz)
        return UKVM_ENOTSUP;
    b->tsc_hz = cfg->tsc_hz ? cfg->tsc_hz : b->tsc_host_hz;
    b->tsc_t0 = __rdtsc();
    if (cfg->trap_tsc && uk_native_tsc_traps(hv)) {
        b->tsc_exits = b->tsc_trap = true;
        return set_trap(hv, PR_TSC_SIGSEGV, err);
    }
    /* Two measurements of one counter differ a little: the guest goes on with the first. */
    if (same_rate(b->tsc_hz, b->tsc_host_hz)) {
        b->tsc_host_hz = b->tsc_hz;
        return UKVM_OK;
    }
    return trap(hv, err);
}

static void wait_until(uint64_t tsc)
{
    while (__rdtsc() < tsc)
        _mm_pause();
}

/*
 * 0, of a machine that has just booted, asks for nothing; nor does what was given. The
 * processor's own will do if it is a second ahead at most, as after a switch: the guest's
 * time catches up, and never goes back.
 */
int uk_native_set_tsc(struct ukvm_hv *hv, uint64_t tsc, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t now = __rdtsc(), little = b->tsc_host_hz / 100;

    if (tsc == b->tsc_given || tsc == 0 || b->tsc_exits)
        return UKVM_OK;
    if (!b->tsc_trap && tsc <= now + little && now <= tsc + b->tsc_host_hz) {
        wait_until(tsc);
        return UKVM_OK;
    }
    b->tsc_base = tsc;
    b->tsc_t0 = now;
    return b->tsc_trap ? UKVM_OK : trap(hv, err);
}
