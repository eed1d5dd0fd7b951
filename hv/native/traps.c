/* SPDX-License-Identifier: ISC */
/*
 * traps.c: what is armed: int3 in guest memory for instructions, planted only while the
 * guest runs; the processor's debug registers for data, shared with the guest's own use
 * of them (SDM vol. 3, 17.2).
 */
#include "core/error.h"
#include "hv/native/native.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#define INT3    0xcc
#define DR6_HIT UINT64_C(0xf)
#define DR6_BS  UINT64_C(0x4000)

/* --- int3 --------------------------------------------------------------------------- */

static bool plantable(const struct ukvm_hv *hv, const struct uk_native_trap *t)
{
    return t->len == 0 && t->addr >= UK_NATIVE_FIRST && t->addr < hv->mem_size;
}

void uk_native_plant(struct ukvm_hv *hv)
{
    for (size_t i = 0; i < hv->b->ntraps; i++) {
        struct uk_native_trap *t = &hv->b->traps[i];

        if (!plantable(hv, t))
            continue;
        t->old = hv->mem[t->addr];
        hv->mem[t->addr] = INT3;
    }
}

/* In reverse; what the guest wrote there itself stays. */
void uk_native_lift(struct ukvm_hv *hv)
{
    for (size_t i = hv->b->ntraps; i-- > 0;) {
        const struct uk_native_trap *t = &hv->b->traps[i];

        if (plantable(hv, t) && hv->mem[t->addr] == INT3)
            hv->mem[t->addr] = t->old;
    }
}

bool uk_native_armed(const struct ukvm_hvb *b, ukvm_gva_t addr)
{
    for (size_t i = 0; i < b->ntraps; i++)
        if (b->traps[i].len == 0 && b->traps[i].addr == addr)
            return true;
    return false;
}

/* --- debug registers ------------------------------------------------------------------- */

static unsigned enabled(uint64_t dr7, int i)
{
    return (dr7 >> (2 * i)) & 3;
}

/* Length and kind of a data breakpoint, as DR7 has them (SDM vol. 3, 17.2.4). */
static uint64_t control(int i, unsigned len, bool write)
{
    static const uint64_t lens[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

    return (uint64_t)1 << (2 * i) | (lens[len] << 2 | (write ? 1 : 3)) << (16 + 4 * i);
}

static bool watchable(const struct ukvm_trap *t)
{
    return t->kind != UKVM_TRAP_READ && t->kind != UKVM_TRAP_EXEC &&
           (t->len == 1 || t->len == 2 || t->len == 4 || t->len == 8) && t->addr % t->len == 0 &&
           t->addr < UINT64_C(0x800000000000);
}

static int poke(struct ukvm_hvb *b, int dr, uint64_t value, struct ukvm_error *err)
{
    size_t at = offsetof(struct user, u_debugreg) + 8 * (size_t)dr;

    if (ptrace(PTRACE_POKEUSER, b->pid, at, value) && errno != ESRCH)
        return uk_error_sys(err, "remove a watchpoint", "native: debug register %d: 0x%llx", dr,
                            (unsigned long long)value);
    return UKVM_OK;
}

/* The guest's own breakpoints keep their registers; ours take the others, in order. */
int uk_native_load_drs(struct ukvm_hvb *b, struct ukvm_error *err)
{
    uint64_t dr[UK_NATIVE_DRS], dr7 = 0;
    size_t t = 0;
    int rc = UKVM_OK;

    for (int i = 0; i < UK_NATIVE_DRS; i++) {
        dr[i] = b->st.dr[i];
        if (enabled(b->st.dr7, i)) {
            dr7 |= b->st.dr7 & ((uint64_t)3 << (2 * i) | (uint64_t)0xf << (16 + 4 * i));
            continue;
        }
        while (t < b->ntraps && b->traps[t].len == 0)
            t++;
        if (t == b->ntraps)
            continue;
        dr[i] = b->traps[t].addr;
        dr7 |= control(i, b->traps[t].len, b->traps[t].write);
        t++;
    }
    if (!dr7 && !b->drs_loaded)
        return UKVM_OK;
    if (b->drs_loaded)
        rc = poke(b, 7, 0, err);
    for (int i = 0; rc == UKVM_OK && i < UK_NATIVE_DRS; i++)
        if (enabled(dr7, i))
            rc = poke(b, i, dr[i], err);
    if (rc == UKVM_OK && dr7)
        rc = poke(b, 7, dr7, err);
    b->drs_loaded = dr7 != 0;
    return rc;
}

/*
 * Do they fire here? Some hypervisors take them and do nothing. The child tries, on its
 * own first bytes: mov al, [rip + 1]; int3; int3.
 */
bool uk_native_watches(struct ukvm_hv *hv)
{
    static const uint8_t code[] = {0x8a, 0x05, 0x01, 0x00, 0x00, 0x00, INT3, INT3};
    struct ukvm_hvb *b = hv->b;
    uint64_t rip = 0;
    bool fired = poke(b, 0, uk_native_executable(hv) + 7, NULL) == UKVM_OK &&
                 poke(b, 7, control(0, 1, false), NULL) == UKVM_OK &&
                 uk_native_try(hv, code, sizeof(code), &rip) == UKVM_OK && rip == 6;

    poke(b, 7, 0, NULL);
    poke(b, 6, 0, NULL);
    return fired;
}

static size_t guests_own(const struct ukvm_hvb *b)
{
    size_t n = 0;

    for (int i = 0; i < UK_NATIVE_DRS; i++)
        n += enabled(b->st.dr7, i) != 0;
    return n;
}

int uk_native_arm(struct ukvm_hv *hv, const struct ukvm_trap *traps, size_t n, bool *done,
                  struct ukvm_error *err)
{
    struct ukvm_hvb *b = hv->b;
    struct uk_native_trap *taken = n ? calloc(n, sizeof(*taken)) : NULL;
    size_t watches = guests_own(b);

    if (n && !taken)
        return uk_error(err, UKVM_ENOMEM, "native: %zu traps: out of memory", n);
    free(b->traps);
    b->traps = taken;
    b->ntraps = 0;
    for (size_t i = 0; i < n; i++) {
        bool exec = traps[i].kind == UKVM_TRAP_EXEC;

        done[i] = exec ||
                  ((hv->caps & UKVM_CAP_WATCH) && watchable(&traps[i]) && watches < UK_NATIVE_DRS);
        if (!done[i])
            continue;
        watches += exec ? 0 : 1;
        taken[b->ntraps++] = (struct uk_native_trap){
            .addr = traps[i].addr,
            .len = exec ? 0 : (uint8_t)traps[i].len,
            .write = traps[i].kind == UKVM_TRAP_WRITE,
        };
    }
    return b->dead ? UKVM_OK : uk_native_load_drs(b, err);
}

/* --- a debug exception -------------------------------------------------------------------- */

/* The trap of ours in debug register (i), as uk_native_load_drs() has put it there. */
static const struct uk_native_trap *in_register(const struct ukvm_hvb *b, int i)
{
    size_t t = 0;

    for (int k = 0; k <= i; k++) {
        if (enabled(b->st.dr7, k))
            continue;
        while (t < b->ntraps && b->traps[t].len == 0)
            t++;
        if (k == i)
            break;
        t++;
    }
    return enabled(b->st.dr7, i) || t >= b->ntraps ? NULL : &b->traps[t];
}

static void watch_hit(const struct uk_native_trap *t, struct ukvm_exit *ex)
{
    ex->kind = UKVM_EXIT_WATCH;
    ex->addr = t->addr;
    ex->len = t->len;
    ex->write = t->write;
}

int uk_native_debug(struct ukvm_hvb *b, struct ukvm_exit *ex, struct ukvm_error *err)
{
    uint64_t dr6, guest = 0;

    errno = 0;
    dr6 = (uint64_t)ptrace(PTRACE_PEEKUSER, b->pid, offsetof(struct user, u_debugreg[6]), NULL);
    if (errno)
        return uk_error_sys(err, NULL, "native: debug status register");
    if (poke(b, 6, 0, err) != UKVM_OK)
        return UKVM_ESYS;
    ex->kind = UKVM_EXIT_STEP;
    for (int i = 0; i < UK_NATIVE_DRS; i++) {
        if (!(dr6 >> i & 1))
            continue;
        if (in_register(b, i))
            watch_hit(in_register(b, i), ex);
        else if (enabled(b->st.dr7, i))
            guest |= UINT64_C(1) << i;
    }
    if (b->regs.eflags & UKVM_RFLAGS_TF)
        guest |= DR6_BS;
    if (!guest)
        return UKVM_OK;
    ex->kind = UKVM_EXIT_EXCEPTION;
    ex->vector = UK_X86_DB;
    b->st.dr6 = (b->st.dr6 & ~DR6_HIT) | guest;
    return UKVM_OK;
}
