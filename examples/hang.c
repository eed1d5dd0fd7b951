/* SPDX-License-Identifier: ISC */
/* hang: waits for a packet that never comes. With a network that is silent, or with none. */
#include "guest/guest.h"

#define WAIT 250000000ULL /* ns */

__attribute__((noinline)) static void wait_for_packet(void)
{
    while (!ukvm_poll(WAIT))
        ;
}

int main(void)
{
    ukvm_puts("waiting for a packet\n");
    wait_for_packet();
    ukvm_puts("there it is\n");
    return 0;
}
