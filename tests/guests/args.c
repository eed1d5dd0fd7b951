/* SPDX-License-Identifier: ISC */
/* Prints its command line as it came, of any length. Depends on the test guests' runtime only. */
#include "tests/guests/abi.h"

int solo5_app_main(char *cmdline)
{
    size_t n = str_len(cmdline);

    print("length %lu\n[", n);
    put(cmdline, n);
    put("]\n", 2);
    return 0;
}
