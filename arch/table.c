/* SPDX-License-Identifier: ISC */
/*
 * table.c: the instruction sets that a guest image may have.
 */
#include "arch/x86_64/x86.h"

const struct ukvm_arch *const uk_archs[] = {
    &uk_arch_x86_64,
    NULL,
};

const struct ukvm_arch *uk_arch_find(uint16_t e_machine)
{
    for (size_t i = 0; uk_archs[i]; i++)
        if (uk_archs[i]->e_machine == e_machine)
            return uk_archs[i];
    return NULL;
}
