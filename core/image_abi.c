/* SPDX-License-Identifier: ISC */
/*
 * image_abi.c: for which monitor an image was built: Solo5's notes, and for images
 * without them, marks in the content that the families' guest libraries leave.
 */
#include "core/image_file.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/error.h"

/* Solo5 v0.6 and later: include/elf_abi.h. */
#define SOLO5_OWNER    "Solo5"
#define SOLO5_NOTE_ABI 0x31494241u
#define NOTES_MAX      0x10000u /* more than any of Solo5's notes */
#define CHUNK          0x10000u
#define MARK_MAX       64u

static size_t pad4(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

bool uk_note_next(const uint8_t *buf, size_t len, size_t *off, struct uk_note *note)
{
    Elf64_Nhdr h;
    size_t pos = *off;

    if (pos > len || len - pos < sizeof(h))
        return false;
    memcpy(&h, buf + pos, sizeof(h));
    pos += sizeof(h);
    if (h.n_namesz > len - pos || pad4(h.n_namesz) > len - pos)
        return false;
    note->owner = (const char *)buf + pos;
    note->owner_size = h.n_namesz;
    note->type = h.n_type;
    pos += pad4(h.n_namesz);
    if (h.n_descsz > len - pos)
        return false;
    note->desc = buf + pos;
    note->desc_size = h.n_descsz;
    pos += pad4(h.n_descsz);
    *off = pos;
    return true;
}

/* Which of Solo5's targets the note names (Solo5 v0.6, include/elf_abi.h), refused. */
static int refuse_solo5(const struct uk_image *image, const struct uk_note *note,
                        struct ukvm_error *err)
{
    static const char *const targets[] = {NULL, "hvt", "spt", "virtio", "muen", "genode", "xen"};
    const char *name = uk_image_name(image->path);
    uint32_t word[2]; /* target, version */

    if (note->desc_size < sizeof(word))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: Solo5 ABI note of %zu bytes: damaged; " UK_IMAGE_AGAIN, name,
                        note->desc_size);
    memcpy(word, note->desc, sizeof(word));
    if (word[0] == 0 || word[0] >= sizeof(targets) / sizeof(targets[0]))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: Solo5 image for unknown target %u (ABI version %u): not supported; "
                        "ukvm images (.ukvm) are",
                        name, word[0], word[1]);
    return uk_error(err, UKVM_EIMAGE,
                    "%s: Solo5 %s image (ABI version %u): not supported%s; "
                    "ukvm images (.ukvm) are",
                    name, targets[word[0]], word[1], word[0] == 1 ? " yet" : "");
}

static int check_note_segment(const struct uk_image *image, const uint8_t *buf, size_t len,
                              struct ukvm_error *err)
{
    struct uk_note note;
    size_t off = 0;

    while (uk_note_next(buf, len, &off, &note))
        if (note.type == SOLO5_NOTE_ABI && note.owner_size == sizeof(SOLO5_OWNER) &&
            memcmp(note.owner, SOLO5_OWNER, sizeof(SOLO5_OWNER)) == 0)
            return refuse_solo5(image, &note, err);
    return UKVM_OK;
}

int uk_image_check_notes(struct uk_image *image, struct ukvm_error *err)
{
    const struct uk_image_file *file = image->file;
    uint8_t *buf = malloc(NOTES_MAX);
    int rc = UKVM_OK;

    if (!buf)
        return uk_error(err, UKVM_ENOMEM, "%s: no memory", uk_image_name(image->path));
    for (size_t i = 0; i < file->nph && rc == UKVM_OK; i++) {
        const Elf64_Phdr *ph = &file->ph[i];
        size_t len = ph->p_filesz < NOTES_MAX ? ph->p_filesz : NOTES_MAX;

        if (ph->p_type != PT_NOTE)
            continue;
        if (!uk_within(ph->p_offset, ph->p_filesz, file->size))
            rc = uk_error(err, UKVM_EIMAGE,
                          "%s: notes at 0x%jx lie beyond the file's end (0x%jx); " UK_IMAGE_AGAIN,
                          uk_image_name(image->path), (uintmax_t)ph->p_offset,
                          (uintmax_t)file->size);
        else if (!(rc = uk_image_read(image, buf, len, ph->p_offset, err)))
            rc = check_note_segment(image, buf, len, err);
    }
    free(buf);
    return rc;
}

/*
 * What the families' guest libraries contain (Solo5 v0.2.2, d057836, v0.3.0: the
 * bindings' platform code): a hypercall's port is loaded by MOV EDX, imm32, and the
 * last words are the same in every guest of a family.
 */
enum { MARK_A = 1, MARK_NOT_A = 2, MARK_B = 4, MARK_C = 8 };
static const struct mark {
    const char *bytes;
    uint8_t len;
    bool code; /* counts in executable segments only */
    uint8_t means;
} marks[] = {
    {"\xba\x99\x04\0\0", 5, true, MARK_A},     /* port 0x499: A's PUTS */
    {"\xba\x01\x05\0\0", 5, true, MARK_NOT_A}, /* port 0x501: WALLTIME, not in A */
    {"\xba\x08\x05\0\0", 5, true, MARK_NOT_A}, /* port 0x508: NETWRITE, not in A */
    {"\xba\x0a\x05\0\0", 5, true, MARK_C},     /* port 0x50a: HALT */
    {"solo5_app_main() returned with %d", 33, false, MARK_B},
    {"ukvm_guest: family B", 20, false, MARK_B}, /* guest/x86_64/start.S */
    {"solo5_exit(%d)", 14, false, MARK_C},
};
static const struct {
    const char *symbol;
    uint8_t means;
} symbol_marks[] = {
    {"solo5_net_mac_str", MARK_B}, {"solo5_poll", MARK_B},  {"solo5_yield", MARK_C},
    {"solo5_net_info", MARK_C},    {"solo5_abort", MARK_C},
};

static unsigned marks_in(const uint8_t *buf, size_t len, bool code)
{
    unsigned found = 0;

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if ((code || !marks[i].code) && memmem(buf, len, marks[i].bytes, marks[i].len))
            found |= marks[i].means;
    return found;
}

/* The marks of segment (i), by pieces that overlap so that no mark is cut in two. */
static int scan_segment(const struct uk_image *image, size_t i, uint8_t *buf, unsigned *found,
                        struct ukvm_error *err)
{
    const struct ukvm_segment *s = &image->seg[i];
    size_t kept = 0, len;
    int rc;

    for (uint64_t done = 0; done < s->filesz; done += len) {
        size_t have;

        len = s->filesz - done < CHUNK ? s->filesz - done : CHUNK;
        rc = uk_image_read(image, buf + kept, len, image->file->seg[i].off + done, err);
        if (rc)
            return rc;
        have = kept + len;
        *found |= marks_in(buf, have, s->prot & PF_X);
        kept = have < MARK_MAX ? have : MARK_MAX;
        memmove(buf, buf + have - kept, kept);
    }
    return UKVM_OK;
}

static int scan_image(const struct uk_image *image, unsigned *found, struct ukvm_error *err)
{
    uint8_t *buf = malloc(CHUNK + MARK_MAX);
    int rc = UKVM_OK;

    if (!buf)
        return uk_error(err, UKVM_ENOMEM, "%s: no memory", uk_image_name(image->path));
    for (size_t i = 0; i < image->nseg && rc == UKVM_OK; i++)
        rc = scan_segment(image, i, buf, found, err);
    free(buf);
    for (size_t i = 0; i < sizeof(symbol_marks) / sizeof(symbol_marks[0]); i++)
        if (uk_symbols_by_name(&image->symbols, symbol_marks[i].symbol))
            *found |= symbol_marks[i].means;
    return rc;
}

int uk_image_find_abi(struct uk_image *image, enum ukvm_abi abi, struct ukvm_error *err)
{
    unsigned found = 0;
    int rc;

    image->abi = abi;
    if (abi != UKVM_ABI_AUTO)
        return UKVM_OK;
    if ((rc = scan_image(image, &found, err)))
        return rc;
    if ((found & MARK_A) && !(found & (MARK_NOT_A | MARK_C)))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: family A (Solo5 v0.2) image: not supported; build it with Solo5 v0.3 "
                        "or later, or --abi=b if it is none",
                        uk_image_name(image->path));
    image->abi = (found & MARK_B) && !(found & MARK_C) ? UKVM_ABI_B : UKVM_ABI_C;
    if (!(found & (MARK_B | MARK_C)))
        uk_image_note(image, "no mark of an ABI family found: taken as C; --abi=b");
    if ((found & MARK_B) && (found & MARK_C))
        uk_image_note(image, "marks of ABI families B and C found: taken as C; --abi=b");
    return UKVM_OK;
}
