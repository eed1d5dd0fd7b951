/* SPDX-License-Identifier: ISC */
/*
 * test_run.c: the run loop and the transaction on the scripted backend: what each
 * exit becomes, what suspends a call, what hooks are told, in which order.
 */
#include "tests/support/scripted.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PC  0x100010u
#define ARG 0x300000u

static struct ukvm_exit call_exit(unsigned nr)
{
    return (struct ukvm_exit){
        .kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = nr, .gpa = ARG};
}

static void put64(struct ukvm *vm, ukvm_gpa_t gpa, uint64_t v)
{
    memcpy(ukvm_hv(vm)->mem + gpa, &v, sizeof(v));
}

static uint64_t get64(struct ukvm *vm, ukvm_gpa_t gpa)
{
    uint64_t v;

    memcpy(&v, ukvm_hv(vm)->mem + gpa, sizeof(v));
    return v;
}

static void run_ok(struct ukvm *vm, struct ukvm_stop *stop)
{
    struct ukvm_error err = {0};

    if (ukvm_run(vm, stop, &err) != UKVM_OK)
        fail_msg("run: %s", err.msg);
}

static uint64_t pc_of(struct ukvm *vm)
{
    struct ukvm_error err;
    uint64_t pc = 0;

    assert_int_equal(ukvm_pc(vm, &pc, &err), UKVM_OK);
    return pc;
}

/* --- each kind of exit ------------------------------------------------------ */

static void test_halt_ends_with_status(void **state)
{
    struct ukvm_exit ex[] = {call_exit(10)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
    struct ukvm_stop stop;
    struct ukvm_error err;

    (void)state;
    put64(vm, ARG, 0);
    put64(vm, ARG + 8, 7);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_int_equal(stop.status, 7);
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_ESTATE);
    ukvm_destroy(vm);
}

static void test_hlt_ends_with_zero(void **state)
{
    struct ukvm *vm = scripted_machine(UKVM_ABI_B, NULL, 0);
    struct ukvm_stop stop;

    (void)state;
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_int_equal(stop.status, 0);
    ukvm_destroy(vm);
}

/* What stops as a fault: the exit, and a piece of the message. */
static const struct {
    struct ukvm_exit ex;
    const char *says;
} faults[] = {
    {{.kind = UKVM_EXIT_IO, .pc = PC, .next = PC + 1, .addr = 0x3f8, .len = 1, .write = true},
     "port 0x3f8, 1-byte write"},
    {{.kind = UKVM_EXIT_PROT, .pc = PC, .next = PC, .addr = 0x100000, .len = 8, .write = true},
     "8-byte write at 0x100000: segment 0 does not allow it"},
    {{.kind = UKVM_EXIT_PROT, .pc = PC, .next = PC, .addr = 0x40000000, .len = 4},
     "4-byte read at 0x40000000: beyond guest memory (16 MiB)"},
    {{.kind = UKVM_EXIT_SHUTDOWN, .pc = PC, .next = PC}, "triple fault"},
    {{.kind = UKVM_EXIT_UNKNOWN,
      .pc = PC,
      .next = PC,
      .insn = {0x0f, 0x58},
      .insn_len = 2,
      .msg = "cannot execute"},
     "scripted: cannot execute: bytes 0f 58; --hv=emu"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 42, .gpa = ARG},
     "hypercall 42: unknown"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 0, .gpa = ARG},
     "hypercall 0: unknown"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 6, .gpa = ARG},
     "blkread: no such device attached; --disk=FILE"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 9, .gpa = ARG},
     "netread: no such device attached; --net=user"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 2, .gpa = 0x1000000 - 16},
     "puts: argument struct: 0xfffff0 + 16 bytes: not inside guest memory (16 MiB)"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 2, .gpa = 0xfffffff8},
     "puts: argument struct: 0xfffffff8"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 1, .gpa = 0x100000},
     "walltime: argument struct: 0x100000..0x100008: in segment 0, which is read-only"},
    {{.kind = UKVM_EXIT_HYPERCALL, .pc = PC, .next = PC + 1, .nr = 1, .gpa = 0x8},
     "walltime: argument struct: 0x8 + 8 bytes: below 0x10000"},
};

static void test_faults_say_which_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct ukvm *vm = scripted_machine(UKVM_ABI_C, &faults[i].ex, 1);
        struct ukvm_stop stop;

        run_ok(vm, &stop);
        assert_int_equal(stop.kind, UKVM_STOP_FAULT);
        if (!strstr(stop.msg, faults[i].says))
            fail_msg("fault %zu: \"%s\" does not say \"%s\"", i, stop.msg, faults[i].says);
        assert_int_equal(stop.pc, PC);
        assert_int_equal(pc_of(vm), PC);
        ukvm_destroy(vm);
    }
}

static void test_buffer_rules(void **state)
{
    static const struct {
        uint64_t gpa, len;
        const char *says; /* NULL: allowed */
    } cases[] = {
        {0x300100, 0, NULL},
        {0x1000000 - 9, 8, NULL},
        {0x1000000 - 8, 8, "puts: data: 0xfffff8 + 8 bytes: not inside"},
        {0x1000000, 0, "puts: data: 0x1000000 + 0 bytes: not inside"},
        {0x300100, UINT64_MAX, "puts: data: 0x300100 + 18446744073709551615 bytes"},
        {UINT64_MAX, 2, "puts: data: 0xffffffffffffffff + 2 bytes"},
        {0, 5, "puts: data: 0x0 + 5 bytes: below 0x10000, which is not mapped"},
        {0, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ukvm_exit ex[] = {call_exit(2)};
        struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
        struct ukvm_stop stop;

        put64(vm, ARG, cases[i].gpa);
        put64(vm, ARG + 8, cases[i].len);
        run_ok(vm, &stop);
        if (cases[i].says) {
            assert_int_equal(stop.kind, UKVM_STOP_FAULT);
            if (!strstr(stop.msg, cases[i].says))
                fail_msg("case %zu: \"%s\"", i, stop.msg);
        } else {
            assert_int_equal(stop.kind, UKVM_STOP_EXIT);
        }
        ukvm_destroy(vm);
    }
}

/* --- a call that waits ------------------------------------------------------ */

static int again_calls;

static int again_then_done(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    (void)self, (void)err;
    again_calls++;
    if (call->keep[0]++ == 0)
        return UKVM_AGAIN;
    *(uint64_t *)call->arg = 0x55;
    return UKVM_OK;
}

static const struct ukvm_field again_fields[] = {
    {"value", UKVM_F_U64, UKVM_OUT, 0, 8, 0, false},
};
static const struct ukvm_call_desc again_desc = {"again", 0, 40, 8, 1, true, again_fields, NULL};

static void check_suspends(bool pc_before)
{
    struct ukvm_exit ex[] = {call_exit(40), call_exit(40)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 2);
    struct ukvm_stop stop;
    struct ukvm_error err;

    scripted.pc_before = pc_before;
    again_calls = 0;
    assert_int_equal(ukvm_core_register_hypercall(vm, &again_desc, again_then_done, NULL, &err), 0);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    assert_int_equal(pc_of(vm), PC);
    assert_int_equal(vm->events, 0);
    run_ok(vm, &stop);
    assert_int_equal(scripted.st.rip == PC, 0);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_int_equal(again_calls, 2);
    assert_int_equal(vm->events, 1);
    assert_int_equal(get64(vm, ARG), 0x55);
    ukvm_destroy(vm);
}

static void test_waiting_call_is_suspended_and_goes_on(void **state)
{
    (void)state;
    check_suspends(true);
    check_suspends(false);
}

static void test_writing_pc_drops_the_suspended_call(void **state)
{
    struct ukvm_exit ex[] = {call_exit(40), call_exit(40)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 2);
    struct ukvm_stop stop;
    struct ukvm_error err;
    uint64_t pc = PC;

    (void)state;
    again_calls = 0;
    assert_int_equal(ukvm_core_register_hypercall(vm, &again_desc, again_then_done, NULL, &err), 0);
    run_ok(vm, &stop);
    assert_int_equal(ukvm_reg_set(vm, ukvm_reg_find(vm, "rip"), &pc, &err), UKVM_OK);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT); /* a new call: it waits again */
    ukvm_destroy(vm);
}

static int fails_once(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    int *n = self;

    (void)call;
    if ((*n)++ > 0)
        return UKVM_OK;
    snprintf(err->msg, sizeof(err->msg), "disk: full");
    err->code = UKVM_ESYS;
    return UKVM_ESYS;
}

static void test_host_error_is_returned_and_tried_again(void **state)
{
    struct ukvm_exit ex[] = {call_exit(40), call_exit(40)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 2);
    struct ukvm_stop stop;
    struct ukvm_error err = {0};
    int n = 0;

    (void)state;
    assert_int_equal(ukvm_core_register_hypercall(vm, &again_desc, fails_once, &n, &err), 0);
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_ESYS);
    assert_string_equal(err.msg, "disk: full");
    assert_int_equal(pc_of(vm), PC);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_int_equal(n, 2);
    ukvm_destroy(vm);
}

static int uses_bad_pointer(void *self, struct ukvm_call *call, struct ukvm_error *err)
{
    (void)self, (void)err;
    return UKVM_CHECKED_GPA_P(call->vm, 0xffffff0000, 16) ? UKVM_OK : UKVM_EGUEST;
}

static void test_checked_pointer_names_the_place(void **state)
{
    struct ukvm_exit ex[] = {call_exit(40)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
    struct ukvm_stop stop;
    struct ukvm_error err;

    (void)state;
    assert_int_equal(ukvm_core_register_hypercall(vm, &again_desc, uses_bad_pointer, NULL, &err),
                     0);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_FAULT);
    assert_non_null(strstr(stop.msg, "again: 0xffffff0000 + 16 bytes"));
    assert_non_null(strstr(stop.msg, "test_run.c:"));
    ukvm_destroy(vm);
}

/* --- hooks ------------------------------------------------------------------ */

static char log_[256];

static int note_enter(void *self, const struct ukvm_call *c, struct ukvm_error *err)
{
    (void)err;
    sprintf(log_ + strlen(log_), "+%s%d ", (const char *)self, (int)c->seq);
    return UKVM_GO_ON;
}

static int note_leave(void *self, const struct ukvm_call *c, struct ukvm_error *err)
{
    (void)err;
    sprintf(log_ + strlen(log_), "-%s%d ", (const char *)self, (int)c->seq);
    return UKVM_GO_ON;
}

static int stop_enter(void *self, const struct ukvm_call *c, struct ukvm_error *err)
{
    note_enter(self, c, err);
    return UKVM_STOP_HERE;
}

static int stop_leave(void *self, const struct ukvm_call *c, struct ukvm_error *err)
{
    note_leave(self, c, err);
    return UKVM_STOP_HERE;
}

static void note_exit(void *self, const struct ukvm_exit *ex)
{
    (void)self;
    sprintf(log_ + strlen(log_), "x%d ", (int)ex->kind);
}

static void note_stop(void *self, const struct ukvm_stop *stop)
{
    (void)self;
    sprintf(log_ + strlen(log_), "s%d ", (int)stop->kind);
}

static const struct ukvm_hook_ops rec = {
    "record", UKVM_RANK_RECORD, NULL, note_enter, note_leave, NULL, NULL};
static const struct ukvm_hook_ops stats = {"stats",    UKVM_RANK_STATS, note_exit, note_enter,
                                           note_leave, note_stop,       NULL};
static const struct ukvm_hook_ops catch = {
    "catch", UKVM_RANK_CATCH, NULL, stop_enter, stop_leave, NULL, NULL};

static void test_hooks_nest_and_a_catch_suspends(void **state)
{
    struct ukvm_exit ex[] = {call_exit(1), call_exit(1)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 2);
    struct ukvm_stop stop;
    struct ukvm_error err;

    (void)state;
    log_[0] = '\0';
    assert_int_equal(ukvm_hook_add(vm, &rec, (void *)(uintptr_t) "R", &err), UKVM_OK);
    assert_int_equal(ukvm_hook_add(vm, &stats, (void *)(uintptr_t) "S", &err), UKVM_OK);
    assert_int_equal(ukvm_hook_add(vm, &catch, (void *)(uintptr_t) "C", &err), UKVM_OK);
    assert_int_equal(ukvm_hook_add(vm, &catch, NULL, &err), UKVM_ESTATE);

    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_CATCH);
    assert_false(stop.on_return);
    assert_int_equal(stop.hypercall, 1);
    assert_int_equal(pc_of(vm), PC);
    run_ok(vm, &stop); /* the same instruction again: goes on behind the catch */
    assert_int_equal(stop.kind, UKVM_STOP_CATCH);
    assert_true(stop.on_return);
    assert_int_equal(pc_of(vm), PC + 1);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_string_equal(log_, "x0 +S1 +C1 s7 x0 +R1 -R1 -C1 -S1 s7 x9 s0 ");
    assert_int_equal(ukvm_hook_remove(vm, "nobody", &err), UKVM_ENOENT);
    assert_int_equal(ukvm_hook_remove(vm, "catch", &err), UKVM_OK);
    ukvm_destroy(vm);
}

/* --- interrupts ------------------------------------------------------------- */

static void test_interrupt_before_a_run_ends_it_at_once(void **state)
{
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, NULL, 0);
    struct ukvm_stop stop;

    (void)state;
    ukvm_interrupt(vm);
    assert_int_equal(scripted.interrupts, 1);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    assert_int_equal(scripted.runs, 0);
    run_ok(vm, &stop); /* it is spent */
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    ukvm_destroy(vm);
}

static void test_stale_kick_is_no_stop(void **state)
{
    struct ukvm_exit ex[] = {{.kind = UKVM_EXIT_INTERRUPT, .pc = PC, .next = PC}};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
    struct ukvm_stop stop;

    (void)state;
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    ukvm_destroy(vm);
}

static void test_wait_is_interrupted_and_left_clean(void **state)
{
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, NULL, 0);
    struct ukvm_stop stop;
    struct ukvm_error err;

    (void)state;
    assert_int_equal(ukvm_wait(vm, NULL, 0, 1000, &err), 0);
    ukvm_interrupt(vm);
    assert_int_equal(ukvm_wait(vm, NULL, 0, -1, &err), UKVM_WAIT_INTERRUPTED);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_INTERRUPT);
    assert_int_equal(ukvm_wait(vm, NULL, 0, 1000, &err), 0);
    ukvm_destroy(vm);
}

/* --- handlers of a library user --------------------------------------------- */

static int mine(void *self, const struct ukvm_exit *ex, struct ukvm_error *err)
{
    int *n = self;

    (void)err;
    if (ex->kind != UKVM_EXIT_IO || ex->addr != 0x3f8)
        return UKVM_NOT_MINE;
    (*n)++;
    return UKVM_OK;
}

static void test_vmexit_handler_takes_an_exit(void **state)
{
    struct ukvm_exit ex[] = {
        {.kind = UKVM_EXIT_IO, .pc = PC, .next = PC + 1, .addr = 0x3f8, .len = 1, .write = true}};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
    struct ukvm_stop stop;
    struct ukvm_error err;
    int n = 0;

    (void)state;
    assert_int_equal(ukvm_core_register_vmexit(vm, mine, &n, &err), UKVM_OK);
    run_ok(vm, &stop);
    assert_int_equal(stop.kind, UKVM_STOP_EXIT);
    assert_int_equal(n, 1);
    ukvm_destroy(vm);
}

static void test_registration_refusals(void **state)
{
    static const struct ukvm_field beyond[] = {{"x", UKVM_F_U64, UKVM_IN, 8, 8, 0, false}};
    static const struct ukvm_field no_len[] = {{"x", UKVM_F_BUF, UKVM_IN, 0, 8, 3, false}};
    const struct ukvm_call_desc too_high = {"x", 0, 64, 8, 0, false, NULL, NULL};
    const struct ukvm_call_desc zero = {"x", 0, 0, 8, 0, false, NULL, NULL};
    const struct ukvm_call_desc taken = {"x", 0, 2, 8, 0, false, NULL, NULL};
    const struct ukvm_call_desc big = {"x", 0, 41, 65, 0, false, NULL, NULL};
    const struct ukvm_call_desc outside = {"x", 0, 41, 8, 1, false, beyond, NULL};
    const struct ukvm_call_desc lost = {"x", 0, 41, 8, 1, false, no_len, NULL};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, NULL, 0);
    struct ukvm_error err;

    (void)state;
    assert_int_equal(ukvm_core_register_hypercall(vm, &too_high, fails_once, NULL, &err),
                     UKVM_EINVAL);
    assert_int_equal(ukvm_core_register_hypercall(vm, &zero, fails_once, NULL, &err), UKVM_EINVAL);
    assert_int_equal(ukvm_core_register_hypercall(vm, &taken, fails_once, NULL, &err), UKVM_ESTATE);
    assert_int_equal(ukvm_core_register_hypercall(vm, &big, fails_once, NULL, &err), UKVM_EINVAL);
    assert_int_equal(ukvm_core_register_hypercall(vm, &outside, fails_once, NULL, &err),
                     UKVM_EINVAL);
    assert_int_equal(ukvm_core_register_hypercall(vm, &lost, fails_once, NULL, &err), UKVM_EINVAL);
    ukvm_destroy(vm);
}

static void *other_thread(void *arg)
{
    struct ukvm_stop stop;
    struct ukvm_error err;

    return (void *)(intptr_t)ukvm_run(arg, &stop, &err);
}

static void test_another_thread_is_refused(void **state)
{
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, NULL, 0);
    pthread_t t;
    void *rc;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, other_thread, vm), 0);
    assert_int_equal(pthread_join(t, &rc), 0);
    assert_int_equal((intptr_t)rc, UKVM_ESTATE);
    ukvm_destroy(vm);
}

/* --- what the backend is told ----------------------------------------------- */

static void test_writes_are_told_and_segments_protected(void **state)
{
    struct ukvm_exit ex[] = {call_exit(1)};
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, ex, 1);
    struct ukvm_stop stop;

    (void)state;
    assert_int_equal(scripted.nview, 2);
    assert_int_equal(scripted.view[0].gpa, 0x100000);
    assert_int_equal(scripted.view[0].len, 0x1000);
    run_ok(vm, &stop);
    assert_int_equal(scripted.nwrote, 1);
    assert_int_equal(scripted.wrote[0].gpa, ARG);
    assert_int_equal(scripted.wrote[0].len, 8);
    assert_true(get64(vm, ARG) > 1600000000000000000u);
    ukvm_destroy(vm);
}

static void test_backend_failures_are_errors(void **state)
{
    struct ukvm_stop stop;
    struct ukvm_error err;
    struct ukvm *vm = scripted_machine(UKVM_ABI_C, NULL, 0);

    (void)state;
    scripted.fail_set = 1;
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_ESYS);
    scripted.fail_set = 0;
    scripted.fail_run = 1;
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_ESYS);
    scripted.fail_run = 0;
    scripted.fail_settle = 1;
    assert_int_equal(ukvm_run(vm, &stop, &err), UKVM_ESYS);
    ukvm_destroy(vm);
    assert_int_equal(scripted.destroys, scripted.creates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halt_ends_with_status),
        cmocka_unit_test(test_hlt_ends_with_zero),
        cmocka_unit_test(test_faults_say_which_rule),
        cmocka_unit_test(test_buffer_rules),
        cmocka_unit_test(test_waiting_call_is_suspended_and_goes_on),
        cmocka_unit_test(test_writing_pc_drops_the_suspended_call),
        cmocka_unit_test(test_host_error_is_returned_and_tried_again),
        cmocka_unit_test(test_checked_pointer_names_the_place),
        cmocka_unit_test(test_hooks_nest_and_a_catch_suspends),
        cmocka_unit_test(test_interrupt_before_a_run_ends_it_at_once),
        cmocka_unit_test(test_stale_kick_is_no_stop),
        cmocka_unit_test(test_wait_is_interrupted_and_left_clean),
        cmocka_unit_test(test_vmexit_handler_takes_an_exit),
        cmocka_unit_test(test_registration_refusals),
        cmocka_unit_test(test_another_thread_is_refused),
        cmocka_unit_test(test_writes_are_told_and_segments_protected),
        cmocka_unit_test(test_backend_failures_are_errors),
    };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
