/* SPDX-License-Identifier: ISC */
/*
 * net.c: the network device: NETINFO, NETWRITE, NETREAD over one of the ways in a
 * table. It knows nothing of how a way moves frames.
 */
#include "core/dev/dev.h"
#include "core/dev/net.h"
#include "core/error.h"
#include "core/plugin.h"
#include "guest/ukvm_guest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct net {
    const struct uk_net_way *way;
    void *self; /* the way's */
    struct uk_net_args args;
};

/* --- hypercalls ------------------------------------------------------------------------ */

/* Family B wants the address as text, family C as bytes: the rows differ in size. */
static int netinfo(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct net *net = self;

    (void)err;
    if (call->desc->arg_size == sizeof(struct ukvm_netinfo_b))
        memcpy(call->arg, net->args.mac_text, sizeof(struct ukvm_netinfo_b));
    else
        memcpy(call->arg, net->args.mac, sizeof(struct ukvm_netinfo));
    return UKVM_OK;
}

static int netwrite(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct net *net = self;
    struct ukvm_netwrite arg;
    int rc;

    memcpy(&arg, call->in, sizeof(arg));
    if (arg.len < UK_FRAME_MIN)
        return uk_error(err, UKVM_EGUEST, "len: %" PRIu64 ": a frame has at least %d bytes",
                        arg.len, UK_FRAME_MIN);
    rc = net->way->send(net->self, call->vm, call->buf, arg.len, err);
    if (rc != UKVM_OK)
        return rc;
    arg.ret = 0;
    memcpy(call->arg, &arg, sizeof(arg));
    return UKVM_OK;
}

static int netread(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    const struct net *net = self;
    struct ukvm_netread arg;
    size_t len;
    int rc;

    memcpy(&arg, call->in, sizeof(arg));
    rc = net->way->recv(net->self, call->buf, arg.len, &len, err);
    if (rc < 0)
        return rc;
    if (rc == UKVM_OK)
        arg.len = len;
    arg.ret = rc == UKVM_OK ? 0 : -1;
    memcpy(call->arg, &arg, sizeof(arg));
    return UKVM_OK;
}

static const struct {
    const char *name;
    ukvm_hypercall_fn_t *fn;
} handlers[] = {{"netinfo", netinfo}, {"netwrite", netwrite}, {"netread", netread}};

/* --- opening ----------------------------------------------------------------------------- */

/* How an argument begins, and what then moves the frames: here, or in a plugin. */
static const struct {
    const char *begins;
    bool whole;
    const struct uk_net_way *way;
    const char *plugin, *symbol;
} ways[] = {
    {"user", true, NULL, "ukvm_net_user.so", "ukvm_net_user"},
    {"@", false, &uk_net_fd, NULL, NULL},
    {"", false, &uk_net_tap, NULL, NULL},
};

static bool matches(size_t i, const char *name)
{
    if (ways[i].whole)
        return strcmp(ways[i].begins, name) == 0;
    return strncmp(ways[i].begins, name, strlen(ways[i].begins)) == 0;
}

static int load_way(struct net *net, struct ukvm *vm, size_t i, struct ukvm_error *err)
{
    void *symbol;
    int rc;

    net->way = ways[i].way;
    if (net->way)
        return UKVM_OK;
    rc = uk_plugin_symbol(vm, ways[i].plugin, ways[i].symbol, &symbol, err);
    if (rc == UKVM_OK)
        net->way = symbol;
    return rc;
}

static int open_way(struct net *net, struct ukvm *vm, struct ukvm_error *err)
{
    size_t i = 0;
    int rc;

    while (!matches(i, net->args.name))
        i++;
    rc = load_way(net, vm, i, err);
    return rc == UKVM_OK ? net->way->open(&net->self, &net->args, err) : rc;
}

static void close_net(void *self)
{
    struct net *net = self;

    if (net->self)
        net->way->close(net->self);
    free(net);
}

static int bring_up(struct net *net, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    int rc = uk_net_parse(&net->args, arg, err);

    if (rc == UKVM_OK)
        rc = open_way(net, vm, err);
    if (rc == UKVM_OK)
        rc = ukvm_core_register_poll(vm, &net->way->poll, net->self, err);
    for (size_t i = 0; rc == UKVM_OK && i < sizeof(handlers) / sizeof(handlers[0]); i++)
        rc = uk_dev_register(vm, handlers[i].name, handlers[i].fn, net, err);
    if (rc == UKVM_OK)
        ukvm_core_describe_net(vm, net->args.name, net->args.mac);
    return rc;
}

static int setup(void **self, struct ukvm *vm, const char *arg, struct ukvm_error *err)
{
    struct net *net = calloc(1, sizeof(*net));
    int rc;

    if (!net)
        return uk_error(err, UKVM_ENOMEM, "net: out of memory");
    rc = bring_up(net, vm, arg, err);
    if (rc != UKVM_OK) {
        close_net(net);
        return rc;
    }
    *self = net;
    return UKVM_OK;
}

const struct ukvm_module uk_dev_net = {
    "net",
    "--net=TAP|@FD|user[,hostfwd=tcp:[HOST:]HPORT:[GUEST:]GPORT...][,loopback], then ,mac=MAC",
    setup,
    close_net,
};
