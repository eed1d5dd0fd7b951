/* SPDX-License-Identifier: ISC */
/*
 * process: what a guest's object files need to be a process: the guest library's output
 * on standard output. For comparison with the native backend.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int guest_main(int argc, char **argv);
void ukvm_puts(const char *s);
void ukvm_printf(const char *fmt, ...);
void ukvm_abort(const char *fmt, ...);

void ukvm_puts(const char *s)
{
    fputs(s, stdout);
}

void ukvm_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

void ukvm_abort(const char *fmt, ...)
{
    (void)fmt;
    exit(255);
}

int main(int argc, char **argv)
{
    return guest_main(argc, argv);
}
