/*
 * blk_user.c - the tests' user of a block device. See blk_user.h.
 */
#include "blk_user.h"

const struct virtio_driver *const blk_drivers[1] = {&virtio_blk_driver};
struct device_blk model;
uint64_t ring_features; /* added to those of every device */
struct blk_device *disk;
uint8_t *data;

const struct device_blk_setup ordinary = {.capacity = 16384,
                                          .seg_max = 126,
                                          .blk_size = 512,
                                          .flush = true,
                                          .queue_size = 128,
                                          .msix_vectors = 2};

unsigned make_disk(const struct device_blk_setup *setup)
{
    fake_pci_reset();
    virtio_set_drivers(blk_drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    struct device_blk_setup with_rings = *setup;
    with_rings.more_features |= ring_features;
    device_blk_init(&model, &with_rings);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    unsigned driven = virtio_pci_scan();
    disk = blk_device_at(0);
    assert_int_equal(disk != NULL, driven);
    for (unsigned bit = 0; driven && bit < 64; bit++)
        assert_true(!(ring_features >> bit & 1) || device_has(&model.device, bit));
    model.device.queue[0].ring.poison = ring_features != 0;
    return driven;
}

void end(void)
{
    virtio_shutdown();
    assert_null(blk_device_at(0));
    device_blk_finish(&model);
    fake_pci_reset();
    platform_dma_free(data, DATA_SIZE);
}

/* ---- requests ---- */

struct request requests[REQUESTS];

static void request_done(struct blk_request *blk)
{
    ((struct request *)blk->context)->done++;
}

void submit(unsigned n, enum blk_op op, uint64_t sector, uint32_t sectors)
{
    struct request *r = &requests[n];

    memset(r, 0, sizeof(*r));
    r->segment = (struct blk_segment){data + n * 65536, sectors * BLK_SECTOR_SIZE};
    r->blk = (struct blk_request){.op = op,
                                  .sector = sector,
                                  .segment = &r->segment,
                                  .segments = op != BLK_FLUSH,
                                  .done = request_done,
                                  .context = r};
    blk_submit(disk, &r->blk);
}

void assert_done(unsigned n, int status)
{
    assert_int_equal(requests[n].done, 1);
    assert_int_equal(requests[n].blk.status, status);
}

void settle(void)
{
    do
        device_run(&model.device);
    while (blk_poll(disk, 64));
}

int run_over_other_rings(const struct CMUnitTest *tests, size_t count)
{
    int failed = 0;

    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        ring_features = ring_variants[i];
        failed += _cmocka_run_group_tests("over other rings", tests, count, NULL, NULL);
    }
    ring_features = 0;
    return failed;
}
