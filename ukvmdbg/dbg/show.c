/* SPDX-License-Identifier: ISC */
/*
 * show.c: values, registers, places and instructions as text. Knows no terminal.
 */
#include "ukvmdbg/dbg/shell.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t sign(uint64_t v, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(v << shift) >> shift;
}

static const char *binary(uint64_t v, char *buf, size_t len)
{
    size_t n = 0;
    int bit = 63;

    while (bit > 0 && !(v >> bit & 1))
        bit--;
    for (; bit >= 0 && n + 1 < len; bit--)
        buf[n++] = v >> bit & 1 ? '1' : '0';
    buf[n] = '\0';
    return buf;
}

static const char *character(uint64_t v, char *buf, size_t len)
{
    unsigned c = v & 0xff;

    snprintf(buf, len, c >= 0x20 && c < 0x7f ? "%u '%c'" : "%u '\\%03o'", c, c);
    return buf;
}

const char *ud_show_value(char format, unsigned size, uint64_t v, char *buf, size_t len)
{
    if (format == 't')
        return binary(v, buf, len);
    if (format == 'c')
        return character(v, buf, len);
    if (format == 'd')
        snprintf(buf, len, "%" PRId64, sign(v, size));
    else if (format == 'u')
        snprintf(buf, len, "%" PRIu64, v);
    else if (format == 'o')
        snprintf(buf, len, "0%" PRIo64, v);
    else if (format == 'a')
        snprintf(buf, len, "0x%" PRIx64, v);
    else
        snprintf(buf, len, "0x%0*" PRIx64, (int)(2 * size), v);
    return buf;
}

const char *ud_show_symbol(struct ud_shell *sh, uint64_t addr, char *buf, size_t len)
{
    char name[128];

    buf[0] = '\0';
    if (ukvm_sym_by_addr(sh->s->vm, addr))
        snprintf(buf, len, " <%s>", ukvm_sym_format(sh->s->vm, addr, name, sizeof(name)));
    return buf;
}

void ud_shell_forget_lines(struct ud_shell *sh)
{
    if (sh->lines)
        ukvm_lines_close(sh->lines);
    sh->lines = NULL;
    sh->lines_tried = false;
}

const char *ud_show_place(struct ud_shell *sh, uint64_t addr, char *buf, size_t len)
{
    struct ukvm_error err;
    const char *file;
    size_t used;
    int line;

    ukvm_sym_format(sh->s->vm, addr, buf, len);
    if (!sh->lines_tried) {
        sh->lines_tried = true;
        if (ukvm_lines_open(&sh->lines, ukvm_symbols_path(sh->s->vm), &err) != UKVM_OK)
            sh->lines = NULL;
    }
    if (!sh->lines || !ukvm_lines_find(sh->lines, addr, &file, &line))
        return buf;
    if (strrchr(file, '/'))
        file = strrchr(file, '/') + 1;
    used = strlen(buf);
    snprintf(buf + used, len - used, " (%s:%d)", file, line);
    return buf;
}

/* --- registers ----------------------------------------------------------------------- */

/* The letters of x86's flags (Intel SDM vol. 1, 3.4.3). */
static const struct {
    const char *name;
    unsigned bit;
} flags[] = {
    {"CF", 0},  {"PF", 2},  {"AF", 4},  {"ZF", 6},  {"SF", 7},  {"TF", 8},  {"IF", 9},
    {"DF", 10}, {"OF", 11}, {"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"ID", 21},
};

static void show_flags(struct ud_shell *sh, uint64_t v)
{
    ud_out_printf(sh->out, "0x%-17" PRIx64 "[", v);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (v >> flags[i].bit & 1)
            ud_out_printf(sh->out, " %s", flags[i].name);
    ud_out_printf(sh->out, " ]\n");
}

static void show_wide(struct ud_shell *sh, const struct ukvm_reg *reg, const uint8_t *bytes)
{
    ud_out_printf(sh->out, "0x");
    for (unsigned i = reg->size; i-- > 0;)
        ud_out_printf(sh->out, "%02x", bytes[i]);
    ud_out_printf(sh->out, "\n");
}

static bool is_address(const struct ukvm_reg *reg)
{
    return (reg->flags & (UKVM_REG_PC | UKVM_REG_SP | UKVM_REG_FP)) ||
           (reg->type && strstr(reg->type, "_ptr"));
}

void ud_show_register(struct ud_shell *sh, const struct ukvm_reg *reg, const uint8_t *bytes)
{
    char symbol[160];
    uint64_t v = 0;

    ud_out_printf(sh->out, "%-14s ", reg->name);
    if (reg->size > 8) {
        show_wide(sh, reg, bytes);
        return;
    }
    for (unsigned i = 0; i < reg->size; i++)
        v |= (uint64_t)bytes[i] << (8 * i);
    if ((reg->flags & UKVM_REG_FLAGS) && reg->type && strcmp(reg->type, "i386_eflags") == 0)
        show_flags(sh, v);
    else if (is_address(reg) && ud_show_symbol(sh, v, symbol, sizeof(symbol))[0])
        ud_out_printf(sh->out, "0x%-17" PRIx64 "%s\n", v, symbol + 1);
    else
        ud_out_printf(sh->out, "0x%-17" PRIx64 "%" PRId64 "\n", v, sign(v, reg->size));
}

/* --- instructions --------------------------------------------------------------------- */

/* " <leaf>" of a branch's target: an operand that is an address and nothing else. */
static const char *target(struct ud_shell *sh, const char *text, char *buf, size_t len)
{
    const char *operand = strchr(text, ' ');
    char *end;
    uint64_t addr;

    buf[0] = '\0';
    if (!operand || strncmp(operand, " 0x", 3) != 0)
        return buf;
    addr = strtoull(operand + 1, &end, 16);
    return *end ? buf : ud_show_symbol(sh, addr, buf, len);
}

int ud_show_insn(struct ud_shell *sh, uint64_t addr, size_t *len, struct ukvm_error *err)
{
    char symbol[160], text[160], to[160];
    uint8_t bytes[16];
    ukvm_gva_t pc;
    size_t n;
    int rc = ukvm_peek(sh->s->vm, UKVM_VIRT, addr, bytes, sizeof(bytes), &n, err);

    if (rc != UKVM_OK && n == 0)
        return rc;
    rc = ukvm_pc(sh->s->vm, &pc, err);
    if (rc != UKVM_OK)
        return rc;
    *len = ukvm_disasm(ukvm_arch_name(sh->s->vm), bytes, n, addr, text, sizeof(text));
    if (*len == 0) {
        snprintf(text, sizeof(text), "(no instruction: %02x)", bytes[0]);
        *len = 1;
    }
    ud_out_printf(sh->out, "%s 0x%" PRIx64 "%s: %s%s\n", addr == pc ? "=>" : "  ", addr,
                  ud_show_symbol(sh, addr, symbol, sizeof(symbol)), text,
                  target(sh, text, to, sizeof(to)));
    return UKVM_OK;
}
