/*
 * http_files.c - see http_files.h.
 */
#include "http_files.h"

#include "fs/fs.h"
#include "libc/files.h"

static int64_t result(int64_t value)
{
    if (value >= 0)
        return value;
    errno = (int)-value;
    return -1;
}

int http_open(const char *path, int flags)
{
    return (int)result(file_open(path, flags));
}

int http_stat(const char *path, struct stat *status)
{
    return (int)result(fs_stat(path, status));
}

ssize_t http_read(int fd, void *data, size_t count)
{
    return result(file_read(fd, data, count));
}

off_t http_seek(int fd, off_t offset, int whence)
{
    return result(file_seek(fd, offset, whence));
}

int http_close(int fd)
{
    return (int)result(file_close(fd));
}
