/* SPDX-License-Identifier: ISC */
/*
 * out.h: where commands print: a terminal or a file, or a string. Text that comes
 * from a guest or a file never reaches it with control characters. Knows nothing of
 * machines.
 */
#ifndef UD_OUT_H
#define UD_OUT_H

#include "ukvmdbg/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum ud_color { UD_COLOR_AUTO, UD_COLOR_ALWAYS, UD_COLOR_NEVER };
enum ud_style { UD_PLAIN, UD_HEAD, UD_BAD, UD_PLACE, UD_NSTYLES };

struct ud_out {
    void (*write)(struct ud_out *out, const char *s, size_t n);
    FILE *stream; /* ud_out_stream() */
    char *text;   /* ud_out_string(): what was printed, never NULL */
    size_t used, room;
    bool colour;
    bool broken; /* the reader has gone */
};

/* Prints to (stream); colour as (when) says, auto: by the terminal and NO_COLOR. */
UD_SHARED void ud_out_stream(struct ud_out *out, FILE *stream, enum ud_color when);
/* Collects what is printed in out->text. False: no memory. */
UD_SHARED bool ud_out_string(struct ud_out *out);
UD_SHARED void ud_out_free(struct ud_out *out);

UD_SHARED void ud_out_printf(struct ud_out *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
UD_SHARED void ud_out_style(struct ud_out *out, enum ud_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
UD_SHARED void ud_out_flush(struct ud_out *out);

#endif /* UD_OUT_H */
