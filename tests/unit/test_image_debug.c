/* SPDX-License-Identifier: ISC */
/*
 * test_image_debug.c: where symbols and debug information come from: the image, the
 * file that the user names, a debug link, a build-id; and what does not fit.
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

#define IMAGE "a.ukvm"
#define DEBUG "a.debug"
#define ROOT  "root"
#define ID    "000102030405060708090a0b0c0d0e0f10111213"
#define OTHER "ff0102030405060708090a0b0c0d0e0f10111213"

static char folder[] = "/tmp/ukvm-debug-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? chdir(folder) : -1;
}

/* Every test leaves the folder empty. */
static int clean(void **state)
{
    (void)state;
    return system("rm -rf -- ./* .debug");
}

static int leave_folder(void **state)
{
    (void)state;
    return chdir("/") || rmdir(folder);
}

/* CRC-32 by the definition, bit by bit, over the bytes of an image. */
static uint32_t crc32_of(const void *buf, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (const uint8_t *p = buf; n > 0; n--, p++) {
        crc ^= *p;
        for (int i = 0; i < 8; i++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void test_crc_is_the_known_one(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("123456789", 9), 0xcbf43926);
}

/* A debug file of the image, with one symbol more. */
static void make_debug(struct elfimage *im)
{
    elfimage_make(im, UKVM_ABI_C);
    elfimage_debug(im);
    elfimage_symbol(im, "extra", ELFIMAGE_TEXT + 40, 8, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                    ELFIMAGE_SH_TEXT);
}

static void change_id(struct elfimage *im)
{
    im->file.note[16] = 0xff;
}

static struct uk_image *must_open(const char *symbols)
{
    struct uk_image *image;
    struct ukvm_error err;

    if (uk_image_open_at(&image, IMAGE, symbols, UKVM_ABI_AUTO, ROOT, &err) != UKVM_OK)
        fail_msg("%s", err.msg);
    return image;
}

/* Does IMAGE take its symbols from (path) with (notes)? NULL: it has none. */
static void expect(const char *symbols, const char *path, const char *notes)
{
    struct uk_image *image = must_open(symbols);
    bool extra = uk_symbols_by_name(&image->symbols, "extra");

    assert_string_equal(image->notes, notes);
    if (path)
        assert_string_equal(image->symbols_path, path);
    else
        assert_null(image->symbols_path);
    assert_int_equal(extra, path && strcmp(path, IMAGE) != 0);
    uk_image_close(image);
}

static void expect_refusal(const char *symbols, const char *msg)
{
    struct uk_image *image;
    struct ukvm_error err = {0};

    assert_int_equal(uk_image_open_at(&image, IMAGE, symbols, UKVM_ABI_AUTO, ROOT, &err),
                     UKVM_EFILE);
    assert_int_equal(err.code, UKVM_EFILE);
    assert_string_equal(err.msg, msg);
    assert_null(image);
}

/* --- in the image ------------------------------------------------------------------- */

static void test_own_symbols(void **state)
{
    struct elfimage im;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_write(&im, IMAGE);
    expect(NULL, IMAGE, "");
    elfimage_strip(&im);
    elfimage_write(&im, IMAGE);
    expect(NULL, NULL, "");
}

static void test_no_sections(void **state)
{
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_strip_sections(&im);
    elfimage_write(&im, IMAGE);
    image = must_open(NULL);
    assert_int_equal(image->symbols.n, 0);
    assert_string_equal(image->build_id, ID); /* from the note segment */
    uk_image_close(image);
}

static void test_long_build_id_is_cut(void **state)
{
    static const uint8_t id[40] = {0xaa};
    struct elfimage im;
    struct uk_image *image;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_note(&im, ELF_NOTE_GNU, NT_GNU_BUILD_ID, id, sizeof(id));
    elfimage_write(&im, IMAGE);
    image = must_open(NULL);
    assert_int_equal(strlen(image->build_id), 2 * UKVM_BUILD_ID_MAX);
    uk_image_close(image);
}

/* --- named by the user ----------------------------------------------------------------- */

static void test_named_file(void **state)
{
    struct elfimage im;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_strip(&im);
    elfimage_write(&im, IMAGE);
    make_debug(&im);
    elfimage_write(&im, DEBUG);
    expect(DEBUG, DEBUG, "");
    elfimage_note(&im, "x", 1, "", 0);
    elfimage_write(&im, DEBUG);
    expect(DEBUG, DEBUG, DEBUG " has no build-id: it may be of another build");
}

static void test_named_file_of_another_build(void **state)
{
    struct elfimage im;

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_write(&im, IMAGE);
    make_debug(&im);
    change_id(&im);
    elfimage_write(&im, DEBUG);
    expect_refusal(DEBUG, "--symbols=" DEBUG ": build-id " OTHER " is not the image's " ID
                          "; give the file of the same build");
}

static void test_named_files_that_are_none(void **state)
{
    static const char none[] = ": not an ELF file for x86_64; give the image before it was "
                               "stripped, or its .debug file";
    struct elfimage im;
    char msg[UKVM_ERRMSG_MAX];

    (void)state;
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_write(&im, IMAGE);
    expect_refusal("none.debug", "--symbols=none.debug: no such file; check the path");
    expect_refusal(".", "--symbols=.: is a directory; give a file in it");
    snprintf(msg, sizeof(msg), "--symbols=" DEBUG "%s", none);
    make_debug(&im);
    im.file.eh.e_machine = EM_AARCH64;
    elfimage_write(&im, DEBUG);
    expect_refusal(DEBUG, msg);
    memcpy(&im.file, "!<arch>\n", 8);
    elfimage_write(&im, DEBUG);
    expect_refusal(DEBUG, msg);
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_strip(&im);
    elfimage_write(&im, DEBUG);
    expect_refusal(DEBUG, "--symbols=" DEBUG ": has neither symbols nor debug information; give "
                          "the image before it was stripped, or its .debug file");
}

/* --- by the debug link ------------------------------------------------------------------- */

/* Write the debug file at (path), and a stripped image that links to it. */
static void write_linked(const char *path, bool right_sum, bool right_id)
{
    struct elfimage im;
    uint32_t crc;

    make_debug(&im);
    if (!right_id)
        change_id(&im);
    elfimage_write(&im, path);
    crc = crc32_of(&im.file, im.size);
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_strip(&im);
    elfimage_link(&im, DEBUG, right_sum ? crc : 0x12345678);
    elfimage_write(&im, IMAGE);
}

static void expect_linked(const char *path, const char *found)
{
    char full[256], here[128];

    assert_non_null(getcwd(here, sizeof(here)));
    write_linked(path, true, true);
    snprintf(full, sizeof(full), "%s%s", found[0] == '/' ? here : "", found);
    expect(NULL, full, "");
    assert_int_equal(unlink(path), 0);
    expect(NULL, NULL, "");
}

static void test_debug_link(void **state)
{
    char path[300], here[128];

    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    expect_linked(DEBUG, "/" DEBUG);
    assert_int_equal(mkdir(".debug", 0755), 0);
    expect_linked(".debug/" DEBUG, "/.debug/" DEBUG);
    snprintf(path, sizeof(path), "mkdir -p " ROOT "%s", here);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof(path), ROOT "%s/" DEBUG, here);
    expect_linked(path, path);
}

static void test_debug_link_to_another_build(void **state)
{
    char note[300], here[128];

    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    write_linked(DEBUG, false, true);
    snprintf(note, sizeof(note),
             "%s/" DEBUG ": passed over: its checksum is not the debug link's 12345678", here);
    expect(NULL, NULL, note);
    write_linked(DEBUG, true, false);
    snprintf(note, sizeof(note),
             "%s/" DEBUG ": passed over: its build-id %.16s.. is not the image's %.16s..", here,
             OTHER, ID);
    expect(NULL, NULL, note);
}

/* A link may not lead out of the folders, and not to the image itself. */
static void test_debug_links_not_followed(void **state)
{
    static const char *const names[] = {"../x/a.debug", "/a.debug", IMAGE, "", ".."};
    struct elfimage im;

    (void)state;
    make_debug(&im);
    elfimage_write(&im, DEBUG);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        elfimage_make(&im, UKVM_ABI_C);
        elfimage_strip(&im);
        elfimage_link(&im, names[i], 0);
        elfimage_write(&im, IMAGE);
        expect(NULL, NULL, "");
    }
    elfimage_link(&im, DEBUG, 0);
    im.file.sh[ELFIMAGE_SH_LINK].sh_size -= 1; /* cut off within the checksum */
    elfimage_write(&im, IMAGE);
    expect(NULL, NULL, "");
}

/* An image with line tables looks nowhere else. */
static void test_own_debug_information_wins(void **state)
{
    struct elfimage im;

    (void)state;
    make_debug(&im);
    elfimage_write(&im, DEBUG);
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_debug(&im);
    elfimage_link(&im, DEBUG, 0);
    elfimage_write(&im, IMAGE);
    expect(NULL, IMAGE, "");
}

/* --- by the build-id ----------------------------------------------------------------------- */

#define BY_ID ROOT "/.build-id/00/0102030405060708090a0b0c0d0e0f10111213.debug"

static void test_build_id(void **state)
{
    struct elfimage im;

    (void)state;
    assert_int_equal(system("mkdir -p " ROOT "/.build-id/00"), 0);
    elfimage_make(&im, UKVM_ABI_C);
    elfimage_strip(&im);
    elfimage_write(&im, IMAGE);
    make_debug(&im);
    elfimage_write(&im, BY_ID);
    expect(NULL, BY_ID, "");
    change_id(&im);
    elfimage_write(&im, BY_ID);
    expect(NULL, NULL,
           BY_ID ": passed over: its build-id ff01020304050607.. is not the image's "
                 "0001020304050607..");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_is_the_known_one),
        cmocka_unit_test_teardown(test_own_symbols, clean),
        cmocka_unit_test_teardown(test_no_sections, clean),
        cmocka_unit_test_teardown(test_long_build_id_is_cut, clean),
        cmocka_unit_test_teardown(test_named_file, clean),
        cmocka_unit_test_teardown(test_named_file_of_another_build, clean),
        cmocka_unit_test_teardown(test_named_files_that_are_none, clean),
        cmocka_unit_test_teardown(test_debug_link, clean),
        cmocka_unit_test_teardown(test_debug_link_to_another_build, clean),
        cmocka_unit_test_teardown(test_debug_links_not_followed, clean),
        cmocka_unit_test_teardown(test_own_debug_information_wins, clean),
        cmocka_unit_test_teardown(test_build_id, clean),
    };

    return cmocka_run_group_tests_name("image_debug", tests, enter_folder, leave_folder);
}
