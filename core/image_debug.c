/* SPDX-License-Identifier: ISC */
/*
 * image_debug.c: where an image's symbols and debug information are: in itself, in
 * the file that the user names, or in one that its build-id or debug link leads to.
 */
#include "core/image_file.h"

#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/error.h"

/* An ELF file that may have symbols. */
struct source {
    const char *path;
    int fd;
    Elf *elf;
    char id[2 * UKVM_BUILD_ID_MAX + 1];
    bool debug, symtab;
};

/* The section (name), found by libelf; NULL if there is none. */
static Elf_Scn *find_section(Elf *elf, const char *name, GElf_Shdr *sh)
{
    size_t strings;

    if (elf_getshdrstrndx(elf, &strings) < 0)
        return NULL;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        const char *s = gelf_getshdr(scn, sh) ? elf_strptr(elf, strings, sh->sh_name) : NULL;

        if (s && strcmp(s, name) == 0)
            return scn;
    }
    return NULL;
}

static bool has_content(Elf *elf, const char *name)
{
    GElf_Shdr sh;

    return find_section(elf, name, &sh) && sh.sh_type != SHT_NOBITS && sh.sh_size > 0;
}

/* The first build-id among the notes in (buf), as hex. */
static bool find_id(const uint8_t *buf, size_t len, char *id)
{
    struct uk_note note;
    size_t off = 0;

    while (uk_note_next(buf, len, &off, &note)) {
        if (note.type != NT_GNU_BUILD_ID || note.owner_size != sizeof(ELF_NOTE_GNU) ||
            memcmp(note.owner, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) != 0)
            continue;
        for (size_t i = 0; i < note.desc_size && i < UKVM_BUILD_ID_MAX; i++)
            snprintf(id + 2 * i, 3, "%02x", note.desc[i]);
        return true;
    }
    return false;
}

/* By note sections, else, in a file without sections, by note segments. */
static void read_id(struct source *s)
{
    GElf_Shdr sh;
    GElf_Phdr ph;
    Elf_Data *data;
    size_t n = 0;

    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(s->elf, scn));) {
        if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_NOTE)
            continue;
        data = elf_rawdata(scn, NULL);
        if (data && data->d_buf && find_id(data->d_buf, data->d_size, s->id))
            return;
    }
    elf_getphdrnum(s->elf, &n);
    for (size_t i = 0; i < n; i++) {
        if (!gelf_getphdr(s->elf, (int)i, &ph) || ph.p_type != PT_NOTE)
            continue;
        data = elf_getdata_rawchunk(s->elf, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_BYTE);
        if (data && data->d_buf && find_id(data->d_buf, data->d_size, s->id))
            return;
    }
}

static void close_source(struct source *s)
{
    elf_end(s->elf);
    if (s->fd >= 0)
        close(s->fd);
    s->elf = NULL;
    s->fd = -1;
}

/* What libelf knows of the file behind s->fd. False if it is none for this image. */
static bool read_source(struct source *s, const struct uk_image *image)
{
    GElf_Ehdr eh;
    GElf_Shdr sh;

    elf_version(EV_CURRENT);
    s->elf = elf_begin(s->fd, ELF_C_READ, NULL);
    if (!s->elf || elf_kind(s->elf) != ELF_K_ELF || gelf_getclass(s->elf) != ELFCLASS64 ||
        !gelf_getehdr(s->elf, &eh) || eh.e_machine != image->e_machine)
        return false;
    read_id(s);
    s->debug = has_content(s->elf, ".debug_line") || has_content(s->elf, ".zdebug_line");
    s->symtab = find_section(s->elf, ".symtab", &sh) && sh.sh_type == SHT_SYMTAB;
    return true;
}

/* Take symbols from (s), which then also is where debug information is looked for. */
static int use(struct uk_image *image, const struct source *s, struct ukvm_error *err)
{
    int rc = UKVM_OK;

    if (s->symtab || image->symbols.n == 0)
        rc = uk_symbols_read(&image->symbols, s->elf, image, err);
    if (rc || (!s->debug && image->symbols.n == 0))
        return rc;
    free(image->symbols_path);
    image->symbols_path = strdup(s->path);
    return image->symbols_path
               ? UKVM_OK
               : uk_error(err, UKVM_ENOMEM, "%s: no memory", uk_image_name(s->path));
}

/* (err), of the named file that cannot be opened, with the option before it. */
static int of_option(int rc, struct ukvm_error *err)
{
    char msg[sizeof(err->msg)];

    if (err) {
        snprintf(msg, sizeof(msg), "--symbols=%.*s", (int)sizeof(msg) - 11, err->msg);
        strcpy(err->msg, msg);
    }
    return rc == UKVM_EIMAGE || rc == UKVM_ENOENT ? UKVM_EFILE : rc;
}

/* The file that the user named: it must fit. */
static int use_named(struct uk_image *image, const char *path, struct ukvm_error *err)
{
    const char *name = uk_image_name(path);
    struct source s = {.path = path, .fd = -1};
    uint64_t size;
    int rc = uk_image_open_fd(path, &s.fd, &size, err);

    if (rc)
        rc = of_option(rc, err);
    else if (!read_source(&s, image))
        rc = uk_error(err, UKVM_EFILE,
                      "--symbols=%s: not an ELF file for x86_64; give the image before it was "
                      "stripped, or its .debug file",
                      name);
    else if (image->build_id[0] && s.id[0] && strcmp(image->build_id, s.id) != 0)
        rc = uk_error(err, UKVM_EFILE,
                      "--symbols=%.60s: build-id %s is not the image's %s; give the file of the "
                      "same build",
                      name, s.id, image->build_id);
    else if (!s.debug && !s.symtab)
        rc = uk_error(err, UKVM_EFILE,
                      "--symbols=%s: has neither symbols nor debug information; give the image "
                      "before it was stripped, or its .debug file",
                      name);
    else if (!(rc = use(image, &s, err)) && image->build_id[0] && !s.id[0])
        uk_image_note(image, "%s has no build-id: it may be of another build", name);
    if (err && rc == UKVM_EFILE)
        err->code = UKVM_EFILE;
    close_source(&s);
    return rc;
}

/* The checksum of a debug link: CRC-32 as in IEEE 802.3. */
static uint32_t crc32_add(uint32_t crc, const uint32_t table[16], const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (; n > 0; n--, p++) {
        crc ^= *p;
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

static bool file_crc(int fd, uint32_t *crc)
{
    uint32_t table[16];
    uint8_t buf[0x4000];
    off_t off = 0;
    ssize_t n;

    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i;
        for (int bit = 0; bit < 4; bit++)
            table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    *crc = 0;
    while ((n = pread(fd, buf, sizeof(buf), off)) > 0) {
        *crc = crc32_add(*crc, table, buf, (size_t)n);
        off += n;
    }
    return n == 0;
}

/* .gnu_debuglink: a file name without a folder, padded to 4 bytes, then its checksum. */
static bool read_link(Elf *elf, char *name, size_t size, uint32_t *crc)
{
    GElf_Shdr sh;
    Elf_Data *data = elf_rawdata(find_section(elf, ".gnu_debuglink", &sh), NULL);
    size_t len;

    if (!data || !data->d_buf)
        return false;
    len = strnlen(data->d_buf, data->d_size);
    if (len == 0 || len >= size || (len + 4) / 4 * 4 + sizeof(*crc) > data->d_size)
        return false;
    memcpy(name, data->d_buf, len + 1);
    memcpy(crc, (const char *)data->d_buf + (len + 4) / 4 * 4, sizeof(*crc));
    return !strchr(name, '/');
}

static bool same_file(int a, int b)
{
    struct stat sa, sb;

    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

/*
 * Use (path) if it is there and of the same build: by build-id if both have one,
 * else by (*crc). True if it was used; what does not fit is noted and passed over.
 */
static bool try_found(struct uk_image *image, const char *path, const uint32_t *crc)
{
    struct source s = {.path = path, .fd = -1};
    const char *name = uk_image_name(path);
    uint64_t size;
    uint32_t sum;
    bool used = false;

    if (uk_image_open_fd(path, &s.fd, &size, NULL) == UKVM_OK &&
        !same_file(s.fd, image->file->fd) && read_source(&s, image)) {
        if (image->build_id[0] && s.id[0] && strcmp(image->build_id, s.id) != 0)
            uk_image_note(image,
                          "%.100s: passed over: its build-id %.16s.. is not the image's "
                          "%.16s..",
                          name, s.id, image->build_id);
        else if (crc && (!file_crc(s.fd, &sum) || sum != *crc))
            uk_image_note(image, "%.100s: passed over: its checksum is not the debug link's %08x",
                          name, *crc);
        else
            used = (s.debug || s.symtab) && use(image, &s, NULL) == UKVM_OK;
    }
    close_source(&s);
    return used;
}

/* ROOT/.build-id/xx/yyyy.debug */
static bool try_build_id(struct uk_image *image, const char *root)
{
    char *path = NULL;
    bool used = false;

    if (strlen(image->build_id) < 4)
        return false;
    if (asprintf(&path, "%s/.build-id/%.2s/%s.debug", root, image->build_id, image->build_id + 2) >=
        0) {
        used = try_found(image, path, NULL);
        free(path);
    }
    return used;
}

/* Beside the image, in .debug/ there, and below (root) at the image's folder. */
static bool try_link(struct uk_image *image, Elf *elf, const char *root)
{
    char name[256], *folder = realpath(image->path, NULL), *path = NULL;
    const char *slash = folder ? strrchr(folder, '/') : NULL;
    uint32_t crc = 0;
    bool used = false;

    if (slash && read_link(elf, name, sizeof(name), &crc)) {
        int len = (int)(slash - folder);
        const struct {
            const char *root, *sub;
        } places[] = {{"", ""}, {"", "/.debug"}, {root, ""}};

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !used; i++) {
            if (asprintf(&path, "%s%.*s%s/%s", places[i].root, len, folder, places[i].sub, name) <
                0)
                break;
            used = try_found(image, path, &crc);
            free(path);
        }
    }
    free(folder);
    return used;
}

int uk_image_find_symbols(struct uk_image *image, const char *symbols, const char *root,
                          struct ukvm_error *err)
{
    struct source own = {.path = image->path, .fd = image->file->fd};
    bool known = read_source(&own, image);
    int rc = UKVM_OK;

    if (known) {
        memcpy(image->build_id, own.id, sizeof(own.id));
        rc = use(image, &own, err);
    }
    if (rc == UKVM_OK && symbols)
        rc = use_named(image, symbols, err);
    else if (rc == UKVM_OK && known && !own.debug && !try_build_id(image, root))
        try_link(image, own.elf, root);
    elf_end(own.elf);
    return rc;
}
