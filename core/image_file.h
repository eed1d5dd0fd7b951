/* SPDX-License-Identifier: ISC */
/*
 * image_file.h: what the parts of the image loader share. For core/image*.c only.
 */
#ifndef UKVM_IMAGE_FILE_H
#define UKVM_IMAGE_FILE_H

#include <elf.h>
#include <libelf.h>

#include "core/image.h"

struct uk_image_file {
    int fd;
    uint64_t size;  /* bytes, when it was opened */
    Elf64_Phdr *ph; /* all program headers */
    size_t nph;
    struct {
        uint64_t off;         /* where it is in the file */
        uint64_t align;       /* a power of two */
    } seg[UKVM_MAX_SEGMENTS]; /* of each image->seg */
};

/* One ELF note, within a buffer. */
struct uk_note {
    const char *owner;
    size_t owner_size; /* its NUL included */
    uint32_t type;
    const uint8_t *desc;
    size_t desc_size;
};

/* What to try with a damaged file. */
#define UK_IMAGE_AGAIN "build or copy it again"

/* How messages name the file: its path, of a very long one the end. */
const char *uk_image_name(const char *path);
/* One more line of image->notes, as far as it fits. */
void uk_image_note(struct uk_image *image, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A regular file's descriptor or UKVM_ENOENT, UKVM_EIMAGE, UKVM_ESYS. */
int uk_image_open_fd(const char *path, int *fd, uint64_t *size, struct ukvm_error *err);
/* Exactly (len) bytes at (off). */
int uk_image_read(const struct uk_image *image, void *buf, size_t len, uint64_t off,
                  struct ukvm_error *err);
/* Check the ELF header and read it and the program headers into (image). */
int uk_image_read_headers(struct uk_image *image, struct ukvm_error *err);

/* The note at (*off), which is moved to the next one. False at the end or at damage. */
bool uk_note_next(const uint8_t *buf, size_t len, size_t *off, struct uk_note *note);
/* Refuse what has Solo5's ABI note: it is for another monitor. */
int uk_image_check_notes(struct uk_image *image, struct ukvm_error *err);
/* Find the ABI family by content, unless (abi) says it. */
int uk_image_find_abi(struct uk_image *image, enum ukvm_abi abi, struct ukvm_error *err);

/* Build-id, symbols and debug information, (symbols) or what is found below (root) and beside. */
int uk_image_find_symbols(struct uk_image *image, const char *symbols, const char *root,
                          struct ukvm_error *err);

/* Replace (s) by the symbols of (elf), none if it has no table. */
int uk_symbols_read(struct uk_symbols *s, Elf *elf, const struct uk_image *image,
                    struct ukvm_error *err);
void uk_symbols_free(struct uk_symbols *s);

#endif /* UKVM_IMAGE_FILE_H */
