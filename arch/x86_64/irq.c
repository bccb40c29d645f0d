/*
 * irq.c - the vector table, shared lines, and the one place where interrupts are enabled:
 * platform_wait().
 *
 * Owns include/irq.h. Message-signalled interrupts have a vector each; the handlers of a line share
 * one. Because handlers run only inside platform_wait(), nothing here needs a lock. Read
 * boot/loop.c for who waits.
 */
#include "irq.h"

#include <errno.h>

#include "log.h"
#include "machine.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/apic.h"
#include "arch/x86_64/trap.h"

/* Below lie the masked 8259's vectors, above the timer and the spurious vector. */
#define VECTOR_FIRST 0x30
#define VECTOR_COUNT 192
#define VECTOR_TIMER 0xf0
#define VECTOR_SPURIOUS 0xff

#define MESSAGE_ADDRESS 0xfee00000u

#define LINES_MAX 24
#define LINE_HANDLERS_MAX 64
/*
 * So many interrupts in a row that no handler owns up to mean that a device without driver holds
 * the line.
 */
#define UNCLAIMED_MAX 1000

/* A wait shorter than this is over before the timer is set. */
#define SHORTEST_WAIT_NS 1000
/* Without interrupts a wait without an end still returns, so that the caller can look again. */
#define POLLING_WAIT_NS 50000

struct vector {
    void (*handler)(void *arg);
    void *arg;
    const char *name;
};

struct line {
    unsigned gsi;
    int vector_id;
    unsigned handler_count;
    unsigned unclaimed;
    bool given_up, reported;
};

struct line_handler {
    struct line *line; /* NULL: a free slot */
    bool (*handler)(void *arg);
    void *arg;
    const char *name;
};

static struct vector vectors[VECTOR_COUNT];
static struct line lines[LINES_MAX];
static struct line_handler line_handlers[LINE_HANDLERS_MAX];
static unsigned lines_given_up;
static bool interrupts_work;
static uint64_t interrupts_handled;
static uint64_t timer_deadline_ns; /* what the timer is set for; 0: it is not running */

bool irq_init(void)
{
    unsigned pins;

    interrupts_work = apic_init(VECTOR_TIMER, VECTOR_SPURIOUS);
    if (!interrupts_work) {
        log_warn("irq: no local APIC, devices are polled");
        return false;
    }
    pins = ioapic_init();
    if (pins == 0)
        log_warn("irq: no I/O APIC, only message-signalled interrupts work");
    else
        log_debug("irq: %u I/O APIC pins", pins);
    return true;
}

bool irq_messages_work(void)
{
    return interrupts_work;
}

uint64_t irq_count(void)
{
    return interrupts_handled;
}

static int vector_alloc(void (*handler)(void *arg), void *arg, const char *name)
{
    for (int id = 0; id < VECTOR_COUNT; id++) {
        if (vectors[id].handler == NULL) {
            vectors[id] = (struct vector){handler, arg, name};
            return id;
        }
    }
    return -ENOSPC;
}

int irq_message_alloc(void (*handler)(void *arg), void *arg, const char *name,
                      struct irq_message *message)
{
    int id = interrupts_work ? vector_alloc(handler, arg, name) : -ENODEV;

    if (id >= 0) {
        message->address = MESSAGE_ADDRESS | apic_id() << 12;
        message->data = (uint32_t)(VECTOR_FIRST + id);
    }
    return id;
}

void irq_message_free(int id)
{
    if (id >= 0 && id < VECTOR_COUNT)
        vectors[id] = (struct vector){NULL, NULL, NULL};
}

/*
 * The vector handler of a line: asks every driver on it. A line that nobody owns would interrupt
 * for ever, so it is masked.
 */
static void line_interrupt(void *arg)
{
    struct line *line = arg;
    bool claimed = false;

    for (unsigned i = 0; i < LINE_HANDLERS_MAX; i++) {
        if (line_handlers[i].line == line && line_handlers[i].handler(line_handlers[i].arg))
            claimed = true;
    }
    if (claimed) {
        line->unclaimed = 0;
    } else if (++line->unclaimed == UNCLAIMED_MAX) {
        ioapic_mask(line->gsi);
        line->given_up = true;
        lines_given_up++;
    }
}

static struct line *line_find(unsigned gsi)
{
    for (unsigned i = 0; i < LINES_MAX; i++) {
        if (lines[i].handler_count > 0 && lines[i].gsi == gsi)
            return &lines[i];
    }
    return NULL;
}

static struct line *line_open(unsigned gsi, bool active_low, const char *name, int *error)
{
    struct line *line = NULL;

    for (unsigned i = 0; i < LINES_MAX && line == NULL; i++) {
        if (lines[i].handler_count == 0)
            line = &lines[i];
    }
    *error = -ENOSPC;
    if (line == NULL)
        return NULL;
    *line = (struct line){.gsi = gsi, .vector_id = vector_alloc(line_interrupt, line, name)};
    if (line->vector_id < 0)
        return NULL;
    *error = ioapic_route(gsi, active_low, (uint8_t)(VECTOR_FIRST + line->vector_id));
    if (*error < 0) {
        irq_message_free(line->vector_id);
        return NULL;
    }
    return line;
}

int irq_line_add(unsigned gsi, bool active_low, bool (*handler)(void *arg), void *arg,
                 const char *name)
{
    struct line_handler *slot = NULL;
    struct line *line;
    int error;

    if (!interrupts_work)
        return -EINVAL;
    for (unsigned i = 0; i < LINE_HANDLERS_MAX && slot == NULL; i++) {
        if (line_handlers[i].line == NULL)
            slot = &line_handlers[i];
    }
    if (slot == NULL)
        return -ENOSPC;
    line = line_find(gsi);
    if (line == NULL) {
        acpi_gsi_override(gsi, &active_low);
        line = line_open(gsi, active_low, name, &error);
        if (line == NULL)
            return error;
    }
    line->handler_count++;
    *slot = (struct line_handler){line, handler, arg, name};
    return 0;
}

unsigned irq_isa_line(unsigned isa_irq)
{
    return acpi_isa_irq_to_gsi(isa_irq);
}

void irq_line_remove(unsigned gsi, bool (*handler)(void *arg), void *arg)
{
    struct line *line = line_find(gsi);

    for (unsigned i = 0; line != NULL && i < LINE_HANDLERS_MAX; i++) {
        struct line_handler *h = &line_handlers[i];

        if (h->line != line || h->handler != handler || h->arg != arg)
            continue;
        *h = (struct line_handler){NULL, NULL, NULL, NULL};
        if (--line->handler_count == 0) {
            ioapic_mask(gsi);
            irq_message_free(line->vector_id);
        }
        return;
    }
}

void irq_dispatch(unsigned vector)
{
    if (vector == VECTOR_SPURIOUS || vector < VECTOR_FIRST)
        return;
    interrupts_handled++;
    if (vector == VECTOR_TIMER) {
        timer_deadline_ns = 0;
    } else if (vector < VECTOR_FIRST + VECTOR_COUNT) {
        const struct vector *v = &vectors[vector - VECTOR_FIRST];

        /* Freed while its interrupt was on the way: nothing left to do. */
        if (v->handler != NULL)
            v->handler(v->arg);
    }
    apic_end_of_interrupt();
}

/* Handlers must not log, so the loss of a line is told afterwards. */
static void report_lines_given_up(void)
{
    for (unsigned i = 0; i < LINES_MAX; i++) {
        if (lines[i].given_up && !lines[i].reported) {
            lines[i].reported = true;
            log_warn("irq: line %u masked: interrupts that no driver claims", lines[i].gsi);
        }
    }
    lines_given_up = 0;
}

static void wait_polling(uint64_t deadline_ns)
{
    uint64_t end_ns = platform_now_ns() + POLLING_WAIT_NS;

    if (end_ns > deadline_ns)
        end_ns = deadline_ns;
    while (platform_now_ns() < end_ns)
        platform_relax();
}

void platform_wait(uint64_t deadline_ns)
{
    if (!interrupts_work) {
        wait_polling(deadline_ns);
        return;
    }
    /*
     * Waits with one deadline after the other ask for the same one most of the time: the timer then
     * keeps running.
     */
    if (deadline_ns != PLATFORM_NO_DEADLINE && deadline_ns != timer_deadline_ns) {
        uint64_t now_ns = platform_now_ns();

        if (deadline_ns < now_ns + SHORTEST_WAIT_NS)
            return;
        timer_deadline_ns = now_ns + apic_timer_start(deadline_ns - now_ns);
    }
    /*
     * sti takes effect after the next instruction, so no interrupt gets in between and is slept
     * through.
     */
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    if (lines_given_up > 0)
        report_lines_given_up();
}
