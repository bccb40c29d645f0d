/*
 * proof_fuse.c - answers of a FUSE server that writes anything of any length: none is longer than
 * the room for it or than what was written, texts end, and whoever breaks the protocol loses the
 * session.
 */
// unwind: 14
// variant answer: -DANSWER
// variant data: -DDATA
// variant entry: -DENTRY
// variant link: -DLINK
// control answer: fs/fuse_rpc.c: || header.len > written) => )
// control answer: fs/fuse_rpc.c: || call->out_len > max) => )
// control data: fs/fuse_rpc.c: if (out.size > *count) => if (0)
// control entry: fs/fuse_rpc.c: if (attr->size > INT64_MAX) => if (0)
// control entry: fs/fuse_rpc.c: if (entry->nodeid == FUSE_ROOT_ID) => if (0)
// control link: fs/fuse_rpc.c: .out_max = FS_PATH_MAX - 1 => .out_max = FS_PATH_MAX
#include "proof.h"

#include "fs/fuse.h"
#undef FUSE_REPLY_SIZE
#define FUSE_REPLY_SIZE 160u
#undef FUSE_REQUEST_SIZE
#define FUSE_REQUEST_SIZE 128u
#undef FS_PATH_MAX
#define FS_PATH_MAX 12u
#include "fs/fuse_rpc.c"

static struct fuse_volume volume;
static uint32_t reply_len;

int error_from_linux(uint32_t number)
{
    int error = 1 + any_u8();

    claim(number >= 1 && number <= LINUX_ERROR_MAX);
    return error;
}

static int exchange(struct fuse_transport *transport, struct fuse_exchange *x)
{
    claim(x->request_len <= FUSE_REQUEST_SIZE);
    claim(!x->room_len || __CPROVER_w_ok(x->room, x->room_len));
    claim(!x->data_len || __CPROVER_r_ok(x->data, x->data_len));
    x->reply_len = any_u32();
    assume(x->reply_len <= (x->room_len ? sizeof(struct fuse_out_header) + (uint64_t)x->room_len
                                        : FUSE_REPLY_SIZE));
    reply_len = x->reply_len;
    transport->resets += any_bool();
    return any_bool() ? 0 : -EIO;
}

static struct fuse_node any_node(void)
{
    return (struct fuse_node){any_u64(), any_unsigned()};
}

#if defined(ANSWER)
static void check(void)
{
    uint32_t room = any_u32(), min = any_u32();
    struct call call = {.out_min = min, .out_max = room};
    int error;

    assume(room <= 64);
    call.out = malloc(room);
    call.exchange.room_len = any_bool() ? room : 0;
    call.exchange.reply_len = reply_len = any_u32();
    assume(reply_len <= FUSE_REPLY_SIZE);
    error = take_answer(&volume, &call);
    claim(error <= 0);
    claim(error || (call.out_len >= min && call.out_len <= room &&
                    call.out_len + sizeof(struct fuse_out_header) <= reply_len));
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
        error = fuse_read(&volume, any_node(), any_u64(), any_u64(), data, &count);
        claim(error || count <= reply_len - sizeof(struct fuse_out_header));
    } else {
        error = fuse_write(&volume, any_node(), any_u64(), any_u64(), data, &count);
    }
    claim(error <= 0 && (error || count <= asked));
}
#elif defined(ENTRY)
static void check(void)
{
    struct fuse_node node;
    struct stat status;
    int error = fuse_lookup(&volume, any_node(), "ab", any_unsigned() % 3, &node, &status);

    claim(error <= 0);
    claim(error || (node.id > FUSE_ROOT_ID && status.st_size >= 0));
}
#else
static void check(void)
{
    char *target = malloc(FS_PATH_MAX);
    int error = fuse_read_link(&volume, any_node(), target);

    claim(error <= 0 && (error || strlen(target) < FS_PATH_MAX));
}
#endif

int main(void)
{
    struct fuse_transport transport = {.tag = "proof",
                                       .request = malloc(FUSE_REQUEST_SIZE),
                                       .reply = malloc(FUSE_REPLY_SIZE),
                                       .exchange = exchange};

    volume.transport = &transport;
    volume.attached = true;
    volume.session = any_unsigned();
    volume.unique = any_u64();
    volume.complaints = any_unsigned();
    check();
    return 0;
}
