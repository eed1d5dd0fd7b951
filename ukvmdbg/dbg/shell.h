/* SPDX-License-Identifier: ISC */
/*
 * shell.h: the interactive shell: a command table, what a command works on, and
 * what commands share. Commands print to sinks and return errors: none reads a
 * terminal, so that other clients can give them too.
 */
#ifndef UD_DBG_SHELL_H
#define UD_DBG_SHELL_H

#include "ukvmdbg/error.h"
#include "ukvmdbg/session.h"

/* How memory was last looked at: the next x goes on from there. */
struct ud_examine {
    char format;    /* x d u o t a c s i */
    unsigned size;  /* bytes a unit: 1 2 4 8 */
    uint64_t count; /* units */
    uint64_t addr;  /* after the last unit */
    bool physical;
};

struct ud_shell {
    struct ud_session *s;
    struct ud_out *out, *err;
    bool interactive; /* somebody types */
    bool quit;
    struct ukvm_lines *lines; /* of the image, read on first use */
    bool lines_tried;
    struct ud_examine x;
    char hv[24]; /* the backend chosen here: s->hv points to it */
};

enum {
    UD_NEEDS_VM = 1,   /* there is a machine */
    UD_NEEDS_LIVE = 2, /* and its guest has not ended */
    UD_REPEATS = 4,    /* an empty line gives it again */
};
enum {
    UD_WORD_NONE,
    UD_WORD_ADDRESS,
    UD_WORD_REGISTER,
    UD_WORD_COMMAND,
    UD_WORD_TOPIC,
    UD_WORD_HV
};

/* (args) is what follows the command's name, without spaces around. */
typedef int ud_cmd_fn(struct ud_shell *sh, const char *args, struct ukvm_error *err);

struct ud_cmd {
    const char *name;
    const char *aliases; /* separated by spaces; "" if none */
    const char *args;    /* as in help; "" if it takes none */
    const char *help;    /* one line */
    const char *more;    /* lines, or NULL */
    unsigned flags;      /* UD_NEEDS_VM... */
    int word;            /* UD_WORD_*: what its arguments are, for completion */
    ud_cmd_fn *run;
};

extern const struct ud_cmd ud_cmds[];   /* ends with a NULL name */
extern const struct ud_cmd ud_topics[]; /* of info */

/* The row of (table) that (len) characters at (word) name, in full or uniquely begun. */
const struct ud_cmd *ud_cmd_find(const struct ud_cmd *table, const char *word, size_t len,
                                 struct ukvm_error *err);
/* Do one line. An empty one and a comment do nothing. */
int ud_cmd_do(struct ud_shell *sh, const char *line, struct ukvm_error *err);

/* shell.c: the plugin's entry. */
int ud_shell_run(struct ud_session *s);
void ud_shell_forget_lines(struct ud_shell *sh);

/* expr.c: numbers, $registers, symbols, + and -, parentheses. Moves (*text) behind it. */
int ud_expr(struct ukvm *vm, const char **text, uint64_t *value, struct ukvm_error *err);
/* The same, and nothing may follow. */
int ud_expr_whole(struct ukvm *vm, const char *text, uint64_t *value, struct ukvm_error *err);
/* The register (word), or $pc, $sp, $fp by what they are; NULL and (err) if there is none. */
const struct ukvm_reg *ud_register(struct ukvm *vm, const char *word, struct ukvm_error *err);

/* show.c: values, places and instructions as text. */
const char *ud_show_value(char format, unsigned size, uint64_t v, char *buf, size_t len);
/* " <leaf+0x4>", or "" for an address without a symbol. */
const char *ud_show_symbol(struct ud_shell *sh, uint64_t addr, char *buf, size_t len);
/* "leaf+0x4 (crash.c:12)", with the shell's own lines. */
const char *ud_show_place(struct ud_shell *sh, uint64_t addr, char *buf, size_t len);
void ud_show_register(struct ud_shell *sh, const struct ukvm_reg *reg, const uint8_t *bytes);
/* Print the instruction at (addr), marked if it is the next. Its length in (*len). */
int ud_show_insn(struct ud_shell *sh, uint64_t addr, size_t *len, struct ukvm_error *err);

/* complete.c: what (line), up to its end, can go on with: whole words, one a call. */
typedef void ud_complete_fn(void *self, const char *candidate);
/* Returns where the word begins that candidates replace. */
size_t ud_complete(struct ud_shell *sh, const char *line, ud_complete_fn *each, void *self);

/* The commands. */
ud_cmd_fn ud_cmd_start, ud_cmd_run, ud_cmd_continue, ud_cmd_stepi; /* cmd_run.c */
ud_cmd_fn ud_cmd_registers, ud_cmd_print, ud_cmd_x, ud_cmd_xp;     /* cmd_look.c */
ud_cmd_fn ud_cmd_disassemble, ud_cmd_symbols, ud_cmd_info, ud_cmd_hv, ud_cmd_info_image,
    ud_cmd_info_symbol, ud_cmd_info_line; /* cmd_image.c */
ud_cmd_fn ud_cmd_help, ud_cmd_quit;       /* cmd.c */

#endif /* UD_DBG_SHELL_H */
