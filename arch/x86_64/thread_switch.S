/*
 * thread_switch.S - from one stack to another.
 *
 * Saves what a call must preserve (System V ABI, 3.2.1 and 3.2.3): six registers and the control
 * words of both floating-point units. Interrupts have stacks of their own and never switch. Read
 * thread_context.c next.
 */
    .text

/* void thread_switch(uint64_t **saved, uint64_t *stack) */
    .globl thread_switch
thread_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

/* Where a new stack begins: the function is in rbx, its argument in r12. It does not return. */
    .globl thread_start
thread_start:
    movq %r12, %rdi
    xorl %ebp, %ebp
    pushq $0
    jmp *%rbx

    .section .note.GNU-stack, "", @progbits
