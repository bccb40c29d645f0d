/*
 * scsi_user.c - the model SCSI host with disks, and requests to them that do not wait: what the tests
 * of SCSI disks share.
 *
 * Read scsi_user.h for what each function is for.
 */
#include "scsi_user.h"

#include "blk/virtio_scsi.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

static const struct virtio_driver *const drivers[] = {&virtio_scsi_driver};
struct device_scsi model;
struct device_scsi_setup setup;
struct blk_device *disk;
uint8_t *data;

/* A setup with nothing but the adapter; tests add units. */
void plain(void)
{
    setup = device_scsi_ordinary;
}

unsigned start(void)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_scsi_init(&model, &setup);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    unsigned driven = virtio_pci_scan();
    disk = blk_device_at(0);
    return driven;
}

void start_with_one_disk(void)
{
    plain();
    device_scsi_add(setup.unit, 3, 0, BLOCKS);
    assert_int_equal(start(), 1);
    assert_non_null(disk);
    assert_string_equal(disk->name, "sda");
}

void end(void)
{
    virtio_shutdown();
    assert_null(blk_device_at(0));
    device_scsi_finish(&model);
    fake_pci_reset();
    platform_dma_free(data, DATA_SIZE);
}

/* Turns of the loop, with the device at work in between, until nothing happens any more. */
void settle(void)
{
    do {
        loop_turn();
        device_run(&model.device);
    } while (loop_turn());
}

/* The same with time passing: pauses and time-outs. */
void settle_for(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        settle();
        hosted_clock_advance(1000000);
    }
    settle();
}

unsigned disks(void)
{
    unsigned n = 0;

    while (blk_device_at(n))
        n++;
    return n;
}

void assert_transfers(struct blk_device *device, const struct device_scsi_unit *unit)
{
    memset(data, 0x5a, 8192);
    assert_int_equal(blk_write(device, 8, data, 16), 0);
    assert_memory_equal(unit->disk + 4096, data, 8192);
    memset(data, 0, 8192);
    assert_int_equal(blk_read(device, 8, data, 16), 0);
    assert_int_equal(data[0], 0x5a);
    assert_int_equal(data[8191], 0x5a);
}

struct device_scsi_fault *fail_next(uint16_t opcode, unsigned count)
{
    model.fault[0] =
        (struct device_scsi_fault){.count = count, .opcode = opcode, .target = DEVICE_SCSI_ANY};
    return &model.fault[0];
}

/* ---- requests that do not wait ---- */

struct scsi_user_request requests[REQUESTS];

static void request_done(struct blk_request *blk)
{
    ((struct scsi_user_request *)blk->context)->done++;
}

void submit(struct blk_device *device, unsigned n, enum blk_op op, uint64_t sector,
            uint32_t sectors)
{
    struct scsi_user_request *r = &requests[n];

    memset(r, 0, sizeof(*r));
    r->segment = (struct blk_segment){data + n * 65536, sectors * BLK_SECTOR_SIZE};
    r->blk = (struct blk_request){.op = op,
                                  .sector = sector,
                                  .segment = &r->segment,
                                  .segments = op != BLK_FLUSH,
                                  .done = request_done,
                                  .context = r};
    blk_submit(device, &r->blk);
}

void assert_done(unsigned n, int status)
{
    assert_int_equal(requests[n].done, 1);
    assert_int_equal(requests[n].blk.status, status);
}
