/* SPDX-License-Identifier: ISC */
/*
 * kvm.c: the KVM backend's vtable, and making and freeing its VM.
 */
#include "hv/kvm/kvm.h"
#include "core/error.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_CPUID 256 /* entries; KVM has about 100 */

static int no_device(struct ukvm_error *err)
{
    static const struct {
        int error;
        const char *next;
    } hints[] = {
        {ENOENT, "no KVM on this machine: modprobe kvm_intel or kvm_amd, enable virtualisation "
                 "in the firmware, or use --hv=emu"},
        {EACCES, "join its group (sudo usermod -aG kvm $USER, then log in again), or use --hv=emu"},
        {EPERM, "this container is not given the device, or use --hv=emu"},
        {ENXIO, "the kernel module has no processor support, or use --hv=emu"},
        {ENODEV, "the kernel module has no processor support, or use --hv=emu"},
    };

    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (hints[i].error == errno)
            return uk_error_sys(err, hints[i].next, "/dev/kvm");
    return uk_error_sys(err, "use --hv=emu", "/dev/kvm");
}

static int check_extensions(int fd, struct ukvm_error *err)
{
    static const struct {
        int cap;
        const char *name;
    } needed[] = {
        {KVM_CAP_USER_MEMORY, "USER_MEMORY"},
        {KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
        {KVM_CAP_SYNC_REGS, "SYNC_REGS"},
        {KVM_CAP_READONLY_MEM, "READONLY_MEM"},
        {KVM_CAP_SET_GUEST_DEBUG, "SET_GUEST_DEBUG"},
        {KVM_CAP_XSAVE, "XSAVE"},
        {KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS"},
        {KVM_CAP_DEBUGREGS, "DEBUGREGS"},
        {KVM_CAP_GET_TSC_KHZ, "GET_TSC_KHZ"},
        {KVM_CAP_EXT_CPUID, "EXT_CPUID"},
    };
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);

    if (version != KVM_API_VERSION)
        return uk_error(err, UKVM_ENOTSUP, "/dev/kvm: API version %d, not %d; use --hv=emu",
                        version, KVM_API_VERSION);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
            return uk_error(err, UKVM_ENOTSUP,
                            "/dev/kvm: no KVM_CAP_%s; it needs Linux 4.17, or use --hv=emu",
                            needed[i].name);
    return UKVM_OK;
}

int uk_kvm_open(int *fd, struct ukvm_error *err)
{
    int rc;

    *fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return no_device(err);
    rc = check_extensions(*fd, err);
    if (rc == UKVM_OK)
        return UKVM_OK;
    close(*fd);
    *fd = -1;
    return rc;
}

/* Everything that KVM supports, unfiltered, as the original did. */
static int set_cpuid(struct ukvm_hvb *b, struct ukvm_error *err)
{
    union {
        struct kvm_cpuid2 head;
        uint8_t space[sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
    } table = {.head.nent = MAX_CPUID};

    if (ioctl(b->kvm, KVM_GET_SUPPORTED_CPUID, &table))
        return uk_error_sys(err, NULL, "KVM_GET_SUPPORTED_CPUID");
    if (ioctl(b->cpu, KVM_SET_CPUID2, &table))
        return uk_error_sys(err, NULL, "KVM_SET_CPUID2");
    return UKVM_OK;
}

static int map_run(struct ukvm_hvb *b, struct ukvm_error *err)
{
    int size = ioctl(b->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    void *p;

    if (size < (int)sizeof(struct kvm_run))
        return uk_error_sys(err, NULL, "KVM_GET_VCPU_MMAP_SIZE");
    p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, b->cpu, 0);
    if (p == MAP_FAILED)
        return uk_error_sys(err, NULL, "KVM: mapping the vCPU");
    b->run = p;
    b->run_size = (size_t)size;
    b->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    return UKVM_OK;
}

/* Without it, an access that KVM can't emulate is #UD in a guest's user mode. Since 5.14. */
static void exit_on_emulation_failure(struct ukvm_hvb *b)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {1}};

    ioctl(b->vm, KVM_ENABLE_CAP, &cap);
}

int uk_kvm_new(struct ukvm_hvb *b, struct ukvm_error *err)
{
    int rc;

    b->vm = ioctl(b->kvm, KVM_CREATE_VM, 0);
    if (b->vm < 0)
        return uk_error_sys(err, "use --hv=emu", "KVM_CREATE_VM");
    exit_on_emulation_failure(b);
    b->cpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
    if (b->cpu < 0)
        return uk_error_sys(err, "use --hv=emu", "KVM_CREATE_VCPU");
    rc = map_run(b, err);
    if (rc == UKVM_OK)
        rc = set_cpuid(b, err);
    if (rc == UKVM_OK && ioctl(b->cpu, KVM_GET_SREGS, &b->sregs))
        rc = uk_error_sys(err, NULL, "KVM_GET_SREGS");
    if (rc == UKVM_OK && ioctl(b->cpu, KVM_GET_REGS, &b->run->s.regs.regs))
        rc = uk_error_sys(err, NULL, "KVM_GET_REGS");
    return rc;
}

void uk_kvm_close(struct ukvm_hvb *b)
{
    if (b->run)
        munmap(b->run, b->run_size);
    if (b->cpu >= 0)
        close(b->cpu);
    if (b->vm >= 0)
        close(b->vm);
    if (b->kvm >= 0)
        close(b->kvm);
}

static void destroy(struct ukvm_hv *hv)
{
    uk_kvm_leave(hv);
    uk_kvm_close(hv->b);
    free(hv->b);
    hv->b = NULL;
}

static int create(struct ukvm_hv *hv, const struct ukvm_hv_config *cfg, struct ukvm_error *err)
{
    struct ukvm_hvb *b;
    int rc;

    if (cfg->e_machine != EM_X86_64)
        return uk_error(err, UKVM_ENOTSUP,
                        "kvm: runs guests of this machine's architecture, "
                        "x86_64; use --hv=emu");
    b = calloc(1, sizeof(*b));
    if (!b)
        return uk_error(err, UKVM_ENOMEM, "kvm: out of memory");
    b->kvm = b->vm = b->cpu = -1;
    b->signal = cfg->interrupt_signal ? cfg->interrupt_signal : SIGURG;
    hv->b = b;
    rc = uk_kvm_open(&b->kvm, err);
    if (rc == UKVM_OK)
        rc = uk_kvm_new(b, err);
    if (rc != UKVM_OK) {
        destroy(hv);
        return rc;
    }
    uk_kvm_view_init(hv);
    hv->caps = UKVM_CAP_STEP | UKVM_CAP_FP;
    return UKVM_OK;
}

uint64_t uk_kvm_tsc_hz(struct ukvm_hv *hv, struct ukvm_error *err)
{
    int khz = ioctl(hv->b->cpu, KVM_GET_TSC_KHZ, 0);

    if (khz > 0)
        return (uint64_t)khz * 1000;
    uk_error(err, UKVM_ENOTSUP,
             "kvm: this machine's time-stamp counter is unstable; "
             "use --hv=emu");
    return 0;
}

const struct ukvm_hv_ops ukvm_hv_kvm = {
    .name = "kvm",
    .probe = uk_kvm_probe,
    .create = create,
    .destroy = destroy,
    .get = uk_kvm_get,
    .set = uk_kvm_set,
    .enter = uk_kvm_enter,
    .leave = uk_kvm_leave,
    .run = uk_kvm_run,
    .settle = uk_kvm_settle,
    .arm = uk_hv_no_arm,
    .protect = uk_kvm_protect,
    .wrote = uk_hv_no_wrote,
    .count = uk_hv_no_count,
    .tsc_hz = uk_kvm_tsc_hz,
    .interrupt = uk_kvm_interrupt,
};
