/* SPDX-License-Identifier: ISC */
/*
 * shows.c: instructions that a guest without privilege executes without a trap, but with
 * another result than with it: what a processor shows of the privilege level (SDM vol. 3,
 * 5.9, and each instruction in vol. 2). A table.
 */
#include "arch/x86_64/x86.h"

#define REG(n) (1u << (n))

static const struct {
    uint8_t map, first, last;
    uint8_t regs;  /* set of ModRM.reg values, 0: any */
    uint8_t modrm; /* the one ModRM byte, 0: any */
    const char *what;
} rows[] = {
    {UK_X86_MAP_1, 0x8c, 0x8c, 0, 0, "mov from a segment register: selectors are a process's"},
    {UK_X86_MAP_1, 0x9c, 0x9c, 0, 0, "pushf: IF is always 1"},
    {UK_X86_MAP_1, 0x9d, 0x9d, 0, 0, "popf: IF stays as it is"},
    {UK_X86_MAP_0F, 0x00, 0x00, REG(0), 0, "sldt: the host's value"},
    {UK_X86_MAP_0F, 0x00, 0x00, REG(1), 0, "str: the host's value"},
    {UK_X86_MAP_0F, 0x00, 0x00, REG(4) | REG(5), 0, "verr, verw: the host's segments"},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, 0xca, "clac: an invalid opcode"},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, 0xcb, "stac: an invalid opcode"},
    {UK_X86_MAP_0F, 0x01, 0x01, 0, 0xd0, "xgetbv: works, whatever CR4.OSXSAVE"},
    {UK_X86_MAP_0F, 0x01, 0x01, REG(0), 0, "sgdt: the host's value"},
    {UK_X86_MAP_0F, 0x01, 0x01, REG(1), 0, "sidt: the host's value"},
    {UK_X86_MAP_0F, 0x01, 0x01, REG(4), 0, "smsw: the host's value"},
    {UK_X86_MAP_0F, 0x02, 0x03, 0, 0, "lar, lsl: the host's segments"},
    {UK_X86_MAP_0F, 0x05, 0x05, 0, 0, "syscall: an invalid opcode, RCX and R11 lost"},
    {UK_X86_MAP_0F, 0x33, 0x33, 0, 0, "rdpmc: a general protection fault"},
    {UK_X86_MAP_0F, 0x34, 0x34, 0, 0, "sysenter: an invalid opcode"},
};

const char *uk_x86_shows(const uint8_t *insn, size_t len, size_t *used)
{
    static const struct ukvm_x86_state none;
    struct ukvm_mem_access acc[1];
    struct uk_x86_insn i;

    uk_x86_accesses((const struct ukvm_state *)(const void *)&none, insn, len, acc, 1, used);
    if (!uk_x86_insn_opcode(&i, insn, len))
        return NULL;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        uint8_t modrm = i.at < i.n ? insn[i.at] : 0;

        if (rows[k].map == i.map && i.op >= rows[k].first && i.op <= rows[k].last &&
            (!rows[k].regs || rows[k].regs >> ((modrm >> 3) & 7) & 1) &&
            (!rows[k].modrm || rows[k].modrm == modrm))
            return rows[k].what;
    }
    return NULL;
}
