/* SPDX-License-Identifier: ISC */
/*
 * test_image.c: which images are loaded, and every rule by which one is refused,
 * with the whole message. Images are made here and spoilt one rule at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/image.h"
#include "tests/support/elfimage.h"

#define MIB      ((size_t)1 << 20)
#define LOW_END  0x10000u
#define IMAGE    "a.ukvm"
#define TEXT(im) (&(im)->file.ph[ELFIMAGE_PH_TEXT])
#define DATA(im) (&(im)->file.ph[ELFIMAGE_PH_DATA])

static char folder[] = "/tmp/ukvm-image-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chmod(folder, 0755) == 0 ? chdir(folder) : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    unlink(IMAGE);
    return chdir("/") || rmdir(folder);
}

static int open_made(const struct elfimage *im, enum ukvm_abi abi, struct uk_image **image,
                     struct ukvm_error *err)
{
    elfimage_write(im, IMAGE);
    memset(err, 0, sizeof(*err));
    return uk_image_open_at(image, IMAGE, NULL, abi, "/nonexistent", err);
}

static struct uk_image *must_open(const struct elfimage *im, enum ukvm_abi abi)
{
    struct uk_image *image;
    struct ukvm_error err;

    if (open_made(im, abi, &image, &err) != UKVM_OK)
        fail_msg("%s", err.msg);
    return image;
}

/* --- what is taken ----------------------------------------------------------- */

static void test_image_is_described(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_string_equal(image->path, IMAGE);
    assert_int_equal(image->e_machine, EM_X86_64);
    assert_int_equal(image->abi, UKVM_ABI_C);
    assert_int_equal(image->entry, ELFIMAGE_TEXT);
    assert_int_equal(image->kernel_end, 0x103000);
    assert_int_equal(image->nseg, 3);
    assert_int_equal(image->seg[0].prot, PF_R | PF_X);
    assert_int_equal(image->seg[2].gpa, ELFIMAGE_DATA);
    assert_int_equal(image->seg[2].filesz, sizeof(im.file.data));
    assert_int_equal(image->seg[2].memsz, 0x800);
    assert_int_equal(image->seg[2].prot, PF_R | PF_W);
    assert_string_equal(image->build_id, "000102030405060708090a0b0c0d0e0f10111213");
    assert_string_equal(image->symbols_path, IMAGE);
    assert_string_equal(image->notes, "");
    uk_image_close(image);
    uk_image_close(NULL);
}

static void test_segments_are_loaded(void **state)
{
    uint8_t *mem = calloc(1, 2 * MIB);
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    assert_non_null(mem);
    elfimage_make(&im, UKVM_ABI_C);
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(uk_image_load(image, mem, 2 * MIB, LOW_END, &err), UKVM_OK);
    assert_memory_equal(mem + ELFIMAGE_TEXT, im.file.text, sizeof(im.file.text));
    assert_memory_equal(mem + ELFIMAGE_RODATA, im.file.rodata, sizeof(im.file.rodata));
    assert_memory_equal(mem + ELFIMAGE_DATA, im.file.data, sizeof(im.file.data));
    for (size_t i = 0; i < 2 * MIB; i++)
        if (mem[i] && i < ELFIMAGE_TEXT)
            fail_msg("0x%zx is %02x", i, mem[i]);
    assert_int_equal(mem[ELFIMAGE_DATA + sizeof(im.file.data)], 0);
    uk_image_close(image);
    free(mem);
}

/* Loaded at the physical address, whatever the virtual one. */
static void test_physical_address_counts(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    DATA(&im)->p_vaddr = 0x80000000;
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(image->seg[2].gpa, ELFIMAGE_DATA);
    assert_string_equal(image->notes, "segment 2 (0x102000..0x102800) is linked for 0x80000000, "
                                      "but loaded where it says");
    uk_image_close(image);
}

/* Family B protects code only, so its data may begin on the page where read-only data end. */
static void test_family_b_shares_pages(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_B);
    DATA(&im)->p_paddr = ELFIMAGE_RODATA + 0x40;
    DATA(&im)->p_align = 8;
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(image->seg[2].gpa, ELFIMAGE_RODATA + 0x40);
    uk_image_close(image);
}

/* An alignment may be 0, 1 or any power of two; kernel_end follows it. */
static void test_alignments(void **state)
{
    static const struct {
        uint64_t align, kernel_end;
    } cases[] = {{0, 0x102800}, {1, 0x102800}, {0x1000, 0x103000}, {0x200000, 0x200000}};
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        elfimage_make(&im, UKVM_ABI_C);
        DATA(&im)->p_align = cases[i].align;
        image = must_open(&im, UKVM_ABI_AUTO);
        assert_int_equal(image->kernel_end, cases[i].kernel_end);
        uk_image_close(image);
    }
}

static void test_other_headers_do_not_matter(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    im.file.eh.e_phnum = ELFIMAGE_NPH + 4;
    im.file.ph[ELFIMAGE_NPH] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = UINT64_MAX};
    im.file.ph[ELFIMAGE_NPH + 1] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    im.file.ph[ELFIMAGE_NPH + 2] = (Elf64_Phdr){.p_type = PT_LOAD, .p_paddr = 0x300};
    im.file.ph[ELFIMAGE_NPH + 3] = (Elf64_Phdr){.p_type = PT_TLS, .p_filesz = UINT64_MAX};
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(image->nseg, 3);
    uk_image_close(image);
}

static void test_writable_code_is_noted(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    TEXT(&im)->p_flags |= PF_W;
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_string_equal(image->notes, "segment 0 (0x100000..0x100040) is writable and executable");
    assert_int_equal(image->seg[0].prot, 7);
    uk_image_close(image);
}

static void test_most_segments(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    for (uint64_t i = 3; i < UKVM_MAX_SEGMENTS; i++) {
        im.file.ph[i] = im.file.ph[ELFIMAGE_PH_RODATA];
        im.file.ph[i].p_paddr = im.file.ph[i].p_vaddr = 0x200000 + 0x1000 * i;
    }
    im.file.eh.e_phnum = UKVM_MAX_SEGMENTS;
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(image->nseg, UKVM_MAX_SEGMENTS);
    uk_image_close(image);
}

/* --- what is refused ----------------------------------------------------------- */

struct rule {
    const char *name;
    void (*spoil)(struct elfimage *im);
    const char *msg; /* after "a.ukvm: " */
};

#define SPOIL(name, ...)                                                                           \
    static void name(struct elfimage *im)                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

SPOIL(empty, im->size = 0;)
SPOIL(magic, im->file.eh.e_ident[0] = 0x23;)
SPOIL(three_bytes, im->size = 3;)
SPOIL(short_header, im->size = 63;)
SPOIL(class_32, im->file.eh.e_ident[EI_CLASS] = ELFCLASS32;)
SPOIL(class_9, im->file.eh.e_ident[EI_CLASS] = 9;)
SPOIL(big_endian, im->file.eh.e_ident[EI_DATA] = ELFDATA2MSB;)
SPOIL(data_0, im->file.eh.e_ident[EI_DATA] = 0;)
SPOIL(type_rel, im->file.eh.e_type = ET_REL;)
SPOIL(type_dyn, im->file.eh.e_type = ET_DYN;)
SPOIL(type_core, im->file.eh.e_type = ET_CORE;)
SPOIL(type_other, im->file.eh.e_type = 0xfe01;)
SPOIL(aarch64, im->file.eh.e_machine = EM_AARCH64;)
SPOIL(riscv, im->file.eh.e_machine = EM_RISCV;)
SPOIL(no_headers, im->file.eh.e_phnum = 0;)
SPOIL(xnum, im->file.eh.e_phnum = PN_XNUM;)
SPOIL(phentsize, im->file.eh.e_phentsize = 55;)
SPOIL(phoff_beyond, im->file.eh.e_phoff = sizeof(im->file) - 4 * 56 + 1;)
SPOIL(phoff_wraps, im->file.eh.e_phoff = UINT64_MAX - 10;)
SPOIL(phnum_beyond, im->file.eh.e_phnum = 0xfffe;)
SPOIL(note_beyond, im->file.ph[ELFIMAGE_PH_NOTE].p_offset = sizeof(im->file);)
SPOIL(note_wraps, im->file.ph[ELFIMAGE_PH_NOTE].p_offset = UINT64_MAX - 3;)
SPOIL(filesz, DATA(im)->p_filesz = DATA(im)->p_memsz + 1;)
SPOIL(align_3, DATA(im)->p_align = 0x1001;)
SPOIL(offset_beyond, DATA(im)->p_offset = sizeof(im->file) - 31;)
SPOIL(offset_wraps, DATA(im)->p_offset = UINT64_MAX - 3;)
SPOIL(cut_off, im->size -= 16;)
SPOIL(memsz_wraps, DATA(im)->p_memsz = UINT64_MAX - 0x1000;)
SPOIL(paddr_wraps, DATA(im)->p_paddr = UINT64_MAX - 0x7ff;)
SPOIL(align_wraps, DATA(im)->p_paddr = UINT64_C(1) << 63; DATA(im)->p_align = UINT64_C(1) << 63;)
SPOIL(overlap, DATA(im)->p_paddr = ELFIMAGE_RODATA - 0x1000;)
SPOIL(overlap_inside, TEXT(im)->p_memsz = 0x100000;)
SPOIL(shared_page, DATA(im)->p_paddr = ELFIMAGE_TEXT + 0x40; im->file.text[1] = 1;
      strcpy(im->file.rodata, "solo5_app_main() returned with %d"); DATA(im)->p_align = 8;)
SPOIL(unaligned, DATA(im)->p_paddr += 8;)
SPOIL(no_segments, for (int i = 0; i < 3; i++) im->file.ph[i].p_type = PT_NULL;)
SPOIL(empty_segments, for (int i = 0; i < 3; i++) im->file.ph[i].p_filesz = 0,
      im->file.ph[i].p_memsz = 0;)
SPOIL(entry_zero, im->file.eh.e_entry = 0;)
SPOIL(entry_data, im->file.eh.e_entry = ELFIMAGE_DATA;)
SPOIL(entry_past, im->file.eh.e_entry = ELFIMAGE_TEXT + 64;)
SPOIL(entry_bss, TEXT(im)->p_memsz = 0x80; im->file.eh.e_entry = ELFIMAGE_TEXT + 0x40;)

static void many_segments(struct elfimage *im)
{
    for (uint64_t i = 3; i <= UKVM_MAX_SEGMENTS; i++) {
        im->file.ph[i] = im->file.ph[ELFIMAGE_PH_RODATA];
        im->file.ph[i].p_paddr = im->file.ph[i].p_vaddr = 0x200000 + 0x1000 * i;
    }
    im->file.eh.e_phnum = UKVM_MAX_SEGMENTS + 1;
}

static const uint8_t port_499[] = {0xba, 0x99, 0x04, 0, 0};
SPOIL(family_a, memcpy(im->file.text, port_499, 5); memset(im->file.rodata, 0, 64);)

static void solo5(struct elfimage *im, uint32_t target, uint32_t version)
{
    uint32_t desc[] = {target, version, 0, 0};

    elfimage_note(im, "Solo5", 0x31494241, desc, sizeof(desc));
}
SPOIL(hvt_1, solo5(im, 1, 1);)
SPOIL(hvt_2, solo5(im, 1, 2);)
SPOIL(spt, solo5(im, 2, 1);)
SPOIL(virtio, solo5(im, 3, 2);)
SPOIL(muen, solo5(im, 4, 2);)
SPOIL(genode, solo5(im, 5, 2);)
SPOIL(xen, solo5(im, 6, 1);)
SPOIL(target_7, solo5(im, 7, 1);)
SPOIL(target_0, solo5(im, 0, 1);)
SPOIL(abi_note_short, elfimage_note(im, "Solo5", 0x31494241, "abcd", 4);)

#define BUILD "; build or copy it again"
static const struct rule rules[] = {
    {"empty", empty, "empty file" BUILD},
    {"magic", magic, "not an ELF file: begins with 23 45 4c 46; give a unikernel image"},
    {"three bytes", three_bytes,
     "not an ELF file: begins with 7f 45 4c 00; give a unikernel image"},
    {"header cut off", short_header, "ELF header cut off: the file has 63 bytes" BUILD},
    {"32-bit", class_32,
     "ELF class 1 (32-bit): only 64-bit images run; build it for a 64-bit target"},
    {"class", class_9, "ELF class 9: only 64-bit images run; build it for a 64-bit target"},
    {"big-endian", big_endian,
     "ELF data encoding 2 (big-endian): only little-endian images run; build it for x86_64"},
    {"data encoding", data_0,
     "ELF data encoding 0: only little-endian images run; build it for x86_64"},
    {"ET_REL", type_rel, "a relocatable object (ELF type 1): not an executable; link it first"},
    {"ET_DYN", type_dyn,
     "a shared object or PIE (ELF type 3): not an executable; link it with -static -no-pie"},
    {"ET_CORE", type_core,
     "a core file (ELF type 4): not an executable; give the image that it was made from"},
    {"type", type_other, "ELF type 65025: not an executable" BUILD},
    {"aarch64", aarch64, "aarch64 image: not supported yet; x86_64 images are"},
    {"machine", riscv, "ELF machine 243: not supported; x86_64 images (62) are"},
    {"e_phnum 0", no_headers, "no program headers: nothing to load; link it as an executable"},
    {"PN_XNUM", xnum, "65535 or more program headers: too many; link it with fewer"},
    {"e_phentsize", phentsize, "program headers of 55 bytes, not 56" BUILD},
    {"e_phoff", phoff_beyond, "program headers at 0xc91 lie beyond the file's end (0xd70)" BUILD},
    {"e_phoff wraps", phoff_wraps,
     "program headers at 0xfffffffffffffff5 lie beyond the file's end (0xd70)" BUILD},
    {"e_phnum", phnum_beyond, "program headers at 0x40 lie beyond the file's end (0xd70)" BUILD},
    {"note", note_beyond, "notes at 0xd70 lie beyond the file's end (0xd70)" BUILD},
    {"note wraps", note_wraps,
     "notes at 0xfffffffffffffffc lie beyond the file's end (0xd70)" BUILD},
    {"filesz > memsz", filesz, "segment 2: 0x801 bytes in the file, but 0x800 in memory" BUILD},
    {"alignment", align_3, "segment 2: alignment 0x1001 is no power of two" BUILD},
    {"offset", offset_beyond,
     "segment 2: its 0x20 bytes at 0xd51 lie beyond the file's end (0xd70)" BUILD},
    {"offset wraps", offset_wraps,
     "segment 2: its 0x20 bytes at 0xfffffffffffffffc lie beyond the file's end (0xd70)" BUILD},
    {"truncated", cut_off,
     "segment 2: its 0x20 bytes at 0xd50 lie beyond the file's end (0xd60)" BUILD},
    {"memsz wraps", memsz_wraps,
     "segment 2: 0xffffffffffffefff bytes at 0x102000, aligned to 0x1000, pass the end of the "
     "address space; link it at 0x100000"},
    {"paddr wraps", paddr_wraps,
     "segment 2: 0x800 bytes at 0xfffffffffffff800, aligned to 0x1000, pass the end of the "
     "address space; link it at 0x100000"},
    {"alignment wraps", align_wraps,
     "segment 2: 0x800 bytes at 0x8000000000000000, aligned to 0x8000000000000000, pass the end "
     "of the address space; link it at 0x100000"},
    {"overlap", overlap,
     "segment 2 (0x100000..0x100800) overlaps segment 0 (0x100000..0x100040); give each its own "
     "addresses"},
    {"overlap inside", overlap_inside,
     "segment 1 (0x101000..0x101040) overlaps segment 0 (0x100000..0x200000); give each its own "
     "addresses"},
    {"shared page", shared_page,
     "segment 2 (0x100040..0x100840) has other rights than segment 0 (0x100000..0x100040) on the "
     "same page (4 KiB); align it in the linker script"},
    {"unaligned", unaligned,
     "segment 2 (0x102008..0x102808) does not begin at a page (4 KiB), so its rights can't be "
     "set; align it in the linker script"},
    {"no PT_LOAD", no_segments,
     "no loadable segment among 4 program headers; link it as an executable"},
    {"empty segments", empty_segments,
     "no loadable segment among 4 program headers; link it as an executable"},
    {"too many segments", many_segments, "more than 16 loadable segments; link it with fewer"},
    {"entry 0", entry_zero,
     "entry point 0x0 is in no executable segment; define _start, or link with -e"},
    {"entry in data", entry_data,
     "entry point 0x102000 is in no executable segment; define _start, or link with -e"},
    {"entry past the end", entry_past,
     "entry point 0x100040 is in no executable segment; define _start, or link with -e"},
    {"entry in bss", entry_bss,
     "entry point 0x100040 is in no executable segment; define _start, or link with -e"},
    {"family A", family_a,
     "family A (Solo5 v0.2) image: not supported; build it with Solo5 v0.3 or later, or --abi=b "
     "if it is none"},
    {"hvt 1", hvt_1, "Solo5 hvt image (ABI version 1): not supported yet; ukvm images (.ukvm) are"},
    {"hvt 2", hvt_2, "Solo5 hvt image (ABI version 2): not supported yet; ukvm images (.ukvm) are"},
    {"spt", spt, "Solo5 spt image (ABI version 1): not supported; ukvm images (.ukvm) are"},
    {"virtio", virtio,
     "Solo5 virtio image (ABI version 2): not supported; ukvm images (.ukvm) are"},
    {"muen", muen, "Solo5 muen image (ABI version 2): not supported; ukvm images (.ukvm) are"},
    {"genode", genode,
     "Solo5 genode image (ABI version 2): not supported; ukvm images (.ukvm) are"},
    {"xen", xen, "Solo5 xen image (ABI version 1): not supported; ukvm images (.ukvm) are"},
    {"target 7", target_7,
     "Solo5 image for unknown target 7 (ABI version 1): not supported; ukvm images (.ukvm) are"},
    {"target 0", target_0,
     "Solo5 image for unknown target 0 (ABI version 1): not supported; ukvm images (.ukvm) are"},
    {"ABI note", abi_note_short, "Solo5 ABI note of 4 bytes: damaged" BUILD},
};

static void test_every_rule_refuses(void **state)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;
    char want[UKVM_ERRMSG_MAX];
    size_t bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        int rc;

        elfimage_make(&im, UKVM_ABI_C);
        rules[i].spoil(&im);
        rc = open_made(&im, UKVM_ABI_AUTO, &image, &err);
        snprintf(want, sizeof(want), IMAGE ": %s", rules[i].msg);
        if (rc == UKVM_EIMAGE && err.code == UKVM_EIMAGE && !image && strcmp(err.msg, want) == 0)
            continue;
        print_error("%s: %d, \"%s\"\n", rules[i].name, rc, err.msg);
        uk_image_close(image);
        bad++;
    }
    assert_int_equal(bad, 0);
}

/* The file itself: no such, a folder, a device, not readable. */
static void test_files_that_are_none(void **state)
{
    static const struct {
        const char *path;
        int code;
        const char *msg;
    } cases[] = {
        {"none.ukvm", UKVM_ENOENT, "none.ukvm: no such file; check the path"},
        {"", UKVM_ENOENT, ": no such file; check the path"},
        {IMAGE "/x", UKVM_ENOENT, IMAGE "/x: no such file; check the path"},
        {".", UKVM_EIMAGE, ".: is a directory; give a file in it"},
        {"/dev/null", UKVM_EIMAGE, "/dev/null: not a regular file; give an ELF file"},
        {"fifo", UKVM_EIMAGE, "fifo: not a regular file; give an ELF file"},
    };
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_write(&im, IMAGE);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(uk_image_open(&image, cases[i].path, NULL, UKVM_ABI_AUTO, &err),
                         cases[i].code);
        assert_string_equal(err.msg, cases[i].msg);
        assert_null(image);
    }
    unlink("fifo");
}

static void test_unreadable_file(void **state)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;
    uid_t uid = geteuid();
    int rc;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_write(&im, IMAGE);
    assert_int_equal(chmod(IMAGE, 0200), 0);
    if (uid == 0)
        assert_int_equal(seteuid(65534), 0);
    rc = uk_image_open(&image, IMAGE, NULL, UKVM_ABI_AUTO, &err);
    assert_int_equal(seteuid(uid), 0);
    assert_int_equal(chmod(IMAGE, 0644), 0);
    assert_int_equal(rc, UKVM_EIMAGE);
    assert_string_equal(err.msg, IMAGE ": Permission denied; chmod +r it, or ask its owner");
}

/* A long path or one with control characters still gives one line that ends in the reason. */
static void test_message_of_an_odd_path(void **state)
{
    char path[300];
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    memset(path, 'x', 200);
    strcpy(path + 200, "/y\n\033[31m.ukvm");
    assert_int_equal(uk_image_open(&image, path, NULL, UKVM_ABI_AUTO, &err), UKVM_ENOENT);
    assert_non_null(strstr(err.msg, "xx/y??[31m.ukvm: no such file; check the path"));
}

/* --- what does not fit into memory ----------------------------------------------- */

struct place {
    uint64_t gpa, memsz, align;
    size_t mem_mib;
    const char *msg; /* NULL: it fits */
};

static const struct place places[] = {
    /* the last byte of memory belongs to no segment */
    {0x1ffff000, 0xfff, 0, 512, NULL},
    {0x1ffff000, 0x1000, 0, 512,
     "segment 2 (0x1ffff000..0x20000000) ends beyond guest memory (512 MiB); --mem=514"},
    {0x1ff00000, 0x200000, 0, 512,
     "segment 2 (0x1ff00000..0x20100000) ends beyond guest memory (512 MiB); --mem=514"},
    {0x200000, 0x1000, 0, 2,
     "segment 2 (0x200000..0x201000) ends beyond guest memory (2 MiB); --mem=4"},
    {0x20000000, 0x1000, 0, 512,
     "segment 2 (0x20000000..0x20001000) ends beyond guest memory (512 MiB); --mem=514"},
    {0x3fffe000, 0x1fff, 0, 512,
     "segment 2 (0x3fffe000..0x3fffffff) ends beyond guest memory (512 MiB); --mem=1024"},
    {0x3fffe000, 0x2000, 0, 512,
     "segment 2 (0x3fffe000..0x40000000) ends beyond the most that a guest can have (1024 MiB); "
     "link it at 0x100000"},
    {0x100000000, 0x1000, 0, 512,
     "segment 2 (0x100000000..0x100001000) ends beyond the most that a guest can have (1024 MiB); "
     "link it at 0x100000"},
    {UINT64_C(0xffffffffffe00000), 0x1000, 0, 1024,
     "segment 2 (0xffffffffffe00000..0xffffffffffe01000) ends beyond the most that a guest can "
     "have (1024 MiB); link it at 0x100000"},
    /* its end rounded up to its alignment may be the end of memory, not more */
    {0x400000, 0x1000, 0x200000, 6, NULL},
    {0x400000, 0x1000, 0x400000, 6,
     "segment 2 (0x400000..0x401000), rounded up to its alignment, ends beyond guest memory "
     "(6 MiB); --mem=8"},
    /* boot tables */
    {0x10000, 0x1000, 0, 4, NULL},
    {0xf000, 0x1000, 0, 4,
     "segment 2 (0xf000..0x10000) begins below 0x10000, where the boot tables are; link it at "
     "0x100000"},
    {0, 0x1000, 0, 4,
     "segment 2 (0x0..0x1000) begins below 0x10000, where the boot tables are; link it at "
     "0x100000"},
};

static void check_place(const struct place *p, uint8_t *mem)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err = {0};
    char want[UKVM_ERRMSG_MAX];

    elfimage_make(&im, UKVM_ABI_C);
    DATA(&im)->p_paddr = DATA(&im)->p_vaddr = p->gpa;
    DATA(&im)->p_memsz = p->memsz;
    DATA(&im)->p_align = p->align;
    image = must_open(&im, UKVM_ABI_AUTO);
    if (!p->msg) {
        assert_int_equal(uk_image_load(image, mem, p->mem_mib * MIB, LOW_END, &err), UKVM_OK);
    } else {
        assert_int_equal(uk_image_load(image, mem, p->mem_mib * MIB, LOW_END, &err), UKVM_EIMAGE);
        snprintf(want, sizeof(want), IMAGE ": %s", p->msg);
        assert_string_equal(err.msg, want);
    }
    uk_image_close(image);
}

static void test_places(void **state)
{
    uint8_t *mem = calloc(1, 512 * MIB);

    (void)state;
    assert_non_null(mem);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        check_place(&places[i], mem);
    free(mem);
}

/* The file shrinks between opening and loading. */
static void test_file_that_shrinks(void **state)
{
    uint8_t *mem = calloc(1, 2 * MIB);
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err = {0};

    (void)state;
    assert_non_null(mem);
    elfimage_make(&im, UKVM_ABI_C);
    image = must_open(&im, UKVM_ABI_AUTO);
    assert_int_equal(truncate(IMAGE, 0xd00), 0);
    assert_int_equal(uk_image_load(image, mem, 2 * MIB, LOW_END, &err), UKVM_EIMAGE);
    assert_string_equal(err.msg, IMAGE ": ends at 0xd00, too early" BUILD);
    uk_image_close(image);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_is_described),
        cmocka_unit_test(test_segments_are_loaded),
        cmocka_unit_test(test_physical_address_counts),
        cmocka_unit_test(test_family_b_shares_pages),
        cmocka_unit_test(test_alignments),
        cmocka_unit_test(test_other_headers_do_not_matter),
        cmocka_unit_test(test_writable_code_is_noted),
        cmocka_unit_test(test_most_segments),
        cmocka_unit_test(test_every_rule_refuses),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_unreadable_file),
        cmocka_unit_test(test_message_of_an_odd_path),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_file_that_shrinks),
    };

    return cmocka_run_group_tests_name("image", tests, enter_folder, leave_folder);
}
