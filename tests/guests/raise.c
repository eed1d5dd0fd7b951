/* SPDX-License-Identifier: ISC */
/* The handler and the comparison behind raise.h. Depends on the test guests' runtime only. */
#include "tests/guests/raise.h"

uint64_t raise_at, raise_next, raise_rsp, raise_back, raise_rflags, raise_flags_set, raise_resumed;
uint64_t raise_stack_end, raise_handler_if, raise_ss;
void (*raise_mend)(struct trap_frame *frame, int *retry);
unsigned raise_count;
static uint64_t unseen; /* flags that PUSHF does not tell where the guest has no privilege */

static struct {
    struct trap_frame frame;
    uint64_t frame_end;
    uint64_t handler_rflags;
    uint64_t cr2;
} got;

/* Skips or retries the instruction; a single step ends here. */
static void hook(struct trap_frame *f)
{
    int retry = 0;

    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(got.handler_rflags));
    __asm__ volatile("movq %%cr2, %0" : "=r"(got.cr2));
    got.frame = *f;
    got.frame_end = (uintptr_t)(f + 1);
    raise_count++;
    if (raise_mend)
        raise_mend(f, &retry);
    if (retry)
        return;
    f->rip = raise_next;
    f->rsp = raise_back;
    f->ss = SEL_DATA;
    f->rflags &= ~RFLAGS_TF;
}

void raise_init(const char *cmdline)
{
    trap_hook = hook;
    unseen = told_cpl3(cmdline) ? RFLAGS_IF : 0;
    raise_stack_end = (uintptr_t)stack_trap + IST_STACK_SIZE;
    raise_ss = SEL_DATA;
}

static unsigned differences;

static void same(const char *name, const char *what, uint64_t is, uint64_t want)
{
    if (is == want)
        return;
    differences++;
    print("FAIL %s: %s: got 0x%lx want 0x%lx\n", name, what, is, want);
}

static uint64_t want_rip(const struct raise_want *want)
{
    switch (want->rip) {
    case RIP_AT:
        return raise_at;
    case RIP_NEXT:
        return raise_next;
    case RIP_VALUE:
        return want->rip_value;
    case RIP_ANY:
        break;
    }
    return got.frame.rip;
}

void raise_check(const struct raise_want *want)
{
    const struct trap_frame *f = &got.frame;
    uint64_t stack_end = raise_stack_end ? raise_stack_end : raise_rsp & ~15ul;

    differences = 0;
    same(want->name, "times raised", raise_count, 1);
    if (raise_count) {
        same(want->name, "vector", f->vector, want->vector);
        same(want->name, "error code", f->error, want->error);
        same(want->name, "rip", f->rip, want_rip(want));
        same(want->name, "cs", f->cs, SEL_CODE);
        same(want->name, "rflags", f->rflags & ~RFLAGS_RF & ~unseen,
             (raise_rflags | raise_flags_set) & ~unseen);
        same(want->name, "rsp", f->rsp, raise_rsp);
        same(want->name, "ss", f->ss, raise_ss);
        same(want->name, "frame's place", got.frame_end, stack_end);
        same(want->name, "handler's rflags",
             got.handler_rflags & (RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF) & ~unseen,
             raise_handler_if & ~unseen);
        same(want->name, "r11 in the handler", f->r11, raise_next);
        if (want->vector == 14)
            same(want->name, "cr2", got.cr2, want->cr2);
    }
    same(want->name, "resumed", raise_resumed, 1);
    if (differences)
        check_failures++;
    else
        print("ok %s\n", want->name);
    raise_count = 0;
    raise_flags_set = 0;
}
