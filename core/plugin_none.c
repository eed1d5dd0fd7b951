/* SPDX-License-Identifier: ISC */
/*
 * plugin_none.c: stands in for plugin.c where a monitor is built without plugins
 * (ukvm-configure), so that it links no dynamic loader.
 */
#include "core/plugin.h"
#include "core/error.h"

int uk_plugin_load(struct uk_plugins *p, const char *dir, const char *file, const char *symbol,
                   void **out, struct ukvm_error *err)
{
    (void)p, (void)dir, (void)symbol, (void)out;
    return uk_error(err, UKVM_ENOTSUP, "%s: this monitor is built without plugins; use ukvmdbg",
                    file);
}

void uk_plugin_close(struct uk_plugins *p)
{
    (void)p;
}
