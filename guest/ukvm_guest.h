/* SPDX-License-Identifier: ISC */
/*
 * What a guest and its monitor agree on: hypercall numbers, their argument structures, boot
 * information and the trap frame, for the two ukvm families without ELF notes: B (between Solo5
 * v0.2.2 and v0.3.0) and C (Solo5 v0.3.0 to v0.4.1, include/ukvm/guest.h there).
 * Needs nothing but <stddef.h> and <stdint.h>; included by both sides.
 *
 * A guest defines UKVM_GUEST, and its pointers are pointers. On the monitor's side the same
 * fields are guest physical addresses, integers that nobody can dereference by mistake.
 * All values are little-endian; addresses are 1:1, so physical and virtual ones are equal.
 */
#ifndef UKVM_GUEST_H
#define UKVM_GUEST_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t ukvm_gpa_t; /* guest physical address */

#ifdef UKVM_GUEST
#define UKVM_GUEST_PTR(T) T
#else
#define UKVM_GUEST_PTR(T) ukvm_gpa_t
#endif

/* --- hypercalls --------------------------------------------------------- */

enum ukvm_hypercall {
    UKVM_HYPERCALL_RESERVED = 0,
    UKVM_HYPERCALL_WALLTIME = 1,
    UKVM_HYPERCALL_PUTS = 2,
    UKVM_HYPERCALL_POLL = 3,
    UKVM_HYPERCALL_BLKINFO = 4,
    UKVM_HYPERCALL_BLKWRITE = 5,
    UKVM_HYPERCALL_BLKREAD = 6,
    UKVM_HYPERCALL_NETINFO = 7,
    UKVM_HYPERCALL_NETWRITE = 8,
    UKVM_HYPERCALL_NETREAD = 9,
    UKVM_HYPERCALL_HALT = 10, /* family C; a guest of B ends with the HLT instruction */
};

#define UKVM_HYPERCALLS_B 10 /* how many numbers family B has, 0 included */
#define UKVM_HYPERCALLS_C 11

/* x86_64: a 32-bit OUT to this port plus the number. aarch64: a 32-bit store at this address. */
#define UKVM_X86_PORT_BASE     0x500
#define UKVM_AARCH64_MMIO_BASE 0x100000000ULL
#define UKVM_AARCH64_MMIO_STEP 8

#define UKVM_STATUS_ABORT 255 /* HALT's exit_status of a guest that gave up */
#define UKVM_COOKIE_SIZE  512 /* so many bytes at a HALT's cookie must be guest memory */

/* WALLTIME: nanoseconds since 1970-01-01 00:00 UTC. */
struct ukvm_walltime {
    uint64_t nsecs; /* out */
};

/* PUTS: writes (len) bytes to the console. */
struct ukvm_puts {
    UKVM_GUEST_PTR(const char *) data; /* in */
    uint64_t len;                      /* in */
};

/* POLL: waits until a frame can be read, at most (timeout_nsecs); with no device it sleeps. */
struct ukvm_poll {
    uint64_t timeout_nsecs; /* in, relative */
    int32_t ret;            /* out: number of ready devices */
};

/* BLKINFO */
struct ukvm_blkinfo {
    uint64_t sector_size; /* out: bytes */
    uint64_t num_sectors; /* out */
    int32_t rw;           /* out: 1 if it may be written */
};

/* BLKWRITE: (len) bytes from (sector) on; all or nothing. */
struct ukvm_blkwrite {
    uint64_t sector;                   /* in */
    UKVM_GUEST_PTR(const void *) data; /* in */
    uint64_t len;                      /* in: bytes */
    int32_t ret;                       /* out: 0, or -1 and nothing was written */
};

/* BLKREAD */
struct ukvm_blkread {
    uint64_t sector;             /* in */
    UKVM_GUEST_PTR(void *) data; /* in */
    uint64_t len;                /* in, out: bytes */
    int32_t ret;                 /* out: 0, or -1 and nothing was read */
};

/* NETINFO, family C */
struct ukvm_netinfo {
    uint8_t mac[6]; /* out */
};

/* NETINFO, family B: "xx:xx:xx:xx:xx:xx" and a NUL */
struct ukvm_netinfo_b {
    char mac_str[18]; /* out */
};

/* NETWRITE: sends one Ethernet frame. */
struct ukvm_netwrite {
    UKVM_GUEST_PTR(const void *) data; /* in */
    uint64_t len;                      /* in: bytes */
    int32_t ret;                       /* out: 0 if sent */
};

/* NETREAD: receives one Ethernet frame, without waiting. */
struct ukvm_netread {
    UKVM_GUEST_PTR(void *) data; /* in */
    uint64_t len;                /* in: room, out: bytes received */
    int32_t ret;                 /* out: 0, or -1: there is none */
};

/* HALT: the end; never returns. */
struct ukvm_halt {
    UKVM_GUEST_PTR(const void *) cookie; /* in: a trap frame, or 0 */
    int32_t exit_status;                 /* in */
};

/* --- start and end ------------------------------------------------------ */

/* What the entry point's first argument (RDI, X0) points to. */
struct ukvm_boot_info {
    uint64_t mem_size;                    /* bytes of guest memory, which begins at 0 */
    uint64_t kernel_end;                  /* end of the image's last segment */
    UKVM_GUEST_PTR(const char *) cmdline; /* NUL-terminated, at most UKVM_CMDLINE_MAX characters */
    uint64_t cycle_freq;                  /* Hz of the cycle counter (TSC, CNTVCT_EL0) */
};

#define UKVM_CMDLINE_MAX 8191

/* x86_64: what the cookie of a HALT after an exception points to. */
struct ukvm_trap_frame {
    uint64_t cr2; /* of a page fault, else 0 */
    uint64_t ec;  /* error code, 0 for vectors that have none */
    uint64_t rip;
    uint64_t cs;
    uint64_t rflags;
    uint64_t rsp;
    uint64_t ss;
};

/* --- the layout, checked on both sides ---------------------------------- */

#define UKVM_ABI_SIZE(s, n)      _Static_assert(sizeof(struct s) == (n), "size of " #s)
#define UKVM_ABI_OFFSET(s, f, n) _Static_assert(offsetof(struct s, f) == (n), #s "." #f)

UKVM_ABI_SIZE(ukvm_walltime, 8);
UKVM_ABI_SIZE(ukvm_puts, 16);
UKVM_ABI_OFFSET(ukvm_puts, len, 8);
UKVM_ABI_SIZE(ukvm_poll, 16);
UKVM_ABI_OFFSET(ukvm_poll, ret, 8);
UKVM_ABI_SIZE(ukvm_blkinfo, 24);
UKVM_ABI_OFFSET(ukvm_blkinfo, num_sectors, 8);
UKVM_ABI_OFFSET(ukvm_blkinfo, rw, 16);
UKVM_ABI_SIZE(ukvm_blkwrite, 32);
UKVM_ABI_OFFSET(ukvm_blkwrite, data, 8);
UKVM_ABI_OFFSET(ukvm_blkwrite, len, 16);
UKVM_ABI_OFFSET(ukvm_blkwrite, ret, 24);
UKVM_ABI_SIZE(ukvm_blkread, 32);
UKVM_ABI_OFFSET(ukvm_blkread, data, 8);
UKVM_ABI_OFFSET(ukvm_blkread, len, 16);
UKVM_ABI_OFFSET(ukvm_blkread, ret, 24);
UKVM_ABI_SIZE(ukvm_netinfo, 6);
UKVM_ABI_SIZE(ukvm_netinfo_b, 18);
UKVM_ABI_SIZE(ukvm_netwrite, 24);
UKVM_ABI_OFFSET(ukvm_netwrite, len, 8);
UKVM_ABI_OFFSET(ukvm_netwrite, ret, 16);
UKVM_ABI_SIZE(ukvm_netread, 24);
UKVM_ABI_OFFSET(ukvm_netread, len, 8);
UKVM_ABI_OFFSET(ukvm_netread, ret, 16);
UKVM_ABI_SIZE(ukvm_halt, 16);
UKVM_ABI_OFFSET(ukvm_halt, exit_status, 8);
UKVM_ABI_SIZE(ukvm_boot_info, 32);
UKVM_ABI_OFFSET(ukvm_boot_info, kernel_end, 8);
UKVM_ABI_OFFSET(ukvm_boot_info, cmdline, 16);
UKVM_ABI_OFFSET(ukvm_boot_info, cycle_freq, 24);
UKVM_ABI_SIZE(ukvm_trap_frame, 56);
UKVM_ABI_OFFSET(ukvm_trap_frame, rip, 16);
UKVM_ABI_OFFSET(ukvm_trap_frame, ss, 48);

/* --- the guest's side --------------------------------------------------- */

#ifdef UKVM_GUEST

/* Asks the monitor for (nr); (arg), below 4 GiB, is that call's structure. */
static inline void ukvm_do_hypercall(enum ukvm_hypercall nr, volatile void *arg)
{
#if defined(__x86_64__)
    __asm__ __volatile__("outl %0, %w1"
                         :
                         : "a"((uint32_t)(uintptr_t)arg), "d"(UKVM_X86_PORT_BASE + (uint32_t)nr)
                         : "memory");
#elif defined(__aarch64__)
    uintptr_t at = UKVM_AARCH64_MMIO_BASE + UKVM_AARCH64_MMIO_STEP * (uintptr_t)nr;
    __asm__ __volatile__("str %w0, [%1]" : : "r"((uint32_t)(uintptr_t)arg), "r"(at) : "memory");
#else
#error "ukvm_do_hypercall: no such architecture"
#endif
}

#endif /* UKVM_GUEST */

#endif
