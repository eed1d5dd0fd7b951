/* SPDX-License-Identifier: ISC */
/*
 * help.c: help and version, from the tables. Knows no machine.
 */
#include "ukvmdbg/options.h"
#include "ukvmdbg/plugin.h"

#include <stdio.h>
#include <string.h>

static const char *later(bool ready)
{
    return ready ? "" : " (not yet)";
}

void ud_help_screen(struct ud_out *out)
{
    ud_out_printf(out, "ukvmdbg runs ukvm unikernels and looks into them.\n\n");
    for (int c = 0; c < UD_NCOMMANDS; c++) {
        const struct ud_command_row *row = &ud_commands[c];
        char usage[64];

        snprintf(usage, sizeof(usage), "%s%s%s", c == UD_SHELL ? "" : row->name,
                 c == UD_SHELL ? "" : " ", row->args);
        ud_out_printf(out, "  ukvmdbg %-22s %s%s\n", usage, row->task, later(row->ready));
    }
    ud_out_printf(out, "\n"
                       "ukvmdbg COMMAND --help   the options of a command\n"
                       "ukvmdbg --version        the version and its optional parts\n"
                       "man ukvmdbg              all of it\n\n"
                       "To begin: ukvmdbg probe, then ukvmdbg run hello.ukvm\n");
}

static void option(struct ud_out *out, const struct ud_option *opt)
{
    bool letter = opt->name[1] == '\0';
    char text[80];

    snprintf(text, sizeof(text), "%s%s%s%s%s", letter ? "-" : "--", opt->name,
             !opt->value                     ? ""
             : opt->argument == UD_ARG_MAYBE ? "[="
             : letter                        ? " "
                                             : "=",
             opt->value ? opt->value : "", opt->argument == UD_ARG_MAYBE ? "]" : "");
    if (strlen(text) > 26)
        ud_out_printf(out, "  %s\n%-29s%s%s\n", text, "", opt->help, later(opt->apply));
    else
        ud_out_printf(out, "  %-27s%s%s\n", text, opt->help, later(opt->apply));
}

void ud_help_command(struct ud_out *out, enum ud_command c)
{
    const struct ud_command_row *row = &ud_commands[c];

    ud_out_printf(out, "ukvmdbg %s [OPTIONS] %s: %s%s\n", row->name, row->args, row->task,
                  later(row->ready));
    if (c == UD_SHELL)
        ud_out_printf(out, "The word \"shell\" may be left out: ukvmdbg IMAGE.\n");
    if (row->images)
        ud_out_printf(out, "What follows IMAGE is the guest's.\n");
    ud_out_printf(out, "\n");
    for (int ready = 1; ready >= 0; ready--)
        for (const struct ud_option *opt = ud_options; opt->name; opt++)
            if ((opt->commands & (1U << c)) && (opt->apply != NULL) == ready)
                option(out, opt);
    if (c == UD_PROBE)
        ud_out_printf(out,
                      "\nStatus: 0; 1 no backend works, 126 IMAGE is not loadable, 127 no such "
                      "image.\n");
    if (c == UD_SHELL)
        ud_out_printf(out, "\nStatus: 0; with --batch 1 if a command failed; 125 our error or "
                           "usage,\n126 not loadable, 127 no such image.\n");
    else if (row->images)
        ud_out_printf(out, "\nStatus: the guest's; 124 timeout, 125 our error or usage, 126 not "
                           "loadable,\n127 no such image, 139 the guest broke the rules.\n");
}

/* A part that may be absent, the plugin that it is in, and what its absence costs. */
static const struct {
    const char *part, *plugin, *cost;
} parts[] = {
    {"emulator (Unicorn)", "ukvm_emu.so", "guests run on KVM only"},
    {"user-mode networking (libslirp)", "ukvm_net_user.so", "--net=user is refused"},
    {"shell, source lines, disassembly", "ukvm_dbg.so", "run and probe only"},
};

#ifdef UKVM_HAVE_EDIT
static const bool have_edit = true;
#else
static const bool have_edit = false;
#endif

void ud_help_version(struct ud_out *out)
{
    ud_out_printf(out, "ukvmdbg %s\n", UKVM_VERSION);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        bool there = ud_plugin_there(parts[i].plugin);

        ud_out_printf(out, "  %s: %s%s\n", parts[i].part,
                      there ? "yes" : "no: ", there ? "" : parts[i].cost);
    }
    ud_out_printf(out, "  line editing (libedit): %s\n",
                  have_edit ? "yes" : "no: the shell reads plain lines, without history");
}
