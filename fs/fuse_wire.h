/*
 * fuse_wire.h - the numbers and structures of the FUSE protocol, version 7.31, under the names that
 * fuse(4) and its users give them.
 *
 * No logic. Virtio-fs (VIRTIO 5.11) carries these messages. Numbers are little-endian, as on the
 * only CPU this runs on; open flags, modes and errors are Linux's. Read fuse.h next.
 */
#ifndef FERRULE_FS_FUSE_WIRE_H
#define FERRULE_FS_FUSE_WIRE_H

#include <stdint.h>

#define FUSE_KERNEL_VERSION 7u
#define FUSE_KERNEL_MINOR_VERSION 31u
/* From here on the structures below have the sizes that they have here. */
#define FUSE_MINOR_MIN 23u
#define FUSE_ROOT_ID 1u

#define FUSE_LOOKUP 1
#define FUSE_FORGET 2
#define FUSE_GETATTR 3
#define FUSE_SETATTR 4
#define FUSE_READLINK 5
#define FUSE_MKDIR 9
#define FUSE_UNLINK 10
#define FUSE_RMDIR 11
#define FUSE_RENAME 12
#define FUSE_OPEN 14
#define FUSE_READ 15
#define FUSE_WRITE 16
#define FUSE_RELEASE 18
#define FUSE_FSYNC 20
#define FUSE_INIT 26
#define FUSE_OPENDIR 27
#define FUSE_READDIR 28
#define FUSE_RELEASEDIR 29
#define FUSE_CREATE 35
#define FUSE_DESTROY 38

struct fuse_in_header {
    uint32_t len; /* of the whole request */
    uint32_t opcode;
    uint64_t unique;
    uint64_t nodeid;
    uint32_t uid, gid, pid, padding;
};
_Static_assert(sizeof(struct fuse_in_header) == 40, "FUSE 7.31");

struct fuse_out_header {
    uint32_t len;  /* of the whole answer */
    int32_t error; /* 0 or a negative errno of Linux's */
    uint64_t unique;
};
_Static_assert(sizeof(struct fuse_out_header) == 16, "FUSE 7.31");

struct fuse_attr {
    uint64_t ino, size, blocks, atime, mtime, ctime;
    uint32_t atimensec, mtimensec, ctimensec;
    uint32_t mode, nlink, uid, gid, rdev, blksize, flags;
};
_Static_assert(sizeof(struct fuse_attr) == 88, "FUSE 7.31");

/* The answer to LOOKUP, MKDIR and, followed by fuse_open_out, CREATE. */
struct fuse_entry_out {
    uint64_t nodeid, generation, entry_valid, attr_valid;
    uint32_t entry_valid_nsec, attr_valid_nsec;
    struct fuse_attr attr;
};
_Static_assert(sizeof(struct fuse_entry_out) == 128, "FUSE 7.31");

struct fuse_forget_in {
    uint64_t nlookup;
};

#define FUSE_GETATTR_FH 1u
struct fuse_getattr_in {
    uint32_t getattr_flags, dummy;
    uint64_t fh;
};

/* The answer to GETATTR and SETATTR. */
struct fuse_attr_out {
    uint64_t attr_valid;
    uint32_t attr_valid_nsec, dummy;
    struct fuse_attr attr;
};
_Static_assert(sizeof(struct fuse_attr_out) == 104, "FUSE 7.31");

#define FATTR_SIZE (1u << 3)
#define FATTR_FH (1u << 6)
struct fuse_setattr_in {
    uint32_t valid, padding;
    uint64_t fh, size, lock_owner, atime, mtime, ctime;
    uint32_t atimensec, mtimensec, ctimensec, mode, unused4, uid, gid, unused5;
};
_Static_assert(sizeof(struct fuse_setattr_in) == 88, "FUSE 7.31");

struct fuse_mkdir_in {
    uint32_t mode, umask;
};

struct fuse_rename_in {
    uint64_t newdir;
};

struct fuse_open_in {
    uint32_t flags, open_flags;
};

struct fuse_create_in {
    uint32_t flags, mode, umask, open_flags;
};

struct fuse_open_out {
    uint64_t fh;
    uint32_t open_flags, padding;
};

struct fuse_create_out {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
};
_Static_assert(sizeof(struct fuse_create_out) == 144, "FUSE 7.31");

struct fuse_release_in {
    uint64_t fh;
    uint32_t flags, release_flags;
    uint64_t lock_owner;
};

/* READ, READDIR and WRITE. */
struct fuse_io_in {
    uint64_t fh, offset;
    uint32_t size, io_flags;
    uint64_t lock_owner;
    uint32_t flags, padding;
};
_Static_assert(sizeof(struct fuse_io_in) == 40, "FUSE 7.31");

struct fuse_write_out {
    uint32_t size, padding;
};

struct fuse_fsync_in {
    uint64_t fh;
    uint32_t fsync_flags, padding;
};

#define FUSE_BIG_WRITES (1u << 5)
struct fuse_init_in {
    uint32_t major, minor, max_readahead, flags;
};

struct fuse_init_out {
    uint32_t major, minor, max_readahead, flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write, time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t unused[8];
};
_Static_assert(sizeof(struct fuse_init_out) == 64, "FUSE 7.31");

/* An entry of a directory; the name follows, and zeros up to a multiple of FUSE_DIRENT_ALIGN. */
#define FUSE_DIRENT_ALIGN 8u
struct fuse_dirent {
    uint64_t ino, off;
    uint32_t namelen, type;
};
_Static_assert(sizeof(struct fuse_dirent) == 24, "FUSE 7.31");
#define FUSE_DT_UNKNOWN 0
#define FUSE_DT_DIR 4
#define FUSE_DT_REG 8
#define FUSE_DT_LNK 10

/* Linux's open flags. */
#define FUSE_O_WRONLY 01u
#define FUSE_O_RDWR 02u
#define FUSE_O_CREAT 0100u
#define FUSE_O_EXCL 0200u
#define FUSE_O_APPEND 02000u
#define FUSE_O_DIRECTORY 0200000u

#endif
