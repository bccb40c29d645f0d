/*
 * trap.S - the 256 interrupt entries, the common path to trap_handle(), and the stacks they run on.
 *
 * Every entry has a stack of its own (IST, set in trap.c): libgcc's helpers use the red zone below
 * %rsp, and a fault may come from a stack that has overflowed. No SSE register is touched on the
 * way, so none is saved. Read trap.c next.
 */
    .text

/*
 * 16 bytes each. The CPU pushes an error code for some exceptions; the others get a zero, so that
 * frames look alike.
 */
    .balign 16
    .globl trap_entries
trap_entries:
    .set vector, 0
    .rept 256
    .balign 16
    .set pushes_error, (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17)
    .set pushes_error, pushes_error | (vector == 21) | (vector == 29) | (vector == 30)
    .if !pushes_error
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

/* The pushes build struct trap_frame from its end. */
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call trap_handle
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

/*
 * void trap_load_tables(const void *gdt_pointer, const void *idt_pointer): also reloads the segment
 * registers.
 */
    .globl trap_load_tables
trap_load_tables:
    lgdt (%rdi)
    lidt (%rsi)
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $24, %eax
    ltr %ax
    popq %rax
    pushq $8
    pushq %rax
    lretq

    .macro stack name, kib
    .globl \name\()_guard, \name\()_top
\name\()_guard:
    .skip 4096
    .skip \kib * 1024
\name\()_top:
    .endm

    .section .stacks, "aw", @nobits
    .balign 4096
    stack fatal_stack, 12
    stack nmi_stack, 12
    stack exception_stack, 12
    stack interrupt_stack, 12

    .section .note.GNU-stack, "", @progbits
