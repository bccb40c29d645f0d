/*
 * dirent.c - the functions of <dirent.h>.
 *
 * Owns the directory stream that opendir() gives out; what stands in a directory comes from
 * fs/fs.h. Read fs/fs.h next.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"

struct directory_stream {
    struct file_object directory;
    struct dirent entry; /* what the last readdir() returned */
};

_Static_assert(MAXNAMLEN == FS_NAME_MAX, "a name must fit");

DIR *opendir(const char *path)
{
    DIR *stream = malloc(sizeof(*stream));
    if (!stream) {
        errno = ENOMEM;
        return NULL;
    }
    int error = fs_open_directory(path, &stream->directory);
    if (error) {
        free(stream);
        errno = -error;
        return NULL;
    }
    return stream;
}

struct dirent *readdir(DIR *stream)
{
    struct fs_entry entry;
    int found = stream->directory.ops->read_entry(stream->directory.object, &entry);
    if (found <= 0) {
        if (found < 0)
            errno = -found;
        return NULL;
    }
    stream->entry.d_ino = 0;
    stream->entry.d_type = S_ISDIR(entry.mode) ? DT_DIR : DT_REG;
    memcpy(stream->entry.d_name, entry.name, sizeof(entry.name));
    return &stream->entry;
}

void rewinddir(DIR *stream)
{
    stream->directory.ops->rewind(stream->directory.object);
}

int closedir(DIR *stream)
{
    int error = stream->directory.ops->close(stream->directory.object);
    free(stream);
    if (!error)
        return 0;
    errno = -error;
    return -1;
}
