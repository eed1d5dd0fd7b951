/* SPDX-License-Identifier: ISC */
/* abort: finds that its own rules are broken, says so, and gives up. */
#include "guest/guest.h"

static void transfer(int *from, int *to, int amount)
{
    *from -= amount;
    *to += amount;
    ukvm_printf("moved %d: %d and %d\n", amount, *from, *to);
    if (*from < 0)
        ukvm_abort("abort.c: an account is overdrawn by %d", -*from);
}

int main(void)
{
    int mine = 100, yours = 0;
    for (int amount = 10;; amount *= 2)
        transfer(&mine, &yours, amount);
}
