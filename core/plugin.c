/* SPDX-License-Identifier: ISC */
/*
 * plugin.c: loads plugins by dlopen. Depends on no other part of the machine.
 */
#include "core/plugin.h"
#include "core/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running program, without a trailing slash; "" if it is unknown. */
static void program_dir(char *buf, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", buf, size - 1);
    char *slash;

    buf[n > 0 ? n : 0] = '\0';
    slash = strrchr(buf, '/');
    if (slash)
        *slash = '\0';
    else
        buf[0] = '\0';
}

static void *open_in(const char *dir, const char *file)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, file);

    if (n < 0 || (size_t)n >= sizeof(path) || access(path, R_OK) != 0)
        return NULL;
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *open_somewhere(const char *dir, const char *file)
{
    char beside[PATH_MAX];
    void *h;

    if (dir)
        return open_in(dir, file);
    program_dir(beside, sizeof(beside));
    h = open_in(beside, file);
    return h ? h : open_in(UKVM_PLUGINDIR, file);
}

/* A library that is open already is kept open once. */
static void keep(struct uk_plugins *p, void *h)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->handle[i] == h) {
            dlclose(h);
            return;
        }
    p->handle[p->n++] = h;
}

int uk_plugin_load(struct uk_plugins *p, const char *dir, const char *file, const char *symbol,
                   void **out, struct ukvm_error *err)
{
    const char *why;
    void *h, *sym;

    if (p->n == UKVM_MAX_PLUGINS) /* more than there are */
        return uk_error(err, UKVM_ELIMIT, "%s: too many plugins", file);
    dlerror();
    h = open_somewhere(dir, file);
    if (!h) {
        why = dlerror();
        return uk_error(err, UKVM_ENOTSUP, "%s: %s", file,
                        why ? why
                            : "not there; it is built where its library is, by make deps && make");
    }
    sym = dlsym(h, symbol);
    if (!sym) {
        dlclose(h);
        return uk_error(err, UKVM_ENOTSUP, "%s: has no %s; it belongs to another version", file,
                        symbol);
    }
    keep(p, h);
    *out = sym;
    return UKVM_OK;
}

void uk_plugin_close(struct uk_plugins *p)
{
    while (p->n > 0)
        dlclose(p->handle[--p->n]);
}
