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

static int trap(struct ukvm_hv *hv, struct ukvm_error *err)
{
    const uint64_t args[6] = {PR_SET_TSC, PR_TSC_SIGSEGV};
    long ret;
    int rc = uk_native_call(hv, SYS_prctl, args, &ret, err);

    if (rc != UKVM_OK)
        return rc;
    if (ret < 0) {
        errno = (int)-ret;
        return uk_error_sys(err, "use --hv=emu", "native: PR_SET_TSC");
    }
    hv->b->tsc_trap = true;
    return UKVM_OK;
}

int uk_native_open_tsc(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg,
                       struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;

    b->tsc_host_hz = uk_tsc_hz(err);
    if (!b->tsc_host_hz)
        return UKVM_ENOTSUP;
    b->tsc_hz = cfg->tsc_hz ? cfg->tsc_hz : b->tsc_host_hz;
    b->tsc_t0 = __rdtsc();
    b->tsc_exits = cfg->trap_tsc;
    return b->tsc_exits || b->tsc_hz != b->tsc_host_hz ? trap(hv, err) : UKVM_OK;
}

/*
 * 0, of a machine that has just booted, asks for nothing; nor does what was given. The
 * processor's own will do if it is but little ahead: the guest's time then never goes back.
 */
int uk_native_set_tsc(struct ukvm_hv *hv, uint64_t tsc, struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t now = __rdtsc();

    if (tsc == b->tsc_given || tsc == 0 || b->tsc_exits)
        return UKVM_OK;
    if (!b->tsc_trap && now >= tsc && now - tsc < b->tsc_host_hz / 100)
        return UKVM_OK;
    b->tsc_base = tsc;
    b->tsc_t0 = now;
    return b->tsc_trap ? UKVM_OK : trap(hv, err);
}
