/*
 * device.c - the model device's registers and state machine: status, features, queues,
 * notifications, interrupts (2.1 to 3.1, 4.1.4).
 *
 * Every access to the common configuration ends here and is checked for width, order and value; the
 * device configuration and the notification structure are device_setup.c's. The device type does the
 * rest. Read device.h first.
 */
#include "hosted/device.h"

#include <stdio.h>
#include <string.h>

#include "hosted/device_front.h"
#include "hosted/violation.h"

void device_trace(struct device *device, const char *word)
{
    size_t used = strlen(device->trace), len = strlen(word);

    /* The same word again says nothing new; the log stays a sequence of steps. */
    if (used >= len && strcmp(device->trace + used - len, word) == 0 &&
        (used == len || device->trace[used - len - 1] == ' '))
        return;
    if (used + len + 2 > sizeof(device->trace))
        return;
    snprintf(device->trace + used, sizeof(device->trace) - used, "%s%s", used ? " " : "", word);
}

static void trace_number(struct device *device, const char *word, unsigned number)
{
    char text[32];

    snprintf(text, sizeof(text), "%s%x", word, number);
    device_trace(device, text);
}

static bool has_bit(const uint32_t *set, unsigned bit)
{
    return set[bit / 32] >> bit % 32 & 1;
}

bool device_has(const struct device *device, unsigned feature)
{
    return has_bit(device->accepted, feature);
}

bool device_is_live(const struct device *device)
{
    return (device->status & ST_DRIVER_OK) && !device->lies.gone;
}

/* ---- which interface the driver sees ---- */

bool device_is_legacy(const struct device *device)
{
    return device->front && device->front->legacy;
}

static bool msix_is_on(const struct device *device)
{
    return device->pci && fake_pci_msix_enabled(device->pci);
}

static void set_line(struct device *device, bool level)
{
    if (device->pci)
        fake_pci_set_intx(device->pci, level);
    else
        device->front->set_line(device, level);
}

/* ---- reset and status (2.1, 2.4, 3.1.1) ---- */

static void reset_queue(struct device_queue *q)
{
    ring_device_finish(&q->ring);
    q->size = q->max_size;
    q->vector = NO_VECTOR;
    memset(q->area, 0, sizeof(q->area));
    q->written = 0;
    q->enabled = q->kicked = q->vector_unread = q->resetting = q->reset_alone = false;
}

static void reset(struct device *device)
{
    device->status_before_reset = device->status;
    device->reset_countdown = device->lies.reset_reads;
    device->reset_unconfirmed = true;
    device->resets++;
    device->status = device->isr = 0;
    device->device_feature_select = device->driver_feature_select = 0;
    device->queue_select = 0;
    device->config_vector = NO_VECTOR;
    device->config_vector_unread = device->features_read = false;
    memset(device->accepted, 0, sizeof(device->accepted));
    set_line(device, false);
    for (unsigned i = 0; i < device->queues; i++)
        reset_queue(&device->queue[i]);
    if (device->lies.forgets_queues && device->was_live)
        device->queues = 0;
    if (device->type->reset)
        device->type->reset(device);
}

static uint8_t read_status(struct device *device)
{
    device->status_reads++;
    if (device->reset_countdown) {
        if (device->reset_countdown != DEVICE_FOR_EVER)
            device->reset_countdown--;
        return device->status_before_reset ? device->status_before_reset : ST_ACKNOWLEDGE;
    }
    device->reset_unconfirmed = false;
    return device->status | device->lies.status_or;
}

/* What the driver accepted must be offered (2.2.1). */
static bool accept_features(struct device *device)
{
    if (!device_is_legacy(device))
        device_trace(device, "features-ok");
    if (!device->features_read)
        violation("INIT-4", "FEATURES_OK without having read the features");
    for (unsigned i = 0; i < 4; i++)
        if (device->accepted[i] & ~device->offered[i])
            violation("CORE-FEAT-1", "accepted %#x of word %u, of which %#x were offered",
                      device->accepted[i], i, device->offered[i]);
    if (has_bit(device->offered, F_VERSION_1) && !device_has(device, F_VERSION_1))
        violation("RSVF-1", "VERSION_1 was offered and not accepted");
    if (device->type->check_features)
        device->type->check_features(device);
    return !device->lies.refuse_features;
}

static void write_status(struct device *device, uint8_t value)
{
    uint8_t added = value & ~device->status & ~ST_NEEDS_RESET & ~device->lies.status_or;

    if (value == 0) {
        device_trace(device, "reset");
        reset(device);
        return;
    }
    if (device->reset_countdown && (value & ST_FAILED)) {
        device_trace(
            device, "failed"); /* given up while resetting: what else the byte says means nothing */
        return;
    }
    if (device->reset_unconfirmed)
        violation("PCI-COMMON-5", "status %#x written before the reset was seen to be finished",
                  value);
    if (device->status & ~value & ~ST_NEEDS_RESET)
        violation("CORE-STATUS-2", "status %#x written over %#x", value, device->status);
    if ((device->status & ST_FAILED) && added)
        violation("CORE-STATUS-3", "status %#x after FAILED without a reset", value);
    if (added & (added - 1))
        violation("CORE-STATUS-1", "status bits %#x set in one step", added);
    if ((added & ST_DRIVER) && !(device->status & ST_ACKNOWLEDGE))
        violation("INIT-2", "DRIVER without ACKNOWLEDGE");
    if ((added & ST_FEATURES_OK) && !(device->status & ST_DRIVER))
        violation("INIT-3", "FEATURES_OK without DRIVER");
    if (device_is_legacy(device) && (added & ST_FEATURES_OK))
        violation("LEG-INIT-1", "FEATURES_OK on the legacy interface");
    else if (device_is_legacy(device) && (added & ST_DRIVER_OK))
        accept_features(device);
    else if ((added & ST_DRIVER_OK) && !(device->status & ST_FEATURES_OK))
        violation("INIT-10", "DRIVER_OK without FEATURES_OK");
    if ((added & ST_FEATURES_OK) && !accept_features(device))
        value &= ~ST_FEATURES_OK;
    if (added & ST_DRIVER_OK) {
        device_trace(device, "driver-ok");
        device->was_live = true;
        device->offered[0] ^= device->lies.offered_xor;
        device->lies.offered_xor = 0;
    }
    if (added & ST_ACKNOWLEDGE)
        device_trace(device, "acknowledge");
    if (added & ST_DRIVER)
        device_trace(device, "driver");
    if (added & ST_FAILED)
        device_trace(device, "failed");
    device->status = (device->status & ST_NEEDS_RESET) | (value & ~ST_NEEDS_RESET);
}

/* ---- queues ---- */

/* Fields of the queue part of the common configuration, as bits of device_queue.written. */
enum { W_SIZE = 1, W_VECTOR = 2, W_AREAS = 4 /* and 5 more: 32-bit halves */ };

/* 2.6.1.2.2: after a reset of the queue alone, everything about it has to be said again. */
static void check_reenable(const struct device *device, const struct device_queue *q)
{
    unsigned all = W_SIZE | W_AREAS * 0x3f | (msix_is_on(device) ? W_VECTOR : 0);

    if (q->reset_alone && (q->written & all) != all)
        violation("CORE-QREENABLE-1", "queue %u enabled again with only %#x of %#x written",
                  device->queue_select, q->written, all);
}

static struct device_queue *selected(struct device *device)
{
    static struct device_queue none;

    none = (struct device_queue){.vector = NO_VECTOR};
    return device->queue_select < device->queues ? &device->queue[device->queue_select] : &none;
}

static void enable_queue(struct device *device, struct device_queue *q, uint64_t value)
{
    struct ring_params params = {.name = device->type->name,
                                 .index = device->queue_select,
                                 .size = q->size,
                                 .packed = device_has(device, F_RING_PACKED),
                                 .event_idx = device_has(device, F_EVENT_IDX),
                                 .indirect = device_has(device, F_INDIRECT_DESC),
                                 .in_order = device_has(device, F_IN_ORDER),
                                 .descriptor = q->area[0],
                                 .driver = q->area[1],
                                 .device = q->area[2]};

    if (value != 1)
        violation("PCI-COMMON-6", "%llu written to queue_enable", (unsigned long long)value);
    if (q->enabled)
        violation("PCI-COMMON-6", "queue %u enabled twice", device->queue_select);
    if (q->written / W_AREAS != 0x3f)
        violation("PCI-COMMON-4", "queue %u enabled before its addresses were written",
                  device->queue_select);
    if (q->vector_unread && msix_is_on(device))
        violation("PCI-MSIX-4", "queue %u: the vector was not read back", device->queue_select);
    check_reenable(device, q);
    trace_number(device, "enable", device->queue_select);
    q->enabled = ring_device_init(&q->ring, &params);
    if (q->enabled)
        ring_device_want_notify(&q->ring, true);
}

static void write_vector(struct device *device, uint16_t *vector, bool *unread, uint16_t value,
                         bool refuse)
{
    if (value != NO_VECTOR && value >= device->pci->msix_entries)
        violation("PCI-MSIX-3", "vector %u of %u", value, device->pci->msix_entries);
    *vector = refuse ? NO_VECTOR : value;
    *unread = value != NO_VECTOR;
}

/* The legacy interface has no FEATURES_OK; DRIVER must do. */
bool device_is_negotiated(const struct device *device)
{
    return device->status & (device_is_legacy(device) ? ST_DRIVER : ST_FEATURES_OK);
}

/* The requirement that a queue is left alone until its reset is over. */
static const char *queue_reset_rule(const struct device *device)
{
    return device->pci ? "PCI-COMMON-7" : "MMIO-REG-19";
}

static void write_queue_reset(struct device *device, uint64_t value)
{
    struct device_queue *q = selected(device);

    if (!device_has(device, F_RING_RESET)) {
        violation("PCI-COMMON-1", "queue_reset written without RING_RESET");
        return;
    }
    if (value != 1 || !q->enabled || q->resetting || !device_is_live(device)) {
        violation(queue_reset_rule(device), "%u written to queue_reset of queue %u, which is %s",
                  (unsigned)value, device->queue_select,
                  !q->enabled    ? "not enabled"
                  : q->resetting ? "being reset"
                                 : "enabled");
        return;
    }
    trace_number(device, "queue-reset", device->queue_select);
    q->resetting = true;
    q->reset_countdown = device->lies.queue_reset_reads;
}

/* Until the driver has seen the 0, the device may be at work on what it has, and use its memory. */
static uint64_t read_queue_reset(struct device *device)
{
    struct device_queue *q = selected(device);

    if (!device_has(device, F_RING_RESET))
        violation("PCI-COMMON-1", "queue_reset read without RING_RESET");
    if (!q->resetting)
        return 0;
    if (q->reset_countdown) {
        q->reset_countdown -= q->reset_countdown != DEVICE_FOR_EVER;
        return 1;
    }
    if (!ring_device_is_mapped(&q->ring))
        violation("CORE-QRESET-2", "queue %u: a buffer was unmapped before the reset was over",
                  device->queue_select);
    if (device->lies.keeps_reset_queue) {
        q->resetting = false;
        return 0;
    }
    reset_queue(q);
    q->reset_alone = true;
    if (device->type->queue_reset)
        device->type->queue_reset(device, device->queue_select);
    return 0;
}

static void write_queue(struct device *device, unsigned offset, uint64_t value)
{
    struct device_queue *q = selected(device);

    if (q->resetting)
        violation(queue_reset_rule(device), "queue register %#x written during the queue's reset",
                  offset);
    if (!device_is_negotiated(device) || ((device->status & ST_DRIVER_OK) && !q->reset_alone))
        violation("INIT-9", "queue register %#x written with status %#x", offset, device->status);
    if (device->queue_select >= device->queues) {
        violation("PCI-T-QSIZE-1", "queue %u does not exist", device->queue_select);
        return;
    }
    if (q->enabled && offset != CC_QUEUE_ENABLE)
        violation("PCI-COMMON-4", "queue register %#x written after queue_enable", offset);
    if (offset == CC_QUEUE_SIZE) {
        bool power_of_two = (value & (value - 1)) == 0;
        if (value == 0 || value > q->max_size ||
            !(power_of_two || device_has(device, F_RING_PACKED)))
            violation("PCI-COMMON-3", "queue size %llu of %u", (unsigned long long)value,
                      q->max_size);
        q->size = (uint16_t)value;
        q->written |= W_SIZE;
    } else if (offset == CC_QUEUE_MSIX_VECTOR) {
        write_vector(device, &q->vector, &q->vector_unread, (uint16_t)value,
                     device->lies.refuse_queue_vector >> device->queue_select & 1);
        q->written |= W_VECTOR;
    } else if (offset == CC_QUEUE_ENABLE) {
        enable_queue(device, q, value);
    } else {
        unsigned half = (offset - CC_QUEUE_DESC) / 4;
        uint32_t *words = (uint32_t *)&q->area[half / 2];
        words[half % 2] = (uint32_t)value;
        q->written |= W_AREAS << half;
    }
}

static uint64_t read_queue(struct device *device, unsigned offset)
{
    struct device_queue *q = selected(device);

    switch (offset) {
    case CC_QUEUE_SIZE:
        trace_number(device, "queue", device->queue_select);
        return q->size;
    case CC_QUEUE_MSIX_VECTOR:
        q->vector_unread = false;
        return q->vector;
    case CC_QUEUE_ENABLE:
        return q->enabled;
    case CC_QUEUE_NOTIFY_OFF:
        return q->notify_off;
    case CC_QUEUE_NOTIF_CONFIG_DATA:
        if (!device_has(device, F_NOTIF_CONFIG_DATA))
            violation("PCI-COMMON-1", "queue_notif_config_data read without NOTIF_CONFIG_DATA");
        return q->notif_config_data;
    case CC_QUEUE_RESET:
        return read_queue_reset(device);
    default:
        return (
            (uint32_t *)&q->area[(offset - CC_QUEUE_DESC) / 8])[(offset - CC_QUEUE_DESC) / 4 % 2];
    }
}

/* ---- the common configuration structure (4.1.4.3) ---- */

/*
 * The width that a field has to be accessed by; 64-bit fields by halves (4.1.3.1). 0: inside of a
 * field.
 */
static unsigned field_width(unsigned offset)
{
    if (offset == CC_DEVICE_STATUS || offset == CC_CONFIG_GENERATION)
        return 1;
    bool narrow = offset >= CC_CONFIG_MSIX_VECTOR && offset < CC_QUEUE_DESC;
    if (!narrow && offset < CC_QUEUE_NOTIF_CONFIG_DATA)
        return offset % 4 ? 0 : 4;
    return offset % 2 ? 0 : 2;
}

static bool good_access(struct device *device, unsigned offset, unsigned width, bool write)
{
    if (device->lies.gone)
        return false;
    if (offset + width > device->common_length) {
        violation("PCI-CAP-5", "access at %#x, behind the common configuration", offset);
        return false;
    }
    if (field_width(offset) != width) {
        violation(width == 8 ? "PCI-ACCESS-2" : "PCI-ACCESS-1", "%u-byte access at %#x", width,
                  offset);
        return false;
    }
    if (device->reset_unconfirmed && offset != CC_DEVICE_STATUS && write)
        violation("PCI-COMMON-5", "register %#x written before the reset was finished", offset);
    return true;
}

uint64_t device_common_read(struct device *device, unsigned offset, unsigned width)
{
    if (!good_access(device, offset, width, false))
        return ~UINT64_C(0) >> (64 - 8 * width);
    switch (offset) {
    case CC_DEVICE_FEATURE_SELECT:
        return device->device_feature_select;
    case CC_DEVICE_FEATURE:
        device_trace(device, "features?");
        device->features_read = true;
        if (!(device->status & ST_DRIVER))
            violation("INIT-3", "features read without DRIVER");
        return device->device_feature_select < 4 ? device->offered[device->device_feature_select]
                                                 : 0;
    case CC_DRIVER_FEATURE_SELECT:
        return device->driver_feature_select;
    case CC_DRIVER_FEATURE:
        return device->driver_feature_select < 4 ? device->accepted[device->driver_feature_select]
                                                 : 0;
    case CC_CONFIG_MSIX_VECTOR:
        device->config_vector_unread = false;
        return device->config_vector;
    case CC_NUM_QUEUES:
        return device->queues;
    case CC_DEVICE_STATUS:
        return read_status(device);
    case CC_CONFIG_GENERATION:
        if (device->lies.generation_moves) {
            device->generation++;
            if (device->lies.generation_moves != DEVICE_FOR_EVER)
                device->lies.generation_moves--;
        }
        return device->generation;
    case CC_QUEUE_SELECT:
        return device->queue_select;
    default:
        return read_queue(device, offset);
    }
}

static void write_features(struct device *device, uint32_t value)
{
    device_trace(device, "accept");
    if (!(device->status & ST_DRIVER))
        violation("INIT-3", "features written without DRIVER");
    if (device->status & ST_FEATURES_OK)
        violation("INIT-7", "features written after FEATURES_OK");
    if (device->driver_feature_select < 4)
        device->accepted[device->driver_feature_select] = value;
    else if (value)
        violation("CORE-FEAT-4", "features %#x in word %u", value, device->driver_feature_select);
}

void device_common_write(struct device *device, unsigned offset, unsigned width, uint64_t value)
{
    if (!good_access(device, offset, width, true))
        return;
    switch (offset) {
    case CC_DEVICE_FEATURE_SELECT:
        device->device_feature_select = (uint32_t)value;
        break;
    case CC_DRIVER_FEATURE_SELECT:
        device->driver_feature_select = (uint32_t)value;
        break;
    case CC_DRIVER_FEATURE:
        write_features(device, (uint32_t)value);
        break;
    case CC_CONFIG_MSIX_VECTOR:
        write_vector(device, &device->config_vector, &device->config_vector_unread, (uint16_t)value,
                     device->lies.refuse_config_vector);
        break;
    case CC_DEVICE_STATUS:
        write_status(device, (uint8_t)value);
        break;
    case CC_QUEUE_SELECT:
        device->queue_select = (uint16_t)value;
        break;
    case CC_DEVICE_FEATURE:
    case CC_NUM_QUEUES:
    case CC_CONFIG_GENERATION:
    case CC_QUEUE_NOTIFY_OFF:
    case CC_QUEUE_NOTIF_CONFIG_DATA:
        violation("PCI-COMMON-1", "read-only register %#x written", offset);
        break;
    case CC_QUEUE_RESET:
        write_queue_reset(device, value);
        break;
    default:
        write_queue(device, offset, value);
    }
}

/* ---- ISR status and notifications ---- */

uint64_t device_isr_read(struct device *device, unsigned width)
{
    uint8_t isr = device->isr;

    if (width != 1)
        violation("PCI-ACCESS-1", "%u-byte access to the ISR status", width);
    if (msix_is_on(device) && !device->lies.gone)
        violation("PCI-ISR-1", "ISR status read with MSI-X on");
    if (device->lies.gone)
        return 0xff;
    device->isr = 0;
    set_line(device, false);
    return isr;
}

void device_notified(struct device *device, unsigned index, uint32_t value)
{
    if (device->lies.gone)
        return;
    if (index >= device->queues || !device->queue[index].enabled) {
        violation("PCI-NOTIFY-3", "queue %u, which is not enabled, notified", index);
        return;
    }
    trace_number(device, "notify", index);
    if (!(device->status & ST_DRIVER_OK))
        violation("INIT-13", "queue %u notified with status %#x", index, device->status);
    if (device->queue[index].resetting)
        violation("CORE-QRESET-1", "queue %u notified before its reset was seen to be over", index);
    struct ring_device *ring = &device->queue[index].ring;
    if (device_has(device, F_NOTIFICATION_DATA) &&
        value >> 16 != ring_device_notification_data(ring))
        violation(ring->params.packed ? "PACKED-DESC-3" : "CORE-T-NDATA-1",
                  "queue %u notified with data %#x instead of %#x", index, (unsigned)(value >> 16),
                  ring_device_notification_data(ring));
    device->queue[index].kicked = true;
    ring_device_notified(ring);
}

/* ---- what the device does by itself ---- */

void device_run(struct device *device)
{
    if (!device_is_live(device) || device->lies.mute || (device->status & ST_NEEDS_RESET))
        return;
    for (unsigned i = 0; i < device->queues; i++) {
        struct device_queue *q = &device->queue[i];
        if (!q->kicked)
            continue;
        if (device->pci && !fake_pci_is_master(device->pci))
            hosted_fail("%s: a queue was notified, but the bus master bit is off",
                        device->type->name);
        q->kicked = false;
        if (device->type->serve)
            device->type->serve(device, i);
    }
}

static void interrupt(struct device *device, uint16_t vector, uint8_t isr)
{
    if (device->lies.gone)
        return;
    if (msix_is_on(device)) {
        if (vector != NO_VECTOR)
            fake_pci_raise_msix(device->pci, vector);
        return;
    }
    device->isr |= isr;
    set_line(device, true);
}

void device_signal(struct device *device, unsigned queue)
{
    if (ring_device_signal(&device->queue[queue].ring))
        interrupt(device, device->queue[queue].vector, ISR_QUEUE);
}

void device_change_config(struct device *device, unsigned offset, const void *data, unsigned len)
{
    memcpy(device->config + offset, data, len);
    device->generation++;
    if (device_is_live(device))
        interrupt(device, device->config_vector, ISR_CONFIG);
}

void device_need_reset(struct device *device)
{
    device->status |= ST_NEEDS_RESET;
    if (device_is_live(device))
        interrupt(device, device->config_vector, ISR_CONFIG);
}

void device_power_off(struct device *device)
{
    device->lies.gone = true;
    if (device->pci)
        device->pci->gone = true;
    reset(device);
}
