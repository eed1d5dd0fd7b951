/* SPDX-License-Identifier: ISC */
/*
 * elfimage.h: unikernel images made in memory, for tests to spoil: code, read-only
 * data, data, a build-id note, symbols. The file is the struct, byte for byte.
 */
#ifndef UKVM_TESTS_ELFIMAGE_H
#define UKVM_TESTS_ELFIMAGE_H

#include <elf.h>

#include "core/ukvm.h"

#define ELFIMAGE_TEXT   0x100000u
#define ELFIMAGE_RODATA 0x101000u
#define ELFIMAGE_DATA   0x102000u
#define ELFIMAGE_END    0x102800u /* of .bss */

enum { ELFIMAGE_PH_TEXT, ELFIMAGE_PH_RODATA, ELFIMAGE_PH_DATA, ELFIMAGE_PH_NOTE, ELFIMAGE_NPH };
enum {
    ELFIMAGE_SH_NULL,
    ELFIMAGE_SH_TEXT,
    ELFIMAGE_SH_DATA,
    ELFIMAGE_SH_NOTE,
    ELFIMAGE_SH_SYMTAB,
    ELFIMAGE_SH_STRTAB,
    ELFIMAGE_SH_SHSTRTAB,
    ELFIMAGE_SH_LINK, /* no section yet: see elfimage_link() */
    ELFIMAGE_SH_LINE, /* no section yet: see elfimage_debug() */
    ELFIMAGE_NSH
};

struct elfimage {
    size_t size; /* bytes of (file) that are written */
    size_t nsyms, nstr;
    struct elfimage_file {
        Elf64_Ehdr eh;
        Elf64_Phdr ph[20]; /* the first ELFIMAGE_NPH are used */
        Elf64_Shdr sh[ELFIMAGE_NSH];
        Elf64_Sym sym[32];
        char str[512], shstr[128];
        uint8_t note[64];
        char link[32];
        uint8_t line[16];
        uint8_t text[64];
        char rodata[64];
        uint8_t data[32];
    } file;
};

_Static_assert(sizeof(struct elfimage_file) == 0xd70, "tests know this size");

/* An image of family B or C, or for UKVM_ABI_AUTO one without marks; with two symbols:
 * _start (32 bytes of code) and counter (8 bytes of data). */
void elfimage_make(struct elfimage *im, enum ukvm_abi abi);
void elfimage_symbol(struct elfimage *im, const char *name, uint64_t addr, uint64_t size,
                     unsigned char info, uint16_t section);
/* Replace the note; by default it is GNU's build-id 00 01 .. 13. */
void elfimage_note(struct elfimage *im, const char *owner, uint32_t type, const void *desc,
                   uint32_t n);
void elfimage_strip(struct elfimage *im);          /* no symbols */
void elfimage_strip_sections(struct elfimage *im); /* no section headers at all */
void elfimage_debug(struct elfimage *im);          /* a .debug_line section (not a valid one) */
/* A .gnu_debuglink section to (name) of checksum (crc). */
void elfimage_link(struct elfimage *im, const char *name, uint32_t crc);
void elfimage_write(const struct elfimage *im, const char *path);

/* Sound images of all kinds, as seeds of mutations; false past the last. */
bool elfimage_seed(struct elfimage *im, size_t i);

#endif /* UKVM_TESTS_ELFIMAGE_H */
