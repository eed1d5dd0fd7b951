/* SPDX-License-Identifier: ISC */
/*
 * test_disasm.c: instructions as text and their lengths, for both architectures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/ukvm_debug.h"

static const struct row {
    const char *arch;
    const char *bytes;
    size_t len, want; /* bytes given; length of the instruction, 0: none */
    const char *text;
} rows[] = {
    {"x86_64", "\x8b\x07", 2, 2, "mov eax, dword ptr [rdi]"},
    {"x86_64", "\xba\x0a\x05\0\0", 5, 5, "mov edx, 0x50a"},
    {"x86_64", "\xef", 1, 1, "out dx, eax"},
    {"x86_64", "\xf4\x90\x90", 3, 1, "hlt"},
    {"x86_64", "\xf3\xa4", 2, 2, "rep movsb byte ptr [rdi], byte ptr [rsi]"},
    {"x86_64", "\xe8\x0b\0\0\0", 5, 5, "call 0x100010"}, /* from pc 0x100000 */
    {"x86_64", "\xeb\xfe", 2, 2, "jmp 0x100000"},
    {"x86_64", "\x48\x8b\x05\x10\0\0\0", 7, 7, "mov rax, qword ptr [rip + 0x10]"},
    {"x86_64", "\xf3\x0f\x1e\xfa", 4, 4, "endbr64"},
    {"x86_64", "\x0f\x31", 2, 2, "rdtsc"},
    {"x86_64", "\x0f\x01\xf9", 3, 3, "rdtscp"},
    {"x86_64", "\x48\x0f\xc7\xf0", 4, 4, "rdrand rax"},
    {"x86_64", "\x48\xcf", 2, 2, "iretq"},
    {"x86_64", "\x0f\x0b", 2, 2, "ud2"},
    {"x86_64", "\x66\x0f\x6f\x00", 4, 4, "movdqa xmm0, xmmword ptr [rax]"},
    {"x86_64", "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11", 10, 10,
     "movabs rax, 0x1122334455667788"},
    {"x86_64", "\x06", 1, 0, ""},         /* PUSH ES: not in 64-bit mode */
    {"x86_64", "\xe8\x0b\0\0", 4, 0, ""}, /* cut off */
    {"x86_64", "\x66\x66", 2, 0, ""},     /* prefixes only */
    {"x86_64", "", 0, 0, ""},
    {"aarch64", "\xc0\x03\x5f\xd6", 4, 4, "ret"},
    {"aarch64", "\x01\x00\x00\xb9", 4, 4, "str w1, [x0]"},
    {"aarch64", "\x00\x00\x00\x14", 4, 4, "b #0x100000"},
    {"aarch64", "\x40\xe0\x3b\xd5", 4, 4, "mrs x0, cntvct_el0"},
    {"aarch64", "\0\0\0\0", 4, 0, ""}, /* UDF */
    {"aarch64", "\xc0\x03\x5f", 3, 0, ""},
    {"vax", "\x01", 1, 0, ""},
};

static void test_rows(void **state)
{
    char buf[96];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n;

        memset(buf, 'x', sizeof(buf));
        n = ukvm_disasm(rows[i].arch, (const uint8_t *)rows[i].bytes, rows[i].len, 0x100000, buf,
                        sizeof(buf));
        assert_string_equal(buf, rows[i].text);
        assert_int_equal(n, rows[i].want);
    }
}

static void test_small_buffer(void **state)
{
    char buf[4] = "zzz";

    (void)state;
    assert_int_equal(ukvm_disasm("x86_64", (const uint8_t *)"\xf4", 1, 0, buf, 3), 1);
    assert_string_equal(buf, "hl");
    assert_int_equal(ukvm_disasm("x86_64", (const uint8_t *)"\xf4", 1, 0, NULL, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_small_buffer),
    };

    return cmocka_run_group_tests_name("disasm", tests, NULL, NULL);
}
