/*
 * target_virtiofs.c - the driver of the file system device (5.11) and the client of FUSE above it
 * under a hostile device. The good one has tests/unit/fuse_server.h behind it.
 */
#include <errno.h>

#include "fs/virtio_fs.h"

#include "fuzz.h"
#include "hostile.h"
#include "share_user.h"
#include "tests/unit/fuse_server.h"
#include "virtio/spec_devices.h"

static int mount(void **volume)
{
    struct fuse_transport *transport = virtio_fs_at(0);

    return transport ? fuse_mount(transport, volume) : -ENODEV;
}

static void watch(struct fuse_transport *share, bool added)
{
    (void)share;
    if (!added)
        share_user_unmount();
}

static void start(uint8_t *memory)
{
    static const struct share_user user = {.ops = &fuse_ops, .mount = mount};

    virtio_fs_watch(watch);
    share_user_start(&user, memory);
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static uint8_t reply[FUSE_SERVER_MESSAGE];
    uint32_t at = 0, len;

    if (queue != VIRTIO_FS_Q_REQUEST || chain->out == 0)
        return 0;
    len = fuse_server_answer(chain->piece[0].data, chain->piece[0].len, reply);
    for (unsigned i = chain->out; i < chain->out + chain->in && at < len; i++) {
        uint32_t n = chain->piece[i].len < len - at ? chain->piece[i].len : len - at;

        memcpy(chain->piece[i].data, reply + at, n);
        at += n;
    }
    return at;
}

static const struct hostile_type type = {
    .driver = &virtio_fs_driver,
    .id = VIRTIO_ID_FS,
    .queues = 2,
    .config = {'h', 'o', 's', 't', [VIRTIO_FS_TAG_SIZE] = 1},
    .answer = answer,
    .start = start,
    .use = share_user_use,
    .stop = share_user_stop,
    .found = share_user_found,
};

void fuzz_virtiofs(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
