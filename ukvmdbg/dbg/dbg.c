/* SPDX-License-Identifier: ISC */
/*
 * dbg.c: what ukvm_dbg.so gives the program.
 */
#include "ukvmdbg/dbg/shell.h"

#include <stdio.h>
#include <string.h>

static bool line_of(const char *path, ukvm_gva_t pc, char *buf, size_t size)
{
    struct ukvm_lines *lines;
    const char *file;
    bool found;
    int line;

    if (ukvm_lines_open(&lines, path, &(struct ukvm_error){0}) != UKVM_OK)
        return false;
    found = ukvm_lines_find(lines, pc, &file, &line);
    if (found) {
        const char *slash = strrchr(file, '/');

        snprintf(buf, size, "%s:%d", slash ? slash + 1 : file, line);
    }
    ukvm_lines_close(lines);
    return found;
}

static bool insn_at(struct ukvm *vm, ukvm_gva_t pc, char *buf, size_t size)
{
    uint8_t bytes[16];
    size_t n = 0;

    ukvm_peek(vm, UKVM_VIRT, pc, bytes, sizeof(bytes), &n, NULL);
    return n > 0 && ukvm_disasm(ukvm_arch_name(vm), bytes, n, pc, buf, size) > 0;
}

extern const struct ud_dbg ukvmdbg_dbg;
UD_SHARED const struct ud_dbg ukvmdbg_dbg = {UD_DBG_VERSION, ud_shell_run, line_of, insn_at};
