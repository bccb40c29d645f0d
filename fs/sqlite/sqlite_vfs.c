/*
 * sqlite_vfs.c - SQLite's way to files, time and random numbers: its "VFS".
 *
 * Owns the step from SQLite's file methods to the C library's, on whatever volume the path leads to.
 * SQLite itself is third-party and not changed; with SQLITE_OS_OTHER it has no VFS but this one. The
 * file layer lets a file that is written be open once only, which is all the locking there is: a
 * database belongs to one connection. Write-ahead logging therefore needs
 * `PRAGMA locking_mode=EXCLUSIVE`. Read sqlite3.h, "OS Interface Object", next.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "fs/fs.h"
#include "sqlite3.h"

/* Half of 1970 in Julian days, in milliseconds: 2440587.5 days. */
#define JULIAN_1970_MS INT64_C(210866760000000)

#define RANDOM_CHUNK 256 /* bytes that getentropy() gives at once */

struct vfs_file {
    sqlite3_file base; /* must come first */
    int fd;
};

static struct vfs_file *vfs_file(sqlite3_file *file)
{
    return (struct vfs_file *)file;
}

/* --- An open file ----------------------------------------------------------------------------- */

static int vfs_close(sqlite3_file *file)
{
    return close(vfs_file(file)->fd) ? SQLITE_IOERR_CLOSE : SQLITE_OK;
}

static int vfs_read(sqlite3_file *file, void *data, int count, sqlite3_int64 offset)
{
    int fd = vfs_file(file)->fd, done = 0;
    if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        return SQLITE_IOERR_SEEK;
    while (done < count) {
        ssize_t got = read(fd, (char *)data + done, (size_t)(count - done));
        if (got < 0)
            return SQLITE_IOERR_READ;
        if (got == 0)
            break;
        done += (int)got;
    }
    if (done == count)
        return SQLITE_OK;
    memset((char *)data + done, 0, (size_t)(count - done));
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset)
{
    int fd = vfs_file(file)->fd, done = 0;
    if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        return SQLITE_IOERR_SEEK;
    while (done < count) {
        ssize_t put = write(fd, (const char *)data + done, (size_t)(count - done));
        if (put <= 0)
            return errno == ENOSPC || errno == EFBIG ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        done += (int)put;
    }
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return ftruncate(vfs_file(file)->fd, (off_t)size) ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    if (!fsync(vfs_file(file)->fd))
        return SQLITE_OK;
    return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
}

static int vfs_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct stat status;
    if (fstat(vfs_file(file)->fd, &status))
        return SQLITE_IOERR_FSTAT;
    *size = status.st_size;
    return SQLITE_OK;
}

/* Whoever has the file open has it for himself. */
static int vfs_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int vfs_check_reserved_lock(sqlite3_file *file, int *reserved)
{
    (void)file;
    *reserved = 0;
    return SQLITE_OK;
}

static int vfs_file_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

/* A write that the power cuts short leaves alone what it was not to change: sectors are whole. */
static int vfs_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_lock,
    .xCheckReservedLock = vfs_check_reserved_lock,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};

/* --- By path ---------------------------------------------------------------------------------- */

/* Temporary files have no name; SQLite is built to keep them in memory. */
static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                    int *flags_out)
{
    int mode = flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY;
    (void)vfs;
    file->pMethods = NULL;
    if (!path || (flags & SQLITE_OPEN_DELETEONCLOSE))
        return SQLITE_CANTOPEN;
    if (flags & SQLITE_OPEN_CREATE)
        mode |= O_CREAT;
    if (flags & SQLITE_OPEN_EXCLUSIVE)
        mode |= O_EXCL;
    int fd = open(path, mode, 0666);
    if (fd < 0 && (errno == EROFS || errno == EACCES) && (flags & SQLITE_OPEN_READWRITE)) {
        fd = open(path, O_RDONLY);
        flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
    if (fd < 0)
        return errno == EBUSY ? SQLITE_BUSY : SQLITE_CANTOPEN;
    vfs_file(file)->fd = fd;
    file->pMethods = &file_methods;
    if (flags_out)
        *flags_out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int make_durable)
{
    (void)vfs;
    if (unlink(path))
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    return make_durable && fs_sync_all() ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

/* An empty journal is as good as none. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int what, int *answer)
{
    struct stat status;
    (void)vfs;
    if (what == SQLITE_ACCESS_EXISTS)
        *answer = !stat(path, &status) && (!S_ISREG(status.st_mode) || status.st_size > 0);
    else
        *answer = !access(path, what == SQLITE_ACCESS_READWRITE ? R_OK | W_OK : R_OK);
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
    char plain[FS_PATH_MAX];
    (void)vfs;
    if (fs_normalise(path, plain) || strlen(plain) >= (size_t)size)
        return SQLITE_CANTOPEN;
    strcpy(out, plain);
    return SQLITE_OK;
}

/* --- The rest --------------------------------------------------------------------------------- */

static int vfs_randomness(sqlite3_vfs *vfs, int count, char *out)
{
    int done = 0;
    (void)vfs;
    while (done < count) {
        int chunk = count - done < RANDOM_CHUNK ? count - done : RANDOM_CHUNK;
        if (getentropy(out + done, (size_t)chunk))
            break;
        done += chunk;
    }
    return done;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    usleep((useconds_t)microseconds);
    return microseconds;
}

static int vfs_current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    struct timeval now;
    (void)vfs;
    gettimeofday(&now, NULL);
    *out = JULIAN_1970_MS + (sqlite3_int64)now.tv_sec * 1000 + now.tv_usec / 1000;
    return SQLITE_OK;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 now;
    vfs_current_time_ms(vfs, &now);
    *out = (double)now / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    (void)vfs;
    if (size > 0)
        text[0] = '\0';
    return errno;
}

static sqlite3_vfs vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = FS_PATH_MAX - 1,
    .zName = "ferrule",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_pathname,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_current_time,
    .xGetLastError = vfs_last_error,
    .xCurrentTimeInt64 = vfs_current_time_ms,
};

int sqlite3_os_init(void)
{
    return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void)
{
    return SQLITE_OK;
}
