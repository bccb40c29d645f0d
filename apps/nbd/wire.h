/*
 * wire.h - the numbers of the NBD protocol, and big-endian fields.
 *
 * Names are those of the protocol's document, doc/proto.md of the NBD project. No logic. Read
 * handshake.c next.
 */
#ifndef FERRULE_APPS_NBD_WIRE_H
#define FERRULE_APPS_NBD_WIRE_H

#include <stdint.h>

#define NBD_PORT 10809

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)    /* "NBDMAGIC" */
#define NBD_IHAVEOPT UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REP_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu

#define NBD_FLAG_FIXED_NEWSTYLE 1u
#define NBD_FLAG_NO_ZEROES 2u

enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
};

#define NBD_REP_ACK 1u
#define NBD_REP_SERVER 2u
#define NBD_REP_INFO 3u
#define NBD_REP_ERR_UNSUP 0x80000001u
#define NBD_REP_ERR_INVALID 0x80000003u
#define NBD_REP_ERR_UNKNOWN 0x80000006u

enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_BLOCK_SIZE = 3 };

#define NBD_FLAG_HAS_FLAGS 0x001u
#define NBD_FLAG_READ_ONLY 0x002u
#define NBD_FLAG_SEND_FLUSH 0x004u
#define NBD_FLAG_SEND_FUA 0x008u
#define NBD_FLAG_SEND_TRIM 0x020u
#define NBD_FLAG_SEND_WRITE_ZEROES 0x040u
#define NBD_FLAG_SEND_DF 0x080u
#define NBD_FLAG_CAN_MULTI_CONN 0x100u

enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
};

#define NBD_CMD_FLAG_FUA 1u
#define NBD_CMD_FLAG_NO_HOLE 2u
#define NBD_CMD_FLAG_DF 4u

#define NBD_REPLY_FLAG_DONE 1u
#define NBD_REPLY_TYPE_NONE 0u
#define NBD_REPLY_TYPE_OFFSET_DATA 1u
#define NBD_REPLY_TYPE_ERROR 0x8001u

/* Errors have the numbers of Linux, whatever the C library's are. */
enum {
    NBD_EPERM = 1,
    NBD_EIO = 5,
    NBD_ENOMEM = 12,
    NBD_EINVAL = 22,
    NBD_ENOSPC = 28,
    NBD_ENOTSUP = 95,
};

#define NBD_OPTION_HEADER_SIZE 16u  /* magic, option, length */
#define NBD_REQUEST_HEADER_SIZE 28u /* magic, flags, type, cookie, offset, length */

static inline uint16_t nbd_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

static inline uint32_t nbd_get32(const uint8_t *from)
{
    return (uint32_t)nbd_get16(from) << 16 | nbd_get16(from + 2);
}

static inline uint64_t nbd_get64(const uint8_t *from)
{
    return (uint64_t)nbd_get32(from) << 32 | nbd_get32(from + 4);
}

/* They return the place behind the field. */
static inline uint8_t *nbd_put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}

static inline uint8_t *nbd_put32(uint8_t *to, uint32_t value)
{
    return nbd_put16(nbd_put16(to, value >> 16), value & 0xffff);
}

static inline uint8_t *nbd_put64(uint8_t *to, uint64_t value)
{
    return nbd_put32(nbd_put32(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

#endif
