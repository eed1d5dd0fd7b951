/* SPDX-License-Identifier: ISC */
/*
 * What the family B and C test guests share: the ABI's numbers and structs, written down a
 * second time, and a tiny runtime.  Compiled with -DFAMILY_B or -DFAMILY_C.  It must include
 * nothing of guest/ or core/, so that a mistake made there can't be made here too.
 */
#ifndef TESTS_GUESTS_ABI_H
#define TESTS_GUESTS_ABI_H

#include <stddef.h>
#include <stdint.h>

#if defined(FAMILY_B) == defined(FAMILY_C)
#error "define FAMILY_B or FAMILY_C"
#endif

/* Boot information: RDI points to it at the entry. */
struct boot_info {
    uint64_t mem_size;
    uint64_t kernel_end;
    uint64_t cmdline;
    uint64_t tsc_hz;
};

/* A hypercall is a 32-bit OUT of the argument's address to PORT_BASE + number. */
#define PORT_BASE   0x500
#define HC_WALLTIME 1
#define HC_PUTS     2
#define HC_POLL     3
#define HC_BLKINFO  4
#define HC_BLKWRITE 5
#define HC_BLKREAD  6
#define HC_NETINFO  7
#define HC_NETWRITE 8
#define HC_NETREAD  9
#ifdef FAMILY_C
#define HC_HALT 10
#endif

struct hc_walltime {
    uint64_t nsecs;
};

struct hc_puts {
    uint64_t data;
    uint64_t len;
};

struct hc_poll {
    uint64_t timeout_nsecs;
    int32_t ret;
    uint32_t pad;
};

struct hc_blkinfo {
    uint64_t sector_size;
    uint64_t num_sectors;
    int32_t rw;
    uint32_t pad;
};

struct hc_blkio {
    uint64_t sector;
    uint64_t data;
    uint64_t len;
    int32_t ret;
    uint32_t pad;
};

struct hc_netinfo {
#ifdef FAMILY_B
    char mac[18];
#else
    uint8_t mac[6];
#endif
};

struct hc_netio {
    uint64_t data;
    uint64_t len;
    int32_t ret;
    uint32_t pad;
};

#ifdef FAMILY_C
struct hc_halt {
    uint64_t cookie;
    int32_t exit_status;
    uint32_t pad;
};
#endif

/* The constant goes through EDX as in images built by a compiler: the family is told by it. */
#define hypercall(nr, arg)                                                                         \
    __asm__ volatile("movl %0, %%edx\n\toutl %%eax, %%dx"                                          \
                     :                                                                             \
                     : "i"(PORT_BASE + (nr)), "a"((uint32_t)(uintptr_t)(arg))                      \
                     : "rdx", "memory")

/* What trap.S leaves on the stack: registers, then what the processor pushed (error: 0 if none). */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;
};

#define SEL_CODE       0x08
#define SEL_BOOT_DATA  0x10
#define SEL_DATA       0x18
#define SEL_TSS        0x20
#define GATE_INTERRUPT 0x8E
#define GATE_TRAP      0x8F
#define GATE_ABSENT    0x0E
#define IST_IRQ        1
#define IST_TRAP       2
#define IST_ABORT      3
#define NR_GATES       48
#define RFLAGS_TF      0x100ul
#define RFLAGS_IF      0x200ul
#define RFLAGS_NT      0x4000ul
#define RFLAGS_RF      0x10000ul

/* rt.c: the boot information, and the tables of the second page of every such guest. */
extern const struct boot_info *boot;
extern uint64_t gdt[6];
extern uint8_t stack_irq[], stack_trap[], stack_abort[];
#define IST_STACK_SIZE 8192

/* trap.S calls it: goes on where the frame says if trap_hook is set, else reports and aborts. */
void trap(struct trap_frame *frame);
extern void (*trap_hook)(struct trap_frame *frame);
void gate_set(unsigned vector, uint8_t type, uint8_t ist);

/* rt.c: the C entry, and where a guest that looks at its own registers first goes on. */
void rt_start(const struct boot_info *info) __attribute__((noreturn));

/* The guest's own code. */
int solo5_app_main(char *cmdline);

/* How it ends: family B by HLT, family C by the halt hypercall. */
void rt_halt(int status, const void *cookie) __attribute__((noreturn));
void rt_exit(int status) __attribute__((noreturn));
void rt_assert_fail(const char *file, int line, const char *text) __attribute__((noreturn));
#ifdef FAMILY_C
void solo5_abort(void) __attribute__((noreturn));
#endif

/* Console: one PUTS each.  print knows %s %c %d %u %x, the l of %lu %lx, and widths as in %02x. */
void put(const void *data, size_t len);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "ok NAME" or "FAIL NAME: got 0x.. want 0x.."; check_failures counts the latter. */
void check_u64(const char *name, uint64_t got, uint64_t want);
extern unsigned check_failures;

/* Strings: word compares the word at *text and steps over it and the blanks behind it. */
size_t str_len(const char *s);
int str_same(const char *a, const char *b);
int word(char **text, const char *want);
uint64_t number(char **text);
/* Is it told, by "cpl3", that it has no privilege, so that some of what it reads is the host's? */
int told_cpl3(const char *cmdline);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
