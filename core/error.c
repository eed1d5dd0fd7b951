/* SPDX-License-Identifier: ISC */
/*
 * error.c: errors as a code and one line of text, owned by the caller.
 */
#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message holds no control character: names in it may come from hostile files. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

int uk_error(struct ukvm_error *err, enum ukvm_code code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->sys_errno = 0;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    one_line(err->msg);
    return code;
}

int uk_error_sys(struct ukvm_error *err, const char *next, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    size_t n;

    if (!err)
        return UKVM_ESYS;
    err->code = UKVM_ESYS;
    err->sys_errno = saved;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    n = strlen(err->msg);
    snprintf(err->msg + n, sizeof(err->msg) - n, ": %s%s%s", strerror(saved), next ? "; " : "",
             next ? next : "");
    one_line(err->msg);
    return UKVM_ESYS;
}
