/*
 * ide_setup.c - finding IDE controllers on PCI and the disks behind them: ports, interrupt lines,
 * IDENTIFY DEVICE.
 *
 * A channel in compatibility mode has the ports and interrupts of the first PCs, one in native mode
 * those of its BARs ("PCI IDE Controller Specification" 1.0). ATAPI devices are named and left
 * alone. Requests are ide.c's.
 */
#include "blk/ide.h"

#include <errno.h>
#include <string.h>

#include "blk/ide_impl.h"
#include "irq.h"
#include "log.h"

#define CLASS_IDE 0x0101
#define PROG_BUS_MASTER 0x80
#define PROG_NATIVE(channel) (1u << (2 * (channel)))

#define BAR_BUS_MASTER 4
#define CHANNELS_MAX 8

#define VENDOR_INTEL 0x8086
#define PIIX_TIMING 0x40 /* one 16-bit register for each channel */
#define PIIX_TIMING_DECODE 0x8000

#define COMMAND_IDENTIFY 0xec
#define COMMAND_IDENTIFY_PACKET 0xa1
#define SIGNATURE_MID_ATAPI 0x14
#define SIGNATURE_HIGH_ATAPI 0xeb

/* Words of IDENTIFY DEVICE (ATA/ATAPI-7 volume 1, 6.17). */
#define ID_MODEL 27
#define ID_MODEL_WORDS 20
#define ID_MULTIPLE 47
#define ID_CAPABILITIES 49
#define ID_CAPABILITY_DMA 0x0100
#define ID_CAPABILITY_LBA 0x0200
#define ID_SECTORS 60
#define ID_COMMANDS 83
#define ID_COMMANDS_VALID 0xc000
#define ID_COMMANDS_VALID_IS 0x4000
#define ID_COMMAND_LBA48 0x0400
#define ID_COMMAND_FLUSH 0x1000
#define ID_COMMAND_FLUSH_48 0x2000
#define ID_SECTORS_48 100
#define ID_SECTOR_SIZE 106
#define ID_SECTOR_SIZE_LARGE 0x1000

#define MULTIPLE_MAX 16u
#define SECTORS_MAX_28 256u
#define SECTORS_MAX_48 1024u
#define SEGMENT_SIZE_MAX (128u << 10)
#define BUSY_TIMEOUT_MS 1000
#define TABLE_SIZE (IDE_PRD_MAX * sizeof(struct ide_prd))

static const struct {
    uint16_t command, control;
    unsigned isa_irq;
} compatible[2] = {{0x1f0, 0x3f6, 14}, {0x170, 0x376, 15}};

static struct ide_channel *channels[CHANNELS_MAX];
static unsigned channel_count;

/* ---- interrupts ---- */

static bool on_channel_interrupt(void *arg)
{
    return ide_look(arg);
}

/* Both channels of a controller in native mode share its pin. */
static bool on_controller_interrupt(void *arg)
{
    bool ours = false;

    for (unsigned i = 0; i < channel_count; i++)
        if (channels[i]->fn == arg)
            ours |= ide_look(channels[i]);
    return ours;
}

/* Has another channel of its controller taken the pin? */
static bool shares_pin(const struct ide_channel *channel)
{
    for (unsigned i = 0; i < channel_count; i++)
        if (channels[i] != channel && channels[i]->fn == channel->fn && channels[i]->interrupts &&
            channels[i]->line == IDE_NO_LINE)
            return true;
    return false;
}

static void enable_interrupts(struct ide_channel *channel, bool native, unsigned number)
{
    unsigned line = irq_isa_line(compatible[number].isa_irq);

    if (native) {
        channel->interrupts =
            shares_pin(channel) ||
            pci_intx_enable(channel->fn, on_controller_interrupt, channel->fn, "ide") == 0;
    } else if (irq_line_add(line, false, on_channel_interrupt, channel, "ide") == 0) {
        channel->interrupts = true;
        channel->line = line;
    }
}

/* ---- disks ---- */

/* Text in words of two characters, the first one in the upper half; blanks at its end are dropped. */
static void copy_text(char *out, const uint16_t *words, unsigned count)
{
    unsigned end = 0;

    for (unsigned i = 0; i < 2 * count; i++) {
        char c = (char)(i % 2 ? words[i / 2] : words[i / 2] >> 8);

        out[i] = c >= ' ' && c <= '~' ? c : ' ';
        if (out[i] != ' ')
            end = i + 1;
    }
    out[end] = '\0';
}

static uint64_t capacity_of(const uint16_t *id, bool lba48)
{
    uint64_t sectors = id[ID_SECTORS] | (uint64_t)id[ID_SECTORS + 1] << 16;

    if (lba48)
        for (unsigned i = sectors = 0; i < 4; i++)
            sectors |= (uint64_t)id[ID_SECTORS_48 + i] << (16 * i);
    return sectors;
}

/* Fills in what the device says of itself. NULL, or why it cannot be used. */
static const char *read_identity(struct ide_disk *disk, const uint16_t *id, bool dma)
{
    struct blk_device *block = &disk->block;
    bool valid = (id[ID_COMMANDS] & ID_COMMANDS_VALID) == ID_COMMANDS_VALID_IS;
    unsigned at_once = id[ID_MULTIPLE] & 0xff;

    if (!(id[ID_CAPABILITIES] & ID_CAPABILITY_LBA))
        return "it has no sector numbers";
    if ((id[ID_SECTOR_SIZE] & ID_COMMANDS_VALID) == ID_COMMANDS_VALID_IS &&
        (id[ID_SECTOR_SIZE] & ID_SECTOR_SIZE_LARGE))
        return "its sectors are larger than 512 bytes";
    disk->lba48 = valid && (id[ID_COMMANDS] & ID_COMMAND_LBA48);
    disk->flush = valid && (id[ID_COMMANDS] & ID_COMMAND_FLUSH);
    disk->flush_48 = disk->lba48 && (id[ID_COMMANDS] & ID_COMMAND_FLUSH_48);
    disk->dma = dma && disk->channel->table && (id[ID_CAPABILITIES] & ID_CAPABILITY_DMA);
    disk->sectors_at_once = at_once > MULTIPLE_MAX ? MULTIPLE_MAX : at_once > 0 ? at_once : 1;
    /* A count that SET MULTIPLE MODE takes is a power of two. */
    while (disk->sectors_at_once & (disk->sectors_at_once - 1))
        disk->sectors_at_once &= disk->sectors_at_once - 1;
    block->capacity = capacity_of(id, disk->lba48);
    if (block->capacity == 0 || block->capacity > UINT64_C(1) << 48)
        return "its capacity makes no sense";
    block->block_size = BLK_SECTOR_SIZE;
    block->prefix = "hd";
    block->has_flush = disk->flush || disk->flush_48;
    block->limits.max_segments = IDE_SEGMENTS_MAX;
    block->limits.max_segment_size = SEGMENT_SIZE_MAX;
    block->limits.max_sectors = disk->lba48 ? SECTORS_MAX_48 : SECTORS_MAX_28;
    block->ops = &ide_blk_ops;
    block->driver = disk;
    return NULL;
}

static bool add_disk(struct ide_channel *channel, unsigned number, const uint16_t *id, bool dma)
{
    struct ide_disk *disk = platform_dma_alloc(sizeof(*disk), 64);
    char model[2 * ID_MODEL_WORDS + 1];
    const char *refusal = "out of memory";

    copy_text(model, &id[ID_MODEL], ID_MODEL_WORDS);
    if (disk) {
        disk->channel = channel;
        disk->number = number;
        refusal = read_identity(disk, id, dma);
    }
    if (!refusal) {
        ide_prepare(disk);
        channel->disk[number] = disk;
        if (blk_add(&disk->block))
            refusal = "the block layer refuses it";
    }
    if (refusal) {
        log_warn("%s: device %u (%s): not used: %s", channel->name, number, model, refusal);
        channel->disk[number] = NULL;
        if (disk)
            platform_dma_free(disk, sizeof(*disk));
        return false;
    }
    log_info("%s: %s: %s, %llu MiB, %s%s%s%s", channel->name, disk->block.name, model,
             (unsigned long long)(disk->block.capacity >> 11), disk->dma ? "DMA" : "PIO",
             disk->lba48 ? ", LBA48" : "", disk->block.has_flush ? ", flush" : "",
             channel->interrupts ? "" : ", polled");
    return true;
}

static void name_packet_device(struct ide_channel *channel, unsigned number, uint16_t *id)
{
    char model[2 * ID_MODEL_WORDS + 1] = "";

    if (ide_identify(channel, number, COMMAND_IDENTIFY_PACKET, id) == 0)
        copy_text(model, &id[ID_MODEL], ID_MODEL_WORDS);
    log_info("%s: device %u (%s): not used: it is an ATAPI device", channel->name, number, model);
}

/* What an ATAPI device leaves in the registers after a reset, and when it refuses IDENTIFY DEVICE. */
static bool is_packet_device(const struct ide_channel *channel)
{
    return pio_read8(channel->command + IDE_LBA_MID) == SIGNATURE_MID_ATAPI &&
           pio_read8(channel->command + IDE_LBA_HIGH) == SIGNATURE_HIGH_ATAPI;
}

static bool find_disk(struct ide_channel *channel, unsigned number, bool dma)
{
    uint16_t id[IDE_IDENTIFY_WORDS];
    bool packet;
    int error = 0;

    pio_write8(channel->command + IDE_DEVICE, IDE_DEVICE_LBA | (number ? IDE_DEVICE_1 : 0));
    if (pio_read8(channel->control) == IDE_STATUS_FLOATING)
        return false;
    if (ide_wait_clear(channel, IDE_STATUS_BSY, BUSY_TIMEOUT_MS)) {
        log_warn("%s: device %u: not used: it stays busy", channel->name, number);
        return false;
    }
    packet = is_packet_device(channel);
    if (!packet && pio_read8(channel->control) == 0)
        return false; /* nobody is there */
    if (!packet) {
        error = ide_identify(channel, number, COMMAND_IDENTIFY, id);
        packet = error == -ENODEV && is_packet_device(channel);
    }
    if (packet) {
        name_packet_device(channel, number, id);
        return false;
    }
    if (error) {
        log_warn("%s: device %u: not used: it %s IDENTIFY DEVICE", channel->name, number,
                 error == -ENODEV ? "refuses" : "does not answer");
        return false;
    }
    return add_disk(channel, number, id, dma);
}

/* ---- channels ---- */

/* Nobody drives the bus when there is no device; an empty channel of a hypervisor reads as 0. */
static bool is_empty(const struct ide_channel *channel)
{
    for (unsigned number = 0; number < 2; number++) {
        uint8_t status;

        pio_write8(channel->command + IDE_DEVICE, IDE_DEVICE_LBA | (number ? IDE_DEVICE_1 : 0));
        status = pio_read8(channel->control);
        if ((status != 0 && status != IDE_STATUS_FLOATING) ||
            (status == 0 && pio_read8(channel->command + IDE_LBA_HIGH) != 0))
            return false;
    }
    return true;
}

/* The channel's ports. False: it has none that can be used. */
static bool find_ports(struct ide_channel *channel, unsigned number, bool native)
{
    const struct pci_bar *bar = &channel->fn->bar[2 * number];
    const struct pci_bar *master = &channel->fn->bar[BAR_BUS_MASTER];

    channel->command = compatible[number].command;
    channel->control = compatible[number].control;
    if (native) {
        if (!bar[0].is_io || bar[0].size < 8 || !bar[1].is_io || bar[1].size < 4)
            return false;
        channel->command = (uint16_t)bar[0].address;
        channel->control = (uint16_t)(bar[1].address + 2);
    }
    if ((channel->fn->class_code & PROG_BUS_MASTER) && master->is_io &&
        master->size >= 2 * IDE_BM_CHANNEL_SIZE && master->address != 0)
        channel->bus_master = (uint16_t)(master->address + number * IDE_BM_CHANNEL_SIZE);
    return true;
}

static void free_table(struct ide_channel *channel)
{
    platform_dma_unmap(channel->table_address, TABLE_SIZE, DMA_TO_DEVICE);
    platform_dma_free(channel->table, TABLE_SIZE);
    channel->table = NULL;
}

static void make_table(struct ide_channel *channel)
{
    if (!channel->bus_master)
        return;
    channel->table = platform_dma_alloc(TABLE_SIZE, 4096);
    if (!channel->table)
        return;
    channel->table_address = platform_dma_map(channel->table, TABLE_SIZE, DMA_TO_DEVICE);
    if (channel->table_address > UINT32_MAX - TABLE_SIZE)
        free_table(channel);
}

static unsigned probe_channel(struct pci_function *fn, unsigned number, bool dma, bool interrupts)
{
    struct ide_channel *channel;
    bool native = fn->class_code & PROG_NATIVE(number);
    unsigned disks = 0;

    if (channel_count == CHANNELS_MAX)
        return 0;
    channel = platform_dma_alloc(sizeof(*channel), 64);
    if (!channel)
        return 0;
    channel->fn = fn;
    channel->line = IDE_NO_LINE;
    format_text(channel->name, sizeof(channel->name), "pci %02x:%02x.%x ide%u", fn->bus, fn->device,
                fn->function, number);
    if (!find_ports(channel, number, native) || is_empty(channel)) {
        platform_dma_free(channel, sizeof(*channel));
        return 0;
    }
    channels[channel_count++] = channel;
    if (dma)
        make_table(channel);
    pio_write8(channel->control, IDE_CONTROL_NO_INTERRUPT);
    if (interrupts)
        enable_interrupts(channel, native, number);
    for (unsigned i = 0; i < 2; i++)
        disks += find_disk(channel, i, dma);
    /* What setting up raised is taken back before the line may be heard. The bus master wants to
     * see it even where the CPU does not. */
    pio_read8(channel->command + IDE_STATUS);
    pio_write8(channel->control, 0);
    return disks;
}

/* A channel of the PIIX does not listen to its ports before it is told to. */
static void decode_ports(struct pci_function *fn, unsigned timing)
{
    uint16_t value = pci_read16(fn, timing);

    if (!(value & PIIX_TIMING_DECODE))
        pci_write16(fn, timing, value | PIIX_TIMING_DECODE);
}

static unsigned probe_controller(struct pci_function *fn, bool dma, bool interrupts)
{
    unsigned disks = 0;

    if (fn->driver)
        return 0;
    pci_command(fn, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 0);
    for (unsigned number = 0; number < 2; number++) {
        if (fn->vendor_id == VENDOR_INTEL)
            decode_ports(fn, PIIX_TIMING + 2 * number);
        disks += probe_channel(fn, number, dma, interrupts);
    }
    fn->driver = "ide";
    return disks;
}

unsigned ide_scan(const char *mode, bool interrupts)
{
    bool dma = !mode || strcmp(mode, "pio") != 0;
    unsigned disks = 0;

    if (mode && dma && strcmp(mode, "dma") != 0)
        log_warn("ide=%s: not one of pio, dma", mode);
    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        if (fn->vendor_id != 0 && fn->class_code >> 8 == CLASS_IDE)
            disks += probe_controller(fn, dma, interrupts);
    }
    return disks;
}

static void free_channel(struct ide_channel *channel)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_disk *disk = channel->disk[i];

        if (!disk)
            continue;
        if (channel->work.disk == disk)
            ide_blk_ops.reset(&disk->block);
        blk_remove(&disk->block);
    }
    pio_write8(channel->control, IDE_CONTROL_NO_INTERRUPT);
    if (channel->line != IDE_NO_LINE)
        irq_line_remove(channel->line, on_channel_interrupt, channel);
    else if (channel->interrupts && !shares_pin(channel))
        pci_intx_disable(channel->fn);
    pci_command(channel->fn, 0, PCI_COMMAND_MASTER);
    channel->fn->driver = NULL;
    if (channel->table)
        free_table(channel);
    platform_dma_free(channel, sizeof(*channel));
}

void ide_shutdown(void)
{
    while (channel_count > 0)
        free_channel(channels[--channel_count]);
}
