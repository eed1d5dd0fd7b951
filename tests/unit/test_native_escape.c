/* SPDX-License-Identifier: ISC */
/*
 * test_native_escape.c: a guest that tries to leave the native backend's sandbox in every
 * way reaches nothing. Built twice: test_native_open is the same without the sandbox,
 * where each attempt must hit its canary: the positive control.
 */
#include "tests/support/native_pair.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#ifndef UK_NATIVE_SANDBOX
#define UK_NATIVE_SANDBOX 1
#endif

static struct side guest;
static uint8_t image[PAIR_END - PAIR_FIRST];
static int canary[2]; /* a pipe: what comes out of it, the guest has written */
static const char secret[] = "secret";

/* A function of the monitor's that the guest would like to run. */
static __attribute__((noinline, used)) void tell_canary(void)
{
    int fd = canary[1];
    long rc;

    __asm__ volatile("syscall"
                     : "=a"(rc)
                     : "a"(SYS_write), "D"(fd), "S"(secret), "d"(1)
                     : "rcx", "r11", "memory");
}

static bool sang(void)
{
    char buf[64];

    return read(canary[0], buf, sizeof(buf)) > 0;
}

static int open_guest(void **state)
{
    (void)state;
    if (pipe2(canary, O_NONBLOCK))
        return -1;
    side_open(&guest, &ukvm_hv_native);
    return 0;
}

static int close_guest(void **state)
{
    (void)state;
    side_close(&guest);
    close(canary[0]);
    close(canary[1]);
    return 0;
}

static void run_code(const void *code, size_t len, const struct ukvm_x86_state *st)
{
    side_memory(image, code, len);
    memcpy(image + PAIR_DATA - PAIR_FIRST, "x", 1);
    side_run(&guest, image, st);
}

/* Sandboxed: the guest's own handler for (vector) was entered first. */
static void expect(bool reached, int vector)
{
    if (!UK_NATIVE_SANDBOX) {
        assert_true(reached);
        return;
    }
    assert_false(reached);
    assert_int_equal(guest.answer, UKVM_HALTED);
    assert_int_equal(guest.ex.pc, PAIR_HANDLER + 4 * (unsigned)vector);
}

static void write_call(struct ukvm_x86_state *st, long nr)
{
    side_start(st);
    st->gpr[UKVM_RAX] = (uint64_t)nr;
    st->gpr[UKVM_RDI] = st->gpr[UKVM_RBX] = (uint64_t)canary[1];
    st->gpr[UKVM_RSI] = st->gpr[UKVM_RCX] = PAIR_DATA;
    st->gpr[UKVM_RDX] = 1;
}

static void test_syscall(void **state)
{
    struct ukvm_x86_state st;

    (void)state;
    write_call(&st, SYS_write);
    run_code((const uint8_t[]){0x0f, 0x05, 0xf4}, 3, &st);
    expect(sang(), UK_X86_UD);
    if (UK_NATIVE_SANDBOX)
        assert_int_equal(guest.st.gpr[UKVM_RAX], SYS_write);
}

/* Has this kernel 32-bit system calls at all? exit(7). */
static bool has_int80(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        __asm__ volatile("int $0x80" : : "a"(1), "b"(7));
        _exit(1);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void test_int80(void **state)
{
    struct ukvm_x86_state st;

    (void)state;
    write_call(&st, 4);
    run_code((const uint8_t[]){0xcd, 0x80, 0xf4}, 3, &st);
    if (UK_NATIVE_SANDBOX || has_int80())
        expect(sang(), 0x80);
}

/* On AMD's processors it is #UD in 64-bit mode: there the control shows that. */
static void test_sysenter(void **state)
{
    struct ukvm_x86_state st;
    bool amd = __builtin_cpu_is("amd") != 0;

    (void)state;
    write_call(&st, 4);
    st.gpr[UKVM_RBP] = PAIR_STACK;
    run_code((const uint8_t[]){0x0f, 0x34, 0xf4}, 3, &st);
    if (amd || UK_NATIVE_SANDBOX)
        assert_false(sang());
    if (amd)
        assert_int_equal(guest.ex.pc, PAIR_HANDLER + 4 * UK_X86_UD);
}

static bool has_vsyscall(void)
{
    char line[256];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "re");

    while (f && fgets(line, sizeof(line), f))
        found = found || strstr(line, "[vsyscall]");
    if (f)
        fclose(f);
    return found;
}

/* call rax: gettimeofday() where Linux has it for old programs. */
static void test_vsyscall(void **state)
{
    struct ukvm_x86_state st;
    uint64_t seconds;

    (void)state;
    side_start(&st);
    st.gpr[UKVM_RAX] = UINT64_C(0xffffffffff600000);
    st.gpr[UKVM_RDI] = PAIR_DATA + 64;
    run_code((const uint8_t[]){0xff, 0xd0, 0xf4}, 3, &st);
    memcpy(&seconds, guest.hv.mem + PAIR_DATA + 64, sizeof(seconds));
    if (UK_NATIVE_SANDBOX || has_vsyscall())
        expect(seconds != 0, UK_X86_PF);
}

/* mov al, [rbx] */
static void test_reading_the_monitor(void **state)
{
    struct ukvm_x86_state st;

    (void)state;
    side_start(&st);
    st.gpr[UKVM_RBX] = (uintptr_t)secret;
    run_code((const uint8_t[]){0x8a, 0x03, 0xf4}, 3, &st);
    expect((guest.st.gpr[UKVM_RAX] & 0xff) == 's', UK_X86_PF);
}

static void test_calling_the_monitor(void **state)
{
    struct ukvm_x86_state st;
    void (*volatile fn)(void) = tell_canary;
    uintptr_t at;

    (void)state;
    memcpy(&at, (const void *)&fn, sizeof(at));
    side_start(&st);
    st.gpr[UKVM_RSP] = PAIR_STACK - 8;
    st.gpr[UKVM_RBX] = at;
    run_code((const uint8_t[]){0xff, 0xd3, 0xf4}, 3, &st);
    expect(sang(), UK_X86_PF);
}

/* --- what the child has ------------------------------------------------------------------- */

static void proc_path(char *buf, size_t size, const char *what)
{
    pid_t pid;

    memcpy(&pid, guest.hv.b, sizeof(pid)); /* its first member */
    snprintf(buf, size, "/proc/%d/%s", (int)pid, what);
}

static void test_mappings(void **state)
{
    char path[64], line[256];
    int foreign = 0;
    FILE *f;

    (void)state;
    proc_path(path, sizeof(path), "maps");
    f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        unsigned long long from, to;

        assert_int_equal(sscanf(line, "%llx-%llx", &from, &to), 2);
        if ((from < 0x10000 || to > PAIR_MEM) && !strstr(line, "[v"))
            foreign++;
    }
    fclose(f);
    assert_true(UK_NATIVE_SANDBOX ? foreign == 0 : foreign > 0);
}

static void test_descriptors(void **state)
{
    char path[64];
    const struct dirent *e;
    int n = 0;
    DIR *d;

    (void)state;
    proc_path(path, sizeof(path), "fd");
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    assert_true(UK_NATIVE_SANDBOX ? n == 0 : n > 0);
}

/* What the monitor had in vector registers is not there: AVX halves included. */
static void test_vector_registers(void **state)
{
    static const uint8_t code[] = {0xc5, 0xfc, 0x11, 0x03, 0xf4}; /* vmovups [rbx], ymm0 */
    struct ukvm_x86_state st;

    (void)state;
    if (!__builtin_cpu_supports("avx"))
        return;
    side_start(&st);
    st.gpr[UKVM_RBX] = PAIR_DATA + 64;
    run_code(code, sizeof(code), &st);
    for (int i = 0; UK_NATIVE_SANDBOX && i < 32; i++)
        assert_int_equal(guest.hv.mem[PAIR_DATA + 64 + i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_syscall, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_int80, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_sysenter, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_vsyscall, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_reading_the_monitor, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_calling_the_monitor, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_mappings, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_descriptors, open_guest, close_guest),
        cmocka_unit_test_setup_teardown(test_vector_registers, open_guest, close_guest),
    };

    __builtin_cpu_init();
    return cmocka_run_group_tests_name(UK_NATIVE_SANDBOX ? "native escapes"
                                                         : "native escapes without the sandbox",
                                       tests, NULL, NULL);
}
