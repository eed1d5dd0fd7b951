/* SPDX-License-Identifier: ISC */
/*
 * tsc.c: the frequency of this machine's time-stamp counter, and whether it is one to
 * tell the time by.
 */
#include "hv/tsc.h"
#include "core/error.h"

uint64_t uk_tsc_scale(uint64_t v, uint64_t by, uint64_t per)
{
    __extension__ typedef unsigned __int128 wide;

    return (uint64_t)((wide)v * by / per);
}

#ifdef __x86_64__
#include <cpuid.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Crystal times ratio (SDM vol. 2, CPUID leaf 15H), else the base frequency (16H). */
static uint64_t told_by_processor(void)
{
    unsigned a, b, c, d;

    if (__get_cpuid(0x15, &a, &b, &c, &d) && a && b && c)
        return (uint64_t)c * b / a;
    if (__get_cpuid(0x15, &a, &b, &c, &d) && a && b && __get_cpuid(0x16, &a, &b, &c, &d))
        return (uint64_t)(a & 0xffff) * 1000000;
    return 0;
}

/* A hypervisor's kHz, leaf 40000010H, which begins with VMware and which others have too. */
static uint64_t told_by_hypervisor(void)
{
    unsigned a, b, c, d;

    __cpuid(1, a, b, c, d);
    if (!(c & (1u << 31)))
        return 0;
    __cpuid(0x40000000, a, b, c, d);
    if (a < 0x40000010 || a >= 0x40010000)
        return 0;
    __cpuid(0x40000010, a, b, c, d);
    return UINT64_C(1000) * a;
}

uint64_t uk_tsc_told(void)
{
    uint64_t hz = told_by_processor();

    return hz ? hz : told_by_hypervisor();
}

static uint64_t told_by_kvm(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    int cpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
    int khz = cpu < 0 ? 0 : ioctl(cpu, KVM_GET_TSC_KHZ, 0);

    if (cpu >= 0)
        close(cpu);
    if (vm >= 0)
        close(vm);
    if (kvm >= 0)
        close(kvm);
    return khz > 0 ? (uint64_t)khz * 1000 : 0;
}

/* --- measuring ------------------------------------------------------------------------ */

#define PERIOD_NS UINT64_C(3000000)
#define TRIES     8

struct moment {
    uint64_t tsc, ns;
};

/* The closest pair of readings: an interruption between the two spoils one. */
static struct moment now(void)
{
    struct moment best = {0};
    uint64_t shortest = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc(), after;
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
        after = __rdtsc();
        if (after - before >= shortest)
            continue;
        shortest = after - before;
        best.tsc = before + shortest / 2;
        best.ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    }
    return best;
}

static uint64_t rate(const struct moment *from, const struct moment *to)
{
    if (to->tsc <= from->tsc || to->ns <= from->ns)
        return 0;
    return uk_tsc_scale(to->tsc - from->tsc, 1000000000u, to->ns - from->ns);
}

/*
 * Over two periods: (*steady): they agree to a thousandth. In whole MHz, so that the same
 * machine gives the same number twice: it is in the guest's memory.
 */
static uint64_t measured(bool *steady)
{
    struct moment m[3] = {now()};
    uint64_t first, second, apart;

    for (int i = 1; i < 3; i++)
        do {
            m[i] = now();
        } while (m[i].ns - m[i - 1].ns < PERIOD_NS);
    first = rate(&m[0], &m[1]);
    second = rate(&m[1], &m[2]);
    apart = first > second ? first - second : second - first;
    *steady = first && second && apart < first / 1000;
    return (rate(&m[0], &m[2]) + 500000) / 1000000 * 1000000;
}

/* --- whether to rely on it ---------------------------------------------------------------- */

/* It runs at one rate in all states of the processor: SDM vol. 3, 17.17.1. */
static bool invariant(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

/* The kernel tells the time by it: hypervisors may hide the bit. */
static bool trusted_by_kernel(void)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char buf[8] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes = fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 && strncmp(buf, "tsc", 3) == 0;

    if (fd >= 0)
        close(fd);
    return yes;
}

uint64_t uk_tsc_hz(struct ukvm_error *err)
{
    bool steady = true;
    uint64_t hz = 0;

    if (!invariant() && !trusted_by_kernel()) {
        uk_error(err, UKVM_ENOTSUP,
                 "time-stamp counter: unstable: CPUID does not say that it is invariant, and it is "
                 "not the kernel's clocksource; --hv=emu");
        return 0;
    }
    hz = told_by_kvm();
    if (!hz)
        hz = uk_tsc_told();
    for (int i = 0; !hz && i < 5; i++) { /* a busy machine spoils a measurement */
        hz = measured(&steady);
        hz = steady ? hz : 0;
    }
    if (!hz)
        uk_error(err, UKVM_ENOTSUP,
                 "time-stamp counter: unstable: it does not keep step with CLOCK_MONOTONIC_RAW; "
                 "--hv=emu");
    else if (hz <= UK_TSC_MIN_HZ)
        uk_error(err, UKVM_ENOTSUP,
                 "time-stamp counter: %llu MHz: guests of family B need more than 1000; --hv=emu",
                 (unsigned long long)(hz / 1000000));
    return hz > UK_TSC_MIN_HZ ? hz : 0;
}
#else
uint64_t uk_tsc_told(void)
{
    return 0;
}

uint64_t uk_tsc_hz(struct ukvm_error *err)
{
    uk_error(err, UKVM_ENOTSUP, "time-stamp counter: this processor has none; --hv=emu");
    return 0;
}
#endif
