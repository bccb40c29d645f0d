// sources: fs/virtio_fs.c fs/virtio_share.c fs/fuse.c fs/fuse_file.c fs/fuse_rpc.c fs/mount.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/violation.c hosted/ring_packed.c
// sources: virtio/virtqueue_packed.c fs/share_file.c
/*
 * test_virtio_fs.c - the driver of the file system device (5.11) under its client, against a model
 * device with one empty file behind it.
 *
 * Here: which request goes through which queue, the tag, and a device that falls silent or breaks
 * its rings. What answers say is test_fuse.c's.
 */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fs/fuse.h"
#include "fs/fuse_wire.h"
#include "fs/virtio_fs.h"
#include "hosted/device.h"
#include "loop.h"
#include "virtio/spec_devices.h"
#include "virtio/virtio_pci.h"

#define HIPRIO 0
#define REQUESTS 1
#define FILE_NODE 7u

static const struct virtio_driver *const drivers[] = {&virtio_fs_driver};
static struct device model;
static bool hold[2];
static unsigned requests, forgets, sessions;
static unsigned raw_lie;

/* ---- the device ---- */

static uint32_t answer_to(const struct fuse_in_header *header, uint8_t *payload, int32_t *error)
{
    const struct fuse_init_out init = {
        .major = 7, .minor = 31, .flags = FUSE_BIG_WRITES, .max_write = 1 << 20};
    struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr = {.mode = 0100644}};
    struct fuse_attr_out attr = {.attr = {.mode = 0040755}};

    *error = 0;
    switch (header->opcode) {
    case FUSE_INIT:
        sessions++;
        memcpy(payload, &init, sizeof(init));
        return sizeof(init);
    case FUSE_LOOKUP:
        memcpy(payload, &entry, sizeof(entry));
        return sizeof(entry);
    case FUSE_GETATTR:
        memcpy(payload, &attr, sizeof(attr));
        return sizeof(attr);
    case FUSE_DESTROY:
        return 0;
    default:
        *error = -38;
        return 0;
    }
}

static void answer(struct device *device, struct ring_chain *chain)
{
    struct ring_device *ring = &device->queue[REQUESTS].ring;
    struct fuse_in_header header;
    struct fuse_out_header out;
    uint8_t payload[200];

    ring_chain_read(chain, 0, &header, sizeof(header));
    if (header.opcode == FUSE_FORGET)
        violation("FS-HIPRIO-1", "FORGET on a request queue");
    if (!sessions && header.opcode != FUSE_INIT)
        violation("FS-T-INIT-1", "request %u before INIT", header.opcode);
    requests++;
    uint32_t len = answer_to(&header, payload, &out.error);
    out.len = (uint32_t)sizeof(out) + len;
    out.unique = header.unique;
    assert_int_equal(header.len, chain->readable);
    ring_chain_write(chain, 0, &out, sizeof(out));
    ring_chain_write(chain, sizeof(out), payload, len);
    if (raw_lie == 1)
        ring_device_push_raw(ring, 4711, 0);
    else if (raw_lie == 2)
        ring_device_push_raw(ring, chain->head, 9999999);
    else
        ring_device_push(ring, chain, out.len);
    raw_lie = 0;
}

static void forget_node(struct ring_device *ring, struct ring_chain *chain)
{
    struct fuse_in_header header;

    ring_chain_read(chain, 0, &header, sizeof(header));
    if (header.opcode != FUSE_FORGET)
        violation("FS-HIPRIO-2", "request %u on the high priority queue", header.opcode);
    assert_int_equal(header.nodeid, FILE_NODE);
    forgets++;
    ring_device_push(ring, chain, 0);
}

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while (!hold[queue] && (chain = ring_device_pop(ring))) {
        if (queue == REQUESTS)
            answer(device, chain);
        else
            forget_node(ring, chain);
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static void config_written(struct device *device, unsigned offset)
{
    (void)device;
    violation("FS-CFG-1", "offset %u of the configuration was written", offset);
}

static const struct device_field fields[] = {{0, 1, 36, DEVICE_NO_FEATURE},
                                             {36, 4, 1, DEVICE_NO_FEATURE},
                                             {40, 4, 1, VIRTIO_FS_F_NOTIFICATION}};
static const struct device_type type = {.name = "fs",
                                        .id = VIRTIO_ID_FS,
                                        .field = fields,
                                        .fields = 3,
                                        .serve = serve,
                                        .config_written = config_written};

static unsigned start(const char *tag, uint32_t queues, uint64_t features, uint16_t queue_size)
{
    struct virtio_fs_config config = {.num_request_queues = queues};

    memcpy(config.tag, tag, strnlen(tag, sizeof(config.tag)));
    hold[HIPRIO] = hold[REQUESTS] = false;
    requests = forgets = sessions = raw_lie = 0;
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_init(&model, &(struct device_setup){.type = &type,
                                               .features = features,
                                               .queues = 2,
                                               .queue_size = queue_size,
                                               .msix_vectors = 3,
                                               .config = &config,
                                               .config_length = sizeof(config)});
    return virtio_pci_scan();
}

static void mount(void)
{
    void *volume;

    assert_int_equal(start("host", 1, 1, 64), 1);
    assert_int_equal(fuse_mount(virtio_fs_at(0), &volume), 0);
    assert_int_equal(fs_mount("/", &fuse_ops, volume), 0);
}

static void end(void)
{
    fs_unmount_all();
    virtio_shutdown();
    assert_null(virtio_fs_at(0));
    device_finish(&model);
    fake_pci_reset();
}

static int look(void)
{
    struct stat status;

    return fs_stat("/file", &status);
}

/* ---- tests ---- */

/* covers: FS-CFG-1 FS-HIPRIO-1 FS-HIPRIO-2 FS-T-INIT-1 */
static void each_request_goes_through_its_queue(void **state)
{
    static const uint64_t features[] = {0, UINT64_C(1) << 28, UINT64_C(1) << 34,
                                        UINT64_C(1) << 34 | 3u << 28};
    void *volume;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(start("host", 1, features[i % 4], i < 4 ? 4 : 64), 1);
        assert_int_equal(fuse_mount(virtio_fs_at(0), &volume), 0);
        assert_int_equal(fs_mount("/", &fuse_ops, volume), 0);
        for (unsigned n = 0; n < 100; n++)
            assert_int_equal(look(), 0);
        device_run(&model);
        assert_int_equal(sessions, 1);
        assert_int_equal(requests, 101);
        assert_int_equal(forgets, 100);
        end();
    }
}

/* A device with NOTIFICATION is told no, so its request queues begin where they did. */
static void notifications_are_not_accepted(void **state)
{
    (void)state;
    mount();
    assert_int_equal(model.accepted[0] & 1, 0);
    assert_int_equal(look(), 0);
    end();
}

/* covers: FS-HIPRIO-3 */
static void the_queues_do_not_wait_for_each_other(void **state)
{
    (void)state;
    mount();
    hold[HIPRIO] = true;
    for (unsigned n = 0; n < 32; n++)
        assert_int_equal(look(), 0);
    assert_int_equal(forgets, 0);
    hold[HIPRIO] = false;
    assert_int_equal(look(), 0);
    device_run(&model);
    assert_int_equal(forgets, 33);
    assert_int_equal(sessions, 1);
    end();
}

/* covers: FS-T-TAG-1 */
static void tags_must_be_names(void **state)
{
    static const char *const good[] = {"a", "gr\xc3\xb6\xc3\x9f",
                                       "a tag of all 36 bytes without a NUL!"};
    static const char *const bad[] = {"", ".", "..", "a/b", "a\nb", "a=b"};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(start(good[i], 1, 0, 64), 1);
        assert_string_equal(virtio_fs_at(0)->tag, good[i]);
        end();
    }
    assert_int_equal(start("a-tag-of-all-36-bytes-without-a-NUL!", 1, 0, 64), 1);
    assert_string_equal(virtio_fs_at(0)->tag, "a-tag-of-all-36-bytes-without-a-NUL!");
    end();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(start(bad[i], 1, 0, 64), 0);
        end();
    }
    assert_int_equal(start(good[2], 1, 0, 64), 0); /* blanks */
    end();
    assert_int_equal(start("host", 0, 0, 64), 0);
    expect_log("it has no request queue", 1);
    end();
    assert_int_equal(start("host", 1, 0, 2), 0);
    expect_log("its queue is too small for a message", 1);
    end();
}

static void a_silent_device_is_reset(void **state)
{
    (void)state;
    mount();
    for (unsigned queue = HIPRIO; queue <= REQUESTS; queue++) {
        unsigned resets = model.resets;
        uint64_t begin = platform_now_ns();
        hold[queue] = true;
        for (unsigned n = 0; n < 40 && model.resets == resets; n++)
            look();
        assert_true(model.resets > resets);
        assert_true(platform_now_ns() - begin < UINT64_C(40) * 1000000000);
        hold[queue] = false;
        assert_int_equal(look(), 0);
        assert_int_equal(sessions, queue + 2);
    }
    expect_log("virtiofs host: no answer within 30 s", 2);
    end();
}

static void a_broken_queue_is_recovered(void **state)
{
    (void)state;
    mount();
    for (unsigned lie = 1; lie <= 2; lie++) {
        raw_lie = lie;
        assert_int_equal(look(), -EIO);
        assert_int_equal(look(), 0);
    }
    expect_log("a new session", 2);
    model.lies.reset_reads = DEVICE_FOR_EVER;
    hold[REQUESTS] = true;
    assert_int_equal(look(), -EIO);
    uint64_t now = platform_now_ns();
    assert_int_equal(look(), -EIO);
    assert_true(platform_now_ns() - now < 1000000); /* at once from now on */
    end();
}

static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    for (nth = 1; !driven && nth < 40; nth++) {
        hosted_dma_fail_nth(nth);
        driven = start("host", 1, 0, 64);
        hosted_dma_fail_nth(0);
        end();
        assert_int_equal(hosted_dma_allocations(), 0);
    }
    assert_in_range(nth, 4, 39);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_request_goes_through_its_queue),
        TEST(notifications_are_not_accepted),
        TEST(the_queues_do_not_wait_for_each_other),
        TEST(tags_must_be_names),
        TEST(a_silent_device_is_reset),
        TEST(a_broken_queue_is_recovered),
        TEST(bring_up_survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("virtio_fs", tests, NULL, NULL);
}
