/* SPDX-License-Identifier: ISC */
/*
 * test_options.c: the tables of commands and options, row by row, and reading
 * command lines by them. Needs no machine.
 */
#include "ukvmdbg/options.h"
#include "ukvmdbg/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MAX_WORDS 12

static struct ud_options o;
static struct ukvm_error err;

/* Read a command line of words separated by single spaces. */
static int parse(const char *line)
{
    static char text[512];
    static char *argv[MAX_WORDS];
    int argc = 0;

    snprintf(text, sizeof(text), "ukvmdbg%s%s", *line ? " " : "", line);
    for (char *p = strtok(text, " "); p && argc < MAX_WORDS - 1; p = strtok(NULL, " "))
        argv[argc++] = p;
    argv[argc] = NULL;
    memset(&err, 0, sizeof(err));
    return ud_options_parse(&o, argc, argv, &err);
}

/* A value that each option with one takes. */
static const struct {
    const char *name, *value;
} samples[] = {
    {"hv", "emu"},         {"mem", "64"},
    {"disk", "d.img,ro"},  {"net", "tap100"},
    {"net-mac", "02:0:0"}, {"pcap", "f.pcapng"},
    {"timeout", "0.5"},    {"symbols", "a.debug"},
    {"abi", "b"},          {"low-memory", "original"},
    {"color", "never"},    {"x", "FILE"},
    {"ex", "registers"},
};

static const char *sample(const char *name)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        if (strcmp(samples[i].name, name) == 0)
            return samples[i].value;
    return NULL;
}

static bool takes(const struct ud_option *opt, int c)
{
    return opt->commands >> c & 1;
}

static void test_rows(void **state)
{
    (void)state;
    for (int c = 0; c < UD_NCOMMANDS; c++) {
        assert_non_null(ud_commands[c].name);
        assert_non_null(ud_commands[c].args);
        assert_true(strlen(ud_commands[c].task) > 8);
        for (int d = 0; d < c; d++)
            assert_string_not_equal(ud_commands[c].name, ud_commands[d].name);
    }
    for (const struct ud_option *a = ud_options; a->name; a++) {
        assert_true(strlen(a->help) > 2);
        assert_true((a->value != NULL) == (a->argument != UD_ARG_NONE));
        assert_true(a->commands != 0 && a->commands < 1U << UD_NCOMMANDS);
        assert_true(a->name[0] != '-');
        for (const struct ud_option *b = ud_options; b < a; b++)
            assert_true(strcmp(a->name, b->name) != 0 || !(a->commands & b->commands));
    }
}

/* Each option on each command that takes it, in each way that it can be written. */
static void test_each_option(void **state)
{
    char line[200];

    (void)state;
    for (const struct ud_option *opt = ud_options; opt->name; opt++)
        for (int c = 0; c < UD_NCOMMANDS; c++) {
            const char *dash = opt->name[1] ? "--" : "-", *value = sample(opt->name);

            if (!takes(opt, c) || !ud_commands[c].ready)
                continue;
            if (!opt->apply) {
                snprintf(line, sizeof(line), "%s %s%s=1 a.ukvm", ud_commands[c].name, dash,
                         opt->name);
                assert_int_equal(parse(line), UKVM_ENOTSUP);
                assert_non_null(strstr(err.msg, "not yet"));
                assert_non_null(strstr(err.msg, opt->name));
                continue;
            }
            assert_true(opt->argument == UD_ARG_NONE || value);
            snprintf(line, sizeof(line), "%s %s%s%s%s a.ukvm", ud_commands[c].name, dash, opt->name,
                     value ? "=" : "", value ? value : "");
            assert_int_equal(parse(line), UKVM_OK);
            assert_string_equal(o.image, "a.ukvm");
            assert_int_equal(o.command, c);
            if (!value) {
                snprintf(line, sizeof(line), "%s %s%s=1", ud_commands[c].name, dash, opt->name);
                assert_int_equal(parse(line), UKVM_EINVAL);
                continue;
            }
            snprintf(line, sizeof(line), "%s %s%s %s a.ukvm", ud_commands[c].name, dash, opt->name,
                     value);
            assert_int_equal(parse(line), UKVM_OK);
            assert_string_equal(o.image, "a.ukvm");
            snprintf(line, sizeof(line), "%s %s%s", ud_commands[c].name, dash, opt->name);
            assert_int_equal(parse(line), UKVM_EINVAL);
            assert_non_null(strstr(err.msg, "missing"));
        }
}

static void test_each_command(void **state)
{
    char line[100];
    struct ud_out out;

    (void)state;
    for (int c = 0; c < UD_NCOMMANDS; c++) {
        snprintf(line, sizeof(line), "%s x", ud_commands[c].name);
        assert_int_equal(parse(line), ud_commands[c].ready ? UKVM_OK : UKVM_ENOTSUP);
        assert_int_equal(o.command, c);
        if (!ud_commands[c].ready)
            assert_non_null(strstr(err.msg, "not yet"));
        snprintf(line, sizeof(line), "%s --help", ud_commands[c].name);
        assert_int_equal(parse(line), UKVM_OK);
        assert_true(o.help);
        assert_true(ud_out_string(&out));
        ud_help_command(&out, (enum ud_command)c);
        for (const struct ud_option *opt = ud_options; opt->name; opt++)
            if (takes(opt, c)) {
                assert_non_null(strstr(out.text, opt->name));
                assert_non_null(strstr(out.text, opt->help));
            }
        ud_out_free(&out);
    }
}

static void test_screen(void **state)
{
    struct ud_out out;
    int lines = 0;

    (void)state;
    assert_true(ud_out_string(&out));
    ud_help_screen(&out);
    for (int c = 0; c < UD_NCOMMANDS; c++)
        assert_non_null(strstr(out.text, ud_commands[c].task));
    for (const char *p = out.text; *p; p++)
        lines += *p == '\n';
    assert_in_range(lines, 10, 24);
    ud_out_free(&out);
}

static void test_guest_words(void **state)
{
    (void)state;
    assert_int_equal(parse("--mem=4 a.ukvm --mem=x -- --nosuch"), UKVM_OK);
    assert_int_equal(o.command, UD_SHELL);
    assert_int_equal(o.mem_size, 4 << 20);
    assert_int_equal(o.guest_argc, 3);
    assert_string_equal(o.guest_argv[0], "--mem=x");
    assert_string_equal(o.guest_argv[1], "--");
    assert_int_equal(o.own_argc, 1);
    assert_int_equal(parse("run -- --image"), UKVM_OK);
    assert_string_equal(o.image, "--image");
    assert_int_equal(o.guest_argc, 0);
    assert_int_equal(parse("./run run"), UKVM_OK);
    assert_int_equal(o.command, UD_SHELL);
    assert_string_equal(o.image, "./run");
    assert_int_equal(parse(""), UKVM_OK);
    assert_null(o.image);
    assert_int_equal(parse("probe a b"), UKVM_EINVAL);
}

static void test_scripts_in_order(void **state)
{
    (void)state;
    assert_int_equal(parse("-ex run -x f --ex=regs -batch a.ukvm"), UKVM_OK);
    assert_int_equal(o.nscripts, 3);
    assert_true(!o.script[0].is_file && o.script[1].is_file && !o.script[2].is_file);
    assert_string_equal(o.script[1].text, "f");
    assert_string_equal(o.script[2].text, "regs");
    assert_true(o.batch);
}

/* What is refused, and a word that the refusal must hold. */
static const struct {
    const char *line, *word;
} refused[] = {
    {"run --dsk=a b", "nearest: --disk"},
    {"--batsh a", "nearest: --batch"},
    {"-foo a", "-foo: no such option"},
    {"run --json a", "not an option of run"},
    {"run --mem=0 a", "--mem=2"},
    {"run --mem=-1 a", "--mem=512"},
    {"run --mem=1x a", "--mem=512"},
    {"run --mem= a", "--mem=512"},
    {"run --mem=99999999999999999999 a", "--mem=512"},
    {"run --mem=17592186044416 a", "--mem=512"},
    {"run --abi=d a", "b, c or auto"},
    {"run --color=blue a", "auto, always or never"},
    {"run --low-memory=new a", "original"},
    {"run --timeout=0 a", "--timeout=2.5"},
    {"run --timeout=-1 a", "--timeout=2.5"},
    {"run --timeout=nan a", "--timeout=2.5"},
    {"run --timeout=inf a", "--timeout=2.5"},
    {"run --timeout=1s a", "--timeout=2.5"},
    {"run --disk=a --disk=b c", "twice"},
    {"run --net=a --net=b c", "twice"},
    {"run --disk= c", "empty"},
    {"run --help=1", "takes no value"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (parse(refused[i].line) == UKVM_OK)
            fail_msg("%s: accepted", refused[i].line);
        if (!strstr(err.msg, refused[i].word))
            fail_msg("%s: \"%s\" lacks \"%s\"", refused[i].line, err.msg, refused[i].word);
        assert_null(strchr(err.msg, '\n'));
        assert_non_null(strstr(err.msg, ": "));
        assert_non_null(strchr(err.msg, ';'));
    }
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(parse("run --timeout=1.5 --abi=B --hv=auto --mem 16 a"), UKVM_OK);
    assert_int_equal(o.timeout_ns, 1500000000);
    assert_int_equal(o.abi, UKVM_ABI_B);
    assert_null(o.hv);
    assert_int_equal(o.mem_size, 16 << 20);
    assert_int_equal(parse("run --timeout=1e-12 --color=always --hv=kvm a"), UKVM_OK);
    assert_int_equal(o.timeout_ns, 1);
    assert_int_equal(o.color, UD_COLOR_ALWAYS);
    assert_string_equal(o.hv, "kvm");
}

static void test_near(void **state)
{
    static const char *const names[] = {"start", "registers", "print", "continue", "x"};
    static const struct {
        const char *word, *want;
    } rows[] = {{"strat", "nearest: start"},        {"regs", "none"},
                {"register", "nearest: registers"}, {"pirnt", "nearest: print"},
                {"contniue", "nearest: continue"},  {"zzzzzz", "none"}};
    char buf[100];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ud_near near;

        ud_near_begin(&near, rows[i].word);
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
            ud_near_try(&near, names[j]);
        assert_string_equal(ud_near_format(&near, "", "none", buf, sizeof(buf)), rows[i].want);
    }
}

/* More near names than are kept: the nearest stay, in order. */
static void test_near_keeps_the_nearest(void **state)
{
    static const char *const names[] = {"abcdxx", "abcdex", "zbcdxx", "abcdef", "abcdeg"};
    struct ud_near near;

    (void)state;
    ud_near_begin(&near, "abcdef");
    for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
        ud_near_try(&near, names[j]);
    assert_int_equal(near.n, UD_NEAR_MAX);
    assert_string_equal(near.best[0], "abcdef");
    assert_string_equal(near.best[1], "abcdex");
    assert_string_equal(near.best[2], "abcdeg");
}

/* Text of a guest or a file cannot drive the terminal. */
static void test_out_is_clean(void **state)
{
    struct ud_out out;

    (void)state;
    assert_true(ud_out_string(&out));
    ud_out_printf(&out, "a%sb\tc\n", "\033[2J\r\x7f");
    assert_string_equal(out.text, "a?[2J??b\tc\n");
    ud_out_free(&out);
    assert_true(ud_out_string(&out));
    out.colour = true;
    ud_out_style(&out, UD_BAD, "x\033");
    assert_string_equal(out.text, "\033[1;31mx?\033[0m");
    ud_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_each_option),
        cmocka_unit_test(test_each_command), cmocka_unit_test(test_screen),
        cmocka_unit_test(test_guest_words),  cmocka_unit_test(test_scripts_in_order),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_near),         cmocka_unit_test(test_near_keeps_the_nearest),
        cmocka_unit_test(test_out_is_clean),
    };

    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
