/*
 * share_user.c - see share_user.h.
 */
#include "share_user.h"

#include <fcntl.h>

#define UNMOUNT 0x7f

static const struct share_user *user;
static void *volume; /* NULL: not mounted */
static uint8_t *memory;
static struct file_object file;
static bool opened;

static void mount(void)
{
    if (!volume && user->mount(&volume) != 0)
        volume = NULL;
}

void share_user_start(const struct share_user *who, uint8_t *at)
{
    user = who;
    memory = at;
    volume = NULL;
    opened = false;
    mount();
}

static void close_file(void)
{
    if (opened)
        file.ops->close(file.object);
    opened = false;
}

static void use_file(uint8_t op, struct input *input)
{
    static struct fs_entry entry;
    struct stat status;

    switch (op % 8) {
    case 0:
        if (file.ops->read)
            file.ops->read(file.object, memory, input_u16(input));
        break;
    case 1:
        if (file.ops->write)
            file.ops->write(file.object, memory, input_u16(input));
        break;
    case 2:
        if (file.ops->read_entry)
            file.ops->read_entry(file.object, &entry);
        break;
    case 3:
        file.ops->stat(file.object, &status);
        break;
    case 4:
        if (file.ops->seek)
            file.ops->seek(file.object, input_u16(input), input_u8(input) % 4);
        break;
    case 5:
        if (file.ops->truncate)
            file.ops->truncate(file.object, input_u16(input));
        break;
    case 6:
        if (file.ops->sync && op & 64)
            file.ops->sync(file.object);
        else if (file.ops->rewind)
            file.ops->rewind(file.object);
        break;
    default:
        close_file();
    }
}

/* A long path is walked in several steps; the names are those of tests/unit/fuse_server.h. */
static const char *path_for(uint8_t op)
{
    static const char *const paths[] = {
        "/a/file", "/d/xnew", "/d/link",      "/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/file",
        "/llink",  "/file",   "/link/no/way", "/",
    };

    return paths[op % (sizeof(paths) / sizeof(paths[0]))];
}

static void use_volume(uint8_t op)
{
    static const int flags[] = {O_RDWR | O_CREAT, O_RDONLY, O_WRONLY | O_TRUNC,
                                O_RDWR | O_CREAT | O_EXCL, O_WRONLY | O_APPEND};
    const struct fs_ops *ops = user->ops;
    const char *path = path_for(op / 7);
    struct stat status;

    switch (op % 7) {
    case 0:
        opened = ops->open(volume, path_for(op / 35), flags[op / 7 % 5], &file) == 0;
        break;
    case 1:
        opened = ops->open_directory(volume, op & 64 ? path : "/directory", &file) == 0;
        break;
    case 2:
        ops->stat(volume, path, &status);
        break;
    case 3:
        ops->remove(volume, path, op & 64);
        break;
    case 4:
        ops->rename(volume, path, op & 64 ? "/other" : "/a/other");
        break;
    case 5:
        ops->make_directory(volume, path);
        break;
    default:
        ops->sync(volume);
    }
}

void share_user_use(uint8_t op, struct input *input)
{
    if (op == UNMOUNT && volume)
        share_user_unmount();
    else if (opened)
        use_file(op, input);
    else if (!volume)
        mount();
    else
        use_volume(op);
}

void share_user_unmount(void)
{
    void *mounted = volume;

    volume = NULL;
    if (mounted)
        user->ops->unmount(mounted);
}

void share_user_stop(void)
{
    share_user_unmount();
    close_file();
}

bool share_user_found(void)
{
    return volume;
}
