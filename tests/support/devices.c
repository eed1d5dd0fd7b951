/* SPDX-License-Identifier: ISC */
/*
 * devices.c: calling devices from a test. Depends on nothing that executes guests.
 */
#include "tests/support/devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define PC 0x100010u

struct ukvm *devices_machine(enum ukvm_abi abi, int console_fd)
{
    struct ukvm_config cfg = {
        .ops = &scripted_ops, .mem_size = (size_t)16 << 20, .console_fd = console_fd};
    struct ukvm_error err = {0};
    struct ukvm *vm;

    memset(&scripted, 0, sizeof(scripted));
    scripted.tsc_hz = 2000000000;
    cfg.image = scripted_image(abi, "\xf4", 1);
    if (ukvm_create(&vm, &cfg, &err) != UKVM_OK)
        fail_msg("machine: %s", err.msg);
    return vm;
}

void devices_boot(struct ukvm *vm)
{
    struct ukvm_error err = {0};

    if (ukvm_boot(vm, 0, NULL, &err) != UKVM_OK)
        fail_msg("boot: %s", err.msg);
}

void *devices_mem(struct ukvm *vm, ukvm_gpa_t gpa)
{
    return ukvm_hv(vm)->mem + gpa;
}

int devices_call(struct ukvm *vm, unsigned nr, void *arg, size_t size, struct ukvm_stop *stop,
                 struct ukvm_error *err)
{
    static struct ukvm_exit exits[2];
    struct ukvm_stop st;
    struct ukvm_error er = {0};
    int rc;

    exits[0] = (struct ukvm_exit){
        .kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = nr, .gpa = DEV_ARG};
    exits[1] = (struct ukvm_exit){.kind = UKVM_EXIT_BREAK, .pc = PC + 1, .next = PC + 1};
    scripted.exits = exits;
    scripted.nexits = 2;
    scripted.at = 0;
    memcpy(devices_mem(vm, DEV_ARG), arg, size);
    rc = ukvm_run(vm, stop ? stop : &st, err ? err : &er);
    if (!err && rc != UKVM_OK)
        fail_msg("hypercall %u: %s", nr, er.msg);
    if (!stop && rc == UKVM_OK && st.kind != UKVM_STOP_BREAK)
        fail_msg("hypercall %u: stop %d: %s", nr, st.kind, st.msg);
    memcpy(arg, devices_mem(vm, DEV_ARG), size);
    return rc;
}

void devices_says(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fail_msg("\"%s\" does not say \"%s\"", text, piece);
}
