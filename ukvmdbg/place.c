/* SPDX-License-Identifier: ISC */
/*
 * place.c: where an address is, for people. The symbol costs nothing more; the line
 * loads the plugin.
 */
#include "ukvmdbg/session.h"

#include <stdio.h>
#include <string.h>

const char *ud_place(const struct ukvm *vm, ukvm_gva_t pc, char *buf, size_t size)
{
    const struct ud_dbg *dbg = ud_plugin_dbg(&(struct ukvm_error){0});
    char line[128];
    size_t used;

    ukvm_sym_format(vm, pc, buf, size);
    used = strlen(buf);
    if (dbg && dbg->line(ukvm_symbols_path(vm), pc, line, sizeof(line)))
        snprintf(buf + used, size - used, " (%s)", line);
    return buf;
}
