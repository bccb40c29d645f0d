/*
 * target_scsi.c - the SCSI driver (5.6), its disks and its scan under a hostile device.
 *
 * The good device has one disk at target 0 and answers the commands that matter with canned data.
 */
#include "blk/virtio_scsi.h"

#include "disk_user.h"
#include "fuzz.h"
#include "hostile.h"
#include "virtio/spec_storage.h"

#define RESPONSE_SIZE 108u
#define BAD_TARGET 3

#define CHECK_CONDITION 2
#define SENSE_SIZE 18u

enum {
    INQUIRY = 0x12,
    MODE_SENSE = 0x1a,
    READ_CAPACITY_10 = 0x25,
    READ_CAPACITY_16 = 0x9e,
    REPORT_LUNS = 0xa0
};

static const uint8_t inquiry[36] = {[2] = 5, [3] = 2, [4] = 31, [8] = 'F', [16] = 'D'};
static const uint8_t capacity[8] = {[2] = 1, [6] = 2};
static const uint8_t capacity_16[32] = {[6] = 1, [10] = 2, [14] = 0x80};
static const uint8_t page_list[7] = {[3] = 3, [5] = 0xb0, [6] = 0xb2};
static const uint8_t page_limits[64] = {
    [1] = 0xb0, [3] = 60, [5] = 1, [22] = 1, [27] = 4, [31] = 8, [42] = 1};
static const uint8_t page_provisioning[8] = {[1] = 0xb2, [3] = 4, [5] = 0xe0};
static const uint8_t mode[8] = {7, [4] = 8, [5] = 2, [6] = 4};
static const uint8_t luns[16] = {[3] = 8};

static void put(struct hostile_chain *chain, uint32_t at, const uint8_t *data, uint32_t len)
{
    for (unsigned i = chain->out; i < chain->out + chain->in && len; i++) {
        uint32_t room = chain->piece[i].len;

        if (at >= room) {
            at -= room;
            continue;
        }
        room = room - at < len ? room - at : len;
        memcpy(chain->piece[i].data + at, data, room);
        data += room;
        len -= room;
        at = 0;
    }
}

static void put_page(struct hostile_chain *chain, uint8_t page)
{
    if (page == 0)
        put(chain, RESPONSE_SIZE, page_list, sizeof(page_list));
    else if (page == page_limits[1])
        put(chain, RESPONSE_SIZE, page_limits, sizeof(page_limits));
    else
        put(chain, RESPONSE_SIZE, page_provisioning, sizeof(page_provisioning));
}

static uint32_t execute(struct hostile_chain *chain)
{
    const uint8_t *request = chain->piece[0].data;
    uint8_t response[12] = {0};
    uint8_t opcode;

    if (chain->out == 0 || chain->piece[0].len < 20 || chain->writable < RESPONSE_SIZE)
        return 0;
    opcode = request[19];
    if (request[1] != 0)
        response[11] = BAD_TARGET;
    put(chain, 0, response, sizeof(response));
    if (request[1] != 0)
        return RESPONSE_SIZE;
    if (opcode == INQUIRY && request[20] == 0)
        put(chain, RESPONSE_SIZE, inquiry, sizeof(inquiry));
    else if (opcode == INQUIRY)
        put_page(chain, request[21]);
    else if (opcode == READ_CAPACITY_10)
        put(chain, RESPONSE_SIZE, capacity, sizeof(capacity));
    else if (opcode == READ_CAPACITY_16)
        put(chain, RESPONSE_SIZE, capacity_16, sizeof(capacity_16));
    else if (opcode == REPORT_LUNS)
        put(chain, RESPONSE_SIZE, luns, sizeof(luns));
    else if (opcode == MODE_SENSE)
        put(chain, RESPONSE_SIZE, mode, sizeof(mode));
    return chain->writable;
}

/* A response with sense data: in the fixed format, or in that of descriptors. */
static uint32_t complain(struct hostile_chain *chain, struct input *input)
{
    uint8_t how = input_u8(input), key = input_u8(input) & 15;
    uint8_t code = input_u8(input), qualifier = input_u8(input);
    uint8_t response[RESPONSE_SIZE] = {SENSE_SIZE, [10] = CHECK_CONDITION, [11] = how >> 4};
    uint8_t *sense = response + 12;

    sense[0] = how & 1 ? 0x72 : 0x70;
    sense[how & 1 ? 1 : 2] = key;
    sense[how & 1 ? 2 : 12] = code;
    sense[how & 1 ? 3 : 13] = qualifier;
    sense[7] = 10;
    put(chain, 0, response, sizeof(response));
    return chain->writable < RESPONSE_SIZE ? chain->writable : RESPONSE_SIZE;
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static const uint8_t complete = 0;

    if (queue == 1)
        return HOSTILE_KEEP;
    if (queue == 2)
        return execute(chain);
    put(chain, chain->writable ? chain->writable - 1 : 0, &complete, 1);
    return chain->writable;
}

/* A bus of 4 targets at most, as each that does not answer is asked the same. */
static void bound(uint8_t *config)
{
    const size_t at = offsetof(struct virtio_scsi_config, max_target);

    config[at] &= 3;
    config[at + 1] = 0;
}

/* num_queues, seg_max, max_sectors, cmd_per_lun, event, sense and CDB size, targets, LUNs */
static const struct hostile_type type = {
    .driver = &virtio_scsi_driver,
    .id = 8,
    .queues = 3,
    .features = 1u << VIRTIO_SCSI_F_HOTPLUG | 1u << VIRTIO_SCSI_F_CHANGE,
    .config = {1, [4] = 16, [9] = 1, [12] = 8, [16] = 16, [20] = 96, [24] = 32, [30] = 1, [32] = 1},
    .answer = answer,
    .complain = complain,
    .bound = bound,
    .start = disk_user_start,
    .use = disk_user_use,
    .found = disk_user_found,
};

void fuzz_scsi(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
    disk_user_check();
}
