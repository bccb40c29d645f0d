/*
 * target_9p.c - the 9P driver and the client of 9P2000.L above it under a hostile device.
 *
 * The good device has a server of a few lines, whose names are those of tests/unit/fuse_server.h.
 * Read fs/ninep_wire.h for the messages.
 */
#include <errno.h>

#include "fs/ninep_wire.h"
#include "fs/virtio_9p.h"

#include "fuzz.h"
#include "hostile.h"
#include "share_user.h"
#include "virtio/spec_devices.h"

#define HEADER 7u
#define LINUX_ENOENT 2
#define REQUEST_SIZE 512u

static int mount(void **volume)
{
    struct ninep_transport *transport = virtio_9p_at(0);

    return transport ? ninep_mount(transport, volume) : -ENODEV;
}

static void watch(struct ninep_transport *share, bool added)
{
    (void)share;
    if (!added)
        share_user_unmount();
}

static void start(uint8_t *memory)
{
    static const struct share_user user = {.ops = &ninep_ops, .mount = mount};

    virtio_9p_watch(watch);
    share_user_start(&user, memory);
}

/* ---- the server ---- */

static void put_qid(uint8_t *at, uint8_t type)
{
    memset(at, 0, P9_QID_SIZE);
    at[0] = type;
}

static uint8_t type_of(const uint8_t *name, unsigned len)
{
    if (len < 2 || name[0] == 'd' || (len == 6 && memcmp(name, "folder", len) == 0))
        return P9_QTDIR;
    return name[0] == 'l' ? P9_QTSYMLINK : 0;
}

static uint32_t refuse(uint8_t *type, uint8_t *out)
{
    *type = P9_RLERROR;
    out[0] = LINUX_ENOENT;
    return 4;
}

/* A walk goes as far as its first name that leads nowhere. */
static uint32_t walk(uint8_t *type, const uint8_t *request, uint8_t *out)
{
    const uint8_t *name = request + HEADER + 10, *end = request + REQUEST_SIZE;
    unsigned names = request[HEADER + 8], n = 0;

    for (; n < names && n < P9_MAXWELEM && name + 2 < end; n++) {
        unsigned len = name[0];

        if (len > 1 && name[2] == 'x')
            break;
        put_qid(out + 2 + n * P9_QID_SIZE, type_of(name + 2, len));
        name += 2 + len;
        if (out[2 + n * P9_QID_SIZE] != P9_QTDIR) {
            n++;
            break;
        }
    }
    if (n == 0 && names > 0)
        return refuse(type, out);
    out[0] = (uint8_t)n;
    return 2 + n * P9_QID_SIZE;
}

/* A link leads to a file, or where another fid would be, to itself. */
static uint32_t read_link(const uint8_t *request, uint8_t *out)
{
    const char *target = request[HEADER] & 4 ? "ll" : "d/file";

    out[0] = (uint8_t)strlen(target);
    memcpy(out + 2, target, out[0]);
    return 2u + out[0];
}

static uint32_t body(uint8_t *type, const uint8_t *request, uint8_t *out)
{
    static const uint8_t entry[] = {24 + 4, 0, 0,   0,   [17] = 1, [25] = P9_DT_REG,
                                    4,      0, 'n', 'a', 'm',      'e'};

    switch (request[4]) {
    case P9_TVERSION:
        memcpy(out, request + HEADER, 14);
        return 14;
    case P9_TATTACH:
        put_qid(out, P9_QTDIR);
        return P9_QID_SIZE;
    case P9_TWALK:
        return walk(type, request, out);
    case P9_TREADLINK:
        return read_link(request, out);
    case P9_TLOPEN:
    case P9_TLCREATE:
    case P9_TMKDIR:
        return P9_QID_SIZE + 4;
    case P9_TGETATTR:
        out[0] = 0xff;
        out[1] = 7;
        out[8 + P9_QID_SIZE + 1] = request[HEADER] % 2 ? S_IFDIR >> 8 : S_IFREG >> 8;
        return 153;
    case P9_TREAD:
        out[0] = 16;
        return 4 + 16;
    case P9_TREADDIR:
        out[0] = request[HEADER + 4] ? 0 : sizeof(entry);
        memcpy(out + 4, entry, sizeof(entry));
        return 4 + (out[0] ? (uint32_t)sizeof(entry) : 0);
    case P9_TWRITE:
        out[0] = request[HEADER + 12];
        return 4;
    default:
        return 0;
    }
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    static uint8_t request[REQUEST_SIZE], reply[512];
    uint32_t len = chain->out ? chain->piece[0].len : 0, at = 0;

    (void)queue;
    memset(request, 0, sizeof(request));
    memset(reply, 0, sizeof(reply));
    if (len)
        memcpy(request, chain->piece[0].data, len < sizeof(request) ? len : sizeof(request));
    reply[4] = (uint8_t)(request[4] + 1);
    len = HEADER + body(&reply[4], request, reply + HEADER);
    memcpy(reply, &len, 4);
    memcpy(reply + 5, request + 5, 2);
    for (unsigned i = chain->out; i < chain->out + chain->in && at < len; i++) {
        uint32_t n = chain->piece[i].len < len - at ? chain->piece[i].len : len - at;

        memcpy(chain->piece[i].data, reply + at, n);
        at += n;
    }
    return len;
}

static const struct hostile_type type = {
    .driver = &virtio_9p_driver,
    .id = 9,
    .queues = 1,
    .features = 1u << VIRTIO_9P_F_MOUNT_TAG,
    .config = {4, 0, 'h', 'o', 's', 't'},
    .answer = answer,
    .start = start,
    .use = share_user_use,
    .stop = share_user_stop,
    .found = share_user_found,
};

void fuzz_9p(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
