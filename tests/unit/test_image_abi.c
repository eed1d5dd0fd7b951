/* SPDX-License-Identifier: ISC */
/*
 * test_image_abi.c: the ABI families told apart by what images contain, and images
 * spoilt at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/image.h"
#include "tests/support/elfimage.h"

#define MIB ((size_t)1 << 20)

/* An image in a file that has no name. */
static int open_made(const struct elfimage *im, enum ukvm_abi abi, struct uk_image **image,
                     struct ukvm_error *err)
{
    int fd = memfd_create("a.ukvm", MFD_CLOEXEC), rc;
    char path[32];

    assert_true(fd >= 0);
    assert_int_equal(write(fd, &im->file, im->size), im->size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    memset(err, 0, sizeof(*err));
    rc = uk_image_open_at(image, path, NULL, abi, "/nonexistent", err);
    close(fd);
    return rc;
}

/* --- families -------------------------------------------------------------------- */

#define NO_MARK    "no mark of an ABI family found: taken as C; --abi=b"
#define BOTH       "marks of ABI families B and C found: taken as C; --abi=b"
#define CODE(port) "\xba" port "\0\0"

struct family {
    const char *name;
    const char *code; /* 5 bytes at the start of the text, NULL: none */
    const char *words;
    const char *symbol;
    enum ukvm_abi given, found; /* AUTO: refused as family A */
    const char *notes;
};

static const struct family families[] = {
    {"C: HALT's port", CODE("\x0a\x05"), "", NULL, 0, UKVM_ABI_C, ""},
    {"C: words", NULL, "solo5_exit(%d)", NULL, 0, UKVM_ABI_C, ""},
    {"C: solo5_yield", NULL, "", "solo5_yield", 0, UKVM_ABI_C, ""},
    {"C: solo5_net_info", NULL, "", "solo5_net_info", 0, UKVM_ABI_C, ""},
    {"C: solo5_abort", NULL, "", "solo5_abort", 0, UKVM_ABI_C, ""},
    {"B: words", NULL, "solo5_app_main() returned with %d", NULL, 0, UKVM_ABI_B, ""},
    {"B: our words", NULL, "ukvm_guest: family B", NULL, 0, UKVM_ABI_B, ""},
    {"B: solo5_poll", NULL, "", "solo5_poll", 0, UKVM_ABI_B, ""},
    {"B: solo5_net_mac_str", NULL, "", "solo5_net_mac_str", 0, UKVM_ABI_B, ""},
    {"none", NULL, "", NULL, 0, UKVM_ABI_C, NO_MARK},
    {"both", CODE("\x0a\x05"), "solo5_app_main() returned with %d", NULL, 0, UKVM_ABI_C, BOTH},
    {"A", CODE("\x99\x04"), "solo5_app_main() returned with %d", NULL, 0, UKVM_ABI_AUTO, ""},
    {"A without words", CODE("\x99\x04"), "", "solo5_poll", 0, UKVM_ABI_AUTO, ""},
    {"499 in C is a number", CODE("\x99\x04"), "solo5_exit(%d)", NULL, 0, UKVM_ABI_C, ""},
    {"given B", CODE("\x0a\x05"), "solo5_exit(%d)", NULL, UKVM_ABI_B, UKVM_ABI_B, ""},
    {"given C", NULL, "solo5_app_main() returned with %d", NULL, UKVM_ABI_C, UKVM_ABI_C, ""},
    {"given B, not A", CODE("\x99\x04"), "", NULL, UKVM_ABI_B, UKVM_ABI_B, ""},
};

static bool family_is_found(const struct family *f)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;
    bool ok;

    elfimage_make(&im, UKVM_ABI_AUTO);
    if (f->code)
        memcpy(im.file.text, f->code, 5);
    strcpy(im.file.rodata, f->words);
    if (f->symbol)
        elfimage_symbol(&im, f->symbol, ELFIMAGE_TEXT, 4, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                        ELFIMAGE_SH_TEXT);
    if (open_made(&im, f->given, &image, &err) != UKVM_OK)
        return f->found == UKVM_ABI_AUTO && err.code == UKVM_EIMAGE &&
               strstr(err.msg, ": family A (Solo5 v0.2) image: not supported; ");
    ok = image->abi == f->found && strcmp(image->notes, f->notes) == 0;
    if (!ok)
        print_error("%s: %d, \"%s\"\n", f->name, (int)image->abi, image->notes);
    uk_image_close(image);
    return ok;
}

static void test_families(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (!family_is_found(&families[i]))
            fail_msg("%s", families[i].name);
}

/* Family A's port is a mere number in a guest that uses a port which A lacks. */
static void test_port_of_a_in_b(void **state)
{
    static const char *const ports[] = {CODE("\x01\x05"), CODE("\x08\x05")};
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        elfimage_make(&im, UKVM_ABI_B);
        memcpy(im.file.text, ports[i], 5);
        memcpy(im.file.text + 16, CODE("\x99\x04"), 5);
        assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_OK);
        assert_int_equal(image->abi, UKVM_ABI_B);
        uk_image_close(image);
    }
}

/* A port's bytes count in code only, words anywhere. */
static void test_marks_count_where_they_can_be(void **state)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    elfimage_make(&im, UKVM_ABI_AUTO);
    memcpy(im.file.data, CODE("\x0a\x05"), 5);
    assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_OK);
    assert_string_equal(image->notes, NO_MARK);
    uk_image_close(image);
}

/* A mark that lies across the pieces in which a large segment is read. */
static void test_mark_across_pieces(void **state)
{
    size_t size = 5 * 0x10000 + 100;
    struct elfimage im;
    struct ukvm_error err;
    int fd = memfd_create("a.ukvm", MFD_CLOEXEC);
    char path[32];

    (void)state;
    elfimage_make(&im, UKVM_ABI_AUTO);
    im.file.ph[ELFIMAGE_PH_RODATA].p_vaddr = im.file.ph[ELFIMAGE_PH_RODATA].p_paddr = 0x200000;
    im.file.ph[ELFIMAGE_PH_RODATA].p_filesz = im.file.ph[ELFIMAGE_PH_RODATA].p_memsz = size;
    im.file.ph[ELFIMAGE_PH_RODATA].p_offset = 0x1000;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (size_t at = 0x10000 - 20; at < size; at += 0x10000 + 3) {
        struct uk_image *image;

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(ftruncate(fd, (off_t)(0x1000 + size)), 0);
        assert_int_equal(pwrite(fd, &im.file, im.size, 0), im.size);
        assert_int_equal(pwrite(fd, "solo5_exit(%d)", 14, (off_t)(0x1000 + at)), 14);
        assert_int_equal(uk_image_open_at(&image, path, NULL, 0, "/nonexistent", &err), UKVM_OK);
        assert_string_equal(image->notes, "");
        uk_image_close(image);
    }
    close(fd);
}

/* Family B protects code only, so its data may begin within a page. */
static void test_pages_of_family_b(void **state)
{
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    elfimage_make(&im, UKVM_ABI_B);
    im.file.ph[ELFIMAGE_PH_DATA].p_paddr += 8;
    assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_OK);
    uk_image_close(image);
    assert_int_equal(open_made(&im, UKVM_ABI_C, &image, &err), UKVM_EIMAGE);
    elfimage_make(&im, UKVM_ABI_B);
    im.file.ph[ELFIMAGE_PH_TEXT].p_paddr += 8;
    im.file.eh.e_entry += 8;
    assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_EIMAGE);
    assert_non_null(strstr(err.msg, "segment 0 (0x100008..0x100048) does not begin at a page"));
}

/* Other notes, also damaged ones, are nobody's business. */
static void test_other_notes(void **state)
{
    static const struct {
        const char *owner;
        uint32_t type;
    } notes[] = {{"Solo5", 0x3154464d}, {"GNU", 0x31494241}, {"solo5", 0x31494241}};
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        elfimage_make(&im, UKVM_ABI_C);
        elfimage_note(&im, notes[i].owner, notes[i].type, "abcdefgh", 8);
        assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_OK);
        assert_string_equal(image->build_id, "");
        uk_image_close(image);
    }
    for (size_t i = 0; i < 12; i++) {
        elfimage_make(&im, UKVM_ABI_C);
        im.file.note[i] = 0xff;
        assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_OK);
        assert_string_equal(image->build_id, "");
        uk_image_close(image);
    }
}

/* A second note of the same segment is seen too. */
static void test_second_note(void **state)
{
    static const uint32_t notes[] = {4,          0,    7, 0x554e47, 6, 16, 0x31494241,
                                     0x6f6c6f53, 0x35, 1, 2,        0, 0};
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    memcpy(im.file.note, notes, sizeof(notes));
    im.file.ph[ELFIMAGE_PH_NOTE].p_filesz = sizeof(notes);
    assert_int_equal(open_made(&im, UKVM_ABI_AUTO, &image, &err), UKVM_EIMAGE);
    assert_non_null(strstr(err.msg, ": Solo5 hvt image (ABI version 2): not supported yet; "));
}

/* --- mutations ----------------------------------------------------------------------- */

/* xorshift64*: the same numbers on each machine. */
static uint64_t random_next(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545f4914f6cdd1d);
}

/* Offsets that matter more often than others: headers, section headers, symbols. */
static void mutate(struct elfimage *im, uint64_t *s)
{
    static const uint64_t odd[] = {0,          1,          0x7f,       0xff,
                                   0xffff,     0x10000,    0x7fffffff, 0xffffffff,
                                   0x80000000, UINT64_MAX, INT64_MAX,  UINT64_MAX - 0xfff};
    uint8_t *bytes = (uint8_t *)&im->file;

    for (uint64_t n = 1 + random_next(s) % 4; n > 0; n--) {
        size_t at = random_next(s) % sizeof(im->file);
        uint64_t value = odd[random_next(s) % (sizeof(odd) / sizeof(odd[0]))];
        size_t len = (size_t)1 << random_next(s) % 4;

        if (random_next(s) % 2)
            at %= offsetof(struct elfimage_file, sym) + 256;
        if (random_next(s) % 3 == 0)
            value = random_next(s);
        at &= ~(len - 1);
        if (at + len <= sizeof(im->file))
            memcpy(bytes + at, &value, len);
    }
    if (random_next(s) % 16 == 0)
        im->size = random_next(s) % sizeof(im->file);
}

/* Whatever is read from a file that was taken must be sound. */
static void check_taken(struct uk_image *image, uint8_t *mem, size_t mem_size)
{
    struct ukvm_error err = {0};
    int rc = uk_image_load(image, mem, mem_size, 0x10000, &err);

    assert_true(rc == UKVM_OK || (rc == UKVM_EIMAGE && strchr(err.msg, ';')));
    assert_true(image->abi == UKVM_ABI_B || image->abi == UKVM_ABI_C);
    for (size_t i = 0; i < image->symbols.n; i++) {
        const struct ukvm_sym *s = &image->symbols.sym[i];

        assert_true(i == 0 || s[-1].addr <= s->addr);
        assert_non_null(uk_symbols_by_name(&image->symbols, s->name));
        uk_symbols_by_addr(&image->symbols, s->addr + s->size / 2);
    }
}

static void test_mutations(void **state)
{
    enum { MUTATIONS = 10000 };
    size_t taken = 0, seeds = 0, mem_size = 4 * MIB;
    uint8_t *mem = calloc(1, mem_size);
    uint64_t s = UINT64_C(0x9e3779b97f4a7c15);
    struct elfimage im;

    (void)state;
    assert_non_null(mem);
    while (elfimage_seed(&im, seeds))
        seeds++;
    for (size_t i = 0; i < MUTATIONS; i++) {
        struct uk_image *image;
        struct ukvm_error err;

        elfimage_seed(&im, i % seeds);
        mutate(&im, &s);
        if (open_made(&im, UKVM_ABI_AUTO, &image, &err) == UKVM_OK) {
            check_taken(image, mem, mem_size);
            uk_image_close(image);
            taken++;
        } else if (err.code != UKVM_EIMAGE || !strchr(err.msg, ';') || strchr(err.msg, '\n')) {
            fail_msg("mutation %zu: %d, \"%s\"", i, (int)err.code, err.msg);
        }
    }
    /* Too few of either kind would be no test. */
    assert_in_range(taken, MUTATIONS / 10, MUTATIONS * 9 / 10);
    free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_port_of_a_in_b),
        cmocka_unit_test(test_marks_count_where_they_can_be),
        cmocka_unit_test(test_mark_across_pieces),
        cmocka_unit_test(test_pages_of_family_b),
        cmocka_unit_test(test_other_notes),
        cmocka_unit_test(test_second_note),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests_name("image_abi", tests, NULL, NULL);
}
