/* SPDX-License-Identifier: ISC */
/*
 * kvm_smoke.c: the least that a KVM must do: run `mov al, 42; out 0x10, al; hlt` in
 * real mode. Shows that the nested machine works before anything else is tried there.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static const uint8_t code[] = {0xb0, 42, 0xe6, 0x10, 0xf4};

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    int cpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
    if (cpu < 0)
        return fail("/dev/kvm");

    uint8_t *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region slot = {
        .memory_size = 4096,
        .userspace_addr = (uintptr_t)mem,
    };
    struct kvm_regs regs = {.rflags = 2};
    struct kvm_sregs sregs;
    if (mem == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
        return fail("memory");
    memcpy(mem, code, sizeof(code));
    if (ioctl(cpu, KVM_GET_SREGS, &sregs))
        return fail("KVM_GET_SREGS");
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(cpu, KVM_SET_SREGS, &sregs) || ioctl(cpu, KVM_SET_REGS, &regs))
        return fail("KVM_SET_REGS");

    size_t size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
    if (run == MAP_FAILED || ioctl(cpu, KVM_RUN, 0))
        return fail("KVM_RUN");
    if (run->exit_reason != KVM_EXIT_IO || ((uint8_t *)run)[run->io.data_offset] != 42) {
        printf("exit %u, not an OUT of 42\n", run->exit_reason);
        return 1;
    }
    if (ioctl(cpu, KVM_RUN, 0) || run->exit_reason != KVM_EXIT_HLT) {
        printf("exit %u, not a HLT\n", run->exit_reason);
        return 1;
    }
    printf("out, hlt; tsc %d kHz\n", ioctl(cpu, KVM_GET_TSC_KHZ, 0));
    return 0;
}
