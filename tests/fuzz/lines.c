/*
 * lines.c - see lines.h. One handler a line. An interrupt comes as soon as there is one.
 */
#include "lines.h"

#include <errno.h>

#include "hosted/hosted.h"
#include "irq.h"

#define LINES 24u

static struct line {
    bool (*handler)(void *arg);
    void *arg;
} lines[LINES];

static void deliver(void *arg)
{
    const struct line *line = arg;

    if (line->handler)
        line->handler(line->arg);
}

void lines_raise(unsigned gsi)
{
    hosted_interrupt_raise(deliver, &lines[gsi]);
}

unsigned irq_isa_line(unsigned isa_irq)
{
    return isa_irq;
}

int irq_line_add(unsigned gsi, bool active_low, bool (*handler)(void *arg), void *arg,
                 const char *name)
{
    (void)active_low;
    (void)name;
    if (gsi >= LINES)
        return -EINVAL;
    lines[gsi] = (struct line){handler, arg};
    lines_raise(gsi);
    return 0;
}

void irq_line_remove(unsigned gsi, bool (*handler)(void *arg), void *arg)
{
    if (gsi >= LINES || lines[gsi].handler != handler || lines[gsi].arg != arg)
        hosted_fail("a line was given up that was not taken");
    lines[gsi].handler = NULL;
}
