/* SPDX-License-Identifier: ISC */
/*
 * clock.c: WALLTIME, the host's wall clock. Depends on the public headers only.
 */
#include "core/dev/dev.h"
#include "guest/ukvm_guest.h"

#include <string.h>
#include <time.h>

static int walltime(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    struct ukvm_walltime arg;
    struct timespec now;

    (void)self, (void)err;
    clock_gettime(CLOCK_REALTIME, &now);
    arg.nsecs = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    memcpy(call->arg, &arg, sizeof(arg));
    return UKVM_OK;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    (void)self, (void)arg;
    return uk_dev_register(vm, "walltime", walltime, NULL, err);
}

const struct ukvm_module uk_dev_clock = {"clock", NULL, setup, NULL};
