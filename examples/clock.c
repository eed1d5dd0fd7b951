/* SPDX-License-Identifier: ISC */
/* clock: tells the time, and measures a sleep of one second by its own clock. */
#include "guest/guest.h"

#define SECOND 1000000000ULL /* ns */
#define DAY    86400

/* Prints a time since 1970 as a date; days are counted from March, so that leap days come last. */
static void print_date(uint64_t secs)
{
    uint64_t days = secs / DAY + 719468, rest = secs % DAY;
    uint64_t era = days / 146097, doe = days % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    ukvm_printf("it is %04lu-%02lu-%02lu %02lu:%02lu:%02lu UTC\n", yoe + era * 400 + (month <= 2),
                month, doy - (153 * mp + 2) / 5 + 1, rest / 3600, rest / 60 % 60, rest % 60);
}

int main(void)
{
    uint64_t wall = ukvm_clock_wall(), start = ukvm_clock_monotonic();
    print_date(wall / SECOND);
    ukvm_sleep(SECOND);
    uint64_t slept = ukvm_clock_monotonic() - start, passed = ukvm_clock_wall() - wall;
    ukvm_printf("slept 1 s: %lu ns by the monotonic clock\n", slept);
    ukvm_printf("clocks %s\n", passed - slept < SECOND / 10 ? "agree" : "differ");
    if (slept < SECOND)
        ukvm_abort("clock.c: woken too early");
    return 0;
}
