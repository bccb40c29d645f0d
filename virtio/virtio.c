/*
 * virtio.c - the device and driver model: matching, the initialization of 3.1.1, queues, recovery.
 *
 * Knows neither a transport nor a device type: both sides are tables of functions (virtio.h). Owns
 * the queues of a device between virtio_find_queues() and the removal of its driver. Read
 * virtqueue.h next for the data path, virtio_pci.c for a transport.
 */
#include "virtio/virtio.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "virtio/spec.h"
#include "virtio/virtio_impl.h"

#define STATUS_ALL_ONES 0xff
#define GONE "it was pulled out"

/* A reset is instant in software devices; real ones take milliseconds. Beyond this the device is
 * given up. */
#define RESET_TIMEOUT_MS 2000
/*
 * A device that has to be recovered more often than this within the window is broken for good. Over
 * its life the number says nothing: a machine that is up for a year may well meet 16 hiccups of its
 * host, while a device that breaks again and again within a minute only burns time.
 */
#define MAX_RECOVERIES 16
#define RECOVERY_WINDOW_NS (UINT64_C(60) * 1000000000)
/* How often a device without interrupts is asked for configuration changes. */
#define CONFIG_POLL_NS 100000000u

static const struct virtio_driver *const *driver_table;
static unsigned driver_count;
static enum virtio_interrupt_mode interrupt_limit = VIRTIO_INTERRUPT_MSIX;
static struct virtio_device *first_device;
static volatile bool news; /* config_pending of some device is set */
static bool polls;         /* some device has no interrupt for that */

/* ---- status and reset ---- */

static void add_status(struct virtio_device *device, uint8_t bits)
{
    device->ops->set_status(device, (uint8_t)(device->ops->get_status(device) | bits));
}

/*
 * What is pulled out of its bus reads as all ones, or where a hypervisor has no device any more, as
 * zeros. So do a few broken devices, therefore the bus is asked as well.
 */
static bool is_gone(struct virtio_device *device, uint8_t status)
{
    if (!device->gone && (status == STATUS_ALL_ONES || status == 0) && device->ops->is_present &&
        !device->ops->is_present(device)) {
        device->gone = true;
        log_error("%s: it is gone", device->name);
    }
    return device->gone;
}

/* 2.1.2, 2.4.1: a reset is finished when the status reads 0. */
static int reset_device(struct virtio_device *device)
{
    uint64_t end = platform_now_ns() + RESET_TIMEOUT_MS * 1000000ull;
    uint8_t status;

    device->driver_ok = false;
    device->ops->set_status(device, 0);
    while ((status = device->ops->get_status(device)) != 0) {
        if (is_gone(device, status))
            return -ENODEV;
        if (platform_now_ns() > end) {
            log_error("%s: reset not finished after %u ms (status 0x%02x)", device->name,
                      RESET_TIMEOUT_MS, status);
            return -ETIMEDOUT;
        }
        platform_relax();
    }
    return 0;
}

/* After this the device does not touch memory: it was reset, or cut off where it would not be. */
static int stop_device(struct virtio_device *device)
{
    int error = reset_device(device);

    if (error)
        device->ops->isolate(device);
    return error;
}

static int fail(struct virtio_device *device, const char *reason)
{
    device->refusal = reason;
    device->failed = true;
    device->driver_ok = false;
    add_status(device, VIRTIO_STATUS_FAILED);
    log_error("%s: %s: %s", device->name, device->driver->name, reason);
    return -EIO;
}

/* 3.1.1 steps 1 to 6. */
static int negotiate(struct virtio_device *device)
{
    if (reset_device(device))
        return fail(device, device->gone ? GONE : "the device cannot be reset");
    add_status(device, VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(device, VIRTIO_STATUS_DRIVER);
    memset(&device->offered, 0, sizeof(device->offered));
    device->ops->get_features(device, &device->offered);
    virtio_choose_features(device);
    if (!device->legacy && !virtio_features_has(&device->accepted, VIRTIO_F_VERSION_1))
        return fail(device, "the device does not offer VERSION_1");
    device->ops->set_features(device, &device->accepted);
    if (device->legacy)
        return 0;
    add_status(device, VIRTIO_STATUS_FEATURES_OK);
    if (!(device->ops->get_status(device) & VIRTIO_STATUS_FEATURES_OK))
        return fail(device, "the device refused our choice of features");
    return 0;
}

/* ---- queues ---- */

static void notify_too_early(void *device, struct virtqueue *vq)
{
    platform_panic("%s: %s notified before DRIVER_OK", ((struct virtio_device *)device)->name,
                   virtqueue_name(vq));
}

/* Of a queue that must not stall. */
static void notify_and_watch(void *arg, struct virtqueue *vq)
{
    struct virtio_device *device = arg;

    virtio_watch_begin();
    device->notify(device, vq);
}

static void allow_notifications(struct virtio_device *device, bool allowed)
{
    unsigned i;

    device->notify = virtio_features_has(&device->accepted, VIRTIO_F_NOTIFICATION_DATA)
                         ? device->ops->notify_data
                         : device->ops->notify;
    for (i = 0; i < device->queue_count; i++)
        virtqueue_set_notify(device->queue[i], !allowed                      ? notify_too_early
                                               : device->watch[i].patience_s ? notify_and_watch
                                                                             : device->notify);
}

static void destroy_queues(struct virtio_device *device)
{
    unsigned i;

    for (i = 0; i < device->queue_count; i++) {
        virtqueue_destroy(device->queue[i]);
        device->queue[i] = NULL;
    }
    device->queue_count = 0;
}

/* A size that neither side finds too large; for a split ring a power of two (2.7). */
static uint16_t queue_size(uint16_t device_max, uint16_t driver_max, bool packed)
{
    unsigned wanted = driver_max && driver_max < device_max ? driver_max : device_max;
    unsigned size = VIRTQ_MAX_SIZE;

    if (packed)
        return (uint16_t)(wanted < size ? wanted : size);
    while (size > wanted)
        size /= 2;
    return (uint16_t)size;
}

bool virtio_has_queue(struct virtio_device *device, uint16_t index)
{
    return device->ops->queue_max_size(device, index) > 0;
}

static int create_queue(struct virtio_device *device, const struct virtio_queue_request *request)
{
    struct virtqueue_params params = {
        .name = request->name,
        .index = request->index,
        .max_segments = request->max_segments,
        .cell_bytes = request->cell_bytes,
        .loose_lengths = request->loose_lengths,
        .layout.packed = virtio_features_has(&device->accepted, VIRTIO_F_RING_PACKED),
        .layout.in_order = virtio_features_has(&device->accepted, VIRTIO_F_IN_ORDER),
        .layout.event_idx = virtio_features_has(&device->accepted, VIRTIO_F_EVENT_IDX),
        .layout.indirect = virtio_features_has(&device->accepted, VIRTIO_F_INDIRECT_DESC),
        .layout.legacy = device->legacy,
        .layout.alignment = device->legacy ? VIRTQ_LEGACY_ALIGNMENT : 0,
        .notify = notify_too_early,
        .notify_arg = device,
    };
    uint16_t max_size = device->ops->queue_max_size(device, request->index);
    unsigned i = device->queue_count;

    if (max_size == 0) {
        log_error("%s: %s: the device has no queue %u", device->name, request->name,
                  request->index);
        return -ENODEV;
    }
    params.size = device->fixed_queue_size
                      ? max_size
                      : queue_size(max_size, request->max_size, params.layout.packed);
    device->queue[i] = virtqueue_create(&params);
    if (!device->queue[i])
        return -ENOMEM;
    device->queue_interrupt[i] = !request->no_interrupt;
    virtio_watch_queue(device, i, request->patience_s);
    device->queue_count++;
    return 0;
}

static int enable_queue(struct virtio_device *device, unsigned i)
{
    struct virtqueue *vq = device->queue[i];
    int error = device->ops->queue_enable(device, vq, device->queue_interrupt[i]);

    if (error)
        log_error("%s: %s: the device did not take the queue", device->name, virtqueue_name(vq));
    /* Nothing but looking tells us about such a device, so the loop may not sleep for long. */
    else if (device->interrupt_mode == VIRTIO_INTERRUPT_NONE)
        loop_set_polling(polls = true);
    return error;
}

static int enable_queues(struct virtio_device *device)
{
    unsigned i;
    int error = 0;

    device->ops->interrupts_setup(device, device->queue_count);
    for (i = 0; i < device->queue_count && !error; i++)
        error = enable_queue(device, i);
    return error;
}

int virtio_find_queues(struct virtio_device *device, const struct virtio_queue_request *requests,
                       unsigned count)
{
    int error = count > VIRTIO_MAX_QUEUES ? -EINVAL : 0;
    unsigned i;

    for (i = 0; i < count && !error; i++)
        error = create_queue(device, &requests[i]);
    /* What was made already is undone with the driver, after a reset: the device may know of it. */
    return error ? error : enable_queues(device);
}

int virtio_reset_queue(struct virtio_device *device, unsigned i)
{
    struct virtqueue *vq = device->queue[i];
    uint64_t end = platform_now_ns() + RESET_TIMEOUT_MS * 1000000ull;
    int error;

    if (!virtio_features_has(&device->accepted, VIRTIO_F_RING_RESET))
        return -ENOTSUP;
    if (!device->driver_ok)
        return -EIO;
    virtqueue_stop(vq);
    device->ops->queue_reset(device, vq);
    while ((error = device->ops->queue_reset_state(device, vq)) == -EBUSY &&
           platform_now_ns() < end)
        platform_relax();
    if (error)
        log_error("%s: %s: %s", device->name, virtqueue_name(vq),
                  error == -EBUSY ? "the reset of the queue does not end"
                                  : "the device keeps the queue in spite of its reset");
    return error == -EBUSY ? -ETIMEDOUT : error;
}

/* 2.6.1.2: as at first, with a size that the device may have another opinion about now. */
int virtio_enable_queue(struct virtio_device *device, unsigned i, uint16_t max_size)
{
    struct virtqueue *vq = device->queue[i];
    uint16_t size = virtqueue_size(vq);
    uint16_t device_max = device->ops->queue_max_size(device, virtqueue_index(vq));
    bool packed = virtio_features_has(&device->accepted, VIRTIO_F_RING_PACKED);
    int error = 0;

    if (max_size || device_max < size)
        size = queue_size(device_max, max_size ? max_size : size, packed);
    if (!device->driver_ok || size == 0 || !virtqueue_is_broken(vq) || virtqueue_in_flight(vq))
        return -EIO;
    if (size != virtqueue_size(vq))
        error = virtqueue_resize(vq, size);
    if (error)
        return error;
    virtqueue_reinit(vq);
    error = enable_queue(device, i);
    if (error)
        virtqueue_stop(vq);
    return error;
}

/* ---- bring-up and end ---- */

static const struct virtio_driver *find_driver(uint16_t type)
{
    unsigned i;
    const uint16_t *id;

    for (i = 0; i < driver_count; i++)
        for (id = driver_table[i]->device_types; *id; id++)
            if (*id == type)
                return driver_table[i];
    return NULL;
}

/*
 * 3.1.1 step 8: from here on the device is live. One that left during the steps before has said yes
 * to everything: all ones.
 */
static int go_live(struct virtio_device *device)
{
    add_status(device, VIRTIO_STATUS_DRIVER_OK);
    if (is_gone(device, device->ops->get_status(device)))
        return -ENODEV;
    device->driver_ok = true;
    allow_notifications(device, true);
    return device->driver->ready(device);
}

static void take_down(struct virtio_device *device)
{
    device->ops->interrupts_teardown(device);
    destroy_queues(device);
}

static int bring_up(struct virtio_device *device)
{
    int error = negotiate(device);

    if (error)
        return error;
    virtio_log_features(device);
    error = device->driver->probe(device);
    if (error) {
        is_gone(device, device->ops->get_status(device));
        fail(device, device->gone      ? GONE
                     : device->refusal ? device->refusal
                                       : "the driver could not set the device up");
        goto out_queues;
    }
    error = go_live(device);
    if (error)
        goto out_driver;
    virtio_log_queues(device);
    return 0;

out_driver:
    fail(device, device->gone ? GONE : "the driver could not start the device");
    stop_device(device);
    device->driver->reclaim(device);
    device->driver->remove(device);
    take_down(device);
    add_status(device, VIRTIO_STATUS_FAILED);
    return error;
out_queues:
    /* The device knows the queues' addresses: it must forget them before the memory is given back.
     */
    stop_device(device);
    take_down(device);
    add_status(device, VIRTIO_STATUS_FAILED);
    return error;
}

static struct loop_source source;

static bool loop_arm(void *arg)
{
    (void)arg;
    loop_sleep(&source);
    return !news;
}

static uint64_t loop_deadline(void *arg)
{
    uint64_t deadline = PLATFORM_NO_DEADLINE;
    struct virtio_device *device;

    (void)arg;
    for (device = polls ? first_device : NULL; device; device = device->next)
        if (device->driver_ok && device->interrupt_mode == VIRTIO_INTERRUPT_NONE &&
            device->ops->poll_config_change && device->config_poll_ns < deadline)
            deadline = device->config_poll_ns;
    return deadline;
}

static unsigned loop_poll(void *arg, unsigned budget)
{
    (void)arg;
    (void)budget;
    return virtio_poll();
}

static struct loop_source source = {.name = "virtio",
                                    .poll = loop_poll,
                                    .arm = loop_arm,
                                    .deadline = loop_deadline,
                                    .arm_finds_all = true};

int virtio_add_device(struct virtio_device *device)
{
    struct virtio_device **link = &first_device;
    int error = 0;

    if (!first_device) {
        loop_add(&source);
        virtio_watch_start();
    }
    while (*link)
        link = &(*link)->next;
    *link = device;
    device->next = NULL;
    device->driver = find_driver(device->type);
    if (!device->driver) {
        device->refusal = "no driver for this device type";
        /* Firmware may have left it running, with rings in memory that is ours now. */
        stop_device(device);
    } else {
        error = bring_up(device);
    }
    virtio_log_device(device);
    return error;
}

static void end_device(struct virtio_device *device)
{
    /* Also of a device that was given up: its queues and its driver's memory are still there. */
    bool probed = device->queue_count > 0;

    stop_device(device);
    if (probed) {
        device->driver->reclaim(device);
        device->driver->remove(device);
        take_down(device);
    }
    device->ops->release(device);
}

void virtio_shutdown(void)
{
    while (first_device) {
        struct virtio_device *device = first_device;

        first_device = device->next;
        end_device(device);
    }
}

void virtio_remove_device(struct virtio_device *device)
{
    struct virtio_device **link = &first_device;

    if (device->driver_ok && !is_gone(device, device->ops->get_status(device)) &&
        device->driver->leaving)
        device->driver->leaving(device);
    while (*link != device)
        link = &(*link)->next;
    *link = device->next;
    end_device(device);
}

/* ---- recovery and configuration changes ---- */

/* Why a live device must be recovered, or NULL. One that is gone has the bit, or none at all. */
static const char *complaint(struct virtio_device *device)
{
    uint8_t status = device->ops->get_status(device);

    if (status & VIRTIO_STATUS_DEVICE_NEEDS_RESET) /* 2.1.1 */
        return "it asked for a reset (DEVICE_NEEDS_RESET)";
    return status & VIRTIO_STATUS_DRIVER_OK ? NULL : "it is not live any more";
}

/* The rings were laid out for the features and sizes of before, so the device must offer them
 * again. */
static bool is_as_before(struct virtio_device *device, const struct virtio_features *before)
{
    unsigned i;

    for (i = 0; i < device->queue_count; i++) {
        uint16_t size = virtqueue_size(device->queue[i]);
        uint16_t max = device->ops->queue_max_size(device, virtqueue_index(device->queue[i]));

        if (max < size || (device->fixed_queue_size && max != size))
            return false;
    }
    return memcmp(before, &device->accepted, sizeof(*before)) == 0;
}

static int restart(struct virtio_device *device)
{
    struct virtio_features before = device->accepted;
    unsigned i;
    int error;

    for (i = 0; i < device->queue_count; i++)
        virtqueue_reinit(device->queue[i]);
    error = negotiate(device);
    if (error)
        return error;
    if (!is_as_before(device, &before))
        return -EIO;
    device->ops->interrupts_teardown(device);
    error = enable_queues(device);
    return error ? error : go_live(device);
}

static int give_up(struct virtio_device *device, const char *reason)
{
    unsigned i;

    fail(device, reason);
    for (i = 0; i < device->queue_count; i++)
        virtqueue_break(device->queue[i], reason);
    return -EIO;
}

static bool recovers_too_often(struct virtio_device *device)
{
    uint64_t now = platform_now_ns();

    if (device->recovery_count == 0 || now - device->recovery_window_ns > RECOVERY_WINDOW_NS) {
        device->recovery_window_ns = now;
        device->recovery_count = 0;
    }
    device->recoveries++;
    return ++device->recovery_count > MAX_RECOVERIES;
}

int virtio_recover(struct virtio_device *device, const char *reason)
{
    int error;

    if (device->failed || device->recovering)
        return -EIO;
    device->recovering = true;
    if (!is_gone(device, device->ops->get_status(device)))
        log_warn("%s: %s: resetting it: %s", device->name, device->driver->name, reason);
    error = stop_device(device);
    allow_notifications(device, false);
    device->driver->reclaim(device);
    if (!error && recovers_too_often(device))
        error = -EIO;
    if (!error && restart(device) != 0) {
        /* It may have been live for a moment, and have buffers again. */
        error = -EIO;
        stop_device(device);
        device->driver->reclaim(device);
    }
    device->recovering = false;
    if (error)
        return give_up(
            device, device->gone ? GONE : "given up: it did not come back from a reset as it was");
    log_info("%s: %s: running again (recovery %u)", device->name, device->driver->name,
             device->recoveries);
    return 0;
}

/* A broken queue by itself, while the device goes on. */
static int mend_queue(struct virtio_device *device, unsigned i)
{
    int error = virtio_reset_queue(device, i);

    if (error)
        return error;
    device->driver->reclaim_queue(device, i);
    error = virtio_enable_queue(device, i, 0);
    if (!error)
        device->driver->ready_queue(device, i);
    return error;
}

int virtio_mend(struct virtio_device *device, const char *reason)
{
    unsigned i;
    int error = 0;

    if (device->failed || device->recovering)
        return -EIO;
    if (!device->driver->reclaim_queue ||
        !virtio_features_has(&device->accepted, VIRTIO_F_RING_RESET) || complaint(device) ||
        recovers_too_often(device))
        return virtio_recover(device, reason);
    for (i = 0; i < device->queue_count && !error; i++) {
        if (!virtqueue_is_broken(device->queue[i]))
            continue;
        log_warn("%s: %s: resetting only %s: %s", device->name, device->driver->name,
                 virtqueue_name(device->queue[i]), reason);
        error = mend_queue(device, i);
    }
    return error ? virtio_recover(device, "a queue did not come back from its reset") : 0;
}

void virtio_config_interrupt(void *arg)
{
    struct virtio_device *device = arg;

    device->config_pending = true;
    news = true;
    loop_wake(&source);
}

static bool config_change_is_due(struct virtio_device *device)
{
    if (device->interrupt_mode != VIRTIO_INTERRUPT_NONE || !device->ops->poll_config_change ||
        platform_now_ns() < device->config_poll_ns)
        return false;
    device->config_poll_ns = platform_now_ns() + CONFIG_POLL_NS;
    return device->ops->poll_config_change(device);
}

void virtio_look(struct virtio_device *device)
{
    const char *reason = device->driver_ok ? complaint(device) : NULL;

    if (reason)
        virtio_recover(device, reason);
}

unsigned virtio_poll(void)
{
    struct virtio_device *device;
    const char *reason;
    unsigned handled = 0;

    if (!news && !polls)
        return 0;
    news = false;
    for (device = first_device; device; device = device->next) {
        if (!device->driver_ok || !(device->config_pending || config_change_is_due(device))) {
            news |= device->config_pending;
            continue;
        }
        device->config_pending = false;
        handled++;
        /* 2.1.1: the same notification announces DEVICE_NEEDS_RESET. */
        reason = complaint(device);
        if (reason)
            virtio_recover(device, reason);
        else if (device->driver->config_changed)
            device->driver->config_changed(device);
    }
    return handled;
}

/* ---- set-up and report ---- */

void virtio_set_drivers(const struct virtio_driver *const *drivers, unsigned count)
{
    driver_table = drivers;
    driver_count = count;
}

void virtio_set_interrupt_limit(enum virtio_interrupt_mode limit)
{
    interrupt_limit = limit;
}

enum virtio_interrupt_mode virtio_interrupt_limit(void)
{
    return interrupt_limit;
}

struct virtio_device *virtio_devices(void)
{
    return first_device;
}
