/* SPDX-License-Identifier: ISC */
/*
 * Page faults against the guest's own tables: read-only pages with CR0.WP, not-present pages that
 * the handler maps before the instruction is run again, accesses over a page's end, code that
 * runs into a page that is not there. Expected values: Intel SDM volume 3, 4.7 and 6.15.
 * General registers only. Depends on the test guests' runtime only.
 */
#include "tests/guests/raise.h"

#define HERE(code) .vector = 14, .error = (code), .rip = RIP_AT
#define CHECK(...) raise_check(&(struct raise_want){__VA_ARGS__})
#define PAGE       4096ul
#define BIG_PAGE   0x200000ul
#define P          1ul
#define W          2ul
#define PS         0x80ul
#define CR0_WP     0x10000ul

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));
static uint64_t pt[512] __attribute__((aligned(4096)));

/* A 2 MiB stretch of free memory in 4 KiB pages: what each page is for. */
enum { RW = 0, ABSENT = 1, READ_ONLY = 2, ABSENT2 = 3, CODE = 4, ABSENT3 = 5 };
static uint64_t window;

static uint64_t page(unsigned n)
{
    return window + n * PAGE;
}

static void flush(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr3, %0\n\tmovq %0, %%cr3" : "=r"(value) : : "memory");
}

static void page_set(unsigned n, uint64_t bits)
{
    pt[n] = bits ? page(n) | bits : 0;
    flush();
}

static void tables_fill(void)
{
    uint64_t big = boot->mem_size / BIG_PAGE;

    window = big / 2 * BIG_PAGE;
    pml4[0] = (uintptr_t)pdpt | W | P;
    pdpt[0] = (uintptr_t)pd | W | P;
    for (uint64_t i = 0; i < big && i < 512; i++)
        pd[i] = i * BIG_PAGE | PS | W | P;
    for (unsigned i = 0; i < 512; i++)
        pt[i] = page(i) | W | P;
    pt[ABSENT] = pt[ABSENT2] = pt[ABSENT3] = 0;
    pt[READ_ONLY] &= ~W;
    pd[window / BIG_PAGE] = (uintptr_t)pt | W | P;
    __asm__ volatile("movq %0, %%cr3" : : "r"(pml4) : "memory");
}

static void wp(int on)
{
    uint64_t cr0;

    __asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
    cr0 = on ? cr0 | CR0_WP : cr0 & ~CR0_WP;
    __asm__ volatile("movq %0, %%cr0" : : "r"(cr0) : "memory");
}

static void read_only(void)
{
    volatile uint32_t *cell = (volatile uint32_t *)page(READ_ONLY);

    *cell = 41;
    check_u64("a write to a read-only page without WP is done", *cell, 41);
    wp(1);
    RAISE("movl $1, (%0)", "c"(page(READ_ONLY)));
    CHECK("#PF write to a read-only page", HERE(3), .cr2 = page(READ_ONLY));
    RAISE("addl $1, (%0)", "c"(page(READ_ONLY)));
    CHECK("#PF add to a read-only page", HERE(3), .cr2 = page(READ_ONLY));
    RAISE("lock incl (%0)", "c"(page(READ_ONLY)));
    CHECK("#PF lock inc of a read-only page", HERE(3), .cr2 = page(READ_ONLY));
    RAISE("xchgl %%eax, (%0)", "c"(page(READ_ONLY)));
    CHECK("#PF xchg with a read-only page", HERE(3), .cr2 = page(READ_ONLY));
    check_u64("none of them wrote", *cell, 41);
    wp(0);
    *cell = 42;
    check_u64("WP off again", *cell, 42);
}

static void absent(void)
{
    uint64_t at = page(ABSENT) + 0x123;

    RAISE("movl (%0), %%eax", "c"(at));
    CHECK("#PF read", HERE(0), .cr2 = at);
    RAISE("movl $1, (%0)", "c"(at));
    CHECK("#PF write", HERE(2), .cr2 = at);
    RAISE("addl $1, (%0)", "c"(at));
    CHECK("#PF add", HERE(2), .cr2 = at);
    RAISE("lock xaddl %%eax, (%0)", "c"(at));
    CHECK("#PF lock xadd", HERE(2), .cr2 = at);
    RAISE("cmpl $1, (%0)", "c"(at));
    CHECK("#PF cmp", HERE(0), .cr2 = at);
    RAISE("movq $1, (%0)", "c"(page(ABSENT) - 3));
    CHECK("#PF write over a page's end", HERE(2), .cr2 = page(ABSENT));
    RAISE("movq (%0), %%rax", "c"(page(ABSENT) - 3));
    CHECK("#PF read over a page's end", HERE(0), .cr2 = page(ABSENT));
    check_u64("the write left the first page alone", *(volatile uint8_t *)(page(ABSENT) - 1), 0);
}

static void map_and_retry(struct trap_frame *f, int *retry)
{
    uint64_t cr2;

    (void)f;
    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    page_set((unsigned)((cr2 - window) / PAGE), W | P);
    *retry = 1;
}

/* The handler maps the page and IRETQ runs the same instruction again. */
static void mended(void)
{
    volatile uint64_t *cell = (volatile uint64_t *)page(ABSENT);

    raise_mend = map_and_retry;
    RAISE("movq $7, (%0)", "c"(cell));
    CHECK("#PF write, mapped and run again", HERE(2), .cr2 = page(ABSENT));
    check_u64("it wrote", *cell, 7);
    page_set(ABSENT, 0);
    RAISE("addq $5, (%0)", "c"(cell));
    CHECK("#PF add, mapped and run again", HERE(2), .cr2 = page(ABSENT));
    check_u64("it added once", *cell, 12);
    page_set(ABSENT, 0);
    RAISE("cmpq $12, (%0)\n\tjne 2f", "c"(cell));
    CHECK("#PF cmp, mapped and run again", HERE(0), .cr2 = page(ABSENT));
    page_set(ABSENT, 0);
    *(volatile uint8_t *)(page(ABSENT) - 1) = 0;
    RAISE("movw $0x0201, (%0)", "c"(page(ABSENT) - 1));
    CHECK("#PF write over a page's end, run again", HERE(2), .cr2 = page(ABSENT));
    check_u64("its first byte", *(volatile uint8_t *)(page(ABSENT) - 1), 1);
    check_u64("its second byte", *(volatile uint8_t *)page(ABSENT), 2);
    page_set(ABSENT, 0);
    raise_mend = NULL;
}

/* mov $1,%eax; mov $2,%eax; ... up to the page's end, beyond which there is nothing. */
static uint64_t code_at_end(size_t size)
{
    static const uint8_t moves[15] = {0xB8, 1, 0, 0, 0, 0xB8, 2, 0, 0, 0, 0xB8, 3, 0, 0, 0};
    uint8_t *to = (uint8_t *)page(ABSENT3) - size;

    memcpy(to, moves, size);
    return (uintptr_t)to;
}

static uint64_t rax_seen;

static void note_rax(struct trap_frame *f, int *retry)
{
    (void)retry;
    rax_seen = f->rax;
}

/* Whatever runs before the missing page has run when the fault comes. */
static void running_off(void)
{
    uint64_t at = code_at_end(15);

    raise_mend = note_rax;
    RAISE("jmp *%0", "c"(at));
    CHECK("#PF code runs off its page", .vector = 14, .rip = RIP_VALUE, .rip_value = page(ABSENT3),
          .cr2 = page(ABSENT3));
    check_u64("all before it has run", rax_seen, 3);
    at = code_at_end(13);
    RAISE("jmp *%0", "c"(at));
    CHECK("#PF an instruction lies over the page's end", .vector = 14, .rip = RIP_VALUE,
          .rip_value = at + 10, .cr2 = page(ABSENT3));
    check_u64("only what lies before it has run", rax_seen, 2);
    raise_mend = NULL;
    RAISE("jmp *%0", "c"(page(ABSENT2) + 9));
    CHECK("#PF jump into a page that is not there", .vector = 14, .rip = RIP_VALUE,
          .rip_value = page(ABSENT2) + 9, .cr2 = page(ABSENT2) + 9);
}

/* A 2 MiB page whose address has bit 13 set: a reserved bit. */
static void reserved_bit(void)
{
    uint64_t slot = window / BIG_PAGE + 1, old = pd[slot];

    pd[slot] |= 0x2000;
    flush();
    RAISE("movl (%0), %%eax", "c"(window + BIG_PAGE + 64));
    CHECK("#PF reserved bit, read", HERE(9), .cr2 = window + BIG_PAGE + 64);
    RAISE("movl %%eax, (%0)", "c"(window + BIG_PAGE + 64));
    CHECK("#PF reserved bit, write", HERE(11), .cr2 = window + BIG_PAGE + 64);
    pd[slot] = old;
    flush();
}

/* #PF while pushing the frame of #PF: the stack has no IST and is not there. */
static void bad_stack(void)
{
    raise_stack_end = (uintptr_t)stack_abort + IST_STACK_SIZE;
    gate_set(14, GATE_INTERRUPT, 0);
    RAISE_FROM("movq %0, %%rsp\n\t" NEW_RSP, "pushq $1", "c"(page(ABSENT) + 512));
    CHECK("#DF from #PF on a stack that is not there", .vector = 8, .rip = RIP_ANY);
    gate_set(14, GATE_INTERRUPT, IST_TRAP);
    raise_stack_end = (uintptr_t)stack_trap + IST_STACK_SIZE;
    gate_set(3, GATE_INTERRUPT, 0);
    RAISE_FROM("movq %0, %%rsp\n\t" NEW_RSP, "int3", "c"(page(ABSENT) + 512));
    CHECK("#PF while delivering #BP", .vector = 14, .error = 2, .rip = RIP_AT,
          .cr2 = page(ABSENT) + 504);
    gate_set(3, GATE_INTERRUPT, IST_TRAP);
}

int solo5_app_main(char *cmdline)
{
    raise_init(cmdline);
    __asm__ volatile("movl %0, %%ss" : : "r"(SEL_DATA));
    tables_fill();
    read_only();
    absent();
    mended();
    running_off();
    reserved_bit();
    bad_stack();
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
