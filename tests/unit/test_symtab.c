/* SPDX-License-Identifier: ISC */
/*
 * test_symtab.c: which symbols are kept, what an address is called, what a name
 * finds, and what is proposed for a name that finds nothing.
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

#include "core/debug/symtab.h"
#include "core/machine.h"
#include "tests/support/elfimage.h"

#define TEXT ELFIMAGE_TEXT
#define DATA ELFIMAGE_DATA

enum { FUNC = STT_FUNC, OBJECT = STT_OBJECT, NOTYPE = STT_NOTYPE };

struct symbol {
    const char *name;
    uint64_t addr, size;
    unsigned bind, type;
    uint16_t section;
};

/* An image with these symbols and no others. */
static struct uk_image *image_with(const struct symbol *s, size_t n)
{
    int fd = memfd_create("symbols", MFD_CLOEXEC);
    struct elfimage im;
    struct uk_image *image;
    struct ukvm_error err;
    char path[32];

    elfimage_make(&im, UKVM_ABI_C);
    im.nsyms = im.nstr = 1;
    for (size_t i = 0; i < n; i++)
        elfimage_symbol(&im, s[i].name, s[i].addr, s[i].size, ELF64_ST_INFO(s[i].bind, s[i].type),
                        s[i].section);
    assert_int_equal(write(fd, &im.file, im.size), im.size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (uk_image_open(&image, path, NULL, UKVM_ABI_C, &err) != UKVM_OK)
        fail_msg("%s", err.msg);
    close(fd);
    return image;
}

#define IMAGE_WITH(s) image_with((s), sizeof(s) / sizeof((s)[0]))

static void expect_place(const struct uk_image *image, uint64_t addr, const char *want)
{
    char buf[64];

    assert_string_equal(uk_symtab_format(&image->symbols, addr, buf, sizeof(buf)), want);
}

/* --- what is kept ----------------------------------------------------------------- */

static void test_kept_and_sorted(void **state)
{
    static const struct symbol s[] = {
        {"zeta", TEXT + 16, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"alpha", DATA, 8, STB_GLOBAL, OBJECT, ELFIMAGE_SH_DATA},
        {"local", TEXT, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
        {"hidden", DATA + 8, 8, STB_LOCAL, OBJECT, ELFIMAGE_SH_DATA},
        {"weak", TEXT + 32, 8, STB_WEAK, FUNC, ELFIMAGE_SH_TEXT},
        {"code_label", TEXT + 48, 0, STB_LOCAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {"data_label", DATA + 16, 0, STB_GLOBAL, NOTYPE, ELFIMAGE_SH_DATA},
        {"_end", ELFIMAGE_END, 0, STB_GLOBAL, NOTYPE, SHN_ABS},
    };
    static const struct {
        const char *name;
        char type;
    } want[] = {{"local", 't'}, {"zeta", 'T'},   {"weak", 'T'},       {"code_label", 't'},
                {"alpha", 'D'}, {"hidden", 'd'}, {"data_label", 'D'}, {"_end", 'D'}};
    struct uk_image *image = IMAGE_WITH(s);
    struct ukvm vm = {.image = image};

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(ukvm_sym_at(&vm, i)->name, want[i].name);
        assert_int_equal(ukvm_sym_at(&vm, i)->type, want[i].type);
    }
    assert_null(ukvm_sym_at(&vm, 8));
    uk_image_close(image);
}

static void test_passed_over(void **state)
{
    static const struct symbol s[] = {
        {".text", TEXT, 0, STB_LOCAL, STT_SECTION, ELFIMAGE_SH_TEXT},
        {"main.c", 0, 0, STB_LOCAL, STT_FILE, SHN_ABS},
        {"tls", 0, 8, STB_GLOBAL, STT_TLS, ELFIMAGE_SH_DATA},
        {"outside", 0, 0, STB_GLOBAL, NOTYPE, SHN_UNDEF},
        {"common", 8, 8, STB_GLOBAL, OBJECT, SHN_COMMON},
        {"constant", 0x500, 0, STB_GLOBAL, NOTYPE, SHN_ABS},
        {"note", 0, 4, STB_GLOBAL, OBJECT, ELFIMAGE_SH_NOTE}, /* not in memory */
        {"no_section", TEXT, 4, STB_GLOBAL, FUNC, 99},
        {"", TEXT, 4, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"$x.1", TEXT, 0, STB_LOCAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {".L12", TEXT, 0, STB_LOCAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {"a\033[2Jb", TEXT, 4, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"wraps", UINT64_MAX - 2, 4, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
    };
    struct uk_image *image = IMAGE_WITH(s);

    (void)state;
    assert_int_equal(image->symbols.n, 0);
    assert_null(image->symbols_path);
    expect_place(image, TEXT, "0x100000");
    uk_image_close(image);
}

/* --- by address --------------------------------------------------------------------- */

static void test_address(void **state)
{
    static const struct symbol s[] = {
        {"first", TEXT, 16, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"second", TEXT + 32, 16, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
        {"array", DATA, 16, STB_GLOBAL, OBJECT, ELFIMAGE_SH_DATA},
    };
    struct uk_image *image = IMAGE_WITH(s);

    (void)state;
    expect_place(image, TEXT - 1, "0xfffff");
    expect_place(image, TEXT, "first");
    expect_place(image, TEXT + 15, "first+0xf");
    expect_place(image, TEXT + 16, "0x100010"); /* between the two */
    expect_place(image, TEXT + 32, "second");
    expect_place(image, TEXT + 48, "0x100030");
    expect_place(image, DATA + 4, "array+0x4");
    expect_place(image, 0, "0x0");
    expect_place(image, UINT64_MAX, "0xffffffffffffffff");
    uk_image_close(image);
}

/* Without a size: up to the next symbol, or the end of the section. */
static void test_no_size(void **state)
{
    static const struct symbol s[] = {
        {"one", TEXT, 0, STB_GLOBAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {"two", TEXT + 16, 0, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"_end", ELFIMAGE_END, 0, STB_GLOBAL, NOTYPE, SHN_ABS},
    };
    struct uk_image *image = IMAGE_WITH(s);

    (void)state;
    assert_int_equal(image->symbols.sym[0].size, 16);
    assert_int_equal(image->symbols.sym[1].size, 48);
    expect_place(image, TEXT + 15, "one+0xf");
    expect_place(image, TEXT + 63, "two+0x2f");
    expect_place(image, TEXT + 64, "0x100040");
    expect_place(image, ELFIMAGE_END + 8, "0x102808"); /* the heap is not "_end" */
    uk_image_close(image);
}

/* A label within a sized function does not hide it. */
static void test_nested(void **state)
{
    static const struct symbol s[] = {
        {"outer", TEXT, 48, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"label", TEXT + 8, 0, STB_LOCAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {"inner", TEXT + 16, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
        {"same", TEXT + 16, 0, STB_LOCAL, NOTYPE, ELFIMAGE_SH_TEXT},
        {"after", TEXT + 48, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
    };
    struct uk_image *image = IMAGE_WITH(s);

    (void)state;
    expect_place(image, TEXT + 7, "outer+0x7");
    expect_place(image, TEXT + 12, "outer+0xc");
    expect_place(image, TEXT + 16, "inner");
    expect_place(image, TEXT + 23, "inner+0x7");
    expect_place(image, TEXT + 24, "outer+0x18");
    expect_place(image, TEXT + 47, "outer+0x2f");
    expect_place(image, TEXT + 48, "after");
    uk_image_close(image);
}

/* Of several names at one address: sized, then global, then without underscores. */
static void test_aliases(void **state)
{
    static const struct symbol s[] = {
        {"__bss_start", DATA, 0, STB_GLOBAL, NOTYPE, ELFIMAGE_SH_DATA},
        {"buffer", DATA, 8, STB_LOCAL, OBJECT, ELFIMAGE_SH_DATA},
        {"__memcpy", TEXT, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"memcpy", TEXT, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"copy", TEXT, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
        {"memcpy", TEXT, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
    };
    struct uk_image *image = IMAGE_WITH(s);

    (void)state;
    assert_int_equal(image->symbols.n, 5); /* memcpy once */
    expect_place(image, TEXT + 1, "memcpy+0x1");
    expect_place(image, DATA + 1, "buffer+0x1");
    assert_int_equal(uk_symbols_by_name(&image->symbols, "__memcpy")->addr, TEXT);
    assert_int_equal(uk_symbols_by_name(&image->symbols, "copy")->addr, TEXT);
    assert_int_equal(uk_symbols_by_name(&image->symbols, "__bss_start")->addr, DATA);
    uk_image_close(image);
}

/* --- by name ------------------------------------------------------------------------- */

static void test_name(void **state)
{
    static const struct symbol s[] = {
        {"reset", TEXT, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
        {"reset", TEXT + 8, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"set", TEXT + 16, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"set", TEXT + 24, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
    };
    struct uk_image *image = IMAGE_WITH(s);
    struct ukvm vm = {.image = image};

    (void)state;
    assert_int_equal(ukvm_sym_by_name(&vm, "reset")->addr, TEXT + 8); /* the global one */
    assert_int_equal(ukvm_sym_by_name(&vm, "set")->addr, TEXT + 16);
    assert_null(ukvm_sym_by_name(&vm, "rese"));
    assert_null(ukvm_sym_by_name(&vm, "reset_"));
    assert_null(ukvm_sym_by_name(&vm, ""));
    uk_image_close(image);
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"main",    "fool",      "food", "do_foo",
                                        "barrier", "MAIN_LOOP", "hlt"};
    static const struct {
        const char *typed, *want;
    } cases[] = {
        {"foo", "food fool do_foo"},     {"mian", "main"},        {"mai", "main MAIN_LOOP"},
        {"barier", "barrier"},           {"BARRIER", "barrier"},  {"htl", "hlt"},
        {"main_loop", "MAIN_LOOP main"}, {"nothing_like_it", ""}, {"", ""},
    };
    struct symbol s[sizeof(names) / sizeof(names[0])];
    struct uk_image *image;
    struct ukvm vm = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        s[i] = (struct symbol){names[i], TEXT + 8 * i, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT};
    vm.image = image = IMAGE_WITH(s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *near[3];
        size_t n = ukvm_sym_nearest(&vm, cases[i].typed, near, 3);
        char got[64] = "";

        for (size_t k = 0; k < n; k++)
            sprintf(got + strlen(got), "%s%s", k ? " " : "", near[k]);
        assert_string_equal(got, cases[i].want);
    }
    uk_image_close(image);
}

static void test_nearest_is_bounded(void **state)
{
    static const struct symbol s[] = {
        {"aaaa", TEXT, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"aaab", TEXT + 8, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT},
        {"aaaa", TEXT + 16, 8, STB_LOCAL, FUNC, ELFIMAGE_SH_TEXT},
    };
    struct uk_image *image = IMAGE_WITH(s);
    const char *near[UK_SYMTAB_NEAREST_MAX + 1];
    char typed[500];

    (void)state;
    memset(typed, 'a', sizeof(typed) - 1);
    typed[sizeof(typed) - 1] = '\0';
    assert_int_equal(uk_symtab_nearest(&image->symbols, "aaaa", near, 0), 0);
    assert_int_equal(uk_symtab_nearest(&image->symbols, "aaac", near, 1), 1);
    assert_int_equal(uk_symtab_nearest(&image->symbols, "aaaa", near, 9), 2); /* a name once */
    uk_symtab_nearest(&image->symbols, typed, near, 9);
    uk_image_close(image);
}

/* --- the other facts ------------------------------------------------------------------- */

static void test_segments_and_paths(void **state)
{
    static const struct symbol s[] = {{"f", TEXT, 8, STB_GLOBAL, FUNC, ELFIMAGE_SH_TEXT}};
    struct uk_image *image = IMAGE_WITH(s);
    struct ukvm vm = {.image = image}, none = {0};
    struct ukvm_segment seg;
    char buf[32];

    (void)state;
    assert_int_equal(ukvm_segment_at(&vm, 2, &seg), UKVM_OK);
    assert_int_equal(seg.gpa, DATA);
    assert_int_equal(ukvm_segment_at(&vm, 3, &seg), UKVM_ENOENT);
    assert_string_equal(ukvm_image_path(&vm), image->path);
    assert_string_equal(ukvm_symbols_path(&vm), image->path);
    assert_string_equal(ukvm_build_id(&vm), "000102030405060708090a0b0c0d0e0f10111213");
    assert_string_equal(ukvm_sym_format(&vm, TEXT + 1, buf, sizeof(buf)), "f+0x1");
    assert_ptr_equal(ukvm_sym_by_addr(&vm, TEXT + 1), ukvm_sym_at(&vm, 0));
    /* a machine without an image */
    assert_int_equal(ukvm_segment_at(&none, 0, &seg), UKVM_ENOENT);
    assert_null(ukvm_sym_at(&none, 0));
    assert_null(ukvm_sym_by_addr(&none, TEXT));
    assert_string_equal(ukvm_image_path(&none), "");
    assert_string_equal(ukvm_symbols_path(&none), "");
    assert_string_equal(ukvm_build_id(&none), "");
    uk_image_close(image);
}

/* A look-up against a walk over all symbols, at each address of many random tables. */
static void test_lookup_against_a_walk(void **state)
{
    struct symbol s[20];
    char names[20][8];

    (void)state;
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct uk_image *image;

        for (size_t i = 0, at = 0; i < 20; i++, at += (size_t)rand() % 3) {
            snprintf(names[i], sizeof(names[i]), "f%zu", i);
            s[i] = (struct symbol){names[i],   TEXT + at, (uint64_t)rand() % 9,
                                   STB_GLOBAL, FUNC,      ELFIMAGE_SH_TEXT};
        }
        image = IMAGE_WITH(s);
        for (uint64_t addr = TEXT - 1; addr < TEXT + 70; addr++) {
            const struct ukvm_sym *got = uk_symbols_by_addr(&image->symbols, addr);
            bool any = false;

            for (size_t i = 0; i < image->symbols.n; i++) {
                const struct ukvm_sym *y = &image->symbols.sym[i];

                any |= addr >= y->addr && addr - y->addr < y->size;
            }
            if (got)
                assert_true(addr >= got->addr && addr - got->addr < got->size);
            else
                assert_false(any);
        }
        uk_image_close(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_and_sorted),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_no_size),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_nearest_is_bounded),
        cmocka_unit_test(test_segments_and_paths),
        cmocka_unit_test(test_lookup_against_a_walk),
    };

    return cmocka_run_group_tests_name("symtab", tests, NULL, NULL);
}
