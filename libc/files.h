/*
 * files.h - file descriptors: small numbers for open objects.
 *
 * Owns the descriptor table behind open(), read() and the rest; syscalls.c gives these functions
 * their C library names and turns the negative errno into errno. Descriptors 0, 1 and 2 are the
 * console from the start. Objects of any kind can be given a descriptor by file_install(). Loop
 * context only.
 */
#ifndef FERRULE_LIBC_FILES_H
#define FERRULE_LIBC_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs/fs.h"

#define FILES_MAX 256

/*
 * The lowest free descriptor for an object, or -EMFILE. `flags` as in open(): O_ACCMODE decides
 * what it may be used for. From then on the table owns the object and file_close() closes it.
 */
int file_install(const struct file_object *file, int flags);

/* As in POSIX but for the result: the descriptor, count or position, or a negative errno. */
int file_open(const char *path, int flags);
int file_close(int fd);
ssize_t file_read(int fd, void *data, size_t count);
ssize_t file_write(int fd, const void *data, size_t count);
int64_t file_seek(int fd, int64_t offset, int whence);
int file_stat(int fd, struct stat *status);
int file_truncate(int fd, int64_t size);
int file_sync(int fd);
int file_is_console(int fd); /* 1, or -ENOTTY, or -EBADF */
int file_flags(int fd);      /* the flags it was opened with, and O_NONBLOCK */
int file_set_nonblocking(int fd, bool on);
int file_readable(int fd, size_t *bytes); /* -ENOTTY when nobody can know */

/* What holds now of poll()'s events, or -EBADF. */
int file_poll(int fd);

/* An object's poll events may have changed: whoever waits in poll() looks again (libc/poll.c). */
void file_changed(void);

/* The object behind a descriptor: 0 or -EBADF. It stays the table's. */
int file_object_at(int fd, struct file_object *file);

/* Would file_install() find a free descriptor? */
bool file_has_room(void);

/* Closes every descriptor but the console's; the first error. */
int file_close_all(void);

#endif
