/* SPDX-License-Identifier: ISC */
/*
 * sorts: the sort example as often as its argument says, as a unikernel and, of the same
 * object files, as a process: what running on the native backend costs.
 */
#include "guest/guest.h"

int sort_once(void); /* examples/sort.c's main() */

int main(int argc, char **argv)
{
    unsigned long n = 0;
    int rc = 0;

    for (const char *p = argc > 1 ? argv[1] : ""; *p; p++)
        n = 10 * n + (unsigned long)(*p - '0');
    while (n-- > 0 && rc == 0)
        rc = sort_once();
    return rc;
}
