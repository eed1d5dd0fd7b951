/* SPDX-License-Identifier: ISC */
/*
 * out.c: sinks for text. Knows nothing of machines.
 */
#include "ukvmdbg/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const styles[UD_NSTYLES] = {
    [UD_PLAIN] = "",
    [UD_HEAD] = "\033[1m",
    [UD_BAD] = "\033[1;31m",
    [UD_PLACE] = "\033[36m",
};

static void to_stream(struct ud_out *out, const char *s, size_t n)
{
    if (fwrite(s, 1, n, out->stream) != n && errno == EPIPE)
        out->broken = true;
}

static void to_string(struct ud_out *out, const char *s, size_t n)
{
    if (out->used + n + 1 > out->room) {
        size_t room = (out->used + n + 1) * 2;
        char *text = realloc(out->text, room);

        if (!text) {
            out->broken = true;
            return;
        }
        out->text = text;
        out->room = room;
    }
    memcpy(out->text + out->used, s, n);
    out->used += n;
    out->text[out->used] = '\0';
}

static bool wants_colour(FILE *stream, enum ud_color when)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    const char *force = getenv("CLICOLOR_FORCE"), *cli = getenv("CLICOLOR");

    if (when != UD_COLOR_AUTO)
        return when == UD_COLOR_ALWAYS;
    if (no && no[0])
        return false;
    if (force && force[0] && strcmp(force, "0") != 0)
        return true;
    if (cli && strcmp(cli, "0") == 0)
        return false;
    return isatty(fileno(stream)) && term && strcmp(term, "dumb") != 0;
}

void ud_out_stream(struct ud_out *out, FILE *stream, enum ud_color when)
{
    memset(out, 0, sizeof(*out));
    out->write = to_stream;
    out->stream = stream;
    out->colour = wants_colour(stream, when);
}

bool ud_out_string(struct ud_out *out)
{
    memset(out, 0, sizeof(*out));
    out->write = to_string;
    to_string(out, "", 0);
    return !out->broken;
}

void ud_out_free(struct ud_out *out)
{
    free(out->text);
    out->text = NULL;
}

/* Names in messages may come from hostile files: no control character but line and tab. */
static void clean(char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
            *s = '?';
}

static void vprint(struct ud_out *out, enum ud_style style, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void vprint(struct ud_out *out, enum ud_style style, const char *fmt, va_list ap)
{
    bool coloured = out->colour && style != UD_PLAIN;
    char *text;

    if (vasprintf(&text, fmt, ap) < 0) {
        out->broken = true;
        return;
    }
    clean(text);
    if (coloured)
        out->write(out, styles[style], strlen(styles[style]));
    out->write(out, text, strlen(text));
    if (coloured)
        out->write(out, "\033[0m", 4);
    free(text);
}

void ud_out_printf(struct ud_out *out, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprint(out, UD_PLAIN, fmt, ap);
    va_end(ap);
}

void ud_out_style(struct ud_out *out, enum ud_style style, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprint(out, style, fmt, ap);
    va_end(ap);
}

void ud_out_flush(struct ud_out *out)
{
    if (out->stream && fflush(out->stream) != 0 && errno == EPIPE)
        out->broken = true;
}
