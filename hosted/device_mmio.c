/*
 * device_mmio.c - virtio over MMIO (4.2) in front of the model device; mmio.h and the lines of
 * irq.h as tests see them.
 *
 * Each register access is checked against 4.2.2.2, 4.2.3 and 4.2.4 before it reaches the state
 * machine of device.c. Read device_front.h first.
 */
#include "hosted/device_mmio.h"

#include <errno.h>
#include <string.h>

#include "hosted/violation.h"
#include "irq.h"

#define MAX_DEVICES 8
#define MAX_STRANGERS 4
#define MAGIC 0x74726976u

/* What the front remembers to check the order of accesses. */
struct mmio_front {
    struct device *device; /* NULL: a free slot */
    uint64_t address;
    unsigned line;
    bool line_level;
    bool magic_read, version_read, id_read;
    bool device_sel_written, driver_sel_written;
    bool idle_seen;   /* QueueReady or QueuePFN of the selected queue read as 0 */
    bool stop_unread; /* 0 was written to it, and not read back */
    bool page_size_given;
    uint32_t alignment;
};

struct stranger {
    uint32_t value[3];
};

static struct mmio_front fronts[MAX_DEVICES];
static struct stranger strangers[MAX_STRANGERS];
static unsigned stranger_count;
static const struct mmio_place *places;
static unsigned place_count;
static const char *words = "";
static bool lines_refused;
static struct line_handler {
    unsigned gsi;
    bool (*handler)(void *arg);
    void *arg;
} handlers[MAX_DEVICES];

/* ---- registers ---- */

enum access { NONE = 0, READ = 1, WRITE = 2, LEGACY = 4, MODERN = 8 };

static const struct {
    uint16_t offset;
    uint8_t access;
    uint8_t common,
        width; /* the same register in the common configuration structure; width 0: none */
} registers[] = {
    {MM_MAGIC, READ, 0, 0},
    {MM_VERSION, READ, 0, 0},
    {MM_DEVICE_ID, READ, 0, 0},
    {MM_VENDOR_ID, READ, 0, 0},
    {MM_DEVICE_FEATURES, READ, CC_DEVICE_FEATURE, 4},
    {MM_DEVICE_FEATURES_SEL, WRITE, CC_DEVICE_FEATURE_SELECT, 4},
    {MM_DRIVER_FEATURES, WRITE, CC_DRIVER_FEATURE, 4},
    {MM_DRIVER_FEATURES_SEL, WRITE, CC_DRIVER_FEATURE_SELECT, 4},
    {MM_GUEST_PAGE_SIZE, WRITE | LEGACY, 0, 0},
    {MM_QUEUE_SEL, WRITE, CC_QUEUE_SELECT, 2},
    {MM_QUEUE_SIZE_MAX, READ, 0, 0},
    {MM_QUEUE_SIZE, WRITE, CC_QUEUE_SIZE, 2},
    {MM_QUEUE_ALIGN, WRITE | LEGACY, 0, 0},
    {MM_QUEUE_PFN, READ | WRITE | LEGACY, 0, 0},
    {MM_QUEUE_READY, READ | WRITE | MODERN, 0, 0},
    {MM_QUEUE_NOTIFY, WRITE, 0, 0},
    {MM_INTERRUPT_STATUS, READ, 0, 0},
    {MM_INTERRUPT_ACK, WRITE, 0, 0},
    {MM_STATUS, READ | WRITE, CC_DEVICE_STATUS, 1},
    {MM_QUEUE_DESC, WRITE | MODERN, CC_QUEUE_DESC, 4},
    {MM_QUEUE_DESC + 4, WRITE | MODERN, CC_QUEUE_DESC + 4, 4},
    {MM_QUEUE_DRIVER, WRITE | MODERN, CC_QUEUE_DRIVER, 4},
    {MM_QUEUE_DRIVER + 4, WRITE | MODERN, CC_QUEUE_DRIVER + 4, 4},
    {MM_QUEUE_DEVICE, WRITE | MODERN, CC_QUEUE_DEVICE, 4},
    {MM_QUEUE_DEVICE + 4, WRITE | MODERN, CC_QUEUE_DEVICE + 4, 4},
    {MM_QUEUE_RESET, READ | WRITE | MODERN, CC_QUEUE_RESET, 2},
    {MM_CONFIG_GENERATION, READ | MODERN, CC_CONFIG_GENERATION, 1},
};

/* The register that an access reaches, or -1 after saying why it must not. */
static int checked(const struct mmio_front *m, unsigned offset, unsigned width, enum access access)
{
    unsigned kind = device_is_legacy(m->device) ? LEGACY : MODERN;

    if (width != 4 || offset % 4) {
        violation("MMIO-REG-4", "%u-byte access to register %#x", width, offset);
        return -1;
    }
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        unsigned only = registers[i].access & (LEGACY | MODERN);

        if (registers[i].offset != offset || (only && only != kind))
            continue;
        if (registers[i].access & access)
            return (int)i;
        violation(access == READ ? "MMIO-REG-3" : "MMIO-REG-2", "%s register %#x %s",
                  access == READ ? "write-only" : "read-only", offset,
                  access == READ ? "read" : "written");
        return -1;
    }
    violation("MMIO-REG-1", "register %#x, which does not exist", offset);
    return -1;
}

static struct device_queue *selected(struct device *device)
{
    return device->queue_select < device->queues ? &device->queue[device->queue_select] : NULL;
}

/* 4.2.3.1.1 */
static void check_order(struct mmio_front *m, unsigned offset)
{
    if (offset != MM_MAGIC && offset != MM_VERSION && !(m->magic_read && m->version_read))
        violation("MMIO-INIT-1", "register %#x read before magic value and version", offset);
    if (offset > MM_DEVICE_ID && !m->id_read)
        violation("MMIO-INIT-2", "register %#x read before the device ID", offset);
    m->magic_read |= offset == MM_MAGIC;
    m->version_read |= offset == MM_VERSION;
    m->id_read |= offset == MM_DEVICE_ID;
}

static uint64_t read_queue_state(struct mmio_front *m)
{
    struct device_queue *q = selected(m->device);

    m->stop_unread = false;
    m->idle_seen = !q || !q->enabled;
    if (!q || !q->enabled)
        return 0;
    return device_is_legacy(m->device) ? q->area[0] / LEGACY_PAGE : 1;
}

static uint64_t read_register(struct mmio_front *m, unsigned offset, int i)
{
    struct device *device = m->device;

    check_order(m, offset);
    if (device->lies.gone) {
        m->stop_unread &= offset != MM_QUEUE_READY;
        return UINT32_MAX;
    }
    switch (offset) {
    case MM_MAGIC:
        return MAGIC;
    case MM_VERSION:
        return device_is_legacy(device) ? 1 : 2;
    case MM_DEVICE_ID:
        return device->type->id;
    case MM_VENDOR_ID:
        return 0x1af4;
    case MM_QUEUE_SIZE_MAX:
        return selected(device) ? selected(device)->max_size : 0;
    case MM_QUEUE_READY:
    case MM_QUEUE_PFN:
        return read_queue_state(m);
    case MM_INTERRUPT_STATUS:
        /* Bits that do not exist must be ignored (4.2.2.2). */
        return device->isr | 0x80000004u;
    case MM_DEVICE_FEATURES:
        if (!m->device_sel_written)
            violation("MMIO-REG-10", "DeviceFeatures read without a selection");
        break;
    }
    return device_common_read(device, registers[i].common, registers[i].width);
}

static uint64_t mmio_read(void *arg, uint64_t at, unsigned width)
{
    struct mmio_front *m = arg;
    unsigned offset = (unsigned)at;
    int i;

    if (offset >= MM_CONFIG)
        return device_config_read(m->device, offset - MM_CONFIG, width);
    i = checked(m, offset, width, READ);
    return i < 0 ? 0 : read_register(m, offset, i);
}

static void write_queue_ready(struct mmio_front *m, uint64_t value)
{
    struct device_queue *q = selected(m->device);

    if (value == 0 && q) {
        ring_device_finish(&q->ring);
        q->enabled = q->kicked = false;
        m->stop_unread = true;
        return;
    }
    if (!m->idle_seen)
        violation("MMIO-T-VQ-1", "queue %u enabled without a look at QueueReady",
                  m->device->queue_select);
    device_common_write(m->device, CC_QUEUE_ENABLE, 2, value);
}

static void write_queue_pfn(struct mmio_front *m, uint64_t value)
{
    struct device_queue *q = selected(m->device);

    if (value == 0 && q) {
        ring_device_finish(&q->ring);
        q->enabled = q->kicked = false;
        return;
    }
    if (!m->idle_seen)
        violation("LEG-MMIO-2", "queue %u enabled without a look at QueuePFN",
                  m->device->queue_select);
    if (!m->page_size_given || m->alignment == 0) {
        violation("LEG-MMIO-1", "QueuePFN written before GuestPageSize or QueueAlign");
        return;
    }
    device_enable_legacy_ring(m->device, value * LEGACY_PAGE, m->alignment);
}

static void acknowledge(struct mmio_front *m, uint32_t value)
{
    if (value & ~(uint32_t)(ISR_QUEUE | ISR_CONFIG))
        violation("MMIO-REG-18", "%#x written to InterruptACK", value);
    m->device->isr &= (uint8_t)~value;
    m->line_level = m->device->isr != 0;
}

/* Checks that concern one register, before the state machine sees the write. */
static void check_write(struct mmio_front *m, unsigned offset, uint64_t value)
{
    const struct device_queue *q = selected(m->device);

    if (m->stop_unread)
        violation("MMIO-REG-15", "register %#x written before QueueReady was read back", offset);
    if (offset == MM_DRIVER_FEATURES && !m->driver_sel_written)
        violation("MMIO-REG-11", "DriverFeatures written without a selection");
    if (offset == MM_QUEUE_SIZE && q && value > q->max_size)
        violation("MMIO-REG-12", "QueueSize %u of %u", (unsigned)value, q->max_size);
    if ((offset == MM_QUEUE_SIZE || (offset >= MM_QUEUE_DESC && offset <= MM_QUEUE_DEVICE + 4)) &&
        q && q->enabled)
        violation("MMIO-REG-13", "register %#x written while the queue is enabled", offset);
    m->device_sel_written |= offset == MM_DEVICE_FEATURES_SEL;
    m->driver_sel_written |= offset == MM_DRIVER_FEATURES_SEL;
    if (offset == MM_QUEUE_SEL)
        m->idle_seen = false;
    if (offset == MM_STATUS && value == 0)
        m->page_size_given = m->idle_seen = m->device_sel_written = m->driver_sel_written = false;
}

static void write_register(struct mmio_front *m, unsigned offset, uint64_t value, int i)
{
    check_write(m, offset, value);
    switch (offset) {
    case MM_GUEST_PAGE_SIZE:
        if (value != LEGACY_PAGE)
            violation("LEG-MMIO-1", "GuestPageSize %u", (unsigned)value);
        m->page_size_given = true;
        return;
    case MM_QUEUE_ALIGN:
        if (value == 0 || (value & (value - 1)))
            violation("LEG-MMIO-1", "QueueAlign %u", (unsigned)value);
        m->alignment = (uint32_t)value;
        return;
    case MM_QUEUE_PFN:
        write_queue_pfn(m, value);
        return;
    case MM_QUEUE_READY:
        write_queue_ready(m, value);
        return;
    case MM_QUEUE_NOTIFY:
        device_notified(m->device,
                        device_has(m->device, F_NOTIFICATION_DATA) ? value & 0xffff
                                                                   : (unsigned)value,
                        (uint32_t)value);
        return;
    case MM_INTERRUPT_ACK:
        acknowledge(m, (uint32_t)value);
        return;
    }
    device_common_write(m->device, registers[i].common, registers[i].width, value);
}

static void mmio_write(void *arg, uint64_t at, unsigned width, uint64_t value)
{
    struct mmio_front *m = arg;
    unsigned offset = (unsigned)at;
    int i;

    if (offset >= MM_CONFIG) {
        device_config_write(m->device, offset - MM_CONFIG, width, value);
        return;
    }
    i = checked(m, offset, width, WRITE);
    if (i >= 0)
        write_register(m, offset, value, i);
}

/* ---- lines ---- */

static struct line_handler *find_handler(unsigned gsi)
{
    for (unsigned i = 0; i < MAX_DEVICES; i++)
        if (handlers[i].handler && handlers[i].gsi == gsi)
            return &handlers[i];
    return NULL;
}

/* A level-triggered line: it comes again as long as the device holds it. */
static void deliver(void *arg)
{
    struct mmio_front *m = arg;
    const struct line_handler *h = find_handler(m->line);

    for (unsigned times = 0; m->line_level && h; times++) {
        if (times == 3)
            hosted_fail("the line is still held after its handler ran: MMIO-REG-17");
        h->handler(h->arg);
    }
}

static void set_line(struct device *device, bool level)
{
    struct mmio_front *m = device->front_state;

    m->line_level = level;
    if (level && find_handler(m->line))
        hosted_interrupt_raise(deliver, m);
}

int irq_line_add(unsigned gsi, bool active_low, bool (*handler)(void *arg), void *arg,
                 const char *name)
{
    (void)active_low;
    (void)name;
    if (lines_refused)
        return -EINVAL;
    for (unsigned i = 0; i < MAX_DEVICES; i++)
        if (!handlers[i].handler) {
            handlers[i] = (struct line_handler){gsi, handler, arg};
            return 0;
        }
    return -ENOSPC;
}

void irq_line_remove(unsigned gsi, bool (*handler)(void *arg), void *arg)
{
    for (unsigned i = 0; i < MAX_DEVICES; i++)
        if (handlers[i].gsi == gsi && handlers[i].handler == handler && handlers[i].arg == arg)
            handlers[i] = (struct line_handler){0, NULL, NULL};
}

void device_mmio_allow_lines(bool allowed)
{
    lines_refused = !allowed;
}

unsigned device_mmio_handlers(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MAX_DEVICES; i++)
        count += handlers[i].handler != NULL;
    return count;
}

/* ---- where devices are ---- */

void device_mmio_reset(void)
{
    memset(fronts, 0, sizeof(fronts));
    memset(handlers, 0, sizeof(handlers));
    stranger_count = place_count = 0;
    words = "";
    lines_refused = false;
}

static void attach(struct device *device, const struct device_setup *setup)
{
    struct mmio_front *m = fronts;

    while (m->device)
        if (++m == fronts + MAX_DEVICES)
            hosted_fail("no room for another MMIO device");
    *m =
        (struct mmio_front){.device = device,
                            .address = DEVICE_MMIO_BASE + (uint64_t)(m - fronts) * DEVICE_MMIO_SIZE,
                            .line = DEVICE_MMIO_FIRST_LINE + (unsigned)(m - fronts)};
    device->front_state = m;
    hosted_registers_add(&(struct hosted_registers){.name = setup->type->name,
                                                    .address = m->address,
                                                    .size = DEVICE_MMIO_SIZE,
                                                    .read = mmio_read,
                                                    .write = mmio_write,
                                                    .arg = m});
}

static void detach(struct device *device)
{
    struct mmio_front *m = device->front_state;

    hosted_interrupt_cancel(deliver, m);
    hosted_registers_remove(m->address);
    m->device = NULL;
}

struct mmio_place device_mmio_place(const struct device *device)
{
    const struct mmio_front *m = device->front_state;

    return (struct mmio_place){
        .address = m->address, .size = DEVICE_MMIO_SIZE, .gsi = (int)m->line};
}

static uint64_t stranger_read(void *arg, uint64_t offset, unsigned width)
{
    const struct stranger *s = arg;

    if (width != 4 || offset > MM_DEVICE_ID)
        hosted_fail("%u-byte read of register %#x: MMIO-INIT-4", width, (unsigned)offset);
    return s->value[offset / 4];
}

static void stranger_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)value;
    hosted_fail("%u-byte write to register %#x: MMIO-INIT-4", width, (unsigned)offset);
}

void device_mmio_add_stranger(uint64_t address, uint32_t magic, uint32_t version, uint32_t id)
{
    struct stranger *s = &strangers[stranger_count];

    if (stranger_count++ == MAX_STRANGERS)
        hosted_fail("no room for another stranger");
    *s = (struct stranger){{magic, version, id}};
    hosted_registers_add(&(struct hosted_registers){.name = "stranger",
                                                    .address = address,
                                                    .size = DEVICE_MMIO_SIZE,
                                                    .read = stranger_read,
                                                    .write = stranger_write,
                                                    .arg = s});
}

void device_mmio_set_places(const struct mmio_place *place, unsigned count)
{
    places = place;
    place_count = count;
}

void device_mmio_set_words(const char *text)
{
    words = text;
}

unsigned mmio_virtio_places(struct mmio_place *place, unsigned max)
{
    unsigned count = place_count < max ? place_count : max;

    for (unsigned i = 0; i < count; i++)
        place[i] = places[i];
    return count;
}

const char *mmio_hypervisor_words(void)
{
    return words;
}

volatile void *mmio_map(uint64_t address, uint64_t length)
{
    if (address < DEVICE_MMIO_RAM_END || length == 0)
        return NULL;
    return (volatile void *)(uintptr_t)address;
}

const struct device_front device_mmio_front = {
    .attach = attach, .detach = detach, .set_line = set_line};
const struct device_front device_mmio_legacy_front = {
    .legacy = true, .attach = attach, .detach = detach, .set_line = set_line};
