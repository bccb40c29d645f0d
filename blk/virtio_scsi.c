/*
 * virtio_scsi.c - the SCSI host driver (5.6): configuration, queues, and events about units that
 * come, go and change.
 *
 * Commands are virtio_scsi_request.c's. The control queue is not used: task management could end
 * one unit's commands, but it is answered by the same unit that is stuck, and it does not give back
 * memory that the device has; a reset of the device does both, always, and commands of other units
 * are simply given again. Read scsi_host.h next.
 */
#include "blk/virtio_scsi.h"

#include <errno.h>
#include <string.h>

#include "blk/scsi_disk.h"
#include "blk/scsi_scan.h"
#include "blk/virtio_scsi_impl.h"
#include "log.h"
#include "virtio/spec_storage.h"

#define QUEUE_SIZE 128
/* With no limit from the device, one command moves up to this much. */
#define MAX_SECTORS (4u << 20 >> 9)

#define EVENTS 16
#define EVENT_SIZE_MAX 256

/* How long boot waits for the units that are there at the start; the scan goes on without it. */
#define START_TIMEOUT_NS UINT64_C(15000000000)

enum { EVENT_QUEUE, REQUEST_QUEUE, QUEUES };

/* ---- events (5.6.6.3) ---- */

static int give_event_buffer(struct virtio_scsi *scsi, uint8_t *buffer)
{
    struct virtqueue_sg sg = {buffer, scsi->event_size};

    memset(buffer, 0, scsi->event_size);
    return virtqueue_add(scsi->events, &sg, 0, 1, buffer);
}

static void odd_event(struct virtio_scsi *scsi, const char *what)
{
    if (!scsi->odd_event_seen)
        log_warn("%s: virtio-scsi: %s", scsi->device->name, what);
    scsi->odd_event_seen = true;
}

/*
 * A unit or a whole target came or went. A unit that was removed is gone even if there is another
 * one at its address already; the rest is for the scan to see, which also covers an event for LUN
 * 0 that stands for its target.
 */
static void transport_reset(struct virtio_scsi *scsi, unsigned target, unsigned lun,
                            uint32_t reason)
{
    struct scsi_disk *disk = scsi_disk_find(&scsi->host, target, lun);

    if (reason == VIRTIO_SCSI_EVT_RESET_REMOVED && disk)
        scsi_disk_leave(disk, "unplugged");
    if (reason > VIRTIO_SCSI_EVT_RESET_REMOVED)
        odd_event(scsi, "a reset event with an unknown reason");
    scsi_scan_target(&scsi->host, target);
}

static void handle_event(struct virtio_scsi *scsi, const uint8_t *buffer)
{
    struct virtio_scsi_event event;
    uint32_t kind, reason;
    unsigned target, lun;

    memcpy(&event, buffer, sizeof(event));
    kind = le32_to_cpu(event.event);
    reason = le32_to_cpu(event.reason);
    target = event.lun[1];
    lun = (event.lun[2] << 8 | event.lun[3]) & 0x3fff;
    if (kind & VIRTIO_SCSI_T_EVENTS_MISSED) {
        log_info("%s: virtio-scsi: events were missed: looking at everything", scsi->device->name);
        scsi_scan_all(&scsi->host);
    }
    kind &= ~VIRTIO_SCSI_T_EVENTS_MISSED;
    if (kind == VIRTIO_SCSI_T_NO_EVENT)
        return;
    log_debug("%s: virtio-scsi: event %u, target %u LUN %u, reason %#x", scsi->device->name, kind,
              target, lun, reason);
    if (kind > VIRTIO_SCSI_T_PARAM_CHANGE || event.lun[0] != 1)
        odd_event(scsi, "an event that does not exist, or at no address");
    else if (kind == VIRTIO_SCSI_T_TRANSPORT_RESET)
        transport_reset(scsi, target, lun, reason);
    else /* capacity, mode or medium: the scan reads them all anew */
        scsi_scan_target(&scsi->host, target);
}

static unsigned poll_events(struct virtio_scsi *scsi, unsigned budget)
{
    unsigned done = 0;
    uint8_t *buffer;

    virtqueue_disable_cb(scsi->events);
    while (done < budget && (buffer = virtqueue_get_buf(scsi->events, NULL)) != NULL) {
        handle_event(scsi, buffer);
        give_event_buffer(scsi, buffer);
        done++;
    }
    if (done > 0)
        virtqueue_kick(scsi->events);
    return done;
}

/* ---- the adapter as a source of the event loop ---- */

static unsigned poll_all(struct virtio_scsi *scsi, unsigned budget)
{
    unsigned done = poll_events(scsi, budget);

    done += scsi_host_poll(&scsi->host, budget);
    return done + scsi_scan_poll(&scsi->host);
}

static unsigned source_poll(void *arg, unsigned budget)
{
    struct virtio_scsi *scsi = arg;
    unsigned done = poll_all(scsi, budget);

    if (virtqueue_is_broken(scsi->events) && !scsi->device->failed) {
        virtio_recover(scsi->device, "its event queue is broken");
        done++;
    }
    if (scsi_scan_is_overdue(&scsi->host)) {
        scsi_scan_end_overdue(&scsi->host);
        done++;
    }
    return done;
}

static bool source_arm(void *arg)
{
    struct virtio_scsi *scsi = arg;
    bool quiet = virtqueue_enable_cb(scsi->events);

    return virtqueue_enable_cb(scsi->requests) && quiet;
}

static uint64_t source_deadline(void *arg)
{
    struct virtio_scsi *scsi = arg;
    uint64_t waiting = scsi_host_deadline(&scsi->host), scan = scsi_scan_deadline(&scsi->host);

    return waiting < scan ? waiting : scan;
}

/* ---- set-up ---- */

static uint32_t config_u32(struct virtio_device *device, unsigned offset, int *error)
{
    le32 value = 0;
    int result = virtio_config_read(device, offset, &value, sizeof(value), sizeof(value));

    if (result)
        *error = result;
    return le32_to_cpu(value);
}

#define CONFIG_U32(device, field, error) \
    config_u32((device), offsetof(struct virtio_scsi_config, field), (error))

/* A size that lays out our requests: what the specification says it is after a reset (5.6.4). */
static int check_size(struct virtio_device *device, unsigned offset, uint32_t wanted)
{
    le32 value = cpu_to_le32(wanted);
    int error = 0;

    if (config_u32(device, offset, &error) == wanted || error)
        return error;
    error = virtio_config_write(device, offset, &value, sizeof(value), sizeof(value));
    return error || config_u32(device, offset, &error) != wanted ? -EINVAL : error;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

static uint32_t at_least_one(uint32_t value)
{
    return value ? value : 1;
}

static int read_config(struct virtio_scsi *scsi)
{
    struct virtio_device *device = scsi->device;
    struct scsi_host *host = &scsi->host;
    uint32_t queues, sectors;
    le16 max_target = 0;
    int error = 0, sizes;

    queues = CONFIG_U32(device, num_queues, &error);
    host->max_segments =
        at_least_one(at_most(CONFIG_U32(device, seg_max, &error), SCSI_MAX_SEGMENTS));
    sectors = CONFIG_U32(device, max_sectors, &error);
    host->max_sectors = sectors ? at_most(sectors, MAX_SECTORS) : MAX_SECTORS;
    host->commands_per_unit = at_least_one(CONFIG_U32(device, cmd_per_lun, &error));
    scsi->event_size = at_most(CONFIG_U32(device, event_info_size, &error), EVENT_SIZE_MAX);
    if (scsi->event_size < sizeof(struct virtio_scsi_event))
        scsi->event_size = sizeof(struct virtio_scsi_event);
    host->max_lun = at_most(CONFIG_U32(device, max_lun, &error), 0x3fff);
    if (!error)
        error = VIRTIO_CONFIG_READ(device, struct virtio_scsi_config, max_target, &max_target);
    host->max_target = at_most(le16_to_cpu(max_target), 0xff);
    if (error)
        return error;
    if (queues == 0) {
        device->refusal = "it has no request queue";
        return -EINVAL;
    }
    sizes =
        check_size(device, offsetof(struct virtio_scsi_config, sense_size), VIRTIO_SCSI_SENSE_SIZE);
    if (!sizes)
        sizes =
            check_size(device, offsetof(struct virtio_scsi_config, cdb_size), VIRTIO_SCSI_CDB_SIZE);
    if (sizes)
        device->refusal = "its sizes of CDB and sense data are not the ones after a reset";
    return sizes;
}

static int make_queues(struct virtio_scsi *scsi)
{
    struct virtio_device *device = scsi->device;
    struct scsi_host *host = &scsi->host;
    /* QEMU counts the data of a write as if it had written it; nobody looks at the length anyway. */
    struct virtio_queue_request queues[QUEUES] = {
        [EVENT_QUEUE] = {.name = "scsi events",
                         .index = VIRTIO_SCSI_QUEUE_EVENT,
                         .max_size = EVENTS,
                         .max_segments = 1},
        [REQUEST_QUEUE] = {.name = "scsi requests",
                           .index = VIRTIO_SCSI_QUEUE_REQUEST,
                           .max_size = QUEUE_SIZE,
                           .max_segments =
                               (uint16_t)(host->max_segments + VIRTIO_SCSI_EXTRA_SEGMENTS),
                           .loose_lengths = true},
    };
    int error = virtio_find_queues(device, queues, QUEUES);

    if (error)
        return error;
    scsi->events = device->queue[EVENT_QUEUE];
    scsi->requests = device->queue[REQUEST_QUEUE];
    host->commands = virtqueue_size(scsi->requests);
    if (host->commands <= VIRTIO_SCSI_EXTRA_SEGMENTS) {
        device->refusal = "its queue is too small for a command";
        return -EINVAL;
    }
    host->max_segments = at_most(host->max_segments, host->commands - VIRTIO_SCSI_EXTRA_SEGMENTS);
    host->commands_per_unit = at_most(host->commands_per_unit, host->commands);
    return 0;
}

static int make_memory(struct virtio_scsi *scsi)
{
    int error;

    scsi->event_buffers = platform_dma_alloc((size_t)EVENTS * EVENT_SIZE_MAX, 64);
    if (!scsi->event_buffers)
        return -ENOMEM;
    error = virtio_scsi_make_slots(scsi);
    if (!error)
        error = scsi_disks_init(&scsi->host);
    return error ? error : scsi_scan_init(&scsi->host);
}

static void scsi_free(struct virtio_scsi *scsi)
{
    scsi_scan_finish(&scsi->host);
    scsi_disks_finish(&scsi->host);
    if (scsi->event_buffers)
        platform_dma_free(scsi->event_buffers, (size_t)EVENTS * EVENT_SIZE_MAX);
    virtio_scsi_free_slots(scsi);
    platform_dma_free(scsi, sizeof(*scsi));
}

static int scsi_probe(struct virtio_device *device)
{
    struct virtio_scsi *scsi = platform_dma_alloc(sizeof(*scsi), 64);
    int error;

    if (!scsi)
        return -ENOMEM;
    scsi->device = device;
    scsi->host.name = device->name;
    scsi->source = (struct loop_source){.name = "virtio-scsi",
                                        .poll = source_poll,
                                        .arm = source_arm,
                                        .deadline = source_deadline,
                                        .arg = scsi};
    error = read_config(scsi);
    if (!error)
        error = make_queues(scsi);
    if (!error)
        error = make_memory(scsi);
    if (error) {
        scsi_free(scsi);
        return error;
    }
    device->driver_data = scsi;
    return 0;
}

static void fill_event_queue(struct virtio_scsi *scsi)
{
    unsigned i;

    for (i = 0; i < EVENTS; i++)
        if (give_event_buffer(scsi, scsi->event_buffers + (size_t)i * EVENT_SIZE_MAX))
            break;
    virtqueue_kick(scsi->events);
}

static bool is_broken(const struct virtio_scsi *scsi)
{
    return virtqueue_is_broken(scsi->requests) || virtqueue_is_broken(scsi->events);
}

/*
 * Waits for the first scan, so that what comes next in bring-up finds the disks. A unit that takes
 * too long is left to the event loop, which may reset the adapter.
 */
static int wait_for_scan(struct virtio_scsi *scsi)
{
    uint64_t end = platform_now_ns() + START_TIMEOUT_NS, deadline;

    scsi->starting = true;
    while (!scsi_scan_is_idle(&scsi->host) && !is_broken(scsi) && platform_now_ns() < end &&
           !scsi_scan_is_overdue(&scsi->host)) {
        if (poll_all(scsi, QUEUE_SIZE) > 0 || !source_arm(scsi))
            continue;
        deadline = source_deadline(scsi);
        platform_wait(loop_wait_limit(deadline < end ? deadline : end));
    }
    scsi->starting = false;
    if (is_broken(scsi))
        return -EIO;
    if (!scsi_scan_is_idle(&scsi->host))
        log_warn("%s: virtio-scsi: some units are slow: going on without them", scsi->device->name);
    scsi_disks_settle(&scsi->host, true);
    return 0;
}

static int scsi_ready(struct virtio_device *device)
{
    struct virtio_scsi *scsi = device->driver_data;

    fill_event_queue(scsi);
    /* Also after a reset: nobody knows what was missed. */
    scsi_scan_all(&scsi->host);
    if (device->recovering)
        return 0;
    loop_add(&scsi->source);
    return wait_for_scan(scsi);
}

static void scsi_reclaim(struct virtio_device *device)
{
    struct virtio_scsi *scsi = device->driver_data;

    virtio_scsi_take_back(scsi);
    while (virtqueue_detach_unused(scsi->events))
        ;
}

static void scsi_remove(struct virtio_device *device)
{
    struct virtio_scsi *scsi = device->driver_data;

    loop_remove(&scsi->source);
    virtio_scsi_fail_waiting(scsi, NULL, "the adapter goes");
    scsi_free(scsi);
    device->driver_data = NULL;
}

static void scsi_leaving(struct virtio_device *device)
{
    struct virtio_scsi *scsi = device->driver_data;

    scsi_disks_leave(&scsi->host);
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_SCSI_F_INOUT, .name = "INOUT", .refusal = "no command moves data both ways"},
    {.bit = VIRTIO_SCSI_F_HOTPLUG, .name = "HOTPLUG"},
    {.bit = VIRTIO_SCSI_F_CHANGE, .name = "CHANGE"},
    {.bit = VIRTIO_SCSI_F_T10_PI,
     .name = "T10_PI",
     .refusal = "protection information is not used"},
};

static const uint16_t device_types[] = {VIRTIO_ID_SCSI, 0};

const struct virtio_driver virtio_scsi_driver = {
    .name = "virtio-scsi",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = scsi_probe,
    .ready = scsi_ready,
    .reclaim = scsi_reclaim,
    .remove = scsi_remove,
    .leaving = scsi_leaving,
};
