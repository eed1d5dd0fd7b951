/* SPDX-License-Identifier: ISC */
/*
 * table.c: the backends of this build, in order of preference. ukvm-configure
 * writes a shorter one for the monitors it generates.
 */
#include "core/hv.h"
#include "hv/kvm/kvm.h"

const struct ukvm_backend uk_backends[] = {
    {"kvm", &ukvm_hv_kvm, NULL, NULL},
    {"emu", NULL, "ukvm_emu.so", "ukvm_hv_emu"},
    {NULL, NULL, NULL, NULL},
};
