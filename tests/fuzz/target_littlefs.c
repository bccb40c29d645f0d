/*
 * target_littlefs.c - mounting a littlefs volume and using it, from a disk made of input, through the
 * block layer and its cache.
 *
 * What the input does not patch is a good volume made here. Every checksum of littlefs is right
 * here (the linker puts a function before lfs2_crc()), or nothing behind the first patched byte
 * would be looked at.
 */
#include <fcntl.h>

#include "lfs2_util.h"

#include "fs/littlefs.h"
#include "fuzz.h"
#include "hosted/hosted.h"
#include "image_disk.h"
#include "volume_user.h"

#define BLOCK_SIZE 512u
/* The superblock, and the metadata of the root and of the folder. */
#define PATCHED (12 * BLOCK_SIZE)
#define FILE_SIZE 1100u

uint32_t __wrap_lfs2_crc(uint32_t crc, const void *buffer, size_t size);
uint32_t __wrap_lfs2_crc(uint32_t crc, const void *buffer, size_t size)
{
    (void)crc;
    (void)buffer;
    (void)size;
    return 0; /* what littlefs expects of a checksum that includes itself */
}

static void write_file(void *volume, const char *path, uint32_t len)
{
    static const char data[FILE_SIZE];
    struct file_object file;

    if (littlefs_ops.open(volume, path, O_RDWR | O_CREAT, &file) != 0)
        hosted_fail("%s could not be made", path);
    file.ops->write(file.object, data, len);
    file.ops->close(file.object);
}

/* A file of several blocks, a small one inside its folder's metadata, and a folder. */
void fuzz_littlefs_prepare(void)
{
    struct blk_device *device = image_disk_add(BLK_SECTOR_SIZE, false);
    void *volume;

    hosted_set_memory(8u << 20, 2u << 20);
    if (littlefs_format(device, BLOCK_SIZE) != 0 || littlefs_mount(device, &volume) != 0)
        hosted_fail("there is no good volume");
    write_file(volume, "/file", FILE_SIZE);
    littlefs_ops.make_directory(volume, "/folder");
    write_file(volume, "/folder/small", 20);
    littlefs_ops.unmount(volume);
    image_disk_keep();
    image_disk_remove();
}

void fuzz_littlefs(struct input *input, bool packed)
{
    struct blk_device *device;
    void *volume;

    (void)packed;
    hosted_rewind();
    hosted_set_memory(8u << 20, 2u << 20);
    image_disk_patch(input, PATCHED);
    device = image_disk_add(BLK_SECTOR_SIZE, input_u8(input) & 1);
    if (littlefs_mount(device, &volume) == 0)
        volume_user(&littlefs_ops, volume, input);
    image_disk_remove();
}
