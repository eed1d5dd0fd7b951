/* SPDX-License-Identifier: ISC */
/*
 * plugin.c: finds and loads the program's plugin. Depends on no machine.
 */
#include "ukvmdbg/plugin.h"
#include "ukvmdbg/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The path of (file) beside the program, or in libexec. */
static bool find(const char *file, char *path, size_t size)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash;

    exe[n > 0 ? n : 0] = '\0';
    slash = strrchr(exe, '/');
    if (slash) {
        *slash = '\0';
        if ((size_t)snprintf(path, size, "%s/%s", exe, file) < size && access(path, R_OK) == 0)
            return true;
    }
    return (size_t)snprintf(path, size, "%s/%s", UKVM_PLUGINDIR, file) < size &&
           access(path, R_OK) == 0;
}

bool ud_plugin_there(const char *file)
{
    char path[PATH_MAX];

    return find(file, path, sizeof(path));
}

const struct ud_dbg *ud_plugin_dbg(struct ukvm_error *err)
{
    static const struct ud_dbg *dbg; /* stays loaded until the program ends */
    char path[PATH_MAX];
    void *h;

    if (dbg)
        return dbg;
    if (!find("ukvm_dbg.so", path, sizeof(path))) {
        ud_error(err, UKVM_ENOENT,
                 "ukvm_dbg.so: neither beside the program nor in %s; build it by make deps && make",
                 UKVM_PLUGINDIR);
        return NULL;
    }
    h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!h) {
        ud_error(err, UKVM_ENOTSUP, "ukvm_dbg.so: %.200s", dlerror());
        return NULL;
    }
    dbg = dlsym(h, UD_DBG_SYMBOL);
    if (!dbg || dbg->version != UD_DBG_VERSION) {
        ud_error(err, UKVM_ENOTSUP, "%.160s: belongs to another version; make, or make install",
                 path);
        dbg = NULL;
    }
    return dbg;
}
