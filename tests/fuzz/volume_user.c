/*
 * volume_user.c - see volume_user.h.
 */
#include "volume_user.h"

#include <fcntl.h>

#include "hosted/hosted.h"
#include "image_disk.h"

#define USES 6u
/* Far enough for several blocks; a gap is filled piece by piece. */
#define SEEK_LIMIT 1024
/* A damaged folder may have no end. */
#define NAMES_MAX 12u

static const struct fs_ops *ops;
static void *volume;

static void unmount(void)
{
    if (volume)
        ops->unmount(volume);
    volume = NULL;
}

static const char *some_path(struct input *input)
{
    static const char *const paths[] = {
        "/file",       "/folder",         "/folder/another name", "/folder/small",
        "/a new file", "/folder/in it/x", "/folder/in it",        "/"};

    return paths[input_u8(input) % (sizeof(paths) / sizeof(paths[0]))];
}

/* The volume may go while the file is open, which then ends every call with an error. */
static void use_file(const char *path, uint8_t how, struct input *input)
{
    static const int flags[] = {O_RDWR,
                                O_RDWR | O_CREAT,
                                O_RDONLY,
                                O_WRONLY | O_TRUNC,
                                O_RDWR | O_APPEND,
                                O_RDWR | O_CREAT | O_EXCL};
    static char data[2048];
    struct file_object file;
    struct stat status;

    if (ops->open(volume, path, flags[how % (sizeof(flags) / sizeof(flags[0]))], &file) != 0)
        return;
    for (unsigned n = input_u8(input) % 4; n; n--) {
        uint8_t op = input_u8(input);

        if (op & 1)
            file.ops->read(file.object, data, input_u16(input) % sizeof(data));
        else if (op & 2)
            file.ops->write(file.object, data, input_u16(input) % sizeof(data));
        else if (op & 4)
            file.ops->seek(file.object, input_u16(input) % SEEK_LIMIT, op >> 6 & 3);
        else if (op & 8)
            file.ops->truncate(file.object, input_u16(input) % SEEK_LIMIT);
        else if (op & 16)
            file.ops->sync(file.object);
        else if (op & 32)
            unmount();
        else
            file.ops->stat(file.object, &status);
    }
    file.ops->close(file.object);
}

static void list(const char *path)
{
    static struct fs_entry entry;
    struct file_object folder;

    if (ops->open_directory(volume, path, &folder) != 0)
        return;
    for (unsigned n = 0; n < NAMES_MAX && folder.ops->read_entry(folder.object, &entry) > 0; n++)
        continue;
    folder.ops->close(folder.object);
}

static void use(struct input *input)
{
    uint8_t op = input_u8(input);
    struct stat status;
    const char *from;

    switch (op % 8) {
    case 0:
        use_file("/file", op / 8, input);
        break;
    case 1:
        use_file("/a new file", 1 + op / 8, input);
        break;
    case 2:
        list(op & 8 ? "/" : "/folder");
        break;
    case 3:
        from = some_path(input);
        ops->rename(volume, from, some_path(input));
        break;
    case 4:
        ops->remove(volume, some_path(input), op & 8);
        break;
    case 5:
        ops->make_directory(volume, some_path(input));
        break;
    case 6:
        ops->stat(volume, some_path(input), &status);
        break;
    default:
        ops->sync(volume);
    }
}

static void use_volume(const struct fs_ops *of, void *mounted, struct input *input)
{
    ops = of;
    volume = mounted;
    list("/");
    for (unsigned n = 0; n < USES && volume && !input_is_empty(input); n++)
        use(input);
    unmount();
}

void volume_run(int (*mount)(struct blk_device *device, void **volume), const struct fs_ops *of,
                unsigned patched, struct input *input)
{
    struct blk_device *device;
    bool behaves = input_is_empty(input);
    void *mounted;

    hosted_rewind();
    hosted_set_memory(8u << 20, 2u << 20);
    image_disk_patch(input, patched);
    device = image_disk_add(BLK_SECTOR_SIZE, input_u8(input) & 1);
    if (mount(device, &mounted) == 0)
        use_volume(of, mounted, input);
    else if (behaves)
        hosted_fail("a good volume was not mounted");
    image_disk_remove();
}
