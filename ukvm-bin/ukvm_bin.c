/* SPDX-License-Identifier: ISC */
/*
 * ukvm_bin.c: the program of a monitor that ukvm-configure generates: the original's
 * command line over libukvm, with just the modules that were named. Uses public
 * headers and the table of modules only. Its own errors end with status 1.
 */
#include "core/ukvm.h"
#include "core/ukvm_debug.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct ukvm_module *const uk_modules[];

struct args {
    const char *prog;
    struct ukvm_config cfg;
    const char *disk, *net, *mac;
    bool help;
};

static struct ukvm *volatile machine;     /* for the signal handler */
static volatile sig_atomic_t last_signal; /* 0: none */

static const struct ukvm_module *module(const char *name)
{
    for (size_t i = 0; uk_modules[i]; i++)
        if (strcmp(uk_modules[i]->name, name) == 0)
            return uk_modules[i];
    return NULL;
}

/* --- options -------------------------------------------------------------------------- */

static bool set_text(const char **field, const char *value)
{
    *field = value;
    return *value != '\0';
}

static bool set_mem(struct args *a, const char *value)
{
    char *end;
    unsigned long mib = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end != '\0' || mib == 0 || mib > (SIZE_MAX >> 20)) {
        fprintf(stderr, "%s: Malformed argument to --mem: `%s'\n", a->prog, value);
        return false;
    }
    a->cfg.mem_size = (size_t)mib << 20;
    return true;
}

static bool set_disk(struct args *a, const char *value)
{
    return set_text(&a->disk, value);
}

static bool set_net(struct args *a, const char *value)
{
    return set_text(&a->net, value);
}

static bool set_mac(struct args *a, const char *value)
{
    return set_text(&a->mac, value);
}

static bool set_help(struct args *a, const char *value)
{
    (void)value;
    a->help = true;
    return true;
}

static const struct {
    const char *name;   /* with its "=" if it takes a value */
    const char *module; /* NULL: the core's */
    bool (*set)(struct args *a, const char *value);
    const char *usage;
} options[] = {
    {"--help", NULL, set_help, "--help (display this help)"},
    {"--mem=", NULL, set_mem, "--mem=N (guest memory in MiB)"},
    {"--disk=", "blk", set_disk, "--disk=IMAGE (file exposed to the unikernel as a raw disk)"},
    {"--net=", "net", set_net, "--net=TAP (host tap device) or --net=@NN (tap's descriptor)"},
    {"--net-mac=", "net", set_mac, "--net-mac=HWADDR (guest MAC address)"},
};
#define NOPTIONS (sizeof(options) / sizeof(options[0]))

static bool built_in(size_t i)
{
    return !options[i].module || module(options[i].module);
}

static int usage(const struct args *a)
{
    fprintf(stderr, "usage: %s [ CORE OPTIONS ] [ MODULE OPTIONS ] [ -- ] KERNEL [ ARGS ]\n",
            a->prog);
    fprintf(stderr, "KERNEL is the filename of the unikernel to run.\n");
    fprintf(stderr, "ARGS are optional arguments passed to the unikernel.\n");
    for (size_t i = 0; i < NOPTIONS; i++)
        if (built_in(i))
            fprintf(stderr, "    %s\n", options[i].usage);
    return EXIT_FAILURE;
}

static bool set_option(struct args *a, const char *arg)
{
    for (size_t i = 0; i < NOPTIONS; i++) {
        size_t n = strlen(options[i].name);
        bool takes = options[i].name[n - 1] == '=';

        if (!built_in(i) || strncmp(arg, options[i].name, n) != 0 || (!takes && arg[n] != '\0'))
            continue;
        return options[i].set(a, arg + n);
    }
    fprintf(stderr, "%s: Invalid option: `%s'\n", a->prog, arg);
    return false;
}

/* The index of KERNEL; 0: there is none, or an option was refused. */
static int parse(struct args *a, int argc, char *const argv[])
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (!set_option(a, argv[i]) || a->help)
            return 0;
    }
    return i < argc ? i : 0;
}

/* --- running ---------------------------------------------------------------------------- */

static void on_signal(int sig)
{
    last_signal = sig;
    if (machine)
        ukvm_interrupt(machine);
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};

    sigfillset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static int complain(const struct args *a, const struct ukvm_error *err)
{
    fprintf(stderr, "%s: %s\n", a->prog, err->msg);
    return EXIT_FAILURE;
}

static int attach(const struct args *a, struct ukvm *vm, const char *name, const char *arg)
{
    struct ukvm_error err;

    if (!module(name))
        return 0;
    if (arg && ukvm_attach(vm, name, arg, &err) == UKVM_OK)
        return 0;
    if (arg)
        complain(a, &err);
    fprintf(stderr, "%s: Module `%s' setup failed\n", a->prog, name);
    fprintf(stderr, "%s: Please check you have correctly specified:\n", a->prog);
    for (size_t i = 0; i < NOPTIONS; i++)
        if (options[i].module && strcmp(options[i].module, name) == 0)
            fprintf(stderr, "    %s\n", options[i].usage);
    return EXIT_FAILURE;
}

static int attach_all(const struct args *a, struct ukvm *vm)
{
    char net[512];
    const char *arg = a->net;

    if (arg && a->mac) {
        snprintf(net, sizeof(net), "%s,mac=%s", a->net, a->mac);
        arg = net;
    }
    if (attach(a, vm, "blk", a->disk) != 0)
        return EXIT_FAILURE;
    return attach(a, vm, "net", arg);
}

static int report(const struct args *a, struct ukvm *vm, const struct ukvm_stop *stop)
{
    char place[128];

    if (stop->kind == UKVM_STOP_EXIT)
        return stop->status & 0xff;
    if (stop->kind == UKVM_STOP_INTERRUPT) {
        fprintf(stderr, "%s: Exiting on signal %d\n", a->prog, (int)last_signal);
        return EXIT_FAILURE;
    }
    fprintf(stderr, "%s: %s; at %s\n", a->prog, stop->msg,
            ukvm_sym_format(vm, stop->pc, place, sizeof(place)));
    return EXIT_FAILURE;
}

static int run(const struct args *a, struct ukvm *vm, int argc, char *const argv[])
{
    struct ukvm_stop stop;
    struct ukvm_error err;

    if (*ukvm_notes(vm))
        fprintf(stderr, "%s: %s\n", a->prog, ukvm_notes(vm));
    if (attach_all(a, vm) != 0)
        return EXIT_FAILURE;
    if (ukvm_boot(vm, argc, argv, &err) != UKVM_OK)
        return complain(a, &err);
    machine = vm;
    if (last_signal) /* one that came before there was a machine */
        ukvm_interrupt(vm);
    if (ukvm_run(vm, &stop, &err) != UKVM_OK)
        return complain(a, &err);
    return report(a, vm, &stop);
}

int main(int argc, char *argv[])
{
    struct args a = {.prog = argc > 0 ? argv[0] : "ukvm-bin"};
    struct ukvm_error err;
    struct ukvm *vm;
    int kernel = parse(&a, argc, argv), status;

    if (kernel == 0)
        return usage(&a);
    catch_signals();
    a.cfg.image = argv[kernel];
    a.cfg.backend = "kvm";
    if (ukvm_create(&vm, &a.cfg, &err) != UKVM_OK)
        return complain(&a, &err);
    status = run(&a, vm, argc - kernel - 1, argv + kernel + 1);
    ukvm_destroy(vm);
    return status;
}
