/* SPDX-License-Identifier: ISC */
/*
 * image.h: a unikernel file: read and checked, loaded into guest memory, and its
 * symbols. Knows ELF and the ABI families' marks; knows nothing of machines.
 */
#ifndef UKVM_IMAGE_H
#define UKVM_IMAGE_H

#include "core/ukvm_debug.h"

#define UKVM_MEM_UNIT ((size_t)2 << 20) /* guest memory is a multiple of it */
#define UKVM_MEM_MAX  ((size_t)1 << 30)

#define UKVM_MAX_SEGMENTS 16
#define UKVM_BUILD_ID_MAX 32 /* bytes; a longer id is cut */

/* Where separate debug information is installed. */
#define UKVM_DEBUG_ROOT "/usr/lib/debug"

/*
 * Symbols sorted by address; of several at one address, the best name comes first.
 * A symbol without a size reaches to the next one or to the end of its section.
 */
struct uk_symbols {
    struct ukvm_sym *sym;
    size_t n;
    uint32_t *by_name; /* indices, sorted by name */
    uint32_t *outer;   /* of each: 1 + the next one at its address, else around it; 0: none */
    char *names;
};

struct uk_image {
    char *path;
    uint16_t e_machine;
    enum ukvm_abi abi; /* never UKVM_ABI_AUTO once open */
    ukvm_gva_t entry;
    ukvm_gpa_t kernel_end; /* highest segment end, each rounded up to its own alignment */
    struct ukvm_segment seg[UKVM_MAX_SEGMENTS];
    size_t nseg;
    char build_id[2 * UKVM_BUILD_ID_MAX + 1]; /* lower-case hex, "" if there is none */
    char *symbols_path;         /* has the debug information, else the symbols; NULL: neither */
    char notes[512];            /* oddities, a line each: "segment 1 is writable and executable" */
    struct uk_symbols symbols;  /* none if the image is stripped */
    struct uk_image_file *file; /* the open file, for loading */
};

/*
 * Open and check (path) for guest memory of any size. (symbols): a file with debug
 * information, or NULL: build-id and .gnu_debuglink are followed. (abi) overrides
 * what the content tells. UKVM_ENOENT: no such file. UKVM_EIMAGE: not loadable.
 * UKVM_EFILE: (symbols) does not belong to the image or has no symbols.
 */
int uk_image_open(struct uk_image **image, const char *path, const char *symbols, enum ukvm_abi abi,
                  struct ukvm_error *err);
/* The same with another place than UKVM_DEBUG_ROOT. */
int uk_image_open_at(struct uk_image **image, const char *path, const char *symbols,
                     enum ukvm_abi abi, const char *debug_root, struct ukvm_error *err);
/*
 * Copy the segments into (mem), all zero so far; UKVM_EIMAGE if one does not fit into
 * (mem_size) bytes or begins below (low_end), the end of the boot tables.
 */
int uk_image_load(struct uk_image *image, uint8_t *mem, size_t mem_size, ukvm_gpa_t low_end,
                  struct ukvm_error *err);
void uk_image_close(struct uk_image *image);

/* The symbol of that name, NULL if there is none; of several, a global one. */
const struct ukvm_sym *uk_symbols_by_name(const struct uk_symbols *s, const char *name);
/* The innermost symbol that contains (addr), NULL if none does. */
const struct ukvm_sym *uk_symbols_by_addr(const struct uk_symbols *s, ukvm_gva_t addr);

#endif /* UKVM_IMAGE_H */
