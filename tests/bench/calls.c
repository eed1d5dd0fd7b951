/* SPDX-License-Identifier: ISC */
/*
 * calls: the guest of the benchmarks: as many WALLTIME hypercalls as its argument
 * says, then the end. It prints nothing.
 */
#include "guest/guest.h"
#include "guest/ukvm_guest.h"

int main(int argc, char **argv)
{
    struct ukvm_walltime arg = {0};
    unsigned long n = 0;

    for (const char *p = argc > 1 ? argv[1] : ""; *p; p++)
        n = 10 * n + (unsigned long)(*p - '0');
    while (n-- > 0)
        ukvm_do_hypercall(UKVM_HYPERCALL_WALLTIME, &arg);
    return 0;
}
