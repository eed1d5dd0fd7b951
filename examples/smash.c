/* SPDX-License-Identifier: ISC */
/*
 * smash: copies its argument to an array on the stack without looking at its length. Built with
 * a stack protector, which notices when the function returns.
 */
#include "guest/guest.h"

static void copy(char *to, const char *from)
{
    while ((*to++ = *from++) != '\0')
        ;
}

__attribute__((noinline)) static size_t greet(const char *name)
{
    char text[24];
    copy(text, name);
    ukvm_printf("Hello, %s\n", text);
    return strlen(text);
}

int main(int argc, char **argv)
{
    greet("world");
    greet(argc > 1 ? argv[1] : "Rimsky-Korsakov, Nikolai Andreyevich");
    ukvm_puts("not noticed\n");
    return 0;
}
