/*
 * fat_file.c - an open file on a FAT volume.
 *
 * Owns the position and the reading and writing of file data. A file opened for reading only keeps
 * a map of where its clusters lie, made as far as it was needed: consecutive clusters are read in
 * one request, straight into the caller's buffer, and seeking needs no walk. FatFs locks out
 * writers meanwhile, so the map stays true. A file opened for writing goes through FatFs's own
 * functions. Read fat_disk.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fat_internal.h"
#include "platform.h"

#define FAT_FILE_MAX UINT32_MAX /* bytes: the size field of a directory entry */

/* A directory entry (Microsoft FAT specification, §6). */
#define ENTRY_ATTRIBUTES 11u
#define ENTRY_WRITE_TIME 22u
#define ENTRY_WRITE_DATE 24u

/* Beyond this a file is so scattered that the map would cost more memory than it saves time. */
#define EXTENTS_MAX 65536u

/*
 * `count` clusters of the file from its cluster `index` on lie at the volume's cluster `cluster`
 * and behind.
 */
struct fat_extent {
    uint32_t index, cluster, count;
};

struct fat_file {
    /* With a map: its position is the map's frontier, its buffer the last sector read in part. */
    FIL fil;
    struct fat_volume *volume;
    int flags;
    uint8_t attributes;
    time_t modified;
    uint32_t position;
    bool grows; /* its chain was ended where it ends */
    bool mapped;
    struct fat_extent *extents;
    uint32_t extent_count, extent_room;
    uint32_t clusters_mapped;
};

static uint32_t fat_cluster_bytes(const struct fat_volume *volume)
{
    return volume->fs.csize * volume->sector_size;
}

/* --- The map of a file opened for reading ----------------------------------------------------- */

/* Where the file's next unmapped cluster lies: FatFs's position moves to that cluster's end. */
static int fat_map_walk(struct fat_file *file, uint32_t *cluster)
{
    if (!file->clusters_mapped) {
        *cluster = file->fil.obj.sclust;
    } else {
        uint64_t end = ((uint64_t)file->clusters_mapped + 1) * fat_cluster_bytes(file->volume);
        uint64_t size = f_size(&file->fil);
        FRESULT result = f_lseek(&file->fil, (FSIZE_t)(end < size ? end : size));
        if (result != FR_OK)
            return fat_result(file->volume, result);
        *cluster = file->fil.clust;
    }
    if (*cluster < 2 || *cluster >= file->volume->fs.n_fatent)
        return fat_result(file->volume, FR_INT_ERR);
    return 0;
}

/* Adds one cluster to the map. -ENOMEM leaves the file to FatFs's own functions from now on. */
static int fat_map_extend(struct fat_file *file)
{
    uint32_t cluster = 0;
    int error = fat_map_walk(file, &cluster);
    if (error)
        return error;
    struct fat_extent *last = file->extent_count ? &file->extents[file->extent_count - 1] : NULL;
    if (last && last->cluster + last->count == cluster) {
        last->count++;
    } else {
        if (file->extent_count == file->extent_room) {
            uint32_t room = file->extent_room ? file->extent_room * 2 : 8;
            struct fat_extent *extents =
                room > EXTENTS_MAX ? NULL
                                   : realloc(file->extents, room * sizeof(struct fat_extent));
            if (!extents) {
                file->mapped = false;
                return -ENOMEM;
            }
            file->extents = extents;
            file->extent_room = room;
        }
        file->extents[file->extent_count++] =
            (struct fat_extent){file->clusters_mapped, cluster, 1};
    }
    file->clusters_mapped++;
    return 0;
}

/*
 * Where the file's sector `index` lies, and how many follow it in one piece, at most `wanted`. The
 * map grows only until the piece ends or has what is wanted.
 */
static int fat_map_find(struct fat_file *file, uint32_t index, uint32_t wanted, uint64_t *sector,
                        uint32_t *run)
{
    const FATFS *fs = &file->volume->fs;
    uint32_t cluster = index / fs->csize, offset = index % fs->csize;
    uint32_t last = (uint32_t)(((uint64_t)index + wanted - 1) / fs->csize);
    while (file->clusters_mapped <= cluster) {
        int error = fat_map_extend(file);
        if (error)
            return error;
    }
    uint32_t low = 0, high = file->extent_count - 1;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if (file->extents[middle].index <= cluster)
            low = middle;
        else
            high = middle - 1;
    }
    while (low == file->extent_count - 1 && file->clusters_mapped <= last) {
        int error = fat_map_extend(file);
        if (error)
            return error;
    }
    const struct fat_extent *extent = &file->extents[low];
    uint64_t rest = (uint64_t)(extent->index + extent->count - cluster) * fs->csize - offset;
    *sector = fs->database +
              (uint64_t)fs->csize * (extent->cluster + (cluster - extent->index) - 2) + offset;
    *run = rest < wanted ? (uint32_t)rest : wanted;
    return 0;
}

/* Part of one sector, by way of the file's sector buffer. */
static int fat_read_part(struct fat_file *file, uint64_t sector, uint32_t offset, void *data,
                         uint32_t count)
{
    if (file->fil.sect != sector) {
        file->fil.sect = 0;
        int error = fat_disk_read(file->volume, file->fil.buf, sector, 1);
        if (error)
            return error;
        file->fil.sect = (DWORD)sector;
    }
    memcpy(data, file->fil.buf + offset, count);
    return 0;
}

/* One step of a mapped read: bytes read (at least one), or a negative errno. */
static int64_t fat_read_step(struct fat_file *file, void *data, uint32_t count)
{
    uint32_t size = file->volume->sector_size;
    uint32_t offset = file->position % size;
    uint32_t wanted = offset || count < size ? 1 : count / size;
    uint64_t sector;
    uint32_t run;
    int error = fat_map_find(file, file->position / size, wanted, &sector, &run);
    if (error)
        return error;
    if (!offset && count >= size) {
        error = fat_disk_read(file->volume, data, sector, run);
        return error ? error : (int64_t)run * size;
    }
    uint32_t part = size - offset < count ? size - offset : count;
    error = fat_read_part(file, sector, offset, data, part);
    return error ? error : (int64_t)part;
}

static ssize_t fat_read_mapped(struct fat_file *file, unsigned char *data, uint32_t count)
{
    uint32_t done = 0;
    while (done < count && file->mapped) {
        int64_t step = fat_read_step(file, data + done, count - done);
        if (step == -ENOMEM && !file->mapped)
            break;
        if (step < 0)
            return done ? (ssize_t)done : (ssize_t)step;
        done += (uint32_t)step;
        file->position += (uint32_t)step;
    }
    return done;
}

/* --- The operations --------------------------------------------------------------------------- */

static ssize_t fat_file_read(void *object, void *data, size_t count)
{
    struct fat_file *file = object;
    uint32_t size = f_size(&file->fil);
    if (file->volume->unmounted)
        return -EIO;
    if (file->position >= size)
        return 0;
    uint32_t wanted = count < size - file->position ? (uint32_t)count : size - file->position;
    if (file->mapped) {
        ssize_t done = fat_read_mapped(file, data, wanted);
        if (done || file->mapped)
            return done;
    }
    UINT done = 0;
    FRESULT result =
        f_tell(&file->fil) == file->position ? FR_OK : f_lseek(&file->fil, file->position);
    if (result == FR_OK)
        result = f_read(&file->fil, data, wanted, &done);
    file->position += done;
    return done ? (ssize_t)done : fat_result(file->volume, result);
}

/* Before it grows at first: nothing may be linked behind its last cluster. */
static int fat_prepare_growth(struct fat_file *file)
{
    if (file->grows)
        return 0;
    FRESULT result = f_lseek(&file->fil, f_size(&file->fil));
    int error = fat_result(file->volume, result);
    if (!error && f_size(&file->fil))
        error = fat_end_chain(file->volume, file->fil.clust);
    file->grows = !error;
    return error;
}

/* Lets the file grow to `end` with zeros; FatFs alone would show what the sectors held before. */
static int fat_fill_gap(struct fat_file *file, uint32_t end)
{
    UINT done;
    FRESULT result = f_lseek(&file->fil, f_size(&file->fil));
    if (result != FR_OK || f_size(&file->fil) >= end)
        return fat_result(file->volume, result);
    uint32_t room = fat_cluster_bytes(file->volume);
    void *zeros = calloc(1, room);
    if (!zeros)
        return -ENOMEM;
    while (result == FR_OK && f_size(&file->fil) < end) {
        uint32_t chunk = end - f_size(&file->fil);
        chunk = chunk < room ? chunk : room;
        result = f_write(&file->fil, zeros, chunk, &done);
        if (result == FR_OK && done < chunk) {
            free(zeros);
            return -ENOSPC;
        }
    }
    free(zeros);
    return fat_result(file->volume, result);
}

static void fat_touch(struct fat_file *file)
{
    file->modified = (time_t)(platform_wall_ns() / 1000000000u);
}

static ssize_t fat_file_write(void *object, const void *data, size_t count)
{
    struct fat_file *file = object;
    if (file->volume->unmounted)
        return -EIO;
    if (file->flags & O_APPEND)
        file->position = f_size(&file->fil);
    if (file->position == FAT_FILE_MAX)
        return -EFBIG;
    UINT wanted =
        count < FAT_FILE_MAX - file->position ? (UINT)count : FAT_FILE_MAX - file->position;
    fat_touch(file);
    if ((uint64_t)file->position + wanted > f_size(&file->fil)) {
        int error = fat_prepare_growth(file);
        if (!error && file->position > f_size(&file->fil))
            error = fat_fill_gap(file, file->position);
        if (error)
            return error;
    }
    UINT done = 0;
    FRESULT result =
        f_tell(&file->fil) == file->position ? FR_OK : f_lseek(&file->fil, file->position);
    if (result == FR_OK)
        result = f_write(&file->fil, data, wanted, &done);
    file->position += done;
    if (done)
        return (ssize_t)done;
    return result == FR_OK ? -ENOSPC : fat_result(file->volume, result);
}

static int64_t fat_file_seek(void *object, int64_t offset, int whence)
{
    struct fat_file *file = object;
    int64_t base;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = file->position;
        break;
    case SEEK_END:
        base = f_size(&file->fil);
        break;
    default:
        return -EINVAL;
    }
    if (offset < -base)
        return -EINVAL;
    if (offset > (int64_t)FAT_FILE_MAX - base)
        return -EOVERFLOW;
    file->position = (uint32_t)(base + offset);
    return file->position;
}

static int fat_file_stat(void *object, struct stat *status)
{
    const struct fat_file *file = object;
    fat_fill_status(file->volume, file->attributes, f_size(&file->fil), status);
    status->st_mtime = status->st_atime = status->st_ctime = file->modified;
    return 0;
}

static int fat_file_truncate(void *object, int64_t size)
{
    struct fat_file *file = object;
    if (size > (int64_t)FAT_FILE_MAX)
        return -EFBIG;
    fat_touch(file);
    if (size > (int64_t)f_size(&file->fil)) {
        int error = fat_prepare_growth(file);
        return error ? error : fat_fill_gap(file, (uint32_t)size);
    }
    FRESULT result = f_lseek(&file->fil, (FSIZE_t)size);
    if (result == FR_OK)
        result = f_truncate(&file->fil);
    return fat_result(file->volume, result);
}

static int fat_file_sync(void *object)
{
    struct fat_file *file = object;
    file->volume->entry_sector = file->fil.dir_sect;
    int error = fat_result(file->volume, f_sync(&file->fil));
    file->volume->entry_sector = 0;
    return error ? error : fat_disk_flush(file->volume);
}

static int fat_file_close(void *object)
{
    struct fat_file *file = object;
    FRESULT result = f_close(&file->fil);
    if (result != FR_OK) {
        /*
         * FatFs keeps the file locked when its last write failed. Without flags there is nothing
         * left to write.
         */
        file->fil.flag = 0;
        f_close(&file->fil);
    }
    int error = fat_result(file->volume, result);
    fat_volume_put(file->volume);
    free(file->extents);
    free(file);
    return error;
}

static const struct file_ops fat_file_ops = {
    .read = fat_file_read,
    .write = fat_file_write,
    .seek = fat_file_seek,
    .stat = fat_file_stat,
    .truncate = fat_file_truncate,
    .sync = fat_file_sync,
    .close = fat_file_close,
};

/* --- Opening ---------------------------------------------------------------------------------- */

static BYTE fat_open_mode(int flags)
{
    int access = flags & O_ACCMODE;
    BYTE mode = access == O_WRONLY ? FA_WRITE : access == O_RDWR ? FA_READ | FA_WRITE : FA_READ;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return mode | FA_CREATE_NEW;
    return flags & O_CREAT ? mode | FA_OPEN_ALWAYS : mode;
}

/* FatFs has few reasons for a refusal; what is there under the name tells which one it was. */
static int fat_open_failed(struct fat_volume *volume, const char *path, int flags, FRESULT result)
{
    FILINFO info;
    if (result == FR_INVALID_NAME)
        return flags & O_CREAT ? -EINVAL : -ENOENT;
    if (result != FR_NO_FILE && result != FR_DENIED)
        return fat_result(volume, result);
    FRESULT found = f_stat(&volume->fs, path, &info);
    if (found == FR_OK) {
        if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return -EEXIST;
        return info.fattrib & AM_DIR ? -EISDIR : -EACCES;
    }
    return result == FR_DENIED ? -ENOSPC : -ENOENT;
}

/*
 * FatFs has just read the file's directory entry: its attributes and time, which a FIL does not
 * keep.
 */
static void fat_note_entry(struct fat_file *file)
{
    const BYTE *entry = file->fil.dir_ptr;
    if (file->volume->fs.winsect != file->fil.dir_sect) {
        fat_touch(file);
        return;
    }
    file->attributes = entry[ENTRY_ATTRIBUTES];
    file->modified =
        fat_time((uint16_t)(entry[ENTRY_WRITE_DATE] | entry[ENTRY_WRITE_DATE + 1] << 8),
                 (uint16_t)(entry[ENTRY_WRITE_TIME] | entry[ENTRY_WRITE_TIME + 1] << 8));
}

int fat_open(void *context, const char *path, int flags, struct file_object *out)
{
    struct fat_volume *volume = context;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!fat_path_usable(path))
        return flags & O_CREAT ? -EINVAL : -ENOENT;
    if (!strcmp(path, "/"))
        return -EISDIR;
    struct fat_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->volume = volume;
    file->flags = flags;
    FRESULT result = f_open(&volume->fs, &file->fil, path, fat_open_mode(flags));
    if (result != FR_OK) {
        free(file);
        return fat_open_failed(volume, path, flags, result);
    }
    volume->open++;
    fat_note_entry(file);
    /*
     * FatFs would allocate clusters, even for reading, when a damaged entry has a size but no first
     * cluster.
     */
    if (f_size(&file->fil) && !file->fil.obj.sclust)
        result = FR_INT_ERR;
    else if (writes && (flags & O_TRUNC) && f_size(&file->fil)) {
        result = f_truncate(&file->fil);
        fat_touch(file);
    }
    if (result != FR_OK) {
        int error = fat_result(volume, result);
        fat_file_close(file);
        return error;
    }
    file->mapped = !writes;
    *out = (struct file_object){&fat_file_ops, file};
    return 0;
}
