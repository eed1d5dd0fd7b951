/* SPDX-License-Identifier: ISC */
/*
 * probe.c: the command probe: what each backend here can do, what the host lacks,
 * what an image is. Each "no" says how to mend it.
 */
#include "ukvmdbg/error.h"
#include "ukvmdbg/probe.h"
#include "ukvmdbg/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA "ukvmdbg-probe-1"

static void backend(struct ud_facts *f, const struct ukvm_report *r)
{
    char key[UD_KEY_MAX];

    if (!r->works)
        ud_facts_add(f, r->backend, "no: %s", r->why);
    else if (!r->full)
        ud_facts_add(f, r->backend, "partly: %s", r->why);
    else
        ud_facts_add(f, r->backend, "yes");
    for (size_t i = 0; i < r->nfacts; i++) {
        snprintf(key, sizeof(key), "%s.%s", r->backend, r->facts[i].name);
        for (char *p = key; *p; p++) /* a key is one word */
            if (*p == ' ')
                *p = '-';
        ud_facts_add(f, key, "%s", r->facts[i].value);
    }
}

/* Returns whether one works. */
static bool backends(struct ud_facts *f)
{
    char first[24] = "", partly[24] = "";
    struct ukvm_report r;

    for (size_t i = 0; ukvm_probe(i, NULL, &r) == UKVM_OK; i++) {
        backend(f, &r);
        if (r.works && r.full && !first[0])
            snprintf(first, sizeof(first), "%s", r.backend);
        if (r.works && !partly[0])
            snprintf(partly, sizeof(partly), "%s", r.backend);
    }
    if (!first[0])
        snprintf(first, sizeof(first), "%s", partly);
    ud_facts_add(f, "auto", "%s", first[0] ? first : "no: no backend works; make deps && make");
    return first[0] != '\0';
}

/* --- image ----------------------------------------------------------------------------- */

static const char *const families[] = {
    [UKVM_ABI_AUTO] = "not known", [UKVM_ABI_B] = "B", [UKVM_ABI_C] = "C"};

static void segments(struct ud_facts *f, const struct ukvm *vm)
{
    struct ukvm_segment seg;
    char key[UD_KEY_MAX];

    for (size_t i = 0; ukvm_segment_at(vm, i, &seg) == UKVM_OK; i++) {
        snprintf(key, sizeof(key), "image.segment%zu", i);
        ud_facts_add(f, key, "0x%" PRIx64 "..0x%" PRIx64 " %c%c%c, %" PRIu64 " bytes in the file",
                     seg.gpa, seg.gpa + seg.memsz, seg.prot & 4 ? 'r' : '-',
                     seg.prot & 2 ? 'w' : '-', seg.prot & 1 ? 'x' : '-', seg.filesz);
    }
}

/* Does the debug information have lines? At the entry point, at least. */
static void lines(struct ud_facts *f, struct ukvm *vm)
{
    struct ukvm_error err;
    const struct ud_dbg *dbg = ud_plugin_dbg(&err);
    char place[128];
    ukvm_gva_t pc;

    if (!dbg)
        ud_facts_add(f, "image.lines", "no: %s", err.msg);
    else if (ukvm_pc(vm, &pc, &err) == UKVM_OK &&
             dbg->line(ukvm_symbols_path(vm), pc, place, sizeof(place)))
        ud_facts_add(f, "image.lines", "yes, entry point at %s", place);
    else
        ud_facts_add(f, "image.lines", "no: none for the entry point; build with -g, or --symbols");
}

static void image(struct ud_facts *f, struct ukvm *vm)
{
    size_t n = 0;

    while (ukvm_sym_at(vm, n))
        n++;
    ud_facts_add(f, "image", "%s", ukvm_image_path(vm));
    ud_facts_add(f, "image.abi", "%s, %s", families[ukvm_abi(vm)], ukvm_arch_name(vm));
    segments(f, vm);
    ud_facts_add(f, "image.build-id", "%s",
                 ukvm_build_id(vm)[0] ? ukvm_build_id(vm) : "none; link with --build-id");
    if (n > 0)
        ud_facts_add(f, "image.symbols", "%zu, from %s", n, ukvm_symbols_path(vm));
    else
        ud_facts_add(f, "image.symbols", "no: stripped; --symbols=FILE");
    lines(f, vm);
}

/* What is odd about the image: the notes that are not about the choice of the backend. */
static void notes(struct ud_facts *f, const struct ukvm *vm)
{
    for (const char *p = ukvm_notes(vm); *p;) {
        size_t n = strcspn(p, "\n");

        if (strncmp(p, "--hv=", 5) != 0)
            ud_facts_add(f, "image.note", "%.*s", (int)n, p);
        p += n + (p[n] != '\0');
    }
}

/* Returns the exit status. */
static int probe_image(struct ud_facts *f, const struct ud_options *o)
{
    struct ud_session s = {.o = o};
    struct ukvm_error err;
    int status = ud_session_open(&s, &err);

    if (status != 0) {
        ud_facts_add(f, "image", "no: %s", err.msg);
        return status;
    }
    image(f, s.vm);
    notes(f, s.vm);
    ud_session_close(&s);
    return 0;
}

int ud_probe(const struct ud_options *o, struct ud_out *out)
{
    struct ud_facts f = {0};
    int status = 0;

    ud_probe_host(&f);
    if (!backends(&f))
        status = 1;
    if (o->image && status == 0)
        status = probe_image(&f, o);
    if (o->json)
        ud_facts_json(&f, SCHEMA, out);
    else
        ud_facts_text(&f, out);
    ud_facts_free(&f);
    return status;
}
