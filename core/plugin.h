/* SPDX-License-Identifier: ISC */
/*
 * plugin.h: parts of the library that are loaded on first use, because what they
 * link costs more than a monitor's whole start.
 */
#ifndef UKVM_PLUGIN_H
#define UKVM_PLUGIN_H

#include "core/ukvm.h"

#define UKVM_MAX_PLUGINS 4

struct uk_plugins {
    void *handle[UKVM_MAX_PLUGINS];
    size_t n;
};

/*
 * The (symbol) of plugin (file), loaded from (dir), or if it is NULL from beside
 * the program, then from the libexec folder. UKVM_ENOTSUP: there is no such plugin.
 */
int uk_plugin_load(struct uk_plugins *p, const char *dir, const char *file, const char *symbol,
                   void **out, struct ukvm_error *err);
void uk_plugin_close(struct uk_plugins *p);

/* The same for a machine's devices. */
int uk_plugin_symbol(struct ukvm *vm, const char *file, const char *symbol, void **out,
                     struct ukvm_error *err);

#endif /* UKVM_PLUGIN_H */
