/*
 * device_scsi_range.c - the model SCSI host's UNMAP and WRITE SAME (16), and the pages that tell of
 * them.
 *
 * Each is checked against what the unit has told: the driver may not send what it could know to be
 * refused. Sectors that were freed are filled with something else than before, unless the unit says
 * that they read as zeros. SBC-4 5.27, 5.52, 6.6. Read device_scsi.c first.
 */
#include <string.h>

#include "hosted/device_scsi_impl.h"
#include "hosted/violation.h"

#define FREED 0xdd

void device_scsi_page(struct device_scsi_command *command)
{
    const struct device_scsi_unit *unit = command->unit;
    uint8_t data[64] = {0}, page = command->cdb[2];

    data[0] = unit->type;
    data[1] = page;
    if (page == 0x00 && !unit->no_pages) {
        data[3] = 4;
        memcpy(data + 4, "\x00\x83\xb0\xb2", 4);
    } else if (page == 0xb0 && !unit->no_pages) {
        data[3] = 60;
        device_scsi_put_be(data + 8, 4, unit->max_transfer);
        device_scsi_put_be(data + 20, 4, unit->max_unmap);
        device_scsi_put_be(data + 24, 4, unit->unmap_descriptors);
        device_scsi_put_be(data + 28, 4, unit->granularity);
        device_scsi_put_be(data + 32, 4, unit->alignment);
        device_scsi_put_be(data + 36, 8, unit->max_same);
    } else if (page == 0xb2 && !unit->no_pages) {
        data[3] = 4;
        data[5] = (uint8_t)(unit->unmaps << 7 | unit->same_unmaps << 6 | unit->reads_zeroes << 2);
    } else {
        device_scsi_set_sense(command, false, 0x5, 0x24, 0);
        return;
    }
    if (unit->page_is_another)
        data[1] = 0x83;
    device_scsi_give(command, data, unit->page_length ? unit->page_length : data[3] + 4u);
}

/* False, with sense data: not in the disk, or not to be written to. */
static bool check(struct device_scsi_command *command, uint64_t block, uint64_t blocks)
{
    const struct device_scsi_unit *unit = command->unit;

    if (block > unit->blocks || blocks > unit->blocks - block) {
        violation("SCSI-T-REQ-1", "%llu blocks at %llu of %llu", (unsigned long long)blocks,
                  (unsigned long long)block, (unsigned long long)unit->blocks);
        device_scsi_set_sense(command, false, 0x5, 0x21, 0);
        return false;
    }
    if (!unit->read_only)
        return true;
    device_scsi_set_sense(command, false, 0x7, 0x27, 0);
    return false;
}

static void fill(const struct device_scsi_unit *unit, uint64_t block, uint64_t blocks,
                 uint8_t value)
{
    uint64_t at = block * unit->block_size, bytes = blocks * unit->block_size;

    if (at < DEVICE_SCSI_DISK)
        memset(unit->disk + at, value,
               bytes < DEVICE_SCSI_DISK - at ? bytes : DEVICE_SCSI_DISK - at);
}

void device_scsi_unmap(struct device_scsi_command *command)
{
    struct device_scsi_unit *unit = command->unit;
    uint8_t list[24];
    uint64_t block, blocks;

    if (command->out != sizeof(list) || device_scsi_get_be(command->cdb + 7, 2) != sizeof(list)) {
        violation("SCSI-T-REQ-1", "a list of %u bytes", command->out);
        return;
    }
    ring_chain_read(command->chain, DEVICE_SCSI_REQUEST, list, sizeof(list));
    block = device_scsi_get_be(list + 8, 8);
    blocks = device_scsi_get_be(list + 16, 4);
    if (device_scsi_get_be(list, 2) != 22 || device_scsi_get_be(list + 2, 2) != 16)
        violation("SCSI-T-REQ-1", "the lengths in the list are wrong");
    if (!unit->unmaps || blocks > unit->max_unmap)
        violation("SCSI-T-REQ-1", "an UNMAP of %llu blocks", (unsigned long long)blocks);
    command->moved = sizeof(list);
    if (!check(command, block, blocks))
        return;
    unit->unmapped += blocks;
    unit->unmap_commands++;
    fill(unit, block, blocks, unit->reads_zeroes ? 0 : FREED);
}

void device_scsi_write_same(struct device_scsi_command *command)
{
    struct device_scsi_unit *unit = command->unit;
    bool unmap = command->cdb[1] & 0x08;
    uint64_t block = device_scsi_get_be(command->cdb + 2, 8);
    uint64_t blocks = device_scsi_get_be(command->cdb + 10, 4);
    uint8_t data[4096] = {1};

    if (command->out != unit->block_size || command->out > sizeof(data)) {
        violation("SCSI-T-REQ-1", "a block of %u bytes", command->out);
        return;
    }
    ring_chain_read(command->chain, DEVICE_SCSI_REQUEST, data, command->out);
    for (uint32_t i = 0; i < command->out; i++)
        if (data[i]) {
            violation("SCSI-T-REQ-1", "zeros that are none");
            break;
        }
    if ((command->cdb[1] & ~0x08u) || (unmap && !unit->same_unmaps))
        violation("SCSI-T-REQ-1", "WRITE SAME with flags %#x", command->cdb[1]);
    if (!blocks || (unit->max_same && blocks > unit->max_same))
        violation("SCSI-T-REQ-1", "a WRITE SAME of %llu blocks", (unsigned long long)blocks);
    command->moved = command->out;
    if (!check(command, block, blocks))
        return;
    *(unmap ? &unit->unmapped : &unit->zeroed) += blocks;
    fill(unit, block, blocks, unmap && !unit->reads_zeroes ? FREED : 0);
}
