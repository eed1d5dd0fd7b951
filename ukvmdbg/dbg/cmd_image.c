/* SPDX-License-Identifier: ISC */
/*
 * cmd_image.c: commands about code, symbols, the image and the backend.
 */
#include "ukvmdbg/dbg/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- disassemble ----------------------------------------------------------------------- */

#define DEFAULT_COUNT 10
#define MOST_BYTES    4096 /* of a function shown whole */

static int show_until(struct ud_shell *sh, uint64_t addr, uint64_t end, uint64_t count,
                      struct ukvm_error *err)
{
    int rc = UKVM_OK;
    size_t len;

    for (uint64_t i = 0; rc == UKVM_OK && addr < end && i < count; i++) {
        rc = ud_show_insn(sh, addr, &len, err);
        addr += len;
    }
    return rc;
}

/* The function around (addr), if its size is known; else some instructions. */
static int show_function(struct ud_shell *sh, uint64_t addr, struct ukvm_error *err)
{
    const struct ukvm_sym *sym = ukvm_sym_by_addr(sh->s->vm, addr);

    if (sym && sym->size > 0 && sym->size <= MOST_BYTES)
        return show_until(sh, sym->addr, sym->addr + sym->size, UINT64_MAX, err);
    return show_until(sh, addr, UINT64_MAX, DEFAULT_COUNT, err);
}

int ud_cmd_disassemble(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    uint64_t addr, count;
    int rc;

    if (!*args)
        rc = ukvm_pc(sh->s->vm, &addr, err);
    else
        rc = ud_expr(sh->s->vm, &args, &addr, err);
    if (rc != UKVM_OK)
        return rc;
    args += strspn(args, " \t,");
    if (!*args)
        return show_function(sh, addr, err);
    rc = ud_expr_whole(sh->s->vm, args, &count, err);
    return rc == UKVM_OK ? show_until(sh, addr, UINT64_MAX, count, err) : rc;
}

/* --- symbols ---------------------------------------------------------------------------- */

int ud_cmd_symbols(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    const struct ukvm_sym *sym;
    size_t len = strlen(args), n = 0;

    for (size_t i = 0; (sym = ukvm_sym_at(sh->s->vm, i)); i++) {
        if (strncmp(sym->name, args, len) != 0)
            continue;
        ud_out_printf(sh->out, "0x%016" PRIx64 " %c %6" PRIu64 " %s\n", sym->addr, sym->type,
                      sym->size, sym->name);
        n++;
    }
    if (n > 0)
        return UKVM_OK;
    if (!ukvm_sym_at(sh->s->vm, 0))
        return ud_error(err, UKVM_ENOENT, "symbols: the image has none; --symbols=FILE");
    return ud_error(err, UKVM_ENOENT, "symbols %.60s: none begins so; symbols lists all", args);
}

int ud_cmd_info_symbol(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    const struct ukvm_sym *sym;
    char name[128];
    uint64_t addr;
    int rc = ud_expr_whole(sh->s->vm, args, &addr, err);

    if (rc != UKVM_OK)
        return rc;
    sym = ukvm_sym_by_addr(sh->s->vm, addr);
    if (!sym)
        return ud_error(err, UKVM_ENOENT, "info symbol: 0x%" PRIx64 ": no symbol there; symbols",
                        addr);
    ud_out_printf(sh->out, "%s: %s, 0x%" PRIx64 ", %" PRIu64 " bytes\n",
                  ukvm_sym_format(sh->s->vm, addr, name, sizeof(name)),
                  sym->type == 't' || sym->type == 'T' ? "code" : "data", sym->addr, sym->size);
    return UKVM_OK;
}

int ud_cmd_info_line(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    char place[UD_PLACE_MAX];
    uint64_t addr;
    int rc = ud_expr_whole(sh->s->vm, args, &addr, err);

    if (rc != UKVM_OK)
        return rc;
    ud_show_place(sh, addr, place, sizeof(place));
    if (!strchr(place, '('))
        return ud_error(err, UKVM_ENOENT,
                        "info line: 0x%" PRIx64 ": no source line known; build with -g, or "
                        "--symbols=FILE",
                        addr);
    ud_out_printf(sh->out, "0x%" PRIx64 " is at %s\n", addr, place);
    return UKVM_OK;
}

/* --- image and backend ------------------------------------------------------------------ */

static const char *const families[] = {
    [UKVM_ABI_AUTO] = "not known", [UKVM_ABI_B] = "B", [UKVM_ABI_C] = "C"};

static void show_segments(struct ud_shell *sh)
{
    struct ukvm_segment seg;

    for (size_t i = 0; ukvm_segment_at(sh->s->vm, i, &seg) == UKVM_OK; i++)
        ud_out_printf(sh->out, "segment %zu: 0x%" PRIx64 "..0x%" PRIx64 " %c%c%c\n", i, seg.gpa,
                      seg.gpa + seg.memsz, seg.prot & 4 ? 'r' : '-', seg.prot & 2 ? 'w' : '-',
                      seg.prot & 1 ? 'x' : '-');
}

int ud_cmd_info_image(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    struct ukvm *vm = sh->s->vm;
    size_t n = 0;

    (void)args, (void)err;
    while (ukvm_sym_at(vm, n))
        n++;
    ud_out_printf(sh->out, "image: %s\n", ukvm_image_path(vm));
    ud_out_printf(sh->out, "abi: %s, %s\n", families[ukvm_abi(vm)], ukvm_arch_name(vm));
    ud_out_printf(sh->out, "memory: %zu MiB\n", ukvm_hv(vm)->mem_size >> 20);
    show_segments(sh);
    ud_out_printf(sh->out, "build-id: %s\n", ukvm_build_id(vm)[0] ? ukvm_build_id(vm) : "none");
    ud_out_printf(sh->out, "symbols: %zu, from %s\n", n, ukvm_symbols_path(vm));
    if (ukvm_notes(vm)[0])
        ud_out_printf(sh->out, "%s\n", ukvm_notes(vm));
    return UKVM_OK;
}

int ud_cmd_hv(struct ud_shell *sh, const char *args, struct ukvm_error *err)
{
    int rc = UKVM_OK;

    if (*args)
        rc = ukvm_switch(sh->s->vm, args, err);
    if (rc != UKVM_OK)
        return rc;
    if (*args) {
        snprintf(sh->hv, sizeof(sh->hv), "%s", args);
        sh->s->hv = sh->hv;
    }
    ud_out_printf(sh->out, "hv: %s\n", ukvm_backend(sh->s->vm));
    return UKVM_OK;
}
