/*
 * virtio_report.c - what the log says about virtio devices: features and queues at boot, everything
 * on demand; in lines to read, and in lines for programs (virtio-report:, virtio-queue:).
 *
 * Only reads what virtio.c keeps. The format for programs is described in docs/ARCHITECTURE.md; what
 * reads it may rely on it. Read virtio.h first.
 */
#include <string.h>

#include "log.h"
#include "virtio/virtio_impl.h"

#define LINE_SIZE 960

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

/* A word of a line for programs: without what separates words and the parts of a list there. */
static void append_word(struct line *line, const char *text)
{
    for (; *text; text++)
        append(line, (char[]){strchr(" ,=", *text) ? '_' : *text, '\0'});
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
    if (feature->refusal && !(feature->wanted && feature->wanted()))
        return feature->refusal;
    if (feature->unless_offered && virtio_features_has(&device->offered, feature->unless_offered))
        return "not beside a feature that is offered";
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

/* ---- lines for programs ---- */

static const char *type_name(uint16_t type)
{
    static const char *const names[] = {
        [1] = "net",     [2] = "blk",    [3] = "console", [4] = "entropy", [5] = "balloon",
        [6] = "iomem",   [7] = "rpmsg",  [8] = "scsi",    [9] = "9p",      [12] = "rproc",
        [16] = "gpu",    [17] = "clock", [18] = "input",  [19] = "vsock",  [20] = "crypto",
        [22] = "pstore", [23] = "iommu", [24] = "mem",    [25] = "sound",  [26] = "fs",
        [27] = "pmem",   [28] = "rpmb",  [32] = "scmi",   [34] = "i2c",    [36] = "can",
        [41] = "gpio",   [42] = "rdma",  [45] = "spi",
    };

    return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "unknown";
}

static void append_features(struct line *line, const char *before,
                            const struct virtio_features *set)
{
    char text[40];

    /* Words that are 0 for every device we know of only make the number longer. */
    format_text(text, sizeof(text), set->word[3] | set->word[2] ? "0x%08x%08x" : "0x", set->word[3],
                set->word[2]);
    append(line, before);
    append(line, text);
    format_text(text, sizeof(text), "%08x%08x", set->word[1], set->word[0]);
    append(line, text);
}

static void append_refused(struct line *line, const struct virtio_device *device)
{
    const char *separator = " refused=";
    unsigned bit;

    for (bit = 0; bit < VIRTIO_FEATURE_BITS; bit++) {
        const struct virtio_feature *feature = virtio_find_feature(device->driver, bit);
        const char *reason = refusal_of(device, bit);

        if (!reason)
            continue;
        append(line, separator);
        if (feature)
            append(line, feature->name);
        else
            append_number(line, "", bit);
        append(line, ":");
        append_word(line, reason);
        separator = ",";
    }
}

/* name:index:size:vector, where the vector is that of MSI-X, `line` or `poll`. */
static void append_queue(struct line *line, const struct virtio_device *device, unsigned i)
{
    append(line, i ? "," : " queues=");
    append_word(line, virtqueue_name(device->queue[i]));
    append_number(line, ":", virtqueue_index(device->queue[i]));
    append_number(line, ":", virtqueue_size(device->queue[i]));
    if (device->interrupt_mode == VIRTIO_INTERRUPT_NONE)
        append(line, ":poll");
    else if (device->interrupt_mode == VIRTIO_INTERRUPT_INTX)
        append(line, ":line");
    else if (!device->queue_interrupt[i])
        append(line, ":none");
    else
        append_number(line, ":vec", device->queue_vector[i]);
}

static void start_line(struct line *line, const struct virtio_device *device, const char *kind)
{
    line->used = 0;
    append(line, kind);
    append(line, ": device=");
    append_word(line, device->name);
}

void virtio_log_device(const struct virtio_device *device)
{
    static const char *const modes[] = {"poll", "intx", "msix"};
    static struct line line;
    unsigned i;

    start_line(&line, device, "virtio-report");
    append(&line, " type=");
    append(&line, type_name(device->type));
    append_number(&line, " id=", device->type);
    append(&line, " transport=");
    append(&line, device->ops->name);
    append(&line, device->legacy ? "-legacy" : "-modern");
    append(&line, " driver=");
    append(&line, device->driver ? device->driver->name : "none");
    append(&line, device->driver_ok ? " state=running" : " state=off");
    if (!device->driver_ok && device->refusal) {
        append(&line, " reason=");
        append_word(&line, device->refusal);
    }
    if (device->driver) {
        append_features(&line, " offered=", &device->offered);
        append_features(&line, " accepted=", &device->accepted);
        append(&line, " irq=");
        append(&line, modes[device->interrupt_mode]);
        append_number(&line, " recoveries=", device->recoveries);
        for (i = 0; i < device->queue_count; i++)
            append_queue(&line, device, i);
        append_refused(&line, device);
    }
    log_info("%s", line.text);
}

static void append_counter(struct line *line, const char *name, uint64_t value)
{
    char text[64];

    format_text(text, sizeof(text), " %s=%llu", name, (unsigned long long)value);
    append(line, text);
}

static void log_counters(const struct virtio_device *device, unsigned i)
{
    const struct virtqueue *vq = device->queue[i];
    const struct virtqueue_stats *stats = virtqueue_stats(vq);
    static struct line line;

    start_line(&line, device, "virtio-queue");
    append_counter(&line, "queue", virtqueue_index(vq));
    append(&line, " name=");
    append_word(&line, virtqueue_name(vq));
    append_counter(&line, "size", virtqueue_size(vq));
    append_counter(&line, "in_flight", virtqueue_in_flight(vq));
    append_counter(&line, "added", stats->added);
    append_counter(&line, "used", stats->used);
    append_counter(&line, "indirect", stats->indirect);
    append_counter(&line, "notified", stats->notifications);
    append_counter(&line, "suppressed", stats->suppressed);
    append_counter(&line, "interrupts", stats->interrupts);
    append_counter(&line, "polls", stats->polls);
    append_counter(&line, "arms", stats->arms);
    append_counter(&line, "full", stats->full);
    append_counter(&line, "bad", stats->bad);
    append_counter(&line, "broken", virtqueue_is_broken(vq));
    log_info("%s", line.text);
}

/* ---- on demand ---- */

static void report_device(const struct virtio_device *device)
{
    unsigned i;

    if (!device->driver) {
        log_info("%s: device type %u (%s): not driven: %s", device->name, device->type,
                 type_name(device->type), device->refusal);
        virtio_log_device(device);
        return;
    }
    log_info("%s: %s: %s, %s, %u recoveries", device->name, device->driver->name,
             device->driver_ok ? "running" : device->refusal,
             interrupt_mode_name(device->interrupt_mode), device->recoveries);
    virtio_log_features(device);
    virtio_log_device(device);
    for (i = 0; i < device->queue_count; i++) {
        virtqueue_dump(device->queue[i]);
        log_counters(device, i);
    }
}

void virtio_print_report(void)
{
    const struct virtio_device *device;

    for (device = virtio_devices(); device; device = device->next)
        report_device(device);
}
