/* SPDX-License-Identifier: ISC */
/*
 * image_file.c: the file of an image: opened, its ELF header and program headers
 * read and checked. Reads by itself, since libelf is no judge of a hostile file.
 */
#include "core/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/error.h"

const char *uk_image_name(const char *path)
{
    size_t n = strlen(path);

    return n > 100 ? path + n - 100 : path;
}

void uk_image_note(struct uk_image *image, const char *fmt, ...)
{
    size_t n = strlen(image->notes), room = sizeof(image->notes) - n;
    va_list ap;
    int len;

    if (room < 3)
        return;
    if (n > 0)
        image->notes[n++] = '\n', room--;
    va_start(ap, fmt);
    len = vsnprintf(image->notes + n, room, fmt, ap);
    va_end(ap);
    for (char *p = image->notes + n; len > 0 && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* Why open() failed, in the words of an image. */
static int open_error(const char *path, struct ukvm_error *err)
{
    const char *name = uk_image_name(path);

    if (errno == ENOENT || errno == ENOTDIR)
        return uk_error(err, UKVM_ENOENT, "%s: no such file; check the path", name);
    if (errno == EACCES)
        return uk_error(err, UKVM_EIMAGE, "%s: Permission denied; chmod +r it, or ask its owner",
                        name);
    return uk_error_sys(err, "check the path", "%s", name);
}

int uk_image_open_fd(const char *path, int *fd, uint64_t *size, struct ukvm_error *err)
{
    const char *name = uk_image_name(path);
    struct stat st;

    /* A FIFO must not make us wait for its writer. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return open_error(path, err);
    if (fstat(*fd, &st) < 0)
        return uk_error_sys(err, NULL, "%s", name);
    if (S_ISDIR(st.st_mode))
        return uk_error(err, UKVM_EIMAGE, "%s: is a directory; give a file in it", name);
    if (!S_ISREG(st.st_mode))
        return uk_error(err, UKVM_EIMAGE, "%s: not a regular file; give an ELF file", name);
    if (st.st_size == 0)
        return uk_error(err, UKVM_EIMAGE, "%s: empty file; " UK_IMAGE_AGAIN, name);
    *size = (uint64_t)st.st_size;
    return UKVM_OK;
}

int uk_image_read(const struct uk_image *image, void *buf, size_t len, uint64_t off,
                  struct ukvm_error *err)
{
    const char *name = uk_image_name(image->path);
    ssize_t n;

    for (size_t done = 0; done < len; done += (size_t)n) {
        n = pread(image->file->fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            n = 0;
        else if (n < 0)
            return uk_error_sys(err, UK_IMAGE_AGAIN, "%s: at 0x%jx", name, (uintmax_t)off + done);
        else if (n == 0)
            return uk_error(err, UKVM_EIMAGE, "%s: ends at 0x%jx, too early; " UK_IMAGE_AGAIN, name,
                            (uintmax_t)off + done);
    }
    return UKVM_OK;
}

/* The 16 bytes that every ELF file begins with. */
static int check_ident(const struct uk_image *image, const uint8_t *id, struct ukvm_error *err)
{
    const char *name = uk_image_name(image->path);

    if (memcmp(id, ELFMAG, SELFMAG) != 0)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: not an ELF file: begins with %02x %02x %02x %02x; "
                        "give a unikernel image",
                        name, id[0], id[1], id[2], id[3]);
    if (image->file->size < sizeof(Elf64_Ehdr))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: ELF header cut off: the file has %ju bytes; " UK_IMAGE_AGAIN, name,
                        (uintmax_t)image->file->size);
    if (id[EI_CLASS] != ELFCLASS64)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: ELF class %u%s: only 64-bit images run; "
                        "build it for a 64-bit target",
                        name, id[EI_CLASS], id[EI_CLASS] == ELFCLASS32 ? " (32-bit)" : "");
    if (id[EI_DATA] != ELFDATA2LSB)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: ELF data encoding %u%s: only little-endian images "
                        "run; build it for x86_64",
                        name, id[EI_DATA], id[EI_DATA] == ELFDATA2MSB ? " (big-endian)" : "");
    return UKVM_OK;
}

/* Every ELF type but ET_EXEC, with the way out. */
static int refuse_type(const char *name, unsigned type, struct ukvm_error *err)
{
    static const struct {
        unsigned type;
        const char *what, *next;
    } types[] = {
        {ET_REL, "a relocatable object", "link it first"},
        {ET_DYN, "a shared object or PIE", "link it with -static -no-pie"},
        {ET_CORE, "a core file", "give the image that it was made from"},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == type)
            return uk_error(err, UKVM_EIMAGE, "%s: %s (ELF type %u): not an executable; %s", name,
                            types[i].what, type, types[i].next);
    return uk_error(err, UKVM_EIMAGE, "%s: ELF type %u: not an executable; " UK_IMAGE_AGAIN, name,
                    type);
}

static int refuse_machine(const char *name, unsigned machine, struct ukvm_error *err)
{
    if (machine == EM_AARCH64)
        return uk_error(err, UKVM_EIMAGE, "%s: aarch64 image: not supported yet; x86_64 images are",
                        name);
    return uk_error(err, UKVM_EIMAGE, "%s: ELF machine %u: not supported; x86_64 images (%u) are",
                    name, machine, EM_X86_64);
}

/* The ELF header after its identification. */
static int check_header(const struct uk_image *image, const Elf64_Ehdr *eh, struct ukvm_error *err)
{
    const char *name = uk_image_name(image->path);

    if (eh->e_type != ET_EXEC)
        return refuse_type(name, eh->e_type, err);
    if (eh->e_machine != EM_X86_64)
        return refuse_machine(name, eh->e_machine, err);
    if (eh->e_phnum == 0)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: no program headers: nothing to load; link it as an "
                        "executable",
                        name);
    if (eh->e_phnum == PN_XNUM)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: %u or more program headers: too many; link it with "
                        "fewer",
                        name, PN_XNUM);
    if (eh->e_phentsize != sizeof(Elf64_Phdr))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: program headers of %u bytes, not %zu; " UK_IMAGE_AGAIN, name,
                        eh->e_phentsize, sizeof(Elf64_Phdr));
    if (!uk_within(eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr), image->file->size))
        return uk_error(
            err, UKVM_EIMAGE,
            "%s: program headers at 0x%jx lie beyond the file's end (0x%jx); " UK_IMAGE_AGAIN, name,
            (uintmax_t)eh->e_phoff, (uintmax_t)image->file->size);
    return UKVM_OK;
}

int uk_image_read_headers(struct uk_image *image, struct ukvm_error *err)
{
    struct uk_image_file *file = image->file;
    Elf64_Ehdr eh;
    size_t n = file->size < sizeof(eh) ? file->size : sizeof(eh);
    int rc;

    memset(&eh, 0, sizeof(eh));
    if ((rc = uk_image_read(image, &eh, n, 0, err)) || (rc = check_ident(image, eh.e_ident, err)) ||
        (rc = check_header(image, &eh, err)))
        return rc;
    image->e_machine = eh.e_machine;
    image->entry = eh.e_entry;
    file->nph = eh.e_phnum;
    file->ph = calloc(file->nph, sizeof(*file->ph));
    if (!file->ph)
        return uk_error(err, UKVM_ENOMEM, "%s: no memory for %zu program headers",
                        uk_image_name(image->path), file->nph);
    return uk_image_read(image, file->ph, file->nph * sizeof(*file->ph), eh.e_phoff, err);
}
