/* SPDX-License-Identifier: ISC */
/*
 * probe_host.c: what the host gives: rights, devices, TAP interfaces. Tries each
 * thing rather than guessing. Knows no machine.
 */
#include "ukvmdbg/probe.h"
#include "ukvmdbg/plugin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Is program (name) in PATH? */
static bool in_path(const char *name)
{
    const char *path = getenv("PATH");
    char file[512];

    while (path && *path) {
        size_t n = strcspn(path, ":");

        if ((size_t)snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, name) < sizeof(file) &&
            access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static void user(struct ud_facts *f)
{
    const struct passwd *pw = getpwuid(geteuid());
    struct utsname u;

    if (uname(&u) == 0)
        ud_facts_add(f, "host", "%s %s %s", u.sysname, u.release, u.machine);
    if (geteuid() == 0)
        ud_facts_add(f, "user", "root");
    else
        ud_facts_add(f, "user", "not root: %s, uid %u", pw ? pw->pw_name : "no name",
                     (unsigned)geteuid());
    ud_facts_add(f, "user.sudo", "%s", in_path("sudo") ? "yes" : "no: not installed");
}

static void rights(struct ud_facts *f, const char *key, const char *path, const char *group_mend)
{
    struct stat st;
    const struct passwd *pw;
    const struct group *gr;

    if (stat(path, &st) != 0) {
        ud_facts_add(f, key, "no: %s: %s", path, strerror(errno));
        return;
    }
    pw = getpwuid(st.st_uid);
    gr = getgrgid(st.st_gid);
    if (access(path, R_OK | W_OK) == 0)
        ud_facts_add(f, key, "yes: %s:%s %04o", pw ? pw->pw_name : "?", gr ? gr->gr_name : "?",
                     st.st_mode & 07777U);
    else
        ud_facts_add(f, key, "no: %s:%s %04o: %s; %s", pw ? pw->pw_name : "?",
                     gr ? gr->gr_name : "?", st.st_mode & 07777U, strerror(errno), group_mend);
}

/* Make a TAP interface that is gone when its descriptor is closed. */
static void try_tap(struct ud_facts *f)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        ud_facts_add(f, "tap", "cannot be made: /dev/net/tun: %s; --net=user needs none",
                     strerror(errno));
        return;
    }
    strcpy(ifr.ifr_name, "ukvmprobe%d");
    if (ioctl(fd, TUNSETIFF, &ifr) == 0)
        ud_facts_add(f, "tap", "can be made");
    else
        ud_facts_add(f, "tap",
                     "cannot be made: %s; sudo ip tuntap add tap100 mode tap user %s, "
                     "or --net=user",
                     strerror(errno), getenv("USER") ? getenv("USER") : "root");
    close(fd);
}

/* The number in /sys/class/net/(name)/(file); (otherwise) if there is none. */
static long attribute(const char *name, const char *file, long otherwise)
{
    char path[300], text[32] = "";
    FILE *s;

    snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
    s = fopen(path, "re");
    if (!s)
        return otherwise;
    if (!fgets(text, sizeof(text), s))
        text[0] = '\0';
    fclose(s);
    return text[0] ? strtol(text, NULL, 0) : otherwise;
}

static void tap(struct ud_facts *f, const char *name)
{
    long flags = attribute(name, "tun_flags", 0), owner = attribute(name, "owner", -1);
    const struct passwd *pw = owner >= 0 ? getpwuid((uid_t)owner) : NULL;
    bool up = attribute(name, "flags", 0) & IFF_UP;
    char key[UD_KEY_MAX];

    if (!(flags & IFF_TAP))
        return;
    snprintf(key, sizeof(key), "tap.%.40s", name);
    ud_facts_add(f, key, "%s, owner %s%s%s", up ? "up" : "down",
                 owner < 0 ? "nobody"
                 : pw      ? pw->pw_name
                           : "without a name",
                 up ? "" : "; ip link set up ", up ? "" : name);
}

static void taps(struct ud_facts *f)
{
    DIR *dir = opendir("/sys/class/net");
    const struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            tap(f, e->d_name);
    if (dir)
        closedir(dir);
}

void ud_probe_host(struct ud_facts *f)
{
    user(f);
    rights(f, "dev.kvm", "/dev/kvm", "sudo usermod -aG kvm $USER, then log in again");
    rights(f, "dev.tun", "/dev/net/tun", "sudo chmod 666 /dev/net/tun, or --net=user");
    try_tap(f);
    taps(f);
    if (ud_plugin_there("ukvm_net_user.so"))
        ud_facts_add(f, "net.user", "yes");
    else
        ud_facts_add(f, "net.user", "no: ukvm_net_user.so is not there; make deps && make");
}
