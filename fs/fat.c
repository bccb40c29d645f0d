/*
 * fat.c - FAT volumes as one of the file systems behind fs.h.
 *
 * Owns mounting and everything that works by path; open files are fat_file.c's, sectors and time
 * fat_disk.c's, and the format itself is FatFs's (ff.h). A damaged volume ends in -EIO and a log
 * line. Names compare without regard to case, as FAT has it.
 */
#include "fs/fat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fat_internal.h"
#include "log.h"
#include "platform.h"

/* Where the boot sector says what (Microsoft FAT specification, BPB). */
#define BPB_BYTES_PER_SECTOR 11u
#define BOOT_SIGNATURE 510u
#define BPB_LABEL 43u   /* followed by the type's name, "FAT12   " or "FAT16   " */
#define BPB32_LABEL 71u /* followed by "FAT32   " */
#define LABEL_LEN 11u

#define DAMAGE_COMPLAINTS_MAX 8u

struct fat_directory {
    FF_DIR dir;
    struct fat_volume *volume;
};

/* --- Helpers for all of fat_*.c --------------------------------------------------------------- */

int fat_result(struct fat_volume *volume, FRESULT result)
{
    static const unsigned char to_errno[] = {
        [FR_OK] = 0,
        [FR_DISK_ERR] = EIO,
        [FR_INT_ERR] = EIO,
        [FR_NOT_READY] = EIO,
        [FR_NO_FILE] = ENOENT,
        [FR_NO_PATH] = ENOENT,
        [FR_INVALID_NAME] = EINVAL,
        [FR_DENIED] = EACCES,
        [FR_EXIST] = EEXIST,
        [FR_INVALID_OBJECT] = EBADF,
        [FR_WRITE_PROTECTED] = EROFS,
        [FR_LOCKED] = EBUSY,
        [FR_NOT_ENOUGH_CORE] = ENOMEM,
        [FR_TOO_MANY_OPEN_FILES] = ENFILE,
        [FR_INVALID_PARAMETER] = EINVAL,
    };
    if (result == FR_INT_ERR && volume->complaints++ < DAMAGE_COMPLAINTS_MAX)
        log_error(
            "fs: %s: the FAT volume is damaged (a cluster chain or a directory makes no sense)",
            volume->device->name);
    if (result == FR_OK)
        return 0;
    int error = (size_t)result < sizeof(to_errno) ? to_errno[result] : 0;
    return error ? -error : -EIO;
}

time_t fat_time(uint16_t date, uint16_t time)
{
    int year = 1980 + (date >> 9), month = date >> 5 & 15, day = date & 31;
    if (month < 1 || month > 12 || day < 1)
        return 0;
    /* Days since 1970-01-01, with the year starting in March so that the leap day is its last. */
    int y = month > 2 ? year : year - 1;
    int m = month > 2 ? month - 3 : month + 9;
    int64_t days =
        (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
    return (time_t)(days * 86400 + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2);
}

bool fat_path_usable(const char *path)
{
    for (; *path; path++) {
        /*
         * FatFs takes a backslash as a slash, ends the path at a control character, and drops dots
         * and blanks at a name's end.
         */
        if ((unsigned char)*path < ' ' || strchr("\\:*?\"<>|\x7f", *path))
            return false;
        if ((*path == '.' || *path == ' ') && (path[1] == '/' || path[1] == '\0'))
            return false;
    }
    return true;
}

void fat_fill_status(const struct fat_volume *volume, uint8_t attributes, uint64_t size,
                     struct stat *status)
{
    uint32_t cluster = volume->fs.csize * volume->sector_size;
    bool fixed = volume->device->read_only || (attributes & AM_RDO);
    memset(status, 0, sizeof(*status));
    if (attributes & AM_DIR) {
        status->st_mode = S_IFDIR | (fixed ? 0555 : 0755);
    } else {
        status->st_mode = S_IFREG | (fixed ? 0444 : 0644);
        status->st_size = (off_t)size;
        status->st_blocks = (blkcnt_t)((size + 511) / 512);
    }
    status->st_nlink = 1;
    /*
     * The C library's buffer for a FILE has this size: a cluster makes reads long, the limit keeps
     * the heap small.
     */
    status->st_blksize = (blksize_t)(cluster > 32768 ? 32768 : cluster);
}

/* --- By path ---------------------------------------------------------------------------------- */

static int fat_lookup(struct fat_volume *volume, const char *path, FILINFO *info)
{
    if (!fat_path_usable(path))
        return -ENOENT;
    FRESULT result = f_stat(&volume->fs, path, info);
    return result == FR_INVALID_NAME ? -ENOENT : fat_result(volume, result);
}

static int fat_stat(void *context, const char *path, struct stat *status)
{
    struct fat_volume *volume = context;
    FILINFO info;
    if (!strcmp(path, "/")) {
        fat_fill_status(volume, AM_DIR, 0, status);
        return 0;
    }
    int error = fat_lookup(volume, path, &info);
    if (error)
        return error;
    fat_fill_status(volume, info.fattrib, info.fsize, status);
    status->st_mtime = status->st_atime = status->st_ctime = fat_time(info.fdate, info.ftime);
    return 0;
}

static int fat_remove(void *context, const char *path, bool directory)
{
    struct fat_volume *volume = context;
    FILINFO info;
    int error = fat_lookup(volume, path, &info);
    if (error)
        return error;
    if (directory != !!(info.fattrib & AM_DIR))
        return directory ? -ENOTDIR : -EISDIR;
    FRESULT result = f_unlink(&volume->fs, path);
    if (result == FR_DENIED)
        return info.fattrib & AM_RDO ? -EACCES : -ENOTEMPTY;
    return fat_result(volume, result);
}

static int fat_make_directory(void *context, const char *path)
{
    struct fat_volume *volume = context;
    if (!fat_path_usable(path))
        return -EINVAL;
    FRESULT result = f_mkdir(&volume->fs, path);
    return result == FR_DENIED ? -ENOSPC : fat_result(volume, result);
}

/* The first cluster of a directory, which identifies it whatever name it is reached by. */
static int fat_directory_cluster(struct fat_volume *volume, const char *path, DWORD *cluster)
{
    FF_DIR dir;
    FRESULT result = f_opendir(&volume->fs, &dir, path);
    if (result != FR_OK)
        return fat_result(volume, result);
    *cluster = dir.obj.sclust;
    return fat_result(volume, f_closedir(&dir));
}

/*
 * -EINVAL when `path` lies inside the directory `from`: moving it there would cut the pair off the
 * tree.
 */
static int fat_check_not_inside(struct fat_volume *volume, const char *from, const char *path)
{
    char part[FS_PATH_MAX];
    DWORD own, other;
    int error = fat_directory_cluster(volume, from, &own);
    for (const char *slash = strchr(path + 1, '/'); slash && !error;
         slash = strchr(slash + 1, '/')) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        error = fat_directory_cluster(volume, part, &other);
        if (!error && own == other)
            error = -EINVAL;
    }
    return error;
}

/*
 * Removes what has the new name already. Between this and the rename a power cut leaves only the
 * old name.
 */
static int fat_make_room(struct fat_volume *volume, const char *to, bool from_directory)
{
    FILINFO info;
    int error = fat_lookup(volume, to, &info);
    if (error)
        return error;
    bool to_directory = info.fattrib & AM_DIR;
    if (from_directory != to_directory)
        return to_directory ? -EISDIR : -ENOTDIR;
    return fat_remove(volume, to, to_directory);
}

static int fat_rename(void *context, const char *from, const char *to)
{
    struct fat_volume *volume = context;
    FILINFO info;
    int error = fat_lookup(volume, from, &info);
    if (error || !strcmp(from, to))
        return error;
    if (!fat_path_usable(to))
        return -EINVAL;
    if (info.fattrib & AM_DIR)
        error = fat_check_not_inside(volume, from, to);
    if (error)
        return error;
    FRESULT result = f_rename(&volume->fs, from, to);
    if (result == FR_EXIST) {
        error = fat_make_room(volume, to, info.fattrib & AM_DIR);
        if (error)
            return error;
        result = f_rename(&volume->fs, from, to);
    }
    return result == FR_DENIED ? -ENOSPC : fat_result(volume, result);
}

/* --- Directories ------------------------------------------------------------------------------ */

static int fat_directory_read(void *object, struct fs_entry *entry)
{
    struct fat_directory *directory = object;
    FILINFO info;
    struct stat status;
    do {
        FRESULT result = f_readdir(&directory->dir, &info);
        if (result != FR_OK)
            return fat_result(directory->volume, result);
        if (!info.fname[0])
            return 0;
        /*
         * A damaged directory may hold names that no path can lead to: not shown, since nobody
         * could do anything with them.
         */
    } while (!fat_path_usable(info.fname) || strchr(info.fname, '/'));
    fat_fill_status(directory->volume, info.fattrib, info.fsize, &status);
    strcpy(entry->name, info.fname);
    entry->mode = status.st_mode;
    entry->size = (uint64_t)status.st_size;
    return 1;
}

static int fat_directory_rewind(void *object)
{
    struct fat_directory *directory = object;
    return fat_result(directory->volume, f_readdir(&directory->dir, NULL));
}

static int fat_directory_stat(void *object, struct stat *status)
{
    struct fat_directory *directory = object;
    fat_fill_status(directory->volume, AM_DIR, 0, status);
    return 0;
}

static int fat_directory_close(void *object)
{
    struct fat_directory *directory = object;
    int error = fat_result(directory->volume, f_closedir(&directory->dir));
    fat_volume_put(directory->volume);
    free(directory);
    return error;
}

static const struct file_ops fat_directory_ops = {
    .stat = fat_directory_stat,
    .read_entry = fat_directory_read,
    .rewind = fat_directory_rewind,
    .close = fat_directory_close,
};

static int fat_open_directory(void *context, const char *path, struct file_object *out)
{
    struct fat_volume *volume = context;
    if (!fat_path_usable(path))
        return -ENOENT;
    struct fat_directory *directory = calloc(1, sizeof(*directory));
    if (!directory)
        return -ENOMEM;
    directory->volume = volume;
    FRESULT result = f_opendir(&volume->fs, &directory->dir, path);
    if (result != FR_OK) {
        FILINFO info;
        free(directory);
        if (result == FR_NO_PATH && !fat_lookup(volume, path, &info))
            return -ENOTDIR;
        return result == FR_INVALID_NAME ? -ENOENT : fat_result(volume, result);
    }
    volume->open++;
    *out = (struct file_object){&fat_directory_ops, directory};
    return 0;
}

/* --- The volume ------------------------------------------------------------------------------- */

static int fat_sync(void *context)
{
    return fat_disk_flush(context);
}

static void fat_volume_free(struct fat_volume *volume)
{
    blk_release(volume->device);
    free(volume);
}

void fat_volume_put(struct fat_volume *volume)
{
    if (--volume->open == 0 && volume->unmounted)
        fat_volume_free(volume);
}

static int fat_unmount(void *context)
{
    struct fat_volume *volume = context;
    int error = fat_disk_flush(volume);
    f_umount(&volume->fs);
    fat_disk_close(volume);
    volume->unmounted = true;
    if (volume->open == 0)
        fat_volume_free(volume);
    return error;
}

static bool fat_is_on(const void *context, const void *device)
{
    const struct fat_volume *volume = context;
    return volume->device == device;
}

/*
 * Sets the volume's own sector size, when the device starts with its boot sector; it may be larger
 * than the device's blocks. Otherwise (a partition table, or no volume at all) the device's.
 * -EINVAL and a log line when the volume needs smaller blocks than the device has.
 */
static int fat_probe_sector_size(struct fat_volume *volume)
{
    const uint8_t *boot = volume->fs.win;
    struct blk_device *device = volume->device;
    if (device->block_size > FF_MAX_SS) {
        log_warn("fs: %s: blocks of %u bytes are more than FAT can have; not mounted", device->name,
                 device->block_size);
        return -EINVAL;
    }
    volume->sector_size = device->block_size;
    int error = fat_disk_read(volume, volume->fs.win, 0, 1);
    if (error)
        return error;
    uint32_t size = boot[BPB_BYTES_PER_SECTOR] | (uint32_t)boot[BPB_BYTES_PER_SECTOR + 1] << 8;
    bool jump = boot[0] == 0xeb || boot[0] == 0xe9 || boot[0] == 0xe8;
    if (boot[BOOT_SIGNATURE] != 0x55 || boot[BOOT_SIGNATURE + 1] != 0xaa || !jump ||
        size < FF_MIN_SS || size > FF_MAX_SS || (size & (size - 1)))
        return 0;
    if (size < device->block_size) {
        log_warn("fs: %s: a FAT volume with sectors of %u bytes cannot be used on blocks of %u; "
                 "not mounted",
                 device->name, size, device->block_size);
        return -EINVAL;
    }
    volume->sector_size = size;
    return 0;
}

/* Compares what the boot sector claims with the device; -EINVAL when the volume ends beyond it. */
static int fat_check_size(const struct fat_volume *volume)
{
    const FATFS *fs = &volume->fs;
    const char *name = volume->device->name;
    uint64_t sectors = volume->device->capacity / (volume->sector_size / BLK_SECTOR_SIZE);
    uint64_t end = (uint64_t)fs->database + (uint64_t)(fs->n_fatent - 2) * fs->csize;
    /* FatFs adds the FATs up in 32 bits (CVE-2026-6682). */
    if ((uint64_t)fs->fatbase + (uint64_t)fs->fsize * fs->n_fats > fs->database) {
        log_error("fs: %s: the FAT volume's tables are larger than the room for them; not mounted",
                  name);
        return -EINVAL;
    }
    if (end > sectors) {
        log_error(
            "fs: %s: the FAT volume ends at sector %llu, but the disk at %llu (truncated image?); "
            "not mounted",
            name, (unsigned long long)end, (unsigned long long)sectors);
        return -EINVAL;
    }
    if (!fs->volbase && sectors - end > fs->csize + sectors / 64)
        log_info("fs: %s: the disk has %llu sectors, the FAT volume uses the first %llu", name,
                 (unsigned long long)sectors, (unsigned long long)end);
    return 0;
}

static void fat_log_mounted(const struct fat_volume *volume)
{
    const FATFS *fs = &volume->fs;
    uint64_t bytes = (uint64_t)(fs->n_fatent - 2) * fs->csize * volume->sector_size;
    log_info("fs: %s: FAT%u volume at sector %u, %llu KiB in clusters of %u bytes, %s",
             volume->device->name,
             fs->fs_type == FS_FAT12   ? 12
             : fs->fs_type == FS_FAT16 ? 16
                                       : 32,
             (unsigned)fs->volbase, (unsigned long long)(bytes / 1024),
             (unsigned)(fs->csize * volume->sector_size),
             volume->device->read_only ? "read-only" : "read-write");
}

int fat_mount(struct blk_device *device, void **out)
{
    struct fat_volume *volume = calloc(1, sizeof(*volume));
    if (!volume) {
        log_error("fs: %s: no memory to mount it", device->name);
        return -ENOMEM;
    }
    int error = blk_claim(device, "FAT volume");
    if (error) {
        free(volume);
        return error;
    }
    volume->device = device;
    fat_disk_open(volume);
    volume->fs.drv = volume;
    error = fat_probe_sector_size(volume);
    if (error)
        goto fail;
    FRESULT result = f_mount(&volume->fs);
    if (result == FR_NO_FILESYSTEM)
        log_warn("fs: %s: no FAT volume on it (unformatted, or of another kind); not mounted",
                 device->name);
    else if (result != FR_OK)
        log_error("fs: %s: cannot be read; not mounted", device->name);
    error = result == FR_NO_FILESYSTEM ? -ENODEV : fat_result(volume, result);
    if (!error)
        error = fat_check_size(volume);
    if (error)
        goto fail;
    fat_log_mounted(volume);
    *out = volume;
    return 0;

fail:
    blk_release(device);
    fat_disk_close(volume);
    free(volume);
    return error;
}

static int fat_label_at(const uint8_t *boot, char label[FAT_LABEL_SIZE])
{
    size_t at = !memcmp(boot + BPB32_LABEL + LABEL_LEN, "FAT32", 5) ? BPB32_LABEL : BPB_LABEL;
    size_t len = LABEL_LEN;
    if (boot[BOOT_SIGNATURE] != 0x55 || boot[BOOT_SIGNATURE + 1] != 0xaa ||
        memcmp(boot + at + LABEL_LEN, "FAT", 3))
        return -ENODEV;
    while (len && boot[at + len - 1] == ' ')
        len--;
    memcpy(label, boot + at, len);
    label[len] = '\0';
    return 0;
}

int fat_label(struct blk_device *device, char label[FAT_LABEL_SIZE])
{
    uint8_t *boot = malloc(device->block_size);
    if (!boot)
        return -ENOMEM;
    int error = blk_read(device, 0, boot, device->block_size / BLK_SECTOR_SIZE);
    if (!error)
        error = fat_label_at(boot, label);
    free(boot);
    return error;
}

const struct fs_ops fat_ops = {
    .name = "fat",
    .open = fat_open,
    .open_directory = fat_open_directory,
    .stat = fat_stat,
    .remove = fat_remove,
    .rename = fat_rename,
    .make_directory = fat_make_directory,
    .sync = fat_sync,
    .unmount = fat_unmount,
    .is_on = fat_is_on,
};
