/*
 * scenario.c - see scenario.h. Network, disks, entropy and balloon; those with more to them are in
 * scenario_streams.c, scenario_host.c,
 * scenario_vsock.c and scenario_volumes.c.
 */
#include "scenario.h"

#include <string.h>

#include "balloon/virtio_balloon.h"
#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "blk/virtio_scsi.h"
#include "hosted/device_balloon.h"
#include "hosted/device_blk.h"
#include "hosted/device_net.h"
#include "hosted/device_rng.h"
#include "hosted/device_scsi.h"
#include "loop.h"
#include "net/nic.h"
#include "net/virtio_net.h"
#include "rng/random.h"
#include "rng/virtio_rng.h"
#include "scenario_host.h"
#include "scenario_streams.h"
#include "scenario_volumes.h"
#include "scenario_vsock.h"

#define BIT(n) (UINT64_C(1) << (n))
#define RINGS (BIT(F_INDIRECT_DESC) | BIT(F_EVENT_IDX))
#define MEMORY_SIZE 65536u
#define TURNS 8u

static uint8_t *memory;

void scenario_settle(struct device *device)
{
    for (unsigned i = 0; i < TURNS; i++) {
        device_run(device);
        hosted_interrupts_deliver();
        if (!loop_turn())
            break;
    }
}

static void take_memory(void)
{
    memory = platform_dma_alloc(MEMORY_SIZE, 4096);
    if (!memory)
        hosted_fail("no memory for the user");
}

/* ---- network ---- */

#define BUFFERS 8u
#define BUFFER_SIZE 2048u

static struct device_net net;
static struct nic *nic;
static unsigned lent, sending;

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    (void)arg;
    for (unsigned i = 0; i < count; i++)
        lent -= frame[i].pieces;
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    (void)buffer;
    lent--;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    (void)token;
    sending -= count;
}

static void provide(void)
{
    while (lent < BUFFERS && nic_rx_room(nic)) {
        void *buffer = memory + lent * BUFFER_SIZE;

        if (nic_rx_provide(nic, &buffer, 1, BUFFER_SIZE) != 1)
            break;
        lent++;
    }
    nic_kick(nic);
}

static void changed(void *arg)
{
    (void)arg;
}

/* Unplugged; the structure goes next. */
static void removed(void *arg)
{
    (void)arg;
    nic = NULL;
}

static void restarted(void *arg)
{
    (void)arg;
    provide();
}

static struct device *net_make(void)
{
    static const uint64_t features = BIT(NET_F_MAC) | BIT(NET_F_STATUS) | BIT(NET_F_MRG_RXBUF);

    take_memory();
    lent = sending = 0;
    device_net_init(&net, features | RINGS, 16, 3);
    return &net.device;
}

static void net_use(void)
{
    static const struct nic_callbacks callbacks = {.received = received,
                                                   .reclaimed = reclaimed,
                                                   .sent = sent,
                                                   .changed = changed,
                                                   .announce = changed,
                                                   .restarted = restarted,
                                                   .removed = removed};
    static const struct device_net_rx honest;
    static const uint8_t down[2], frame[100];

    nic = nic_at(0);
    if (!nic)
        return;
    nic_attach(nic, &callbacks, NULL);
    provide();
    for (unsigned i = 0; i < 3 && nic; i++) {
        struct virtqueue_sg sg[2] = {{memory + 60000, 14}, {memory + 60100, 200}};

        if (nic_tx(nic, sg, 2, 0, NULL, memory) == 0)
            sending++;
        nic_kick(nic);
        device_net_receive(&net, frame, sizeof(frame), &honest);
        device_signal(&net.device, 0);
        scenario_settle(&net.device);
        if (!nic)
            break;
        nic_poll(nic, 8);
        provide();
        nic_arm(nic);
    }
    device_change_config(&net.device, NET_CONFIG_STATUS, down, sizeof(down));
    scenario_settle(&net.device);
    if (nic)
        nic_poll(nic, 8);
}

static void net_finish(void)
{
    if (lent || sending)
        hosted_fail("%u receive buffers and %u frames did not come back", lent, sending);
    device_net_finish(&net);
    platform_dma_free(memory, MEMORY_SIZE);
}

/* ---- disks ---- */

static struct device_blk blk;
static struct device_scsi scsi;
static unsigned pending;

static void done(struct blk_request *request)
{
    (void)request;
    pending--;
}

static void use_disk(struct device *device)
{
    static struct blk_segment segment[4];
    static struct blk_request request[4];
    struct blk_device *disk = blk_device_at(0);

    if (!disk)
        return;
    blk_write(disk, 1, memory, 4);
    for (unsigned i = 0; i < 4; i++) {
        segment[i] = (struct blk_segment){memory + 4096 * i, 1024};
        request[i] = (struct blk_request){.op = i % 2 ? BLK_WRITE : BLK_READ,
                                          .sector = 8 * i,
                                          .segment = &segment[i],
                                          .segments = 1,
                                          .done = done};
        pending++;
        blk_submit(disk, &request[i]);
    }
    scenario_settle(device);
    /* The first may have been unplugged meanwhile. */
    if (blk_device_at(0) == disk) {
        blk_flush(disk);
        blk_read(disk, 1, memory, 4);
    }
    scenario_settle(device);
}

static struct device *blk_make(void)
{
    static const struct device_blk_setup setup = {.capacity = 64,
                                                  .seg_max = 4,
                                                  .blk_size = 512,
                                                  .flush = true,
                                                  .more_features = RINGS,
                                                  .queue_size = 16,
                                                  .msix_vectors = 2};

    take_memory();
    pending = 0;
    device_blk_init(&blk, &setup);
    return &blk.device;
}

static void blk_use(void)
{
    use_disk(&blk.device);
}

static void check_requests(void)
{
    if (pending)
        hosted_fail("%u requests did not end", pending);
    platform_dma_free(memory, MEMORY_SIZE);
}

static void blk_finish(void)
{
    check_requests();
    device_blk_finish(&blk);
}

static struct device *scsi_make(void)
{
    static struct device_scsi_setup setup;

    take_memory();
    pending = 0;
    setup = device_scsi_ordinary;
    setup.max_target = 1;
    setup.max_lun = 1;
    setup.features |= RINGS;
    setup.queue_size = 16;
    device_scsi_add(setup.unit, 0, 0, 64);
    device_scsi_init(&scsi, &setup);
    return &scsi.device;
}

static void scsi_use(void)
{
    scenario_settle(&scsi.device);
    use_disk(&scsi.device);
    device_scsi_event(&scsi, SCSI_EVENT_CHANGE, 0, 0, 0x2a | 0x09 << 8);
    scenario_settle(&scsi.device);
}

static void scsi_finish(void)
{
    check_requests();
    device_scsi_finish(&scsi);
}

/* ---- entropy ---- */

static struct device_rng rng;

static struct device *rng_make(void)
{
    device_rng_init(&rng, 2);
    rng.limit = 64;
    return &rng.device;
}

static void rng_use(void)
{
    uint8_t bytes[32];

    for (unsigned i = 0; i < 4; i++) {
        random_bytes(bytes, sizeof(bytes));
        scenario_settle(&rng.device);
        hosted_clock_advance(UINT64_C(1000000000));
    }
}

static void rng_finish(void)
{
    device_rng_finish(&rng);
}

/* ---- balloon ---- */

static struct device_balloon balloon;

static struct device *balloon_make(void)
{
    static const struct device_balloon_setup setup = {.stats = true,
                                                      .deflate_on_oom = true,
                                                      .reporting = true,
                                                      .num_pages = 10,
                                                      .msix_vectors = 5};

    hosted_pages_reset();
    device_balloon_init(&balloon, &setup);
    return &balloon.device;
}

static void balloon_use(void)
{
    static const uint32_t targets[] = {300, 20, 0};

    scenario_settle(&balloon.device);
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        device_balloon_set(&balloon, targets[i]);
        scenario_settle(&balloon.device);
        hosted_clock_advance(UINT64_C(3000000000));
    }
    if (balloon.stats)
        device_balloon_ask(&balloon);
    scenario_settle(&balloon.device);
}

static void balloon_finish(void)
{
    device_balloon_finish(&balloon);
    hosted_pages_finish();
}

const struct scenario scenarios[] = {
    {"net", &virtio_net_driver, net_make, net_use, net_finish},
    {"blk", &virtio_blk_driver, blk_make, blk_use, blk_finish},
    {"scsi", &virtio_scsi_driver, scsi_make, scsi_use, scsi_finish},
    {"console", &virtio_console_driver, console_make, console_use, console_finish},
    {"rng", &virtio_rng_driver, rng_make, rng_use, rng_finish},
    {"balloon", &virtio_balloon_driver, balloon_make, balloon_use, balloon_finish},
    {"9p", &virtio_9p_driver, p9_make, p9_use, p9_finish},
    {"input", &virtio_input_driver, input_make, input_use, input_finish},
    {"virtiofs", &virtio_fs_driver, virtiofs_make, virtiofs_use, virtiofs_finish},
    {"vsock", &virtio_vsock_driver, vsock_make, vsock_use, vsock_finish},
    {"fat", &virtio_blk_driver, fat_make, fat_use, volumes_finish},
    {"littlefs", &virtio_blk_driver, littlefs_make, littlefs_use, volumes_finish},
};
const unsigned scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
