/* SPDX-License-Identifier: ISC */
/*
 * disasm.c: instructions as text, by Capstone. Uses nothing else of the library: it
 * is part of a plugin too.
 */
#include "core/ukvm_debug.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    cs_arch arch;
    cs_mode mode;
} archs[] = {
    {"x86_64", CS_ARCH_X86, CS_MODE_64},
    {"aarch64", CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN},
};

static bool open_arch(const char *name, csh *handle)
{
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
        if (strcmp(archs[i].name, name) == 0)
            return cs_open(archs[i].arch, archs[i].mode, handle) == CS_ERR_OK;
    return false;
}

size_t ukvm_disasm(const char *arch, const uint8_t *bytes, size_t len, ukvm_gva_t pc, char *buf,
                   size_t size)
{
    cs_insn *insn;
    size_t n = 0;
    csh handle;

    if (size > 0)
        buf[0] = '\0';
    if (!open_arch(arch, &handle))
        return 0;
    if (cs_disasm(handle, bytes, len, pc, 1, &insn) == 1) {
        n = insn->size;
        snprintf(buf, size, "%s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "", insn->op_str);
        cs_free(insn, 1);
    }
    cs_close(&handle);
    return n;
}
