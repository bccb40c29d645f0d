/*
 * ide_channel.c - the registers of an IDE channel: selecting, waiting with a limit, reset, and
 * commands that are waited for.
 *
 * A channel has one set of registers for two devices and works on one command at a time. Requests
 * are ide.c's, finding controllers is ide_setup.c's. ATA/ATAPI-7 volume 2, chapter 4.
 */
#include <errno.h>

#include "blk/ide_impl.h"
#include "log.h"

#define SELECT_TIMEOUT_MS 100
#define COMMAND_TIMEOUT_MS 1000
/* A disk may take 31 s to spin up; one that a hypervisor makes up takes none. */
#define RESET_TIMEOUT_MS 3000
#define RESET_PULSE_NS 5000
#define MICROSECOND_NS 1000u

#define COMMAND_SET_MULTIPLE 0xc6

static uint8_t read_status(const struct ide_channel *channel)
{
    return pio_read8(channel->command + IDE_STATUS);
}

/* The same without taking the interrupt back. */
static uint8_t peek_status(const struct ide_channel *channel)
{
    return pio_read8(channel->control);
}

static void wait_ns(uint64_t ns)
{
    uint64_t end = platform_now_ns() + ns;

    while (platform_now_ns() < end)
        platform_relax();
}

int ide_wait_clear(struct ide_channel *channel, uint8_t mask, unsigned timeout_ms)
{
    uint64_t end = platform_now_ns() + timeout_ms * UINT64_C(1000000);

    while (peek_status(channel) & mask) {
        if (platform_now_ns() >= end)
            return -EIO;
        platform_relax();
    }
    return 0;
}

/* With DMA the controller says whether the device interrupted; the data is in memory then. */
static bool dma_made_a_step(struct ide_channel *channel)
{
    uint8_t status = pio_read8(channel->bus_master + IDE_BM_STATUS);

    if (!(status & IDE_BM_INTERRUPT))
        return false;
    channel->bus_master_status = status;
    channel->status = read_status(channel);
    pio_write8(channel->bus_master + IDE_BM_STATUS, status);
    return true;
}

static bool pio_made_a_step(struct ide_channel *channel)
{
    uint8_t status = read_status(channel);
    const uint8_t wanted = IDE_STATUS_DRQ | IDE_STATUS_ERR | IDE_STATUS_DF;

    if ((status & IDE_STATUS_BSY) || (channel->work.sectors_left > 0 && !(status & wanted)))
        return false;
    channel->status = status;
    return true;
}

bool ide_look(struct ide_channel *channel)
{
    if (channel->pending)
        return false;
    if (!channel->work.disk) {
        read_status(channel);
        return false;
    }
    channel->pending = channel->work.dma ? dma_made_a_step(channel) : pio_made_a_step(channel);
    return channel->pending;
}

int ide_select(struct ide_channel *channel, unsigned number, uint8_t device_bits)
{
    int error = ide_wait_clear(channel, IDE_STATUS_BSY | IDE_STATUS_DRQ, SELECT_TIMEOUT_MS);

    if (error)
        return error;
    pio_write8(channel->command + IDE_DEVICE, (uint8_t)(device_bits | (number ? IDE_DEVICE_1 : 0)));
    /* The status of the device is valid 400 ns later, by when this read is over. */
    return ide_wait_clear(channel, IDE_STATUS_BSY | IDE_STATUS_DRQ, SELECT_TIMEOUT_MS);
}

int ide_command(struct ide_channel *channel, unsigned number, uint8_t command, uint8_t count)
{
    int error = ide_select(channel, number, IDE_DEVICE_LBA);

    if (error)
        return error;
    pio_write8(channel->command + IDE_COUNT, count);
    pio_write8(channel->command + IDE_COMMAND, command);
    wait_ns(MICROSECOND_NS);
    error = ide_wait_clear(channel, IDE_STATUS_BSY, COMMAND_TIMEOUT_MS);
    return read_status(channel) & (IDE_STATUS_ERR | IDE_STATUS_DF) ? -EIO : error;
}

int ide_identify(struct ide_channel *channel, unsigned number, uint8_t command, uint16_t *words)
{
    uint64_t end;
    uint8_t status;

    if (ide_select(channel, number, IDE_DEVICE_LBA))
        return -EIO;
    pio_write8(channel->command + IDE_COMMAND, command);
    end = platform_now_ns() + COMMAND_TIMEOUT_MS * UINT64_C(1000000);
    do {
        wait_ns(MICROSECOND_NS);
        status = read_status(channel);
        if (platform_now_ns() >= end)
            return -EIO;
    } while ((status & IDE_STATUS_BSY) ||
             !(status & (IDE_STATUS_DRQ | IDE_STATUS_ERR | IDE_STATUS_DF)));
    if (!(status & IDE_STATUS_DRQ))
        return -ENODEV;
    pio_read16_block(channel->command + IDE_DATA, words, IDE_IDENTIFY_WORDS);
    return ide_wait_clear(channel, IDE_STATUS_BSY | IDE_STATUS_DRQ, COMMAND_TIMEOUT_MS);
}

void ide_prepare(struct ide_disk *disk)
{
    if (disk->sectors_at_once > 1 && ide_command(disk->channel, disk->number, COMMAND_SET_MULTIPLE,
                                                 (uint8_t)disk->sectors_at_once))
        disk->sectors_at_once = 1;
}

int ide_reset(struct ide_channel *channel)
{
    if (channel->bus_master)
        pio_write8(channel->bus_master + IDE_BM_COMMAND, 0);
    pio_write8(channel->control, IDE_CONTROL_NO_INTERRUPT | IDE_CONTROL_RESET);
    wait_ns(RESET_PULSE_NS);
    pio_write8(channel->control, 0);
    wait_ns(RESET_PULSE_NS);
    if (ide_wait_clear(channel, IDE_STATUS_BSY, RESET_TIMEOUT_MS)) {
        log_error("%s: busy for %u ms after a reset: given up", channel->name, RESET_TIMEOUT_MS);
        channel->dead = true;
        pci_command(channel->fn, 0, PCI_COMMAND_MASTER);
        return -EIO;
    }
    for (unsigned i = 0; i < 2; i++)
        if (channel->disk[i])
            ide_prepare(channel->disk[i]);
    return 0;
}
