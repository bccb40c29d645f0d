// sources: tests/unit/fat_image.c fs/fat.c fs/fat_file.c fs/fat_disk.c fs/fat_tail.c fs/mount.c fs/fs.c fs/disks.c
// sources: fs/littlefs.c fs/littlefs_file.c fs/littlefs_disk.c littlefs/lfs2.c littlefs/lfs2_util.c
// sources: blk/cache.c libc/files.c libc/console.c fatfs/ff.c fatfs/ffunicode.c
// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/fuse.c boot/cmdline.c boot/format.c
// sources: fs/fuse_rpc.c fs/fuse_file.c fs/share_file.c
/*
 * test_crash_fs.c - what a crash may leave of a volume: files are written and synced while each write
 * and flush of the disk is noted; then every moment of it is a crash. The volume has to mount, and what
 * was synced by then has to be there.
 *
 * After a crash there is everything up to the last flush, and of the writes since then any subset, in
 * whole or torn by sector. What each file system promises is in docs/DURABILITY.md. `make crash-check
 * N=runs` does more of it. The block layer's part is test_crash.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fat_image.h"

#include "fs/fs.h"
#include "fs/littlefs.h"
#include "libc/files.h"

#define VOLUME_SIZE (256u * 1024u)
#define FAT_VOLUME_SIZE (1u * MIB)
#define FILES 4u
#define CHANGES 24u
#define VERSIONS_MAX 64u
#define NAME_SIZE 24u
/* All subsets of so many writes are looked at, and so many samples when there are more. */
#define ALL_SUBSETS 3u
#define SAMPLES 8u

/* ---- what the disk was asked ---- */

struct event {
    uint64_t sector;
    uint8_t *data; /* NULL: a flush */
    uint32_t count;
};

static struct event *events;
static unsigned event_count, event_room;
static uint8_t *before; /* the disk when the noting began */

static void note(uint64_t sector, const void *data, uint32_t count)
{
    struct event *event;

    if (event_count == event_room)
        events = realloc(events, (event_room += 256) * sizeof(*events));
    event = &events[event_count++];
    *event = (struct event){sector, NULL, count};
    if (!data)
        return;
    event->data = malloc((size_t)count * BLK_SECTOR_SIZE);
    memcpy(event->data, data, (size_t)count * BLK_SECTOR_SIZE);
}

static void begin_noting(void)
{
    before = malloc(disk_size);
    memcpy(before, disk, disk_size);
    disk_watch = note;
}

static void forget(void)
{
    for (unsigned i = 0; i < event_count; i++)
        free(events[i].data);
    free(events);
    free(before);
    events = NULL;
    event_count = event_room = 0;
}

/* ---- what was promised ---- */

/* A file from the event on with which its making began, and for sure from `synced` on. */
struct version {
    unsigned file, seed;
    size_t size;
    unsigned begun, synced;
};

static struct version versions[VERSIONS_MAX];
static unsigned version_count;

static struct version *begin_version(unsigned file, unsigned seed, size_t size)
{
    struct version *version = &versions[version_count++];

    assert_true(version_count <= VERSIONS_MAX);
    *version = (struct version){file, seed, size, event_count, UINT32_MAX};
    return version;
}

static void file_name(char *name, unsigned file)
{
    snprintf(name, NAME_SIZE, "/file %u", file);
}

/* Bytes at the start of the file that are those of this seed; -1: there is no such file. */
static int64_t good_bytes(const char *name, unsigned seed, bool *whole)
{
    unsigned char data[2000];
    int64_t at = 0;
    ssize_t n;
    int fd = file_open(name, O_RDONLY);

    *whole = false;
    if (fd < 0)
        return -1;
    while ((n = file_read(fd, data, sizeof(data))) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            if (data[i] != content(seed, (size_t)at))
                goto out;
    *whole = n == 0;
out:
    file_close(fd);
    return at;
}

/* Is this file, after a crash at this event, one of those that it may be? */
static bool is_promised(unsigned file, unsigned moment, bool appended)
{
    const struct version *synced = NULL, *last = NULL;
    char name[NAME_SIZE];
    bool whole = false;

    file_name(name, file);
    for (unsigned i = 0; i < version_count; i++) {
        const struct version *version = &versions[i];

        if (version->file != file || version->begun > moment)
            continue;
        last = version;
        if (version->synced <= moment)
            synced = version;
    }
    if (!last)
        return true;
    if (appended) {
        int64_t size = good_bytes(name, last->seed, &whole);

        return size < 0 ? !synced
                        : whole && (!synced || (size_t)size >= synced->size) &&
                              (size_t)size <= last->size;
    }
    for (const struct version *version = synced ? synced : versions; version <= last; version++) {
        int64_t size = version->file == file ? good_bytes(name, version->seed, &whole) : -1;

        if (whole && size == (int64_t)version->size)
            return true;
    }
    return !synced && good_bytes(name, 0, &whole) < 0;
}

/* ---- crashes ---- */

static unsigned images, broken;
static bool expect_broken, flush_lies;

static void apply(const struct event *event, bool torn)
{
    for (uint32_t i = 0; i < event->count; i++)
        if (!torn || dice(2))
            memcpy(disk + (event->sector + i) * BLK_SECTOR_SIZE, event->data + i * BLK_SECTOR_SIZE,
                   BLK_SECTOR_SIZE);
}

/* The volume as it is now is one that a crash at this moment left. */
static void look(unsigned moment, bool appended)
{
    bool good;

    images++;
    disk_present = true;
    logged[0] = '\0';
    log_lines = 0;
    good = fs_init() == 0;
    for (unsigned file = 0; good && file < FILES; file++)
        good = is_promised(file, moment, appended);
    /* And it goes on: what is written now is there. */
    if (good && images % 8 == 0) {
        write_file("/after", images % 250, 3000, 700);
        read_exactly("/after", images % 250, 3000, 700);
    }
    fs_shutdown();
    broken += !good;
    if (!good && !expect_broken)
        fail_msg(
            "after a crash at event %u of %u a synced file is not there, or the volume is not: %s",
            moment, event_count, logged);
}

/* Every subset of the writes since the last flush, or samples; in one half of these torn ones. */
static void crash_at(unsigned moment, const uint8_t *durable, unsigned first, bool appended)
{
    unsigned pending = moment - first;
    unsigned subsets = pending <= ALL_SUBSETS ? 1u << pending : SAMPLES;

    for (unsigned subset = 0; subset < subsets; subset++) {
        bool sampled = pending > ALL_SUBSETS, torn = sampled && subset % 2;

        memcpy(disk, durable, disk_size);
        for (unsigned i = 0; i < pending; i++)
            if (sampled ? subset < 2 || dice(2) : subset >> i & 1)
                apply(&events[first + i], torn);
        look(moment, appended);
    }
}

static void crash_everywhere(bool appended)
{
    uint8_t *durable = before;
    unsigned first = 0;

    disk_watch = NULL;
    for (unsigned moment = 0; moment <= event_count; moment++) {
        bool flush = moment > 0 && !events[moment - 1].data;

        if (flush) {
            memcpy(disk, durable, disk_size);
            for (unsigned i = first; i < moment - 1 && !flush_lies; i++)
                apply(&events[i], false);
            memcpy(durable, disk, disk_size);
            first = moment;
        }
        crash_at(moment, durable, first, appended);
    }
    forget();
}

/* ---- what is done to the volumes ---- */

static bool write_content(int fd, unsigned seed, size_t at, size_t size)
{
    unsigned char data[1500];

    while (at < size) {
        size_t n = size - at < sizeof(data) ? size - at : sizeof(data);

        for (size_t i = 0; i < n; i++)
            data[i] = content(seed, at + i);
        if (file_write(fd, data, n) != (ssize_t)n)
            return false;
        at += n;
    }
    return true;
}

/* A new content beside the old one, synced, and then in its place: littlefs promises one or the other. */
static void replace_file(unsigned file)
{
    struct version *version =
        begin_version(file, 1 + dice(250), dice(5) ? dice(3000) : dice(20000));
    char name[NAME_SIZE];
    int fd = file_open("/new", O_WRONLY | O_CREAT | O_TRUNC);

    file_name(name, file);
    assert_true(fd >= 0);
    assert_true(write_content(fd, version->seed, 0, version->size));
    assert_int_equal(file_sync(fd), 0);
    assert_int_equal(file_close(fd), 0);
    assert_int_equal(fs_rename("/new", name), 0);
    version->synced = event_count;
}

/* FAT promises a file that grows: what was synced of it, and nothing wrong behind that. */
static void append_to_file(unsigned file)
{
    static size_t size[FILES];
    struct version *version;
    char name[NAME_SIZE];
    int fd;

    if (version_count == 0)
        memset(size, 0, sizeof(size));
    file_name(name, file);
    version = begin_version(file, file + 1, size[file] + 1 + dice(dice(4) ? 900 : 9000));
    fd = file_open(name, O_WRONLY | O_CREAT | O_APPEND);
    assert_true(fd >= 0);
    assert_true(write_content(fd, version->seed, size[file], version->size));
    assert_int_equal(file_sync(fd), 0);
    version->synced = event_count;
    assert_int_equal(file_close(fd), 0);
    size[file] = version->size;
}

static void run_littlefs(uint32_t seed)
{
    disk = realloc(disk, VOLUME_SIZE);
    disk_size = VOLUME_SIZE;
    memset(disk, 0, disk_size);
    device.capacity = disk_size / BLK_SECTOR_SIZE;
    assert_int_equal(littlefs_format(&device, seed % 2 ? 512 : 4096), 0);
    mount_loaded();
    dice_state = seed * 77 + 1;
    version_count = 0;
    begin_noting();
    for (unsigned i = 0; i < CHANGES; i++)
        replace_file(dice(FILES));
    fs_shutdown();
    crash_everywhere(false);
}

static void run_fat(uint32_t seed)
{
    assert_int_equal(shell("rm -f disk.img && truncate -s %u disk.img && "
                           "mkfs.fat -F 12 -s %u disk.img >/dev/null",
                           FAT_VOLUME_SIZE, 1u << seed % 3),
                     0);
    load("disk.img");
    mount_loaded();
    dice_state = seed * 55 + 3;
    version_count = 0;
    begin_noting();
    for (unsigned i = 0; i < CHANGES; i++)
        append_to_file(dice(FILES));
    fs_shutdown();
    crash_everywhere(true);
}

static unsigned runs(void)
{
    const char *text = getenv("CRASH_RUNS");
    int n = text ? atoi(text) : 0;

    return n > 0 ? 1 + (unsigned)n / 10 : 4;
}

static void littlefs(void **state)
{
    (void)state;
    images = 0;
    for (uint32_t run = 0; run < runs(); run++)
        run_littlefs(run);
    print_message("littlefs: %u crash images are as promised\n", images);
    assert_true(images > 500);
}

static void fat(void **state)
{
    (void)state;
    images = 0;
    for (uint32_t run = 0; run < runs(); run++)
        run_fat(run);
    print_message("FAT: %u crash images are as promised\n", images);
    assert_true(images > 500);
}

/* A disk that forgets what it flushed must be found out, or nothing above means anything. */
static void a_disk_that_does_not_flush_is_found_out(void **state)
{
    (void)state;
    expect_broken = flush_lies = true;
    broken = 0;
    run_littlefs(1);
    assert_true(broken > 10);
    broken = 0;
    run_fat(1);
    assert_true(broken > 10);
    expect_broken = flush_lies = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAT_TEST(littlefs),
        FAT_TEST(fat),
        FAT_TEST(a_disk_that_does_not_flush_is_found_out),
    };

    return cmocka_run_group_tests_name("crash fs", tests, fat_begin, fat_end);
}
