/*
 * scenario_volumes.c - see scenario_volumes.h. The disks' volumes are those of tests/fuzz/volumes.h.
 */
#include "scenario_volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/fat.h"
#include "fs/littlefs.h"
#include "hosted/device_blk.h"
#include "tests/fuzz/image_disk.h"
#include "tests/fuzz/volumes.h"

#define MEMORY_SIZE 4096u
#define WRITTEN 3000u

/* ---- a volume in use ---- */

static const struct fs_ops *type;
static void *mounted; /* NULL: not any more */

static void expect(bool good, const char *what)
{
    if (!good && !scenario_disturbed)
        hosted_fail("%s failed", what);
}

static void unmount(void)
{
    void *volume = mounted;

    mounted = NULL;
    if (volume)
        type->unmount(volume);
}

void scenario_volume_leaves(const void *device)
{
    if (mounted && type->is_on(mounted, device))
        unmount();
}

static void use_file(struct device *device, uint8_t *data)
{
    struct file_object file;
    struct stat status;
    int error = mounted ? type->open(mounted, "/folder/new", O_RDWR | O_CREAT, &file) : -ENODEV;

    expect(!error, "opening");
    if (error)
        return;
    expect(file.ops->write(file.object, data, WRITTEN) == WRITTEN, "writing");
    scenario_settle(device);
    file.ops->seek(file.object, 0, SEEK_SET);
    expect(file.ops->read(file.object, data, MEMORY_SIZE) > 0, "reading");
    expect(file.ops->stat(file.object, &status) == 0, "asking for the size");
    expect(file.ops->sync(file.object) == 0, "syncing");
    scenario_settle(device);
    expect(file.ops->close(file.object) == 0, "closing");
}

static void list(struct device *device)
{
    static struct fs_entry entry;
    struct file_object folder;
    int error = mounted ? type->open_directory(mounted, "/folder", &folder) : -ENODEV;

    expect(!error, "opening the folder");
    if (error)
        return;
    expect(folder.ops->read_entry(folder.object, &entry) == 1, "listing");
    scenario_settle(device);
    folder.ops->read_entry(folder.object, &entry);
    folder.ops->close(folder.object);
}

void scenario_use_volume(struct device *device, const struct fs_ops *ops, void *volume,
                         uint8_t *data)
{
    type = ops;
    mounted = volume;
    use_file(device, data);
    list(device);
    expect(mounted && type->rename(mounted, "/folder/new", "/folder/other") == 0, "renaming");
    scenario_settle(device);
    expect(mounted && type->remove(mounted, "/folder/other", false) == 0, "removing");
    unmount();
}

/* ---- disks ---- */

static struct device_blk disk;
static uint8_t *memory;

static void watch_disks(struct blk_device *device, bool added)
{
    if (!added)
        scenario_volume_leaves(device);
}

static struct device *make(void (*make_volume)(void))
{
    static const struct device_blk_setup setup = {.capacity = IMAGE_SECTORS,
                                                  .seg_max = 4,
                                                  .blk_size = BLK_SECTOR_SIZE,
                                                  .flush = true,
                                                  .queue_size = 16,
                                                  .msix_vectors = 2};
    static bool made;

    if (!made)
        make_volume();
    made = true;
    hosted_dma_use_heap(true); /* file systems read into memory of malloc() */
    memory = platform_dma_alloc(MEMORY_SIZE, 4096);
    device_blk_init(&disk, &setup);
    memcpy(disk.disk, image_disk_good(), IMAGE_SIZE);
    blk_watch(watch_disks);
    return &disk.device;
}

static void use(int (*mount)(struct blk_device *device, void **volume), const struct fs_ops *ops)
{
    struct blk_device *device = blk_device_at(0);
    void *volume;
    int error = device ? mount(device, &volume) : -ENODEV;

    expect(!error, "mounting");
    if (!error)
        scenario_use_volume(&disk.device, ops, volume, memory);
}

struct device *fat_make(void)
{
    return make(volume_make_fat);
}

void fat_use(void)
{
    use(fat_mount, &fat_ops);
}

struct device *littlefs_make(void)
{
    return make(volume_make_littlefs);
}

void littlefs_use(void)
{
    use(littlefs_mount, &littlefs_ops);
}

void volumes_finish(void)
{
    blk_watch(NULL);
    device_blk_finish(&disk);
    platform_dma_free(memory, MEMORY_SIZE);
}
