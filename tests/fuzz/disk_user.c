/*
 * disk_user.c - see disk_user.h.
 */
#include "disk_user.h"

#include "blk/zones.h"
#include "hosted/hosted.h"

#define REQUESTS 16u
#define SEGMENTS 4u
#define SECTORS 8u /* of one segment at most */

static struct user_request {
    struct blk_request blk;
    struct blk_segment segment[SEGMENTS];
    bool pending;
} requests[REQUESTS];
static uint8_t *memory;

static void done(struct blk_request *blk)
{
    struct user_request *request = blk->context;

    if (!request->pending)
        hosted_fail("a request ended twice");
    request->pending = false;
}

static void submit(struct blk_device *disk, struct input *input)
{
    uint8_t kind = input_u8(input), shape = input_u8(input);
    unsigned n = 0;
    struct user_request *r;

    while (n < REQUESTS && requests[n].pending)
        n++;
    if (n == REQUESTS)
        return;
    r = &requests[n];
    memset(r, 0, sizeof(*r));
    r->blk.op = kind % BLK_GET_ID;
    r->blk.sector = input_u8(input);
    r->blk.segments = r->blk.op < BLK_FLUSH ? 1 + shape % SEGMENTS : 0;
    r->blk.sectors = r->blk.op > BLK_FLUSH ? shape : 0;
    r->blk.unmap = kind & 0x80;
    for (unsigned i = 0; i < r->blk.segments; i++)
        r->segment[i] = (struct blk_segment){
            memory + (n * SEGMENTS + i) * SECTORS * BLK_SECTOR_SIZE % (192u << 10),
            (1 + (shape / SEGMENTS + i) % SECTORS) * BLK_SECTOR_SIZE};
    r->blk.segment = r->blk.segments ? r->segment : NULL;
    r->blk.done = done;
    r->blk.context = r;
    r->pending = true;
    blk_submit(disk, &r->blk);
}

static void use_zones(struct blk_device *disk, uint8_t op, struct input *input)
{
    static int (*const commands[])(struct blk_device * device, uint64_t start) = {
        blk_zone_open, blk_zone_close, blk_zone_finish, blk_zone_reset};
    struct blk_zone zone[4];
    uint64_t start = input_u8(input), written;

    switch (op % 4) {
    case 0:
        commands[op / 4 % 4](disk, start);
        break;
    case 1:
        blk_zone_report(disk, start, zone, 1 + op / 4 % 4);
        break;
    case 2:
        if (blk_zone_report(disk, start, zone, 1) == 1)
            blk_zone_write(disk, zone, memory, 1 + input_u8(input) % 64);
        break;
    default:
        blk_zone_append(disk, start, memory, 1 + input_u8(input) % 64, &written);
        if (start == 0xff)
            blk_zone_reset_all(disk);
    }
}

static void use_rarely(struct blk_device *disk, uint8_t op, struct input *input)
{
    switch (op % 5) {
    case 0:
        blk_set_write_cache(disk, input_u8(input) & 1);
        break;
    case 1:
        blk_discard(disk, input_u8(input), 1 + op);
        break;
    case 2:
        blk_write_zeroes(disk, input_u8(input), 1 + op, op & 8);
        break;
    case 3:
        blk_secure_erase(disk, input_u8(input), 1 + op);
        break;
    default:
        use_zones(disk, input_u8(input), input);
    }
}

bool disk_user_found(void)
{
    return blk_device_at(0);
}

void disk_user_start(uint8_t *at)
{
    memory = at;
    memset(requests, 0, sizeof(requests));
}

void disk_user_use(uint8_t op, struct input *input)
{
    struct blk_device *disk = blk_device_at(0);

    if (!disk)
        return;
    switch (op % 8) {
    case 0:
        blk_poll(disk, 1 + op / 8);
        break;
    case 1:
        blk_read(disk, input_u8(input), memory, 1 + op / 8);
        break;
    case 2:
        blk_write(disk, input_u8(input), memory, 1 + op / 8);
        break;
    case 3:
        blk_flush(disk);
        break;
    case 4:
        use_rarely(disk, op / 8, input);
        break;
    default:
        submit(disk, input);
    }
}

void disk_user_check(void)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        if (requests[i].pending)
            hosted_fail("request %u never ended", i);
}
