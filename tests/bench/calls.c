/* SPDX-License-Identifier: ISC */
/*
 * calls: the guest of the benchmarks: as many PUTS of nothing as its argument says, then
 * the end. Nothing is done for them on the host, so that they cost what the way there
 * and back costs.
 */
#include "guest/guest.h"
#include "guest/ukvm_guest.h"

int main(int argc, char **argv)
{
    struct ukvm_puts arg = {.data = "", .len = 0};
    unsigned long n = 0;

    for (const char *p = argc > 1 ? argv[1] : ""; *p; p++)
        n = 10 * n + (unsigned long)(*p - '0');
    while (n-- > 0)
        ukvm_do_hypercall(UKVM_HYPERCALL_PUTS, &arg);
    return 0;
}
