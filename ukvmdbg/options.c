/* SPDX-License-Identifier: ISC */
/*
 * options.c: the tables of commands and options, and reading a command line by
 * them. What follows the image belongs to the guest. Knows no machine.
 */
#include "ukvmdbg/options.h"
#include "ukvmdbg/error.h"
#include "ukvmdbg/near.h"

#include <stdio.h>
#include <string.h>

const struct ud_command_row ud_commands[UD_NCOMMANDS] = {
    [UD_SHELL] = {"shell", "IMAGE [ARGS]", "look into a unikernel, interactively", true, true},
    [UD_RUN] = {"run", "IMAGE [ARGS]", "run a unikernel; its exit status is ours", true, true},
    [UD_PROBE] = {"probe", "[IMAGE]", "say what this machine can do, and how to mend the rest",
                  false, true},
    [UD_GDB] = {"gdb", "IMAGE [ARGS]", "serve gdb or lldb", true, false},
    [UD_GDB_FILES] = {"gdb-files", "DIR", "write files that help gdb", false, false},
    [UD_TRACE] = {"trace", "IMAGE [ARGS]", "show each hypercall, decoded", true, false},
    [UD_STAT] = {"stat", "IMAGE [ARGS]", "count and time hypercalls", true, false},
    [UD_RECORD] = {"record", "IMAGE [ARGS]", "record a run, to replay it exactly", true, false},
    [UD_REPLAY] = {"replay", "[FILE]", "go through a recording, forwards and backwards", false,
                   false},
    [UD_DIFF] = {"diff", "A B", "find where two runs part", false, false},
    [UD_INFO] = {"info", "FILE", "say what a recording or an image holds", false, false},
    [UD_CORE] = {"core", "FILE [IMAGE]", "look into a core file", false, false},
    [UD_SITES] = {"sites", "IMAGE", "list an image's nondeterministic instructions", false, false},
};

#define BIT(c) (1U << (c))
#define ALL    (BIT(UD_NCOMMANDS) - 1)
#define SHELLS (BIT(UD_SHELL) | BIT(UD_REPLAY))
#define GUESTS                                                                                     \
    (BIT(UD_SHELL) | BIT(UD_RUN) | BIT(UD_GDB) | BIT(UD_TRACE) | BIT(UD_STAT) | BIT(UD_RECORD) |   \
     BIT(UD_REPLAY) | BIT(UD_DIFF))
#define WRITERS (BIT(UD_TRACE) | BIT(UD_STAT) | BIT(UD_RECORD))
#define JSONS                                                                                      \
    (BIT(UD_PROBE) | BIT(UD_GDB_FILES) | BIT(UD_SITES) | BIT(UD_STAT) | BIT(UD_DIFF) |             \
     BIT(UD_INFO) | BIT(UD_CORE))

const struct ud_option ud_options[] = {
    {"hv", GUESTS, UD_ARG_NEEDED, "NAME", "backend: auto (default), kvm, emu", ud_value_hv, false},
    {"mem", GUESTS, UD_ARG_NEEDED, "MIB", "guest memory, 2 to 1024 (default 512)", ud_value_mem,
     false},
    {"disk", GUESTS, UD_ARG_NEEDED, "FILE[,ro]", "the guest's disk", ud_value_disk, false},
    {"net", GUESTS, UD_ARG_NEEDED, "TAP|@FD|user[,hostfwd=tcp:HOST:GUEST][,loopback]",
     "its network; user needs no privileges; udp: too", ud_value_net, false},
    {"net-mac", GUESTS, UD_ARG_NEEDED, "MAC", "its network address (default: random)",
     ud_value_net_mac, false},
    {"pcap", GUESTS, UD_ARG_NEEDED, "FILE", "write what crosses the network, as pcapng",
     ud_value_pcap, false},
    {"timeout", GUESTS, UD_ARG_NEEDED, "SECS", "end the run after so long, with status 124",
     ud_value_timeout, false},
    {"symbols", GUESTS, UD_ARG_NEEDED, "FILE", "where the debug information is", ud_value_symbols,
     false},
    {"abi", GUESTS, UD_ARG_NEEDED, "b|c|auto", "the image's ABI family (default: told from it)",
     ud_value_abi, false},
    {"low-memory", GUESTS, UD_ARG_NEEDED, "original",
     "page tables and boot information as the first ukvm had them", ud_value_low_memory, false},
    {"color", ALL, UD_ARG_NEEDED, "auto|always|never", "colour (default auto: on a terminal)",
     ud_value_color, false},
    {"x", SHELLS, UD_ARG_NEEDED, "FILE", "run the shell commands in FILE first", ud_value_file,
     false},
    {"ex", SHELLS, UD_ARG_NEEDED, "CMD", "run the shell command CMD first", ud_value_ex, true},
    {"batch", SHELLS, UD_ARG_NONE, NULL, "then quit; status 1 if a command failed", ud_value_batch,
     true},
    {"json", JSONS, UD_ARG_NONE, NULL, "print JSON", ud_value_json, false},
    {"help", ALL, UD_ARG_NONE, NULL, "this help", ud_value_help, false},
    {"version", ALL, UD_ARG_NONE, NULL, "version, and which optional parts are there",
     ud_value_version, false},

    {"gdb", BIT(UD_RUN) | BIT(UD_REPLAY), UD_ARG_MAYBE, "ADDR", "listen for gdb while running",
     NULL, false},
    {"gdb-port", BIT(UD_RUN), UD_ARG_NEEDED, "N", "wait for gdb on this port", NULL, false},
    {"dumpcore", BIT(UD_RUN), UD_ARG_NONE, NULL, "write a core if the guest aborts", NULL, false},
    {"stack-limit", GUESTS, UD_ARG_NEEDED, "SIZE", "stop when the stack grows beyond", NULL, false},
    {"record", GUESTS, UD_ARG_MAYBE, "FILE", "record the run", NULL, false},
    {"report", GUESTS, UD_ARG_NEEDED, "FILE.json", "write how the run ended", NULL, false},
    {"core", GUESTS, UD_ARG_NEEDED, "DIR", "keep a core of a failure there", NULL, false},
    {"annotate", GUESTS, UD_ARG_NONE, NULL, "annotate failures for GitHub", NULL, false},
    {"nx", GUESTS, UD_ARG_NONE, NULL, "enforce execute rights", ud_value_nx, false},
    {"listen", BIT(UD_GDB), UD_ARG_NEEDED, "[HOST]:PORT|unix:PATH|stdio", "where (127.0.0.1:1234)",
     NULL, false},
    {"allow-remote", BIT(UD_GDB), UD_ARG_NONE, NULL, "listen beyond this machine", NULL, false},
    {"on-disconnect", BIT(UD_GDB), UD_ARG_NEEDED, "stop|continue|kill", "when gdb goes", NULL,
     false},
    {"syscalls", BIT(UD_GDB), UD_ARG_NONE, NULL, "show hypercalls as system calls", NULL, false},
    {"o", WRITERS, UD_ARG_NEEDED, "FILE", "write there", NULL, false},
    {"e", BIT(UD_TRACE), UD_ARG_NEEDED, "EXPR", "which calls, as strace has it", NULL, false},
    {"format", BIT(UD_TRACE), UD_ARG_NEEDED, "text|json|perfetto|chrome", "how", NULL, false},
    {"flight-recorder", BIT(UD_TRACE), UD_ARG_NEEDED, "N", "keep the last N calls only", NULL,
     false},
    {"hist", BIT(UD_STAT), UD_ARG_NONE, NULL, "histograms", NULL, false},
    {"interval", BIT(UD_STAT), UD_ARG_NEEDED, "SECS", "print every so often", NULL, false},
    {"until-failure", BIT(UD_RECORD), UD_ARG_NEEDED, "N", "run up to N times, keep the failure",
     NULL, false},
    {"check", BIT(UD_REPLAY), UD_ARG_NONE, NULL, "replay and compare only", NULL, false},
    {"t", BIT(UD_DIFF), UD_ARG_NONE, NULL, "compare traces", NULL, false},
    {NULL, 0, UD_ARG_NONE, NULL, NULL, NULL, false},
};

static bool takes(const struct ud_option *opt, enum ud_command c)
{
    return (opt->commands & BIT(c)) != 0;
}

static const char *dashes(const struct ud_option *opt)
{
    return opt->name[1] == '\0' ? "-" : "--";
}

/* The option that (word), of (len) characters after (dash) dashes, names. */
static const struct ud_option *find(enum ud_command c, int dash, const char *word, size_t len)
{
    for (const struct ud_option *opt = ud_options; opt->name; opt++) {
        bool letter = opt->name[1] == '\0';

        if (!takes(opt, c) || strlen(opt->name) != len || strncmp(opt->name, word, len) != 0)
            continue;
        if (letter ? dash == 1 : dash == 2 || opt->one_dash)
            return opt;
    }
    return NULL;
}

/* (word) after (dash) dashes names none. */
static int unknown(enum ud_command c, int dash, const char *word, size_t len,
                   struct ukvm_error *err)
{
    const char *d = dash == 1 ? "-" : "--";
    char name[64], near[128], help[64];
    struct ud_near n;

    snprintf(name, sizeof(name), "%.*s", (int)(len < 60 ? len : 60), word);
    snprintf(help, sizeof(help), "ukvmdbg %s --help", ud_commands[c].name);
    for (const struct ud_option *opt = ud_options; opt->name; opt++)
        if (!takes(opt, c) && strcmp(opt->name, name) == 0)
            return ud_error(err, UKVM_EINVAL, "%s%s: not an option of %s; %s", d, name,
                            ud_commands[c].name, help);
    ud_near_begin(&n, name);
    for (const struct ud_option *opt = ud_options; opt->name; opt++)
        if (takes(opt, c) && opt->name[1] != '\0' && len > 1)
            ud_near_try(&n, opt->name);
    ud_near_format(&n, "--", help, near, sizeof(near));
    return ud_error(err, UKVM_EINVAL, "%s%s: no such option; %s", d, name, near);
}

static int not_yet(const struct ud_option *opt, enum ud_command c, struct ukvm_error *err)
{
    return ud_error(err, UKVM_ENOTSUP,
                    "%s%s: not yet: this version cannot; run without it, or see ukvmdbg %s --help",
                    dashes(opt), opt->name, ud_commands[c].name);
}

/* Apply the option at argv[*i]; moves (*i) on over a value of its own. */
static int option(struct ud_options *o, int argc, char **argv, int *i, struct ukvm_error *err)
{
    const char *word = argv[*i], *equals, *value = NULL;
    int dash = word[1] == '-' ? 2 : 1;
    const struct ud_option *opt;
    size_t len;

    word += dash;
    equals = strchr(word, '=');
    len = equals ? (size_t)(equals - word) : strlen(word);
    opt = find(o->command, dash, word, len);
    if (!opt)
        return unknown(o->command, dash, word, len, err);
    if (!opt->apply)
        return not_yet(opt, o->command, err);
    if (equals)
        value = equals + 1;
    if (value && opt->argument == UD_ARG_NONE)
        return ud_error(err, UKVM_EINVAL, "%s%s: %s: takes no value; %s%s", dashes(opt), opt->name,
                        value, dashes(opt), opt->name);
    if (!value && opt->argument == UD_ARG_NEEDED) {
        if (*i + 1 >= argc)
            return ud_error(err, UKVM_EINVAL, "%s%s: its value is missing; %s%s%s%s", dashes(opt),
                            opt->name, dashes(opt), opt->name, dash == 2 ? "=" : " ", opt->value);
        value = argv[++*i];
    }
    return opt->apply(o, value, err);
}

/* Words after the options: the image and its guest's, or the command's own. */
static int operands(struct ud_options *o, int argc, char **argv, struct ukvm_error *err)
{
    const struct ud_command_row *row = &ud_commands[o->command];

    if (argc > 0)
        o->image = argv[0];
    if (argc > 1 && !row->images && row->ready)
        return ud_error(err, UKVM_EINVAL, "%s: \"%s\": one word too many; ukvmdbg %s %s", row->name,
                        argv[1], row->name, row->args);
    o->guest_argc = argc > 1 ? argc - 1 : 0;
    o->guest_argv = argv + (argc > 0);
    return UKVM_OK;
}

static int command(struct ud_options *o, const char *word)
{
    for (int c = 0; c < UD_NCOMMANDS; c++)
        if (strcmp(ud_commands[c].name, word) == 0) {
            o->command = (enum ud_command)c;
            return 1;
        }
    return 0;
}

/* A command that is to come refuses as a whole, but has its help. */
static int refuse(struct ud_options *o, int argc, char **argv, int i, struct ukvm_error *err)
{
    for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0) {
            o->help = true;
            return UKVM_OK;
        }
    return ud_error(err, UKVM_ENOTSUP, "%s: not yet: this version cannot %s; ukvmdbg --help",
                    ud_commands[o->command].name, ud_commands[o->command].task);
}

int ud_options_parse(struct ud_options *o, int argc, char **argv, struct ukvm_error *err)
{
    int i = 1, rc;

    memset(o, 0, sizeof(*o));
    o->command = UD_SHELL;
    if (argc > 1)
        i += command(o, argv[1]);
    if (!ud_commands[o->command].ready)
        return refuse(o, argc, argv, i, err);
    o->own_argv = argv + i;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        rc = option(o, argc, argv, &i, err);
        if (rc != UKVM_OK)
            return rc;
        o->own_argc = (int)(argv + i + 1 - o->own_argv);
    }
    return operands(o, argc - i, argv + i, err);
}
