/* SPDX-License-Identifier: ISC */
/* hello: greets, shows its arguments, and ends with the status that `exit=N` asks for. */
#include "guest/guest.h"

int main(int argc, char **argv)
{
    const char *end;
    uint64_t status = 0;
    ukvm_puts("Hello from a unikernel\n");
    for (int i = 1; i < argc; i++) {
        ukvm_printf("argument %d: %s\n", i, argv[i]);
        if (strncmp(argv[i], "exit=", 5) == 0)
            ukvm_parse_u64(argv[i] + 5, &end, &status);
    }
    return (int)status;
}
