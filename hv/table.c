/* SPDX-License-Identifier: ISC */
/*
 * table.c: the backends of this build, in order of preference. ukvm-configure
 * writes a shorter one for the monitors it generates.
 */
#include "core/hv.h"

/* Their headers are their own: each has its struct ukvm_hvb. */
extern const struct ukvm_hv_ops ukvm_hv_kvm, ukvm_hv_native;

const struct ukvm_backend uk_backends[] = {
    {"kvm", &ukvm_hv_kvm, NULL, NULL, false},
    {"native", &ukvm_hv_native, NULL, NULL, true},
    {"emu", NULL, "ukvm_emu.so", "ukvm_hv_emu", false},
    {NULL, NULL, NULL, NULL, false},
};
