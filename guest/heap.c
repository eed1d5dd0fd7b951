/* SPDX-License-Identifier: ISC */
/*
 * The allocator: blocks side by side from the image's end up to the stack, each behind a header
 * that is checked whenever a call passes it, first fit. Simple, and quick to notice damage.
 */
#include "guest/internal.h"

#define ALIGN     16
#define PAGE      4096
#define STACK_MAX (1024 * 1024)
#define MARK_USED 0x75736564u /* "used" */
#define MARK_FREE 0x66726565u /* "free" */

struct block {
    uint32_t mark;
    uint32_t spare;
    uint64_t size; /* bytes to the next block, this header included */
};

_Static_assert(sizeof(struct block) == ALIGN, "a header keeps blocks aligned");

static struct block *heap; /* NULL until the first allocation */
static struct block *heap_end;
static struct block *first_free; /* no free block lies below */

/* Leaves the stack a megabyte below the end of memory, or a quarter of what little there is. */
static void init(void)
{
    uintptr_t start = ((uintptr_t)_end + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t room = (uintptr_t)uk_guest_boot->mem_size - start;
    uintptr_t stack = room / 4 < STACK_MAX ? room / 4 : STACK_MAX;
    uintptr_t size = (room - stack) & ~(uintptr_t)(PAGE - 1);
    heap = first_free = (struct block *)start;
    heap_end = (struct block *)(start + size);
    *heap = (struct block){MARK_FREE, 0, size};
}

static struct block *next(const struct block *b)
{
    return (struct block *)((uintptr_t)b + b->size);
}

static void check(const struct block *b)
{
    if ((b->mark != MARK_USED && b->mark != MARK_FREE) || b->size < sizeof(*b) ||
        b->size % ALIGN != 0 || b->size > (uintptr_t)heap_end - (uintptr_t)b)
        ukvm_abort("heap: the header at %p is overwritten (mark 0x%x, size 0x%lx)", (const void *)b,
                   b->mark, (unsigned long)b->size);
}

/* Joins a free block with the free ones behind it. */
static void merge(struct block *b)
{
    for (struct block *n = next(b); n < heap_end; n = next(b)) {
        check(n);
        if (n->mark != MARK_FREE)
            break;
        b->size += n->size;
    }
}

/* Takes (size) bytes off a free block that has at least as many. */
static void *take(struct block *b, uint64_t size)
{
    uint64_t rest = b->size - size;
    if (rest >= 2 * sizeof(*b)) {
        b->size = size;
        *next(b) = (struct block){MARK_FREE, 0, rest};
    }
    b->mark = MARK_USED;
    if (b == first_free)
        first_free = next(b);
    return b + 1;
}

void *ukvm_alloc(size_t size)
{
    if (heap == NULL)
        init();
    if (size > (uintptr_t)heap_end - (uintptr_t)heap)
        return NULL;
    uint64_t need = (size + sizeof(struct block) + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    for (struct block *b = first_free; b < heap_end; b = next(b)) {
        check(b);
        if (b->mark != MARK_FREE)
            continue;
        merge(b);
        if (b->size >= need)
            return take(b, need);
    }
    return NULL;
}

void ukvm_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = (struct block *)p - 1;
    check(b);
    if (b->mark == MARK_FREE)
        ukvm_abort("heap: the block at %p is freed twice", p);
    b->mark = MARK_FREE;
    if (b < first_free)
        first_free = b;
}

void ukvm_heap_check(void)
{
    for (const struct block *b = heap; b < heap_end; b = next(b))
        check(b);
}
