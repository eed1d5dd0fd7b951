/* SPDX-License-Identifier: ISC */
/*
 * heapbug: keeps names in allocated memory. One rename forgets the byte that ends a string and
 * writes it over the header of the neighbour; a lot of honest work later, freeing finds it.
 * Who wrote that byte is a question for a debugger that can go back.
 */
#include "guest/guest.h"

#define NAMES  100
#define ROOM   16
#define VICTIM 41
#define ROUNDS 2000

static char *names[NAMES];

static void rename(char *to, const char *name)
{
    size_t n = strlen(name);
    memcpy(to, name, n);
    to[n] = '\0'; /* when n is ROOM: one too far */
}

static void create(void)
{
    for (int i = 0; i < NAMES; i++) {
        names[i] = ukvm_alloc(ROOM);
        if (names[i] == NULL)
            ukvm_abort("heapbug.c: out of memory");
        rename(names[i], "nobody");
    }
}

/* The honest work: long, and nowhere near the allocator. */
static uint32_t work(void)
{
    uint32_t sum = 1;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < NAMES; i++)
            for (const char *p = names[i]; *p != '\0'; p++)
                sum = sum * 31 + (uint32_t)*p;
    return sum;
}

int main(void)
{
    create();
    ukvm_printf("%d names\n", NAMES);
    rename(names[VICTIM], "Rumpelstiltskin!");
    ukvm_printf("one renamed: %s\n", names[VICTIM]);
    ukvm_printf("worked: 0x%08x\n", work());
    for (int i = 0; i < NAMES; i++)
        ukvm_free(names[i]);
    ukvm_puts("freed\n");
    return 0;
}
