/* SPDX-License-Identifier: ISC */
/*
 * table.c: the backends of this build, in order of preference. ukvm-configure
 * writes a shorter one for the monitors it generates.
 */
#include "core/hv.h"

const struct ukvm_backend uk_backends[] = {
    {"emu", NULL, "ukvm_emu.so", "ukvm_hv_emu"},
    {NULL, NULL, NULL, NULL},
};
