/*
 * transmit.c - requests of NBD clients: checked, given to the disk, answered.
 *
 * Owns requests and the chunks of memory that their data lies in. Data of a write is copied out of
 * the packets into chunks, data of a read goes from its chunks to lwIP without a copy and keeps them
 * until the client has acknowledged it. Requests are answered in the order in which the disk
 * finishes them. Read connection.c for when these functions are called.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbd.h"
#include "platform.h"
#include "wire.h"

/* Chunks: one part in so many of the free memory, between a request's worth and enough. */
#define MEMORY_SHARE 4u
#define CHUNKS_MAX 1024u

/* Zeros for NBD_CMD_WRITE_ZEROES, written from the same memory over and over. */
static uint8_t zeros[NBD_CHUNK_SIZE];

static struct nbd_request *free_requests;
static uint8_t *free_chunks; /* each begins with the address of the next */
static unsigned free_chunk_count;
static bool somebody_waits; /* for a request or a chunk */

int nbd_transmit_init(void)
{
    uint64_t total, available;
    platform_memory(&total, &available);
    uint64_t count = available / MEMORY_SHARE / NBD_CHUNK_SIZE;
    count = count > CHUNKS_MAX ? CHUNKS_MAX : count;
    struct nbd_request *requests = calloc(NBD_REQUESTS_MAX, sizeof(*requests));
    uint8_t *memory = platform_dma_alloc(count * NBD_CHUNK_SIZE, 4096);
    if (!requests || !memory || count < 2 * NBD_REQUEST_CHUNKS)
        return -ENOMEM;
    for (unsigned i = 0; i < NBD_REQUESTS_MAX; i++) {
        requests[i].next = free_requests;
        free_requests = &requests[i];
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t *chunk = memory + (size_t)i * NBD_CHUNK_SIZE;
        memcpy(chunk, &free_chunks, sizeof(free_chunks));
        free_chunks = chunk;
    }
    free_chunk_count = (unsigned)count;
    return 0;
}

/* --- Requests and their memory ---------------------------------------------------------------- */

static bool carries_data(unsigned type)
{
    return type == NBD_CMD_READ || type == NBD_CMD_WRITE;
}

static void take_chunks(struct nbd_request *request)
{
    for (uint32_t left = request->length; left;) {
        uint32_t len = left < NBD_CHUNK_SIZE ? left : NBD_CHUNK_SIZE;
        request->segment[request->chunks++] = (struct blk_segment){free_chunks, len};
        memcpy(&free_chunks, (const void *)free_chunks, sizeof(free_chunks));
        free_chunk_count--;
        left -= len;
    }
}

/* NULL while there are not enough requests or chunks; somebody's end wakes the connection then. */
static struct nbd_request *request_get(struct nbd_connection *connection, const uint8_t *header)
{
    struct nbd_request *request = free_requests;
    unsigned type = nbd_get16(header + 6);
    uint32_t length = nbd_get32(header + 24);
    unsigned chunks = carries_data(type) ? (length + NBD_CHUNK_SIZE - 1) / NBD_CHUNK_SIZE : 0;
    if (!request || connection->requests == NBD_REQUESTS_PER_CONNECTION ||
        chunks > free_chunk_count) {
        somebody_waits = true;
        return NULL;
    }
    free_requests = request->next;
    *request = (struct nbd_request){
        .connection = connection,
        .flags = (uint16_t)nbd_get16(header + 4),
        .type = (uint16_t)type,
        .offset = nbd_get64(header + 16),
        .length = length,
    };
    memcpy(request->cookie, header + 8, sizeof(request->cookie));
    if (chunks)
        take_chunks(request);
    connection->requests++;
    return request;
}

static void request_put(struct nbd_request *request)
{
    struct nbd_connection *connection = request->connection;
    while (request->chunks) {
        uint8_t *chunk = request->segment[--request->chunks].data;
        memcpy(chunk, &free_chunks, sizeof(free_chunks));
        free_chunks = chunk;
        free_chunk_count++;
    }
    request->next = free_requests;
    free_requests = request;
    connection->requests--;
    if (somebody_waits)
        nbd_touch_all();
    somebody_waits = false;
}

static void queue_put(struct nbd_queue *queue, struct nbd_request *request)
{
    request->next = NULL;
    *queue->tail = request;
    queue->tail = &request->next;
}

static struct nbd_request *queue_get(struct nbd_queue *queue)
{
    struct nbd_request *request = queue->head;
    if (request && !(queue->head = request->next))
        queue->tail = &queue->head;
    return request;
}

/* --- Replies ---------------------------------------------------------------------------------- */

static uint32_t nbd_error(int status)
{
    switch (status) {
    case 0:
        return 0;
    case -EROFS:
        return NBD_EPERM;
    case -EINVAL:
        return NBD_EINVAL;
    case -ENOSPC:
        return NBD_ENOSPC;
    case -ENOMEM:
        return NBD_ENOMEM;
    case -ENOTSUP:
        return NBD_ENOTSUP;
    default:
        return NBD_EIO;
    }
}

static void simple_reply(struct nbd_request *request, uint32_t error)
{
    uint8_t *at = nbd_put32(request->reply, NBD_SIMPLE_REPLY_MAGIC);
    at = nbd_put32(at, error);
    memcpy(at, request->cookie, sizeof(request->cookie));
    request->reply_len = 16;
    request->data_len = request->type == NBD_CMD_READ && !error ? request->length : 0;
}

/* One chunk of the protocol's: the data at its offset, an error, or neither. */
static void structured_reply(struct nbd_request *request, uint32_t error)
{
    bool data = request->type == NBD_CMD_READ && !error;
    unsigned type = error  ? NBD_REPLY_TYPE_ERROR
                    : data ? NBD_REPLY_TYPE_OFFSET_DATA
                           : NBD_REPLY_TYPE_NONE;
    uint8_t *at = nbd_put32(request->reply, NBD_STRUCTURED_REPLY_MAGIC);
    at = nbd_put16(nbd_put16(at, NBD_REPLY_FLAG_DONE), type);
    memcpy(at, request->cookie, sizeof(request->cookie));
    at = nbd_put32(at + 8, error ? 6 : data ? 8 + request->length : 0);
    if (error)
        at = nbd_put16(nbd_put32(at, error), 0);
    else if (data)
        at = nbd_put64(at, request->offset);
    request->reply_len = (uint32_t)(at - request->reply);
    request->data_len = data ? request->length : 0;
}

static void answer(struct nbd_request *request, uint32_t error)
{
    struct nbd_connection *connection = request->connection;
    nbd_touch(connection);
    if (!connection->pcb) {
        request_put(request);
        return;
    }
    if (connection->structured)
        structured_reply(request, error);
    else
        simple_reply(request, error);
    request->reply_given = 0;
    queue_put(&connection->replies, request);
}

/* The piece of a reply that is next: its header, or the rest of a chunk. */
static uint32_t reply_piece(const struct nbd_request *request, const uint8_t **piece)
{
    uint32_t given = request->reply_given;
    if (given < request->reply_len) {
        *piece = request->reply + given;
        return request->reply_len - given;
    }
    given -= request->reply_len;
    uint32_t in_chunk = given % NBD_CHUNK_SIZE, left = request->data_len - given;
    *piece = (const uint8_t *)request->segment[given / NBD_CHUNK_SIZE].data + in_chunk;
    return left < NBD_CHUNK_SIZE - in_chunk ? left : NBD_CHUNK_SIZE - in_chunk;
}

/* False when lwIP takes no more for now. */
static bool give_reply(struct nbd_connection *connection, struct nbd_request *request)
{
    uint32_t total = request->reply_len + request->data_len;
    while (request->reply_given < total) {
        const uint8_t *piece;
        uint32_t len = reply_piece(request, &piece);
        u16_t room =
            tcp_sndbuf(connection->pcb) < UINT16_MAX ? tcp_sndbuf(connection->pcb) : UINT16_MAX;
        if (len > room)
            len = room;
        u8_t more = request->reply_given + len < total ? TCP_WRITE_FLAG_MORE : 0;
        if (!len || tcp_write(connection->pcb, piece, (u16_t)len, more) != ERR_OK)
            return false;
        request->reply_given += len;
        connection->given += len;
    }
    request->reply_end = connection->given;
    return true;
}

void nbd_transmit_replies(struct nbd_connection *connection)
{
    while (connection->sent.head &&
           (int32_t)(connection->acknowledged - connection->sent.head->reply_end) >= 0)
        request_put(queue_get(&connection->sent));
    while (connection->replies.head && give_reply(connection, connection->replies.head))
        queue_put(&connection->sent, queue_get(&connection->replies));
}

void nbd_transmit_drop(struct nbd_connection *connection)
{
    struct nbd_request *request;
    if (connection->receiving)
        request_put(connection->receiving);
    connection->receiving = NULL;
    while ((request = queue_get(&connection->replies)))
        request_put(request);
    while ((request = queue_get(&connection->sent)))
        request_put(request);
}

/* --- With the disk ---------------------------------------------------------------------------- */

static void on_done(struct blk_request *blk);

static void submit(struct nbd_request *request, enum blk_op op, unsigned segments)
{
    request->blk = (struct blk_request){
        .op = op,
        .sector = (request->offset + request->zeroed) / BLK_SECTOR_SIZE,
        .segment = segments ? request->segment : NULL,
        .segments = segments,
        .done = on_done,
        .context = request,
    };
    blk_submit(request->connection->export->disk, &request->blk);
}

/* The next part of a range of zeros. */
static void submit_zeros(struct nbd_request *request)
{
    uint64_t left = request->length - request->zeroed;
    unsigned segments = 0;
    for (; left && segments < NBD_REQUEST_CHUNKS; segments++) {
        uint32_t len = left < NBD_CHUNK_SIZE ? (uint32_t)left : NBD_CHUNK_SIZE;
        request->segment[segments] = (struct blk_segment){zeros, len};
        left -= len;
    }
    submit(request, BLK_WRITE, segments);
    request->zeroed = request->length - left;
}

/* The whole range in one request, which has no data. */
static void submit_range(struct nbd_request *request, enum blk_op op)
{
    request->blk = (struct blk_request){
        .op = op,
        .sector = request->offset / BLK_SECTOR_SIZE,
        .sectors = request->length / BLK_SECTOR_SIZE,
        .unmap = op == BLK_WRITE_ZEROES && !(request->flags & NBD_CMD_FLAG_NO_HOLE),
        .done = on_done,
        .context = request,
    };
    blk_submit(request->connection->export->disk, &request->blk);
}

static void on_done(struct blk_request *blk)
{
    struct nbd_request *request = blk->context;
    if (blk->status == -ENOTSUP && blk->op == BLK_WRITE_ZEROES)
        submit_zeros(request); /* the disk cannot do it for this range, so they are written */
    else if (blk->status == -ENOTSUP && blk->op == BLK_DISCARD)
        answer(request, 0); /* a trim is a hint */
    else if (!blk->status && request->type == NBD_CMD_WRITE_ZEROES && blk->op == BLK_WRITE &&
             request->zeroed < request->length)
        submit_zeros(request);
    else if (!blk->status && blk->op != BLK_READ && blk->op != BLK_FLUSH &&
             (request->flags & NBD_CMD_FLAG_FUA))
        submit(request, BLK_FLUSH, 0);
    else
        answer(request, nbd_error(blk->status));
}

static void start(struct nbd_request *request)
{
    switch (request->type) {
    case NBD_CMD_READ:
        submit(request, BLK_READ, request->chunks);
        break;
    case NBD_CMD_WRITE:
        submit(request, BLK_WRITE, request->chunks);
        break;
    case NBD_CMD_WRITE_ZEROES:
        submit_range(request, BLK_WRITE_ZEROES);
        break;
    case NBD_CMD_TRIM:
        submit_range(request, BLK_DISCARD);
        break;
    case NBD_CMD_FLUSH:
        submit(request, BLK_FLUSH, 0);
        break;
    }
}

/* --- From the client -------------------------------------------------------------------------- */

/* What is wrong with a request, as NBD's error; 0 for nothing. */
static uint32_t check(const struct nbd_connection *connection, const uint8_t *header)
{
    const struct nbd_export *export = connection->export;
    unsigned flags = nbd_get16(header + 4), type = nbd_get16(header + 6);
    uint64_t offset = nbd_get64(header + 16), size = export->disk->capacity * BLK_SECTOR_SIZE;
    uint32_t length = nbd_get32(header + 24);
    bool changes = type == NBD_CMD_WRITE || type == NBD_CMD_TRIM || type == NBD_CMD_WRITE_ZEROES;
    if (flags & ~(NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_DF))
        return NBD_EINVAL;
    if (type == NBD_CMD_FLUSH)
        return offset || length ? NBD_EINVAL : 0;
    if (type != NBD_CMD_READ && !changes)
        return NBD_EINVAL;
    if (changes && (export->read_only || export->disk->read_only))
        return NBD_EPERM;
    if (!length || offset % export->disk->block_size || length % export->disk->block_size)
        return NBD_EINVAL;
    if (offset > size || length > size - offset)
        return changes && type == NBD_CMD_WRITE ? NBD_ENOSPC : NBD_EINVAL;
    return type == NBD_CMD_READ && length > NBD_PAYLOAD_MAX ? NBD_EINVAL : 0;
}

/* Goes on with the data of a write; false when more must come. */
static bool receive_data(struct nbd_connection *connection)
{
    struct nbd_request *request = connection->receiving;
    while (connection->received < request->length && connection->input_len) {
        struct blk_segment *segment = &request->segment[connection->received / NBD_CHUNK_SIZE];
        uint32_t at = connection->received % NBD_CHUNK_SIZE;
        uint32_t len = segment->len - at;
        if (len > connection->input_len)
            len = connection->input_len;
        nbd_take(connection, (uint8_t *)segment->data + at, len);
        connection->received += len;
    }
    if (connection->received < request->length)
        return false;
    connection->receiving = NULL;
    start(request);
    return true;
}

static bool skip_data(struct nbd_connection *connection)
{
    uint32_t len =
        connection->skip < connection->input_len ? connection->skip : connection->input_len;
    nbd_take(connection, NULL, len);
    connection->skip -= len;
    return !connection->skip;
}

static bool receive_request(struct nbd_connection *connection)
{
    uint8_t header[NBD_REQUEST_HEADER_SIZE];
    if (!nbd_peek(connection, header, sizeof(header)))
        return false;
    unsigned type = nbd_get16(header + 6);
    uint32_t length = nbd_get32(header + 24);
    if (nbd_get32(header) != NBD_REQUEST_MAGIC) {
        nbd_end(connection, "no request where one was due", false);
        return false;
    }
    if (type == NBD_CMD_DISC) {
        nbd_end(connection, "as the client asked", false);
        return false;
    }
    if (type == NBD_CMD_WRITE && length > NBD_PAYLOAD_MAX) {
        nbd_end(connection, "a write of more than was agreed", false);
        return false;
    }
    uint32_t error = check(connection, header);
    if (error) /* a refused request needs no memory for its data */
        nbd_put32(header + 24, 0);
    struct nbd_request *request = request_get(connection, header);
    if (!request)
        return false;
    nbd_take(connection, NULL, sizeof(header));
    if (error) {
        connection->skip = type == NBD_CMD_WRITE ? length : 0;
        answer(request, error);
    } else if (type == NBD_CMD_WRITE) {
        connection->receiving = request;
        connection->received = 0;
    } else {
        start(request);
    }
    return true;
}

bool nbd_transmit(struct nbd_connection *connection)
{
    if (connection->skip)
        return skip_data(connection);
    return connection->receiving ? receive_data(connection) : receive_request(connection);
}
