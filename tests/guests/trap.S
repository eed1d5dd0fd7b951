/* SPDX-License-Identifier: ISC */
/*
 * Entry code of the test guests' 48 gates: saves all registers, calls trap(), goes on by IRETQ.
 * Depends on struct trap_frame of abi.h only.
 */
        .text

        .macro  stub vector
        .balign 16
stub\vector:
        /* The processor pushes an error code for 8, 10-14 and 17 only. */
        .if     !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
        pushq   $0
        .endif
        pushq   $\vector
        jmp     common
        .endm

        .altmacro
        .macro  stub_at n
        stub    \n
        .endm
        .set    n, 0
        .rept   48
        stub_at %n
        .set    n, n + 1
        .endr

common:
        .irp    reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        pushq   %\reg
        .endr
        movq    %rsp, %rdi
        cld
        call    trap
        .irp    reg, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
        popq    %\reg
        .endr
        addq    $16, %rsp
        iretq

        .section .rodata
        .balign 8
        .globl  trap_stubs
trap_stubs:
        .macro  address n
        .quad   stub\n
        .endm
        .set    n, 0
        .rept   48
        address %n
        .set    n, n + 1
        .endr

        .section .note.GNU-stack, "", @progbits
