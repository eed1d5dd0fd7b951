/* SPDX-License-Identifier: ISC */
/*
 * netargs.c: the network device's argument. Pure but for the random MAC.
 */
#include "core/dev/net.h"
#include "core/error.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define FWD_FORM "hostfwd=tcp:[HOST:]HPORT:[GUEST:]GPORT"

/* --- MAC addresses ------------------------------------------------------------------ */

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *p = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return p ? (int)(p - digits) : -1;
}

bool uk_net_parse_mac(const char *text, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++) {
        int v = hex(*text);

        if (v < 0)
            return false;
        text++;
        if (hex(*text) >= 0)
            v = v * 16 + hex(*text++);
        mac[i] = (uint8_t)v;
        if (*text != (i < 5 ? ':' : '\0'))
            return false;
        text += i < 5;
    }
    return true;
}

/* Locally administered and unicast (IEEE 802: bits 1 and 0 of the first byte). */
static int random_mac(struct uk_net_args *a, struct ukvm_error *err)
{
    uint8_t *m = a->mac;

    if (getrandom(m, sizeof(a->mac), 0) != (ssize_t)sizeof(a->mac))
        return uk_error_sys(err, "give one: --net-mac=", "MAC address: no random bytes");
    m[0] = (uint8_t)((m[0] & 0xfc) | 0x02);
    snprintf(a->mac_text, sizeof(a->mac_text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
             m[3], m[4], m[5]);
    return UKVM_OK;
}

static int take_mac(struct uk_net_args *a, const char *value, struct ukvm_error *err)
{
    if (strlen(value) >= sizeof(a->mac_text) || !uk_net_parse_mac(value, a->mac))
        return uk_error(err, UKVM_EINVAL,
                        "--net-mac=%.80s: not a MAC address; six bytes: 02:00:00:00:00:01", value);
    strcpy(a->mac_text, value);
    return UKVM_OK;
}

/* --- forwarded ports ------------------------------------------------------------------ */

static bool take_port(const char *s, uint16_t *port)
{
    unsigned v = 0;

    if (!*s || strlen(s) > 5)
        return false;
    for (; *s; s++) {
        if (!isdigit((unsigned char)*s))
            return false;
        v = v * 10 + (unsigned)(*s - '0');
    }
    *port = (uint16_t)v;
    return v > 0 && v <= 65535;
}

/* At most (max) parts of (s), which is cut at its colons; more count too. */
static size_t split(char *s, char *part[], size_t max)
{
    size_t n = 0;

    for (char *save = s; save; n++) {
        char *p = strsep(&save, ":");

        if (n < max)
            part[n] = p;
    }
    return n;
}

/* tcp : [host :] port : [guest :] port */
static bool read_forward(struct uk_net_forward *f, char *text)
{
    char *part[5];
    size_t n = split(text, part, 5), at = 1;

    if (n < 3 || n > 5 || (strcmp(part[0], "tcp") != 0 && strcmp(part[0], "udp") != 0))
        return false;
    f->udp = part[0][0] == 'u';
    f->host.s_addr = htonl(INADDR_LOOPBACK);
    f->guest.s_addr = INADDR_ANY;
    if (n == 5 || (n == 4 && strchr(part[1], '.')))
        if (inet_pton(AF_INET, part[at++], &f->host) != 1)
            return false;
    if (!take_port(part[at++], &f->host_port))
        return false;
    if (n - at == 2)
        if (inet_pton(AF_INET, part[at++], &f->guest) != 1)
            return false;
    return n - at == 1 && take_port(part[at], &f->guest_port);
}

static int take_forward(struct uk_net_args *a, const char *value, struct ukvm_error *err)
{
    char text[64];

    if (a->nfwd == UK_NET_MAX_FWD)
        return uk_error(err, UKVM_ELIMIT, "--net=user: hostfwd=%.60s: at most %d", value,
                        UK_NET_MAX_FWD);
    snprintf(text, sizeof(text), "%s", value);
    if (strlen(value) >= sizeof(text) || !read_forward(&a->fwd[a->nfwd], text))
        return uk_error(err, UKVM_EINVAL, "--net=user: hostfwd=%.60s: malformed; " FWD_FORM, value);
    a->nfwd++;
    return UKVM_OK;
}

static int take_loopback(struct uk_net_args *a, const char *value, struct ukvm_error *err)
{
    if (*value)
        return uk_error(err, UKVM_EINVAL, "--net=user: loopback=%.60s: takes no value; loopback",
                        value);
    a->loopback = true;
    return UKVM_OK;
}

/* --- the argument ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool user; /* for user-mode networking only */
    int (*take)(struct uk_net_args *a, const char *value, struct ukvm_error *err);
} options[] = {
    {"mac", false, take_mac},
    {"hostfwd", true, take_forward},
    {"loopback", true, take_loopback},
};

static int take_option(struct uk_net_args *a, const char *text, struct ukvm_error *err)
{
    size_t n = strcspn(text, "=");
    bool user = strcmp(a->name, "user") == 0;

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strlen(options[i].name) != n || strncmp(options[i].name, text, n) != 0)
            continue;
        if (options[i].user && !user)
            return uk_error(err, UKVM_EINVAL,
                            "--net=%s: %.60s: for user-mode networking only; "
                            "--net=user,%.60s",
                            a->name, text, text);
        return options[i].take(a, text[n] ? text + n + 1 : "", err);
    }
    return uk_error(err, UKVM_EINVAL,
                    "--net=%s: %.80s: no such option; user has " FWD_FORM " and loopback", a->name,
                    text);
}

int uk_net_parse(struct uk_net_args *args, const char *text, struct ukvm_error *err)
{
    size_t n = strcspn(text, ",");
    int rc = UKVM_OK;

    memset(args, 0, sizeof(*args));
    if (n == 0 || n > UK_NET_NAME_MAX)
        return uk_error(err, UKVM_EINVAL, "--net=%.80s: no interface's name; TAP, @FD or user",
                        text);
    memcpy(args->name, text, n);
    for (text += n; *text == ',' && rc == UKVM_OK; text += n) {
        char option[128];

        n = strcspn(++text, ",");
        snprintf(option, sizeof(option), "%.*s", (int)(n < 127 ? n : 127), text);
        rc = take_option(args, option, err);
    }
    if (rc == UKVM_OK && !args->mac_text[0])
        rc = random_mac(args, err);
    return rc;
}
