/* SPDX-License-Identifier: ISC */
/*
 * line.h: reading a line from whoever types: with libedit on a terminal, plainly
 * elsewhere. A signal ends the wait. Knows no machine.
 */
#ifndef UD_DBG_LINE_H
#define UD_DBG_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum ud_line_result { UD_LINE_READ, UD_LINE_END, UD_LINE_WOKEN };

/* Words that a half-typed line can go on with: as ud_complete() gives them. */
typedef void ud_line_each_fn(void *self, const char *candidate);
typedef size_t ud_line_complete_fn(void *ctx, const char *line, ud_line_each_fn *each, void *self);

struct ud_line;

/*
 * (wake): a descriptor that, readable, ends a wait with UD_LINE_WOKEN. NULL: no
 * memory. (edit): on a terminal, with history and completion by (complete).
 */
struct ud_line *ud_line_open(const char *prompt, int wake, bool edit, ud_line_complete_fn *complete,
                             void *ctx);
/* The next line, without its end, valid until the next call. */
enum ud_line_result ud_line_read(struct ud_line *l, const char **text);
void ud_line_close(struct ud_line *l);

#endif /* UD_DBG_LINE_H */
