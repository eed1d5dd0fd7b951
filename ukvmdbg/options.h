/* SPDX-License-Identifier: ISC */
/*
 * options.h: the command line as two tables, commands and options, and what was
 * asked for. Knows no machine.
 */
#ifndef UD_OPTIONS_H
#define UD_OPTIONS_H

#include "core/ukvm.h"
#include "ukvmdbg/out.h"

enum ud_command {
    UD_SHELL,
    UD_RUN,
    UD_PROBE,
    UD_GDB,
    UD_GDB_FILES,
    UD_TRACE,
    UD_STAT,
    UD_RECORD,
    UD_REPLAY,
    UD_DIFF,
    UD_INFO,
    UD_CORE,
    UD_SITES,
    UD_NCOMMANDS
};

/* Exit statuses that are ours, and none of the guest's. */
enum {
    UD_STATUS_TIMEOUT = 124,
    UD_STATUS_OURS = 125, /* an error of ours, or of usage */
    UD_STATUS_NOT_LOADABLE = 126,
    UD_STATUS_NO_IMAGE = 127,
    UD_STATUS_FAULT = 139,
};

#define UD_MAX_SCRIPTS 64

/* A command line for the shell, or a file of them. */
struct ud_script {
    bool is_file;
    const char *text;
};

/* What was asked for. Strings are the command line's own. */
struct ud_options {
    enum ud_command command;
    bool help, version;

    const char *image; /* NULL: none given */
    int guest_argc;
    char **guest_argv;
    int own_argc; /* the program's own options, from the command line as it was */
    char **own_argv;

    const char *hv; /* NULL: auto */
    const char *symbols, *disk, *net, *net_mac, *pcap;
    size_t mem_size; /* bytes; 0: the default */
    enum ukvm_abi abi;
    bool nx;
    bool low_memory_original;
    int64_t timeout_ns; /* 0: none */
    enum ud_color color;

    struct ud_script script[UD_MAX_SCRIPTS];
    size_t nscripts;
    bool batch;
    bool json;
};

enum ud_argument { UD_ARG_NONE, UD_ARG_NEEDED, UD_ARG_MAYBE };

/* (value) is NULL without one. 0 or a negative code and why in (err). */
typedef int ud_apply_fn(struct ud_options *o, const char *value, struct ukvm_error *err);

struct ud_option {
    const char *name;          /* without dashes; one letter: one dash */
    unsigned commands;         /* bit (1 << enum ud_command) for each that takes it */
    enum ud_argument argument; /* MAYBE: only after "=" */
    const char *value;         /* the argument's name in help */
    const char *help;          /* one line */
    ud_apply_fn *apply;        /* NULL: not yet */
    bool one_dash;             /* "-ex" as well as "--ex" */
};

struct ud_command_row {
    const char *name;
    const char *args; /* as in help: "IMAGE [ARGS]" */
    const char *task; /* the line of the help screen */
    bool images;      /* takes an image, and its guest what follows it */
    bool ready;       /* false: not yet */
};

extern const struct ud_command_row ud_commands[UD_NCOMMANDS];
extern const struct ud_option ud_options[]; /* ends with a NULL name */

/* Read the command line. Negative: (err) says which word and why. */
int ud_options_parse(struct ud_options *o, int argc, char **argv, struct ukvm_error *err);

/* The screen of help by task; the help of a command. */
void ud_help_screen(struct ud_out *out);
void ud_help_command(struct ud_out *out, enum ud_command c);
/* Version and which optional parts are there, and what their absence costs. */
void ud_help_version(struct ud_out *out);

/* values.c: what options mean; each is an option's apply. */
ud_apply_fn ud_value_help, ud_value_version, ud_value_hv, ud_value_mem, ud_value_abi,
    ud_value_symbols, ud_value_disk, ud_value_net, ud_value_net_mac, ud_value_pcap,
    ud_value_timeout, ud_value_low_memory, ud_value_nx, ud_value_color, ud_value_file, ud_value_ex,
    ud_value_batch, ud_value_json;

#endif /* UD_OPTIONS_H */
