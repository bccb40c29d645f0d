/*
 * handshake.c - from the greeting to the choice of an export: fixed newstyle negotiation.
 *
 * Owns the options. Each is answered, those that are not known with NBD_REP_ERR_UNSUP; a client that
 * breaks the protocol is disconnected. Read transmit.c next.
 */
#include <string.h>

#include "nbd.h"
#include "wire.h"

/* The longest option there is: a name of 4096 bytes and its requests for information. */
#define OPTION_MAX 8192u
#define NAME_MAX_LEN 4096u

void nbd_greet(struct nbd_connection *connection)
{
    uint8_t greeting[18];
    uint8_t *at = nbd_put64(greeting, NBD_MAGIC);
    at = nbd_put64(at, NBD_IHAVEOPT);
    nbd_put16(at, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    nbd_send(connection, greeting, sizeof(greeting));
}

static void reply(struct nbd_connection *connection, uint32_t option, uint32_t type,
                  const void *data, size_t len)
{
    uint8_t header[20];
    uint8_t *at = nbd_put64(header, NBD_REP_MAGIC);
    at = nbd_put32(at, option);
    at = nbd_put32(at, type);
    nbd_put32(at, (uint32_t)len);
    nbd_send(connection, header, sizeof(header));
    if (len)
        nbd_send(connection, data, len);
}

static uint64_t export_size(const struct nbd_export *export)
{
    return export->disk->capacity * BLK_SECTOR_SIZE;
}

/* --- The options ------------------------------------------------------------------------------ */

/* The old way to choose: no answer but the export itself, or the end of the connection. */
static void option_export_name(struct nbd_connection *connection, const uint8_t *data, size_t len)
{
    uint8_t answer[10 + 124] = {0};
    connection->export = nbd_export_find(data, len);
    if (!connection->export) {
        nbd_end(connection, "asked for an export that there is not", true);
        return;
    }
    uint8_t *at = nbd_put64(answer, export_size(connection->export));
    nbd_put16(at, nbd_export_flags(connection->export));
    nbd_send(connection, answer, connection->no_zeroes ? 10 : sizeof(answer));
    connection->phase = NBD_TRANSMISSION;
}

static void option_list(struct nbd_connection *connection, size_t len)
{
    const struct nbd_export *export;
    if (len) {
        reply(connection, NBD_OPT_LIST, NBD_REP_ERR_INVALID, NULL, 0);
        return;
    }
    for (unsigned i = 0; (export = nbd_export_at(i)); i++) {
        uint8_t entry[4 + sizeof(export->disk->name)];
        size_t name_len = strlen(export->disk->name);
        memcpy(nbd_put32(entry, (uint32_t)name_len), export->disk->name, name_len);
        reply(connection, NBD_OPT_LIST, NBD_REP_SERVER, entry, 4 + name_len);
    }
    reply(connection, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static void send_information(struct nbd_connection *connection, uint32_t option,
                             const struct nbd_export *export, bool with_name)
{
    uint8_t info[32];
    uint8_t *at = nbd_put64(nbd_put16(info, NBD_INFO_EXPORT), export_size(export));
    nbd_put16(at, nbd_export_flags(export));
    reply(connection, option, NBD_REP_INFO, info, 12);
    at = nbd_put32(nbd_put16(info, NBD_INFO_BLOCK_SIZE), export->disk->block_size);
    at = nbd_put32(at, export->disk->block_size > 4096 ? export->disk->block_size : 4096);
    nbd_put32(at, NBD_PAYLOAD_MAX);
    reply(connection, option, NBD_REP_INFO, info, 14);
    if (!with_name)
        return;
    size_t len = strlen(export->disk->name);
    memcpy(nbd_put16(info, NBD_INFO_NAME), export->disk->name, len);
    reply(connection, option, NBD_REP_INFO, info, 2 + len);
}

/* NBD_OPT_INFO, and NBD_OPT_GO, which chooses as well. */
static void option_info(struct nbd_connection *connection, uint32_t option, const uint8_t *data,
                        size_t len)
{
    uint32_t name_len = len >= 6 ? nbd_get32(data) : UINT32_MAX;
    bool with_name = false;
    if (name_len > NAME_MAX_LEN || len < 6 + name_len ||
        len != 6 + name_len + 2 * (size_t)nbd_get16(data + 4 + name_len)) {
        reply(connection, option, NBD_REP_ERR_INVALID, NULL, 0);
        return;
    }
    const struct nbd_export *export = nbd_export_find(data + 4, name_len);
    if (!export) {
        reply(connection, option, NBD_REP_ERR_UNKNOWN, NULL, 0);
        return;
    }
    for (const uint8_t *at = data + 6 + name_len; at < data + len; at += 2)
        with_name |= nbd_get16(at) == NBD_INFO_NAME;
    send_information(connection, option, export, with_name);
    reply(connection, option, NBD_REP_ACK, NULL, 0);
    if (option == NBD_OPT_GO) {
        connection->export = export;
        connection->phase = NBD_TRANSMISSION;
    }
}

static void option_structured_reply(struct nbd_connection *connection, size_t len)
{
    connection->structured |= !len;
    reply(connection, NBD_OPT_STRUCTURED_REPLY, len ? NBD_REP_ERR_INVALID : NBD_REP_ACK, NULL, 0);
}

static void handle_option(struct nbd_connection *connection, uint32_t option, const uint8_t *data,
                          size_t len)
{
    switch (option) {
    case NBD_OPT_EXPORT_NAME:
        option_export_name(connection, data, len);
        break;
    case NBD_OPT_ABORT:
        reply(connection, option, NBD_REP_ACK, NULL, 0);
        nbd_end(connection, "the client gave up", false);
        break;
    case NBD_OPT_LIST:
        option_list(connection, len);
        break;
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        option_info(connection, option, data, len);
        break;
    case NBD_OPT_STRUCTURED_REPLY:
        option_structured_reply(connection, len);
        break;
    default:
        reply(connection, option, NBD_REP_ERR_UNSUP, NULL, 0);
        break;
    }
}

/* --- Steps ------------------------------------------------------------------------------------ */

static bool take_client_flags(struct nbd_connection *connection)
{
    uint8_t field[4];
    if (!nbd_peek(connection, field, sizeof(field)))
        return false;
    nbd_take(connection, NULL, sizeof(field));
    uint32_t flags = nbd_get32(field);
    if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
        nbd_end(connection, "unknown client flags", true);
        return false;
    }
    connection->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
    connection->phase = NBD_OPTIONS;
    return true;
}

bool nbd_handshake(struct nbd_connection *connection)
{
    static uint8_t option[NBD_OPTION_HEADER_SIZE + OPTION_MAX];
    if (connection->phase == NBD_FLAGS)
        return take_client_flags(connection);
    if (!nbd_peek(connection, option, NBD_OPTION_HEADER_SIZE))
        return false;
    uint32_t len = nbd_get32(option + 12);
    if (nbd_get64(option) != NBD_IHAVEOPT) {
        nbd_end(connection, "no option where one was due", true);
        return false;
    }
    if (len > OPTION_MAX) {
        nbd_end(connection, "an option of no end", true);
        return false;
    }
    if (!nbd_peek(connection, option, NBD_OPTION_HEADER_SIZE + len))
        return false;
    nbd_take(connection, NULL, NBD_OPTION_HEADER_SIZE + len);
    handle_option(connection, nbd_get32(option + 8), option + NBD_OPTION_HEADER_SIZE, len);
    return true;
}
