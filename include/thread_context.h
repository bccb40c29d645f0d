/*
 * thread_context.h - what a thread is to the machine: a stack, saved registers, thread-local data.
 *
 * Between boot/thread.c, which decides who runs, and the machine: arch/x86_64/thread_context.c in
 * the kernel, hosted/thread_context.c in a Linux process.
 */
#ifndef FERRULE_THREAD_CONTEXT_H
#define FERRULE_THREAD_CONTEXT_H

#include <stddef.h>

struct thread_context;

/* The context the system came up in; only to switch from and back to. */
struct thread_context *thread_context_main(void);

/*
 * A context that calls entry(arg) when it is switched to first; entry never returns. NULL: no
 * memory.
 */
struct thread_context *thread_context_create(const char *name, size_t stack_size,
                                             void (*entry)(void *arg), void *arg);

/* Frees one that is not running. */
void thread_context_destroy(struct thread_context *context);

/* Leaves `from`, which is running, and goes on in `to`; returns when somebody switches back. */
void thread_context_switch(struct thread_context *from, struct thread_context *to);

/* Frees what the C library keeps for the running thread, which is about to end (libc/locks.c). */
void thread_data_free(void);

#endif
