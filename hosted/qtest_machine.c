/*
 * qtest_machine.c - the machine around QEMU's devices as the kernel's PCI code and drivers see it:
 * interrupts, pages, and tables that a machine without firmware does not have.
 *
 * A message-signalled interrupt is a word that a device writes to an address: here into a page of
 * the arena, where platform_wait() finds it. An INTx line is shared, so whoever has a handler is
 * asked. Pages come from the arena, since a balloon gives them to QEMU. Read qtest.h first.
 */
#include <errno.h>
#include <stddef.h>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/mem.h"
#include "arch/x86_64/pci_impl.h"
#include "boot/bootinfo.h"
#include "hosted/hosted.h"
#include "hosted/qtest_impl.h"
#include "irq.h"
#include "memory.h"

#define MESSAGES 256
#define LINES 32
/* What the devices write; any value but 0 would do. */
#define MESSAGE_DATA 0x5a000000u

/* ---- what firmware would have said ---- */

const struct acpi_info *acpi_info(void)
{
    static const struct acpi_info none;

    return &none;
}

const struct bootinfo *memory_boot_map(void)
{
    static const struct bootinfo map = {.ram_count = 1,
                                        .ram = {{.start = 0, .end = UINT64_C(1) << 30}}};

    return &map;
}

uint64_t paging_limit(void)
{
    return UINT64_C(1) << 32;
}

int paging_map(uint64_t address, uint64_t length, enum paging_kind kind)
{
    (void)address;
    (void)length;
    (void)kind;
    return 0;
}

/* ---- interrupts by message ---- */

static struct {
    void (*handler)(void *arg);
    void *arg;
} message[MESSAGES];
static unsigned message_count;
static uint32_t *mailbox; /* [MESSAGES] in the arena, while any message has a handler */
static uint64_t messages, lines;

bool irq_messages_work(void)
{
    return true;
}

int irq_message_alloc(void (*handler)(void *arg), void *arg, const char *name,
                      struct irq_message *where)
{
    (void)name;
    if (!mailbox)
        mailbox = platform_dma_alloc(MESSAGES * sizeof(*mailbox), PAGE_SIZE);
    for (int i = 0; i < MESSAGES; i++) {
        if (message[i].handler)
            continue;
        message[i].handler = handler;
        message[i].arg = arg;
        message_count++;
        mailbox[i] = 0;
        *where = (struct irq_message){(uintptr_t)&mailbox[i], MESSAGE_DATA + (uint32_t)i};
        return i;
    }
    return -ENOSPC;
}

void irq_message_free(int id)
{
    if (id < 0)
        return;
    hosted_interrupt_cancel(message[id].handler, message[id].arg);
    message[id].handler = NULL;
    if (--message_count == 0) {
        platform_dma_free(mailbox, MESSAGES * sizeof(*mailbox));
        mailbox = NULL;
    }
}

static void look_for_messages(void)
{
    for (int i = 0; mailbox && i < MESSAGES; i++) {
        uint32_t data =
            message[i].handler ? __atomic_exchange_n(&mailbox[i], 0, __ATOMIC_ACQ_REL) : 0;

        if (!data)
            continue;
        if (data != MESSAGE_DATA + (uint32_t)i)
            hosted_fail("qtest: message %d arrived as 0x%x", i, data);
        messages++;
        hosted_interrupt_raise(message[i].handler, message[i].arg);
    }
}

/* ---- interrupts by line ---- */

static bool line_high[LINES];
static struct {
    bool (*handler)(void *arg);
    void *arg;
    struct pci_function *fn;
} listener[LINES];

void qtest_machine_line(unsigned line, bool high)
{
    if (line < LINES)
        line_high[line] = high;
}

static void ask_listeners(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < LINES; i++)
        if (listener[i].handler && listener[i].handler(listener[i].arg))
            lines++;
}

static bool is_any_line_high(void)
{
    /* The interrupts of a PC's own chips are not wired to PCI functions. */
    for (unsigned i = 16; i < 24; i++)
        if (line_high[i])
            return true;
    return false;
}

/* Lines are not routed here: whoever listens is asked. */
void pci_route_lines(void)
{
}

void pci_route_line(struct pci_function *fn)
{
    (void)fn;
}

/* All devices sit on the root bus. */
bool pci_has_hotplug_slot(const struct pci_function *bridge)
{
    (void)bridge;
    return false;
}

int pci_intx_enable(struct pci_function *fn, bool (*handler)(void *arg), void *arg,
                    const char *name)
{
    (void)name;
    if (!fn->interrupt_pin)
        return -ENODEV;
    for (unsigned i = 0; i < LINES; i++) {
        if (listener[i].handler)
            continue;
        listener[i].handler = handler;
        listener[i].arg = arg;
        listener[i].fn = fn;
        pci_command(fn, 0, PCI_COMMAND_INTX_DISABLE);
        return 0;
    }
    return -ENODEV;
}

void pci_intx_disable(struct pci_function *fn)
{
    pci_command(fn, PCI_COMMAND_INTX_DISABLE, 0);
    for (unsigned i = 0; i < LINES; i++)
        if (listener[i].fn == fn)
            listener[i].handler = NULL;
}

static void world(void *arg)
{
    (void)arg;
    look_for_messages();
    qtest_listen();
    if (is_any_line_high())
        hosted_interrupt_raise(ask_listeners, NULL);
}

void qtest_machine_attach(void)
{
    hosted_world_add(world, NULL);
}

uint64_t qtest_messages(void)
{
    return messages;
}

uint64_t qtest_lines(void)
{
    return lines;
}

/* ---- pages ---- */

void memory_set_release(size_t (*release)(void *arg, size_t pages), void *arg)
{
    (void)release;
    (void)arg;
}

void *memory_pages_alloc(size_t count, size_t align)
{
    return platform_dma_alloc(count * PAGE_SIZE, align);
}

void memory_pages_free(void *pages, size_t count)
{
    platform_dma_free(pages, count * PAGE_SIZE);
}

/* Free memory is not reported: the arena has none that nobody ever used. */
void *memory_unreported_take(void)
{
    return NULL;
}

void memory_unreported_return(void *block, bool reported)
{
    (void)block;
    (void)reported;
}
