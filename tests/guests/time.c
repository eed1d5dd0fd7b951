/* SPDX-License-Identifier: ISC */
/*
 * Wall clock and the clock that guests make of the TSC: family B by a 32-bit multiplier without
 * scaling (so the frequency must exceed 1 GHz), family C by a scaled one. Both must agree about a
 * sleep by poll. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

#define NSEC 1000000000ul
#define MSEC 1000000ul

static uint32_t multiplier;
static unsigned shift;
static uint64_t base;

static uint64_t tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t walltime(void)
{
    struct hc_walltime arg = {0};

    hypercall(HC_WALLTIME, &arg);
    return arg.nsecs;
}

static int sleep_for(uint64_t nsecs)
{
    struct hc_poll arg = {nsecs, -7, 0};

    hypercall(HC_POLL, &arg);
    return arg.ret;
}

/* ns = (ticks >> shift) * multiplier >> 32; B has shift 0, C the least that lets it fit. */
static int clock_init(void)
{
    uint64_t m = (NSEC << 32) / boot->tsc_hz;

#ifdef FAMILY_C
    while (m > UINT32_MAX) {
        shift++;
        m = (NSEC << 32) / (boot->tsc_hz << shift);
    }
#endif
    multiplier = (uint32_t)m;
    base = tsc();
    return m <= UINT32_MAX;
}

static uint64_t mul_high32(uint64_t a, uint32_t b)
{
    uint64_t high = (a >> 32) * b, low = (a & UINT32_MAX) * b;

    return high + (low >> 32);
}

static uint64_t monotonic(void)
{
    return mul_high32((tsc() - base) << shift, multiplier);
}

static void increases(void)
{
    uint64_t last = monotonic(), backwards = 0, first = last;

    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = monotonic();

        backwards += now < last;
        last = now;
    }
    check_u64("never backwards", backwards, 0);
    check_u64("moves on", last > first, 1);
}

static void sleeps(void)
{
    uint64_t wall = walltime(), mono = monotonic();
    int ret = sleep_for(100 * MSEC);

    mono = monotonic() - mono;
    wall = walltime() - wall;
    check_u64("poll without devices returns", (uint32_t)ret, 0);
    check_u64("monotonic: 100 ms or more", mono >= 99 * MSEC, 1);
    check_u64("monotonic: less than 1 s", mono < NSEC, 1);
    check_u64("wall clock: 100 ms or more", wall >= 99 * MSEC, 1);
    check_u64("wall clock: less than 1 s", wall < NSEC, 1);
    check_u64("they agree", (wall > mono ? wall - mono : mono - wall) < 50 * MSEC, 1);
    mono = monotonic();
    check_u64("poll of 0 returns", (uint32_t)sleep_for(0), 0);
    check_u64("at once", monotonic() - mono < 50 * MSEC, 1);
}

int solo5_app_main(char *cmdline)
{
    (void)cmdline;
    check_u64("the multiplier fits", (uint64_t)clock_init(), 1);
    /* 2020-01-01 to 2100-01-01. */
    check_u64("wall clock is plausible",
              walltime() > 1577836800 * NSEC && walltime() < 4102444800 * NSEC, 1);
    increases();
    sleeps();
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
