/*
 * fat_disk.c - the three functions FatFs wants from its host: sectors, time, memory.
 *
 * Owns the step from FatFs's sectors (512 to 4096 bytes, as the volume says) to the block layer's
 * (always 512). Short transfers go through a small cache (blk/cache.h), large ones straight to the
 * caller's buffer. FatFs writes the same few sectors of table and directory again and again, so short
 * writes stay in the cache: until a flush, or a second. Which of them a power cut leaves is as open as
 * with the cache of a disk (docs/DURABILITY.md). Read fat.c next.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/fat_internal.h"
#include "log.h"
#include "platform.h"

#include "diskio.h"

/* Enough lines to see what is wrong, few enough not to drown the log when every sector is bad. */
#define COMPLAINTS_MAX 8u

/* How long a short write that nobody flushes may stay in memory. */
#define WRITE_BACK_NS 1000000000u

static void disk_complain(struct fat_volume *volume, const char *what, uint64_t sector,
                          uint32_t count, int error)
{
    if (volume->complaints++ < COMPLAINTS_MAX)
        log_error("fs: %s: %s %u sectors at %llu: error %d", volume->device->name, what, count,
                  (unsigned long long)sector, -error);
}

/*
 * Block layer units: false when the range is not on the device, which only a damaged volume asks
 * for.
 */
static bool disk_range(const struct fat_volume *volume, uint64_t *sector, uint32_t *count)
{
    uint32_t ratio = volume->sector_size / BLK_SECTOR_SIZE;
    uint64_t capacity = volume->device->capacity / ratio;
    if (*sector >= capacity || *count > capacity - *sector || *count > UINT32_MAX / ratio)
        return false;
    *sector *= ratio;
    *count *= ratio;
    return true;
}

static int disk_transfer_in(struct fat_volume *volume, uint64_t sector, void *data, uint32_t count)
{
    if (volume->unmounted)
        return -EIO;
    return volume->cache ? blk_cache_read(volume->cache, sector, data, count)
                         : blk_read(volume->device, sector, data, count);
}

/* --- Writing back ----------------------------------------------------------------------------- */

static unsigned write_back_poll(void *arg, unsigned budget)
{
    struct fat_volume *volume = arg;
    (void)budget;
    if (platform_now_ns() < volume->write_back_ns)
        return 0;
    loop_remove(&volume->write_back);
    volume->write_back_ns = 0;
    int error = blk_cache_write_back(volume->cache);
    /* What could not be written is still there for the next flush, whose caller hears of it. */
    if (error)
        disk_complain(volume, "writing back", 0, 0, error);
    return 1;
}

static uint64_t write_back_deadline(void *arg)
{
    const struct fat_volume *volume = arg;
    return volume->write_back_ns;
}

static void write_back_later(struct fat_volume *volume)
{
    if (volume->write_back_ns)
        return;
    volume->write_back_ns = platform_now_ns() + WRITE_BACK_NS;
    volume->write_back = (struct loop_source){.name = "fat write back",
                                              .poll = write_back_poll,
                                              .deadline = write_back_deadline,
                                              .arg = volume};
    loop_add(&volume->write_back);
}

void fat_disk_open(struct fat_volume *volume)
{
    volume->cache = blk_cache_create_for_volume(volume->device);
}

void fat_disk_close(struct fat_volume *volume)
{
    if (volume->write_back_ns)
        loop_remove(&volume->write_back);
    volume->write_back_ns = 0;
    blk_cache_destroy(volume->cache);
    volume->cache = NULL;
}

/* --- Sectors ---------------------------------------------------------------------------------- */

static int disk_transfer_out(struct fat_volume *volume, uint64_t sector, const void *data,
                             uint32_t count)
{
    if (volume->unmounted)
        return -EIO;
    if (!volume->cache)
        return blk_write(volume->device, sector, data, count);
    write_back_later(volume);
    return blk_cache_write(volume->cache, sector, data, count);
}

int fat_disk_read(struct fat_volume *volume, void *data, uint64_t sector, uint32_t count)
{
    int error =
        disk_range(volume, &sector, &count) ? disk_transfer_in(volume, sector, data, count) : -EIO;
    if (error)
        disk_complain(volume, "reading", sector, count, error);
    return error;
}

int fat_disk_write(struct fat_volume *volume, const void *data, uint64_t sector, uint32_t count)
{
    int error = sector && sector == volume->entry_sector ? fat_disk_flush(volume) : 0;
    if (error)
        return error;
    volume->unflushed = true;
    error =
        disk_range(volume, &sector, &count) ? disk_transfer_out(volume, sector, data, count) : -EIO;
    if (error)
        disk_complain(volume, "writing", sector, count, error);
    return error;
}

int fat_disk_flush(struct fat_volume *volume)
{
    if (!volume->unflushed)
        return 0;
    int error = volume->cache ? blk_cache_flush(volume->cache) : blk_flush(volume->device);
    if (error)
        disk_complain(volume, "flushing after", 0, 0, error);
    else
        volume->unflushed = false;
    return error;
}

/* --- What FatFs calls ------------------------------------------------------------------------- */

DRESULT disk_read(void *drv, BYTE *buff, DWORD sector, UINT count)
{
    return fat_disk_read(drv, buff, sector, count) ? RES_ERROR : RES_OK;
}

DRESULT disk_write(void *drv, const BYTE *buff, DWORD sector, UINT count)
{
    int error = fat_disk_write(drv, buff, sector, count);
    return !error ? RES_OK : error == -EROFS ? RES_WRPRT : RES_ERROR;
}

/*
 * CTRL_SYNC comes with every close. Written sectors are with the device by then; making them
 * outlive a power cut costs a flush, which only fsync(), sync() and the unmount ask for
 * (fat_disk_flush).
 */
DRESULT disk_ioctl(void *drv, BYTE cmd, void *buff)
{
    const struct fat_volume *volume = drv;
    switch (cmd) {
    case IOCTL_INIT:
    case IOCTL_STATUS:
        *(DSTATUS *)buff = volume->device->read_only ? STA_PROTECT : 0;
        return RES_OK;
    case GET_SECTOR_SIZE:
        *(WORD *)buff = (WORD)volume->sector_size;
        return RES_OK;
    case CTRL_SYNC:
        return RES_OK;
    default:
        return RES_PARERR;
    }
}

/*
 * The time for a directory entry: years from 1980 in the top 7 bits, down to 2 seconds. Without a
 * clock the first one there is.
 */
DWORD get_fattime(void)
{
    time_t now = (time_t)(platform_wall_ns() / 1000000000u);
    struct tm tm;
    if (!gmtime_r(&now, &tm) || tm.tm_year < 80)
        return 1u << 21 | 1u << 16;
    unsigned year = tm.tm_year > 207 ? 127 : (unsigned)tm.tm_year - 80;
    return (DWORD)(year << 25 | (unsigned)(tm.tm_mon + 1) << 21 | (unsigned)tm.tm_mday << 16 |
                   (unsigned)tm.tm_hour << 11 | (unsigned)tm.tm_min << 5 |
                   (unsigned)tm.tm_sec >> 1);
}

/* Zeroed: FatFs compares what lies behind the end of a name when the volume has a longer one. */
void *ff_memalloc(UINT msize)
{
    return calloc(1, msize);
}

void ff_memfree(void *mblock)
{
    free(mblock);
}
