/*
 * files.c - the descriptor table.
 *
 * Owns which number stands for which open object and what it was opened for; what an operation does
 * is the object's business (fs/fs.h). Every argument an application can get wrong ends in an errno
 * here. Read console.c, then fs/mount.c next.
 */
#include "libc/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "libc/console.h"

struct descriptor {
    struct file_object file; /* ops is NULL in a free slot */
    int flags;
};

static struct descriptor table[FILES_MAX];

/* Not as the table's initial value, which would be its size in the image. */
__attribute__((constructor)) static void open_console(void)
{
    for (int fd = 0; fd < 3; fd++)
        table[fd] = (struct descriptor){{&console_ops, NULL}, fd == 0 ? O_RDONLY : O_WRONLY};
}

/* Whoever may write changes files when he does so, and maybe only at the end. */
static ssize_t note_change(int flags, ssize_t result)
{
    if ((flags & O_ACCMODE) != O_RDONLY)
        fs_note_change();
    return result;
}

static struct descriptor *descriptor_at(int fd)
{
    return fd >= 0 && fd < FILES_MAX && table[fd].file.ops ? &table[fd] : NULL;
}

static int descriptor_free(void)
{
    for (int fd = 0; fd < FILES_MAX; fd++) {
        if (!table[fd].file.ops)
            return fd;
    }
    return -EMFILE;
}

int file_install(const struct file_object *file, int flags)
{
    int fd = descriptor_free();
    if (fd >= 0)
        table[fd] = (struct descriptor){*file, flags};
    return fd;
}

int file_open(const char *path, int flags)
{
    struct file_object file;
    int access = flags & O_ACCMODE;
    if (access != O_RDONLY && access != O_WRONLY && access != O_RDWR)
        return -EINVAL;
    /*
     * Looked for before the file system is asked: nothing must be created or cut when no descriptor
     * can be given.
     */
    int fd = descriptor_free();
    if (fd < 0)
        return fd;
    int error = fs_open(path, flags, &file);
    return error ? error : file_install(&file, flags);
}

int file_close(int fd)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    struct file_object file = descriptor->file;
    int flags = descriptor->flags;
    descriptor->file.ops = NULL;
    return (int)note_change(flags, file.ops->close(file.object));
}

ssize_t file_read(int fd, void *data, size_t count)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor || (descriptor->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (!descriptor->file.ops->read)
        return -EINVAL;
    if (!count)
        return 0;
    if (!data)
        return -EFAULT;
    return descriptor->file.ops->read(descriptor->file.object, data, count);
}

ssize_t file_write(int fd, const void *data, size_t count)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor || (descriptor->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!descriptor->file.ops->write)
        return -EINVAL;
    if (!count)
        return 0;
    if (!data)
        return -EFAULT;
    return note_change(descriptor->flags,
                       descriptor->file.ops->write(descriptor->file.object, data, count));
}

int64_t file_seek(int fd, int64_t offset, int whence)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (!descriptor->file.ops->seek)
        return -ESPIPE;
    return descriptor->file.ops->seek(descriptor->file.object, offset, whence);
}

int file_stat(int fd, struct stat *status)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (!status)
        return -EFAULT;
    if (!descriptor->file.ops->stat)
        return -EINVAL;
    return descriptor->file.ops->stat(descriptor->file.object, status);
}

int file_truncate(int fd, int64_t size)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (size < 0 || (descriptor->flags & O_ACCMODE) == O_RDONLY || !descriptor->file.ops->truncate)
        return -EINVAL;
    return (int)note_change(descriptor->flags,
                            descriptor->file.ops->truncate(descriptor->file.object, size));
}

int file_sync(int fd)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (!descriptor->file.ops->sync)
        return -EINVAL;
    return (int)note_change(descriptor->flags, descriptor->file.ops->sync(descriptor->file.object));
}

int file_is_console(int fd)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    return descriptor->file.ops == &console_ops ? 1 : -ENOTTY;
}

int file_flags(int fd)
{
    struct descriptor *descriptor = descriptor_at(fd);
    return descriptor ? descriptor->flags : -EBADF;
}

int file_set_nonblocking(int fd, bool on)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    descriptor->flags = on ? descriptor->flags | O_NONBLOCK : descriptor->flags & ~O_NONBLOCK;
    if (descriptor->file.ops->set_nonblocking)
        descriptor->file.ops->set_nonblocking(descriptor->file.object, on);
    return 0;
}

int file_readable(int fd, size_t *bytes)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (!descriptor->file.ops->readable)
        return -ENOTTY;
    return descriptor->file.ops->readable(descriptor->file.object, bytes);
}

int file_poll(int fd)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    if (!descriptor->file.ops->poll)
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    return (int)descriptor->file.ops->poll(descriptor->file.object);
}

int file_object_at(int fd, struct file_object *file)
{
    struct descriptor *descriptor = descriptor_at(fd);
    if (!descriptor)
        return -EBADF;
    *file = descriptor->file;
    return 0;
}

bool file_has_room(void)
{
    return descriptor_free() >= 0;
}

int file_close_all(void)
{
    int first_error = 0;
    for (int fd = 0; fd < FILES_MAX; fd++) {
        int error = descriptor_at(fd) && table[fd].file.ops != &console_ops ? file_close(fd) : 0;
        first_error = first_error ? first_error : error;
    }
    return first_error;
}
