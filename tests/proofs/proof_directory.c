/*
 * proof_directory.c - entries that a host wrote of a folder, in 9P and in FUSE: none is taken beyond
 * what was read, names fit and end, and reading goes on or ends.
 */
// share
// unwind: 14
// variant 9p: -DNINEP
// variant fuse: -DFUSE
// control 9p: fs/ninep_file.c: if (shared->len - at < fixed) => if (0)
// control 9p: fs/ninep_file.c: if (shared->len - at - fixed < len) => if (0)
// control fuse: fs/fuse_file.c: if (left < sizeof(wire)) => if (0)
// control fuse: fs/fuse_file.c: if (wire.namelen > left - sizeof(wire)) => if (0)
// control fuse: fs/fuse_file.c: taken < left ? (uint32_t)taken : left => (uint32_t)taken
// control 9p: fs/share_file.c: if (!len || len > FS_NAME_MAX) => if (!len)
#include "proof.h"

#define READ_MAX 48u

#include "fs/fs.h"
#undef FS_NAME_MAX
#define FS_NAME_MAX 6u
#undef FS_PATH_MAX
#define FS_PATH_MAX 12u
#define memcpy copy_checked
#ifdef NINEP
#include "fs/ninep.h"
#undef NINEP_REPLY_SIZE
#define NINEP_REPLY_SIZE READ_MAX
#define DIRECTORY ninep_directory
#include "fs/ninep_file.c"
#else
#include "fs/fuse.h"
#undef FUSE_REPLY_SIZE
#define FUSE_REPLY_SIZE READ_MAX
#define DIRECTORY fuse_directory
#include "fs/fuse_file.c"
#endif
#include "fs/share_file.c"

int ninep_violation(struct ninep_volume *volume, const char *what)
{
    (void)volume;
    claim(what);
    return -EIO;
}

int fuse_violation(struct fuse_volume *volume, const char *what)
{
    (void)volume;
    claim(what);
    return -EIO;
}

int main(void)
{
    struct DIRECTORY *directory = malloc(sizeof(*directory));
    struct fs_entry *entry = malloc(sizeof(*entry));
    struct share_directory *shared = &directory->shared;
    uint32_t before;
    int error;

    assume(shared->len <= READ_MAX && shared->at < shared->len);
    before = shared->at;
    error = take_entry(directory, entry);
    claim(error == 0 || error == -ENOENT || error == -EIO);
    claim(error == -EIO || (shared->at > before && shared->at <= shared->len));
    claim(error || (strlen(entry->name) >= 1 && strlen(entry->name) <= FS_NAME_MAX));
    return 0;
}
