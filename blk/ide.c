/*
 * ide.c - requests to IDE disks: parts of the block layer as ATA commands, moved by the bus master
 * or word by word.
 *
 * A channel takes one command at a time, for either of its disks; whoever comes second gets -ENOSPC
 * and is asked again at a later poll; then it is its turn before the other's. A part whose memory the bus master cannot reach (above 4 GiB,
 * odd) is moved by the CPU instead. Limits, splitting, order and time-outs are block.c's. Read
 * ide_channel.c for the registers, ide_setup.c for how disks are found.
 */
#include <errno.h>

#include "blk/ide_impl.h"
#include "log.h"

/* Without having heard of it, how often a device is looked at while the loop has other work. */
#define LOOK_INTERVAL_NS 20000u
/* The same while the machine would sleep and no interrupt would wake it. */
#define POLL_INTERVAL_NS 200000u
/* Each error has its line in the log until there were so many. */
#define ERRORS_TOLD 16u

#define LBA28_END (UINT64_C(1) << 28)
#define LBA28_SECTORS 256u

#define PRD_PIECE 0x10000u

/* Commands with 28 bits of sector number, and with 48. */
enum { SINGLE, MULTIPLE, DMA };
static const uint8_t commands[2][3][2] = {
    [BLK_READ] = {[SINGLE] = {0x20, 0x24}, [MULTIPLE] = {0xc4, 0x29}, [DMA] = {0xc8, 0x25}},
    [BLK_WRITE] = {[SINGLE] = {0x30, 0x34}, [MULTIPLE] = {0xc5, 0x39}, [DMA] = {0xca, 0x35}},
};
#define COMMAND_FLUSH_CACHE 0xe7
#define COMMAND_FLUSH_CACHE_EXT 0xea

static struct ide_disk *to_disk(struct blk_device *block)
{
    return block->driver;
}

/* ---- bus master ---- */

static enum dma_direction direction_of(const struct blk_part *part)
{
    return part->op == BLK_READ ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
}

static void unmap(struct ide_work *work, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        platform_dma_unmap(work->mapped[i], work->segment[i].len, direction_of(&work->part));
}

/* Adds a segment to the table, cut where 64 KiB of memory end. The next entry's index; 0: it does
 * not fit or cannot be reached. */
static unsigned add_to_table(struct ide_prd *table, unsigned n, dma_addr_t address, uint32_t len)
{
    if (address % 2 || address + len > UINT64_C(1) << 32)
        return 0;
    while (len > 0) {
        uint32_t piece = PRD_PIECE - (uint32_t)(address % PRD_PIECE);

        if (piece > len)
            piece = len;
        if (n == IDE_PRD_MAX)
            return 0;
        table[n++] = (struct ide_prd){(uint32_t)address, (uint16_t)piece, 0};
        address += piece;
        len -= piece;
    }
    return n;
}

static bool fill_table(struct ide_channel *channel)
{
    struct ide_work *work = &channel->work;
    unsigned n = 0;

    for (unsigned i = 0; i < work->part.segments; i++) {
        const struct blk_segment *segment = &work->segment[i];

        work->mapped[i] = platform_dma_map(segment->data, segment->len, direction_of(&work->part));
        if (work->mapped[i] == DMA_ADDR_INVALID) {
            unmap(work, i);
            return false;
        }
        n = add_to_table(channel->table, n, work->mapped[i], segment->len);
        if (n == 0) {
            unmap(work, i + 1);
            return false;
        }
    }
    channel->table[n - 1].flags = IDE_PRD_LAST;
    return true;
}

/* ---- giving a command ---- */

static void write_address(const struct ide_channel *channel, uint64_t sector, uint32_t count,
                          bool lba48)
{
    uint16_t base = channel->command;

    if (lba48) { /* the registers are two deep, upper halves first */
        pio_write8(base + IDE_COUNT, (uint8_t)(count >> 8));
        pio_write8(base + IDE_LBA_LOW, (uint8_t)(sector >> 24));
        pio_write8(base + IDE_LBA_MID, (uint8_t)(sector >> 32));
        pio_write8(base + IDE_LBA_HIGH, (uint8_t)(sector >> 40));
    }
    pio_write8(base + IDE_COUNT, (uint8_t)count);
    pio_write8(base + IDE_LBA_LOW, (uint8_t)sector);
    pio_write8(base + IDE_LBA_MID, (uint8_t)(sector >> 8));
    pio_write8(base + IDE_LBA_HIGH, (uint8_t)(sector >> 16));
}

static void start_transfer(struct ide_disk *disk, uint64_t sector, uint32_t count, bool lba48)
{
    struct ide_channel *channel = disk->channel;
    struct ide_work *work = &channel->work;
    unsigned way = work->dma ? DMA : disk->sectors_at_once > 1 ? MULTIPLE : SINGLE;
    uint8_t to_memory = work->part.op == BLK_READ ? IDE_BM_TO_MEMORY : 0;

    write_address(channel, sector, count, lba48);
    if (work->dma) {
        pio_write32(channel->bus_master + IDE_BM_TABLE, (uint32_t)channel->table_address);
        pio_write8(channel->bus_master + IDE_BM_COMMAND, to_memory);
        /* Left from a command that was not waited for. */
        pio_write8(channel->bus_master + IDE_BM_STATUS, IDE_BM_ERROR | IDE_BM_INTERRUPT);
    }
    pio_write8(channel->command + IDE_COMMAND, commands[work->part.op][way][lba48]);
    if (work->dma)
        pio_write8(channel->bus_master + IDE_BM_COMMAND, to_memory | IDE_BM_START);
}

static uint32_t sectors_of(const struct blk_part *part)
{
    uint32_t sectors = 0;

    for (unsigned i = 0; i < part->segments; i++)
        sectors += part->segment[i].len / BLK_SECTOR_SIZE;
    return sectors;
}

static int ide_op_submit(struct blk_device *block, const struct blk_part *part)
{
    struct ide_disk *disk = to_disk(block);
    struct ide_channel *channel = disk->channel;
    struct ide_work *work = &channel->work;
    uint32_t count = sectors_of(part);
    bool lba48 = part->sector + count > LBA28_END || count > LBA28_SECTORS;
    uint8_t device_bits = IDE_DEVICE_LBA;

    if (part->op != BLK_READ && part->op != BLK_WRITE && part->op != BLK_FLUSH)
        return -ENOTSUP;
    if (channel->dead)
        return -EIO;
    if (work->disk) {
        if (work->disk != disk)
            channel->next = 2 - disk->number;
        return -ENOSPC;
    }
    if (channel->next == disk->number + 1) {
        channel->next = 0;
        return -ENOSPC;
    }
    channel->next = 0;
    if (part->op != BLK_FLUSH && !lba48)
        device_bits |= (uint8_t)(part->sector >> 24);
    if (ide_select(channel, disk->number, device_bits)) {
        log_warn("%s: %s is busy without a command: resetting it", channel->name, block->name);
        return ide_reset(channel) ? -EIO : -ENOSPC;
    }
    work->part = *part;
    for (unsigned i = 0; i < part->segments; i++)
        work->segment[i] = part->segment[i];
    work->part.segment = work->segment;
    work->dma = part->op != BLK_FLUSH && disk->dma && fill_table(channel);
    work->sectors_left = work->dma ? 0 : count;
    work->index = 0;
    work->offset = 0;
    work->disk = disk;
    channel->pending = false;
    /* Only a write without DMA can go on at once. */
    channel->look_ns =
        part->op == BLK_WRITE && !work->dma ? 0 : platform_now_ns() + LOOK_INTERVAL_NS;
    if (part->op == BLK_FLUSH)
        pio_write8(channel->command + IDE_COMMAND,
                   disk->flush_48 ? COMMAND_FLUSH_CACHE_EXT : COMMAND_FLUSH_CACHE);
    else
        start_transfer(disk, part->sector, count, lba48);
    return 0;
}

/* Commands go to the device as they are submitted. */
static void ide_op_kick(struct blk_device *block)
{
    (void)block;
}

/* ---- what comes back ---- */

static struct blk_request *end_work(struct ide_channel *channel)
{
    struct ide_work *work = &channel->work;

    if (work->dma)
        unmap(work, work->part.segments);
    work->disk = NULL;
    channel->pending = false;
    return work->part.token;
}

static void tell_error(struct ide_disk *disk, uint8_t error)
{
    static const char *const ops[] = {
        [BLK_READ] = "read", [BLK_WRITE] = "write", [BLK_FLUSH] = "flush"};
    const struct ide_channel *channel = disk->channel;
    const struct blk_part *part = &channel->work.part;

    if (disk->errors_told++ >= ERRORS_TOLD)
        return;
    log_warn("%s: %s of %u sectors at %llu: status 0x%02x, error 0x%02x%s%s%s%s%s%s%s",
             disk->block.name, ops[part->op], sectors_of(part), (unsigned long long)part->sector,
             channel->status, error, error & IDE_ERROR_ICRC ? " (damaged on its way)" : "",
             error & IDE_ERROR_UNC ? " (unreadable)" : "",
             error & IDE_ERROR_IDNF ? " (no such sector)" : "",
             error & IDE_ERROR_ABRT ? " (command aborted)" : "",
             channel->status & IDE_STATUS_DF ? " (device fault)" : "",
             channel->work.dma && (channel->bus_master_status & IDE_BM_ERROR) ? " (bus error)" : "",
             disk->errors_told == ERRORS_TOLD ? "; no more lines about this disk" : "");
}

/* Ends the command in error. A device in the midst of something is reset before its memory goes. */
static void fail_work(struct ide_channel *channel)
{
    struct ide_disk *disk = channel->work.disk;
    uint8_t error = channel->status & IDE_STATUS_ERR ? pio_read8(channel->command + IDE_ERROR) : 0;
    bool refused = error & IDE_ERROR_ABRT && channel->work.part.op == BLK_FLUSH;

    tell_error(disk, error);
    if (channel->status & (IDE_STATUS_BSY | IDE_STATUS_DRQ))
        ide_reset(channel);
    blk_complete(&disk->block, end_work(channel), refused ? -ENOTSUP : -EIO);
}

static void finish_dma(struct ide_channel *channel)
{
    struct ide_disk *disk = channel->work.disk;
    const uint8_t bad = IDE_STATUS_BSY | IDE_STATUS_DRQ | IDE_STATUS_DF | IDE_STATUS_ERR;

    pio_write8(channel->bus_master + IDE_BM_COMMAND, 0);
    /* Still active with an interrupt: the device moved less than the table holds. */
    if ((channel->status & bad) || (channel->bus_master_status & (IDE_BM_ERROR | IDE_BM_ACTIVE)))
        fail_work(channel);
    else
        blk_complete(&disk->block, end_work(channel), 0);
}

/* Moves what the device has, or wants, between two interrupts. */
static void move_block(struct ide_channel *channel)
{
    struct ide_work *work = &channel->work;
    uint32_t sectors = work->disk->sectors_at_once;

    if (sectors > work->sectors_left)
        sectors = work->sectors_left;
    work->sectors_left -= sectors;
    while (sectors > 0) {
        const struct blk_segment *segment = &work->segment[work->index];
        uint32_t here = (segment->len - work->offset) / BLK_SECTOR_SIZE;
        uint8_t *data = (uint8_t *)segment->data + work->offset;

        if (here > sectors)
            here = sectors;
        if (work->part.op == BLK_READ)
            pio_read16_block(channel->command + IDE_DATA, data, here * BLK_SECTOR_SIZE / 2);
        else
            pio_write16_block(channel->command + IDE_DATA, data, here * BLK_SECTOR_SIZE / 2);
        sectors -= here;
        work->offset += here * BLK_SECTOR_SIZE;
        if (work->offset == segment->len) {
            work->index++;
            work->offset = 0;
        }
    }
}

static void step_pio(struct ide_channel *channel)
{
    struct ide_work *work = &channel->work;
    struct ide_disk *disk = work->disk;
    bool data = channel->status & IDE_STATUS_DRQ;

    if ((channel->status & (IDE_STATUS_ERR | IDE_STATUS_DF)) || data != (work->sectors_left > 0)) {
        fail_work(channel);
        return;
    }
    channel->pending = false;
    channel->look_ns = 0;
    if (data)
        move_block(channel);
    /* After the last block of a write the device has something left to do; after that of a read
     * nothing. */
    if (work->sectors_left == 0 && (!data || work->part.op == BLK_READ))
        blk_complete(&disk->block, end_work(channel), 0);
}

/* For both disks of the channel: who waits for one of them polls no other. */
static unsigned ide_op_poll(struct blk_device *block, unsigned budget)
{
    struct ide_channel *channel = to_disk(block)->channel;
    unsigned steps = 0;

    while (steps < budget && channel->work.disk) {
        uint64_t now = channel->pending ? 0 : platform_now_ns();

        if (!channel->pending && (now < channel->look_ns || !ide_look(channel))) {
            if (now >= channel->look_ns)
                channel->look_ns = now + LOOK_INTERVAL_NS;
            break;
        }
        if (channel->work.dma)
            finish_dma(channel);
        else
            step_pio(channel);
        steps++;
    }
    return steps;
}

/* The line stays up until the status is read, so an interrupt that came since ends the halt. */
static bool ide_op_arm(struct blk_device *block)
{
    (void)block;
    return true;
}

static uint64_t ide_op_deadline(struct blk_device *block)
{
    const struct ide_channel *channel = to_disk(block)->channel;
    const struct ide_work *work = &channel->work;
    /* No interrupt asks for the first block of a write. */
    bool first_block = !work->dma && work->part.op == BLK_WRITE && work->index == 0 &&
                       work->offset == 0 && work->sectors_left > 0;

    if (!work->disk || (channel->interrupts && !first_block))
        return PLATFORM_NO_DEADLINE;
    return platform_now_ns() + POLL_INTERVAL_NS;
}

static void ide_op_reset(struct blk_device *block)
{
    struct ide_disk *disk = to_disk(block);
    struct ide_channel *channel = disk->channel;

    if (channel->work.disk != disk)
        return;
    log_warn("%s: %s does not answer: resetting it", channel->name, block->name);
    ide_reset(channel);
    blk_lost(block, end_work(channel));
}

static void ide_op_destroy(struct blk_device *block)
{
    platform_dma_free(to_disk(block), sizeof(struct ide_disk));
}

const struct blk_ops ide_blk_ops = {
    .submit = ide_op_submit,
    .kick = ide_op_kick,
    .poll = ide_op_poll,
    .arm = ide_op_arm,
    .deadline = ide_op_deadline,
    .reset = ide_op_reset,
    .destroy = ide_op_destroy,
};
