/* SPDX-License-Identifier: ISC */
/*
 * test_shell.c: the shell's command table row by row, expressions, values,
 * completion, and commands printing to a string: on the scripted backend.
 */
#include "ukvmdbg/dbg/shell.h"
#include "tests/support/scripted.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct ud_options options;
static struct ud_watch watcher;
static struct ud_out out;
static struct ud_session session;
static struct ud_shell sh;
static struct ukvm_error err;

#define DATA 0x200000u /* where the test's bytes are */

static int set_up(void **state)
{
    (void)state;
    memset(&session, 0, sizeof(session));
    session.o = &options;
    session.watch = &watcher;
    session.vm = scripted_machine(UKVM_ABI_C, NULL, 0);
    session.fresh = true;
    assert_true(ud_out_string(&out));
    sh = (struct ud_shell){
        .s = &session, .out = &out, .err = &out, .x = {.format = 'x', .size = 4, .count = 1}};
    return ud_watch_start(&watcher, &err);
}

static int tear_down(void **state)
{
    (void)state;
    ud_watch_stop(&watcher);
    ud_shell_forget_lines(&sh);
    ukvm_destroy(session.vm);
    ud_out_free(&out);
    return 0;
}

/* What (line) prints; NULL if it fails. */
static const char *give(const char *line)
{
    out.used = 0;
    out.text[0] = '\0';
    memset(&err, 0, sizeof(err));
    return ud_cmd_do(&sh, line, &err) == UKVM_OK ? out.text : NULL;
}

static void gives(const char *line, const char *want)
{
    const char *got = give(line);

    if (!got)
        fail_msg("%s: %s", line, err.msg);
    if (strcmp(got, want) != 0)
        fail_msg("%s: got \"%s\", want \"%s\"", line, got, want);
}

static void fails(const char *line, const char *word)
{
    if (give(line))
        fail_msg("%s: did not fail: %s", line, out.text);
    if (!strstr(err.msg, word))
        fail_msg("%s: \"%s\" lacks \"%s\"", line, err.msg, word);
    assert_null(strchr(err.msg, '\n'));
    if (strncmp(word, "0x", 2) != 0) /* the library's refusal of an address says no next */
        assert_non_null(strchr(err.msg, ';'));
}

static void poke(uint64_t addr, const void *bytes, size_t n)
{
    assert_int_equal(ukvm_poke(session.vm, UKVM_PHYS, addr, bytes, n, NULL, &err), UKVM_OK);
}

static void set_register(const char *name, uint64_t v)
{
    const struct ukvm_reg *reg = ukvm_reg_find(session.vm, name);

    assert_non_null(reg);
    assert_int_equal(ukvm_reg_set(session.vm, reg, &v, &err), UKVM_OK);
}

/* --- the table -------------------------------------------------------------------------- */

static void check_rows(const struct ud_cmd *table)
{
    for (const struct ud_cmd *a = table; a->name; a++) {
        assert_true(strlen(a->help) > 4);
        assert_non_null(a->run);
        assert_non_null(a->args);
        assert_ptr_equal(ud_cmd_find(table, a->name, strlen(a->name), &err), a);
        for (const struct ud_cmd *b = table; b < a; b++)
            assert_string_not_equal(a->name, b->name);
        for (const char *p = a->aliases; *p; p += strcspn(p, " "), p += *p == ' ')
            assert_ptr_equal(ud_cmd_find(table, p, strcspn(p, " "), &err), a);
    }
}

static void test_rows(void **state)
{
    (void)state;
    check_rows(ud_cmds);
    check_rows(ud_topics);
}

/* Each beginning of each name finds its row, or lists it among the candidates. */
static void test_beginnings(void **state)
{
    (void)state;
    for (const struct ud_cmd *c = ud_cmds; c->name; c++)
        for (size_t len = 1; len < strlen(c->name); len++) {
            const struct ud_cmd *found = ud_cmd_find(ud_cmds, c->name, len, &err);

            if (!found)
                assert_non_null(strstr(err.msg, c->name));
            else
                assert_true(found == c || strlen(found->name) == len || found->aliases[0] != '\0');
        }
    fails("s", "ambiguous; start, stepi, symbols");
    fails("strat", "nearest: start");
    fails("info imgae", "nearest: image");
    fails("info", "of what");
}

static void test_each_row(void **state)
{
    char line[80];

    (void)state;
    for (const struct ud_cmd *c = ud_cmds; c->name; c++) {
        snprintf(line, sizeof(line), "help %s", c->name);
        assert_non_null(strstr(give(line), c->help));
        assert_non_null(strstr(give("help"), c->help));
        if (!c->args[0]) {
            snprintf(line, sizeof(line), "%s nonsense", c->name);
            fails(line, "takes no arguments");
        }
        session.ended = true;
        if (c->flags & UD_NEEDS_LIVE)
            fails(c->name, "has ended");
        session.ended = false;
    }
}

static void test_no_machine(void **state)
{
    struct ukvm *vm = session.vm;

    (void)state;
    session.vm = NULL;
    for (const struct ud_cmd *c = ud_cmds; c->name; c++)
        if (c->flags & UD_NEEDS_VM)
            fails(c->name, "no machine; start");
    session.vm = vm;
}

static void test_nothing(void **state)
{
    char line[2000];

    (void)state;
    gives("", "");
    gives("   \t", "");
    gives("# print", "");
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    fails(line, "at most");
    assert_false(sh.quit);
    gives("q", "");
    assert_true(sh.quit);
}

/* --- expressions ------------------------------------------------------------------------- */

static void test_expressions(void **state)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"p 1", "0x1 (1)\n"},
        {"p 0x10+2", "0x12 (18)\n"},
        {"print 010", "0x8 (8)\n"},
        {"p 5-7", "0xfffffffffffffffe (-2)\n"},
        {"p -(1+2)+10", "0x7 (7)\n"},
        {"p 10 - (3 - (1))", "0x8 (8)\n"},
        {"p --1", "0x1 (1)\n"},
        {"p $rbx + 1", "0x2b (43)\n"},
        {"p $pc - $rip", "0x0 (0)\n"},
        {"p 18446744073709551615", "0xffffffffffffffff (-1)\n"},
        {"p/x 255", "0xff\n"},
        {"p/d 0-1", "-1\n"},
        {"p/u 0-1", "18446744073709551615\n"},
        {"p/o 8", "010\n"},
        {"p/t 5", "101\n"},
        {"p/t 0", "0\n"},
        {"p/c 65", "65 'A'\n"},
        {"p/c 10", "10 '\\012'\n"},
    };

    (void)state;
    set_register("rbx", 42);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        gives(rows[i].line, rows[i].want);
}

static void test_bad_expressions(void **state)
{
    char deep[200];

    (void)state;
    fails("p", "belongs here");
    fails("p 1 +", "belongs here");
    fails("p 1 2", "not understood");
    fails("p (1", ") is missing");
    fails("p 12ab", "not a number");
    fails("p 18446744073709551616", "not a number");
    fails("p $rxa", "nearest: $");
    fails("p $xmm0", "wider");
    fails("p nosuch", "");
    fails("p/z 1", "one of /x");
    fails("p/x", "one of /x");
    snprintf(deep, sizeof(deep), "p %0150d", 1);
    memset(deep + 2, '(', 150);
    fails(deep, "levels deep");
}

/* --- registers and memory ------------------------------------------------------------------ */

static void test_registers(void **state)
{
    const char *all;

    (void)state;
    set_register("rbx", 0xfffffffffffffffe);
    gives("registers rbx", "rbx            0xfffffffffffffffe -2\n");
    gives("info registers $rbx", "rbx            0xfffffffffffffffe -2\n");
    set_register("eflags", 0x46);
    gives("regs eflags", "eflags         0x46               [ PF ZF ]\n");
    fails("registers rxb", "nearest: $rbx");
    all = give("registers");
    assert_non_null(all);
    assert_non_null(strstr(all, "rip"));
    assert_null(strstr(all, "xmm0"));
    all = give("registers all");
    assert_non_null(strstr(all, "xmm0"));
    assert_non_null(strstr(all, "cr3"));
}

static void test_memory(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 0xff, 0x80, 'h', 'i', '"', 0x1b, 0, 'y', 0};

    (void)state;
    poke(DATA, bytes, sizeof(bytes));
    gives("x/4xb 0x200000", "0x200000: 0x01 0x02 0x03 0x04\n");
    gives("x/2 0x200004", "0x200004: 0xff 0x80\n");
    gives("x/2dh 0x200004", "0x200004: -32513 26984\n");
    gives("x/xw 0x200000", "0x200000: 0x04030201\n");
    gives("x/xg 0x200000", "0x200000: 0x696880ff04030201\n");
    gives("x", "0x200008: 0x0000000079001b22\n");
}

static void test_memory_goes_on(void **state)
{
    static const char text[] = "hi\"\033";

    (void)state;
    poke(DATA, text, sizeof(text));
    poke(DATA + sizeof(text), "you", 4);
    gives("x/2s 0x200000", "0x200000: \"hi\\\"\\033\"\n0x200005: \"you\"\n");
    gives("x/2xb 0x200000", "0x200000: 0x68 0x69\n");
    gives("x", "0x200002: 0x22 0x1b\n");
    gives("xp/2xb 0x200000", "0x200000: 0x68 0x69\n");
    gives("x/9xb 0x200005", "0x200005: 0x79 0x6f 0x75 0x00 0x00 0x00 0x00 0x00\n0x20000d: 0x00\n");
    fails("x/1xb 0x4000000000", "0x4000000000");
    fails("x/0xb 1", "1 to");
    fails("x/99999999999999999999xb 1", "1 to");
    fails("x/4q 1", "no such format");
    fails("xp/i 0", "virtual");
}

static void test_values(void **state)
{
    static const struct {
        char format;
        unsigned size;
        uint64_t v;
        const char *want;
    } rows[] = {
        {'x', 1, 0xa, "0x0a"},
        {'x', 8, 1, "0x0000000000000001"},
        {'d', 1, 0xff, "-1"},
        {'d', 2, 0x7fff, "32767"},
        {'d', 8, UINT64_MAX, "-1"},
        {'u', 4, 0xffffffff, "4294967295"},
        {'o', 1, 8, "010"},
        {'t', 8, 1ULL << 63, "1000000000000000000000000000000000000000000000000000000000000000"},
        {'a', 8, 0x100000, "0x100000"},
        {'c', 1, 0x7f, "127 '\\177'"},
    };
    char buf[80];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(
            ud_show_value(rows[i].format, rows[i].size, rows[i].v, buf, sizeof(buf)), rows[i].want);
}

static void test_disassemble(void **state)
{
    static const uint8_t code[] = {0x90, 0xc3, 0x06, 0x06};
    const char *text;

    (void)state;
    poke(DATA, code, sizeof(code));
    set_register("rip", DATA + 1);
    gives("disassemble 0x200000 2", "   0x200000: nop\n=> 0x200001: ret\n");
    gives("x/2i $pc - 1", "   0x200000: nop\n=> 0x200001: ret\n");
    text = give("disassemble 0x200002, 1");
    assert_non_null(strstr(text, "no instruction: 06"));
    fails("disassemble 0x4000000000", "0x4000000000");
}

static void test_run_to_end(void **state)
{
    (void)state;
    assert_non_null(strstr(give("continue"), "the guest has ended: status 0\n"));
    assert_true(session.ended);
    assert_false(session.fresh);
    fails("continue", "has ended");
}

/* --- completion ------------------------------------------------------------------------------ */

static char candidates[4096];

static void collect(void *self, const char *candidate)
{
    (void)self;
    if (strlen(candidates) + strlen(candidate) + 2 < sizeof(candidates)) {
        strcat(candidates, candidate);
        strcat(candidates, " ");
    }
}

static void test_completion(void **state)
{
    static const struct {
        const char *line, *want;
        size_t at;
    } rows[] = {
        {"st", "start stepi ", 0},
        {"  qu", "quit ", 2},
        {"help re", "registers ", 5},
        {"info i", "image ", 5},
        {"info registers rb", "rbx rbp ", 15},
        {"registers rb", "rbx rbp ", 10},
        {"x/4xb $rb", "$rbx $rbp ", 6},
        {"print 1+$rb", "$rbx $rbp ", 8},
        {"nosuch re", "", 7},
        {"quit re", "", 5},
        {"x/$", "", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        candidates[0] = '\0';
        assert_int_equal(ud_complete(&sh, rows[i].line, collect, NULL), rows[i].at);
        if (strcmp(candidates, rows[i].want) != 0)
            fail_msg("%s: got \"%s\"", rows[i].line, candidates);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_beginnings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expressions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_expressions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_registers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_goes_on, set_up, tear_down),
        cmocka_unit_test(test_values),
        cmocka_unit_test_setup_teardown(test_disassemble, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_to_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_completion, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("shell", tests, NULL, NULL);
}
