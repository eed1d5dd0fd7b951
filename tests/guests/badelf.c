/* SPDX-License-Identifier: ISC */
/*
 * Writes ELF files that break one rule of loading each, NAME.elf for each row of the table below,
 * into the folder given; `badelf --list` prints "NAME VERDICT WHAT" lines instead. Needs nothing
 * of the tree and no ELF library.
 *
 * Verdicts: refuse: can't be loaded; run: prints "fine" and ends with 0; fault: loads, and the
 * guest fails at once; any: whatever a loader decides, but it must say it in a line.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT      0x100000ul
#define DATA      0x102000ul
#define MEMORY    0x20000000ul
#define FILE_SIZE 0x3000

/* A file being made; what lies in it is at fixed places so that rows can change it by name. */
struct file {
    union {
        Elf64_Ehdr ehdr;
        uint8_t bytes[FILE_SIZE];
    };
    Elf64_Phdr *text, *data, *stack, *spare;
    size_t size;
};

static void put(struct file *f, size_t at, const void *from, size_t n)
{
    memcpy(f->bytes + at, from, n);
}

static void segment(Elf64_Phdr *p, uint32_t flags, uint64_t offset, uint64_t addr, uint64_t memsz)
{
    *p = (Elf64_Phdr){.p_type = PT_LOAD,
                      .p_flags = flags,
                      .p_offset = offset,
                      .p_vaddr = addr,
                      .p_paddr = addr,
                      .p_filesz = memsz < 0x100 ? memsz : 0x100,
                      .p_memsz = memsz,
                      .p_align = 0x1000};
}

/* A good family C image: puts "fine\n", halts with 0. */
static void good(struct file *f)
{
    static const uint8_t code[] = {
        0xBA, 0x02, 0x05, 0x00, 0x00, /* mov $0x502, %edx */
        0xB8, 0x00, 0x20, 0x10, 0x00, /* mov $DATA, %eax */
        0xEF,                         /* out %eax, (%dx) */
        0xBA, 0x0A, 0x05, 0x00, 0x00, /* mov $0x50a, %edx */
        0xB8, 0x10, 0x20, 0x10, 0x00, /* mov $DATA + 16, %eax */
        0xEF,                         /* out %eax, (%dx) */
        0xEB, 0xFE,                   /* jmp . */
    };
    static const uint64_t arguments[4] = {DATA + 32, 5, 0, 0};

    memset(f->bytes, 0, sizeof f->bytes);
    memcpy(f->ehdr.e_ident, ELFMAG, SELFMAG);
    f->ehdr.e_ident[EI_CLASS] = ELFCLASS64;
    f->ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
    f->ehdr.e_ident[EI_VERSION] = EV_CURRENT;
    f->ehdr.e_type = ET_EXEC;
    f->ehdr.e_machine = EM_X86_64;
    f->ehdr.e_version = EV_CURRENT;
    f->ehdr.e_entry = TEXT;
    f->ehdr.e_phoff = sizeof f->ehdr;
    f->ehdr.e_ehsize = sizeof f->ehdr;
    f->ehdr.e_phentsize = sizeof(Elf64_Phdr);
    f->ehdr.e_phnum = 3;
    f->text = (Elf64_Phdr *)(void *)(f->bytes + f->ehdr.e_phoff);
    f->data = f->text + 1;
    f->stack = f->text + 2;
    f->spare = f->text + 3;
    segment(f->text, PF_R | PF_X, 0x1000, TEXT, sizeof code);
    segment(f->data, PF_R | PF_W, 0x2000, DATA, 0x1000);
    f->stack->p_type = PT_GNU_STACK;
    f->stack->p_flags = PF_R | PF_W;
    put(f, 0x1000, code, sizeof code);
    put(f, 0x2000, arguments, sizeof arguments);
    put(f, 0x2020, "fine\n", 5);
    f->size = 0x2100;
}

/* One more PT_LOAD. */
static Elf64_Phdr *add(struct file *f, uint32_t flags, uint64_t addr, uint64_t memsz)
{
    segment(f->spare, flags, 0x1800, addr, memsz);
    f->ehdr.e_phnum++;
    return f->spare++;
}

/* One more PT_NOTE, with the note's bytes at offset. */
static void add_note(struct file *f, size_t offset, uint32_t type, uint32_t align,
                     const void *content, uint32_t size)
{
    const uint32_t header[3] = {6, size, type};
    Elf64_Phdr *p = add(f, PF_R, 0x110000 + offset, 0);

    p->p_type = PT_NOTE;
    p->p_offset = offset;
    p->p_filesz = p->p_memsz = 20 + size;
    p->p_align = align;
    put(f, offset, header, sizeof header);
    put(f, offset + 12, "Solo5\0\0", 8);
    put(f, offset + 20, content, size);
}

/* The notes of a Solo5 image: target 1 is hvt, 2 spt; versions 1 and 2; one manifest entry. */
static void solo5(struct file *f, uint32_t target, uint32_t version)
{
    const uint32_t abi[4] = {target, version, 0, 0};
    uint8_t manifest[4 + 8 + 104] = {0};
    Elf64_Phdr *interp;

    manifest[4] = 1;
    manifest[8] = 1;
    add_note(f, 0x1900, 0x31494241, 4, abi, sizeof abi);
    add_note(f, 0x1A00, 0x3154464D, 8, manifest, sizeof manifest);
    interp = add(f, PF_R, 0x110800, 0);
    interp->p_type = PT_INTERP;
    interp->p_offset = 0x1880;
    interp->p_filesz = interp->p_memsz = 20;
    put(f, 0x1880, "/nonexistent/solo5/", 20);
}

static void hvt_abi1(struct file *f)
{
    solo5(f, 1, 1);
}

static void hvt_abi2(struct file *f)
{
    solo5(f, 1, 2);
}

static void hvt_abi9(struct file *f)
{
    solo5(f, 1, 9);
}

static void spt(struct file *f)
{
    solo5(f, 2, 1);
}

static void at_0(struct file *f)
{
    add(f, PF_R, 0, 0x80);
}

static void script(struct file *f)
{
    put(f, 0, "#!/bin/sh\nexit 0\n", 17);
    f->size = 17;
}

static void no_load(struct file *f)
{
    f->text->p_type = f->data->p_type = PT_NULL;
}

static void unsorted(struct file *f)
{
    Elf64_Phdr text = *f->text;

    *f->text = *f->data;
    *f->data = text;
}

static void loaded_elsewhere(struct file *f)
{
    f->text->p_vaddr = 0x400000;
    f->data->p_vaddr = 0x402000;
}

static void note_outside(struct file *f)
{
    Elf64_Phdr *p = add(f, PF_R, 0x110000, 0x100);

    p->p_type = PT_NOTE;
    p->p_offset = 0x7FFFFFFFFFFFF000;
}

static void note_wild(struct file *f)
{
    static const uint32_t header[3] = {0xFFFFFFF0, 0xFFFFFFF0, 0x31494241};
    Elf64_Phdr *p = add(f, PF_R, 0x110000, 0);

    p->p_type = PT_NOTE;
    p->p_offset = 0x1900;
    p->p_filesz = p->p_memsz = 64;
    put(f, 0x1900, header, sizeof header);
}

static void sections_wild(struct file *f)
{
    f->ehdr.e_shoff = 0x7FFFFFFFFFFFF000;
    f->ehdr.e_shnum = 0xFFFF;
    f->ehdr.e_shentsize = 1;
    f->ehdr.e_shstrndx = 0xFFFE;
}

/* How to break a file: a field set to a value, a segment added, its end cut, or a function. */
struct row {
    const char *name;
    const char *verdict;
    const char *what;
    size_t at, width; /* of the field */
    uint64_t value;
    struct {
        uint32_t flags;
        uint64_t addr, memsz;
    } add;
    int cut;
    size_t size; /* of a file that is cut */
    void (*make)(struct file *f);
};

#define IDENT(i) .at = (i), .width = 1, .value
#define FIELD(start, type, member)                                                                 \
    .at = (start) + offsetof(type, member), .width = sizeof(((type *)0)->member), .value
#define EHDR(member)      FIELD(0, Elf64_Ehdr, member)
#define TEXT_PHDR(member) FIELD(sizeof(Elf64_Ehdr), Elf64_Phdr, member)
#define DATA_PHDR(member) FIELD(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), Elf64_Phdr, member)
#define CUT_TO(n)         .cut = 1, .size = (n)

static const struct row rows[] = {
    {"ok_plain", "run", "nothing", EHDR(e_type) = ET_EXEC},
    {"ok_unsorted", "run", "segments out of order", .make = unsorted},
    {"ok_empty_segment", "run", "a segment without bytes", .add = {PF_R, 0x200000, 0}},
    {"ok_bss", "run", "p_memsz larger than p_filesz", DATA_PHDR(p_memsz) = 0x100000},
    {"ok_sections_wild", "run", "section headers that lie outside", .make = sections_wild},
    {"note_outside", "any", "a note outside the file", .make = note_outside},
    {"note_wild", "any", "a note whose sizes overflow", .make = note_wild},
    {"empty", "refuse", "no bytes at all", CUT_TO(0)},
    {"one_byte", "refuse", "one byte", CUT_TO(1)},
    {"only_ident", "refuse", "e_ident and nothing else", CUT_TO(EI_NIDENT)},
    {"short_header", "refuse", "half a header", CUT_TO(32)},
    {"script", "refuse", "a shell script", .make = script},
    {"magic", "refuse", "ELF magic", IDENT(3) = 'G'},
    {"class_32", "refuse", "ELFCLASS32", IDENT(EI_CLASS) = ELFCLASS32},
    {"class_0", "refuse", "ELFCLASSNONE", IDENT(EI_CLASS) = ELFCLASSNONE},
    {"big_endian", "any", "ELFDATA2MSB", IDENT(EI_DATA) = ELFDATA2MSB},
    {"type_dyn", "refuse", "ET_DYN", EHDR(e_type) = ET_DYN},
    {"type_rel", "refuse", "ET_REL", EHDR(e_type) = ET_REL},
    {"type_core", "refuse", "ET_CORE", EHDR(e_type) = ET_CORE},
    {"machine_aarch64", "refuse", "an aarch64 image", EHDR(e_machine) = EM_AARCH64},
    {"machine_i386", "refuse", "an i386 image", EHDR(e_machine) = EM_386},
    {"machine_0", "refuse", "no machine", EHDR(e_machine) = EM_NONE},
    {"version_0", "any", "e_version 0", EHDR(e_version) = 0},
    {"phentsize_0", "any", "e_phentsize 0", EHDR(e_phentsize) = 0},
    {"phentsize_32", "any", "e_phentsize 32", EHDR(e_phentsize) = 32},
    {"phentsize_64", "any", "e_phentsize 64", EHDR(e_phentsize) = 64},
    {"phoff_0", "refuse", "e_phoff 0", EHDR(e_phoff) = 0},
    {"phoff_outside", "refuse", "program headers behind the file", EHDR(e_phoff) = 0x10000},
    {"phoff_overflow", "refuse", "e_phoff near 2^64", EHDR(e_phoff) = ~7ul},
    {"phnum_0", "refuse", "no program headers", EHDR(e_phnum) = 0},
    {"phnum_65535", "refuse", "more program headers than bytes", EHDR(e_phnum) = 0xFFFF},
    {"phdrs_cut", "refuse", "file ends among the program headers", CUT_TO(64 + 56 + 8)},
    {"no_load", "refuse", "no PT_LOAD", .make = no_load},
    {"beyond_memory", "refuse", "a segment where memory ends", .add = {PF_R, MEMORY, 0x80}},
    {"far_beyond_memory", "refuse", "a segment at 1 TiB", .add = {PF_R, 1ul << 40, 0x80}},
    {"over_memory_end", "refuse", "a segment that ends beyond memory",
     .add = {PF_R, MEMORY - 0x1000, 0x2000}},
    {"to_memory_end", "refuse", "a segment that ends where memory ends",
     .add = {PF_R, MEMORY - 0x1000, 0x1000}},
    {"paddr_overflow", "refuse", "p_paddr + p_memsz overflows", .add = {PF_R, ~0xFFFul, 0x2000}},
    {"memsz_overflow", "refuse", "p_memsz 2^64 - 1", DATA_PHDR(p_memsz) = ~0ul},
    {"memsz_beyond", "refuse", "p_memsz as large as memory", DATA_PHDR(p_memsz) = MEMORY},
    {"memsz_small", "any", "p_memsz less than p_filesz", DATA_PHDR(p_memsz) = 0x80},
    {"filesz_overflow", "refuse", "p_filesz 2^64 - 1", DATA_PHDR(p_filesz) = ~0ul},
    {"offset_overflow", "refuse", "p_offset + p_filesz overflows", DATA_PHDR(p_offset) = ~0xFFul},
    {"offset_negative", "refuse", "p_offset 2^63", DATA_PHDR(p_offset) = 1ul << 63},
    {"offset_outside", "refuse", "a segment behind the file", DATA_PHDR(p_offset) = 0x100000},
    {"file_short", "refuse", "file ends inside a segment", CUT_TO(0x2010)},
    {"file_short_by_1", "refuse", "file ends a byte too early", CUT_TO(0x20FF)},
    {"overlap", "any", "two segments at the same place", .add = {PF_R, TEXT, 0x80}},
    {"overlap_page", "any", "two segments with other rights in one page",
     .add = {PF_R | PF_W, TEXT + 0x800, 0x80}},
    {"at_0", "any", "a segment at 0", .make = at_0},
    {"at_tables", "any", "a segment at 0x2000", .add = {PF_R, 0x2000, 0x80}},
    {"at_boot_info", "any", "a segment at 0x10000", .add = {PF_R, 0x10000, 0x80}},
    {"at_cmdline", "any", "a segment at 0x11000", .add = {PF_R | PF_W, 0x11000, 0x80}},
    {"over_tables", "any", "a segment below 1 MiB", .add = {PF_R | PF_W, 0x1000, 0xFF000}},
    {"unaligned", "any", "a segment that starts inside a page",
     .add = {PF_R | PF_W, 0x200010, 0x80}},
    {"loaded_elsewhere", "any", "p_vaddr is not p_paddr", .make = loaded_elsewhere},
    {"align_0", "any", "p_align 0", DATA_PHDR(p_align) = 0},
    {"align_3", "any", "p_align is no power of two", DATA_PHDR(p_align) = 3},
    {"align_huge", "any", "p_align 2^63", DATA_PHDR(p_align) = 1ul << 63},
    {"entry_0", "any", "entry at 0", EHDR(e_entry) = 0},
    {"entry_outside", "any", "entry in no segment", EHDR(e_entry) = 0x900000},
    {"entry_beyond", "any", "entry beyond memory", EHDR(e_entry) = MEMORY + 0x1000},
    {"entry_data", "any", "entry in a segment without PF_X", EHDR(e_entry) = DATA},
    {"write_execute", "any", "PF_W and PF_X", TEXT_PHDR(p_flags) = PF_R | PF_W | PF_X},
    {"no_execute", "any", "no segment with PF_X", TEXT_PHDR(p_flags) = PF_R},
    {"hvt_abi1", "refuse", "Solo5 hvt, ABI version 1", .make = hvt_abi1},
    {"hvt_abi2", "refuse", "Solo5 hvt, ABI version 2", .make = hvt_abi2},
    {"hvt_abi9", "refuse", "Solo5 hvt, a version not known", .make = hvt_abi9},
    {"spt", "refuse", "a Solo5 image for another target", .make = spt},
};

static void make(struct file *f, const struct row *row)
{
    good(f);
    /* Little-endian like the file. */
    put(f, row->at, &row->value, row->width);
    if (row->add.flags)
        add(f, row->add.flags, row->add.addr, row->add.memsz);
    if (row->cut)
        f->size = row->size;
    if (row->make)
        row->make(f);
}

#define NR_ROWS (sizeof rows / sizeof rows[0])

static int write_file(const char *folder, const char *name, const struct file *f)
{
    char path[4096];
    FILE *out;
    int bad;

    snprintf(path, sizeof path, "%s/%s.elf", folder, name);
    out = fopen(path, "wb");
    if (!out) {
        perror(path);
        return 1;
    }
    bad = fwrite(f->bytes, 1, f->size, out) != f->size;
    bad |= fclose(out) != 0;
    if (bad)
        perror(path);
    return bad;
}

static int make_folder(const char *folder)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/folder.elf", folder);
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    perror(path);
    return 1;
}

int main(int argc, char **argv)
{
    static struct file f;
    int list = argc == 2 && strcmp(argv[1], "--list") == 0;
    int bad = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: badelf FOLDER|--list\n");
        return 2;
    }
    for (size_t i = 0; i < NR_ROWS; i++) {
        if (list) {
            printf("%s %s %s\n", rows[i].name, rows[i].verdict, rows[i].what);
            continue;
        }
        make(&f, &rows[i]);
        bad |= write_file(argv[1], rows[i].name, &f);
    }
    if (list)
        printf("folder refuse a folder\n");
    else
        bad |= make_folder(argv[1]);
    return bad;
}
