/* SPDX-License-Identifier: ISC */
/*
 * x86_64_insn.c: what the emulator backend must know of instructions before they
 * run, told from their bytes alone: 64-bit code only.
 */
#include "hv/emu/emu.h"

enum { PREFIX = 1, PORT = 2, TWO_BYTE = 4 };

/* Legacy prefixes and REX (SDM vol. 2, 2.1.1, 2.2.1); IN, OUT, INS, OUTS, HLT. */
static unsigned kind(uint8_t op)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};

    for (size_t i = 0; i < sizeof(prefixes); i++)
        if (op == prefixes[i])
            return PREFIX;
    if ((op & 0xf0) == 0x40)
        return PREFIX;
    if ((op & 0xfc) == 0x6c || (op & 0xf4) == 0xe4 || op == 0xf4)
        return PORT;
    return op == 0x0f ? TWO_BYTE : 0;
}

static bool odd_second(uint8_t op)
{
    return op == 0x01 || op == 0x22 || op == 0x30 || op == 0x31;
}

void uk_emu_x86_odd(uint32_t *odd, uint32_t *prefix)
{
    for (unsigned op = 0; op < 256; op++)
        if (kind((uint8_t)op) == PREFIX)
            prefix[op / 32] |= 1u << (op % 32);
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        uint8_t first = (uint8_t)pair, second = (uint8_t)(pair >> 8);
        unsigned k = kind(first);
        bool is =
            k == PORT || (k == TWO_BYTE && odd_second(second)) || (k == PREFIX && kind(second));

        if (is)
            odd[pair / 32] |= 1u << (pair % 32);
    }
}

/* The opcode's index: the prefixes are skipped. */
static size_t opcode(const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (i < n && kind(p[i]) == PREFIX)
        i++;
    return i;
}

enum emu_insn uk_emu_x86_class(const uint8_t *p, size_t n)
{
    size_t i = opcode(p, n);

    if (i == n)
        return EMU_PLAIN;
    if (kind(p[i]) == PORT)
        return EMU_TRAPS;
    if (p[i] != 0x0f || i + 1 == n || !odd_second(p[i + 1]))
        return EMU_PLAIN;
    if (p[i + 1] == 0x31) /* RDTSC */
        return EMU_TRAPS;
    if (p[i + 1] != 0x01) /* MOV CRn, WRMSR */
        return EMU_REMAP;
    if (i + 2 == n)
        return EMU_PLAIN;
    if (p[i + 2] == 0xf9) /* RDTSCP */
        return EMU_TRAPS;
    return (p[i + 2] & 0xc0) != 0xc0 && (p[i + 2] & 0x38) == 0x38 ? EMU_REMAP : EMU_PLAIN;
}

bool uk_emu_x86_jumps(const uint8_t *p, size_t n)
{
    size_t i = opcode(p, n);
    uint8_t op, next;

    if (i == n)
        return false;
    op = p[i];
    next = i + 1 < n ? p[i + 1] : 0;
    if ((op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0) /* Jcc, LOOP, JRCXZ */
        return true;
    if (op == 0xe8 || op == 0xe9 || op == 0xeb) /* CALL, JMP */
        return true;
    if ((op & 0xf6) == 0xc2 || op == 0xcf) /* RET, IRET */
        return true;
    if (op == 0xff) /* CALL, JMP through a register or memory */
        return ((next >> 3) & 7) >= 2 && ((next >> 3) & 7) <= 5;
    return op == 0x0f &&
           ((next & 0xf0) == 0x80 || next == 0x05 || next == 0x07 || next == 0x34 || next == 0x35);
}

/* The first opcode byte, 0 if there is none; (*at): where it stands. */
uint8_t uk_emu_x86_opcode(const uint8_t *p, size_t n, size_t *at)
{
    *at = opcode(p, n);
    return *at < n ? p[*at] : 0;
}
