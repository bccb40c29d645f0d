/*
 * scenario_host.c - the life of the input driver with a listener, and of the virtio-fs driver with a
 * server behind it (tests/unit/fuse_server.h).
 */
#include "scenario_host.h"

#include <string.h>

#include "input/input.h"
#include "scenario_volumes.h"
#include "tests/unit/fuse_server.h"
#include "virtio/spec_devices.h"

#define RINGS (UINT64_C(1) << F_INDIRECT_DESC | UINT64_C(1) << F_EVENT_IDX)

/* ---- input ---- */

#define EVENTS 0
#define INPUT_DATA_AT offsetof(struct virtio_input_config, u)

static struct device keyboard;
static unsigned present; /* devices that the listener has not seen leave */

static void answer_query(struct device *device, unsigned offset)
{
    static const uint8_t data[20] = {'k', 'e', 'y', 's', 1};

    (void)offset;
    device->config[offsetof(struct virtio_input_config, size)] =
        device->config[0] == VIRTIO_INPUT_CFG_ID_DEVIDS ? 8 : sizeof(data);
    memcpy(device->config + INPUT_DATA_AT, data, sizeof(data));
}

static void take_states(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while (queue != EVENTS && (chain = ring_device_pop(ring)))
        ring_device_push(ring, chain, 0);
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static void heard(void *arg, struct input_device *device, const struct input_event *event)
{
    (void)arg;
    (void)device;
    if (!event)
        present--;
}

struct device *input_make(void)
{
    static const struct device_field fields[] = {{0, 1, 128, DEVICE_NO_FEATURE}};
    static const struct device_type type = {.name = "input",
                                            .id = VIRTIO_ID_INPUT,
                                            .field = fields,
                                            .fields = 1,
                                            .serve = take_states,
                                            .config_written = answer_query};
    static const uint8_t config[DEVICE_CONFIG_SIZE];

    present = 0;
    device_init(&keyboard, &(struct device_setup){.type = &type,
                                                  .features = RINGS,
                                                  .queues = 2,
                                                  .queue_size = 16,
                                                  .msix_vectors = 3,
                                                  .config = config,
                                                  .config_length = sizeof(config)});
    return &keyboard;
}

static void press_key(void)
{
    static const struct virtio_input_event event = {INPUT_KEY, 30, 1};
    struct ring_device *ring = &keyboard.queue[EVENTS].ring;
    struct ring_chain *chain =
        device_is_live(&keyboard) && keyboard.queue[EVENTS].enabled ? ring_device_pop(ring) : NULL;

    if (!chain)
        return;
    ring_chain_write(chain, 0, &event, sizeof(event));
    ring_device_push(ring, chain, sizeof(event));
    device_signal(&keyboard, EVENTS);
}

void input_use(void)
{
    static const struct input_event light = {INPUT_LED, 1, 1};
    uint8_t bits[INPUT_BITS_SIZE];
    struct input_range range;

    input_listen(heard, NULL);
    present = input_at(0) != NULL;
    for (unsigned i = 0; i < 3 && present; i++) {
        press_key();
        input_send(input_at(0), &light);
        input_can(input_at(0), INPUT_KEY, 30);
        scenario_settle(&keyboard);
    }
    if (present)
        input_read_properties(input_at(0), bits);
    if (present)
        input_read_range(input_at(0), 1, &range);
}

void input_finish(void)
{
    if (present || input_at(0))
        hosted_fail("nobody was told that the device left");
    input_listen(NULL, NULL);
    device_finish(&keyboard);
}

/* ---- virtio-fs ---- */

static struct device share;
static uint8_t *data;

static void answer_requests(struct device *device, unsigned queue)
{
    static uint8_t request[FUSE_SERVER_MESSAGE], reply[FUSE_SERVER_MESSAGE];
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring))) {
        uint32_t len = (uint32_t)ring_chain_read(chain, 0, request, sizeof(request));

        len = queue == VIRTIO_FS_Q_REQUEST ? fuse_server_answer(request, len, reply) : 0;
        ring_device_push(ring, chain, (uint32_t)ring_chain_write(chain, 0, reply, len));
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

struct device *virtiofs_make(void)
{
    static const struct device_field fields[] = {{0, 1, VIRTIO_FS_TAG_SIZE, DEVICE_NO_FEATURE},
                                                 {VIRTIO_FS_TAG_SIZE, 4, 1, DEVICE_NO_FEATURE}};
    static const struct device_type type = {
        .name = "fs", .id = VIRTIO_ID_FS, .field = fields, .fields = 2, .serve = answer_requests};
    static const uint8_t config[VIRTIO_FS_TAG_SIZE + 4] = {'h', 'o', 's',
                                                           't', [VIRTIO_FS_TAG_SIZE] = 1};

    data = platform_dma_alloc(4096, 64);
    device_init(&share, &(struct device_setup){.type = &type,
                                               .features = RINGS,
                                               .queues = 2,
                                               .queue_size = 16,
                                               .msix_vectors = 3,
                                               .config = config,
                                               .config_length = sizeof(config)});
    return &share;
}

static void watch(struct fuse_transport *transport, bool added)
{
    if (!added)
        scenario_volume_leaves(transport);
}

void virtiofs_use(void)
{
    struct fuse_transport *transport = virtio_fs_at(0);
    void *volume;

    virtio_fs_watch(watch);
    if (transport && fuse_mount(transport, &volume) == 0)
        scenario_use_volume(&share, &fuse_ops, volume, data);
}

void virtiofs_finish(void)
{
    virtio_fs_watch(NULL);
    device_finish(&share);
    platform_dma_free(data, 4096);
}
