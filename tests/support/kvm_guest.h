/* SPDX-License-Identifier: ISC */
/*
 * kvm_guest.h: a few instructions in 64 KiB on the KVM backend, for its tests.
 */
#ifndef TESTS_SUPPORT_KVM_GUEST_H
#define TESTS_SUPPORT_KVM_GUEST_H

#include "core/arch.h"
#include "core/error.h"
#include "hv/kvm/kvm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum {
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD = 0x3000,
    IDT = 0x4000,
    STUBS = 0x5000,
    GDT = 0x6000,
    CODE = 0x7000,
    STACK_TOP = 0x9000,
    DATA = 0xa000,
    MEM_SIZE = 0x10000
};

/* Guest code, assembled here and copied to CODE. */
#define GUEST(name, text)                                                                          \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection")

struct kvm_machine {
    struct ukvm_hv hv;
    struct ukvm_exit ex;
    struct ukvm_error err;
};

/* Fails the test with the machine's error. */
void kvm_need(struct kvm_machine *m, int rc);
void kvm_put(struct kvm_machine *m, size_t at, uint64_t value);
uint64_t kvm_peek(struct kvm_machine *m, size_t at);

/* A machine about to run the code at CODE. Handlers are HLT stubs at STUBS + vector. */
struct kvm_machine *kvm_machine(const uint8_t *code, const uint8_t *end);
#define MACHINE(name) kvm_machine(name, name##_end)
void kvm_done(struct kvm_machine *m);
struct ukvm_x86_state kvm_start_state(void);

void kvm_set(struct kvm_machine *m, unsigned groups, const struct ukvm_x86_state *st);
/* Settled first. */
struct ukvm_x86_state kvm_get(struct kvm_machine *m, unsigned groups);
uint64_t kvm_rip(struct kvm_machine *m);

/* Run, or step, to an exit of kind (want). */
void kvm_go(struct kvm_machine *m, enum ukvm_exit_kind want);
void kvm_step(struct kvm_machine *m, enum ukvm_exit_kind want);

/* Run a group; or print its tests as skipped, where the machine's KVM cannot run it. */
#define KVM_RUN_GROUP(name, tests, needs_float)                                                    \
    (kvm_skips((tests), sizeof(tests) / sizeof((tests)[0]), (needs_float))                         \
         ? 0                                                                                       \
         : cmocka_run_group_tests_name((name), (tests), NULL, NULL))
bool kvm_skips(const struct CMUnitTest *tests, size_t n, bool needs_float);

#endif /* TESTS_SUPPORT_KVM_GUEST_H */
