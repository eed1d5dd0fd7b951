/* SPDX-License-Identifier: ISC */
/*
 * The first and last C code of a unikernel: splits the command line, calls main, ends the
 * machine. Knows no architecture.
 */
#include "guest/internal.h"

#define ARGS_MAX 64

int main(int argc, char **argv);

const struct ukvm_boot_info *uk_guest_boot;

static char text[UKVM_CMDLINE_MAX + 1];
static char name[] = "unikernel";
static char *args[ARGS_MAX + 1] = {name};

/* Copies the command line, which may be read-only, and cuts it at its spaces. */
static int split(const char *cmdline)
{
    int n = 1;
    bool in_word = false;
    for (size_t i = 0; i < UKVM_CMDLINE_MAX && cmdline[i] != '\0'; i++) {
        bool space = cmdline[i] == ' ';
        text[i] = space ? '\0' : cmdline[i];
        if (!space && !in_word && n < ARGS_MAX)
            args[n++] = text + i;
        in_word = !space;
    }
    return n;
}

_Noreturn void uk_guest_start(const struct ukvm_boot_info *boot)
{
    uk_guest_boot = boot;
    uk_guest_arch_init();
    ukvm_exit(main(split(boot->cmdline), args));
}

_Noreturn void ukvm_exit(int status)
{
    struct ukvm_halt halt = {NULL, status};
    uk_guest_end(&halt);
}

_Noreturn void uk_guest_give_up(const void *cookie)
{
    struct ukvm_halt halt = {cookie, UKVM_STATUS_ABORT};
    uk_guest_end(&halt);
}

_Noreturn void ukvm_abort(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ukvm_puts("ABORT: ");
    ukvm_vprintf(fmt, ap);
    ukvm_puts("\n");
    va_end(ap);
    uk_guest_give_up(NULL);
}
