/*
 * fat_tail.c - what a crash may leave behind the end of a file on a FAT volume.
 *
 * A file's clusters are linked before its entry says how long it is. When the power fails in between,
 * the chain goes on behind the file's end, and the cluster it leads to may be free again, or another
 * file's by now. So before a file grows, its chain is ended where the file ends. Read fat_file.c next.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/fat_internal.h"

/* One byte of the table, read or written; FatFs may have its sector in memory, and newer. */
static int table_byte(struct fat_volume *volume, uint32_t at, uint8_t *byte, bool write)
{
    FATFS *fs = &volume->fs;
    uint32_t offset = at % volume->sector_size;
    uint64_t sector = fs->fatbase + at / volume->sector_size;
    if (fs->winsect == sector) {
        if (!write)
            *byte = fs->win[offset];
        else if (fs->win[offset] != *byte)
            fs->wflag = 1;
        fs->win[offset] = *byte;
        return 0;
    }
    uint8_t *buffer = malloc(volume->sector_size);
    if (!buffer)
        return -ENOMEM;
    int error = fat_disk_read(volume, buffer, sector, 1);
    if (!error && write) {
        buffer[offset] = *byte;
        for (unsigned copy = 0; !error && copy < fs->n_fats; copy++)
            error = fat_disk_write(volume, buffer, sector + (uint64_t)copy * fs->fsize, 1);
    } else if (!error) {
        *byte = buffer[offset];
    }
    free(buffer);
    return error;
}

/*
 * The bytes of a cluster's entry, and which of their bits are the link. An entry of FAT12 has one byte
 * and a half; the upper four bits of one of FAT32 are not the link's.
 */
struct entry {
    uint32_t at;
    unsigned bytes;
    uint8_t mask[4];
};

static struct entry entry_of(const FATFS *fs, uint32_t cluster)
{
    if (fs->fs_type == FS_FAT12)
        return cluster % 2 ? (struct entry){cluster + cluster / 2, 2, {0xf0, 0xff}}
                           : (struct entry){cluster + cluster / 2, 2, {0xff, 0x0f}};
    if (fs->fs_type == FS_FAT16)
        return (struct entry){cluster * 2, 2, {0xff, 0xff}};
    return (struct entry){cluster * 4, 4, {0xff, 0xff, 0xff, 0x0f}};
}

int fat_end_chain(struct fat_volume *volume, uint32_t cluster)
{
    struct entry entry = entry_of(&volume->fs, cluster);
    bool is_last = true;
    uint8_t byte;
    int error = 0;
    /* All ones, but for the lowest three bits, is a last cluster's. */
    for (unsigned i = 0; !error && i < entry.bytes; i++) {
        uint8_t care = entry.mask[i];
        if (i == 0)
            care &= entry.mask[0] == 0xf0 ? 0x80 : 0xf8;
        error = table_byte(volume, entry.at + i, &byte, false);
        is_last &= (byte & care) == care;
    }
    for (unsigned i = 0; !error && !is_last && i < entry.bytes; i++) {
        error = table_byte(volume, entry.at + i, &byte, false);
        byte |= entry.mask[i];
        if (!error)
            error = table_byte(volume, entry.at + i, &byte, true);
    }
    return error;
}
