/* SPDX-License-Identifier: ISC */
/*
 * error.h: filling in a struct ukvm_error. Depends on nothing, so that a plugin
 * can carry its own copy.
 */
#ifndef UKVM_ERROR_H
#define UKVM_ERROR_H

#include "core/ukvm.h"

/* Note (code) and a message; (err) may be NULL. Returns (code): `return uk_error(...)`. */
int uk_error(struct ukvm_error *err, enum ukvm_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same for a failed system call: UKVM_ESYS, ": " and errno's text appended, then
 * "; " and (next), what to try, unless it is NULL.
 */
int uk_error_sys(struct ukvm_error *err, const char *next, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* UKVM_ERROR_H */
