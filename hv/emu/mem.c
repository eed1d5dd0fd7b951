/* SPDX-License-Identifier: ISC */
/*
 * mem.c: guest memory in the emulator: the mapping, what covers all other addresses,
 * the guest's view, and what is cached of memory. Depends on no architecture.
 */
#include <string.h>

#include "hv/emu/emu.h"

#define LAST_PAGE (UINT64_C(0) - UK_EMU_PAGE)
#define HALF      (UINT64_C(1) << 63)

/*
 * Note an access that guest memory does not serve. The state saved here is the one
 * before the instruction: what it changes, it changes after its last access.
 */
static void deny(struct ukvm_hvb *b, const struct emu_denied *d)
{
    struct emu_denied *was = &b->denied;

    if (b->event == EMU_DENIED) {
        if (d->write == was->write && d->addr == was->addr + was->len && was->len + d->len <= 8) {
            was->data |= d->data << (8 * was->len);
            was->len += d->len;
        }
        return;
    }
    if (b->event != EMU_NOTHING)
        return;
    b->event = EMU_DENIED;
    *was = *d;
    was->pc = b->last; /* the hook may see one more instruction before the engine stops */
    was->count = b->count - 1;
    uc_context_save(b->uc, b->at_denial);
    uc_emu_stop(b->uc);
}

/*
 * Code is read while it is translated, before the hook sees it: then pc is where the
 * block begins, not at the last instruction. The hook denies what is not memory;
 * translation should end soon (HLT, if that means anything to the guest).
 */
static uint64_t cover_read(uc_engine *uc, uint64_t offset, unsigned size, void *user)
{
    struct emu_cover *c = user;

    (void)uc;
    if (uk_emu_x86_pc(c->b) != c->b->last)
        return 0xf4f4f4f4f4f4f4f4;
    deny(c->b, &(struct emu_denied){.addr = c->base + offset, .len = size, .physical = true});
    return 0;
}

static void cover_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *user)
{
    struct emu_cover *c = user;

    (void)uc;
    deny(
        c->b,
        &(struct emu_denied){
            .addr = c->base + offset, .len = size, .data = value, .write = true, .physical = true});
}

/* Without a cover, an access outside of guest memory would end a run inexactly. */
static uc_err cover(struct ukvm_hvb *b, struct emu_cover *c, uint64_t base, uint64_t end)
{
    uc_err e;

    c->b = b;
    c->base = base;
    e = uc_mmio_map(b->uc, base, end - base, cover_read, c, cover_write, c);
    return e ? e : uc_mem_protect(b->uc, base, end - base, UC_PROT_ALL);
}

/* The view forbids the access, or it lies in the last page, which has no cover. */
static bool on_denied(uc_engine *uc, uc_mem_type type, uint64_t addr, int size, int64_t value,
                      void *user)
{
    struct emu_denied d = {
        .addr = addr,
        .len = (unsigned)size,
        .data = (uint64_t)value,
        .write = type == UC_MEM_WRITE_PROT || type == UC_MEM_WRITE_UNMAPPED,
        .fetch = type == UC_MEM_FETCH_PROT || type == UC_MEM_FETCH_UNMAPPED,
    };

    (void)uc;
    if (!d.write)
        d.data = 0;
    deny(user, &d);
    return false;
}

/*
 * In three regions: splitting one takes time for each of its pages (10 ms for 512 MiB),
 * and what is protected, the image, mostly lies in the first.
 */
static uc_err map_memory(struct ukvm_hvb *b)
{
    static const uint64_t bounds[] = {0, UINT64_C(4) << 20, UINT64_C(32) << 20, UINT64_MAX};
    uc_err e = UC_ERR_OK;

    for (size_t i = 0; i < 3 && bounds[i] < b->mem_size && !e; i++) {
        uint64_t end = bounds[i + 1] < b->mem_size ? bounds[i + 1] : b->mem_size;

        e = uc_mem_map_ptr(b->uc, bounds[i], end - bounds[i], UC_PROT_ALL, b->mem + bounds[i]);
    }
    return e;
}

int uk_emu_mem_map(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uc_err e = map_memory(b);

    if (!e)
        e = cover(b, &b->cover[0], b->mem_size, HALF);
    if (!e)
        e = cover(b, &b->cover[1], HALF, LAST_PAGE);
    if (!e)
        e = uk_emu_hook(b->uc, &b->hooks[3], UC_HOOK_MEM_INVALID, (emu_callback *)on_denied, b);
    return e ? uk_emu_fail(err, e, "mapping guest memory") : UKVM_OK;
}

/*
 * Stores are refused without W, loads without R and W: the engine looks at loads only
 * while it has no translation that a store has made. X is not enforced.
 */
int uk_emu_protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err)
{
    uint32_t perms = UC_PROT_EXEC;
    uc_err e;

    if (gpa % UK_EMU_PAGE || len % UK_EMU_PAGE || gpa > hv->mem_size || len > hv->mem_size - gpa)
        return uk_error(err, UKVM_EINVAL, "protect: 0x%llx+0x%zx: not whole pages of guest memory",
                        (unsigned long long)gpa, len);
    if (len == 0)
        return UKVM_OK;
    if (prot & UKVM_PROT_W)
        perms |= UC_PROT_READ | UC_PROT_WRITE;
    else if (prot & UKVM_PROT_R)
        perms |= UC_PROT_READ;
    e = uc_mem_protect(hv->b->uc, gpa, len, perms);
    return e ? uk_emu_fail(err, e, "protecting guest memory") : UKVM_OK;
}

void uk_emu_mem_flush_tlb(struct ukvm_hvb *b)
{
    if (uc_mem_map(b->uc, LAST_PAGE, UK_EMU_PAGE, UC_PROT_NONE) == UC_ERR_OK)
        uc_mem_unmap(b->uc, LAST_PAGE, UK_EMU_PAGE);
    uk_emu_mem_forget_lines(b);
    b->tables_known = false;
}

void uk_emu_mem_forget_lines(struct ukvm_hvb *b)
{
    for (size_t i = 0; i < UK_EMU_LINES; i++)
        b->line[i] = (struct emu_line){UK_EMU_NOWHERE, UK_EMU_NOWHERE, NULL};
}

/* Is an address of [from, to] armed? */
static bool any_armed(const struct ukvm_hvb *b, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < b->narmed; i++)
        if (b->armed[i] >= from && b->armed[i] <= to)
            return true;
    return false;
}

const struct emu_line *uk_emu_mem_line(struct ukvm_hvb *b, uint64_t addr)
{
    uint64_t page = addr & ~(UK_EMU_PAGE - 1);
    struct emu_line *l = &b->line[(addr / UK_EMU_PAGE) % UK_EMU_LINES];
    struct ukvm_walk w;

    if (l->page == page)
        return l;
    uk_emu_x86_walk(b, page, UKVM_ACCESS_READ, &w);
    l->page = page;
    l->host = w.mapped && w.gpa < b->mem_size ? b->mem + w.gpa : NULL;
    l->tag = l->host && !any_armed(b, page, page + UK_EMU_PAGE - 1) ? page : UK_EMU_NOWHERE;
    if (l->host) {
        b->pages[w.gpa / UK_EMU_PAGE] |= EMU_PAGE_CODE;
        if (w.gpa + UK_EMU_PAGE < b->mem_size) /* an instruction may cross into it */
            b->pages[w.gpa / UK_EMU_PAGE + 1] |= EMU_PAGE_CODE;
    }
    return l;
}

/* Copy the (n) bytes of code at (addr), less where it is not guest memory. */
size_t uk_emu_mem_fetch(struct ukvm_hvb *b, uint64_t addr, uint8_t *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        const struct emu_line *l = uk_emu_mem_line(b, addr + done);
        size_t off = (addr + done) % UK_EMU_PAGE;
        size_t len = n - done < UK_EMU_PAGE - off ? n - done : UK_EMU_PAGE - off;

        if (!l->host)
            break;
        memcpy(buf + done, l->host + off, len);
        done += len;
    }
    return done;
}

/* Drop the translations of the pages in [from, to) that code was fetched from. */
static void drop_code(struct ukvm_hvb *b, uint64_t from, uint64_t to)
{
    uint64_t start;

    while (from < to) {
        for (start = from; from < to && (b->pages[from] & EMU_PAGE_CODE); from++)
            ;
        if (from > start)
            uc_ctl_remove_cache(b->uc, start * UK_EMU_PAGE, from * UK_EMU_PAGE);
        else
            from++;
    }
}

void uk_emu_wrote(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len)
{
    struct ukvm_hvb *b = hv->b;
    uint64_t from = gpa / UK_EMU_PAGE, to;
    uint8_t seen = 0;

    if (len == 0 || gpa >= b->mem_size)
        return;
    if (len > b->mem_size - gpa)
        len = b->mem_size - gpa;
    to = (gpa + len - 1) / UK_EMU_PAGE + 1;
    if (!b->tables_known)
        uk_emu_x86_tables(b);
    for (uint64_t p = from; p < to; p++)
        seen |= b->pages[p];
    if (seen & EMU_PAGE_CODE)
        drop_code(b, from, to);
    if (seen & EMU_PAGE_TABLE)
        uk_emu_mem_flush_tlb(b);
}
