/* SPDX-License-Identifier: ISC */
/*
 * test_nth.c: the n-th allocation fails, for each n: making, booting and running a
 * machine must end in an error with a message, or as if nothing had been, and leak
 * nothing (the address sanitizer's build sees to that).
 */
#include "tests/support/scripted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int countdown; /* 0: no allocation fails */
static bool failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static bool fails(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

/* A machine's whole life; true if it went well. */
static bool life(const char *image, struct ukvm_error *err)
{
    struct ukvm_config cfg = {.image = image, .ops = &scripted_ops, .mem_size = (size_t)4 << 20};
    char word[] = "word", *argv[] = {word};
    struct ukvm_stop stop;
    struct ukvm *vm;
    uint64_t hash;
    bool ok;

    if (ukvm_create(&vm, &cfg, err) != UKVM_OK)
        return false;
    ok = ukvm_attach(vm, "blk", image, err) == UKVM_OK && ukvm_boot(vm, 1, argv, err) == UKVM_OK &&
         ukvm_run(vm, &stop, err) == UKVM_OK && ukvm_state_hash(vm, &hash, err) == UKVM_OK;
    ukvm_destroy(vm);
    return ok;
}

static void test_each_allocation(void **state)
{
    const char *image = scripted_image(UKVM_ABI_C, "\xf4", 1);
    struct ukvm_error err;
    int n = 0;

    (void)state;
    do {
        bool ok;

        memset(&scripted, 0, sizeof(scripted));
        memset(&err, 0, sizeof(err));
        scripted.tsc_hz = 2000000000;
        failed = false;
        countdown = ++n;
        ok = life(image, &err);
        countdown = 0;
        if (!ok && (!failed || err.msg[0] == '\0'))
            fail_msg("allocation %d: %s", n, failed ? "an error without a message" : err.msg);
        assert_int_equal(scripted.creates, scripted.destroys);
    } while (failed && n < 1000);
    assert_in_range(n, 8, 999); /* some failed, and at last none did */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};

    return cmocka_run_group_tests_name("nth", tests, NULL, NULL);
}
