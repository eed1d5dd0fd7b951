/* SPDX-License-Identifier: ISC */
/*
 * x86_64: the entry point, the last instruction, and the exception entries. Frames are described
 * for debuggers, so that a backtrace from the end leads to the instruction that failed.
 */
    .section .text.start, "ax", @progbits
    .globl _start
    .type _start, @function
/* RDI: boot information; RSP: 8 below the end of memory. */
_start:
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    pushq $0
    call uk_guest_start
    ud2
    .cfi_endproc
    .size _start, . - _start

    .text
    .globl uk_guest_end
    .type uk_guest_end, @function
/*
 * RDI: a struct ukvm_halt. The number is an immediate, whatever the optimisation: monitors tell
 * an image of family C from one of B by these five bytes (mov edx, 0x50a).
 */
uk_guest_end:
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
#ifndef UKVM_ABI_B
    movl %edi, %eax
    movl $0x50a, %edx
    outl %eax, %dx
#endif
1:  hlt
    jmp 1b
    .cfi_endproc
    .size uk_guest_end, . - uk_guest_end

#ifdef UKVM_ABI_B
/* An image of family B has no such bytes: what tells it are these words. */
    .section .rodata
    .asciz "ukvm_guest: family B"
    .text
#endif

/*
 * One entry a vector: completes what the processor pushed to a struct ukvm_trap_frame, with the
 * vector in the place of cr2.
 */
    .macro ENTRY vec, has_code
    .type trap_\vec, @function
trap_\vec:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa rsp, 40 + 8 * \has_code
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    .if \has_code == 0
    pushq $0
    .cfi_adjust_cfa_offset 8
    .endif
    pushq $\vec
    .cfi_adjust_cfa_offset 8
    jmp trap_common
    .cfi_endproc
    .size trap_\vec, . - trap_\vec
    .endm

    .macro SAVE reg
    pushq %\reg
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \reg, 0
    .endm

    .irp vec, 0, 1, 2, 3, 4, 5, 6, 7, 16, 18, 19, 20
    ENTRY \vec, 0
    .endr
    .irp vec, 8, 10, 11, 12, 13, 14, 17
    ENTRY \vec, 1
    .endr

    .type trap_common, @function
trap_common:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa rsp, 56
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    .irp reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    SAVE \reg
    .endr
    leaq 120(%rsp), %rsi
    movq (%rsi), %rdi
    xorl %eax, %eax
    cmpl $14, %edi
    jne 1f
    movq %cr2, %rax
1:  movq %rax, (%rsi)
    call uk_guest_trap
    ud2
    .cfi_endproc
    .size trap_common, . - trap_common

    .section .rodata
    .balign 8
    .globl uk_guest_trap_entries
    .type uk_guest_trap_entries, @object
uk_guest_trap_entries:
    .quad trap_0, trap_1, trap_2, trap_3, trap_4, trap_5, trap_6, trap_7, trap_8, 0
    .quad trap_10, trap_11, trap_12, trap_13, trap_14, 0, trap_16, trap_17, trap_18, trap_19
    .quad trap_20
    .size uk_guest_trap_entries, . - uk_guest_trap_entries

    .section .note.GNU-stack, "", @progbits
