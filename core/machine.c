/* SPDX-License-Identifier: ISC */
/*
 * machine.c: a machine's life: created from an image, given devices, booted, ended.
 */
#include "core/machine.h"
#include "core/error.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what a machine allows --------------------------------------------------------- */

int uk_machine_check(const struct ukvm *vm, enum uk_phase need, struct ukvm_error *err)
{
    if (!pthread_equal(vm->owner, pthread_self()))
        return uk_error(err, UKVM_ESTATE, "machine: belongs to the thread that created it");
    if (vm->phase == need)
        return UKVM_OK;
    if (vm->phase == UK_CREATED)
        return uk_error(err, UKVM_ESTATE, "machine: not booted yet");
    if (vm->phase == UK_ENDED)
        return uk_error(err, UKVM_ESTATE, "machine: its guest has ended; start it again");
    return uk_error(err, UKVM_ESTATE, "machine: booted already");
}

void uk_machine_note(struct ukvm *vm, const char *fmt, ...)
{
    size_t used = strlen(vm->notes);
    va_list ap;

    if (used > 0 && used + 1 < sizeof(vm->notes)) {
        vm->notes[used++] = '\n';
        vm->notes[used] = '\0';
    }
    va_start(ap, fmt);
    vsnprintf(vm->notes + used, sizeof(vm->notes) - used, fmt, ap);
    va_end(ap);
}

const char *ukvm_notes(const struct ukvm *vm)
{
    return vm->notes;
}

const char *ukvm_arch_name(const struct ukvm *vm)
{
    return vm->arch->name;
}

enum ukvm_abi ukvm_abi(const struct ukvm *vm)
{
    return vm->image->abi;
}

int uk_machine_console_fd(const struct ukvm *vm)
{
    return vm->cfg.console_fd;
}

struct uk_image *uk_machine_image(const struct ukvm *vm)
{
    return vm->image;
}

size_t uk_machine_polls(const struct ukvm *vm, const struct uk_poll_source **polls)
{
    *polls = vm->poll;
    return vm->npolls;
}

void ukvm_core_describe_net(struct ukvm *vm, const char *name, const uint8_t mac[6])
{
    snprintf(vm->net.name, sizeof(vm->net.name), "%s", name);
    memcpy(vm->net.mac, mac, sizeof(vm->net.mac));
}

const struct uk_net_id *uk_machine_net(const struct ukvm *vm)
{
    return &vm->net;
}

int uk_plugin_symbol(struct ukvm *vm, const char *file, const char *symbol, void **out,
                     struct ukvm_error *err)
{
    return uk_plugin_load(&vm->plugins, vm->cfg.plugin_dir, file, symbol, out, err);
}

void ukvm_core_halt(struct ukvm *vm, int status, ukvm_gpa_t cookie)
{
    vm->halted = true;
    vm->halt_status = status;
    vm->halt_cookie = cookie;
}

/* --- modules and poll sources ---------------------------------------------------------- */

int ukvm_core_register_module(struct ukvm *vm, const struct ukvm_module *m, struct ukvm_error *err)
{
    if (vm->nmodules == UKVM_MAX_MODULES)
        return uk_error(err, UKVM_ELIMIT, "module %s: at most %d", m->name, UKVM_MAX_MODULES);
    for (size_t i = 0; i < vm->nmodules; i++)
        if (strcmp(vm->module[i]->name, m->name) == 0)
            return uk_error(err, UKVM_ESTATE, "module %s: already there", m->name);
    vm->module[vm->nmodules++] = m;
    return UKVM_OK;
}

static int set_up(struct ukvm *vm, const struct ukvm_module *m, const char *arg,
                  struct ukvm_error *err)
{
    void *self = NULL;
    int rc = m->setup(&self, vm, arg, err);

    if (rc == UKVM_OK)
        vm->attached[vm->nattached++] = (struct uk_attached){m, self};
    return rc;
}

int ukvm_attach(struct ukvm *vm, const char *device, const char *arg, struct ukvm_error *err)
{
    int rc = uk_machine_check(vm, UK_CREATED, err);

    if (rc != UKVM_OK)
        return rc;
    for (size_t i = 0; i < vm->nattached; i++)
        if (strcmp(vm->attached[i].module->name, device) == 0)
            return uk_error(err, UKVM_ESTATE, "%s: attached already; a guest has one", device);
    for (size_t i = 0; i < vm->nmodules; i++)
        if (strcmp(vm->module[i]->name, device) == 0)
            return set_up(vm, vm->module[i], arg, err);
    return uk_error(err, UKVM_ENOENT, "%s: no such device in this build", device);
}

int ukvm_core_register_poll(struct ukvm *vm, const struct ukvm_poll_ops *ops, void *self,
                            struct ukvm_error *err)
{
    if (vm->npolls == UKVM_MAX_POLLS)
        return uk_error(err, UKVM_ELIMIT, "poll source: at most %d", UKVM_MAX_POLLS);
    vm->poll[vm->npolls++] = (struct uk_poll_source){.ops = ops, .self = self};
    return UKVM_OK;
}

int ukvm_core_register_pollfd(struct ukvm *vm, int fd, struct ukvm_error *err)
{
    struct uk_poll_source *s = &vm->poll[vm->npolls];
    int rc = ukvm_core_register_poll(vm, &uk_poll_fd, s, err);

    if (rc == UKVM_OK)
        s->fd = fd;
    return rc;
}

/* Those without a usage line are part of every machine: console, clock, poll, halt. */
static int set_up_modules(struct ukvm *vm, struct ukvm_error *err)
{
    int rc = UKVM_OK;

    for (size_t i = 0; uk_modules[i] && rc == UKVM_OK; i++) {
        rc = ukvm_core_register_module(vm, uk_modules[i], err);
        if (rc == UKVM_OK && !uk_modules[i]->usage)
            rc = set_up(vm, uk_modules[i], NULL, err);
    }
    return rc;
}

/* --- creation --------------------------------------------------------------------------- */

/* Strings live as long as the machine. NULL stays NULL. */
static int copy(const char **s, struct ukvm_error *err)
{
    if (*s) {
        *s = strdup(*s);
        if (!*s)
            return uk_error(err, UKVM_ENOMEM, "machine: out of memory");
    }
    return UKVM_OK;
}

static int configure(struct ukvm *vm, const struct ukvm_config *cfg, struct ukvm_error *err)
{
    vm->cfg = *cfg;
    if (vm->cfg.console_fd == 0)
        vm->cfg.console_fd = 1;
    if (vm->cfg.interrupt_signal == 0)
        vm->cfg.interrupt_signal = SIGURG;
    if (vm->cfg.backend && strcmp(vm->cfg.backend, "auto") == 0)
        vm->cfg.backend = NULL;
    const char **strings[] = {&vm->cfg.image, &vm->cfg.symbols, &vm->cfg.backend,
                              &vm->cfg.plugin_dir};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        const char *s = *strings[i];

        *strings[i] = NULL; /* ours only once copied */
        if (copy(&s, err) != UKVM_OK)
            return UKVM_ENOMEM;
        *strings[i] = s;
    }
    return UKVM_OK;
}

static int create_memory(struct ukvm *vm, struct ukvm_error *err)
{
    size_t asked = vm->cfg.mem_size ? vm->cfg.mem_size : UKVM_MEM_DEFAULT;
    size_t size = asked / UKVM_MEM_UNIT * UKVM_MEM_UNIT;

    if (size == 0)
        return uk_error(err, UKVM_EINVAL, "--mem: %g MiB: less than 2 MiB; --mem=2",
                        (double)asked / (1 << 20));
    if (size > UKVM_MEM_MAX)
        return uk_error(err, UKVM_EINVAL, "--mem: %zu MiB: more than 1 GiB; --mem=1024",
                        size >> 20);
    if (size != asked)
        uk_machine_note(vm, "--mem: %g MiB: not a multiple of 2 MiB: adjusted to %zu MiB",
                        (double)asked / (1 << 20), size >> 20);
    return uk_mem_create(vm, size, err);
}

static int open_image(struct ukvm *vm, struct ukvm_error *err)
{
    int rc;

    if (!vm->cfg.image)
        return uk_error(err, UKVM_EINVAL, "machine: no image given");
    rc = uk_image_open(&vm->image, vm->cfg.image, vm->cfg.symbols, vm->cfg.abi, err);
    if (rc != UKVM_OK)
        return rc;
    vm->arch = uk_arch_find(vm->image->e_machine);
    if (!vm->arch)
        return uk_error(err, UKVM_EIMAGE, "%s: for another processor (ELF machine %u)",
                        vm->cfg.image, vm->image->e_machine);
    if (vm->image->notes[0])
        uk_machine_note(vm, "%s", vm->image->notes);
    vm->vcpu.st = calloc(1, vm->arch->state_size);
    return vm->vcpu.st ? UKVM_OK : uk_error(err, UKVM_ENOMEM, "machine: out of memory");
}

static int build(struct ukvm *vm, const struct ukvm_config *cfg, struct ukvm_error *err)
{
    int rc = configure(vm, cfg, err);

    if (rc == UKVM_OK)
        rc = uk_interrupt_open(vm, err);
    if (rc == UKVM_OK)
        rc = open_image(vm, err);
    if (rc == UKVM_OK)
        rc = create_memory(vm, err);
    if (rc == UKVM_OK)
        rc = uk_image_load(vm->image, vm->mem, vm->mem_size, vm->arch->low_end, err);
    if (rc == UKVM_OK)
        rc = uk_backend_open(vm, err);
    if (rc == UKVM_OK)
        uk_scan(vm);
    if (rc == UKVM_OK)
        rc = uk_hypercall_register_rows(vm, err);
    if (rc == UKVM_OK)
        rc = set_up_modules(vm, err);
    return rc;
}

int ukvm_create(struct ukvm **out, const struct ukvm_config *cfg, struct ukvm_error *err)
{
    struct ukvm *vm = calloc(1, sizeof(*vm));
    int rc;

    *out = NULL;
    if (!vm)
        return uk_error(err, UKVM_ENOMEM, "machine: out of memory");
    vm->owner = pthread_self();
    vm->mem_fd = vm->wake[0] = vm->wake[1] = -1;
    vm->vcpu.settled = true;
    rc = build(vm, cfg, err);
    if (rc != UKVM_OK) {
        ukvm_destroy(vm);
        return rc;
    }
    *out = vm;
    return UKVM_OK;
}

/* --- boot ---------------------------------------------------------------------------------- */

/* (argv) joined by single spaces; the caller frees it. */
static int join(int argc, char *const argv[], char **out, struct ukvm_error *err)
{
    size_t n = 1;
    char *p;

    for (int i = 0; i < argc; i++)
        n += strlen(argv[i]) + 1;
    p = *out = malloc(n);
    if (!p)
        return uk_error(err, UKVM_ENOMEM, "machine: out of memory");
    for (int i = 0; i < argc; i++) {
        if (i > 0)
            *p++ = ' ';
        p = stpcpy(p, argv[i]);
    }
    *p = '\0';
    return UKVM_OK;
}

int ukvm_boot(struct ukvm *vm, int argc, char *const argv[], struct ukvm_error *err)
{
    struct ukvm_boot b = {
        .abi = vm->image->abi,
        .low_original = vm->cfg.low_memory_original,
        .entry = vm->image->entry,
        .kernel_end = vm->image->kernel_end,
        .tsc_hz = vm->tsc.hz,
    };
    char *cmdline;
    int rc = uk_machine_check(vm, UK_CREATED, err);

    if (rc == UKVM_OK)
        rc = join(argc, argv, &cmdline, err);
    if (rc != UKVM_OK)
        return rc;
    b.cmdline = cmdline;
    rc = vm->arch->boot(&b, uk_mem(vm), vm->vcpu.st, err);
    free(cmdline);
    if (rc != UKVM_OK)
        return rc;
    vm->hole = b.low_original ? 0 : vm->arch->hole;
    vm->vcpu.valid = vm->vcpu.dirty = UKVM_ALL;
    vm->tsc.t0_ns = uk_now_ns();
    vm->phase = UK_BOOTED;
    return UKVM_OK;
}

void ukvm_destroy(struct ukvm *vm)
{
    if (!vm)
        return;
    uk_interrupt_target(vm, NULL);
    uk_hook_close(vm);
    while (vm->nattached > 0) {
        struct uk_attached *a = &vm->attached[--vm->nattached];

        if (a->module->close)
            a->module->close(a->self);
    }
    uk_backend_close(vm, vm->hv);
    uk_plugin_close(&vm->plugins);
    uk_image_close(vm->image);
    uk_mem_destroy(vm);
    uk_interrupt_close(vm);
    free(vm->vcpu.st);
    free((void *)(uintptr_t)vm->cfg.image);
    free((void *)(uintptr_t)vm->cfg.symbols);
    free((void *)(uintptr_t)vm->cfg.backend);
    free((void *)(uintptr_t)vm->cfg.plugin_dir);
    free(vm);
}
