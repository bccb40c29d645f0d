// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c blk/virtio_blk.c
// sources: blk/virtio_blk_config.c blk/virtio_blk_zones.c blk/block.c blk/block_parts.c
// sources: blk/block_devices.c blk/wait.c
// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c net/virtio_net_steering.c net/flow_hash.c net/frame.c
// sources: boot/loop.c boot/log.c boot/format.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c tests/unit/threaded_device.c
/*
 * test_drivers_threads.c - the block and the network driver with their device on another CPU: what
 * they lend it and take back is ordered by the rings alone. ThreadSanitizer looks on in
 * `make sanitize`; here each byte is checked, and that nobody sleeps for ever.
 *
 * covers: SPLIT-BARRIER-IDX-1 SPLIT-BARRIER-KICK-1 SPLIT-T-RECHECK-1
 */
#include "threaded_device.h"

#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/wire.h"
#include "net/nic.h"
#include "net/virtio_net.h"
#include "virtio/spec_storage.h"

#define RINGS_INDEX (UINT64_C(1) << VIRTIO_F_EVENT_IDX)
#define RINGS_INDIRECT (UINT64_C(1) << VIRTIO_F_INDIRECT_DESC)
#define RINGS_PACKED (UINT64_C(1) << VIRTIO_F_RING_PACKED)
#define TRANSFERS 5000u

static struct threaded_device device;
static uint8_t *memory;

static void start(uint64_t features, unsigned queues, const struct virtio_driver *driver,
                  bool (*serve)(struct threaded_device *device))
{
    memset(&device, 0, sizeof(device));
    device.features = features;
    device.queues = queues;
    device.queue_size = 16;
    device.serve = serve;
    memory = platform_dma_alloc(65536, 4096);
    assert_non_null(memory);
    /* The configuration of both kinds: a capacity here is the address there. */
    device.config[1] = 8;
    assert_true(threaded_start(&device, driver));
}

static void end(void)
{
    threaded_end(&device);
    platform_dma_free(memory, 65536);
}

/* ---- a disk of numbers: sector n is full of n, and what is written must be ---- */

#define REQUESTS 6u
#define SECTORS 2u

static int wrong_writes; /* the device's thread counts */

static uint8_t number_of(uint64_t sector)
{
    return (uint8_t)(sector * 7 + 1);
}

static uint32_t answer(struct threaded_chain *chain)
{
    struct virtio_blk_req_header header;
    uint8_t *status = chain->piece[chain->pieces - 1].data;
    uint32_t written = 1, number;

    memcpy(&header, chain->piece[0].data, sizeof(header));
    number = number_of(header.sector);
    for (unsigned i = 1; i + 1 < chain->pieces; i++) {
        uint8_t *data = chain->piece[i].data;

        if (header.type == VIRTIO_BLK_T_IN) {
            memset(data, (int)number, chain->piece[i].len);
            written += chain->piece[i].len;
        } else if (header.type == VIRTIO_BLK_T_OUT) {
            for (uint32_t at = 0; at < chain->piece[i].len; at++)
                wrong_writes += data[at] != number;
        }
    }
    *status = VIRTIO_BLK_S_OK;
    return written;
}

static bool serve_disk(struct threaded_device *from)
{
    struct threaded_chain chain;

    if (!threaded_take(from, 0, &chain))
        return false;
    threaded_put(from, 0, &chain, answer(&chain));
    return true;
}

struct transfer {
    struct blk_request request;
    struct blk_segment segment;
    bool busy;
};

static struct transfer transfers[REQUESTS];
static unsigned finished;

static void done(struct blk_request *request)
{
    struct transfer *transfer = request->context;
    const uint8_t *data = transfer->segment.data;

    assert_int_equal(request->status, 0);
    for (uint32_t i = 0; i < transfer->segment.len; i++)
        assert_int_equal(data[i], number_of(request->sector));
    transfer->busy = false;
    finished++;
}

static void begin(struct blk_device *disk, struct transfer *transfer, unsigned number)
{
    enum blk_op op = number % 3 ? BLK_READ : BLK_WRITE;
    uint64_t sector = number % 500;

    memset(transfer->segment.data, op == BLK_READ ? 0 : number_of(sector), transfer->segment.len);
    transfer->request = (struct blk_request){.op = op,
                                             .sector = sector,
                                             .segment = &transfer->segment,
                                             .segments = 1,
                                             .done = done,
                                             .context = transfer};
    transfer->busy = true;
    blk_submit(disk, &transfer->request);
}

static void use_disk(struct blk_device *disk)
{
    unsigned begun = 0;

    while (finished < TRANSFERS) {
        for (unsigned i = 0; i < REQUESTS; i++)
            if (!transfers[i].busy && begun < TRANSFERS)
                begin(disk, &transfers[i], begun++);
        if (blk_poll(disk, 8) == 0 && blk_arm(disk) && !threaded_wait(&device))
            fail_msg("the driver was not woken");
    }
}

static void run_disk(uint64_t rings)
{
    finished = 0;
    wrong_writes = 0;
    start(rings, 1, &virtio_blk_driver, serve_disk);
    for (unsigned i = 0; i < REQUESTS; i++)
        transfers[i] = (struct transfer){
            .segment = {memory + i * SECTORS * BLK_SECTOR_SIZE, SECTORS * BLK_SECTOR_SIZE}};
    assert_non_null(blk_device_at(0));
    use_disk(blk_device_at(0));
    end();
    print_message("  %u requests, the device slept %llu times\n", finished,
                  (unsigned long long)device.sleeps);
    assert_int_equal(wrong_writes, 0);
}

static void disk_split(void **state)
{
    (void)state;
    run_disk(0);
    run_disk(RINGS_INDEX | RINGS_INDIRECT);
}

static void disk_packed(void **state)
{
    (void)state;
    run_disk(RINGS_PACKED);
    run_disk(RINGS_PACKED | RINGS_INDEX | RINGS_INDIRECT);
}

/* ---- a network that sends every frame back ---- */

#define BUFFERS 8u
#define BUFFER_SIZE 2048u
#define FRAME_LEN 100u
#define HEADER 12u

static struct nic *nic;
static bool lent[BUFFERS], sending[BUFFERS];
static unsigned frames_sent, frames_back;

static uint8_t *frame_at(unsigned i)
{
    return memory + (BUFFERS + i) * BUFFER_SIZE;
}

static bool serve_network(struct threaded_device *from)
{
    static struct threaded_chain out, in; /* the device's thread alone */
    static bool has_out;
    uint8_t frame[BUFFER_SIZE];
    uint32_t len = 0;

    if (!has_out && !threaded_take(from, 1, &out))
        return false;
    has_out = true;
    if (!threaded_take(from, 0, &in))
        return false;
    for (unsigned i = 0; i < out.pieces; len += out.piece[i++].len)
        memcpy(frame + len, out.piece[i].data, out.piece[i].len);
    memcpy(in.piece[0].data, frame, len);
    threaded_put(from, 1, &out, 0);
    threaded_put(from, 0, &in, len);
    has_out = false;
    return true;
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    lent[(size_t)((uint8_t *)buffer - memory) / BUFFER_SIZE] = false;
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    for (; count > 0; count--, frame++) {
        const struct nic_piece *piece = frame->piece;
        const uint8_t *data = piece->data;

        assert_int_equal(frame->pieces, 1);
        assert_int_equal(piece->len, FRAME_LEN);
        for (unsigned i = 0; i < FRAME_LEN; i++)
            assert_int_equal(data[i], (uint8_t)frames_back);
        frames_back++;
        reclaimed(arg, piece->buffer);
    }
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    for (unsigned i = 0; i < count; i++)
        *(bool *)token[i] = false;
}

static void ignore(void *arg)
{
    (void)arg;
}

static void fill_rings(void)
{
    for (unsigned i = 0; i < BUFFERS; i++) {
        struct virtqueue_sg sg = {frame_at(i), FRAME_LEN};
        void *buffer = memory + i * BUFFER_SIZE;

        if (!lent[i] && nic_rx_room(nic))
            lent[i] = nic_rx_provide(nic, &buffer, 1, BUFFER_SIZE) == 1;
        if (sending[i] || frames_sent == TRANSFERS)
            continue;
        memset(frame_at(i), (uint8_t)frames_sent, FRAME_LEN);
        sending[i] = nic_tx(nic, &sg, 1, 0, NULL, &sending[i]) == 0;
        frames_sent += sending[i];
    }
    nic_kick(nic);
}

static void run_network(uint64_t rings)
{
    static const struct nic_callbacks callbacks = {.received = received,
                                                   .reclaimed = reclaimed,
                                                   .sent = sent,
                                                   .changed = ignore,
                                                   .announce = ignore,
                                                   .restarted = ignore};

    frames_sent = frames_back = 0;
    memset(lent, 0, sizeof(lent));
    memset(sending, 0, sizeof(sending));
    start(rings, 2, &virtio_net_driver, serve_network);
    nic = nic_at(0);
    assert_non_null(nic);
    nic_attach(nic, &callbacks, NULL);
    while (frames_back < TRANSFERS) {
        fill_rings();
        if (nic_poll(nic, 8) == 0 && nic_arm(nic) && !threaded_wait(&device))
            fail_msg("the driver was not woken");
    }
    end();
    print_message("  %u frames, the device slept %llu times\n", frames_back,
                  (unsigned long long)device.sleeps);
}

static void network_split(void **state)
{
    (void)state;
    run_network(0);
    run_network(RINGS_INDEX | RINGS_INDIRECT);
}

static void network_packed(void **state)
{
    (void)state;
    run_network(RINGS_PACKED);
    run_network(RINGS_PACKED | RINGS_INDEX | RINGS_INDIRECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(disk_split, support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(disk_packed, support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(network_split, support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(network_packed, support_setup, support_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
