/*
 * fuse_rpc.c - the requests of the FUSE protocol and the session that they belong to.
 *
 * Owns the form of messages and what is checked of an answer: its lengths, the request that it
 * names, its error. An answer is copied once and then read, so it cannot change under the checks.
 * Whoever breaks the protocol loses the session, and with it every open file. Read fuse.c next.
 */
#include <errno.h>
#include <string.h>

#include "fs/fuse_internal.h"
#include "fs/linux_error.h"
#include "log.h"

/* Data in one message: what a server takes without FUSE_MAX_PAGES, 32 pages. */
#define DATA_MAX (128u << 10)
/* Without FUSE_BIG_WRITES, and the least that a server must take. */
#define DATA_MIN 4096u
#define LINUX_ERROR_MAX 4095
#define COMPLAINTS_MAX 8u

/* A request and what is to become of its answer. */
struct call {
    uint32_t opcode;
    uint64_t node;
    const void *in; /* the request's own structure */
    uint32_t in_len;
    const char *name[2]; /* follow it, each with a NUL; NULL: none */
    size_t name_len[2];
    struct fuse_exchange exchange; /* data and room */
    void *out;                     /* the answer's own structure */
    uint32_t out_min, out_max;
    uint32_t out_len; /* bytes that came, in `out` or in exchange.room */
};

/* Of struct call: the request's own structure, and the answer's, which has just its size. */
#define IN(structure) .in = &(structure), .in_len = sizeof(structure)
#define OUT(structure) \
    .out = &(structure), .out_min = sizeof(structure), .out_max = sizeof(structure)

int fuse_violation(struct fuse_volume *volume, const char *what)
{
    if (volume->complaints++ < COMPLAINTS_MAX)
        log_error("fs: virtiofs %s: the host breaks the protocol: %s", volume->transport->tag,
                  what);
    fuse_session_end(volume);
    return -EIO;
}

/* --- Messages --------------------------------------------------------------------------------- */

/* Puts the request together; its length, or 0 when it is too long. */
static uint32_t compose(struct fuse_volume *volume, const struct call *call)
{
    uint8_t *request = volume->transport->request;
    struct fuse_in_header header = {.opcode = call->opcode, .nodeid = call->node};
    size_t len = sizeof(header) + call->in_len;

    if (call->in_len)
        memcpy(request + sizeof(header), call->in, call->in_len);
    for (unsigned i = 0; i < 2 && call->name[i]; i++) {
        if (call->name_len[i] + 1 > FUSE_REQUEST_SIZE - len)
            return 0;
        memcpy(request + len, call->name[i], call->name_len[i]);
        len += call->name_len[i];
        request[len++] = '\0';
    }
    header.unique = ++volume->unique;
    header.len = (uint32_t)len + call->exchange.data_len;
    memcpy(request, &header, sizeof(header));
    return (uint32_t)len;
}

/* Copies and checks what came. */
static int take_answer(struct fuse_volume *volume, struct call *call)
{
    uint32_t written = call->exchange.reply_len, max = call->out_max;
    const uint8_t *reply = volume->transport->reply;
    struct fuse_out_header header;

    if (written < sizeof(header))
        return fuse_violation(volume, "an answer without a header");
    memcpy(&header, reply, sizeof(header));
    if (header.len < sizeof(header) || header.len > written)
        return fuse_violation(volume, "an answer's length");
    if (header.unique != volume->unique)
        return fuse_violation(volume, "an answer to another request");
    if (header.error > 0 || header.error < -LINUX_ERROR_MAX)
        return fuse_violation(volume, "an error's number");
    if (header.error)
        return -error_from_linux((uint32_t)-header.error);
    call->out_len = header.len - (uint32_t)sizeof(header);
    if (call->exchange.room_len)
        max = call->exchange.room_len;
    if (call->out_len < call->out_min || call->out_len > max)
        return fuse_violation(volume, "an answer of the wrong length");
    if (!call->exchange.room_len && call->out_len)
        memcpy(call->out, reply + sizeof(header), call->out_len);
    return 0;
}

static int send(struct fuse_volume *volume, struct call *call)
{
    struct fuse_transport *transport = volume->transport;
    uint32_t len = compose(volume, call);
    int error;

    if (!len)
        return -ENAMETOOLONG;
    call->exchange.request_len = len;
    error = transport->exchange(transport, &call->exchange);
    if (error == -EIO)
        fuse_session_end(volume);
    return error ? error : take_answer(volume, call);
}

/* --- The session ------------------------------------------------------------------------------ */

static bool session_is_open(const struct fuse_volume *volume)
{
    return volume->attached && volume->resets == volume->transport->resets;
}

void fuse_session_end(struct fuse_volume *volume)
{
    volume->attached = false;
}

int fuse_session(struct fuse_volume *volume)
{
    const struct fuse_init_in in = {FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION, 0,
                                    FUSE_BIG_WRITES};
    struct fuse_init_out out = {0};
    struct call call = {.opcode = FUSE_INIT,
                        IN(in),
                        .out = &out,
                        .out_min = 2 * sizeof(uint32_t),
                        .out_max = sizeof(out)};
    int error;

    if (session_is_open(volume))
        return 0;
    volume->resets = volume->transport->resets;
    volume->session++;
    error = send(volume, &call);
    if (error)
        return error;
    if (out.major != FUSE_KERNEL_VERSION || out.minor < FUSE_MINOR_MIN) {
        log_error("fs: virtiofs %s: the host speaks version %u.%u", volume->transport->tag,
                  (unsigned)out.major, (unsigned)out.minor);
        return -ENOTSUP;
    }
    if (call.out_len != sizeof(out) || out.max_write < DATA_MIN)
        return fuse_violation(volume, "its limits make no sense");
    volume->data_max = out.max_write < DATA_MAX ? out.max_write : DATA_MAX;
    if (!(out.flags & FUSE_BIG_WRITES))
        volume->data_max = DATA_MIN;
    volume->attached = true;
    if (volume->session > 1)
        log_warn("fs: virtiofs %s: a new session; files that were open before end in errors",
                 volume->transport->tag);
    return 0;
}

int fuse_destroy(struct fuse_volume *volume)
{
    struct call call = {.opcode = FUSE_DESTROY};
    int error = session_is_open(volume) ? send(volume, &call) : 0;

    fuse_session_end(volume);
    return error;
}

int fuse_check(const struct fuse_volume *volume, struct fuse_node node)
{
    return session_is_open(volume) && node.session == volume->session ? 0 : -EIO;
}

/* Sends a request about a node of this session. */
static int ask(struct fuse_volume *volume, struct fuse_node node, struct call *call)
{
    int error = fuse_check(volume, node);

    call->node = node.id;
    return error ? error : send(volume, call);
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static int status_from(struct fuse_volume *volume, const struct fuse_attr *attr,
                       struct stat *status)
{
    if (attr->size > INT64_MAX)
        return fuse_violation(volume, "a file's size");
    memset(status, 0, sizeof(*status));
    status->st_mode = (mode_t)attr->mode;
    status->st_nlink = (nlink_t)attr->nlink;
    status->st_size = (off_t)attr->size;
    status->st_blocks = (blkcnt_t)attr->blocks;
    status->st_atime = (time_t)attr->atime;
    status->st_mtime = (time_t)attr->mtime;
    status->st_ctime = (time_t)attr->ctime;
    /* The C library's buffer for a FILE has this size. */
    status->st_blksize = 32768;
    return 0;
}

/* Takes what an entry says. The root cannot lie within itself. */
static int take_entry(struct fuse_volume *volume, const struct fuse_entry_out *entry,
                      struct fuse_node *node, struct stat *status)
{
    int error;

    if (entry->nodeid == FUSE_ROOT_ID)
        return fuse_violation(volume, "a folder in which the root lies");
    *node = (struct fuse_node){entry->nodeid, volume->session};
    error = entry->nodeid ? status_from(volume, &entry->attr, status) : -ENOENT;
    return error;
}

int fuse_lookup(struct fuse_volume *volume, struct fuse_node folder, const char *name, size_t len,
                struct fuse_node *node, struct stat *status)
{
    struct fuse_entry_out out;
    struct call call = {.opcode = FUSE_LOOKUP, .name = {name}, .name_len = {len}, OUT(out)};
    int error = ask(volume, folder, &call);

    return error ? error : take_entry(volume, &out, node, status);
}

void fuse_forget(struct fuse_volume *volume, struct fuse_node node)
{
    struct {
        struct fuse_in_header header;
        struct fuse_forget_in forget;
    } request = {.forget = {.nlookup = 1}};
    _Static_assert(sizeof(request) == FUSE_FORGET_SIZE, "the transport copies so much");

    if (!node.id || node.id == FUSE_ROOT_ID || fuse_check(volume, node))
        return;
    request.header = (struct fuse_in_header){.len = sizeof(request),
                                             .opcode = FUSE_FORGET,
                                             .unique = ++volume->unique,
                                             .nodeid = node.id};
    if (volume->transport->post(volume->transport, &request, sizeof(request)))
        fuse_session_end(volume);
}

static int take_status(struct fuse_volume *volume, struct fuse_node node, struct call *call,
                       struct stat *status)
{
    struct fuse_attr_out out;
    int error;

    call->out = &out;
    call->out_min = call->out_max = sizeof(out);
    error = ask(volume, node, call);
    return error ? error : status_from(volume, &out.attr, status);
}

int fuse_get_status(struct fuse_volume *volume, struct fuse_node node, struct stat *status)
{
    const struct fuse_getattr_in in = {0};
    struct call call = {.opcode = FUSE_GETATTR, IN(in)};

    return take_status(volume, node, &call, status);
}

int fuse_set_size(struct fuse_volume *volume, struct fuse_node node, uint64_t handle, uint64_t size)
{
    const struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .fh = handle, .size = size};
    struct call call = {.opcode = FUSE_SETATTR, IN(in)};
    struct stat status;

    return take_status(volume, node, &call, &status);
}

int fuse_read_link(struct fuse_volume *volume, struct fuse_node node, char target[FS_PATH_MAX])
{
    struct call call = {.opcode = FUSE_READLINK, .out = target, .out_max = FS_PATH_MAX - 1};
    int error = ask(volume, node, &call);

    if (error)
        return error;
    target[call.out_len] = '\0';
    return strlen(target) == call.out_len ? 0 : fuse_violation(volume, "a link with a NUL in it");
}

/* --- Open files ------------------------------------------------------------------------------- */

int fuse_open_node(struct fuse_volume *volume, struct fuse_node node, uint32_t flags,
                   uint64_t *handle)
{
    const struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out;
    struct call call = {
        .opcode = flags & FUSE_O_DIRECTORY ? FUSE_OPENDIR : FUSE_OPEN, IN(in), OUT(out)};
    int error = ask(volume, node, &call);

    if (!error)
        *handle = out.fh;
    return error;
}

int fuse_release(struct fuse_volume *volume, struct fuse_node node, uint32_t flags, uint64_t handle)
{
    const struct fuse_release_in in = {.fh = handle, .flags = flags};
    struct call call = {.opcode = flags & FUSE_O_DIRECTORY ? FUSE_RELEASEDIR : FUSE_RELEASE,
                        IN(in)};

    return ask(volume, node, &call);
}

int fuse_create(struct fuse_volume *volume, struct fuse_node folder, const char *name,
                uint32_t flags, struct fuse_node *node, uint64_t *handle)
{
    const struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | 0644};
    struct fuse_create_out out;
    struct stat status;
    struct call call = {
        .opcode = FUSE_CREATE, IN(in), .name = {name}, .name_len = {strlen(name)}, OUT(out)};
    int error = ask(volume, folder, &call);

    if (!error)
        error = take_entry(volume, &out.entry, node, &status);
    if (!error)
        *handle = out.open.fh;
    return error;
}

int fuse_read(struct fuse_volume *volume, struct fuse_node node, uint64_t handle, uint64_t offset,
              void *data, uint32_t *count)
{
    const struct fuse_io_in in = {.fh = handle, .offset = offset, .size = *count};
    struct call call = {
        .opcode = FUSE_READ, IN(in), .exchange = {.room = data, .room_len = *count}};
    int error = ask(volume, node, &call);

    *count = call.out_len;
    return error;
}

int fuse_write(struct fuse_volume *volume, struct fuse_node node, uint64_t handle, uint64_t offset,
               const void *data, uint32_t *count)
{
    const struct fuse_io_in in = {.fh = handle, .offset = offset, .size = *count};
    struct fuse_write_out out;
    struct call call = {
        .opcode = FUSE_WRITE, IN(in), .exchange = {.data = data, .data_len = *count}, OUT(out)};
    int error = ask(volume, node, &call);

    if (error)
        return error;
    if (out.size > *count)
        return fuse_violation(volume, "more bytes were written than there are");
    *count = out.size;
    return 0;
}

int fuse_sync(struct fuse_volume *volume, struct fuse_node node, uint64_t handle)
{
    const struct fuse_fsync_in in = {.fh = handle};
    struct call call = {.opcode = FUSE_FSYNC, IN(in)};

    return ask(volume, node, &call);
}

int fuse_read_directory(struct fuse_volume *volume, struct fuse_node node, uint64_t handle,
                        uint64_t offset, void *data, uint32_t *count)
{
    const uint32_t room = FUSE_REPLY_SIZE - (uint32_t)sizeof(struct fuse_out_header);
    const struct fuse_io_in in = {.fh = handle, .offset = offset, .size = room};
    struct call call = {.opcode = FUSE_READDIR, IN(in), .out = data, .out_max = room};
    int error = ask(volume, node, &call);

    *count = call.out_len;
    return error;
}

/* --- Names ------------------------------------------------------------------------------------ */

int fuse_make_directory(struct fuse_volume *volume, struct fuse_node folder, const char *name)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    struct fuse_entry_out out;
    struct fuse_node node = {0};
    struct stat status;
    struct call call = {
        .opcode = FUSE_MKDIR, IN(in), .name = {name}, .name_len = {strlen(name)}, OUT(out)};
    int error = ask(volume, folder, &call);

    if (!error)
        error = take_entry(volume, &out, &node, &status);
    if (!error)
        fuse_forget(volume, node);
    return error;
}

int fuse_unlink(struct fuse_volume *volume, struct fuse_node folder, const char *name,
                bool directory)
{
    struct call call = {
        .opcode = directory ? FUSE_RMDIR : FUSE_UNLINK, .name = {name}, .name_len = {strlen(name)}};

    return ask(volume, folder, &call);
}

int fuse_rename(struct fuse_volume *volume, struct fuse_node from_folder, const char *from,
                struct fuse_node to_folder, const char *to)
{
    const struct fuse_rename_in in = {.newdir = to_folder.id};
    struct call call = {
        .opcode = FUSE_RENAME, IN(in), .name = {from, to}, .name_len = {strlen(from), strlen(to)}};
    int error = fuse_check(volume, to_folder);

    return error ? error : ask(volume, from_folder, &call);
}
