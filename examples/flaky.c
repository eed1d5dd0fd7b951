/* SPDX-License-Identifier: ISC */
/*
 * flaky: fails about once in fifty runs, by the time of day: a seed from the clock picks the
 * order of some work, and one of the orders is wrong.
 */
#include "guest/guest.h"

#define ORDERS 50
#define WRONG  13

int main(void)
{
    uint64_t seed = ukvm_clock_wall() / 1000;
    unsigned order = (unsigned)(seed * 0x9e3779b97f4a7c15 >> 33) % ORDERS;
    ukvm_printf("order %u of %d\n", order, ORDERS);
    if (order == WRONG)
        ukvm_abort("flaky.c: the last element is missing");
    ukvm_puts("all there\n");
    return 0;
}
