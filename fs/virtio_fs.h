/*
 * virtio_fs.h - shares of the host behind the file system device (5.11): carries the messages of
 * fuse.h. Read virtio_fs.c next.
 */
#ifndef FERRULE_FS_VIRTIO_FS_H
#define FERRULE_FS_VIRTIO_FS_H

#include "fs/fuse.h"
#include "virtio/virtio.h"

extern const struct virtio_driver virtio_fs_driver;

/*
 * The shares in the order in which they were found; NULL behind the last one. Their tags can be
 * parts of a path. They live until the watcher is told that they go.
 */
struct fuse_transport *virtio_fs_at(unsigned index);

/* Called with each share that comes from now on, and with each that goes: nothing may be asked of it
 * any more once this returns. */
void virtio_fs_watch(void (*watcher)(struct fuse_transport *share, bool added));

#endif
