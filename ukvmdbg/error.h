/* SPDX-License-Identifier: ISC */
/*
 * error.h: the program's own refusals, in the library's form. Depends on nothing
 * but the public header.
 */
#ifndef UD_ERROR_H
#define UD_ERROR_H

#include "core/ukvm.h"
#include "ukvmdbg/shared.h"

/* Note (code) and one line of text, WHAT: WHERE OR VALUE: WHY; NEXT. Returns (code). */
UD_SHARED int ud_error(struct ukvm_error *err, enum ukvm_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Print (msg) on standard error as "ukvmdbg: MSG", in one write. */
UD_SHARED void ud_error_print(const char *msg);

#endif /* UD_ERROR_H */
