/*
 * sys/uio.h - data in several pieces.
 */
#ifndef FERRULE_LIBC_SYS_UIO_H
#define FERRULE_LIBC_SYS_UIO_H

#include <stddef.h>
#include <sys/types.h>

#define IOV_MAX 1024
#define UIO_MAXIOV IOV_MAX

struct iovec {
    void *iov_base;
    size_t iov_len;
};

ssize_t readv(int fd, const struct iovec *pieces, int count);
ssize_t writev(int fd, const struct iovec *pieces, int count);

#endif
