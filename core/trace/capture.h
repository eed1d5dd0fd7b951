/* SPDX-License-Identifier: ISC */
/*
 * capture.h: pcapng's blocks, for their test. Pure.
 */
#ifndef UKVM_CAPTURE_H
#define UKVM_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uk_captured {
    const void *data;
    size_t len;
    uint64_t wall_ns; /* since 1970 */
    uint64_t seq;     /* of the hypercall */
    const char *call; /* its name */
    bool out;         /* from the guest */
};

#define UK_CAPTURE_SNAPLEN   262144 /* bytes kept of a frame, libpcap's maximum */
#define UK_CAPTURE_FRAME_MAX (UK_CAPTURE_SNAPLEN + 160)
#define UK_CAPTURE_HEAD_MAX  256

/* Write the section's and the interface's blocks into (buf); how many bytes. */
size_t uk_capture_header(uint8_t *buf, const char *name, const uint8_t mac[6]);
/* Write a frame's block into (buf); how many bytes. */
size_t uk_capture_frame(uint8_t *buf, const struct uk_captured *f);
/* How many of (n) bytes at (buf) are whole blocks. */
size_t uk_capture_whole(const uint8_t *buf, size_t n);

#endif /* UKVM_CAPTURE_H */
