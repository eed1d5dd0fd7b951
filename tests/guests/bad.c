/* SPDX-License-Identifier: ISC */
/*
 * Guests that misbehave, one way for each argument: what the monitor must explain. A case that
 * returns says so; `list` prints the names. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

#define OUT(type, reg, port, value)                                                                \
    __asm__ volatile("out" type " %" reg "0, %w1" : : "a"(value), "d"(port) : "memory")

extern char _stext[];
static char text[] = "text\n";
static uint8_t buffer[4096] __attribute__((aligned(4096)));

/* A hypercall as bare as it gets: any port, any argument. */
static void call_at(unsigned port, uint64_t at)
{
    OUT("l", "", port, (uint32_t)at);
}

static void puts_struct_at(uint64_t at)
{
    struct hc_puts *arg = (struct hc_puts *)(uintptr_t)at;

    if (at + sizeof *arg <= boot->mem_size) {
        arg->data = (uintptr_t)text;
        arg->len = 5;
    }
    call_at(PORT_BASE + HC_PUTS, at);
}

static void puts_data(uint64_t data, uint64_t len)
{
    struct hc_puts arg = {data, len};

    hypercall(HC_PUTS, &arg);
}

static void blk(int write, uint64_t data, uint64_t len)
{
    struct hc_blkio arg = {0, data, len, -7, 0};

    if (write)
        hypercall(HC_BLKWRITE, &arg);
    else
        hypercall(HC_BLKREAD, &arg);
    print("ret %d\n", arg.ret);
}

static void net(int write, uint64_t data, uint64_t len)
{
    struct hc_netio arg = {data, len, -7, 0};

    if (write)
        hypercall(HC_NETWRITE, &arg);
    else
        hypercall(HC_NETREAD, &arg);
    print("ret %d\n", arg.ret);
}

/* --- hypercalls that aren't any --- */
static void port_reserved(void)
{
    call_at(PORT_BASE, (uintptr_t)buffer);
}

static void port_next(void)
{
#ifdef FAMILY_C
    call_at(PORT_BASE + HC_HALT + 1, (uintptr_t)buffer);
#else
    call_at(PORT_BASE + HC_NETREAD + 2, (uintptr_t)buffer);
#endif
}

static void port_below(void)
{
    call_at(PORT_BASE - 1, (uintptr_t)buffer);
}

static void port_far(void)
{
    call_at(0x80, 0);
}

static void port_in(void)
{
    uint32_t value;

    __asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(PORT_BASE + HC_PUTS));
    print("read 0x%x\n", value);
}

static void port_out1(void)
{
    OUT("b", "b", PORT_BASE + HC_PUTS, 0);
}

static void port_out2(void)
{
    OUT("w", "w", PORT_BASE + HC_PUTS, 0);
}

static void port_outs(void)
{
    __asm__ volatile("outsl" : : "S"(buffer), "d"(PORT_BASE + HC_PUTS));
}

/* --- where the argument lies --- */
static void arg_over_end(void)
{
    puts_struct_at(boot->mem_size - 8);
}

static void arg_at_end(void)
{
    puts_struct_at(boot->mem_size);
}

static void arg_to_end(void)
{
    puts_struct_at(boot->mem_size - sizeof(struct hc_puts));
}

static void arg_to_last(void)
{
    puts_struct_at(boot->mem_size - sizeof(struct hc_puts) - 1);
}

static void arg_highest(void)
{
    puts_struct_at(0xFFFFFFF8);
}

static void arg_null(void)
{
    call_at(PORT_BASE + HC_PUTS, 0);
}

static void arg_read_only(void)
{
    call_at(PORT_BASE + HC_WALLTIME, (uintptr_t)_stext);
}

/* --- what PUTS points to --- */
static void puts_outside(void)
{
    puts_data(boot->mem_size + 4096, 5);
}

static void puts_far(void)
{
    puts_data(0x123456789ABCul, 5);
}

static void puts_wraps(void)
{
    puts_data((uintptr_t)text, ~0ul);
}

static void puts_over_end(void)
{
    puts_data(boot->mem_size - 4, 8);
}

static void puts_to_end(void)
{
    puts_data(boot->mem_size - 8, 8);
}

static void puts_empty(void)
{
    puts_data((uintptr_t)text, 0);
}

static void puts_empty_outside(void)
{
    puts_data(boot->mem_size, 0);
}

/* --- devices: with or without one --- */
static void blkinfo(void)
{
    struct hc_blkinfo info = {0};

    hypercall(HC_BLKINFO, &info);
    print("sector size %lu\n", info.sector_size);
}

static void blkread(void)
{
    blk(0, (uintptr_t)buffer, 512);
}

static void blkwrite(void)
{
    blk(1, (uintptr_t)buffer, 512);
}

static void blkread_text(void)
{
    blk(0, (uintptr_t)_stext, 512);
}

static void blkread_outside(void)
{
    blk(0, boot->mem_size, 512);
}

static void blkread_huge(void)
{
    blk(0, (uintptr_t)buffer, ~0ul);
}

static void blkread_signed(void)
{
    blk(0, (uintptr_t)buffer, 0x8000000000000000ul);
}

static void blkwrite_outside(void)
{
    blk(1, boot->mem_size - 256, 512);
}

static void netinfo(void)
{
    struct hc_netinfo info;

    hypercall(HC_NETINFO, &info);
    print("netinfo came back\n");
}

static void netread(void)
{
    net(0, (uintptr_t)buffer, 1514);
}

static void netwrite(void)
{
    net(1, (uintptr_t)buffer, 60);
}

static void netread_huge(void)
{
    net(0, (uintptr_t)buffer, ~0ul);
}

static void netread_text(void)
{
    net(0, (uintptr_t)_stext, 1514);
}

static void netwrite_huge(void)
{
    net(1, (uintptr_t)buffer, 0x100000000ul);
}

static void netwrite_outside(void)
{
    net(1, boot->mem_size, 60);
}

/* --- the end --- */
#ifdef FAMILY_C
static void halt_cookie_outside(void)
{
    rt_halt(255, (const void *)(uintptr_t)boot->mem_size);
}

static void halt_cookie_over_end(void)
{
    rt_halt(255, (const void *)(uintptr_t)(boot->mem_size - 256));
}

static void halt_cookie_far(void)
{
    rt_halt(255, (const void *)(uintptr_t)0x123456789ABCul);
}
#endif

static void hlt(void)
{
    __asm__ volatile("hlt");
}

static void loop(void)
{
    for (;;)
        __asm__ volatile("");
}

static void sleep_long(void)
{
    struct hc_poll arg = {~0ul, -7, 0};

    hypercall(HC_POLL, &arg);
}

/* --- memory and exceptions that the guest's own handler reports --- */
static void write_text(void)
{
    *(volatile char *)_stext = 0;
}

static void write_rodata(void)
{
    *(volatile char *)(uintptr_t) "constant" = 0;
}

static void jump_unmapped(void)
{
    __asm__ volatile("jmp *%0" : : "r"(boot->mem_size + 4096));
}

static void store_beyond(void)
{
    *(volatile uint64_t *)(uintptr_t)(boot->mem_size + 4096) = 1;
}

static void load_null(void)
{
    print("0 holds 0x%lx\n", *(volatile uint64_t *)(uintptr_t)8);
}

static uint64_t deeper(uint64_t n)
{
    volatile uint8_t space[4096];

    space[0] = (uint8_t)n;
    return n ? deeper(n - 1) + space[0] : space[0];
}

/* Goes down through all memory into the image's own read-only pages. */
static void stack_overflow(void)
{
    print("%lu\n", deeper(~0ul));
}

static void int3(void)
{
    __asm__ volatile("int3");
}

static void ud2(void)
{
    __asm__ volatile("ud2");
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(port_reserved),
    CASE(port_next),
    CASE(port_below),
    CASE(port_far),
    CASE(port_in),
    CASE(port_out1),
    CASE(port_out2),
    CASE(port_outs),
    CASE(arg_over_end),
    CASE(arg_at_end),
    CASE(arg_to_end),
    CASE(arg_to_last),
    CASE(arg_highest),
    CASE(arg_null),
    CASE(arg_read_only),
    CASE(puts_outside),
    CASE(puts_far),
    CASE(puts_wraps),
    CASE(puts_over_end),
    CASE(puts_to_end),
    CASE(puts_empty),
    CASE(puts_empty_outside),
    CASE(blkinfo),
    CASE(blkread),
    CASE(blkwrite),
    CASE(blkread_text),
    CASE(blkread_outside),
    CASE(blkread_huge),
    CASE(blkread_signed),
    CASE(blkwrite_outside),
    CASE(netinfo),
    CASE(netread),
    CASE(netwrite),
    CASE(netread_huge),
    CASE(netread_text),
    CASE(netwrite_huge),
    CASE(netwrite_outside),
#ifdef FAMILY_C
    CASE(halt_cookie_outside),
    CASE(halt_cookie_over_end),
    CASE(halt_cookie_far),
#endif
    CASE(hlt),
    CASE(loop),
    CASE(sleep_long),
    CASE(write_text),
    CASE(write_rodata),
    CASE(jump_unmapped),
    CASE(store_beyond),
    CASE(load_null),
    CASE(stack_overflow),
    CASE(int3),
    CASE(ud2),
};

int solo5_app_main(char *cmdline)
{
    int list = str_same(cmdline, "list");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (list) {
            print("%s\n", cases[i].name);
        } else if (str_same(cmdline, cases[i].name)) {
            cases[i].run();
            print("came back\n");
            return 0;
        }
    }
    if (!list)
        print("no such case: %s\n", cmdline);
    return !list;
}
