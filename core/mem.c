/* SPDX-License-Identifier: ISC */
/*
 * mem.c: guest memory: one memfd, mapped once, always writable for the monitor,
 * and the checks that every guest pointer passes.
 */
#include "core/machine.h"
#include "core/error.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

int uk_mem_create(struct ukvm *vm, size_t size, struct ukvm_error *err)
{
    void *p;

    vm->mem_fd = memfd_create("ukvm-guest", MFD_CLOEXEC);
    if (vm->mem_fd < 0 || ftruncate(vm->mem_fd, (off_t)size) != 0)
        return uk_error_sys(err, "use a smaller --mem", "guest memory: %zu MiB", size >> 20);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vm->mem_fd, 0);
    if (p == MAP_FAILED)
        return uk_error_sys(err, "use a smaller --mem", "guest memory: %zu MiB", size >> 20);
    vm->mem = p;
    vm->mem_size = size;
    return UKVM_OK;
}

void uk_mem_destroy(struct ukvm *vm)
{
    if (vm->mem)
        munmap(vm->mem, vm->mem_size);
    if (vm->mem_fd >= 0)
        close(vm->mem_fd);
}

struct ukvm_mem uk_mem(const struct ukvm *vm)
{
    return (struct ukvm_mem){vm->mem, vm->mem_size};
}

/* The segment's pages, or false if it has none. */
static bool segment_pages(const struct ukvm_segment *s, uint64_t *start, uint64_t *end)
{
    *start = s->gpa & ~(uint64_t)(PAGE - 1);
    *end = (s->gpa + s->memsz + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    return *end > *start;
}

/* Family B protects its code only (Solo5 before v0.3, ukvm/ukvm_elf.c). */
static unsigned view_of(const struct ukvm *vm, const struct ukvm_segment *s)
{
    bool all = vm->image->abi != UKVM_ABI_B || (s->prot & UKVM_PROT_X);

    return all ? s->prot : UKVM_PROT_R | UKVM_PROT_W;
}

static int check_segments(const struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, struct ukvm_error *err)
{
    uint64_t start, end;

    for (size_t i = 0; vm->image && i < vm->image->nseg; i++) {
        const struct ukvm_segment *s = &vm->image->seg[i];

        if ((view_of(vm, s) & UKVM_PROT_W) || !segment_pages(s, &start, &end))
            continue;
        if (gpa < end && gpa + sz > start)
            return uk_error(err, UKVM_EADDR,
                            "0x%llx..0x%llx: in segment %zu, which is read-only for the guest",
                            (unsigned long long)gpa, (unsigned long long)(gpa + sz), i);
    }
    return UKVM_OK;
}

int uk_mem_check(const struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, bool write,
                 struct ukvm_error *err)
{
    if (gpa >= vm->mem_size || sz >= vm->mem_size - gpa)
        return uk_error(err, UKVM_EADDR, "0x%llx + %llu bytes: not inside guest memory (%zu MiB)",
                        (unsigned long long)gpa, (unsigned long long)sz, vm->mem_size >> 20);
    if (sz > 0 && gpa < vm->hole)
        return uk_error(
            err, UKVM_EADDR, "0x%llx + %llu bytes: below 0x%llx, which is not mapped for the guest",
            (unsigned long long)gpa, (unsigned long long)sz, (unsigned long long)vm->hole);
    return write && sz > 0 ? check_segments(vm, gpa, sz, err) : UKVM_OK;
}

static void *checked(struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, bool write, const char *file,
                     int line)
{
    struct ukvm_error why;

    if (uk_mem_check(vm, gpa, sz, write, &why) == UKVM_OK)
        return vm->mem + gpa;
    uk_error(&vm->refused, UKVM_EADDR, "%.160s (checked at %.48s:%d)", why.msg, file, line);
    return NULL;
}

const void *ukvm_checked_gpa_p(struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, const char *file,
                               int line)
{
    return checked(vm, gpa, sz, false, file, line);
}

void *ukvm_checked_gpa_p_out(struct ukvm *vm, ukvm_gpa_t gpa, size_t sz, const char *file, int line)
{
    struct ukvm_call *c = &vm->call;
    void *p = checked(vm, gpa, sz, true, file, line);

    if (p && sz > 0 && c->nout < UKVM_CALL_OUT_MAX)
        c->out[c->nout++] = (struct ukvm_range){gpa, sz};
    else if (p && sz > 0)
        p = NULL,
        uk_error(&vm->refused, UKVM_ELIMIT, "a call writes at most %d ranges", UKVM_CALL_OUT_MAX);
    return p;
}

int uk_mem_protect(struct ukvm *vm, struct ukvm_hv *hv, struct ukvm_error *err)
{
    uint64_t start, end;
    int rc;

    for (size_t i = 0; vm->image && i < vm->image->nseg; i++) {
        const struct ukvm_segment *s = &vm->image->seg[i];

        if (!segment_pages(s, &start, &end))
            continue;
        rc = hv->ops->protect(hv, start, end - start, view_of(vm, s), err);
        if (rc != UKVM_OK)
            return rc;
    }
    return UKVM_OK;
}
