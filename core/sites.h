/* SPDX-License-Identifier: ISC */
/*
 * sites.h: arguments of the pseudo rows that nondeterministic instructions are:
 * structs on the monitor's side, which arch->serve() applies to registers.
 */
#ifndef UKVM_SITES_H
#define UKVM_SITES_H

#include <stdint.h>

struct uk_call_tsc {
    uint64_t value; /* OUT: the time-stamp counter */
};

union uk_call_site {
    struct uk_call_tsc tsc;
};

#endif /* UKVM_SITES_H */
