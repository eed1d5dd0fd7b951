/* SPDX-License-Identifier: ISC */
/*
 * For unikernels built with -fstack-protector* -mstack-protector-guard=global: the guard word
 * and what happens when one was overwritten. The guard is a constant, so that runs can be
 * compared; it begins with a zero byte and holds a newline, which stops string functions.
 */
#include "guest/internal.h"

uintptr_t __stack_chk_guard = 0xb7e1516228ae0a00ULL;
_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
    ukvm_abort("stack smashing detected");
}
