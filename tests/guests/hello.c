/* SPDX-License-Identifier: ISC */
/* The least guest: a line of output and its end. Depends on the test guests' runtime only. */
#include "tests/guests/abi.h"

int solo5_app_main(char *cmdline)
{
    print("Hello, World\n");
    if (*cmdline)
        print("Hello, %s\n", cmdline);
    return 0;
}
