/* SPDX-License-Identifier: ISC */
/*
 * scan.c: does the image contain instructions whose results differ on a backend that
 * runs guests without privilege? Straight through its code: notes for people, so that a
 * false one (data among code) costs little.
 */
#include "core/machine.h"

#include <inttypes.h>
#include <string.h>

#define MAX_KINDS 16

/* Is this the first of its kind? */
static bool first(const char **seen, size_t *n, const char *what)
{
    for (size_t i = 0; i < *n; i++)
        if (seen[i] == what)
            return false;
    if (*n == MAX_KINDS)
        return false;
    seen[(*n)++] = what;
    return true;
}

static void scan_segment(struct ukvm *vm, const struct ukvm_segment *s, const char **seen,
                         size_t *n)
{
    const uint8_t *p = vm->mem + s->gpa;

    for (size_t at = 0; at < s->filesz;) {
        size_t used = 0, left = s->filesz - at;
        size_t len = left < vm->arch->max_insn ? left : vm->arch->max_insn;
        const char *what = vm->arch->shows(p + at, len, &used);

        if (what && first(seen, n, what))
            uk_machine_note(vm, "--hv=%s: at 0x%" PRIx64 ": %s; --hv=emu has no such difference",
                            vm->hv->ops->name, s->gpa + at, what);
        at += used ? used : 1;
    }
}

void uk_scan(struct ukvm *vm)
{
    const char *seen[MAX_KINDS];
    size_t n = 0;

    if (!(vm->hv->caps & UKVM_CAP_USER))
        return;
    for (size_t i = 0; i < vm->image->nseg; i++)
        if (vm->image->seg[i].prot & UKVM_PROT_X)
            scan_segment(vm, &vm->image->seg[i], seen, &n);
}
