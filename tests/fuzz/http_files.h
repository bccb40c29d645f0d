/*
 * http_files.h - included in front of apps/httpd/: its files are those of libc/files.c here, not the
 * host's.
 */
#ifndef FERRULE_TESTS_FUZZ_HTTP_FILES_H
#define FERRULE_TESTS_FUZZ_HTTP_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/* As POSIX has them. */
int http_open(const char *path, int flags);
int http_stat(const char *path, struct stat *status);
ssize_t http_read(int fd, void *data, size_t count);
off_t http_seek(int fd, off_t offset, int whence);
int http_close(int fd);

#define open(path, flags) http_open(path, flags)
#define stat(path, status) http_stat(path, status)
#define read(fd, data, count) http_read(fd, data, count)
#define lseek(fd, offset, whence) http_seek(fd, offset, whence)
#define close(fd) http_close(fd)

#endif
