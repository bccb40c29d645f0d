/*
 * proof_ninep.c - answers of a 9P server that writes anything of any length: what is taken of them
 * was written, numbers lie within what was asked for, texts end, and whoever breaks the protocol
 * loses the session.
 */
// unwind: 14
// variant walk: -DWALK -DREPLY=48
// variant data: -DDATA -DREPLY=16
// variant status: -DSTATUS -DREPLY=160
// variant link: -DLINK -DREPLY=32
// variant directory: -DDIRECTORY -DREPLY=64
// control walk: fs/ninep_rpc.c: if (walked->names > names) => if (0)
// control walk: fs/ninep_rpc.c: size > written) => 0)
// control data: fs/ninep_rpc.c: || got > call.exchange.reply_len - P9_READ_HEADER_SIZE) => )
// control data: fs/ninep_rpc.c: if (done > *count) => if (0)
// control status: fs/ninep_rpc.c: if (size > INT64_MAX) => if (0)
// control status: fs/ninep_rpc.c: call->at = call->end;\n        return 0; =>
// control link: fs/ninep_rpc.c: if (len >= FS_PATH_MAX) => if (len > FS_PATH_MAX)
// control directory: fs/ninep_rpc.c: if (*count > (size_t)(call.end - call.at)) => if (0)
#include "proof.h"

#include "fs/ninep.h"
#undef NINEP_REPLY_SIZE
#define NINEP_REPLY_SIZE REPLY
#undef NINEP_REQUEST_SIZE
#define NINEP_REQUEST_SIZE 64u
#undef FS_PATH_MAX
#define FS_PATH_MAX 12u
#include "fs/ninep_rpc.c"

static struct ninep_volume volume;
static uint32_t reply_len;

int error_from_linux(uint32_t number)
{
    int error = 1 + any_u8();

    (void)number;
    return error;
}

size_t strcspn(const char *text, const char *reject)
{
    size_t len = 0;

    while (text[len] && text[len] != *reject)
        len++;
    return len;
}

static int exchange(struct ninep_transport *transport, struct ninep_exchange *x)
{
    claim(x->request_len <= NINEP_REQUEST_SIZE);
    claim(!x->room_len || __CPROVER_w_ok(x->room, x->room_len));
    claim(!x->data_len || __CPROVER_r_ok(x->data, x->data_len));
    x->reply_len = any_u32();
    assume(x->reply_len <= (x->room_len ? P9_READ_HEADER_SIZE + x->room_len : NINEP_REPLY_SIZE));
    reply_len = x->reply_len;
    transport->resets += any_bool();
    return any_bool() ? 0 : -EIO;
}

#if defined(WALK)
static void check(void)
{
    struct ninep_walked walked;
    const unsigned names = 2;
    int error = ninep_walk(&volume, any_u32(), any_u32(), "a/b", names, &walked);

    claim(error <= 0);
    claim(error ||
          (walked.names <= names && reply_len >= P9_HEADER_SIZE + 2 + walked.names * P9_QID_SIZE));
}
#elif defined(DATA)
static void check(void)
{
    uint32_t asked = any_u32(), count = asked;
    void *data;
    int error;

    assume(asked >= 1 && asked <= 64);
    data = malloc(asked);
    if (any_bool()) {
        error = ninep_read(&volume, any_u32(), any_u64(), data, &count);
        claim(error || count <= reply_len - P9_READ_HEADER_SIZE);
    } else {
        error = ninep_write(&volume, any_u32(), any_u64(), data, &count);
    }
    claim(error <= 0 && (error || count <= asked));
}
#elif defined(STATUS)
static void check(void)
{
    struct stat status;
    uint32_t data_max = 0;
    int error;

    volume.data_max = any_u32();
    error = ninep_open_fid(&volume, any_u32(), any_u32(), &data_max);
    claim(error <= 0 && (error || data_max <= volume.data_max));
    error = ninep_get_status(&volume, any_u32(), &status);
    claim(error <= 0 && (error || status.st_size >= 0));
}
#elif defined(LINK)
static void check(void)
{
    char *target = malloc(FS_PATH_MAX);
    int error = ninep_read_link(&volume, any_u32(), target);

    claim(error <= 0 && (error || strlen(target) < FS_PATH_MAX));
}
#else
static void check(void)
{
    uint8_t *entries = malloc(NINEP_REPLY_SIZE);
    uint32_t count;
    int error = ninep_read_directory(&volume, any_u32(), any_u64(), entries, &count);

    claim(error <= 0 && (error || count <= reply_len - P9_READ_HEADER_SIZE));
}
#endif

int main(void)
{
    struct ninep_transport transport = {.tag = "proof",
                                        .request = malloc(NINEP_REQUEST_SIZE),
                                        .reply = malloc(NINEP_REPLY_SIZE),
                                        .exchange = exchange};

    volume.transport = &transport;
    volume.attached = true;
    volume.complaints = any_unsigned();
    check();
    return 0;
}
