/* SPDX-License-Identifier: ISC */
/*
 * tsc.h: the frequency of this machine's time-stamp counter, for backends whose guests
 * read it, or one that runs as fast. Depends on core/error only, so that a plugin can
 * carry its own copy.
 */
#ifndef UKVM_HV_TSC_H
#define UKVM_HV_TSC_H

#include "core/ukvm.h"

/* Guests of family B want more (Solo5 before v0.3, kernel/ukvm/tscclock.c). */
#define UK_TSC_MIN_HZ UINT64_C(1000000000)

/* What CPUID tells, without measuring: Hz, or 0. */
uint64_t uk_tsc_told(void);
/*
 * Hz: as KVM has it, as CPUID tells, or measured against CLOCK_MONOTONIC_RAW; 0 with
 * (err) if the counter is not to be relied on.
 */
uint64_t uk_tsc_hz(struct ukvm_error *err);

/* (v) * (by) / (per), without overflow in between. */
uint64_t uk_tsc_scale(uint64_t v, uint64_t by, uint64_t per);

#endif /* UKVM_HV_TSC_H */
