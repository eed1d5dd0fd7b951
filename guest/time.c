/* SPDX-License-Identifier: ISC */
/*
 * Clocks and waiting. The wall clock asks the monitor once and then counts cycles, as the
 * guests of families B and C do; nothing is read before somebody asks for the time.
 */
#include "guest/internal.h"

#define NSEC_PER_SEC 1000000000ULL

/* The high part of a 32.32 fixed-point product: cycles times nanoseconds a cycle. */
static uint64_t scale(uint64_t cycles, uint64_t mult)
{
    uint64_t high = (cycles >> 32) * mult;
    uint64_t low = (cycles & 0xffffffff) * (mult & 0xffffffff);
    uint64_t mid = (cycles & 0xffffffff) * (mult >> 32);
    return high + mid + (low >> 32);
}

uint64_t ukvm_clock_monotonic(void)
{
    static uint64_t mult;
    if (mult == 0)
        mult = (NSEC_PER_SEC << 32) / uk_guest_boot->cycle_freq;
    return scale(uk_guest_cycles(), mult);
}

uint64_t ukvm_clock_wall(void)
{
    static uint64_t base;
    if (base == 0) {
        struct ukvm_walltime now = {0};
        ukvm_do_hypercall(UKVM_HYPERCALL_WALLTIME, &now);
        base = now.nsecs - ukvm_clock_monotonic();
    }
    return base + ukvm_clock_monotonic();
}

bool ukvm_poll(uint64_t timeout_nsecs)
{
    struct ukvm_poll arg = {timeout_nsecs, 0};
    ukvm_do_hypercall(UKVM_HYPERCALL_POLL, &arg);
    return arg.ret != 0;
}

void ukvm_sleep(uint64_t nsecs)
{
    uint64_t now = ukvm_clock_monotonic();
    uint64_t end = now + nsecs;
    while (now < end) {
        ukvm_poll(end - now);
        now = ukvm_clock_monotonic();
    }
}
