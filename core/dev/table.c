/* SPDX-License-Identifier: ISC */
/*
 * table.c: the modules of a full build. A monitor made by ukvm-configure has a
 * generated table instead.
 */
#include "core/dev/dev.h"
#include "core/machine.h"

const struct ukvm_module *const uk_modules[] = {
    &uk_dev_console, &uk_dev_clock, &uk_dev_poll, &uk_dev_halt, &uk_dev_blk, &uk_dev_net, NULL,
};
