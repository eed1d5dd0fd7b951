/* SPDX-License-Identifier: ISC */
/*
 * error.c: errors as a code and one line of text, owned by the caller.
 */
#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum ukvm_code code;
    const char *name;
} codes[] = {
    {UKVM_OK, "UKVM_OK"},         {UKVM_ENOMEM, "UKVM_ENOMEM"}, {UKVM_ESYS, "UKVM_ESYS"},
    {UKVM_EINVAL, "UKVM_EINVAL"}, {UKVM_ESTATE, "UKVM_ESTATE"}, {UKVM_ENOTSUP, "UKVM_ENOTSUP"},
    {UKVM_ENOENT, "UKVM_ENOENT"}, {UKVM_ELIMIT, "UKVM_ELIMIT"}, {UKVM_EADDR, "UKVM_EADDR"},
    {UKVM_EIMAGE, "UKVM_EIMAGE"}, {UKVM_EFILE, "UKVM_EFILE"},   {UKVM_EGUEST, "UKVM_EGUEST"},
};

const char *ukvm_strcode(int code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "unknown";
}

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
