/* SPDX-License-Identifier: ISC */
/* chat: nothing but hypercalls: `chat [COUNT]` writes so many single characters, 64 a line. */
#include "guest/guest.h"

#define LINE 64

int main(int argc, char **argv)
{
    const char *end;
    uint64_t count = 100000;
    if (argc > 1 && (!ukvm_parse_u64(argv[1], &end, &count) || *end != '\0')) {
        ukvm_puts("usage: chat [COUNT]\n");
        return 1;
    }
    for (uint64_t i = 1; i <= count; i++)
        ukvm_write(i % LINE == 0 ? "\n" : ".", 1);
    ukvm_printf("\nchat: %lu calls\n", count);
    return 0;
}
