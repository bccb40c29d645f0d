/*
 * thread_context.c - stacks with a guard page, and thread-local blocks, for threads.
 *
 * Owns include/thread_context.h in the kernel. One run of pages holds a thread's guard page, its
 * stack, and at the top its thread-local block and its context. Who runs is boot/thread.c's
 * business. Read thread_switch.S next.
 */
#include "thread_context.h"

#include <stdint.h>

#include "memory.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/tls.h"

/* What thread_switch() pops, lowest address first. */
struct saved_registers {
    uint32_t mxcsr;
    uint16_t x87_control, unused;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    void (*resume)(void);
};

/* The state at power on of the units' control words, all exceptions masked. */
#define MXCSR_DEFAULT 0x1f80
#define X87_CONTROL_DEFAULT 0x037f

#define CACHE_LINE 64u

struct thread_context {
    uint64_t *stack_pointer;
    uint64_t thread_pointer;
    struct stack_bounds bounds;
    size_t pages;
    struct thread_context *next;
};

void thread_switch(uint64_t **saved, uint64_t *stack);
void thread_start(void);

static struct thread_context main_context;
static struct thread_context *contexts;

struct thread_context *thread_context_main(void)
{
    main_context.thread_pointer = cpu_read_msr(MSR_FS_BASE);
    return &main_context;
}

static uintptr_t down(uintptr_t address, size_t align)
{
    return address & ~(uintptr_t)(align - 1);
}

struct thread_context *thread_context_create(const char *name, size_t stack_size,
                                             void (*entry)(void *arg), void *arg)
{
    size_t above = sizeof(struct thread_context) + tls_block_size() + 2 * CACHE_LINE;
    size_t pages = 1 + (stack_size + above + PAGE_SIZE - 1) / PAGE_SIZE;
    uint8_t *memory = memory_pages_alloc(pages, PAGE_SIZE);
    if (memory == NULL)
        return NULL;
    if (paging_set_guard((uintptr_t)memory, true) != 0) {
        memory_pages_free(memory, pages);
        return NULL;
    }
    uintptr_t top = (uintptr_t)memory + pages * PAGE_SIZE;
    top = down(top - sizeof(struct thread_context), CACHE_LINE);
    struct thread_context *context = (struct thread_context *)top;
    top = down(top - tls_block_size(), CACHE_LINE);
    *context = (struct thread_context){
        .thread_pointer = tls_block_init((void *)top),
        .bounds = {.name = name, .guard = (uintptr_t)memory, .top = top},
        .pages = pages,
        .next = contexts,
    };
    contexts = context;

    struct saved_registers *saved = (struct saved_registers *)(top - sizeof(*saved));
    *saved = (struct saved_registers){
        .mxcsr = MXCSR_DEFAULT,
        .x87_control = X87_CONTROL_DEFAULT,
        .rbx = (uintptr_t)entry,
        .r12 = (uintptr_t)arg,
        .resume = thread_start,
    };
    context->stack_pointer = (uint64_t *)saved;
    return context;
}

void thread_context_destroy(struct thread_context *context)
{
    struct thread_context **link = &contexts;
    while (*link != context)
        link = &(*link)->next;
    *link = context->next;
    uintptr_t memory = context->bounds.guard;
    size_t pages = context->pages;
    paging_set_guard(memory, false);
    memory_pages_free((void *)memory, pages);
}

void thread_context_switch(struct thread_context *from, struct thread_context *to)
{
    cpu_write_msr(MSR_FS_BASE, to->thread_pointer);
    thread_switch(&from->stack_pointer, to->stack_pointer);
}

const struct stack_bounds *thread_context_stack_at(uint64_t address)
{
    for (const struct thread_context *context = contexts; context; context = context->next) {
        if (address >= context->bounds.guard && address < context->bounds.top)
            return &context->bounds;
    }
    return NULL;
}
