/* SPDX-License-Identifier: ISC */
/*
 * lines.c: source lines of addresses, from DWARF line tables by libdw. All tables of
 * a file are put in order once, so that a look-up is a binary search. Uses nothing
 * else of the library: it is part of a plugin too.
 */
#include "core/ukvm_debug.h"

#include <elfutils/libdw.h>
#include <dwarf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From (addr) up to the next row's the code is of (line); 0: of none. */
struct row {
    ukvm_gva_t addr;
    uint32_t order; /* as found: of several at one address the last one holds */
    int line;
    const char *file;
};

struct ukvm_lines {
    int fd;
    Dwarf *dwarf; /* owns the files' names */
    struct row *row;
    size_t n, room;
};

/* A debug file of more rows than this is none of a unikernel. */
#define ROWS_MAX (UINT32_C(1) << 27)

static int refuse(struct ukvm_error *err, enum ukvm_code code, const char *path, const char *why)
{
    size_t n = strlen(path);

    if (err) {
        *err = (struct ukvm_error){.code = code};
        snprintf(err->msg, sizeof(err->msg), "%s: %s", n > 100 ? path + n - 100 : path, why);
        for (char *p = err->msg; *p; p++)
            *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
    }
    return code;
}

static bool add_row(struct ukvm_lines *l, ukvm_gva_t addr, int line, const char *file)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 1024;
        struct row *row = room <= ROWS_MAX ? realloc(l->row, room * sizeof(*row)) : NULL;

        if (!row)
            return false;
        l->row = row;
        l->room = room;
    }
    l->row[l->n] = (struct row){addr, (uint32_t)l->n, line, file};
    l->n++;
    return true;
}

/* The rows of one unit; one that libdw can't read has none. False without memory. */
static bool add_unit(struct ukvm_lines *l, Dwarf_Die *unit)
{
    Dwarf_Lines *lines;
    size_t n;

    if (dwarf_getsrclines(unit, &lines, &n) != 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        Dwarf_Line *line = dwarf_onesrcline(lines, i);
        Dwarf_Addr addr;
        const char *file;
        bool end = true;
        int number = 0;

        if (!line || dwarf_lineaddr(line, &addr) != 0 || dwarf_lineendsequence(line, &end) != 0)
            continue;
        file = end ? NULL : dwarf_linesrc(line, NULL, NULL);
        if (!file || dwarf_lineno(line, &number) != 0 || number < 0)
            number = 0;
        if (!add_row(l, addr, number, file))
            return false;
    }
    return true;
}

/* An end of a sequence comes before what begins at its address. */
static int by_address(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;

    if (a->addr != b->addr)
        return a->addr < b->addr ? -1 : 1;
    if (!a->file != !b->file)
        return a->file ? 1 : -1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int read_units(struct ukvm_lines *l, const char *path, struct ukvm_error *err)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die die, split;
    uint8_t type;

    while (dwarf_get_units(l->dwarf, cu, &cu, NULL, &type, &die, &split) == 0)
        if ((type == DW_UT_compile || type == DW_UT_skeleton) &&
            dwarf_tag(&die) == DW_TAG_compile_unit && !add_unit(l, &die))
            return refuse(err, UKVM_ENOMEM, path, "no memory for its line table");
    if (l->n == 0)
        return refuse(err, UKVM_ENOENT, path, "no line table; compile with -g, or --symbols=FILE");
    qsort(l->row, l->n, sizeof(*l->row), by_address);
    return UKVM_OK;
}

static int open_file(struct ukvm_lines *l, const char *path, struct ukvm_error *err)
{
    struct stat st;

    l->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (l->fd < 0 || fstat(l->fd, &st) < 0) {
        int saved = errno;

        refuse(err, UKVM_ESYS, path, strerror(saved));
        if (err)
            err->sys_errno = saved;
        return UKVM_ESYS;
    }
    if (!S_ISREG(st.st_mode))
        return refuse(err, UKVM_EFILE, path, "not a regular file; give an ELF file");
    l->dwarf = dwarf_begin(l->fd, DWARF_C_READ);
    if (!l->dwarf)
        return refuse(err, UKVM_ENOENT, path,
                      "no debug information; compile with -g, or --symbols=FILE");
    return read_units(l, path, err);
}

int ukvm_lines_open(struct ukvm_lines **result, const char *path, struct ukvm_error *err)
{
    struct ukvm_lines *l = calloc(1, sizeof(*l));
    int rc;

    *result = NULL;
    if (!l)
        return refuse(err, UKVM_ENOMEM, path, "no memory for its line table");
    l->fd = -1;
    rc = open_file(l, path, err);
    if (rc != UKVM_OK)
        ukvm_lines_close(l);
    else
        *result = l;
    return rc;
}

void ukvm_lines_close(struct ukvm_lines *l)
{
    if (!l)
        return;
    dwarf_end(l->dwarf);
    if (l->fd >= 0)
        close(l->fd);
    free(l->row);
    free(l);
}

bool ukvm_lines_find(struct ukvm_lines *l, ukvm_gva_t pc, const char **file, int *line)
{
    size_t lo = 0, hi = l ? l->n : 0;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (l->row[mid].addr <= pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || l->row[lo - 1].line == 0)
        return false;
    *file = l->row[lo - 1].file;
    *line = l->row[lo - 1].line;
    return true;
}
