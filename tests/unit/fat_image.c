/*
 * fat_image.c - the machine under test_fat*.c: a disk in memory, a log that is kept, a clock that
 * stands still, and images made by mkfs.fat and mtools in a folder of their own.
 *
 * Owns everything these tests share and no test. Read test_fat.c next.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fat_image.h"
#include "blk/partition.h"
#include "fs/virtio_9p.h"
#include "fs/virtio_fs.h"
#include "libc/files.h"
#include "log.h"
#include "platform.h"

/* --- The machine: a disk in memory, a log, a clock -------------------------------------------- */

uint8_t *disk;
size_t disk_size;
struct blk_device device = {.name = "vda", .block_size = 512};
bool disk_present;
uint64_t cache_memory = CACHE_MEMORY;
unsigned disk_reads, disk_writes, disk_flushes;
int read_error, write_error;
void (*disk_watch)(uint64_t sector, const void *data, uint32_t count);
const char *buffer_start, *buffer_end;
size_t bytes_direct;

struct blk_device *blk_device_at(unsigned index)
{
    return disk_present && !index ? &device : NULL;
}

const char *blk_holder(const struct blk_device *of)
{
    (void)of;
    return NULL;
}

struct blk_device *partition_find(const char *word)
{
    return disk_present && !strcmp(word, device.name) ? &device : NULL;
}

static int disk_check(uint64_t sector, uint32_t count)
{
    unsigned unit = device.block_size / BLK_SECTOR_SIZE;
    return !count || sector % unit || count % unit || sector + count > device.capacity ? -EINVAL
                                                                                       : 0;
}

int blk_read(struct blk_device *from, uint64_t sector, void *data, uint32_t count)
{
    assert_ptr_equal(from, &device);
    disk_reads++;
    assert_int_equal(disk_check(sector, count), 0);
    if (read_error)
        return read_error;
    if ((char *)data >= buffer_start && (char *)data < buffer_end)
        bytes_direct += (size_t)count * BLK_SECTOR_SIZE;
    memcpy(data, disk + sector * BLK_SECTOR_SIZE, (size_t)count * BLK_SECTOR_SIZE);
    return 0;
}

uint32_t *undo;
size_t undo_count, undo_room;

/* --- Power cuts --- */

static uint8_t *durable; /* the disk as of the last flush; NULL when no cut is armed */
static unsigned events, cut_at;

uint32_t dice_state;

uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)dice_state * sides) >> 32);
}

static void settle(bool keep_all)
{
    for (size_t i = 0; i < undo_count; i++) {
        size_t at = (size_t)undo[i] * BLK_SECTOR_SIZE;
        if (keep_all || dice(2))
            memcpy(durable + at, disk + at, BLK_SECTOR_SIZE);
    }
    undo_count = 0;
}

static void cut_event(bool flush)
{
    if (!durable || write_error)
        return;
    if (++events == cut_at) {
        settle(false);
        write_error = -EIO;
    } else if (flush) {
        settle(true);
    }
}

void cut_arm(unsigned n)
{
    durable = malloc(disk_size);
    memcpy(durable, disk, disk_size);
    undo_room = 1024;
    undo = malloc(undo_room * sizeof(*undo));
    undo_count = 0;
    events = 0;
    cut_at = n;
}

bool cut_apply(void)
{
    bool happened = write_error;
    if (happened)
        memcpy(disk, durable, disk_size);
    write_error = 0;
    free(durable);
    durable = NULL;
    free(undo);
    undo = NULL;
    undo_room = undo_count = 0;
    return happened;
}

int blk_write(struct blk_device *to, uint64_t sector, const void *data, uint32_t count)
{
    assert_false(to->read_only);
    disk_writes++;
    cut_event(false);
    assert_int_equal(disk_check(sector, count), 0);
    if (write_error)
        return write_error;
    for (uint32_t i = 0; i < count && undo_room; i++) {
        if (undo_count == undo_room)
            undo = realloc(undo, (undo_room *= 2) * sizeof(*undo));
        undo[undo_count++] = (uint32_t)sector + i;
    }
    memcpy(disk + sector * BLK_SECTOR_SIZE, data, (size_t)count * BLK_SECTOR_SIZE);
    if (disk_watch)
        disk_watch(sector, data, count);
    return 0;
}

int blk_write_vector(struct blk_device *to, uint64_t sector, const struct blk_segment *segment,
                     unsigned segments)
{
    int error = 0;

    for (unsigned i = 0; i < segments && !error; i++) {
        error = blk_write(to, sector, segment[i].data, segment[i].len / BLK_SECTOR_SIZE);
        sector += segment[i].len / BLK_SECTOR_SIZE;
    }
    return error;
}

int blk_claim(struct blk_device *of, const char *holder)
{
    if (of->holder)
        return -EBUSY;
    of->holder = holder;
    return 0;
}

void blk_release(struct blk_device *of)
{
    of->holder = NULL;
}

int blk_flush(struct blk_device *of)
{
    (void)of;
    disk_flushes++;
    if (disk_watch && !write_error)
        disk_watch(0, NULL, 0);
    cut_event(true);
    return write_error;
}

static uint64_t clock_ns = 1;

uint64_t platform_now_ns(void)
{
    return clock_ns;
}

/* What waits to be written back. */
static struct loop_source *waiting;

void loop_add(struct loop_source *source)
{
    assert_null(waiting);
    waiting = source;
}

void loop_remove(struct loop_source *source)
{
    assert_ptr_equal(waiting, source);
    waiting = NULL;
}

bool fat_image_wait(void)
{
    if (!waiting)
        return false;
    clock_ns = waiting->deadline(waiting->arg);
    waiting->poll(waiting->arg, 64);
    return true;
}

char logged[8192];
unsigned log_lines;

/* The only share is the disk. */
static void (*disk_watcher)(struct blk_device *device, bool added);

void blk_watch(void (*watcher)(struct blk_device *device, bool added))
{
    disk_watcher = watcher;
}

void fat_image_plug(bool in)
{
    if (in)
        device.holder = NULL; /* a new one, on which nobody has a claim */
    disk_watcher(blk_device_at(0), in);
}

void virtio_9p_watch(void (*watcher)(struct ninep_transport *share, bool added))
{
    (void)watcher;
}

struct ninep_transport *virtio_9p_at(unsigned index)
{
    (void)index;
    return NULL;
}

void virtio_fs_watch(void (*watcher)(struct fuse_transport *share, bool added))
{
    (void)watcher;
}

struct fuse_transport *virtio_fs_at(unsigned index)
{
    (void)index;
    return NULL;
}

const char *kernel_words = "";

const char *platform_cmdline(void)
{
    return kernel_words;
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    va_list args;
    size_t len = strlen(logged);
    va_start(args, format);
    if (len < sizeof(logged) - 300)
        len += (size_t)vsnprintf(logged + len, 300, format, args);
    va_end(args);
    strcpy(logged + len, "\n");
    log_lines++;
}

void *platform_dma_alloc(size_t size, size_t align)
{
    void *memory = aligned_alloc(align, (size + align - 1) / align * align);
    return memory ? memset(memory, 0, size) : NULL;
}

void platform_dma_free(void *memory, size_t size)
{
    (void)size;
    free(memory);
}

void platform_memory(uint64_t *total, uint64_t *available)
{
    *total = *available = cache_memory;
}

void platform_console_write(const char *text, size_t len)
{
    (void)text;
    (void)len;
}

int platform_console_read(void)
{
    return -1;
}

uint64_t platform_wall_ns(void)
{
    return (uint64_t)NOW * 1000000000u;
}

/* --- Images ----------------------------------------------------------------------------------- */

static char folder[512];

int shell(const char *format, ...)
{
    char command[4096];
    int len =
        snprintf(command, sizeof(command),
                 "cd '%s' && PATH=$PATH:/usr/sbin:/sbin && MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8 && "
                 "export MTOOLS_SKIP_CHECK LC_ALL && ",
                 folder);
    va_list args;
    va_start(args, format);
    vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
    va_end(args);
    return system(command);
}

void load(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    disk_size = (size_t)ftell(file);
    rewind(file);
    free(disk);
    disk = malloc(disk_size);
    assert_int_equal(fread(disk, 1, disk_size, file), disk_size);
    fclose(file);
    device.capacity = disk_size / BLK_SECTOR_SIZE;
}

void save(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(disk, 1, disk_size, file), disk_size);
    assert_int_equal(fclose(file), 0);
}

void judge(void)
{
    save("judged.img");
    if (shell("fsck.fat -n judged.img >judged.txt 2>&1") != 0) {
        shell("cat judged.txt");
        fail_msg("fsck.fat found errors");
    }
}

unsigned char content(unsigned seed, size_t at)
{
    uint64_t x = (at / 3 + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1b54a32d192ed03u;
    return (unsigned char)(x >> 29 ^ at);
}

void make_host_file(const char *name, unsigned seed, size_t size)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc(content(seed, i), file);
    fclose(file);
}

void read_exactly(const char *path, unsigned seed, size_t size, size_t chunk)
{
    unsigned char *data = malloc(chunk);
    int fd = file_open(path, O_RDONLY);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(-fd));
    size_t at = 0;
    ssize_t n;
    while ((n = file_read(fd, data, chunk)) > 0) {
        for (ssize_t i = 0; i < n; i++, at++) {
            if (data[i] != content(seed, at))
                fail_msg("%s differs at byte %zu", path, at);
        }
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, size);
    assert_int_equal(file_close(fd), 0);
    free(data);
}

void write_file(const char *path, unsigned seed, size_t size, size_t chunk)
{
    unsigned char *data = malloc(chunk);
    int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(-fd));
    for (size_t at = 0; at < size;) {
        size_t n = size - at < chunk ? size - at : chunk;
        for (size_t i = 0; i < n; i++)
            data[i] = content(seed, at + i);
        assert_int_equal(file_write(fd, data, n), n);
        at += n;
    }
    assert_int_equal(file_close(fd), 0);
    free(data);
}

const struct shape shapes[SHAPES] = {
    {"fat12", "-F 12 -s 8", 8, 512},
    {"fat16", "-F 16 -s 4", 32, 512},
    {"fat32", "-F 32 -s 1", 64, 512},
    {"fat32 with 4096-byte sectors", "-F 32 -S 4096 -s 1", 300, 4096},
    {"fat16 with 4096-byte sectors on blocks of 512", "-F 16 -S 4096 -s 1", 64, 512},
};

void format(const struct shape *shape)
{
    assert_int_equal(
        shell("rm -f disk.img && truncate -s %uM disk.img && mkfs.fat %s disk.img >/dev/null",
              shape->mib, shape->mkfs),
        0);
    device.block_size = shape->block_size;
}

void mount_loaded(void)
{
    disk_present = true;
    logged[0] = '\0';
    if (fs_init())
        fail_msg("not mounted: %s", logged);
}

int fat_setup(void **state)
{
    (void)state;
    device.read_only = false;
    device.block_size = 512;
    read_error = write_error = 0;
    logged[0] = '\0';
    log_lines = 0;
    disk_present = false;
    kernel_words = "";
    return 0;
}

int fat_teardown(void **state)
{
    (void)state;
    read_error = write_error = 0;
    fs_shutdown();
    return 0;
}

int fat_begin(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/ferrule-fat.XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

int fat_end(void **state)
{
    (void)state;
    free(disk);
    return shell(
               "rm -f disk.img part.img judged.img judged.txt got expected empty one odd large && "
               "rmdir \"$PWD\"")
               ? -1
               : 0;
}
