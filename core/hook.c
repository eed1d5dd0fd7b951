/* SPDX-License-Identifier: ISC */
/*
 * hook.c: the ordered chain of those who are told what happens at the boundary.
 */
#include "core/machine.h"
#include "core/error.h"

#include <string.h>

static size_t find(const struct ukvm *vm, const char *name)
{
    size_t i = 0;

    while (i < vm->nhooks && strcmp(vm->hook[i].ops->name, name) != 0)
        i++;
    return i;
}

int ukvm_hook_add(struct ukvm *vm, const struct ukvm_hook_ops *ops, void *self,
                  struct ukvm_error *err)
{
    size_t at = 0;

    if (vm->nhooks == UKVM_MAX_HOOKS)
        return uk_error(err, UKVM_ELIMIT, "hook %s: at most %d hooks", ops->name, UKVM_MAX_HOOKS);
    if (find(vm, ops->name) < vm->nhooks)
        return uk_error(err, UKVM_ESTATE, "hook %s: already there", ops->name);
    if (vm->pending.active)
        return uk_error(err, UKVM_ESTATE, "hook %s: a hypercall is in flight; step over it first",
                        ops->name);
    while (at < vm->nhooks && vm->hook[at].ops->rank <= ops->rank)
        at++;
    memmove(&vm->hook[at + 1], &vm->hook[at], (vm->nhooks - at) * sizeof(vm->hook[0]));
    vm->hook[at] = (struct uk_hook){ops, self};
    vm->nhooks++;
    return UKVM_OK;
}

static void close_one(struct uk_hook *h)
{
    if (h->ops->close)
        h->ops->close(h->self);
}

int ukvm_hook_remove(struct ukvm *vm, const char *name, struct ukvm_error *err)
{
    size_t i = find(vm, name);

    if (i == vm->nhooks)
        return uk_error(err, UKVM_ENOENT, "hook %s: none of that name", name);
    if (vm->pending.active && i < vm->pending.next_hook)
        vm->pending.next_hook--;
    close_one(&vm->hook[i]);
    vm->nhooks--;
    memmove(&vm->hook[i], &vm->hook[i + 1], (vm->nhooks - i) * sizeof(vm->hook[0]));
    return UKVM_OK;
}

void uk_hook_exit(struct ukvm *vm, const struct ukvm_exit *ex)
{
    for (size_t i = 0; i < vm->nhooks; i++)
        if (vm->hook[i].ops->on_exit)
            vm->hook[i].ops->on_exit(vm->hook[i].self, ex);
}

/* From hook (*next) on; it is past the hook that asked to stop. */
int uk_hook_enter(struct ukvm *vm, size_t *next, struct ukvm_error *err)
{
    while (*next < vm->nhooks) {
        struct uk_hook *h = &vm->hook[(*next)++];
        int rc = h->ops->on_enter ? h->ops->on_enter(h->self, &vm->call, err) : UKVM_GO_ON;

        if (rc != UKVM_GO_ON)
            return rc;
    }
    return UKVM_GO_ON;
}

/* All of them, innermost first: a call that was performed is told to everybody. */
int uk_hook_leave(struct ukvm *vm, struct ukvm_error *err)
{
    int result = UKVM_GO_ON;

    for (size_t i = vm->nhooks; i-- > 0;) {
        struct uk_hook *h = &vm->hook[i];
        int rc = h->ops->on_leave ? h->ops->on_leave(h->self, &vm->call, err) : UKVM_GO_ON;

        if (rc < 0)
            return rc;
        if (rc != UKVM_GO_ON)
            result = rc;
    }
    return result;
}

void uk_hook_stop(struct ukvm *vm, const struct ukvm_stop *stop)
{
    for (size_t i = 0; i < vm->nhooks; i++)
        if (vm->hook[i].ops->on_stop)
            vm->hook[i].ops->on_stop(vm->hook[i].self, stop);
}

void uk_hook_close(struct ukvm *vm)
{
    while (vm->nhooks > 0)
        close_one(&vm->hook[--vm->nhooks]);
}
