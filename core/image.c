/* SPDX-License-Identifier: ISC */
/*
 * image.c: a unikernel image: its loadable segments checked and copied into guest
 * memory. What a hostile file can say is checked here; knows nothing of machines.
 */
#include "core/image_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/error.h"

#define PAGE_SIZE 0x1000u
#define MIB       (UINT64_C(1) << 20)

/* How a message names segment (i): "segment 2 (0x100000..0x101000)". */
#define SEG_FMT            "segment %zu (0x%jx..0x%jx)"
#define SEG_ARGS(image, i) (i), (uintmax_t)(image)->seg[i].gpa, (uintmax_t)seg_end(image, i)

static uint64_t seg_end(const struct uk_image *image, size_t i)
{
    return image->seg[i].gpa + image->seg[i].memsz;
}

/* The rules that concern one segment alone; (i): its number among the loadable ones. */
static int check_segment(const struct uk_image *image, const Elf64_Phdr *ph, size_t i,
                         struct ukvm_error *err)
{
    const char *name = uk_image_name(image->path);
    uint64_t end;

    if (ph->p_memsz < ph->p_filesz)
        return uk_error(
            err, UKVM_EIMAGE,
            "%s: segment %zu: 0x%jx bytes in the file, but 0x%jx in memory; " UK_IMAGE_AGAIN, name,
            i, (uintmax_t)ph->p_filesz, (uintmax_t)ph->p_memsz);
    if (ph->p_align & (ph->p_align - 1))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: segment %zu: alignment 0x%jx is no power of two; " UK_IMAGE_AGAIN,
                        name, i, (uintmax_t)ph->p_align);
    if (!uk_within(ph->p_offset, ph->p_filesz, image->file->size))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: segment %zu: its 0x%jx bytes at 0x%jx lie beyond the file's end "
                        "(0x%jx); " UK_IMAGE_AGAIN,
                        name, i, (uintmax_t)ph->p_filesz, (uintmax_t)ph->p_offset,
                        (uintmax_t)image->file->size);
    if (!uk_add(ph->p_paddr, ph->p_memsz, &end) ||
        !uk_round_up(end, ph->p_align ? ph->p_align : 1, &end))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: segment %zu: 0x%jx bytes at 0x%jx, aligned to 0x%jx, pass the end of "
                        "the address space; link it at 0x100000",
                        name, i, (uintmax_t)ph->p_memsz, (uintmax_t)ph->p_paddr,
                        (uintmax_t)ph->p_align);
    return UKVM_OK;
}

static int check_overlap(const struct uk_image *image, size_t i, struct ukvm_error *err)
{
    for (size_t j = 0; j < i; j++)
        if (image->seg[i].gpa < seg_end(image, j) && image->seg[j].gpa < seg_end(image, i))
            return uk_error(err, UKVM_EIMAGE,
                            "%s: " SEG_FMT " overlaps " SEG_FMT "; give each its own addresses",
                            uk_image_name(image->path), SEG_ARGS(image, i), SEG_ARGS(image, j));
    return UKVM_OK;
}

/* Take one loadable program header into image->seg. */
static int add_segment(struct uk_image *image, const Elf64_Phdr *ph, struct ukvm_error *err)
{
    size_t i = image->nseg;
    uint64_t end = 0;
    int rc;

    if (i == UKVM_MAX_SEGMENTS)
        return uk_error(err, UKVM_EIMAGE, "%s: more than %d loadable segments; link it with fewer",
                        uk_image_name(image->path), UKVM_MAX_SEGMENTS);
    if ((rc = check_segment(image, ph, i, err)))
        return rc;
    image->seg[i] = (struct ukvm_segment){
        .gpa = ph->p_paddr,
        .filesz = ph->p_filesz,
        .memsz = ph->p_memsz,
        .prot = ph->p_flags & (PF_R | PF_W | PF_X),
    };
    image->file->seg[i].off = ph->p_offset;
    image->file->seg[i].align = ph->p_align ? ph->p_align : 1;
    if ((rc = check_overlap(image, i, err)))
        return rc;
    image->nseg++;
    uk_round_up(seg_end(image, i), image->file->seg[i].align, &end);
    if (end > image->kernel_end)
        image->kernel_end = end;
    if ((ph->p_flags & PF_W) && (ph->p_flags & PF_X))
        uk_image_note(image, SEG_FMT " is writable and executable", SEG_ARGS(image, i));
    if (ph->p_vaddr != ph->p_paddr)
        uk_image_note(image, SEG_FMT " is linked for 0x%jx, but loaded where it says",
                      SEG_ARGS(image, i), (uintmax_t)ph->p_vaddr);
    return UKVM_OK;
}

static int read_segments(struct uk_image *image, struct ukvm_error *err)
{
    const struct uk_image_file *file = image->file;
    int rc;

    for (size_t i = 0; i < file->nph; i++)
        if (file->ph[i].p_type == PT_LOAD && (file->ph[i].p_memsz | file->ph[i].p_filesz) &&
            (rc = add_segment(image, &file->ph[i], err)))
            return rc;
    if (image->nseg == 0)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: no loadable segment among %zu program headers; link it as an "
                        "executable",
                        uk_image_name(image->path), file->nph);
    return UKVM_OK;
}

/* The first instruction must be one of the file's. */
static int check_entry(const struct uk_image *image, struct ukvm_error *err)
{
    for (size_t i = 0; i < image->nseg; i++)
        if ((image->seg[i].prot & PF_X) && image->entry >= image->seg[i].gpa &&
            image->entry - image->seg[i].gpa < image->seg[i].filesz)
            return UKVM_OK;
    return uk_error(err, UKVM_EIMAGE,
                    "%s: entry point 0x%jx is in no executable segment; define _start, or link "
                    "with -e",
                    uk_image_name(image->path), (uintmax_t)image->entry);
}

static uint64_t page_of(uint64_t gpa)
{
    return gpa / PAGE_SIZE;
}

/* Family B protects its executable segments only (Solo5 before v0.3.0, ukvm/ukvm_elf.c). */
static unsigned rights_of(const struct uk_image *image, size_t i)
{
    unsigned prot = image->seg[i].prot;

    return image->abi == UKVM_ABI_B && !(prot & PF_X) ? PF_R | PF_W : prot;
}

/* Two segments with different rights on one page: nothing can honour both. */
static int check_shared_page(const struct uk_image *image, size_t i, struct ukvm_error *err)
{
    const struct ukvm_segment *s = image->seg;

    for (size_t j = 0; j < image->nseg; j++)
        if (s[j].gpa < s[i].gpa && rights_of(image, j) != rights_of(image, i) &&
            page_of(seg_end(image, j) - 1) == page_of(s[i].gpa))
            return uk_error(err, UKVM_EIMAGE,
                            "%s: " SEG_FMT " has other rights than " SEG_FMT " on the same page "
                            "(4 KiB); align it in the linker script",
                            uk_image_name(image->path), SEG_ARGS(image, i), SEG_ARGS(image, j));
    return UKVM_OK;
}

/*
 * Rights are set by the page. The original failed on a segment that begins within
 * one: family C on each, B on executable ones (Solo5 v0.3.0, ukvm/ukvm_elf.c).
 */
static int check_pages(const struct uk_image *image, struct ukvm_error *err)
{
    int rc;

    for (size_t i = 0; i < image->nseg; i++)
        if (image->seg[i].gpa % PAGE_SIZE &&
            (image->abi != UKVM_ABI_B || (image->seg[i].prot & PF_X)))
            return uk_error(err, UKVM_EIMAGE,
                            "%s: " SEG_FMT " does not begin at a page (4 KiB), so its rights can't "
                            "be set; align it in the linker script",
                            uk_image_name(image->path), SEG_ARGS(image, i));
    for (size_t i = 0; i < image->nseg; i++)
        if ((rc = check_shared_page(image, i, err)))
            return rc;
    return UKVM_OK;
}

static int open_image(struct uk_image *image, const char *symbols, enum ukvm_abi abi,
                      const char *debug_root, struct ukvm_error *err)
{
    int rc;

    if ((rc = uk_image_open_fd(image->path, &image->file->fd, &image->file->size, err)) ||
        (rc = uk_image_read_headers(image, err)) || (rc = uk_image_check_notes(image, err)) ||
        (rc = read_segments(image, err)) || (rc = check_entry(image, err)) ||
        (rc = uk_image_find_symbols(image, symbols, debug_root, err)) ||
        (rc = uk_image_find_abi(image, abi, err)))
        return rc;
    return check_pages(image, err);
}

int uk_image_open_at(struct uk_image **result, const char *path, const char *symbols,
                     enum ukvm_abi abi, const char *debug_root, struct ukvm_error *err)
{
    struct uk_image *image = calloc(1, sizeof(*image));
    int rc = UKVM_ENOMEM;

    *result = NULL;
    if (image && (image->file = calloc(1, sizeof(*image->file)))) {
        image->file->fd = -1;
        image->path = strdup(path);
    }
    if (!image || !image->path)
        uk_error(err, UKVM_ENOMEM, "%s: no memory", uk_image_name(path));
    else
        rc = open_image(image, symbols, abi, debug_root, err);
    if (rc)
        uk_image_close(image);
    else
        *result = image;
    return rc;
}

int uk_image_open(struct uk_image **image, const char *path, const char *symbols, enum ukvm_abi abi,
                  struct ukvm_error *err)
{
    return uk_image_open_at(image, path, symbols, abi, UKVM_DEBUG_ROOT, err);
}

/* Say how much memory segment (i) needs, if a guest can have that much. */
static int refuse_size(const struct uk_image *image, size_t i, uint64_t need, size_t mem_size,
                       struct ukvm_error *err)
{
    const char *name = uk_image_name(image->path);
    const char *how = seg_end(image, i) < mem_size ? ", rounded up to its alignment," : "";

    if (need > UKVM_MEM_MAX || !uk_round_up(need, UKVM_MEM_UNIT, &need))
        return uk_error(err, UKVM_EIMAGE,
                        "%s: " SEG_FMT "%s ends beyond the most that a guest can have (%ju MiB); "
                        "link it at 0x100000",
                        name, SEG_ARGS(image, i), how, (uintmax_t)(UKVM_MEM_MAX / MIB));
    return uk_error(err, UKVM_EIMAGE,
                    "%s: " SEG_FMT "%s ends beyond guest memory (%ju MiB); --mem=%ju", name,
                    SEG_ARGS(image, i), how, (uintmax_t)(mem_size / MIB), (uintmax_t)(need / MIB));
}

/* The last byte of memory belongs to no segment, as in the original. */
static int check_place(const struct uk_image *image, size_t i, size_t mem_size, ukvm_gpa_t low_end,
                       struct ukvm_error *err)
{
    uint64_t end = seg_end(image, i), aligned = 0, need = end;

    if (image->seg[i].gpa < low_end)
        return uk_error(err, UKVM_EIMAGE,
                        "%s: " SEG_FMT " begins below 0x%jx, where the boot tables are; link it at "
                        "0x100000",
                        uk_image_name(image->path), SEG_ARGS(image, i), (uintmax_t)low_end);
    uk_round_up(end, image->file->seg[i].align, &aligned);
    if (end < mem_size && aligned <= mem_size)
        return UKVM_OK;
    if (aligned == end)
        need = end + 1;
    else
        need = aligned;
    return refuse_size(image, i, need, mem_size, err);
}

int uk_image_load(struct uk_image *image, uint8_t *mem, size_t mem_size, ukvm_gpa_t low_end,
                  struct ukvm_error *err)
{
    int rc;

    for (size_t i = 0; i < image->nseg; i++)
        if ((rc = check_place(image, i, mem_size, low_end, err)))
            return rc;
    for (size_t i = 0; i < image->nseg; i++)
        if ((rc = uk_image_read(image, mem + image->seg[i].gpa, image->seg[i].filesz,
                                image->file->seg[i].off, err)))
            return rc;
    return UKVM_OK;
}

void uk_image_close(struct uk_image *image)
{
    if (!image)
        return;
    if (image->file) {
        if (image->file->fd >= 0)
            close(image->file->fd);
        free(image->file->ph);
    }
    uk_symbols_free(&image->symbols);
    free(image->file);
    free(image->symbols_path);
    free(image->path);
    free(image);
}
