/*
 * target_virtiofs.c - the driver of the file system device (5.11) and the client of FUSE above it
 * under a hostile device.
 *
 * The good device has a server of a few lines: every name leads to a file, or to a folder where its
 * first letter is a "d" or it is one letter long, or to a link where it is "l". Read fs/fuse_wire.h
 * for the messages.
 */
#include <errno.h>

#include "fs/fuse_wire.h"
#include "fs/virtio_fs.h"

#include "fuzz.h"
#include "hostile.h"
#include "share_user.h"

#define FOLDER_MODE 0040755u
#define FILE_MODE 0100644u
#define NO_SUCH_REQUEST (-38)

static int mount(void **volume)
{
    struct fuse_transport *transport = virtio_fs_at(0);

    return transport ? fuse_mount(transport, volume) : -ENODEV;
}

static void start(uint8_t *memory)
{
    static const struct share_user user = {.ops = &fuse_ops, .mount = mount};

    share_user_start(&user, memory);
}

/* ---- the server ---- */

static uint32_t put(uint8_t *out, const void *data, size_t len)
{
    memcpy(out, data, len);
    return (uint32_t)len;
}

static uint32_t put_entry(uint8_t *out, const char *name)
{
    bool folder = name[0] == 'd' || !name[0] || !name[1];
    const struct fuse_entry_out entry = {
        .nodeid = folder ? 2 : 3, .attr = {.mode = folder ? FOLDER_MODE : FILE_MODE, .size = 100}};

    return put(out, &entry, sizeof(entry));
}

static uint32_t put_entries(uint8_t *out, const struct fuse_io_in *in)
{
    const struct fuse_dirent entry = {.ino = 5, .off = 1, .namelen = 4, .type = FUSE_DT_REG};

    if (in->offset)
        return 0;
    put(out, &entry, sizeof(entry));
    put(out + sizeof(entry), "name\0\0\0\0", 8);
    return sizeof(entry) + 8;
}

/* The answer's payload; a negative errno of Linux's: the error instead. */
static int32_t body(const struct fuse_in_header *header, const uint8_t *in, uint8_t *out)
{
    const struct fuse_init_out init = {
        .major = 7, .minor = 31, .flags = FUSE_BIG_WRITES, .max_write = 1 << 17};
    const struct fuse_attr_out attr = {
        .attr = {.mode = header->nodeid < 3 ? FOLDER_MODE : FILE_MODE}};
    const struct fuse_open_out open = {.fh = 9};

    switch (header->opcode) {
    case FUSE_INIT:
        return (int32_t)put(out, &init, sizeof(init));
    case FUSE_LOOKUP:
        return (int32_t)put_entry(out, (const char *)in);
    case FUSE_MKDIR:
        return (int32_t)put_entry(out, "d");
    case FUSE_CREATE:
        return (int32_t)(put_entry(out, "file") +
                         put(out + sizeof(struct fuse_entry_out), &open, sizeof(open)));
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return (int32_t)put(out, &attr, sizeof(attr));
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return (int32_t)put(out, &open, sizeof(open));
    case FUSE_READDIR:
        return (int32_t)put_entries(out, (const struct fuse_io_in *)(const void *)in);
    case FUSE_READ:
        return 16;
    case FUSE_READLINK:
        return (int32_t)put(out, "d/file", 6);
    case FUSE_WRITE:
        memcpy(out, in + offsetof(struct fuse_io_in, size), 4);
        return sizeof(struct fuse_write_out);
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNC:
    case FUSE_DESTROY:
        return 0;
    default:
        return NO_SUCH_REQUEST;
    }
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static uint8_t request[256] __attribute__((aligned(8))), reply[256] __attribute__((aligned(8)));
    const struct fuse_in_header *header = (const void *)request;
    struct fuse_out_header *out = (void *)reply;
    uint32_t len = chain->out ? chain->piece[0].len : 0, at = 0;
    int32_t got;

    if (queue != VIRTIO_FS_Q_REQUEST || len < sizeof(*header))
        return 0;
    memset(request, 0, sizeof(request));
    memset(reply, 0, sizeof(reply));
    memcpy(request, chain->piece[0].data, len < sizeof(request) - 1 ? len : sizeof(request) - 1);
    got = body(header, request + sizeof(*header), reply + sizeof(*out));
    out->len = (uint32_t)sizeof(*out) + (got < 0 ? 0 : (uint32_t)got);
    out->error = got < 0 ? got : 0;
    out->unique = header->unique;
    for (unsigned i = chain->out; i < chain->out + chain->in && at < out->len; i++) {
        uint32_t n = chain->piece[i].len < out->len - at ? chain->piece[i].len : out->len - at;

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
};

void fuzz_virtiofs(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
