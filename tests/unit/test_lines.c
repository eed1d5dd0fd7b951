/* SPDX-License-Identifier: ISC */
/*
 * test_lines.c: source lines against a small program that the test compiles with
 * $CC: DWARF 4 and 5, compressed, separate, spoilt.
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
#include "core/ukvm_debug.h"

static char folder[] = "/tmp/ukvm-lines-XXXXXX";

/* Labels in the code tell the test where a line begins. */
static const char source[] = "int counter;\n"     /* 1 */
                             "void leaf(void);\n" /* 2 */
                             "void leaf(void)\n"  /* 3 */
                             "{\n"                /* 4 */
                             "    __asm__ volatile(\"mark_5: .globl mark_5; nop\");\n"
                             "    counter++;\n"
                             "    __asm__ volatile(\"mark_7: .globl mark_7; nop; nop\");\n"
                             "}\n"
                             "#line 100 \"other.h\"\n"
                             "void _start(void)\n" /* 100 */
                             "{\n"
                             "    leaf();\n"
                             "    __asm__ volatile(\"mark_103: .globl mark_103; hlt\");\n"
                             "}\n";

static int enter_folder(void **state)
{
    FILE *f;

    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0 || !(f = fopen("sample.c", "w")))
        return -1;
    return fputs(source, f) < 0 || fclose(f) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    return system("rm -f -- ./*") || chdir("/") || rmdir(folder);
}

static void compile(const char *options)
{
    const char *cc = getenv("CC") ? getenv("CC") : "cc";
    char cmd[512];

    snprintf(cmd, sizeof(cmd),
             "%s -O1 -ffreestanding -fno-pic -fcf-protection=none -static -no-pie -nostdlib "
             "-Wl,-Ttext=0x100000,--build-id=none,-z,noseparate-code %s -o a.elf sample.c",
             cc, options);
    if (system(cmd) != 0)
        fail_msg("%s", cmd);
}

/* Where the label (name) is, by nm: nothing of what is tested. */
static ukvm_gva_t address_of(const char *name)
{
    char cmd[64];
    unsigned long long addr = 0;
    FILE *f;

    snprintf(cmd, sizeof(cmd), "nm a.elf | grep ' %s$'", name);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llx", &addr), 1);
    pclose(f);
    return addr;
}

static void expect_line(struct ukvm_lines *l, ukvm_gva_t pc, const char *file, int line)
{
    const char *got = "";
    const char *slash;
    int number = 0;

    if (!ukvm_lines_find(l, pc, &got, &number))
        fail_msg("0x%llx: no line, not %s:%d", (unsigned long long)pc, file, line);
    slash = strrchr(got, '/');
    assert_string_equal(slash ? slash + 1 : got, file);
    assert_int_equal(number, line);
}

static struct ukvm_lines *must_open(const char *path)
{
    struct ukvm_lines *l;
    struct ukvm_error err;

    if (ukvm_lines_open(&l, path, &err) != UKVM_OK)
        fail_msg("%s", err.msg);
    return l;
}

static void expect_all(const char *path)
{
    ukvm_gva_t mark_5 = address_of("mark_5"), mark_7 = address_of("mark_7");
    ukvm_gva_t mark_103 = address_of("mark_103"), leaf = address_of("leaf");
    struct ukvm_lines *l = must_open(path);
    const char *file;
    int line;

    expect_line(l, mark_5, "sample.c", 5);
    expect_line(l, mark_7, "sample.c", 7);
    expect_line(l, mark_7 + 1, "sample.c", 7); /* within the line */
    expect_line(l, mark_103, "other.h", 103);
    assert_true(mark_5 >= leaf);
    assert_false(ukvm_lines_find(l, 0, &file, &line));
    assert_false(ukvm_lines_find(l, leaf - 1, &file, &line));
    assert_false(ukvm_lines_find(l, 0x200000, &file, &line)); /* past the end */
    assert_false(ukvm_lines_find(l, UINT64_MAX, &file, &line));
    ukvm_lines_close(l);
}

static void test_dwarf_4(void **state)
{
    (void)state;
    compile("-gdwarf-4");
    expect_all("a.elf");
}

static void test_dwarf_5(void **state)
{
    (void)state;
    compile("-gdwarf-5");
    expect_all("a.elf");
}

static void test_compressed(void **state)
{
    (void)state;
    compile("-g -gz=zlib");
    expect_all("a.elf");
}

static void test_separate(void **state)
{
    (void)state;
    compile("-g");
    assert_int_equal(system("objcopy --only-keep-debug a.elf a.debug"), 0);
    expect_all("a.debug");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

/* Assembled by hand: no compiler, still lines. */
static void test_assembler(void **state)
{
    struct ukvm_lines *l;

    (void)state;
    write_file("hand.s", ".globl _start\n_start:\n nop\n nop\n");
    assert_int_equal(system("as -g -o hand.o hand.s && ld -Ttext=0x100000 -o hand.elf hand.o"), 0);
    l = must_open("hand.elf");
    expect_line(l, 0x100000, "hand.s", 3);
    expect_line(l, 0x100001, "hand.s", 4);
    ukvm_lines_close(l);
}

/* Code that begins where that of a later unit ends: the linker puts .text.hot first. */
static void test_adjacent_units(void **state)
{
    struct ukvm_lines *l;

    (void)state;
    write_file("cold.s", ".section .text.z,\"ax\"\n nop\n");
    write_file("hot.s", ".section .text.hot,\"ax\"\n.globl _start\n_start:\n nop\n");
    assert_int_equal(system("as -g -o cold.o cold.s && as -g -o hot.o hot.s && "
                            "ld -Ttext=0x100000 -o two.elf cold.o hot.o"),
                     0);
    l = must_open("two.elf");
    expect_line(l, 0x100000, "hot.s", 4);
    expect_line(l, 0x100001, "cold.s", 2);
    ukvm_lines_close(l);
}

static void expect_refusal(const char *path, int code, const char *msg)
{
    struct ukvm_lines *l;
    struct ukvm_error err = {0};

    assert_int_equal(ukvm_lines_open(&l, path, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.msg, msg);
    assert_null(l);
}

static void test_refusals(void **state)
{
    const char *file;
    int line;

    (void)state;
    compile("-g0");
    expect_refusal("a.elf", UKVM_ENOENT,
                   "a.elf: no debug information; compile with -g, or --symbols=FILE");
    expect_refusal("sample.c", UKVM_ENOENT,
                   "sample.c: no debug information; compile with -g, or --symbols=FILE");
    expect_refusal("none.elf", UKVM_ESYS, "none.elf: No such file or directory");
    expect_refusal(".", UKVM_EFILE, ".: not a regular file; give an ELF file");
    ukvm_lines_close(NULL);
    assert_false(ukvm_lines_find(NULL, 0, &file, &line));
}

/* Debug information spoilt at random gives lines, wrong ones or none: nothing worse. */
static void test_spoilt(void **state)
{
    static uint8_t sound[1 << 20], bad[1 << 20];
    int fd = memfd_create("bad.elf", MFD_CLOEXEC);
    size_t size, opened = 0;
    char path[32];
    FILE *f;

    (void)state;
    compile("-gdwarf-5");
    f = fopen("a.elf", "rb");
    assert_non_null(f);
    size = fread(sound, 1, sizeof(sound), f);
    fclose(f);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    srand(11);
    for (int i = 0; i < 1000; i++) {
        struct ukvm_lines *l;
        const char *file;
        int line;

        memcpy(bad, sound, size);
        for (int k = 0; k < 4; k++)
            bad[(size_t)rand() % size] = rand() & 0xff;
        assert_int_equal(pwrite(fd, bad, size, 0), size);
        if (ukvm_lines_open(&l, path, NULL) != UKVM_OK)
            continue;
        opened++;
        for (ukvm_gva_t pc = 0x100000; pc < 0x100040; pc++)
            ukvm_lines_find(l, pc, &file, &line);
        ukvm_lines_close(l);
    }
    assert_in_range(opened, 100, 1000);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dwarf_4),    cmocka_unit_test(test_dwarf_5),
        cmocka_unit_test(test_compressed), cmocka_unit_test(test_separate),
        cmocka_unit_test(test_assembler),  cmocka_unit_test(test_adjacent_units),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_spoilt),
    };

    return cmocka_run_group_tests_name("lines", tests, enter_folder, leave_folder);
}
