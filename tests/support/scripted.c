/* SPDX-License-Identifier: ISC */
/*
 * scripted.c: the scripted backend. Depends on nothing that executes guests.
 */
#include "tests/support/scripted.h"
#include "core/error.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct scripted scripted;

static void probe(struct ukvm_report *r)
{
    r->works = r->full = true;
}

static int create(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    (void)cfg;
    if (scripted.fail_create)
        return uk_error(err, UKVM_ESYS, "scripted: create fails");
    scripted.creates++;
    hv->b = (struct ukvm_hvb *)&scripted;
    hv->caps = scripted.caps;
    return UKVM_OK;
}

static void destroy(struct ukvm_hv *hv)
{
    (void)hv;
    scripted.destroys++;
}

static int get(struct ukvm_hv *hv, unsigned groups, struct ukvm_state *st, struct ukvm_error *err)
{
    (void)hv, (void)groups;
    scripted.gets++;
    if (scripted.fail_get)
        return uk_error(err, UKVM_ESYS, "scripted: get fails");
    memcpy(st, &scripted.st, sizeof(scripted.st));
    return UKVM_OK;
}

static int set(struct ukvm_hv *hv, unsigned groups, const struct ukvm_state *st,
               struct ukvm_error *err)
{
    (void)hv;
    scripted.sets++;
    scripted.set_groups = groups;
    if (scripted.fail_set)
        return uk_error(err, UKVM_ESYS, "scripted: set fails");
    memcpy(&scripted.st, st, sizeof(scripted.st));
    return UKVM_OK;
}

static int run(struct ukvm_hv *hv, const struct ukvm_hv_run *how, struct ukvm_exit *ex,
               struct ukvm_error *err)
{
    (void)hv;
    if (++scripted.runs == scripted.fail_run)
        return uk_error(err, UKVM_ESYS, "scripted: run fails");
    if (scripted.on_run)
        scripted.on_run(&scripted, how);
    if (scripted.at < scripted.nexits)
        *ex = scripted.exits[scripted.at++];
    else
        *ex = (struct ukvm_exit){.kind = UKVM_EXIT_HALT, .pc = 0x100fff, .next = 0x101000};
    scripted.st.rip = scripted.pc_before ? ex->pc : ex->next;
    return UKVM_OK;
}

static int settle(struct ukvm_hv *hv, struct ukvm_exit *ex, struct ukvm_error *err)
{
    (void)hv;
    scripted.settles++;
    if (scripted.fail_settle)
        return uk_error(err, UKVM_ESYS, "scripted: settle fails");
    scripted.st.rip = ex->next;
    return UKVM_OK;
}

static int protect(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len, unsigned prot,
                   struct ukvm_error *err)
{
    (void)hv, (void)prot, (void)err;
    if (scripted.nview < 16)
        scripted.view[scripted.nview++] = (struct ukvm_range){gpa, len};
    return UKVM_OK;
}

static void wrote(struct ukvm_hv *hv, ukvm_gpa_t gpa, size_t len)
{
    (void)hv;
    if (scripted.nwrote < 64)
        scripted.wrote[scripted.nwrote++] = (struct ukvm_range){gpa, len};
}

static uint64_t tsc_hz(struct ukvm_hv *hv, struct ukvm_error *err)
{
    (void)hv;
    if (scripted.tsc_hz == 0)
        uk_error(err, UKVM_ENOTSUP, "scripted: time-stamp counter: unstable");
    return scripted.tsc_hz;
}

static void interrupt(struct ukvm_hv *hv)
{
    (void)hv;
    scripted.interrupts++;
}

const struct ukvm_hv_ops scripted_ops = {
    .name = "scripted",
    .probe = probe,
    .create = create,
    .destroy = destroy,
    .get = get,
    .set = set,
    .enter = uk_hv_no_enter,
    .leave = uk_hv_no_leave,
    .run = run,
    .settle = settle,
    .arm = uk_hv_no_arm,
    .protect = protect,
    .wrote = wrote,
    .count = uk_hv_no_count,
    .tsc_hz = tsc_hz,
    .interrupt = interrupt,
};

/* --- an image ------------------------------------------------------------------------ */

static char path[] = "/tmp/ukvm-scripted-XXXXXX";

static void remove_image(void)
{
    unlink(path);
}

struct file {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[2];
    char mark[64];
};

static void headers(struct file *f, size_t code)
{
    memcpy(f->eh.e_ident, ELFMAG, SELFMAG);
    f->eh.e_ident[EI_CLASS] = ELFCLASS64;
    f->eh.e_ident[EI_DATA] = ELFDATA2LSB;
    f->eh.e_ident[EI_VERSION] = EV_CURRENT;
    f->eh.e_type = ET_EXEC;
    f->eh.e_machine = EM_X86_64;
    f->eh.e_version = EV_CURRENT;
    f->eh.e_entry = 0x100000;
    f->eh.e_phoff = sizeof(f->eh);
    f->eh.e_ehsize = sizeof(f->eh);
    f->eh.e_phentsize = sizeof(f->ph[0]);
    f->eh.e_phnum = 2;
    f->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_X,
                            .p_offset = 4096,
                            .p_vaddr = 0x100000,
                            .p_paddr = 0x100000,
                            .p_filesz = code,
                            .p_memsz = code,
                            .p_align = 4096};
    f->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_W,
                            .p_offset = 0,
                            .p_vaddr = 0x200000,
                            .p_paddr = 0x200000,
                            .p_filesz = sizeof(*f),
                            .p_memsz = 0x10000,
                            .p_align = 4096};
}

const char *scripted_image(enum ukvm_abi abi, const void *code, size_t n)
{
    static const char marks[2][40] = {"solo5_app_main() returned with %d", "solo5_exit(%d)"};
    static const uint8_t out_50a[] = {0xba, 0x0a, 0x05, 0x00, 0x00};
    struct file f = {0};
    uint8_t text[4096] = {0};
    size_t mark = abi == UKVM_ABI_C ? sizeof(out_50a) : 0;
    FILE *fp;
    int fd;

    strcpy(path, "/tmp/ukvm-scripted-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0 && n + mark <= sizeof(text));
    atexit(remove_image);
    memcpy(text, code, n);
    memcpy(text + n, out_50a, mark);
    headers(&f, n + mark);
    memcpy(f.mark, marks[abi == UKVM_ABI_C], sizeof(marks[0]));
    fp = fdopen(fd, "wb");
    assert_non_null(fp);
    assert_int_equal(fwrite(&f, sizeof(f), 1, fp), 1);
    assert_int_equal(fseek(fp, 4096, SEEK_SET), 0);
    assert_int_equal(fwrite(text, n + mark, 1, fp), 1);
    assert_int_equal(fclose(fp), 0);
    return path;
}

struct ukvm *scripted_machine(enum ukvm_abi abi, const struct ukvm_exit *exits, size_t n)
{
    static int null;
    struct ukvm_config cfg = {.ops = &scripted_ops, .mem_size = (size_t)16 << 20};
    struct ukvm_error err = {0};
    struct ukvm *vm;

    memset(&scripted, 0, sizeof(scripted));
    scripted.exits = exits;
    scripted.nexits = n;
    scripted.tsc_hz = 2000000000;
    scripted.caps = UKVM_CAP_STEP;
    if (null == 0)
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    cfg.console_fd = null;
    cfg.image = scripted_image(abi, "\xf4", 1);
    if (ukvm_create(&vm, &cfg, &err) != UKVM_OK || ukvm_boot(vm, 0, NULL, &err) != UKVM_OK)
        fail_msg("machine: %s", err.msg);
    return vm;
}
