/* SPDX-License-Identifier: ISC */
/*
 * elfimage.c: unikernel images made in memory; see elfimage.h.
 */
#include "tests/support/elfimage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OFF(member) offsetof(struct elfimage_file, member)

static void header(struct elfimage_file *f)
{
    f->eh = (Elf64_Ehdr){
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ELFIMAGE_TEXT,
        .e_phoff = OFF(ph),
        .e_shoff = OFF(sh),
        .e_ehsize = sizeof(f->eh),
        .e_phentsize = sizeof(f->ph[0]),
        .e_phnum = ELFIMAGE_NPH,
        .e_shentsize = sizeof(f->sh[0]),
        .e_shnum = ELFIMAGE_NSH,
        .e_shstrndx = ELFIMAGE_SH_SHSTRTAB,
    };
    memcpy(f->eh.e_ident, ELFMAG, SELFMAG);
    f->eh.e_ident[EI_CLASS] = ELFCLASS64;
    f->eh.e_ident[EI_DATA] = ELFDATA2LSB;
    f->eh.e_ident[EI_VERSION] = EV_CURRENT;
}

static Elf64_Phdr load(uint32_t flags, uint64_t addr, uint64_t off, uint64_t filesz, uint64_t memsz)
{
    return (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = flags,
        .p_offset = off,
        .p_vaddr = addr,
        .p_paddr = addr,
        .p_filesz = filesz,
        .p_memsz = memsz,
        .p_align = 0x1000,
    };
}

static void segments(struct elfimage_file *f)
{
    f->ph[ELFIMAGE_PH_TEXT] =
        load(PF_R | PF_X, ELFIMAGE_TEXT, OFF(text), sizeof(f->text), sizeof(f->text));
    f->ph[ELFIMAGE_PH_RODATA] =
        load(PF_R, ELFIMAGE_RODATA, OFF(rodata), sizeof(f->rodata), sizeof(f->rodata));
    f->ph[ELFIMAGE_PH_DATA] =
        load(PF_R | PF_W, ELFIMAGE_DATA, OFF(data), sizeof(f->data), ELFIMAGE_END - ELFIMAGE_DATA);
    f->ph[ELFIMAGE_PH_NOTE] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = OFF(note)};
}

/* Append (name) to the section names; its offset. */
static uint32_t section_name(struct elfimage_file *f, const char *name)
{
    size_t n = 1;

    while (f->shstr[n])
        n += strlen(f->shstr + n) + 1;
    strcpy(f->shstr + n, name);
    return (uint32_t)n;
}

static void section(struct elfimage_file *f, size_t i, const char *name, Elf64_Shdr sh)
{
    sh.sh_name = section_name(f, name);
    sh.sh_addralign = 1;
    f->sh[i] = sh;
}

static void sections(struct elfimage_file *f)
{
    section(f, ELFIMAGE_SH_TEXT, ".text",
            (Elf64_Shdr){.sh_type = SHT_PROGBITS,
                         .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                         .sh_addr = ELFIMAGE_TEXT,
                         .sh_offset = OFF(text),
                         .sh_size = sizeof(f->text)});
    section(f, ELFIMAGE_SH_DATA, ".data",
            (Elf64_Shdr){.sh_type = SHT_PROGBITS,
                         .sh_flags = SHF_ALLOC | SHF_WRITE,
                         .sh_addr = ELFIMAGE_DATA,
                         .sh_offset = OFF(data),
                         .sh_size = sizeof(f->data)});
    section(f, ELFIMAGE_SH_NOTE, ".note",
            (Elf64_Shdr){.sh_type = SHT_NOTE, .sh_offset = OFF(note)});
    section(f, ELFIMAGE_SH_SYMTAB, ".symtab",
            (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                         .sh_offset = OFF(sym),
                         .sh_size = sizeof(f->sym[0]),
                         .sh_link = ELFIMAGE_SH_STRTAB,
                         .sh_entsize = sizeof(f->sym[0])});
    section(f, ELFIMAGE_SH_STRTAB, ".strtab",
            (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = OFF(str), .sh_size = sizeof(f->str)});
    section(
        f, ELFIMAGE_SH_SHSTRTAB, ".shstrtab",
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = OFF(shstr), .sh_size = sizeof(f->shstr)});
}

void elfimage_symbol(struct elfimage *im, const char *name, uint64_t addr, uint64_t size,
                     unsigned char info, uint16_t shndx)
{
    if (im->nsyms == sizeof(im->file.sym) / sizeof(im->file.sym[0]) ||
        im->nstr + strlen(name) >= sizeof(im->file.str))
        abort();
    im->file.sym[im->nsyms++] = (Elf64_Sym){.st_name = (uint32_t)im->nstr,
                                            .st_info = info,
                                            .st_shndx = shndx,
                                            .st_value = addr,
                                            .st_size = size};
    strcpy(im->file.str + im->nstr, name);
    im->nstr += strlen(name) + 1;
    im->file.sh[ELFIMAGE_SH_SYMTAB].sh_size = im->nsyms * sizeof(im->file.sym[0]);
}

void elfimage_note(struct elfimage *im, const char *owner, uint32_t type, const void *desc,
                   uint32_t n)
{
    Elf64_Nhdr h = {.n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = n, .n_type = type};
    size_t at = sizeof(h) + (h.n_namesz + 3) / 4 * 4, len = at + n;

    if (len > sizeof(im->file.note))
        abort();
    memset(im->file.note, 0, sizeof(im->file.note));
    memcpy(im->file.note, &h, sizeof(h));
    memcpy(im->file.note + sizeof(h), owner, h.n_namesz);
    memcpy(im->file.note + at, desc, n);
    im->file.ph[ELFIMAGE_PH_NOTE].p_filesz = im->file.ph[ELFIMAGE_PH_NOTE].p_memsz = len;
    im->file.sh[ELFIMAGE_SH_NOTE].sh_size = len;
}

void elfimage_make(struct elfimage *im, enum ukvm_abi abi)
{
    static const uint8_t code_b[] = {0xba, 0x01, 0x05, 0, 0, 0xef, 0xf4};
    static const uint8_t code_c[] = {0xba, 0x0a, 0x05, 0, 0, 0xef, 0xf4};
    struct elfimage_file *f = &im->file;
    uint8_t id[20];

    memset(im, 0, sizeof(*im));
    im->size = sizeof(*f);
    im->nsyms = im->nstr = 1;
    header(f);
    segments(f);
    sections(f);
    for (size_t i = 0; i < sizeof(id); i++)
        id[i] = (uint8_t)i;
    elfimage_note(im, ELF_NOTE_GNU, NT_GNU_BUILD_ID, id, sizeof(id));
    memset(f->text, 0x90, sizeof(f->text));
    memset(f->data, 0x55, sizeof(f->data));
    if (abi == UKVM_ABI_B) {
        memcpy(f->text, code_b, sizeof(code_b));
        strcpy(f->rodata, "solo5_app_main() returned with %d\n");
    } else if (abi == UKVM_ABI_C) {
        memcpy(f->text, code_c, sizeof(code_c));
        strcpy(f->rodata, "solo5_exit(%d) called\n");
    }
    elfimage_symbol(im, "_start", ELFIMAGE_TEXT, 32, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                    ELFIMAGE_SH_TEXT);
    elfimage_symbol(im, "counter", ELFIMAGE_DATA + 8, 8, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT),
                    ELFIMAGE_SH_DATA);
}

void elfimage_strip(struct elfimage *im)
{
    im->file.sh[ELFIMAGE_SH_SYMTAB].sh_type = SHT_NULL;
}

void elfimage_strip_sections(struct elfimage *im)
{
    im->file.eh.e_shoff = 0;
    im->file.eh.e_shnum = im->file.eh.e_shstrndx = 0;
}

void elfimage_debug(struct elfimage *im)
{
    section(&im->file, ELFIMAGE_SH_LINE, ".debug_line",
            (Elf64_Shdr){
                .sh_type = SHT_PROGBITS, .sh_offset = OFF(line), .sh_size = sizeof(im->file.line)});
}

void elfimage_link(struct elfimage *im, const char *name, uint32_t crc)
{
    size_t at = (strlen(name) + 4) / 4 * 4;

    if (at + sizeof(crc) > sizeof(im->file.link))
        abort();
    strcpy(im->file.link, name);
    memcpy(im->file.link + at, &crc, sizeof(crc));
    section(
        &im->file, ELFIMAGE_SH_LINK, ".gnu_debuglink",
        (Elf64_Shdr){.sh_type = SHT_PROGBITS, .sh_offset = OFF(link), .sh_size = at + sizeof(crc)});
}

void elfimage_write(const struct elfimage *im, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, &im->file, im->size) != (ssize_t)im->size || close(fd) != 0)
        abort();
}

bool elfimage_seed(struct elfimage *im, size_t i)
{
    static const enum ukvm_abi abis[] = {UKVM_ABI_C, UKVM_ABI_B, UKVM_ABI_AUTO};
    static const uint32_t hvt[] = {1, 2, 0, 0};
    const uint8_t variant = (uint8_t)(i / 3);

    elfimage_make(im, abis[i % 3]);
    if (variant == 1)
        elfimage_strip(im);
    if (variant == 1)
        elfimage_link(im, "x.debug", 0x12345678);
    if (variant == 2)
        elfimage_strip_sections(im);
    if (variant == 3)
        elfimage_debug(im);
    if (variant == 4)
        elfimage_note(im, "Solo5", 0x31494241, hvt, sizeof(hvt));
    for (uint64_t k = 0; variant == 3 && k < 8; k++)
        elfimage_symbol(im, &"f_0123456"[k], ELFIMAGE_TEXT + 4 * k, k % 3 * 8,
                        ELF64_ST_INFO(k % 2, k % 3), ELFIMAGE_SH_TEXT);
    return variant < 5;
}
