/*
 * proof_ide.c - a disk on an IDE channel whose registers say anything at any time: what it says of
 * itself gives limits that the driver can keep, words move between the device and the request's own
 * memory only, each command ends once, and the bus master's table covers what is asked for.
 */
// unwind: 8
// variant identity: -DIDENTITY --unwindset copy_text.0:42,strlen.0:42
// variant move: -DMOVE
// variant dma: -DDMA_END
// variant table: -DTABLE
// control identity: blk/ide_setup.c: at_once > MULTIPLE_MAX ? MULTIPLE_MAX => 0 ? MULTIPLE_MAX
// control identity: blk/ide_setup.c: block->capacity == 0 || => 0 ||
// control identity: blk/ide_setup.c: out[end] = '\0'; => out[end + 1] = '\0';
// control move: blk/ide.c: if (sectors > work->sectors_left) => if (0)
// control move: blk/ide.c: if (here > sectors) => if (0)
// control move: blk/ide.c: if (work->sectors_left == 0 && (!data => if ((!data
// control dma: blk/ide.c: fail_work(channel);\n    else\n => fail_work(channel);\n
// control table: blk/ide.c: if (n == IDE_PRD_MAX)\n            return 0; =>
// control table: blk/ide.c: - (uint32_t)(address % PRD_PIECE) =>
#include "proof.h"

#define pio_read16_block read16_block
#define pio_write16_block write16_block
#include "blk/ide_impl.h"
#undef pio_read16_block
#undef pio_write16_block

static void pio_read16_block(uint16_t port, void *memory, size_t count)
{
    (void)port;
    claim(count > 0 && __CPROVER_w_ok(memory, 2 * count));
}

static void pio_write16_block(uint16_t port, const void *memory, size_t count)
{
    (void)port;
    claim(count > 0 && __CPROVER_r_ok(memory, 2 * count));
}

#undef IDE_PRD_MAX
#define IDE_PRD_MAX 3u
#ifdef IDENTITY
#include "blk/ide_setup.c"
#else
#include "blk/ide.c"
#endif

#define SEGMENTS 2u
#define SECTORS 2u /* of a segment, at most */

static struct ide_channel channel;
static struct ide_disk disk;
static struct blk_request request;
static unsigned ended;

uint64_t hosted_register_read(uint64_t address, unsigned width)
{
    (void)address;
    (void)width;
    return any_u64();
}

void hosted_register_write(uint64_t address, unsigned width, uint64_t value)
{
    (void)address;
    (void)value;
    (void)width;
}

dma_addr_t hosted_dma_map(const void *memory, size_t len, enum dma_direction direction)
{
    (void)direction;
    claim(memory && len > 0);
    return any_u64();
}

void hosted_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    (void)addr;
    (void)direction;
    claim(len > 0);
}

#ifdef IDENTITY

static void check(void)
{
    uint16_t *id = malloc(IDE_IDENTIFY_WORDS * sizeof(*id));
    char *model = malloc(2 * ID_MODEL_WORDS + 1);
    unsigned i = any_unsigned();
    const struct blk_device *block = &disk.block;

    disk.channel = &channel;
    copy_text(model, &id[ID_MODEL], ID_MODEL_WORDS);
    claim(strlen(model) <= 2 * ID_MODEL_WORDS);
    if (read_identity(&disk, id, any_bool()))
        return;
    claim(disk.sectors_at_once >= 1 && disk.sectors_at_once <= MULTIPLE_MAX);
    claim((disk.sectors_at_once & (disk.sectors_at_once - 1)) == 0);
    claim(block->capacity > 0 && block->capacity <= BLK_MAX_SECTORS);
    claim(disk.lba48 || block->capacity <= UINT32_MAX);
    claim(block->limits.max_sectors <= (disk.lba48 ? 65536u : 256u));
}

#else

static uint8_t *memory[SEGMENTS];

/* The rest of the work, in sectors, as index and offset say. */
static uint32_t rest(void)
{
    const struct ide_work *work = &channel.work;
    uint32_t bytes = 0;
    unsigned i;

    for (i = 0; i < SEGMENTS; i++)
        if (i >= work->index && i < work->part.segments)
            bytes += work->segment[i].len;
    return (bytes - work->offset) / BLK_SECTOR_SIZE;
}

static bool is_valid(void)
{
    const struct ide_work *work = &channel.work;

    return work->index <= work->part.segments && work->offset % BLK_SECTOR_SIZE == 0 &&
           (work->index == work->part.segments ? work->offset == 0
                                               : work->offset < work->segment[work->index].len) &&
           work->sectors_left == rest();
}

void blk_complete(struct blk_device *block, struct blk_request *of, int error)
{
    claim(block == &disk.block && of == &request && error <= 0);
    claim(!channel.work.disk && (error || !channel.work.sectors_left));
    ended++;
}

int ide_reset(struct ide_channel *of)
{
    claim(of == &channel);
    return any_bool() ? 0 : -EIO;
}

bool ide_look(struct ide_channel *of)
{
    return of->pending;
}

static void any_work(void)
{
    struct ide_work *work = &channel.work;
    unsigned i;

    disk.channel = &channel;
    disk.block.driver = &disk;
    disk.sectors_at_once = any_unsigned();
    assume(disk.sectors_at_once >= 1 && disk.sectors_at_once <= 16);
    channel.status = any_u8();
    channel.bus_master_status = any_u8();
    channel.pending = true;
    work->disk = &disk;
    work->part = (struct blk_part){.op = any_bool() ? BLK_READ : BLK_WRITE,
                                   .segments = 1 + any_u8() % SEGMENTS,
                                   .segment = work->segment,
                                   .token = &request};
    for (i = 0; i < SEGMENTS; i++) {
        uint32_t len = BLK_SECTOR_SIZE * (1 + any_u8() % SECTORS);

        memory[i] = malloc(len);
        work->segment[i] = (struct blk_segment){memory[i], len};
    }
    work->index = any_unsigned();
    work->offset = any_u32();
    work->sectors_left = any_u32();
}

#if defined(MOVE)
static void check(void)
{
    any_work();
    assume(is_valid());
    step_pio(&channel);
    claim(ended == (channel.work.disk == NULL) && (!channel.work.disk || is_valid()));
}
#elif defined(DMA_END)
static void check(void)
{
    any_work();
    channel.work.dma = true;
    channel.work.sectors_left = 0;
    finish_dma(&channel);
    claim(ended == 1);
}
#else
static void check(void)
{
    struct ide_prd *table = malloc(IDE_PRD_MAX * sizeof(*table));
    uint64_t address = any_u64(), at = address;
    uint32_t len = any_u32();
    unsigned n, i, first = any_bool();

    assume(len > 0 && len <= 4 * PRD_PIECE && len % 2 == 0 && address < UINT64_MAX - len);
    n = add_to_table(table, first, address, len);
    claim(n <= IDE_PRD_MAX && (n == 0 || n > first));
    for (i = first; i < n; i++) {
        uint32_t piece = table[i].length ? table[i].length : PRD_PIECE;

        claim(table[i].address == at && at % 2 == 0 && piece % 2 == 0 && table[i].flags == 0);
        claim(at / PRD_PIECE == (at + piece - 1) / PRD_PIECE);
        at += piece;
    }
    claim(n == 0 || (at == address + len && at <= UINT64_C(1) << 32));
}
#endif
#endif

int main(void)
{
    check();
    return 0;
}
