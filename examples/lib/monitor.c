/* SPDX-License-Identifier: ISC */
/*
 * monitor.c: a monitor in 40 lines: monitor IMAGE [ARGS].
 *   cc -o monitor monitor.c $(pkg-config --cflags --libs libukvm)
 */
#include <stdio.h>

#include "core/ukvm.h"
#include "core/ukvm_debug.h"

static int complain(const struct ukvm_error *err)
{
    fprintf(stderr, "monitor: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct ukvm_config cfg = {.image = argc > 1 ? argv[1] : NULL};
    struct ukvm_error err;
    struct ukvm_stop stop;
    struct ukvm *vm;
    char place[128];
    int status = 1;

    if (ukvm_create(&vm, &cfg, &err) != UKVM_OK)
        return complain(&err);
    if (ukvm_boot(vm, argc - 2, argv + 2, &err) != UKVM_OK ||
        ukvm_run(vm, &stop, &err) != UKVM_OK) {
        complain(&err);
    } else if (stop.kind == UKVM_STOP_EXIT) {
        status = stop.status & 0xff;
    } else {
        ukvm_sym_format(vm, stop.pc, place, sizeof(place));
        fprintf(stderr, "monitor: %s; at %s\n", stop.msg, place);
    }
    ukvm_destroy(vm);
    return status;
}
