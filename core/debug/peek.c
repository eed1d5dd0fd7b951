/* SPDX-License-Identifier: ISC */
/*
 * peek.c: guest memory for debuggers: whatever the guest's rights, page by page,
 * without side effects; and a hash of all that a guest can tell.
 */
#include "core/machine.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The guest physical address behind (addr), and how many bytes follow it there. */
static int translate(struct ukvm *vm, enum ukvm_space space, uint64_t addr, ukvm_gpa_t *gpa,
                     size_t *room, struct ukvm_error *err)
{
    struct ukvm_walk w = {.mapped = true, .gpa = addr};
    int rc;

    *room = SIZE_MAX;
    if (space == UKVM_VIRT) {
        rc = uk_vcpu_read(vm, UKVM_SYS, err);
        if (rc != UKVM_OK)
            return rc;
        vm->arch->walk(vm->vcpu.st, uk_mem(vm), addr, UKVM_ACCESS_READ, &w);
        if (w.mapped && w.page_size)
            *room = w.page_size - (addr & (w.page_size - 1));
    }
    if (!w.mapped)
        return uk_error(err, UKVM_EADDR, "0x%" PRIx64 ": not mapped", addr);
    if (w.gpa >= vm->mem_size)
        return uk_error(err, UKVM_EADDR, "0x%" PRIx64 ": beyond guest memory (%zu MiB)", w.gpa,
                        vm->mem_size >> 20);
    if (*room > vm->mem_size - w.gpa)
        *room = vm->mem_size - w.gpa;
    *gpa = w.gpa;
    return UKVM_OK;
}

static void move(struct ukvm *vm, ukvm_gpa_t gpa, uint8_t *buf, size_t n, bool write)
{
    if (!write) {
        memcpy(buf, vm->mem + gpa, n);
        return;
    }
    memcpy(vm->mem + gpa, buf, n);
    vm->hv->ops->wrote(vm->hv, gpa, n);
}

static int access_memory(struct ukvm *vm, enum ukvm_space space, uint64_t addr, uint8_t *buf,
                         size_t len, bool write, size_t *done, struct ukvm_error *err)
{
    size_t at = 0, room, n;
    ukvm_gpa_t gpa = 0;
    int rc = UKVM_OK;

    while (at < len) {
        rc = translate(vm, space, addr + at, &gpa, &room, err);
        if (rc != UKVM_OK)
            break;
        n = len - at < room ? len - at : room;
        move(vm, gpa, buf + at, n, write);
        at += n;
    }
    if (done)
        *done = at;
    return at > 0 && rc == UKVM_EADDR && done ? UKVM_OK : rc;
}

int ukvm_peek(struct ukvm *vm, enum ukvm_space space, uint64_t addr, void *buf, size_t len,
              size_t *done, struct ukvm_error *err)
{
    return access_memory(vm, space, addr, buf, len, false, done, err);
}

int ukvm_poke(struct ukvm *vm, enum ukvm_space space, uint64_t addr, const void *buf, size_t len,
              size_t *done, struct ukvm_error *err)
{
    return access_memory(vm, space, addr, (uint8_t *)(uintptr_t)buf, len, true, done, err);
}

/* --- hash ------------------------------------------------------------------------------ */

/* FNV-1a over 8-byte words: not strong, but every word counts. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    uint64_t w;

    for (size_t i = 0; i < n; i += 8) {
        w = 0;
        memcpy(&w, (const uint8_t *)p + i, n - i < 8 ? n - i : 8);
        h = (h ^ w) * 0x100000001b3u;
        h ^= h >> 32;
    }
    return h;
}

/* A copy of memory in which nothing differs legally; the caller frees it. */
static int normalised(struct ukvm *vm, struct ukvm_mem *mem, struct ukvm_state **st,
                      struct ukvm_error *err)
{
    int rc = uk_vcpu_read(vm, UKVM_ALL, err);

    if (rc != UKVM_OK)
        return rc;
    mem->size = vm->mem_size;
    mem->p = malloc(mem->size);
    *st = malloc(vm->arch->state_size);
    if (!mem->p || !*st) {
        free(mem->p);
        free(*st);
        return uk_error(err, UKVM_ENOMEM, "hash: no memory for a copy of the guest's");
    }
    memcpy(mem->p, vm->mem, mem->size);
    memcpy(*st, vm->vcpu.st, vm->arch->state_size);
    vm->arch->normalise(*mem, *st);
    return UKVM_OK;
}

int ukvm_state_hash(struct ukvm *vm, uint64_t *hash, struct ukvm_error *err)
{
    uint64_t h = 0xcbf29ce484222325u;
    struct ukvm_state *st;
    struct ukvm_mem mem;
    int rc = normalised(vm, &mem, &st, err);

    if (rc != UKVM_OK)
        return rc;
    h = mix(h, mem.p, mem.size);
    for (size_t i = 0; i < vm->arch->nregs; i++) {
        const struct ukvm_reg *r = &vm->arch->regs[i];

        if (!(r->flags & UKVM_REG_VOLATILE))
            h = mix(h, (const uint8_t *)st + r->offset, r->size);
    }
    free(mem.p);
    free(st);
    *hash = h;
    return UKVM_OK;
}
