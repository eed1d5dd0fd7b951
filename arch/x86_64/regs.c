/* SPDX-License-Identifier: ISC */
/*
 * regs.c: the register table: all of the vCPU state, once. The order is that of the
 * remote protocol's target description, whose core feature GDB fixes; numbers follow.
 */
#include "arch/x86_64/x86.h"

#define CORE   "org.gnu.gdb.i386.core"
#define SSE    "org.gnu.gdb.i386.sse"
#define SEGS   "org.gnu.gdb.i386.segments"
#define SYSTEM "org.ukvmdbg.x86.system"

#define AT(member)   offsetof(struct ukvm_x86_state, member)
#define SIZE(member) sizeof(((struct ukvm_x86_state *)0)->member)
#define SEG(s, member)                                                                             \
    (AT(seg) + (s) * sizeof(struct ukvm_x86_seg) + offsetof(struct ukvm_x86_seg, member))

#define GPR(num, name, type, index, flags)                                                         \
    {                                                                                              \
        name, CORE, type, num, AT(gpr) + 8 * (index), 8, 8, UKVM_GPR, flags                        \
    }
#define SELECTOR(num, name, s)                                                                     \
    {                                                                                              \
        name, CORE, "int32", num, SEG(s, selector), 2, 4, UKVM_SYS, 0                              \
    }
#define X87(num, name, member, flags)                                                              \
    {                                                                                              \
        name, CORE, "int", num, AT(member), SIZE(member), 4, UKVM_FPU, flags                       \
    }
#define X87_HALF(num, name, member, byte)                                                          \
    {                                                                                              \
        name, CORE, "int", num, AT(member) + (byte), 4, 4, UKVM_FPU, UKVM_REG_VOLATILE             \
    }
#define ST(num, i)                                                                                 \
    {                                                                                              \
        "st" #i, CORE, "i387_ext", num, AT(st) + 16 * (i), 10, 10, UKVM_FPU, 0                     \
    }
#define XMM(num, i)                                                                                \
    {                                                                                              \
        "xmm" #i, SSE, "vec128", num, AT(xmm) + 16 * (i), 16, 16, UKVM_FPU, 0                      \
    }

#define SYS(num, name, type, member, group, flags)                                                 \
    {                                                                                              \
        name, SYSTEM, type, num, AT(member), SIZE(member), SIZE(member), group, flags              \
    }
#define HIDDEN_LIMIT(num, name, s)                                                                 \
    {                                                                                              \
        name, SYSTEM, "uint32", num, SEG(s, limit), 4, 4, UKVM_SYS, 0                              \
    }
#define HIDDEN_ATTR(num, name, s)                                                                  \
    {                                                                                              \
        name, SYSTEM, "uint16", num, SEG(s, attr), 2, 2, UKVM_SYS, 0                               \
    }
#define HIDDEN_BASE(num, name, s)                                                                  \
    {                                                                                              \
        name, SYSTEM, "data_ptr", num, SEG(s, base), 8, 8, UKVM_SYS, 0                             \
    }
#define SYSTEM_SELECTOR(num, name, s)                                                              \
    {                                                                                              \
        name, SYSTEM, "uint16", num, SEG(s, selector), 2, 2, UKVM_SYS, 0                           \
    }

/* Types that GDB lacks: i386_eflags, i386_mxcsr, x86_cr0, x86_cr4, x86_efer: flags. */
const struct ukvm_reg uk_x86_regs[] = {
    GPR(0, "rax", "int64", UKVM_RAX, UKVM_REG_ARG),
    GPR(1, "rbx", "int64", UKVM_RBX, 0),
    GPR(2, "rcx", "int64", UKVM_RCX, 0),
    GPR(3, "rdx", "int64", UKVM_RDX, 0),
    GPR(4, "rsi", "int64", UKVM_RSI, 0),
    GPR(5, "rdi", "int64", UKVM_RDI, 0),
    GPR(6, "rbp", "data_ptr", UKVM_RBP, UKVM_REG_FP),
    GPR(7, "rsp", "data_ptr", UKVM_RSP, UKVM_REG_SP),
    GPR(8, "r8", "int64", UKVM_R8, 0),
    GPR(9, "r9", "int64", UKVM_R9, 0),
    GPR(10, "r10", "int64", UKVM_R10, 0),
    GPR(11, "r11", "int64", UKVM_R11, 0),
    GPR(12, "r12", "int64", UKVM_R12, 0),
    GPR(13, "r13", "int64", UKVM_R13, 0),
    GPR(14, "r14", "int64", UKVM_R14, 0),
    GPR(15, "r15", "int64", UKVM_R15, 0),
    {"rip", CORE, "code_ptr", 16, AT(rip), 8, 8, UKVM_GPR, UKVM_REG_PC},
    {"eflags", CORE, "i386_eflags", 17, AT(rflags), 4, 4, UKVM_GPR, UKVM_REG_FLAGS},
    SELECTOR(18, "cs", UKVM_CS),
    SELECTOR(19, "ss", UKVM_SS),
    SELECTOR(20, "ds", UKVM_DS),
    SELECTOR(21, "es", UKVM_ES),
    SELECTOR(22, "fs", UKVM_FS),
    SELECTOR(23, "gs", UKVM_GS),
    ST(24, 0),
    ST(25, 1),
    ST(26, 2),
    ST(27, 3),
    ST(28, 4),
    ST(29, 5),
    ST(30, 6),
    ST(31, 7),
    X87(32, "fctrl", fcw, 0),
    X87(33, "fstat", fsw, 0),
    X87(34, "ftag", ftw, UKVM_REG_READONLY | UKVM_REG_TAGS),
    X87_HALF(35, "fiseg", fip, 4),
    X87_HALF(36, "fioff", fip, 0),
    X87_HALF(37, "foseg", fdp, 4),
    X87_HALF(38, "fooff", fdp, 0),
    X87(39, "fop", fop, UKVM_REG_VOLATILE),
    XMM(40, 0),
    XMM(41, 1),
    XMM(42, 2),
    XMM(43, 3),
    XMM(44, 4),
    XMM(45, 5),
    XMM(46, 6),
    XMM(47, 7),
    XMM(48, 8),
    XMM(49, 9),
    XMM(50, 10),
    XMM(51, 11),
    XMM(52, 12),
    XMM(53, 13),
    XMM(54, 14),
    XMM(55, 15),
    {"mxcsr", SSE, "i386_mxcsr", 56, AT(mxcsr), 4, 4, UKVM_FPU, 0},
    {"fs_base", SEGS, "data_ptr", 57, SEG(UKVM_FS, base), 8, 8, UKVM_SYS, 0},
    {"gs_base", SEGS, "data_ptr", 58, SEG(UKVM_GS, base), 8, 8, UKVM_SYS, 0},
    SYS(59, "cr0", "x86_cr0", cr0, UKVM_SYS, 0),
    SYS(60, "cr2", "data_ptr", cr2, UKVM_SYS, 0),
    SYS(61, "cr3", "uint64", cr3, UKVM_SYS, 0),
    SYS(62, "cr4", "x86_cr4", cr4, UKVM_SYS, 0),
    SYS(63, "cr8", "uint64", cr8, UKVM_SYS, 0),
    SYS(64, "efer", "x86_efer", efer, UKVM_SYS, 0),
    SYS(65, "gdtr_base", "data_ptr", gdt.base, UKVM_SYS, 0),
    SYS(66, "gdtr_limit", "uint32", gdt.limit, UKVM_SYS, 0),
    SYS(67, "idtr_base", "data_ptr", idt.base, UKVM_SYS, 0),
    SYS(68, "idtr_limit", "uint32", idt.limit, UKVM_SYS, 0),
    SYSTEM_SELECTOR(69, "ldtr", UKVM_LDTR),
    HIDDEN_BASE(70, "ldtr_base", UKVM_LDTR),
    HIDDEN_LIMIT(71, "ldtr_limit", UKVM_LDTR),
    HIDDEN_ATTR(72, "ldtr_attr", UKVM_LDTR),
    SYSTEM_SELECTOR(73, "tr", UKVM_TR),
    HIDDEN_BASE(74, "tr_base", UKVM_TR),
    HIDDEN_LIMIT(75, "tr_limit", UKVM_TR),
    HIDDEN_ATTR(76, "tr_attr", UKVM_TR),
    HIDDEN_BASE(77, "cs_base", UKVM_CS),
    HIDDEN_LIMIT(78, "cs_limit", UKVM_CS),
    HIDDEN_ATTR(79, "cs_attr", UKVM_CS),
    HIDDEN_BASE(80, "ss_base", UKVM_SS),
    HIDDEN_LIMIT(81, "ss_limit", UKVM_SS),
    HIDDEN_ATTR(82, "ss_attr", UKVM_SS),
    HIDDEN_BASE(83, "ds_base", UKVM_DS),
    HIDDEN_LIMIT(84, "ds_limit", UKVM_DS),
    HIDDEN_ATTR(85, "ds_attr", UKVM_DS),
    HIDDEN_BASE(86, "es_base", UKVM_ES),
    HIDDEN_LIMIT(87, "es_limit", UKVM_ES),
    HIDDEN_ATTR(88, "es_attr", UKVM_ES),
    HIDDEN_LIMIT(89, "fs_limit", UKVM_FS),
    HIDDEN_ATTR(90, "fs_attr", UKVM_FS),
    HIDDEN_LIMIT(91, "gs_limit", UKVM_GS),
    HIDDEN_ATTR(92, "gs_attr", UKVM_GS),
    SYS(93, "star", "uint64", star, UKVM_MSR, 0),
    SYS(94, "lstar", "uint64", lstar, UKVM_MSR, 0),
    SYS(95, "cstar", "uint64", cstar, UKVM_MSR, 0),
    SYS(96, "fmask", "uint64", sfmask, UKVM_MSR, 0),
    SYS(97, "kernel_gs_base", "uint64", kernel_gs_base, UKVM_MSR, 0),
    SYS(98, "sysenter_cs", "uint64", sysenter_cs, UKVM_MSR, 0),
    SYS(99, "sysenter_esp", "uint64", sysenter_esp, UKVM_MSR, 0),
    SYS(100, "sysenter_eip", "uint64", sysenter_eip, UKVM_MSR, 0),
    SYS(101, "pat", "uint64", pat, UKVM_MSR, 0),
    SYS(102, "tsc", "uint64", tsc, UKVM_MSR, UKVM_REG_VOLATILE),
    SYS(103, "dr0", "data_ptr", dr[0], UKVM_SYS, 0),
    SYS(104, "dr1", "data_ptr", dr[1], UKVM_SYS, 0),
    SYS(105, "dr2", "data_ptr", dr[2], UKVM_SYS, 0),
    SYS(106, "dr3", "data_ptr", dr[3], UKVM_SYS, 0),
    SYS(107, "dr6", "uint64", dr6, UKVM_SYS, 0),
    SYS(108, "dr7", "uint64", dr7, UKVM_SYS, 0),
    SYS(109, "exc_pending", "uint8", exc_pending, UKVM_EVENT, 0),
    SYS(110, "exc_vector", "uint8", exc_vector, UKVM_EVENT, 0),
    SYS(111, "exc_has_code", "uint8", exc_has_code, UKVM_EVENT, 0),
    SYS(112, "exc_code", "uint32", exc_code, UKVM_EVENT, 0),
    SYS(113, "intr_shadow", "uint8", intr_shadow, UKVM_EVENT, 0),
};
