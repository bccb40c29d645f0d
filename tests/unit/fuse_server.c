/*
 * fuse_server.c - see fuse_server.h. Read fs/fuse_wire.h for the messages.
 */
#include "tests/unit/fuse_server.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "fs/fuse_wire.h"

#define FOLDER_MODE 0040755u
#define FILE_MODE 0100644u
#define LINK_MODE 0120777u
#define NO_SUCH_REQUEST (-38)
#define NO_SUCH_FILE (-2)

/* What a name leads to, by the number of its node. */
enum { ROOT = 1, FOLDER, PLAIN_FILE, LINK, LINK_TO_ITSELF };

static int32_t put(uint8_t *out, const void *data, size_t len)
{
    memcpy(out, data, len);
    return (int32_t)len;
}

static unsigned node_of(const char *name)
{
    if (name[0] == 'd' || !name[0] || !name[1] || strcmp(name, "folder") == 0)
        return FOLDER;
    if (name[0] == 'l')
        return name[1] == 'l' ? LINK_TO_ITSELF : LINK;
    return PLAIN_FILE;
}

static uint32_t mode_of(uint64_t node)
{
    return node <= FOLDER ? FOLDER_MODE : node >= LINK ? LINK_MODE : FILE_MODE;
}

static int32_t put_entry(uint8_t *out, const char *name)
{
    const struct fuse_entry_out entry = {.nodeid = node_of(name),
                                         .attr = {.mode = mode_of(node_of(name)), .size = 100}};

    return put(out, &entry, sizeof(entry));
}

static int32_t put_created(uint8_t *out, const struct fuse_open_out *open)
{
    return put_entry(out, "file") + put(out + sizeof(struct fuse_entry_out), open, sizeof(*open));
}

static int32_t put_entries(uint8_t *out, const struct fuse_io_in *in)
{
    const struct fuse_dirent entry = {.ino = 5, .off = 1, .namelen = 4, .type = FUSE_DT_REG};

    if (in->offset)
        return 0;
    put(out, &entry, sizeof(entry));
    return (int32_t)sizeof(entry) + put(out + sizeof(entry), "name\0\0\0", 8);
}

/* What follows the answer's header; a negative errno of Linux's: the error instead. */
static int32_t body(const struct fuse_in_header *header, const uint8_t *in, uint8_t *out)
{
    const struct fuse_init_out init = {
        .major = 7, .minor = 31, .flags = FUSE_BIG_WRITES, .max_write = 1 << 17};
    const struct fuse_attr_out attr = {.attr = {.mode = mode_of(header->nodeid)}};
    const struct fuse_open_out open = {.fh = 9};

    switch (header->opcode) {
    case FUSE_INIT:
        return put(out, &init, sizeof(init));
    case FUSE_LOOKUP:
        return in[0] == 'x' && in[1] ? NO_SUCH_FILE : put_entry(out, (const char *)in);
    case FUSE_MKDIR:
        return put_entry(out, "d");
    case FUSE_CREATE:
        return put_created(out, &open);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return put(out, &attr, sizeof(attr));
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return put(out, &open, sizeof(open));
    case FUSE_READDIR:
        return put_entries(out, (const struct fuse_io_in *)(const void *)in);
    case FUSE_READ:
        return 16;
    case FUSE_READLINK:
        return header->nodeid == LINK ? put(out, "d/file", 6) : put(out, "ll", 2);
    case FUSE_WRITE:
        return put(out, in + offsetof(struct fuse_io_in, size), 4) + 4;
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

uint32_t fuse_server_answer(const void *request, uint32_t len, void *reply)
{
    static uint8_t copy[FUSE_SERVER_MESSAGE] __attribute__((aligned(8)));
    const struct fuse_in_header *header = (const void *)copy;
    struct fuse_out_header out = {0};
    int32_t got;

    memset(copy, 0, sizeof(copy));
    memset(reply, 0, FUSE_SERVER_MESSAGE);
    memcpy(copy, request, len < sizeof(copy) - 1 ? len : sizeof(copy) - 1);
    got = body(header, copy + sizeof(*header), (uint8_t *)reply + sizeof(out));
    out.len = (uint32_t)sizeof(out) + (got < 0 ? 0 : (uint32_t)got);
    out.error = got < 0 ? got : 0;
    out.unique = header->unique;
    memcpy(reply, &out, sizeof(out));
    return out.len;
}
