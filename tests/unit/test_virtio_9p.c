// sources: fs/virtio_9p.c fs/virtio_share.c fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/mount.c virtio/virtio.c
// sources: virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c tests/unit/ninep_server.c hosted/violation.c
// sources: hosted/ring_packed.c virtio/virtqueue_packed.c fs/share_file.c
/*
 * test_virtio_9p.c - the driver of the 9P device under its client, against a model device with a
 * server behind its queue.
 *
 * The client's own tests need no device (test_ninep.c). Here: data through the rings, the mount
 * tag, and a device that falls silent, lies about its ring or cannot be reset.
 */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fs/fs.h"
#include "fs/ninep.h"
#include "fs/virtio_9p.h"
#include "hosted/device.h"
#include "loop.h"
#include "ninep_server.h"
#include "virtio/virtio_pci.h"

#define DATA_SIZE (300u << 10)
#define MESSAGE_MAX (256u << 10)
#define F_MOUNT_TAG 0

static const struct virtio_driver *const drivers[] = {&virtio_9p_driver};
static struct device model;
static struct ninep_server server;
static uint8_t *data;
static bool hold; /* messages are taken and not answered; the last one is: */
static struct ring_chain *held;
static uint64_t held_waits; /* when it was taken, in waits */
static unsigned raw_lie;
static uint8_t flat_request[MESSAGE_MAX], flat_reply[MESSAGE_MAX];

struct setup {
    const char *tag;
    unsigned tag_len;
    uint64_t features;
    uint16_t queue_size;
    unsigned msix_vectors;
};

static const struct setup ordinary = {
    .tag = "host", .tag_len = 4, .features = 1, .queue_size = 128, .msix_vectors = 2};

/* ---- the device ---- */

static void answer(struct device *device, struct ring_chain *chain)
{
    struct ring_device *ring = &device->queue[0].ring;

    assert_true(chain->readable <= MESSAGE_MAX && chain->writable <= MESSAGE_MAX);
    assert_int_equal(ring_chain_read(chain, 0, flat_request, chain->readable), chain->readable);
    size_t len =
        server_answer(device->state, flat_request, chain->readable, flat_reply, chain->writable);
    assert_int_equal(ring_chain_write(chain, 0, flat_reply, len), len);
    if (raw_lie == 1)
        ring_device_push_raw(ring, 4711, 0);
    else if (raw_lie == 2)
        ring_device_push_raw(ring, chain->head, 9999999);
    else if (raw_lie == 3)
        ring_device_skip_used(ring, 100);
    else
        ring_device_push(ring, chain, (uint32_t)len);
    raw_lie = 0;
}

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    do {
        ring_device_want_notify(ring, false);
        while ((chain = ring_device_pop(ring)))
            if (hold) {
                held = chain;
                held_waits = hosted_wait_count();
            } else {
                answer(device, chain);
            }
        ring_device_want_notify(ring, true);
    } while (ring_device_pending(ring));
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    server_reset(device->state);
}

static const struct device_field fields[] = {{0, 2, 1, F_MOUNT_TAG}, {2, 1, 126, F_MOUNT_TAG}};

static const struct device_type p9_type = {
    .name = "9p", .id = 9, .field = fields, .fields = 2, .serve = serve, .reset = forget};

static void init_device(struct device *device, struct ninep_server *behind,
                        const struct setup *setup)
{
    uint8_t config[DEVICE_CONFIG_SIZE] = {(uint8_t)setup->tag_len, (uint8_t)(setup->tag_len >> 8)};

    memcpy(config + 2, setup->tag, strlen(setup->tag));
    server_init(behind);
    device_init(device, &(struct device_setup){.type = &p9_type,
                                               .features = setup->features,
                                               .queues = 1,
                                               .queue_size = setup->queue_size,
                                               .msix_vectors = setup->msix_vectors,
                                               .config = config,
                                               .config_length = sizeof(config),
                                               .state = behind});
}

static unsigned make(const struct setup *setup)
{
    hold = false;
    raw_lie = 0;
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    init_device(&model, &server, setup);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    return virtio_pci_scan();
}

static void mount(void)
{
    struct ninep_transport *share = virtio_9p_at(0);
    void *volume;

    assert_non_null(share);
    assert_string_equal(share->tag, "host");
    assert_int_equal(ninep_mount(share, &volume), 0);
    assert_int_equal(fs_mount("/", &ninep_ops, volume), 0);
}

static void end(void)
{
    fs_unmount_all();
    virtio_shutdown();
    assert_null(virtio_9p_at(0));
    device_finish(&model);
    server_finish(&server);
    fake_pci_reset();
    platform_dma_free(data, DATA_SIZE);
}

/* Writes a file, reads it back, and looks at what the server has. */
static void assert_works(size_t size, uint32_t *seed)
{
    struct file_object file;

    assert_true(size <= DATA_SIZE / 2);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)support_random(seed);
    assert_int_equal(fs_open("/file", O_RDWR | O_CREAT | O_TRUNC, &file), 0);
    assert_int_equal(file.ops->write(file.object, data, size), size);
    const struct server_node *node = &server.node[server_find(&server, "/file")];
    assert_int_equal(node->size, size);
    assert_memory_equal(node->data, data, size);
    assert_int_equal(file.ops->seek(file.object, 0, SEEK_SET), 0);
    assert_int_equal(file.ops->read(file.object, data + DATA_SIZE / 2, DATA_SIZE / 2), size);
    assert_memory_equal(data + DATA_SIZE / 2, data, size);
    assert_int_equal(file.ops->close(file.object), 0);
}

/* ---- data and tags ---- */

static void data_goes_both_ways(void **state)
{
    uint32_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        struct setup setup = ordinary;
        setup.features |= (uint64_t)(i % 4) << 28; /* INDIRECT_DESC, EVENT_IDX */
        setup.queue_size = i / 4 == 0 ? 4 : i / 4 == 1 ? 16 : 1024;
        assert_int_equal(make(&setup), 1);
        mount();
        assert_works(1, &seed);
        assert_works(131072, &seed);
        assert_works(DATA_SIZE / 2, &seed);
        end();
    }
}

/* File data is not copied on the way: the device is given the caller's own memory. */
static void data_is_not_copied(void **state)
{
    struct file_object file;

    (void)state;
    make(&ordinary);
    mount();
    static uint8_t outside[100];
    assert_int_equal(fs_open("/file", O_RDWR | O_CREAT, &file), 0);
    assert_int_equal(file.ops->write(file.object, outside, 100),
                     -EFAULT); /* no device reaches it */
    assert_int_equal(file.ops->write(file.object, data, 100), 100);
    assert_int_equal(file.ops->seek(file.object, 0, SEEK_SET), 0);
    assert_int_equal(file.ops->read(file.object, outside, 100), -EFAULT);
    assert_int_equal(file.ops->close(file.object), 0);
    end();
}

static void every_interrupt_mode_works(void **state)
{
    uint32_t seed = 6;

    (void)state;
    for (unsigned mode = VIRTIO_INTERRUPT_NONE; mode <= VIRTIO_INTERRUPT_MSIX; mode++) {
        fake_pci_reset();
        hold = false;
        init_device(&model, &server, &ordinary);
        virtio_set_drivers(drivers, 1);
        virtio_set_interrupt_limit(mode);
        loop_set_polling(mode == VIRTIO_INTERRUPT_NONE);
        data = platform_dma_alloc(DATA_SIZE, 4096);
        assert_int_equal(virtio_pci_scan(), 1);
        mount();
        for (unsigned n = 0; n < 20; n++)
            assert_works(n * 1000 + 1, &seed);
        assert_int_equal(virtio_devices()->interrupt_mode, mode);
        end();
        loop_set_polling(false);
    }
}

static void tags_must_be_names(void **state)
{
    static const char *const good[] = {"a", "gr\xc3\xb6\xc3\x9f", "share-1.0", "..."};
    static const struct {
        const char *tag;
        unsigned len;
    } bad[] = {{"", 0},      {".", 1},     {"..", 2},  {"a/b", 3}, {"a b", 3},
               {"a\nb", 3},  {"a=b", 3},   {"a\"", 2}, {"abc", 4}, {"abc", 64},
               {"abc", 500}, {"x", 65535}, {"\x7f", 1}};

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct setup setup = ordinary;
        setup.tag = good[i];
        setup.tag_len = (unsigned)strlen(good[i]);
        assert_int_equal(make(&setup), 1);
        assert_string_equal(virtio_9p_at(0)->tag, good[i]);
        end();
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct setup setup = ordinary;
        setup.tag = bad[i].tag;
        setup.tag_len = bad[i].len;
        assert_int_equal(make(&setup), 0);
        assert_true(model.status & ST_FAILED);
        assert_null(virtio_9p_at(0));
        end();
    }
}

static void a_device_without_tag_or_room_is_refused(void **state)
{
    struct setup setup = ordinary;

    (void)state;
    setup.features = 0;
    assert_int_equal(make(&setup), 0);
    expect_log("it has no mount tag", 1);
    end();
    setup = ordinary;
    setup.queue_size = 2;
    assert_int_equal(make(&setup), 0);
    expect_log("its queue is too small for a message", 1);
    end();
}

static void shares_have_an_order_and_a_limit(void **state)
{
    static struct device devices[10];
    static struct ninep_server servers[10];
    struct setup setup = ordinary;
    char tag[8];

    (void)state;
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    for (unsigned i = 0; i < 10; i++) {
        setup.tag_len = (unsigned)snprintf(tag, sizeof(tag), "t%u", i);
        setup.tag = tag;
        init_device(&devices[i], &servers[i], &setup);
    }
    assert_int_equal(virtio_pci_scan(), 8);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(tag, sizeof(tag), "t%u", i);
        assert_string_equal(virtio_9p_at(i)->tag, tag);
    }
    assert_null(virtio_9p_at(8));
    expect_log("more than 8 shares", 2);
    virtio_shutdown();
    for (unsigned i = 0; i < 10; i++) {
        device_finish(&devices[i]);
        server_finish(&servers[i]);
    }
    fake_pci_reset();
}

/* Not before the driver waits. */
static void answer_late(void *arg)
{
    if (!held || hosted_wait_count() == held_waits)
        return;
    answer(arg, held);
    held = NULL;
    device_signal(arg, 0);
}

/* An answer that takes longer than is polled for ends the wait by its interrupt. */
static void a_slow_device_is_slept_for(void **state)
{
    struct stat status;

    (void)state;
    make(&ordinary);
    mount();
    hold = true;
    held = NULL;
    hosted_world_add(answer_late, &model);
    uint64_t waits = hosted_wait_count();
    uint64_t start = platform_now_ns();
    assert_int_equal(fs_stat("/", &status), 0);
    assert_int_equal(hosted_wait_count(), waits + 3); /* a walk, a look, a clunk */
    assert_true(platform_now_ns() - start < 1000000);
    hold = false;
    hosted_world_remove(answer_late, &model);
    end();
}

/* ---- a device that stalls or breaks ---- */

/* covers: CLEAN-2 CORE-STATUS-4 */
static void a_silent_device_is_reset(void **state)
{
    struct file_object file;
    uint32_t seed = 7;

    (void)state;
    make(&ordinary);
    mount();
    assert_int_equal(fs_open("/file", O_RDWR | O_CREAT, &file), 0);
    hold = true;
    unsigned resets = model.resets, mappings = hosted_dma_mappings();
    uint64_t start = platform_now_ns();
    assert_int_equal(file.ops->write(file.object, data, 100), -EIO);
    assert_in_range(platform_now_ns() - start, UINT64_C(29) * 1000000000,
                    UINT64_C(32) * 1000000000);
    assert_true(model.resets > resets);
    assert_int_equal(hosted_dma_mappings(), mappings); /* the device has nothing of ours */
    hold = false;
    assert_int_equal(file.ops->write(file.object, data, 100), -EIO);
    assert_works(1000, &seed);
    assert_int_equal(file.ops->write(file.object, data, 100), -EIO);
    assert_int_equal(file.ops->close(file.object), -EIO);
    expect_log("no answer within 30 s", 1);
    expect_log("attached again", 1);
    end();
}

static void a_broken_queue_is_recovered(void **state)
{
    struct stat status;
    uint32_t seed = 8;

    (void)state;
    make(&ordinary);
    mount();
    for (unsigned lie = 1; lie <= 3; lie++) {
        raw_lie = lie;
        assert_int_equal(fs_stat("/", &status), -EIO);
        assert_works(1000, &seed);
    }
    expect_log("queue broken", 3);
    expect_log("attached again", 3);
    end();
}

static void a_device_that_cannot_be_reset_is_given_up(void **state)
{
    struct stat status;

    (void)state;
    make(&ordinary);
    mount();
    hold = true;
    model.lies.reset_reads = DEVICE_FOR_EVER;
    assert_int_equal(fs_stat("/", &status), -EIO);
    assert_false(fake_pci_is_master(model.pci));
    uint64_t now = platform_now_ns();
    assert_int_equal(fs_stat("/", &status), -EIO);
    assert_int_equal(fs_make_directory("/a"), -EIO);
    assert_true(platform_now_ns() - now < 1000000); /* at once from now on */
    end();
}

/* covers: CORE-T-CFGINT-1 CORE-STATUS-4 */
static void a_device_that_asks_for_a_reset_loses_fids_only(void **state)
{
    struct file_object file;
    uint32_t seed = 10;

    (void)state;
    make(&ordinary);
    mount();
    assert_int_equal(fs_open("/file", O_RDWR | O_CREAT, &file), 0);
    device_need_reset(&model);
    hosted_interrupts_deliver();
    while (loop_turn())
        continue;
    assert_works(1000, &seed);
    assert_int_equal(file.ops->write(file.object, data, 100), -EIO);
    assert_int_equal(file.ops->close(file.object), -EIO);
    end();
}

static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    for (nth = 1; !driven && nth < 40; nth++) {
        fake_pci_reset();
        virtio_set_drivers(drivers, 1);
        virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
        init_device(&model, &server, &ordinary);
        hosted_dma_fail_nth(nth);
        driven = virtio_pci_scan();
        hosted_dma_fail_nth(0);
        virtio_shutdown();
        assert_null(virtio_9p_at(0));
        assert_int_equal(hosted_dma_allocations(), 0);
        device_finish(&model);
        server_finish(&server);
    }
    assert_in_range(nth, 4, 39);
    fake_pci_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_goes_both_ways),
        TEST(data_is_not_copied),
        TEST(every_interrupt_mode_works),
        TEST(tags_must_be_names),
        TEST(a_device_without_tag_or_room_is_refused),
        TEST(shares_have_an_order_and_a_limit),
        TEST(a_slow_device_is_slept_for),
        TEST(a_silent_device_is_reset),
        TEST(a_broken_queue_is_recovered),
        TEST(a_device_that_cannot_be_reset_is_given_up),
        TEST(a_device_that_asks_for_a_reset_loses_fids_only),
        TEST(bring_up_survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("virtio_9p", tests, NULL, NULL);
}
