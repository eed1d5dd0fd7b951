/* SPDX-License-Identifier: ISC */
/*
 * values.c: what each option's value means. Knows no machine.
 */
#include "ukvmdbg/options.h"
#include "ukvmdbg/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int ud_value_help(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)value, (void)err;
    o->help = true;
    return UKVM_OK;
}

int ud_value_version(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)value, (void)err;
    o->version = true;
    return UKVM_OK;
}

int ud_value_batch(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)value, (void)err;
    o->batch = true;
    return UKVM_OK;
}

int ud_value_json(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)value, (void)err;
    o->json = true;
    return UKVM_OK;
}

/* The library knows which backends there are, and says so. */
int ud_value_hv(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)err;
    o->hv = strcmp(value, "auto") == 0 ? NULL : value;
    return UKVM_OK;
}

int ud_value_mem(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    unsigned long n;
    char *end;

    errno = 0;
    n = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end || errno || n > SIZE_MAX >> 20)
        return ud_error(err, UKVM_EINVAL, "--mem=%s: not a number of MiB; --mem=512", value);
    if (n == 0)
        return ud_error(err, UKVM_EINVAL, "--mem=0: a guest needs memory; --mem=2 is the least");
    o->mem_size = (size_t)n << 20;
    return UKVM_OK;
}

/* One of (names); its index, or -1. */
static int one_of(const char *value, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(value, names[i]) == 0)
            return (int)i;
    return -1;
}

int ud_value_abi(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    static const char *const names[] = {
        [UKVM_ABI_AUTO] = "auto", [UKVM_ABI_B] = "b", [UKVM_ABI_C] = "c"};
    int i = one_of(value, names, 3);

    if (i < 0)
        return ud_error(err, UKVM_EINVAL, "--abi=%s: no such family; b, c or auto", value);
    o->abi = (enum ukvm_abi)i;
    return UKVM_OK;
}

int ud_value_color(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    static const char *const names[] = {
        [UD_COLOR_AUTO] = "auto", [UD_COLOR_ALWAYS] = "always", [UD_COLOR_NEVER] = "never"};
    int i = one_of(value, names, 3);

    if (i < 0)
        return ud_error(err, UKVM_EINVAL, "--color=%s: not known; auto, always or never", value);
    o->color = (enum ud_color)i;
    return UKVM_OK;
}

int ud_value_low_memory(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    if (strcmp(value, "original") != 0)
        return ud_error(err, UKVM_EINVAL,
                        "--low-memory=%s: not known; --low-memory=original, or leave it out",
                        value);
    o->low_memory_original = true;
    return UKVM_OK;
}

int ud_value_nx(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    (void)value, (void)err;
    o->nx = true;
    return UKVM_OK;
}

int ud_value_timeout(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    char *end;
    double secs = strtod(value, &end);

    if (end != value && !*end && secs <= 0)
        return ud_error(err, UKVM_EINVAL, "--timeout=%s: must be more than 0; --timeout=2.5",
                        value);
    if (end == value || *end || !(secs > 0) || secs > 1e9)
        return ud_error(err, UKVM_EINVAL, "--timeout=%s: not a number of seconds; --timeout=2.5",
                        value);
    o->timeout_ns = (int64_t)(secs * 1e9);
    if (o->timeout_ns == 0)
        o->timeout_ns = 1;
    return UKVM_OK;
}

/* A value that may be given once, and not empty. */
static int once(const char **where, const char *name, const char *value, struct ukvm_error *err)
{
    if (*where)
        return ud_error(err, UKVM_EINVAL, "--%s=%s: given twice, %s before; a guest has one", name,
                        value, *where);
    if (value[0] == '\0')
        return ud_error(err, UKVM_EINVAL, "--%s: its value is empty; ukvmdbg run --help", name);
    *where = value;
    return UKVM_OK;
}

int ud_value_symbols(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return once(&o->symbols, "symbols", value, err);
}

int ud_value_disk(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return once(&o->disk, "disk", value, err);
}

int ud_value_net(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return once(&o->net, "net", value, err);
}

int ud_value_net_mac(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return once(&o->net_mac, "net-mac", value, err);
}

int ud_value_pcap(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return once(&o->pcap, "pcap", value, err);
}

static int script(struct ud_options *o, bool is_file, const char *text, struct ukvm_error *err)
{
    if (o->nscripts == UD_MAX_SCRIPTS)
        return ud_error(err, UKVM_ELIMIT, "-ex: %s: at most %d; put them into a file, -x FILE",
                        text, UD_MAX_SCRIPTS);
    o->script[o->nscripts++] = (struct ud_script){is_file, text};
    return UKVM_OK;
}

int ud_value_file(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return script(o, true, value, err);
}

int ud_value_ex(struct ud_options *o, const char *value, struct ukvm_error *err)
{
    return script(o, false, value, err);
}
