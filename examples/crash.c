/* SPDX-License-Identifier: ISC */
/*
 * crash: a page fault three calls deep. main looks up a setting that does not exist and passes
 * the NULL on; the innermost function reads a member of it.
 */
#include "guest/guest.h"

struct setting {
    const char *key;
    const char *value;
    uint64_t uses;
};

static struct setting settings[] = {{"colour", "blue", 0}, {"shape", "round", 0}};

__attribute__((noinline)) static struct setting *find(const char *key)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

__attribute__((noinline)) static void count_use(struct setting *s)
{
    s->uses++;
}

__attribute__((noinline)) static void show(struct setting *s, const char *key)
{
    count_use(s);
    ukvm_printf("%s is %s\n", key, s->value);
}

__attribute__((noinline)) static void report(const char *key)
{
    show(find(key), key);
    ukvm_puts("\n");
}

int main(int argc, char **argv)
{
    ukvm_puts("reading the settings\n");
    report("colour");
    report(argc > 1 ? argv[1] : "size");
    return 0;
}
