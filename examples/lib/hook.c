/* SPDX-License-Identifier: ISC */
/*
 * hook.c: what a hook sees: counts a guest's hypercalls by name: hook IMAGE [ARGS].
 *   cc -o hook hook.c $(pkg-config --cflags --libs libukvm)
 */
#include <stdio.h>

#include "core/ukvm.h"
#include "core/ukvm_hook.h"

struct counts {
    struct {
        const char *name;
        unsigned n;
    } row[UKVM_NR_MAX];
};

static int on_leave(void *self, const struct ukvm_call *call, struct ukvm_error *err)
{
    struct counts *c = self;

    (void)err;
    if (call->desc->nr < UKVM_NR_MAX) { /* not a nondeterministic instruction's pseudo row */
        c->row[call->desc->nr].name = call->desc->name;
        c->row[call->desc->nr].n++;
    }
    return UKVM_GO_ON;
}

static const struct ukvm_hook_ops counter = {
    .name = "counter", .rank = UKVM_RANK_STATS, .on_leave = on_leave};

static int run(struct ukvm *vm, int argc, char **argv, struct ukvm_error *err)
{
    static struct counts counts;
    struct ukvm_stop stop;
    int rc = ukvm_hook_add(vm, &counter, &counts, err);

    if (rc == UKVM_OK)
        rc = ukvm_boot(vm, argc, argv, err);
    if (rc == UKVM_OK)
        rc = ukvm_run(vm, &stop, err);
    for (unsigned i = 0; i < UKVM_NR_MAX; i++)
        if (counts.row[i].n)
            fprintf(stderr, "%-10s %u\n", counts.row[i].name, counts.row[i].n);
    return rc;
}

int main(int argc, char **argv)
{
    struct ukvm_config cfg = {.image = argc > 1 ? argv[1] : NULL};
    struct ukvm_error err;
    struct ukvm *vm;
    int rc = ukvm_create(&vm, &cfg, &err);

    if (rc == UKVM_OK)
        rc = run(vm, argc - 2, argv + 2, &err);
    if (rc != UKVM_OK)
        fprintf(stderr, "hook: %s\n", err.msg);
    ukvm_destroy(vm);
    return rc != UKVM_OK;
}
