/*
 * scsi_disk.c - parts of block requests as READ, WRITE, SYNCHRONIZE CACHE, UNMAP and WRITE SAME
 * commands, and the list of an adapter's disks.
 *
 * Data is never copied: a command points at the caller's segments. Retries, limits and sense data
 * are handled here with the help of scsi_sense.c; the adapter only carries. SBC-4 5. Read
 * scsi_scan.c next.
 */
#include "blk/scsi_disk.h"

#include <errno.h>
#include <string.h>

#include "blk/scsi_scan.h"
#include "blk/scsi_sense.h"
#include "log.h"
#include "platform.h"

/* Enough lines to see what is wrong, few enough not to drown the log when every sector is bad. */
#define COMPLAINTS_MAX 16u
#define MAX_SEGMENT_SIZE (1u << 20)
/* What the 10-byte commands reach (SBC-4 5.11): 32 bits of block number. */
#define SHORT_BLOCKS (UINT64_C(1) << 32)

struct scsi_disk_command {
    struct scsi_command command;
    struct blk_request *token;
    enum blk_op op;
    uint64_t sector;
    uint32_t sectors;
    uint8_t list[SCSI_UNMAP_LIST_SIZE];
    struct scsi_disk_command *next_free;
};

static void put_be(uint8_t *to, unsigned bytes, uint64_t value)
{
    while (bytes-- > 0) {
        to[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

/* ---- one command ---- */

static void build_cdb(const struct scsi_disk *disk, struct scsi_disk_command *own)
{
    static const uint8_t codes[2][3] = {
        {[BLK_READ] = 0x88, [BLK_WRITE] = 0x8a, [BLK_FLUSH] = 0x91},
        {[BLK_READ] = 0x28, [BLK_WRITE] = 0x2a, [BLK_FLUSH] = 0x35},
    };
    uint8_t *cdb = own->command.cdb;
    uint64_t block = own->sector / (disk->block.block_size / BLK_SECTOR_SIZE);
    uint32_t blocks = own->sectors / (disk->block.block_size / BLK_SECTOR_SIZE);

    memset(cdb, 0, SCSI_CDB_SIZE);
    cdb[0] = codes[disk->short_commands][own->op];
    /* A flush of block 0 and 0 blocks is one of the whole disk (SBC-4 5.20). */
    if (disk->short_commands) {
        put_be(cdb + 2, 4, block);
        put_be(cdb + 7, 2, blocks);
    } else {
        put_be(cdb + 2, 8, block);
        put_be(cdb + 10, 4, blocks);
    }
}

static void end_part(struct scsi_disk *disk, struct scsi_disk_command *own, int error)
{
    struct blk_request *token = own->token;

    own->next_free = disk->host->free_commands;
    disk->host->free_commands = own;
    disk->parts--;
    blk_complete(&disk->block, token, error);
}

static void complain(struct scsi_disk *disk, const struct scsi_disk_command *own,
                     const char *reason)
{
    static const char *const verbs[] = {
        [BLK_READ] = "reading",
        [BLK_WRITE] = "writing",
        [BLK_DISCARD] = "discarding",
        [BLK_WRITE_ZEROES] = "zeroing",
    };

    if (disk->complaints > COMPLAINTS_MAX)
        return;
    if (disk->complaints++ == COMPLAINTS_MAX)
        log_error("%s: more errors, which are not logged", disk->block.name);
    else if (own->op == BLK_FLUSH)
        log_error("%s: flushing: %s", disk->block.name, reason);
    else
        log_error("%s: %s %u sectors at %llu: %s", disk->block.name, verbs[own->op], own->sectors,
                  (unsigned long long)own->sector, reason);
}

/* A unit that knows only the 10-byte forms, which its READ CAPACITY (16) did not tell. */
static bool fall_back(struct scsi_disk *disk, struct scsi_disk_command *own)
{
    uint64_t blocks = disk->block.capacity / (disk->block.block_size / BLK_SECTOR_SIZE);

    if (own->op > BLK_FLUSH)
        return false;
    if (disk->short_commands ? own->command.cdb[0] < 0x80 : blocks > SHORT_BLOCKS)
        return false;
    disk->short_commands = true;
    build_cdb(disk, own);
    own->command.attempts = 0;
    return true;
}

static bool try_again(struct scsi_disk *disk, struct scsi_disk_command *own,
                      const struct scsi_verdict *verdict)
{
    if (disk->leaving)
        return false;
    if (verdict->unknown_command && fall_back(disk, own)) {
        scsi_host_wait(disk->host, &own->command, 0);
        return true;
    }
    return verdict->action != SCSI_DONE &&
           scsi_host_retry(disk->host, &own->command, verdict->action == SCSI_LATER);
}

/* Errors as block.h has them. */
static int to_errno(const struct scsi_disk_command *own, const struct scsi_verdict *verdict)
{
    if (verdict->error == -ENODEV || (verdict->error == -EROFS && own->op == BLK_READ))
        return -EIO;
    return verdict->error;
}

/*
 * A range that the unit does not know, or not with these fields (SBC-4 allows a unit to have limits
 * that it does not tell): the operation is not sent to it again.
 */
static bool is_refusal(const struct scsi_disk_command *own, const struct scsi_verdict *verdict)
{
    bool bad_field = verdict->sense.valid && verdict->sense.key == 0x5 &&
                     (verdict->sense.asc == 0x24 || verdict->sense.asc == 0x26);

    return own->op > BLK_FLUSH && (verdict->unknown_command || bad_field);
}

static void part_done(struct scsi_command *command, const struct scsi_result *result)
{
    struct scsi_disk_command *own = (struct scsi_disk_command *)command;
    struct scsi_disk *disk = command->owner;
    struct scsi_verdict verdict;
    char reason[SCSI_REASON_SIZE];
    int error;

    scsi_judge(result, &verdict);
    if (verdict.units_changed || verdict.unit_changed)
        scsi_scan_target(disk->host, disk->target);
    if (try_again(disk, own, &verdict))
        return;
    error = to_errno(own, &verdict);
    if (is_refusal(own, &verdict)) {
        disk->refused[own->op] = true;
        error = -ENOTSUP;
    }
    if (error) {
        scsi_reason(&verdict, reason, sizeof(reason));
        complain(disk, own, reason);
    } else if (result->residual > 0) {
        error = -EIO;
        complain(disk, own, "ended early");
    }
    end_part(disk, own, error);
}

/* ---- struct blk_ops ---- */

static void build_transfer(struct scsi_disk *disk, struct scsi_disk_command *own,
                           const struct blk_part *part)
{
    static const enum scsi_data directions[] = {
        [BLK_READ] = SCSI_DATA_IN, [BLK_WRITE] = SCSI_DATA_OUT, [BLK_FLUSH] = SCSI_NO_DATA};
    struct scsi_command *command = &own->command;
    unsigned i;

    command->data = directions[part->op];
    command->segments = part->segments;
    command->length = 0;
    for (i = 0; i < part->segments; i++) {
        command->sg[i] = (struct virtqueue_sg){part->segment[i].data, part->segment[i].len};
        command->length += part->segment[i].len;
    }
    own->sectors = command->length / BLK_SECTOR_SIZE;
    build_cdb(disk, own);
}

static bool is_known(const struct scsi_disk *disk, enum blk_op op)
{
    return op <= BLK_FLUSH || ((op == BLK_DISCARD || op == BLK_WRITE_ZEROES) && !disk->refused[op]);
}

static int op_submit(struct blk_device *block, const struct blk_part *part)
{
    struct scsi_disk *disk = block->driver;
    struct scsi_disk_command *own = disk->host->free_commands;
    struct scsi_command *command;
    int error;

    if (disk->leaving)
        return -EIO;
    if (!is_known(disk, part->op))
        return -ENOTSUP;
    if (!own)
        return -ENOSPC;
    command = &own->command;
    own->token = part->token;
    own->op = part->op;
    own->sector = part->op == BLK_FLUSH ? 0 : part->sector;
    command->target = disk->target;
    command->lun = disk->lun;
    command->disk = command->owner = disk;
    command->done = part_done;
    command->attempts = 0;
    if (part->op <= BLK_FLUSH) {
        build_transfer(disk, own, part);
    } else {
        own->sectors = part->sectors;
        scsi_range_build(&disk->ranges, block->block_size, part, command, own->list,
                         disk->host->zeros);
    }
    error = scsi_host_execute(disk->host, command);
    if (error)
        return error;
    disk->host->free_commands = own->next_free;
    disk->parts++;
    return 0;
}

static void op_kick(struct blk_device *block)
{
    scsi_host_kick(((struct scsi_disk *)block->driver)->host);
}

static unsigned op_poll(struct blk_device *block, unsigned budget)
{
    return scsi_host_poll(((struct scsi_disk *)block->driver)->host, budget);
}

static bool op_arm(struct blk_device *block)
{
    return scsi_host_arm(((struct scsi_disk *)block->driver)->host);
}

static uint64_t op_deadline(struct blk_device *block)
{
    return scsi_host_deadline(((struct scsi_disk *)block->driver)->host);
}

static void op_look(struct blk_device *block)
{
    scsi_host_look(((struct scsi_disk *)block->driver)->host);
}

static void op_reset(struct blk_device *block)
{
    struct scsi_disk *disk = block->driver;

    scsi_host_reset(disk->host, disk, "a request timed out");
}

/* The structure serves again while the adapter is there. */
static void op_destroy(struct blk_device *block)
{
    struct scsi_disk *disk = block->driver;

    if (disk->orphan)
        platform_dma_free(disk, sizeof(*disk));
}

static const struct blk_ops disk_ops = {
    .submit = op_submit,
    .kick = op_kick,
    .poll = op_poll,
    .arm = op_arm,
    .deadline = op_deadline,
    .look = op_look,
    .reset = op_reset,
    .destroy = op_destroy,
};

/* ---- the disks of an adapter ---- */

int scsi_disks_init(struct scsi_host *host)
{
    unsigned i;

    host->command_pool = platform_dma_alloc(host->commands * sizeof(*host->command_pool), 64);
    host->zeros = platform_dma_alloc(SCSI_ZEROS_SIZE, 64);
    if (!host->command_pool || !host->zeros)
        return -ENOMEM;
    memset(host->zeros, 0, SCSI_ZEROS_SIZE);
    for (i = 0; i < host->commands; i++) {
        host->command_pool[i].next_free = host->free_commands;
        host->free_commands = &host->command_pool[i];
    }
    return 0;
}

void scsi_disks_leave(struct scsi_host *host)
{
    struct scsi_disk *disk;

    for (disk = host->disks; disk; disk = disk->next)
        if (disk->listed)
            blk_leave(&disk->block);
}

void scsi_disks_finish(struct scsi_host *host)
{
    struct scsi_disk *disk;

    while ((disk = host->disks) != NULL) {
        host->disks = disk->next;
        disk->orphan = true;
        if (disk->listed)
            blk_remove(&disk->block); /* frees it when nobody has a claim on it */
        else if (!disk->block.holder)
            platform_dma_free(disk, sizeof(*disk));
    }
    if (host->command_pool)
        platform_dma_free(host->command_pool, host->commands * sizeof(*host->command_pool));
    if (host->zeros)
        platform_dma_free(host->zeros, SCSI_ZEROS_SIZE);
    host->command_pool = host->free_commands = NULL;
    host->zeros = NULL;
}

struct scsi_disk *scsi_disk_find(struct scsi_host *host, unsigned target, unsigned lun)
{
    struct scsi_disk *disk;

    for (disk = host->disks; disk; disk = disk->next)
        if (disk->target == target && disk->lun == lun && !disk->leaving)
            return disk;
    return NULL;
}

static void set_facts(struct scsi_disk *disk, const struct scsi_disk_facts *facts)
{
    disk->block.capacity = facts->blocks * (facts->block_size / BLK_SECTOR_SIZE);
    disk->block.read_only = facts->read_only;
    disk->block.has_flush = facts->write_cache;
    disk->short_commands = facts->short_commands;
    disk->ranges = facts->ranges;
    disk->block.limits.max_sectors = disk->host->max_sectors;
    scsi_range_set_limits(&disk->ranges, facts->block_size, &disk->block.limits);
}

static void add(struct scsi_host *host, unsigned target, unsigned lun,
                const struct scsi_disk_facts *facts)
{
    struct scsi_disk *disk = platform_dma_alloc(sizeof(*disk), 64), **link = &host->disks;

    if (!disk) {
        log_error("%s: target %u LUN %u: no memory for a disk", host->name, target, lun);
        return;
    }
    disk->host = host;
    disk->target = (uint8_t)target;
    disk->lun = (uint16_t)lun;
    memcpy(disk->identity, facts->identity, sizeof(disk->identity));
    disk->block.driver = disk;
    disk->block.ops = &disk_ops;
    disk->block.prefix = "sd";
    disk->block.block_size = facts->block_size;
    disk->block.limits.max_segments = host->max_segments;
    disk->block.limits.max_segment_size = MAX_SEGMENT_SIZE;
    set_facts(disk, facts);
    while (*link && ((*link)->target < target || ((*link)->target == target && (*link)->lun < lun)))
        link = &(*link)->next;
    disk->next = *link;
    *link = disk;
}

static void update(struct scsi_disk *disk, const struct scsi_disk_facts *facts)
{
    uint64_t before = disk->block.capacity;
    bool was_read_only = disk->block.read_only;

    set_facts(disk, facts);
    if (!disk->listed)
        return;
    if (disk->block.capacity != before)
        log_info("%s: capacity changed from %llu to %llu sectors", disk->block.name,
                 (unsigned long long)before, (unsigned long long)disk->block.capacity);
    if (disk->block.read_only != was_read_only)
        log_info("%s: is %s now", disk->block.name,
                 disk->block.read_only ? "read-only" : "writable");
}

void scsi_disk_found(struct scsi_host *host, unsigned target, unsigned lun,
                     const struct scsi_disk_facts *facts)
{
    struct scsi_disk *disk = scsi_disk_find(host, target, lun);

    /* Requests under way were cut for the blocks of before, and another disk is another disk. */
    if (disk && disk->block.block_size != facts->block_size) {
        scsi_disk_leave(disk, "its block size changed");
        disk = NULL;
    }
    if (disk && memcmp(disk->identity, facts->identity, sizeof(disk->identity)) != 0) {
        scsi_disk_leave(disk, "another disk took its place");
        disk = NULL;
    }
    if (disk)
        update(disk, facts);
    else
        add(host, target, lun, facts);
}

void scsi_disk_leave(struct scsi_disk *disk, const char *reason)
{
    disk->leaving = true;
    if (disk->listed)
        log_info("%s: %s: removed: %s", disk->host->name, disk->block.name, reason);
}

static bool publish_disk(struct scsi_disk *disk)
{
    struct blk_device *block = &disk->block;
    int error = blk_add(block);

    if (error) {
        log_error("%s: target %u LUN %u: not added: error %d", disk->host->name, disk->target,
                  disk->lun, -error);
        disk->leaving = true;
        return false;
    }
    disk->listed = true;
    log_info("%s: %s: target %u LUN %u: %s, %llu MiB, blocks of %u bytes%s%s%s%s", disk->host->name,
             block->name, disk->target, disk->lun, disk->identity,
             (unsigned long long)(block->capacity >> 11), block->block_size,
             block->read_only ? ", read-only" : "", block->has_flush ? ", flush" : "",
             block->limits.max_discard_sectors ? ", discard" : "",
             block->limits.max_zeroes_sectors ? ", zeroes" : "");
    return true;
}

unsigned scsi_disks_settle(struct scsi_host *host, bool publish)
{
    struct scsi_disk *disk;
    unsigned changes = 0;

    for (disk = host->disks; disk; disk = disk->next) {
        if (publish && !disk->listed && !disk->leaving) {
            changes += publish_disk(disk);
        } else if (disk->listed && disk->leaving && disk->parts == 0) {
            disk->listed = false;
            blk_remove(&disk->block);
            changes++;
        }
    }
    return changes;
}
