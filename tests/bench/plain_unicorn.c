/* SPDX-License-Identifier: ISC */
/*
 * plain_unicorn: an image's bytes on libunicorn without a hook on instructions:
 * plain_unicorn IMAGE. It answers no hypercall and ends at HALT.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

#define SIZE ((size_t)512 << 20)

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t value, void *data)
{
    (void)size, (void)value, (void)data;
    if (port == 0x50a)
        uc_emu_stop(uc);
}

static void put64(uc_engine *uc, int reg, uint64_t v)
{
    uc_reg_write(uc, reg, &v);
}

static uint64_t load(const char *path, uint8_t *m)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *f = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    const Elf64_Ehdr *eh = (const void *)f;
    const Elf64_Phdr *ph = (const void *)(f + eh->e_phoff);

    for (int i = 0; i < eh->e_phnum; i++)
        if (ph[i].p_type == PT_LOAD)
            memcpy(m + ph[i].p_paddr, f + ph[i].p_offset, ph[i].p_filesz);
    return eh->e_entry;
}

static void tables(uint8_t *m)
{
    static const uint64_t gdt[] = {0, 0x00AF99000000FFFF, 0x00CF93000000FFFF};
    uint64_t info[] = {SIZE, 0x400000, 0x6000, 2000000000}, l4 = 0x3003, l3 = 0x4003;

    memcpy(m + 0x5000, info, sizeof(info));
    memcpy(m + 0x1000, gdt, sizeof(gdt));
    memcpy(m + 0x2000, &l4, 8);
    memcpy(m + 0x3000, &l3, 8);
    for (uint64_t i = 0; i < SIZE >> 21; i++) {
        uint64_t e = (i << 21) + 0x83;

        memcpy(m + 0x4000 + 8 * i, &e, 8);
    }
}

int main(int argc, char **argv)
{
    uint8_t *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uc_x86_mmr gdtr = {.base = 0x1000, .limit = 23};
    uc_engine *uc;
    uc_hook out;
    uint64_t entry;

    if (argc < 2 || m == MAP_FAILED || uc_open(UC_ARCH_X86, UC_MODE_64, &uc) != UC_ERR_OK)
        return 1;
    entry = load(argv[1], m);
    tables(m);
    uc_ctl_exits_enable(uc);
    uc_mem_map_ptr(uc, 0, SIZE, UC_PROT_ALL, m);
    uc_hook_add(uc, &out, UC_HOOK_INSN, (void *)(uintptr_t)on_out, NULL, 1, 0, UC_X86_INS_OUT);
    uc_reg_write(uc, UC_X86_REG_GDTR, &gdtr);
    put64(uc, UC_X86_REG_CR3, 0x2000);
    put64(uc, UC_X86_REG_CR4, 0x620);
    put64(uc, UC_X86_REG_CR0, 0x80000021);
    put64(uc, UC_X86_REG_RSP, SIZE - 8);
    put64(uc, UC_X86_REG_RDI, 0x5000);
    return uc_emu_start(uc, entry, 0, 0, 0) == UC_ERR_OK ? 0 : 1;
}
