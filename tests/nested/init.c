/* SPDX-License-Identifier: ISC */
/*
 * init.c: the first process of the nested machine. It loads the KVM modules, runs
 * the commands of /nested/commands one after another and writes what came of each
 * (NAME.out, NAME.err, NAME.status) as a tar archive into the memory that the host
 * shares with the machine. Linked statically; depends on Linux and libc only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEBUG_EXIT 0xf4 /* QEMU's isa-debug-exit: ends the machine with 2 * value + 1 */
#define TAR_BLOCK  512
#define TIMED_OUT  124 /* as timeout(1) */
#define NO_EXEC    127 /* as sh */
#define MAX_ARGS   256

static uint8_t *out;     /* the shared memory */
static size_t out_size;  /* bytes */
static size_t out_used;  /* bytes */
static unsigned seconds; /* limit of each command */

static _Noreturn void leave(int status)
{
    if (iopl(3) == 0)
        outl((unsigned)status, DEBUG_EXIT);
    for (;;)
        pause();
}

static _Noreturn void __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("nested: ", stdout);
    vprintf(fmt, ap);
    printf(": %s\n", strerror(errno));
    va_end(ap);
    fflush(stdout);
    leave(1);
}

/* --- preparing the machine ------------------------------------------------- */

static void mount_all(void)
{
    static const struct {
        const char *type, *where;
    } mounts[] = {
        {"devtmpfs", "/dev"},
        {"proc", "/proc"},
        {"sysfs", "/sys"},
    };

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        mkdir(mounts[i].where, 0755);
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, "") && errno != EBUSY)
            fail("mount %s", mounts[i].where);
    }
    mkdir("/dev/shm", 01777);
    mkdir("/dev/pts", 0755);
    mount("devpts", "/dev/pts", "devpts", 0, "");
    mkdir("/tmp", 01777);
    mkdir("/run", 0755);
    symlink("/proc/self/fd", "/dev/fd");
}

/* The modules of /nested/modules are named so that sorting gives the order of loading. */
static void load_modules(void)
{
    struct dirent **list;
    int n = scandir("/nested/modules", &list, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char path[512];

        if (list[i]->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/nested/modules/%s", list[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            fail("%s", path);
        close(fd);
    }
}

static void loopback_up(void)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
        fail("lo");
    close(fd);
}

/* Emulators ask for more address space than the machine has memory. */
static void allow_overcommit(void)
{
    int fd = open("/proc/sys/vm/overcommit_memory", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "1", 1) != 1)
        fail("overcommit_memory");
    close(fd);
}

static uint32_t read_hex(const char *dir, const char *name)
{
    char path[512], text[32] = "";
    int fd;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    close(fd);
    return (uint32_t)strtoul(text, NULL, 16);
}

/* Map the memory of QEMU's ivshmem-plain device: BAR 2 of PCI 1af4:1110. */
static void map_output(void)
{
    char path[512], dir[256] = "";
    struct stat st;
    DIR *d = opendir("/sys/bus/pci/devices");

    for (struct dirent *e; d && (e = readdir(d));)
        if (read_hex(e->d_name, "vendor") == 0x1af4 && read_hex(e->d_name, "device") == 0x1110)
            snprintf(dir, sizeof(dir), "%s", e->d_name);
    if (d)
        closedir(d);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", dir);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1)
        fail("%s", path);
    close(fd);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource2_wc", dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        fail("%s", path);
    out_size = (size_t)st.st_size;
    out = mmap(NULL, out_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (out == MAP_FAILED)
        fail("%s: mmap", path);
    close(fd);
}

/* --- results ----------------------------------------------------------------- */

/* Append an archive member of (size) bytes (POSIX ustar). NULL if it does not fit. */
static uint8_t *tar_member(const char *name, const char *suffix, size_t size)
{
    size_t room = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    uint8_t *h = out + out_used;
    unsigned sum = 0;

    if (out_size - out_used < room + 3 * TAR_BLOCK) /* the end is two blocks of zeros */
        return NULL;
    char head[TAR_BLOCK] = {0};
    snprintf(head, 100, "%s%s", name, suffix);
    snprintf(head + 100, 8, "%07o", 0644u);
    snprintf(head + 108, 8, "%07o", 0u);
    snprintf(head + 116, 8, "%07o", 0u);
    snprintf(head + 124, 12, "%011zo", size);
    snprintf(head + 136, 12, "%011o", 0u);
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (uint8_t)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    memcpy(h, head, TAR_BLOCK);
    out_used += TAR_BLOCK + room;
    return h + TAR_BLOCK;
}

/* Archive what (fd) holds, then forget it. False if there is no room for it. */
static bool archive_file(const char *name, const char *suffix, int fd)
{
    struct stat st;
    uint8_t *p;
    size_t done = 0;

    if (fstat(fd, &st) || !(p = tar_member(name, suffix, (size_t)st.st_size)))
        return false;
    while (done < (size_t)st.st_size) {
        static char buf[65536];
        ssize_t n = pread(fd, buf, sizeof(buf), (off_t)done);

        if (n <= 0)
            fail("%s%s", name, suffix);
        memcpy(p + done, buf, (size_t)n);
        done += (size_t)n;
    }
    return true;
}

static void archive_text(const char *name, const char *suffix, const char *text)
{
    uint8_t *p = tar_member(name, suffix, strlen(text));

    if (!p)
        fail("%s%s: output memory is full", name, suffix);
    memcpy(p, text, strlen(text));
}

/* --- commands -------------------------------------------------------------- */

static int temp_file(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC);

    if (fd < 0)
        fail("memfd_create");
    return fd;
}

static _Noreturn void child(char **argv, int fd_out, int fd_err, const sigset_t *mask)
{
    int null = open("/dev/null", O_RDONLY);

    setsid();
    dup2(null, 0);
    dup2(fd_out, 1);
    dup2(fd_err, 2);
    if (null > 2)
        close(null);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "nested: %s: %s\n", argv[0], strerror(errno));
    _exit(NO_EXEC);
}

/* Wait for (pid) at most (seconds), reaping orphans too; its shell-like status. */
static int wait_for(pid_t pid, const sigset_t *chld)
{
    struct timespec now, end;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    for (;;) {
        for (pid_t got; (got = waitpid(-1, &status, WNOHANG)) > 0;)
            if (got == pid)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
            return TIMED_OUT;
        struct timespec step = {.tv_nsec = 100000000};
        sigtimedwait(chld, NULL, &step);
    }
}

static void run(const char *name, char **argv)
{
    int fd_out = temp_file(), fd_err = temp_file();
    sigset_t chld, old;
    char text[64];

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &old);
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0)
        child(argv, fd_out, fd_err, &old);
    int status = wait_for(pid, &chld);
    kill(-1, SIGKILL); /* whatever the command left running */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    bool fits = archive_file(name, ".out", fd_out) && archive_file(name, ".err", fd_err);
    snprintf(text, sizeof(text), fits ? "%d\n" : "output too large\n", status);
    archive_text(name, ".status", text);
    close(fd_out);
    close(fd_err);
}

static char *read_commands(size_t *size)
{
    int fd = open("/nested/commands", O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;

    if (fd < 0 || fstat(fd, &st) || !(text = calloc(1, (size_t)st.st_size + 1)) ||
        read(fd, text, (size_t)st.st_size) != st.st_size)
        fail("/nested/commands");
    close(fd);
    *size = (size_t)st.st_size;
    return text;
}

/* The next of the strings that NUL ends in [*p, end). */
static char *next(char **p, const char *end)
{
    char *s = *p;

    if (s >= end)
        fail("/nested/commands: it ends early");
    *p += strlen(s) + 1;
    return s;
}

/* The file: seconds, working directory, then for each command its name, argc, arguments. */
static void run_all(void)
{
    size_t size;
    char *p = read_commands(&size);
    const char *end = p + size;

    seconds = (unsigned)strtoul(next(&p, end), NULL, 10);
    const char *dir = next(&p, end);
    if (chdir(dir))
        fail("%s", dir);
    while (p < end) {
        char *name = next(&p, end), *argv[MAX_ARGS];
        unsigned long argc = strtoul(next(&p, end), NULL, 10);

        if (argc < 1 || argc >= MAX_ARGS)
            fail("%s: %lu arguments", name, argc);
        for (unsigned long i = 0; i < argc; i++)
            argv[i] = next(&p, end);
        argv[argc] = NULL;
        run(name, argv);
    }
}

int main(void)
{
    mount_all();
    load_modules();
    loopback_up();
    allow_overcommit();
    map_output();
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
    setenv("HOME", "/tmp", 1);
    setenv("TERM", "dumb", 1);
    run_all();
    archive_text("nested", ".done", "");
    munmap(out, out_size);
    leave(0);
}
