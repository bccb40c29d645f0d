/*
 * target_vsock.c - the socket device driver (5.10) and connections over it under a hostile device,
 * with a user of four connections and a listener.
 *
 * The good device accepts every connection, echoes what it is sent and confirms every end; besides,
 * the input may have it say anything to any of them.
 */
#include <errno.h>

#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"
#include "vsock/virtio_vsock.h"
#include "vsock/vsock.h"
#include "virtio/spec_devices.h"

#define CID 9u
#define PORT 7u
#define CONNECTIONS 4u
#define SAID 16u
#define BUFFER 100000u

static struct vsock_connection *connection[CONNECTIONS];
static bool over[CONNECTIONS], whole[CONNECTIONS]; /* of messages */
static uint8_t *memory;

/* What the device has to say: headers, each with `len` bytes of anything. */
static struct virtio_vsock_hdr said[SAID];
static unsigned head, tail;
static struct virtio_vsock_hdr last; /* of the driver's packets */
static uint32_t taken;

/* ---- the user ---- */

static unsigned number_of(const void *arg)
{
    return (unsigned)((struct vsock_connection *const *)arg - connection);
}

static void check(void *arg, struct vsock_connection *c)
{
    size_t len, total = 0;

    if (connection[number_of(arg)] != c)
        hosted_fail("a callback for a connection that is nobody's");
    while (vsock_peek(c, total, &len))
        total += len;
    if (total > VSOCK_BUFFER_SIZE || vsock_readable(c) > total ||
        (!whole[number_of(arg)] && vsock_readable(c) < total))
        hosted_fail("%zu bytes to read, which are said to be %zu", total, vsock_readable(c));
}

static void ended(void *arg, struct vsock_connection *c, int error)
{
    check(arg, c);
    if (over[number_of(arg)] || error > 0)
        hosted_fail("a connection ended twice, or with %d", error);
    over[number_of(arg)] = true;
}

static const struct vsock_callbacks callbacks = {
    .connected = check, .readable = check, .writable = check, .ended = ended};

static int accept_one(void *arg, struct vsock_connection *c)
{
    unsigned i = 0;

    while (i < CONNECTIONS && connection[i])
        i++;
    if (i == CONNECTIONS)
        return -EAGAIN;
    connection[i] = c;
    over[i] = false;
    whole[i] = arg != NULL;
    vsock_set_callbacks(c, &callbacks, &connection[i]);
    return 0;
}

static void start(uint8_t *at)
{
    memory = at;
    memset(connection, 0, sizeof(connection));
    memset(&last, 0, sizeof(last));
    head = tail = taken = 0;
    vsock_listen(PORT, VSOCK_TYPE_STREAM, accept_one, NULL);
    vsock_listen(PORT + 1, VSOCK_TYPE_SEQPACKET, accept_one, &whole);
}

static void say(const struct virtio_vsock_hdr *to, uint16_t op, uint32_t len)
{
    if (head - tail < SAID)
        said[head++ % SAID] = (struct virtio_vsock_hdr){.src_cid = VSOCK_CID_HOST,
                                                        .dst_cid = CID,
                                                        .src_port = to->dst_port,
                                                        .dst_port = to->src_port,
                                                        .len = len,
                                                        .type = to->type,
                                                        .op = op,
                                                        .flags = to->flags,
                                                        .buf_alloc = BUFFER,
                                                        .fwd_cnt = taken};
}

/* The device says something that no good one would, to a connection or to the listener. */
static void say_anything(struct input *input)
{
    struct virtio_vsock_hdr to = last, *words;
    uint8_t what = input_u8(input);

    if (what & 0x80)
        to = (struct virtio_vsock_hdr){
            .src_port = PORT + what % 2, .dst_port = input_u8(input), .type = 1 + what % 2};
    else if (connection[what % CONNECTIONS])
        to = (struct virtio_vsock_hdr){.src_port = vsock_own_port(connection[what % CONNECTIONS]),
                                       .dst_port = vsock_peer(connection[what % CONNECTIONS]).port,
                                       .type = 1 + whole[what % CONNECTIONS]};
    if (head - tail == SAID)
        return;
    words = &said[head % SAID];
    say(&to, input_u8(input) % 9, input_u16(input) % 5000u);
    if (what & 0x40) {
        words->flags = input_u8(input);
        words->fwd_cnt = input_u8(input);
        words->buf_alloc = input_u16(input);
    }
    if (what & 0x20)
        words->type = input_u8(input) % 4;
}

static void close_one(unsigned i, bool abort)
{
    struct vsock_connection *c = connection[i];

    connection[i] = NULL;
    vsock_close(c, abort);
}

static void use(uint8_t op, struct input *input)
{
    const struct vsock_address to = {VSOCK_CID_HOST, 1000 + op % 3u};
    unsigned i = input_u8(input) % CONNECTIONS;

    if (op % 8 == 7) {
        say_anything(input);
    } else if (!connection[i]) {
        over[i] = false;
        whole[i] = op & 32;
        if (vsock_connect(&to, whole[i] ? VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM,
                          op & 64 ? 5 : VSOCK_PORT_ANY, &callbacks, &connection[i],
                          &connection[i]) != 0)
            connection[i] = NULL;
    } else if (whole[i] && op % 8 < 2) {
        struct iovec pieces[2] = {{memory, op}, {memory + op, input_u16(input) % 20000u}};

        vsock_send_message(connection[i], pieces, 2, op & 8);
    } else if (whole[i] && op % 8 < 4) {
        vsock_ends_record(connection[i]);
        vsock_consume_message(connection[i]);
    } else if (op % 8 < 2) {
        vsock_send(connection[i], memory, input_u16(input) % 20000u);
    } else if (op % 8 < 4) {
        vsock_read(connection[i], memory, input_u16(input));
    } else if (op % 8 == 4) {
        vsock_shutdown(connection[i], op / 8 % 4);
    } else if (op % 8 == 5) {
        close_one(i, op & 8);
    } else {
        vsock_can_send(connection[i]);
        vsock_drain();
    }
}

static void stop(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (connection[i])
            close_one(i, false);
    vsock_unlisten(PORT);
    vsock_unlisten(PORT + 1);
}

/* ---- the good device ---- */

static uint32_t hear(const struct hostile_chain *chain)
{
    if (chain->out == 0 || chain->piece[0].len < sizeof(last))
        return 0;
    memcpy(&last, chain->piece[0].data, sizeof(last));
    if (last.op == VIRTIO_VSOCK_OP_REQUEST)
        say(&last, VIRTIO_VSOCK_OP_RESPONSE, taken = 0);
    else if (last.op == VIRTIO_VSOCK_OP_RW)
        say(&last, VIRTIO_VSOCK_OP_RW, taken += last.len);
    else if (last.op == VIRTIO_VSOCK_OP_SHUTDOWN)
        say(&last, VIRTIO_VSOCK_OP_RST, 0);
    return 0;
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    const struct virtio_vsock_hdr *words = &said[tail % SAID];

    if (queue == VIRTIO_VSOCK_Q_TX)
        return hear(chain);
    if (queue == VIRTIO_VSOCK_Q_EVENT || head == tail)
        return queue == VIRTIO_VSOCK_Q_EVENT ? HOSTILE_KEEP : 0;
    if (chain->in == 0 || chain->piece[0].len < sizeof(*words))
        return 0;
    tail++;
    memcpy(chain->piece[0].data, words, sizeof(*words));
    return chain->piece[0].len - sizeof(*words) < words->len
               ? chain->piece[0].len
               : (uint32_t)sizeof(*words) + words->len;
}

static const struct hostile_type type = {
    .driver = &virtio_vsock_driver,
    .id = 19,
    .queues = 3,
    .features = 1u << VIRTIO_VSOCK_F_STREAM | 1u << VIRTIO_VSOCK_F_SEQPACKET,
    .config = {CID},
    .answer = answer,
    .start = start,
    .use = use,
    .stop = stop,
};

void fuzz_vsock(struct input *input, bool packed)
{
    hostile_run(&type, packed, input);
}
