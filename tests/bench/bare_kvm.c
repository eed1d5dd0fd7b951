/* SPDX-License-Identifier: ISC */
/*
 * bare_kvm: the least that runs an image's bytes on KVM: bare_kvm IMAGE MIB [ARGS].
 * It answers no hypercall and ends at HALT: what a monitor costs is measured against it.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    size_t size = (size_t)atoi(argv[2]) << 20;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);
    uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = {0, 0, 0, size, (uintptr_t)m};
    struct kvm_segment code = {0, ~0u, 8, 9, 1, 0, 0, 1, 1, 1, 0, 0, 0};
    struct kvm_segment data = {0, ~0u, 16, 3, 1, 0, 1, 1, 0, 1, 0, 0, 0};
    struct kvm_regs regs = {.rdi = 0x5000, .rsp = size - 8, .rflags = 2};
    struct kvm_sregs s;
    int cpu, fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    uint8_t *f = mmap(NULL, (size_t)lseek(fd, 0, SEEK_END), PROT_READ, MAP_PRIVATE, fd, 0);
    Elf64_Phdr *ph = (Elf64_Phdr *)(void *)(f + ((Elf64_Ehdr *)(void *)f)->e_phoff);

    for (int i = 0; i < ((Elf64_Ehdr *)(void *)f)->e_phnum; i++)
        if (ph[i].p_type == PT_LOAD)
            memcpy(m + ph[i].p_paddr, f + ph[i].p_offset, ph[i].p_filesz);
    regs.rip = ((Elf64_Ehdr *)(void *)f)->e_entry;
    memcpy(m + 0x5000, (uint64_t[]){size, 0x400000, 0x6000, 2000000000}, 32);
    strcpy((char *)m + 0x6000, argc > 3 ? argv[3] : "");
    memcpy(m + 0x1000, (uint64_t[]){0, 0x00AF99000000FFFF, 0x00CF93000000FFFF}, 24);
    *(uint64_t *)(void *)(m + 0x2000) = 0x3003, *(uint64_t *)(void *)(m + 0x3000) = 0x4003;
    for (uint64_t i = 0; i < size >> 21; i++)
        ((uint64_t *)(void *)(m + 0x4000))[i] = (i << 21) + 0x83;
    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
    cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    struct kvm_run *run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
                               PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
    ioctl(cpu, KVM_GET_SREGS, &s);
    s.cs = code, s.ss = s.ds = s.es = s.fs = s.gs = data;
    s.gdt.base = 0x1000, s.gdt.limit = 23;
    s.cr0 = 0x80000021, s.cr3 = 0x2000, s.cr4 = 0x620, s.efer = 0x500;
    ioctl(cpu, KVM_SET_SREGS, &s);
    ioctl(cpu, KVM_SET_REGS, &regs);
    while (ioctl(cpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_IO)
        if (run->io.port == 0x50a)
            return 0;
    fprintf(stderr, "bare_kvm: exit reason %u\n", run->exit_reason);
    return 1;
}
