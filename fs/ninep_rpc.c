/*
 * ninep_rpc.c - the requests of 9P2000.L and the session that they belong to.
 *
 * Owns the form of messages and the numbers of fids. What the other side writes is read once, and
 * every length in it checked; whoever breaks the protocol loses the session, and with it every open
 * file. Read ninep.c next.
 */
#include <errno.h>
#include <string.h>

#include "fs/linux_error.h"
#include "fs/ninep_internal.h"
#include "log.h"

/* Data in one message: large enough that the way to the host is a small part of the time. */
#define DATA_MAX (128u << 10)
/* What a server must at least be able to take: our longest request without data. */
#define MSIZE_MIN NINEP_REQUEST_SIZE

#define COMPLAINTS_MAX 8u

/* A request as it is put together, then its answer as it is read. */
struct call {
    struct ninep_volume *volume;
    uint8_t type;
    uint16_t tag;
    uint8_t *at, *end;
    bool overrun; /* more was put or taken than there is */
    struct ninep_exchange exchange;
};

/* --- Putting requests together ---------------------------------------------------------------- */

static void put(struct call *call, uint64_t value, unsigned bytes)
{
    if ((size_t)(call->end - call->at) < bytes) {
        call->overrun = true;
        return;
    }
    while (bytes--) {
        *call->at++ = (uint8_t)value;
        value >>= 8;
    }
}

static void put_text(struct call *call, const char *text, size_t len)
{
    put(call, len, 2);
    if ((size_t)(call->end - call->at) < len) {
        call->overrun = true;
        return;
    }
    memcpy(call->at, text, len);
    call->at += len;
}

static void put_name(struct call *call, const char *name)
{
    put_text(call, name, strlen(name));
}

/* One request is under way at a time, so all have the same tag. */
static void begin(struct call *call, struct ninep_volume *volume, uint8_t type)
{
    uint8_t *request = volume->transport->request;
    memset(call, 0, sizeof(*call));
    call->volume = volume;
    call->type = type;
    call->tag = type == P9_TVERSION ? P9_NOTAG : 0;
    call->at = request;
    call->end = request + NINEP_REQUEST_SIZE;
    put(call, 0, 4); /* the size: finish() knows it */
    put(call, type, 1);
    put(call, call->tag, 2);
}

/* --- Reading answers -------------------------------------------------------------------------- */

static uint64_t take(struct call *call, unsigned bytes)
{
    uint64_t value = 0;
    if ((size_t)(call->end - call->at) < bytes) {
        call->overrun = true;
        call->at = call->end;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t) * (volatile uint8_t *)call->at++ << 8 * i;
    return value;
}

static void skip(struct call *call, unsigned bytes)
{
    if ((size_t)(call->end - call->at) < bytes) {
        call->overrun = true;
        bytes = (unsigned)(call->end - call->at);
    }
    call->at += bytes;
}

static uint8_t take_qid(struct call *call)
{
    uint8_t type = (uint8_t)take(call, 1);
    skip(call, P9_QID_SIZE - 1);
    return type;
}

int ninep_violation(struct ninep_volume *volume, const char *what)
{
    if (volume->complaints++ < COMPLAINTS_MAX)
        log_error("fs: 9p %s: the host breaks the protocol: %s", volume->transport->tag, what);
    ninep_session_end(volume);
    return -EIO;
}

/* Checks what every answer begins with, and leaves `at` behind it. */
static int check_answer(struct call *call)
{
    struct ninep_volume *volume = call->volume;
    uint32_t room = call->exchange.room_len ? P9_READ_HEADER_SIZE : NINEP_REPLY_SIZE;
    uint32_t written = call->exchange.reply_len;
    call->at = volume->transport->reply;
    call->end = call->at + (written < room ? written : room);
    uint32_t size = (uint32_t)take(call, 4);
    uint8_t type = (uint8_t)take(call, 1);
    uint16_t tag = (uint16_t)take(call, 2);
    if (call->overrun || size < P9_HEADER_SIZE || size > written)
        return ninep_violation(volume, "an answer's size");
    if (size < room)
        call->end = volume->transport->reply + size;
    if (tag != call->tag)
        return ninep_violation(volume, "an answer's tag");
    if (type == P9_RLERROR) {
        uint32_t number = (uint32_t)take(call, 4);
        return call->overrun ? ninep_violation(volume, "an error without a number")
                             : -error_from_linux(number);
    }
    return type == call->type + 1 ? 0 : ninep_violation(volume, "an answer's type");
}

/* Sends the request and waits for its answer. */
static int finish(struct call *call)
{
    struct ninep_transport *transport = call->volume->transport;
    uint32_t len = (uint32_t)(call->at - transport->request);
    if (call->overrun)
        return -ENAMETOOLONG;
    call->exchange.request_len = len;
    call->at = transport->request;
    put(call, len + call->exchange.data_len, 4);
    int error = transport->exchange(transport, &call->exchange);
    if (error == -EIO)
        ninep_session_end(call->volume);
    return error ? error : check_answer(call);
}

/* After the last take(): was the answer as long as what was taken from it? */
static int taken(struct call *call)
{
    return call->overrun ? ninep_violation(call->volume, "an answer is too short") : 0;
}

/* --- The session ------------------------------------------------------------------------------ */

static bool session_is_open(const struct ninep_volume *volume)
{
    return volume->attached && volume->resets == volume->transport->resets;
}

void ninep_session_end(struct ninep_volume *volume)
{
    volume->attached = false;
}

/* Also makes the other side forget whatever it may still have from an earlier session. */
static int negotiate_version(struct ninep_volume *volume)
{
    struct call call;
    char version[sizeof(P9_VERSION) - 1];
    begin(&call, volume, P9_TVERSION);
    put(&call, DATA_MAX + P9_IO_HEADER_SIZE, 4);
    put_name(&call, P9_VERSION);
    int error = finish(&call);
    if (error)
        return error;
    uint32_t msize = (uint32_t)take(&call, 4);
    uint32_t len = (uint32_t)take(&call, 2);
    bool ours = len == sizeof(version);
    for (size_t i = 0; ours && i < sizeof(version); i++)
        ours = (char)take(&call, 1) == P9_VERSION[i];
    error = taken(&call);
    if (error)
        return error;
    if (!ours) {
        log_error("fs: 9p %s: the host does not speak " P9_VERSION, volume->transport->tag);
        return -ENOTSUP;
    }
    if (msize < MSIZE_MIN || msize > DATA_MAX + P9_IO_HEADER_SIZE)
        return ninep_violation(volume, "a message size that makes no sense");
    volume->data_max = msize - P9_IO_HEADER_SIZE;
    return 0;
}

static int attach_root(struct ninep_volume *volume)
{
    struct call call;
    begin(&call, volume, P9_TATTACH);
    put(&call, NINEP_ROOT_FID, 4);
    put(&call, P9_NOFID, 4); /* no authentication */
    put_name(&call, "root");
    put_name(&call, ""); /* the only tree that the device has */
    put(&call, 0, 4);    /* the number of that user */
    int error = finish(&call);
    if (error)
        return error;
    uint8_t type = take_qid(&call);
    error = taken(&call);
    return error || (type & P9_QTDIR) ? error : -ENOTDIR;
}

int ninep_session(struct ninep_volume *volume)
{
    if (session_is_open(volume))
        return 0;
    volume->resets = volume->transport->resets;
    volume->session++;
    memset(volume->fids, 0, sizeof(volume->fids));
    memset(volume->stuck, 0, sizeof(volume->stuck));
    volume->fids[0] = 1u << NINEP_ROOT_FID;
    int error = negotiate_version(volume);
    if (!error)
        error = attach_root(volume);
    if (error)
        return error;
    volume->attached = true;
    if (volume->session > 1)
        log_warn("fs: 9p %s: attached again; files that were open before end in errors",
                 volume->transport->tag);
    return 0;
}

/* --- Fids ------------------------------------------------------------------------------------- */

int ninep_fid_check(struct ninep_volume *volume, struct ninep_fid fid)
{
    return session_is_open(volume) && fid.session == volume->session ? 0 : -EIO;
}

int ninep_fid_new(struct ninep_volume *volume, struct ninep_fid *fid)
{
    for (uint32_t number = 0; number < NINEP_FIDS; number++) {
        if ((volume->fids[number / 32] | volume->stuck[number / 32]) >> number % 32 & 1)
            continue;
        volume->fids[number / 32] |= 1u << number % 32;
        *fid = (struct ninep_fid){number, volume->session};
        return 0;
    }
    return -ENFILE;
}

void ninep_fid_forget(struct ninep_volume *volume, struct ninep_fid fid)
{
    if (fid.session == volume->session)
        volume->fids[fid.number / 32] &= ~(1u << fid.number % 32);
}

int ninep_clunk(struct ninep_volume *volume, struct ninep_fid fid)
{
    struct call call;
    int error = ninep_fid_check(volume, fid);
    if (error)
        return error;
    begin(&call, volume, P9_TCLUNK);
    put(&call, fid.number, 4);
    error = finish(&call);
    if (error == -EFAULT)
        volume->stuck[fid.number / 32] |= 1u << fid.number % 32;
    return error;
}

int ninep_fid_drop(struct ninep_volume *volume, struct ninep_fid fid)
{
    int error = ninep_clunk(volume, fid);
    ninep_fid_forget(volume, fid);
    return error;
}

int ninep_walk(struct ninep_volume *volume, uint32_t from, uint32_t to, const char *path,
               unsigned names, struct ninep_walked *walked)
{
    struct call call;
    begin(&call, volume, P9_TWALK);
    put(&call, from, 4);
    put(&call, to, 4);
    put(&call, names, 2);
    for (unsigned i = 0; i < names; i++) {
        size_t len = strcspn(path, "/");
        put_text(&call, path, len);
        path += len + (path[len] == '/');
    }
    int error = finish(&call);
    if (error)
        return error;
    *walked = (struct ninep_walked){(unsigned)take(&call, 2), P9_QTDIR};
    if (walked->names > names)
        return ninep_violation(volume, "a walk went further than asked");
    for (unsigned i = 0; i < walked->names; i++)
        walked->type = take_qid(&call);
    return taken(&call);
}

/* --- Requests about one fid ------------------------------------------------------------------- */

/* Rlopen and Rlcreate: qid[13] iounit[4]. */
static int take_opened(struct call *call, uint32_t *data_max)
{
    take_qid(call);
    uint32_t unit = (uint32_t)take(call, 4);
    *data_max = unit && unit < call->volume->data_max ? unit : call->volume->data_max;
    return taken(call);
}

int ninep_open_fid(struct ninep_volume *volume, uint32_t fid, uint32_t flags, uint32_t *data_max)
{
    struct call call;
    begin(&call, volume, P9_TLOPEN);
    put(&call, fid, 4);
    put(&call, flags, 4);
    int error = finish(&call);
    return error ? error : take_opened(&call, data_max);
}

int ninep_create(struct ninep_volume *volume, uint32_t fid, const char *name, uint32_t flags,
                 uint32_t *data_max)
{
    struct call call;
    begin(&call, volume, P9_TLCREATE);
    put(&call, fid, 4);
    put_name(&call, name);
    put(&call, flags, 4);
    put(&call, 0644, 4);
    put(&call, 0, 4); /* group */
    int error = finish(&call);
    return error ? error : take_opened(&call, data_max);
}

int ninep_read(struct ninep_volume *volume, uint32_t fid, uint64_t offset, void *data,
               uint32_t *count)
{
    struct call call;
    begin(&call, volume, P9_TREAD);
    put(&call, fid, 4);
    put(&call, offset, 8);
    put(&call, *count, 4);
    call.exchange.room = data;
    call.exchange.room_len = *count;
    int error = finish(&call);
    if (error)
        return error;
    uint32_t got = (uint32_t)take(&call, 4);
    error = taken(&call);
    if (error)
        return error;
    if (got > *count || got > call.exchange.reply_len - P9_READ_HEADER_SIZE)
        return ninep_violation(volume, "more bytes were read than there are");
    *count = got;
    return 0;
}

int ninep_write(struct ninep_volume *volume, uint32_t fid, uint64_t offset, const void *data,
                uint32_t *count)
{
    struct call call;
    begin(&call, volume, P9_TWRITE);
    put(&call, fid, 4);
    put(&call, offset, 8);
    put(&call, *count, 4);
    call.exchange.data = data;
    call.exchange.data_len = *count;
    int error = finish(&call);
    if (error)
        return error;
    uint32_t done = (uint32_t)take(&call, 4);
    error = taken(&call);
    if (error)
        return error;
    if (done > *count)
        return ninep_violation(volume, "more bytes were written than there are");
    *count = done;
    return 0;
}

int ninep_read_directory(struct ninep_volume *volume, uint32_t fid, uint64_t offset, void *data,
                         uint32_t *count)
{
    struct call call;
    uint32_t room = NINEP_REPLY_SIZE - P9_READ_HEADER_SIZE;
    begin(&call, volume, P9_TREADDIR);
    put(&call, fid, 4);
    put(&call, offset, 8);
    put(&call, room < volume->data_max ? room : volume->data_max, 4);
    int error = finish(&call);
    if (error)
        return error;
    *count = (uint32_t)take(&call, 4);
    error = taken(&call);
    if (error)
        return error;
    if (*count > (size_t)(call.end - call.at))
        return ninep_violation(volume, "more entries were read than there are");
    memcpy(data, call.at, *count);
    return 0;
}

int ninep_read_link(struct ninep_volume *volume, uint32_t fid, char target[FS_PATH_MAX])
{
    struct call call;
    begin(&call, volume, P9_TREADLINK);
    put(&call, fid, 4);
    int error = finish(&call);
    if (error)
        return error;
    uint32_t len = (uint32_t)take(&call, 2);
    if (!call.overrun && len > (size_t)(call.end - call.at))
        call.overrun = true;
    error = taken(&call);
    if (error)
        return error;
    if (len >= FS_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(target, call.at, len);
    target[len] = '\0';
    return strlen(target) == len ? 0 : ninep_violation(volume, "a link with a NUL in it");
}

/* Rgetattr: valid[8] qid[13] mode uid gid nlink[8] rdev[8] size blksize blocks, times as [8][8] */
int ninep_get_status(struct ninep_volume *volume, uint32_t fid, struct stat *status)
{
    struct call call;
    begin(&call, volume, P9_TGETATTR);
    put(&call, fid, 4);
    put(&call, P9_STATS_BASIC, 8);
    int error = finish(&call);
    if (error)
        return error;
    memset(status, 0, sizeof(*status));
    skip(&call, 8 + P9_QID_SIZE);
    status->st_mode = (mode_t)take(&call, 4);
    skip(&call, 4 + 4);
    status->st_nlink = (nlink_t)take(&call, 8);
    skip(&call, 8);
    uint64_t size = take(&call, 8);
    skip(&call, 8);
    status->st_blocks = (blkcnt_t)take(&call, 8);
    status->st_atime = (time_t)take(&call, 8);
    skip(&call, 8);
    status->st_mtime = (time_t)take(&call, 8);
    skip(&call, 8);
    status->st_ctime = (time_t)take(&call, 8);
    error = taken(&call);
    if (error)
        return error;
    if (size > INT64_MAX)
        return ninep_violation(volume, "a file's size");
    status->st_size = (off_t)size;
    /* The C library's buffer for a FILE has this size. */
    status->st_blksize = 32768;
    return 0;
}

/* Tsetattr: valid mode uid gid size[8] atime[16] mtime[16]; what is not valid is zero. */
int ninep_set_size(struct ninep_volume *volume, uint32_t fid, uint64_t size)
{
    struct call call;
    begin(&call, volume, P9_TSETATTR);
    put(&call, fid, 4);
    put(&call, P9_SETATTR_SIZE, 4);
    put(&call, 0, 4);
    put(&call, 0, 8);
    put(&call, size, 8);
    for (unsigned i = 0; i < 4; i++)
        put(&call, 0, 8);
    return finish(&call);
}

int ninep_sync_fid(struct ninep_volume *volume, uint32_t fid)
{
    struct call call;
    begin(&call, volume, P9_TFSYNC);
    put(&call, fid, 4);
    put(&call, 0, 4); /* the attributes as well as the data */
    return finish(&call);
}

/* --- Requests about names --------------------------------------------------------------------- */

int ninep_make_directory(struct ninep_volume *volume, uint32_t fid, const char *name)
{
    struct call call;
    begin(&call, volume, P9_TMKDIR);
    put(&call, fid, 4);
    put_name(&call, name);
    put(&call, 0755, 4);
    put(&call, 0, 4); /* group */
    return finish(&call);
}

int ninep_unlink(struct ninep_volume *volume, uint32_t fid, const char *name, uint32_t flags)
{
    struct call call;
    begin(&call, volume, P9_TUNLINKAT);
    put(&call, fid, 4);
    put_name(&call, name);
    put(&call, flags, 4);
    return finish(&call);
}

int ninep_rename(struct ninep_volume *volume, uint32_t from_fid, const char *from, uint32_t to_fid,
                 const char *to)
{
    struct call call;
    begin(&call, volume, P9_TRENAMEAT);
    put(&call, from_fid, 4);
    put_name(&call, from);
    put(&call, to_fid, 4);
    put_name(&call, to);
    return finish(&call);
}
