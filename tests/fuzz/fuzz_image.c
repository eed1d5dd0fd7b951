/* SPDX-License-Identifier: ISC */
/*
 * fuzz_image.c: libFuzzer's entry for the image loader: any bytes are opened as an
 * image, loaded, and their symbols looked at. `fuzz_image --seeds DIR`, which is
 * not libFuzzer's, writes sound images to begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/debug/symtab.h"
#include "core/image.h"
#include "tests/support/elfimage.h"

#define MEM_SIZE ((size_t)4 << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_seeds(const char *dir)
{
    struct elfimage im;
    char path[512];

    for (size_t i = 0; elfimage_seed(&im, i); i++) {
        snprintf(path, sizeof(path), "%s/seed-%zu", dir, i);
        elfimage_write(&im, path);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0) {
        write_seeds((*argv)[2]);
        exit(0);
    }
    return 0;
}

static void use(struct uk_image *image, uint8_t *mem)
{
    const char *near[UK_SYMTAB_NEAREST_MAX];
    char buf[64];

    uk_image_load(image, mem, MEM_SIZE, 0x10000, NULL);
    for (size_t i = 0; i < image->symbols.n; i++) {
        const struct ukvm_sym *s = &image->symbols.sym[i];

        if (!uk_symbols_by_name(&image->symbols, s->name))
            abort();
        uk_symtab_format(&image->symbols, s->addr + s->size / 2, buf, sizeof(buf));
    }
    uk_symtab_nearest(&image->symbols, "main", near, UK_SYMTAB_NEAREST_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *mem;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct uk_image *image;
    char path[32];

    if (!mem)
        mem = calloc(1, MEM_SIZE);
    if (!mem || fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (uk_image_open_at(&image, path, NULL, UKVM_ABI_AUTO, "/nonexistent", NULL) == UKVM_OK) {
        use(image, mem);
        uk_image_close(image);
    }
    close(fd);
    return 0;
}
