/*
 * virtio_report.c - what the log says about virtio devices: features and queues at boot, everything
 * on demand.
 *
 * Only reads what virtio.c keeps. Read virtio.h first.
 */
#include <string.h>

#include "log.h"
#include "virtio/virtio_impl.h"

#define LINE_SIZE 400

/* A line of text that grows as far as there is room. */
struct line {
    char text[LINE_SIZE];
    size_t used;
};

static void append(struct line *line, const char *text)
{
    int n = format_text(line->text + line->used, LINE_SIZE - line->used, "%s", text);

    line->used += (size_t)n;
    if (line->used >= LINE_SIZE)
        line->used = LINE_SIZE - 1;
}

static void append_number(struct line *line, const char *before, unsigned number)
{
    char text[12];

    format_text(text, sizeof(text), "%u", number);
    append(line, before);
    append(line, text);
}

static void append_feature(struct line *line, const struct virtio_feature *feature, unsigned bit)
{
    if (feature) {
        append(line, " ");
        append(line, feature->name);
    } else {
        append_number(line, " ", bit);
    }
}

/* Why a feature that was offered is not used; NULL: it is. */
static const char *refusal_of(const struct virtio_device *device, unsigned bit)
{
    const struct virtio_feature *feature = virtio_find_feature(device->driver, bit);

    if (!virtio_features_has(&device->offered, bit) || virtio_features_has(&device->accepted, bit))
        return NULL;
    if (!feature)
        return "unknown to the driver";
    if (feature->refusal)
        return feature->refusal;
    return feature->by_transport ? "the transport cannot do it" : "needs a feature that is missing";
}

/* All features that are refused for one reason, as one group with the reason behind it. */
static void append_group(struct line *line, const struct virtio_device *device, const char *reason,
                         struct virtio_features *listed)
{
    unsigned bit;

    for (bit = 0; bit < VIRTIO_FEATURE_BITS; bit++) {
        const char *other = refusal_of(device, bit);

        if (!other || strcmp(other, reason) != 0)
            continue;
        append_feature(line, virtio_find_feature(device->driver, bit), bit);
        virtio_features_add(listed, bit);
    }
    append(line, " (");
    append(line, reason);
    append(line, ")");
}

void virtio_log_features(const struct virtio_device *device)
{
    struct line accepted = {.used = 0}, refused = {.used = 0};
    struct virtio_features listed = {{0}};
    unsigned bit;

    for (bit = 0; bit < VIRTIO_FEATURE_BITS; bit++) {
        const char *reason = refusal_of(device, bit);

        if (virtio_features_has(&device->accepted, bit))
            append_feature(&accepted, virtio_find_feature(device->driver, bit), bit);
        else if (reason && !virtio_features_has(&listed, bit))
            append_group(&refused, device, reason, &listed);
    }
    log_info("%s: %s accepts%s", device->name, device->driver->name, accepted.text);
    if (refused.used)
        log_info("%s: %s refuses%s", device->name, device->driver->name, refused.text);
}

static const char *interrupt_mode_name(enum virtio_interrupt_mode mode)
{
    static const char *const names[] = {"polling", "INTx", "MSI-X"};

    return names[mode];
}

void virtio_log_queues(const struct virtio_device *device)
{
    struct line line = {.used = 0};
    unsigned i;

    for (i = 0; i < device->queue_count; i++) {
        append(&line, i ? ", " : " ");
        append(&line, virtqueue_name(device->queue[i]));
        append_number(&line, " ", virtqueue_size(device->queue[i]));
    }
    log_info("%s: %s queues%s; %s%s", device->name, device->driver->name, line.text,
             interrupt_mode_name(device->interrupt_mode),
             device->legacy ? ", legacy interface" : "");
}

static void report_device(const struct virtio_device *device)
{
    unsigned i;

    if (!device->driver) {
        log_info("%s: device type %u: not driven: %s", device->name, device->type, device->refusal);
        return;
    }
    log_info("%s: %s: %s, %s, %u recoveries", device->name, device->driver->name,
             device->driver_ok ? "running" : device->refusal,
             interrupt_mode_name(device->interrupt_mode), device->recoveries);
    virtio_log_features(device);
    for (i = 0; i < device->queue_count; i++)
        virtqueue_dump(device->queue[i]);
}

void virtio_print_report(void)
{
    const struct virtio_device *device;

    for (device = virtio_devices(); device; device = device->next)
        report_device(device);
}
