/* SPDX-License-Identifier: ISC */
/*
 * plugin.h: ukvm_dbg.so, loaded on first use: the shell, source lines, disassembly.
 * A run of a healthy guest loads none of it.
 */
#ifndef UD_PLUGIN_H
#define UD_PLUGIN_H

#include "core/ukvm.h"

struct ud_session;

/* What the plugin exports, as `ukvmdbg_dbg`. */
struct ud_dbg {
    unsigned version; /* UD_DBG_VERSION */
    /* The interactive shell over an open session. Returns the exit status. */
    int (*shell)(struct ud_session *s);
    /* "crash.c:12" of (pc), by the lines in file (path). False if there is none. */
    bool (*line)(const char *path, ukvm_gva_t pc, char *buf, size_t size);
    /* The instruction at (pc), as text. False if there is none. */
    bool (*insn)(struct ukvm *vm, ukvm_gva_t pc, char *buf, size_t size);
};
#define UD_DBG_VERSION 2
#define UD_DBG_SYMBOL  "ukvmdbg_dbg"

/* Is there such a plugin, beside the program or in libexec? */
bool ud_plugin_there(const char *file);
/* The shell's plugin; NULL and (err) if there is none. */
const struct ud_dbg *ud_plugin_dbg(struct ukvm_error *err);

#endif /* UD_PLUGIN_H */
