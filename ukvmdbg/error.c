/* SPDX-License-Identifier: ISC */
/*
 * error.c: refusals made and printed. Depends on nothing but the public header.
 */
#include "ukvmdbg/error.h"
#include "ukvmdbg/out.h"

#include <stdarg.h>
#include <stdio.h>

int ud_error(struct ukvm_error *err, enum ukvm_code code, const char *fmt, ...)
{
    va_list ap;

    err->code = code;
    err->sys_errno = 0;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return code;
}

void ud_error_print(const char *msg)
{
    struct ud_out out;

    fflush(stdout);
    ud_out_stream(&out, stderr, UD_COLOR_NEVER);
    ud_out_printf(&out, "ukvmdbg: %s\n", msg);
}
