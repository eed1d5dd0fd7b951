/* SPDX-License-Identifier: ISC */
/*
 * Ends in the way its argument names: a number (the status; family B always ends with 0),
 * abort, cookie, assert or silent. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

/* The cookie is the address of at least 512 bytes of guest memory. */
static uint64_t cookie[64];

int solo5_app_main(char *cmdline)
{
    cookie[0] = 0x1122334455667788ul;
    if (word(&cmdline, "assert"))
        rt_assert_fail("tests/guests/exit.c", 1, "assert on purpose");
    if (word(&cmdline, "silent"))
        rt_halt(3, NULL);
    if (word(&cmdline, "cookie"))
        rt_halt(255, cookie);
#ifdef FAMILY_C
    if (word(&cmdline, "abort"))
        solo5_abort();
#endif
    return (int)number(&cmdline);
}
