/* SPDX-License-Identifier: ISC */
/*
 * The guest library: what a unikernel calls. It is all there is: no libc, no interrupts, no
 * threads. docs/write-your-own.md shows how to use it. Must not depend on the monitor.
 *
 * Nothing here reads a clock unless asked to: until the first ukvm_clock_* or ukvm_sleep call
 * a unikernel does the same in every run.
 */
#ifndef UKVM_GUEST_LIB_H
#define UKVM_GUEST_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A unikernel defines int main(int argc, char **argv), or int main(void). argv[0] is
 * "unikernel"; returning N is ukvm_exit(N).
 */

/* --- console ------------------------------------------------------------ */

void ukvm_write(const void *data, size_t len);
void ukvm_puts(const char *s); /* adds no newline */

/* %d %i %u %x %X %p %c %s %%, with - 0 # + space, a width, .precision for %s, and h hh l ll z. */
int ukvm_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ukvm_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* --- the end ------------------------------------------------------------ */

/* Ends the machine; the monitor's status is the low 8 bits (family B: always 0). */
_Noreturn void ukvm_exit(int status);

/* Prints "ABORT: " and the message and ends the machine with status 255. */
_Noreturn void ukvm_abort(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- time, in nanoseconds ----------------------------------------------- */

uint64_t ukvm_clock_monotonic(void);
uint64_t ukvm_clock_wall(void); /* since 1970 */

/* Waits until a frame can be read or the time is over; true if there is a frame. */
bool ukvm_poll(uint64_t timeout_nsecs);
void ukvm_sleep(uint64_t nsecs); /* however many frames arrive */

/* --- memory ------------------------------------------------------------- */

void *ukvm_alloc(size_t size); /* 16-byte aligned, not cleared; NULL if there is no room */
void ukvm_free(void *p);
void ukvm_heap_check(void); /* aborts if a block's header was overwritten */

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

/* Reads a decimal number up to (*end); false if there is none or it is over 2^64 - 1. */
bool ukvm_parse_u64(const char *s, const char **end, uint64_t *value);

/* --- disk --------------------------------------------------------------- */

struct ukvm_disk {
    uint64_t sectors;
    uint64_t sector_size; /* bytes */
    bool rw;
};

void ukvm_blk_info(struct ukvm_disk *disk);
int ukvm_blk_read(uint64_t sector, void *data, size_t len); /* 0, or -1: outside the disk */
int ukvm_blk_write(uint64_t sector, const void *data, size_t len);

/* --- network: Ethernet frames ------------------------------------------- */

#define UKVM_FRAME_MAX 1514 /* bytes, without checksum */

void ukvm_net_mac(uint8_t mac[6]);
int ukvm_net_read(void *frame, size_t size); /* bytes, or -1: there is no frame */
int ukvm_net_write(const void *frame, size_t len);

#endif
