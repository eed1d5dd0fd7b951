/* SPDX-License-Identifier: ISC */
/*
 * image.h: a unikernel file: read and checked, loaded into guest memory, and its
 * symbols. Knows ELF and the ABI families' marks; knows nothing of machines.
 */
#ifndef UKVM_IMAGE_H
#define UKVM_IMAGE_H

#include "core/ukvm_debug.h"

#define UKVM_MAX_SEGMENTS 16

struct uk_image {
    char *path;
    uint16_t e_machine;
    enum ukvm_abi abi;
    ukvm_gva_t entry;
    ukvm_gpa_t kernel_end; /* highest segment end, rounded up to that segment's alignment */
    struct ukvm_segment seg[UKVM_MAX_SEGMENTS];
    size_t nseg;
    char build_id[41];     /* lower-case hex, "" if there is none */
    char *symbols_path;    /* the file that debug information comes from */
    char notes[512];       /* oddities worth a line each: "segment 1 is writable and executable" */
    struct ukvm_sym *syms; /* sorted by address */
    size_t nsyms;
    struct uk_image_file *file; /* the open file, for loading */
};

/*
 * Open and check (path) for guest memory of any size. (symbols): a file with debug
 * information, or NULL: .gnu_debuglink and build-id are followed. (abi) overrides
 * what the content tells. UKVM_ENOENT: no such file. UKVM_EIMAGE: not loadable.
 */
int uk_image_open(struct uk_image **image, const char *path, const char *symbols, enum ukvm_abi abi,
                  struct ukvm_error *err);
/* Copy the segments into (mem), all zero so far; UKVM_EIMAGE if one does not fit. */
int uk_image_load(struct uk_image *image, uint8_t *mem, size_t mem_size, ukvm_gpa_t low_end,
                  struct ukvm_error *err);
void uk_image_close(struct uk_image *image);

#endif /* UKVM_IMAGE_H */
