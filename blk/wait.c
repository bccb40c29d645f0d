/*
 * wait.c - the forms of requests that wait: submit, and poll the device until it is done.
 *
 * Knows of the block layer what applications know. Read block.h first.
 */
#include <errno.h>

#include "blk/block.h"
#include "platform.h"

/* Completions taken at once while waiting for one request. */
#define WAIT_BUDGET 64
/* How long a request is polled for before the CPU is given up: about what a fast device needs. */
#define SPIN_NS 20000

static void waiter_done(struct blk_request *request)
{
    *(volatile bool *)request->context = true;
}

int blk_wait(struct blk_device *device, struct blk_request *request)
{
    volatile bool done = false;
    uint64_t spin_until = platform_now_ns() + SPIN_NS;

    request->done = waiter_done;
    request->context = (void *)&done;
    blk_submit(device, request);
    while (!done) {
        if (blk_poll(device, WAIT_BUDGET) > 0 || done)
            continue;
        if (platform_now_ns() < spin_until)
            platform_relax();
        else if (blk_arm(device))
            platform_wait(loop_wait_limit(blk_deadline(device)));
    }
    return request->status;
}

static int transfer(struct blk_device *device, enum blk_op op, uint64_t sector, void *data,
                    uint32_t sectors)
{
    struct blk_segment segment = {.data = data, .len = sectors * BLK_SECTOR_SIZE};
    struct blk_request request = {.op = op, .sector = sector, .segment = &segment, .segments = 1};

    if (sectors > UINT32_MAX / BLK_SECTOR_SIZE)
        return -EINVAL;
    return blk_wait(device, &request);
}

int blk_read(struct blk_device *device, uint64_t sector, void *data, uint32_t sectors)
{
    return transfer(device, BLK_READ, sector, data, sectors);
}

int blk_write(struct blk_device *device, uint64_t sector, const void *data, uint32_t sectors)
{
    return transfer(device, BLK_WRITE, sector, (void *)(uintptr_t)data, sectors);
}

int blk_write_vector(struct blk_device *device, uint64_t sector, const struct blk_segment *segment,
                     unsigned segments)
{
    struct blk_request request = {
        .op = BLK_WRITE, .sector = sector, .segment = segment, .segments = segments};

    return blk_wait(device, &request);
}

int blk_flush(struct blk_device *device)
{
    struct blk_request request = {.op = BLK_FLUSH};

    return blk_wait(device, &request);
}

static int change(struct blk_device *device, enum blk_op op, uint64_t sector, uint64_t sectors,
                  bool unmap)
{
    struct blk_request request = {.op = op, .sector = sector, .sectors = sectors, .unmap = unmap};

    return blk_wait(device, &request);
}

int blk_discard(struct blk_device *device, uint64_t sector, uint64_t sectors)
{
    return change(device, BLK_DISCARD, sector, sectors, false);
}

int blk_write_zeroes(struct blk_device *device, uint64_t sector, uint64_t sectors, bool unmap)
{
    return change(device, BLK_WRITE_ZEROES, sector, sectors, unmap);
}

int blk_secure_erase(struct blk_device *device, uint64_t sector, uint64_t sectors)
{
    return change(device, BLK_SECURE_ERASE, sector, sectors, false);
}
