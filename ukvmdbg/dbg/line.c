/* SPDX-License-Identifier: ISC */
/*
 * line.c: lines from a terminal by libedit, where it is; plain lines elsewhere.
 * Knows no machine.
 */
#include "ukvmdbg/dbg/line.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#ifdef UKVM_HAVE_EDIT
#include <histedit.h>
#endif

struct ud_line {
    const char *prompt;
    int wake;
    bool woken;
    ud_line_complete_fn *complete;
    void *ctx;
    char *text; /* the line */
    size_t used, room;
    bool terminal; /* somebody sees a prompt */
#ifdef UKVM_HAVE_EDIT
    EditLine *el;
    History *history;
#endif
};

/* Wait for a byte. 1: got it; 0: end; -1: woken. */
static int wait_byte(struct ud_line *l, char *c)
{
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = l->wake, .events = POLLIN}};

    for (;;) {
        ssize_t n;

        if (poll(fds, 2, -1) < 0) {
            if (errno != EINTR)
                return 0;
            continue;
        }
        if (fds[1].revents) {
            l->woken = true;
            return -1;
        }
        n = read(0, c, 1);
        if (n >= 0)
            return (int)n;
        if (errno != EINTR && errno != EAGAIN)
            return 0;
    }
}

/* --- plain ----------------------------------------------------------------------------- */

static bool append(struct ud_line *l, char c)
{
    if (l->used + 1 >= l->room) {
        size_t room = l->room ? 2 * l->room : 128;
        char *text = realloc(l->text, room);

        if (!text)
            return false;
        l->text = text;
        l->room = room;
    }
    l->text[l->used++] = c;
    l->text[l->used] = '\0';
    return true;
}

static enum ud_line_result read_plain(struct ud_line *l, const char **text)
{
    int rc;
    char c;

    if (l->terminal) {
        fputs(l->prompt, stdout);
        fflush(stdout);
    }
    l->used = 0;
    if (l->text)
        l->text[0] = '\0';
    while ((rc = wait_byte(l, &c)) == 1 && c != '\n')
        if (!append(l, c))
            return UD_LINE_END;
    *text = l->text ? l->text : "";
    if (rc < 0)
        return UD_LINE_WOKEN;
    return rc == 1 || l->used > 0 ? UD_LINE_READ : UD_LINE_END;
}

/* --- libedit ---------------------------------------------------------------------------- */

#ifdef UKVM_HAVE_EDIT

static struct ud_line *mine(EditLine *el)
{
    void *l = NULL;

    el_get(el, EL_CLIENTDATA, &l);
    return l;
}

static char *prompt(EditLine *el)
{
    return (char *)(uintptr_t)mine(el)->prompt;
}

/* libedit's character source: a signal ends the line, as an error does. */
static int get_char(EditLine *el, wchar_t *wc)
{
    struct ud_line *l = mine(el);
    mbstate_t state = {0};

    for (;;) {
        char c;
        int rc = wait_byte(l, &c);
        size_t n;

        if (rc != 1)
            return rc;
        n = mbrtowc(wc, &c, 1, &state);
        if (n == (size_t)-2)
            continue;
        if (n == (size_t)-1)
            *wc = (unsigned char)c;
        return 1;
    }
}

/* What completion found: the part that all share, and how many there are. */
struct found {
    char common[256];
    size_t n;
    size_t width;
    bool print;
    size_t column;
};

static void count(void *self, const char *candidate)
{
    struct found *f = self;
    size_t i = 0, len = strlen(candidate);

    if (f->n++ == 0)
        snprintf(f->common, sizeof(f->common), "%s", candidate);
    while (f->common[i] && f->common[i] == candidate[i])
        i++;
    f->common[i] = '\0';
    if (len > f->width)
        f->width = len;
}

#define COLUMNS 78
#define MOST    200 /* candidates shown */

static void show(void *self, const char *candidate)
{
    struct found *f = self;
    size_t per_line = COLUMNS / (f->width + 2) ? COLUMNS / (f->width + 2) : 1;

    if (f->column >= MOST)
        return;
    printf("%s%-*s", f->column % per_line ? "  " : "\n", (int)f->width, candidate);
    if (++f->column == MOST)
        printf("\n... and %zu more", f->n - MOST);
}

/* Tab: put in what is certain; if nothing is, show the candidates. */
static unsigned char complete(EditLine *el, int ch)
{
    struct ud_line *l = mine(el);
    const LineInfo *info = el_line(el);
    struct found f = {0};
    size_t len = (size_t)(info->cursor - info->buffer), at;
    char *line = strndup(info->buffer, len);

    (void)ch;
    if (!line)
        return CC_ERROR;
    at = l->complete(l->ctx, line, count, &f);
    if (f.n == 1)
        snprintf(f.common + strlen(f.common), sizeof(f.common) - strlen(f.common), " ");
    if (f.n > 0 && strlen(f.common) > len - at) {
        el_insertstr(el, f.common + (len - at));
    } else if (f.n > 1) {
        l->complete(l->ctx, line, show, &f);
        printf("\n");
        fflush(stdout);
    }
    free(line);
    if (f.n == 0)
        return CC_ERROR;
    return f.column ? CC_REDISPLAY : CC_REFRESH;
}

static void close_edit(struct ud_line *l)
{
    if (l->history)
        history_end(l->history);
    if (l->el)
        el_end(l->el);
    l->history = NULL;
    l->el = NULL;
}

static void open_edit(struct ud_line *l)
{
    HistEvent ev;

    setlocale(LC_CTYPE, "");
    l->el = el_init("ukvmdbg", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->el || !l->history) {
        close_edit(l);
        return;
    }
    history(l->history, &ev, H_SETSIZE, 500);
    history(l->history, &ev, H_SETUNIQUE, 1);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_PROMPT, prompt);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_SIGNAL, 1);
    el_set(l->el, EL_HIST, history, l->history);
    el_set(l->el, EL_ADDFN, "ukvm-complete", "complete commands, registers, symbols", complete);
    el_set(l->el, EL_BIND, "^I", "ukvm-complete", NULL);
    el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(l->el, NULL);
    el_set(l->el, EL_GETCFN, get_char);
}

static enum ud_line_result read_edit(struct ud_line *l, const char **text)
{
    HistEvent ev;
    int n = 0;
    const char *line = el_gets(l->el, &n);

    if (l->woken) {
        el_reset(l->el);
        return UD_LINE_WOKEN;
    }
    if (!line || n <= 0)
        return UD_LINE_END;
    if (line[strspn(line, " \t\n")])
        history(l->history, &ev, H_ENTER, line);
    l->used = 0;
    for (; *line && *line != '\n'; line++)
        if (!append(l, *line))
            return UD_LINE_END;
    *text = l->used ? l->text : "";
    return UD_LINE_READ;
}

#endif /* UKVM_HAVE_EDIT */

/* --- both --------------------------------------------------------------------------------- */

struct ud_line *ud_line_open(const char *prompt_text, int wake, bool edit,
                             ud_line_complete_fn *completer, void *ctx)
{
    struct ud_line *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->prompt = prompt_text;
    l->wake = wake;
    l->complete = completer;
    l->ctx = ctx;
    l->terminal = edit;
#ifdef UKVM_HAVE_EDIT
    if (edit)
        open_edit(l);
#endif
    return l;
}

enum ud_line_result ud_line_read(struct ud_line *l, const char **text)
{
    l->woken = false;
    *text = "";
#ifdef UKVM_HAVE_EDIT
    if (l->el)
        return read_edit(l, text);
#endif
    return read_plain(l, text);
}

void ud_line_close(struct ud_line *l)
{
    if (!l)
        return;
#ifdef UKVM_HAVE_EDIT
    close_edit(l);
#endif
    free(l->text);
    free(l);
}
