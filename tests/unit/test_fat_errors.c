// sources: tests/unit/fat_image.c fs/fat.c fs/fat_file.c fs/fat_disk.c fs/fat_tail.c fs/mount.c fs/fs.c fs/disks.c
// sources: fs/littlefs.c fs/littlefs_file.c fs/littlefs_disk.c littlefs/lfs2.c littlefs/lfs2_util.c
// sources: blk/cache.c libc/files.c libc/console.c fatfs/ff.c fatfs/ffunicode.c
// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/fuse.c boot/cmdline.c boot/format.c
// sources: fs/fuse_rpc.c fs/fuse_file.c fs/share_file.c
/*
 * test_fat_errors.c - FAT volumes when something goes wrong.
 *
 * Owns the errno of every refusal, the log line for each disk that cannot be used, device errors,
 * and damaged volumes, which may neither crash nor hang anything. Contents are test_fat.c's.
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

#include "fat_image.h"
#include "fs/fs.h"
#include "libc/files.h"

#define BPB_FATS32_TOP 39 /* the highest byte of a FAT's size in sectors */

/* --- Refusals --------------------------------------------------------------------------------- */

static void renaming_and_removing(void **state)
{
    (void)state;
    struct stat status;
    format(&shapes[2]);
    load("disk.img");
    mount_loaded();
    assert_int_equal(fs_make_directory("/d"), 0);
    assert_int_equal(fs_make_directory("/d/long name of a folder"), 0);
    assert_int_equal(fs_make_directory("/e"), 0);
    write_file("/d/f", 1, 3000, 3000);
    write_file("/g", 2, 5000, 3000);
    assert_int_equal(fs_rename("/d/f", "/e/Moved And Renamed"), 0);
    assert_int_equal(fs_stat("/d/f", &status), -ENOENT);
    read_exactly("/e/moved and renamed", 1, 3000, 500);
    assert_int_equal(fs_rename("/e/Moved And Renamed", "/e/MOVED and renamed"), 0); /* case only */
    assert_int_equal(fs_rename("/e/MOVED and renamed", "/g"), 0); /* in place of another */
    read_exactly("/g", 1, 3000, 500);
    assert_int_equal(fs_rename("/g", "/g"), 0);
    assert_int_equal(fs_rename("/nothing", "/n"), -ENOENT);
    assert_int_equal(fs_rename("/g", "/no/where"), -ENOENT);
    assert_int_equal(fs_rename("/g", "/d"), -EISDIR);
    assert_int_equal(fs_rename("/d", "/g"), -ENOTDIR);
    assert_int_equal(fs_rename("/e", "/d"), -ENOTEMPTY);
    assert_int_equal(fs_rename("/d", "/d/inside"), -EINVAL);
    assert_int_equal(fs_rename("/d", "/D/LONGNA~1/inside"),
                     -EINVAL); /* reached by its short name */
    assert_int_equal(fs_rename("/g", "/bad|name"), -EINVAL);
    assert_int_equal(fs_remove("/d", true), -ENOTEMPTY);
    assert_int_equal(fs_remove("/d", false), -EISDIR);
    assert_int_equal(fs_remove("/g", true), -ENOTDIR);
    assert_int_equal(fs_remove("/nothing", false), -ENOENT);
    assert_int_equal(fs_rename("/d", "/e/d moved"), 0);
    assert_int_equal(fs_remove("/e/d moved/long name of a folder", true), 0);
    assert_int_equal(fs_remove("/e/d moved", true), 0);
    assert_int_equal(fs_make_directory("/e"), -EEXIST);
    assert_int_equal(fs_make_directory("/no/where"), -ENOENT);
    assert_int_equal(fs_make_directory("/what?"), -EINVAL);

    /* An open file keeps its place. */
    int fd = file_open("/g", O_WRONLY);
    assert_int_equal(fs_remove("/g", false), -EBUSY);
    assert_int_equal(fs_rename("/g", "/h"), -EBUSY);
    assert_int_equal(file_open("/g", O_RDONLY), -EBUSY);
    file_close(fd);
    fd = file_open("/g", O_RDONLY);
    int second = file_open("/g", O_RDONLY);
    assert_true(second > fd);
    assert_int_equal(file_open("/g", O_WRONLY), -EBUSY);
    file_close(fd);
    file_close(second);
    assert_int_equal(fs_remove("/g", false), 0);
    fs_shutdown();
    judge();
}

static void opening_fails_with_the_reason(void **state)
{
    (void)state;
    struct file_object directory;
    format(&shapes[1]);
    make_host_file("odd", 2, 100);
    assert_int_equal(
        shell("mmd -i disk.img ::d && mcopy -i disk.img odd ::f && mcopy -i disk.img odd ::ro && "
              "mattrib -i disk.img +r "
              "::ro"),
        0);
    load("disk.img");
    mount_loaded();
    assert_int_equal(file_open("/none", O_RDONLY), -ENOENT);
    assert_int_equal(file_open("/none/x", O_RDONLY), -ENOENT);
    assert_int_equal(file_open("/none/x", O_WRONLY | O_CREAT), -ENOENT);
    assert_int_equal(file_open("/d", O_RDONLY), -EISDIR);
    assert_int_equal(file_open("/d", O_WRONLY | O_CREAT), -EISDIR);
    assert_int_equal(file_open("/", O_RDONLY), -EISDIR);
    assert_int_equal(file_open("/f", O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(file_open("/ro", O_WRONLY), -EACCES);
    assert_int_equal(file_open("/ro", O_WRONLY | O_CREAT), -EACCES);
    assert_int_equal(fs_remove("/ro", false), -EACCES);
    static const char *const impossible[] = {"/f\\g",  "/a:b",      "/f.", "/f ",
                                             "/f\x01", "/\xff\xfe", "/a*", "/d\\..\\f"};
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        assert_int_equal(file_open(impossible[i], O_RDONLY), -ENOENT);
        assert_int_equal(file_open(impossible[i], O_WRONLY | O_CREAT), -EINVAL);
    }
    assert_int_equal(fs_open_directory("/f", &directory), -ENOTDIR);
    assert_int_equal(fs_open_directory("/none", &directory), -ENOENT);
    char name[400] = "/";
    memset(name + 1, 'n', 256);
    assert_int_equal(file_open(name, O_RDONLY), -ENOENT);
    assert_int_equal(file_open(name, O_WRONLY | O_CREAT), -EINVAL);
    name[256] = '\0';
    write_file(name, 1, 10, 10);
    read_exactly(name, 1, 10, 10);
    fs_shutdown();
    judge();
}

/* A disk that is pulled out ends its files; one that is plugged in is there at once. */
static void a_disk_leaves_and_comes_back(void **state)
{
    (void)state;
    struct file_object directory;
    struct fs_entry entry;
    char byte;
    format(&shapes[1]);
    load("disk.img");
    mount_loaded();
    write_file("/f", 5, 5000, 5000);
    int reading = file_open("/f", O_RDONLY);
    int writing = file_open("/g", O_WRONLY | O_CREAT);
    assert_int_equal(fs_open_directory("/", &directory), 0);
    assert_int_equal(file_read(reading, &byte, 1), 1);
    assert_int_equal(file_write(writing, &byte, 1), 1);
    for (int round = 0; round < 2; round++) {
        fat_image_plug(false);
        assert_true(file_read(reading, &byte, 1) < 0);
        assert_true(file_write(writing, &byte, 1) < 0);
        assert_true(directory.ops->read_entry(directory.object, &entry) < 0);
        assert_int_equal(file_open("/f", O_RDONLY), -ENODEV);
        /* The old files are still open, and stay dead. */
        fat_image_plug(true);
        read_exactly("/f", 5, 5000, 100);
        assert_true(file_read(reading, &byte, 1) < 0);
        fat_image_plug(true); /* "/" is taken */
    }
    file_close(reading);
    file_close(writing);
    directory.ops->close(directory.object);
    read_exactly("/f", 5, 5000, 100);
    fs_shutdown();
}

static void a_full_volume_says_so(void **state)
{
    (void)state;
    static unsigned char block[100000];
    format(&shapes[0]);
    load("disk.img");
    mount_loaded();
    int fd = file_open("/big", O_WRONLY | O_CREAT);
    ssize_t n;
    size_t total = 0;
    while ((n = file_write(fd, block, sizeof(block))) > 0)
        total += (size_t)n;
    assert_int_equal(n, -ENOSPC);
    assert_true(total > 7 * MIB);
    assert_int_equal(file_write(fd, block, 1), -ENOSPC);
    assert_int_equal(fs_make_directory("/no room"), -ENOSPC);
    assert_int_equal(file_close(fd), 0);
    fd = file_open("/big", O_RDWR);
    assert_int_equal(file_truncate(fd, (int64_t)total + 10 * MIB), -ENOSPC);
    assert_int_equal(file_truncate(fd, 1000), 0);
    file_close(fd);
    write_file("/after", 1, 100000, 5000);
    int error = 0;
    char path[64];
    for (int i = 0; i < 1000 && !error; i++) { /* the root directory of FAT12 cannot grow */
        snprintf(path, sizeof(path), "/a long name for many entries %d", i);
        error = file_open(path, O_WRONLY | O_CREAT);
        if (error >= 0)
            error = file_close(error);
    }
    assert_int_equal(error, -ENOSPC);
    fs_shutdown();
    judge();
}

/* --- Disks that cannot be used ---------------------------------------------------------------- */

static void expect_no_files(int lines, const char *reason)
{
    struct stat status;
    assert_int_equal(fs_init(), -ENODEV);
    if (!strstr(logged, reason))
        fail_msg("\"%s\" is not in: %s", reason, logged);
    assert_int_equal(log_lines, lines);
    assert_int_equal(file_open("/x", O_RDONLY), -ENODEV);
    assert_int_equal(fs_stat("/", &status), -ENODEV);
    logged[0] = '\0';
    log_lines = 0;
}

static void an_unusable_disk_is_said_clearly(void **state)
{
    (void)state;
    expect_no_files(1, "no disk");
    format(&shapes[1]);
    load("disk.img");
    disk_present = true;
    device.capacity -= 1000;
    expect_no_files(2, "truncated");
    device.capacity = 1;
    expect_no_files(2, "truncated");
    device.capacity = 0;
    expect_no_files(2, "reading 1 sectors at 0");
    device.capacity = disk_size / 512;
    device.block_size = 4096;
    expect_no_files(2, "cannot be used on blocks of 4096");
    device.block_size = 65536;
    expect_no_files(2, "more than FAT can have");
    device.block_size = 512;
    read_error = -EIO;
    expect_no_files(2, "reading 1 sectors at 0");
    read_error = 0;
    memset(disk, 0, disk_size);
    expect_no_files(2, "no FAT volume");
    for (size_t i = 0; i < disk_size; i++)
        disk[i] = content(1, i);
    expect_no_files(2, "no FAT volume");

    /* An image longer than its volume is fine, and said. */
    format(&shapes[1]);
    assert_int_equal(shell("truncate -s +5M disk.img"), 0);
    load("disk.img");
    mount_loaded();
    assert_non_null(strstr(logged, "uses the first"));
}

/* Twice this many sectors are as many as before in 32 bits. */
static void sizes_that_overflow(void **state)
{
    (void)state;
    assert_int_equal(shell("truncate -s 40M disk.img && mkfs.fat -F 32 disk.img >/dev/null"), 0);
    load("disk.img");
    mount_loaded();
    fs_shutdown();
    logged[0] = '\0';
    log_lines = 0;
    disk[BPB_FATS32_TOP] |= 0x80;
    expect_no_files(2, "tables are larger than the room");
}

static void a_partition_is_found(void **state)
{
    (void)state;
    format(&shapes[1]);
    make_host_file("odd", 2, 4097);
    assert_int_equal(
        shell("mcopy -i disk.img odd :: && mv disk.img part.img && truncate -s 40M disk.img && "
              "dd if=part.img of=disk.img bs=1M seek=1 conv=notrunc status=none"),
        0);
    load("disk.img");
    static const uint8_t entry[16] = {0x80, 0, 0, 0, 0x0e, 0, 0, 0,
                                      0,    8, 0, 0, 0,    0, 1, 0}; /* from sector 2048 */
    memcpy(disk + 446 + 16, entry, 16);
    disk[510] = 0x55;
    disk[511] = 0xaa;
    mount_loaded();
    assert_non_null(strstr(logged, "FAT16 volume at sector 2048"));
    read_exactly("/odd", 2, 4097, 100);
}

static void a_read_only_disk_is_only_read(void **state)
{
    (void)state;
    struct stat status;
    format(&shapes[1]);
    make_host_file("odd", 2, 4097);
    assert_int_equal(shell("mcopy -i disk.img odd ::"), 0);
    load("disk.img");
    device.read_only = true;
    mount_loaded();
    assert_non_null(strstr(logged, "read-only"));
    read_exactly("/odd", 2, 4097, 100);
    assert_int_equal(file_open("/odd", O_WRONLY), -EROFS);
    assert_int_equal(file_open("/new", O_WRONLY | O_CREAT), -EROFS);
    assert_int_equal(fs_make_directory("/new"), -EROFS);
    assert_int_equal(fs_remove("/odd", false), -EROFS);
    assert_int_equal(fs_rename("/odd", "/even"), -EROFS);
    assert_int_equal(fs_stat("/odd", &status), 0);
    assert_int_equal(status.st_mode & 0222, 0);
}

static void device_errors_end_in_eio(void **state)
{
    (void)state;
    char data[1000];
    format(&shapes[2]);
    make_host_file("odd", 2, 40970);
    assert_int_equal(shell("mcopy -i disk.img odd ::"), 0);
    load("disk.img");
    cache_memory = 0; /* so that every request meets the device */
    mount_loaded();
    cache_memory = CACHE_MEMORY;
    int fd = file_open("/odd", O_RDONLY), out = file_open("/out", O_WRONLY | O_CREAT);
    assert_true(fd >= 0 && out >= 0);
    log_lines = 0;
    read_error = -EIO;
    for (int i = 0; i < 100; i++)
        assert_int_equal(file_read(fd, data, 1000), -EIO);
    assert_true(log_lines >= 1 && log_lines <= 10);
    read_error = 0;
    assert_int_equal(file_read(fd, data, 1000), 1000); /* the device recovered */
    assert_int_equal((unsigned char)data[999], content(2, 999));
    write_error = -EIO;
    assert_int_equal(file_write(out, data, 100), 100); /* still in memory ... */
    assert_int_equal(file_sync(out), -EIO);
    assert_int_equal(file_close(out), -EIO); /* ... and lost */
    write_error = 0;
    out = file_open("/out", O_WRONLY); /* not locked for ever */
    assert_true(out >= 0);
    assert_int_equal(file_close(out), 0);
    file_close(fd);
}

/* --- Damage ----------------------------------------------------------------------------------- */

static unsigned steps_left;

/* Reads whatever can be reached, without trust in any of it. */
static void walk(const char *path, int depth)
{
    static char data[20000];
    struct file_object directory;
    struct fs_entry entry;
    if (fs_open_directory(path, &directory))
        return;
    while (steps_left && directory.ops->read_entry(directory.object, &entry) > 0) {
        char inner[FS_PATH_MAX + FS_NAME_MAX + 2];
        steps_left--;
        assert_null(strchr(entry.name, '/'));
        snprintf(inner, sizeof(inner), "%s/%s", path, entry.name);
        if (S_ISDIR(entry.mode)) {
            if (depth)
                walk(inner, depth - 1);
            continue;
        }
        int fd = file_open(inner, dice(4) ? O_RDONLY : O_RDWR);
        if (fd < 0)
            continue;
        for (int i = 0; i < 4; i++) {
            file_seek(fd, dice(2) ? dice(100000) : dice(UINT32_MAX), SEEK_SET);
            file_read(fd, data, dice(sizeof(data)));
        }
        file_close(fd);
    }
    directory.ops->close(directory.object);
}

static void scribble(void)
{
    int fd = file_open("/new file with a name", O_RDWR | O_CREAT);
    if (fd >= 0) {
        static const char data[30000];
        file_write(fd, data, dice(sizeof(data)));
        file_truncate(fd, dice(5000));
        file_close(fd);
    }
    fs_make_directory("/sub/made");
    fs_rename("/sub", "/deep/moved");
    fs_rename("/odd", "/sub/x");
    fs_remove("/large", false);
    fs_remove("/deep/down", true);
    fd = file_open("/one", O_WRONLY | O_APPEND);
    if (fd >= 0) {
        file_write(fd, "abc", 3);
        file_close(fd);
    }
}

static uint32_t bpb(unsigned at, unsigned bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | disk[at + bytes];
    return value;
}

/* One to eight flipped bits or wild bytes, in the places that steer FatFs. */
static void damage(uint32_t fat, uint32_t fat_sectors, uint32_t data_sector)
{
    for (unsigned n = 1 + dice(8); n; n--) {
        uint32_t sector, offset = dice(512);
        switch (dice(8)) {
        case 0:
            sector = 0;
            offset = 11 + dice(50);
            break;
        case 1:
            sector = fat + dice(2) * fat_sectors;
            offset = dice(64);
            break;
        case 2:
        case 3:
            sector = fat + dice(fat_sectors < 4 ? fat_sectors : 4);
            break;
        default:
            sector = data_sector + dice(40);
            if (dice(2))
                offset = dice(16) * 32 + (dice(2) ? 20 + dice(12) : dice(12));
            break;
        }
        uint8_t *byte = disk + (size_t)sector * 512 + offset;
        *byte = dice(2) ? *byte ^ (uint8_t)(1u << dice(8)) : (uint8_t)dice(256);
        undo[undo_count++] = sector;
    }
}

static void damaged_volumes_neither_crash_nor_hang(void **state)
{
    (void)state;
    make_host_file("one", 1, 1);
    make_host_file("odd", 2, 4097);
    make_host_file("large", 3, 60000);
    unsigned mounted = 0, refused = 0;
    for (size_t i = 0; i < 3; i++) {
        format(&shapes[i]);
        assert_int_equal(
            shell(
                "mmd -i disk.img ::sub ::deep ::deep/down && mcopy -i disk.img one odd large :: && "
                "mcopy -i disk.img odd "
                "'::%s' && mcopy -i disk.img odd ::deep/down/x && "
                "mcopy -i disk.img large one ::sub",
                LONG_NAME),
            0);
        load("disk.img");
        uint8_t *pristine = malloc(disk_size);
        memcpy(pristine, disk, disk_size);
        uint32_t fat = bpb(14, 2), fat_sectors = bpb(22, 2) ? bpb(22, 2) : bpb(36, 4);
        uint32_t data_sector = fat + 2 * fat_sectors;
        undo_room = 1024;
        undo = malloc(undo_room * sizeof(*undo));
        for (uint32_t round = 0; round < 1500; round++) {
            dice_state = round * 2654435761u + (uint32_t)i + 1;
            undo_count = 0;
            damage(fat, fat_sectors, data_sector);
            disk_present = true;
            logged[0] = '\0';
            log_lines = 0;
            steps_left = 300;
            alarm(60); /* a hang ends the test by a signal */
            if (fs_init()) {
                refused++;
            } else {
                mounted++;
                walk("", 6);
                if (round % 3 == 0)
                    scribble();
                walk("", 2);
            }
            fs_shutdown();
            assert_true(log_lines < 40);
            for (size_t u = 0; u < undo_count; u++)
                memcpy(disk + (size_t)undo[u] * 512, pristine + (size_t)undo[u] * 512, 512);
        }
        alarm(0);
        free(undo);
        undo = NULL;
        undo_room = 0;
        free(pristine);
    }
    /* Both kinds of damage must have been met for the test to mean anything. */
    assert_true(mounted > 1000 && refused > 100);
}

/* --- Power cuts ------------------------------------------------------------------------------- */

/* Appends to a file in random pieces, each synced, until the power is gone: how much was synced. */
static size_t append_until_cut(const char *path, size_t size, size_t *written)
{
    unsigned char data[9000];
    int fd = file_open(path, O_WRONLY | O_CREAT | O_APPEND);
    size_t synced = *written = size;
    while (fd >= 0) {
        size_t n = 1 + dice(sizeof(data));
        for (size_t i = 0; i < n; i++)
            data[i] = content(8, *written + i);
        if (file_write(fd, data, n) != (ssize_t)n)
            break;
        *written += n;
        if (file_sync(fd))
            break;
        synced = *written;
    }
    if (fd >= 0)
        file_close(fd);
    return synced;
}

static void what_was_synced_survives_power_cuts(void **state)
{
    unsigned cuts = 0;
    (void)state;
    for (unsigned run = 0; run < 6; run++) {
        size_t size = 0;
        format(&shapes[run % 3]);
        load("disk.img");
        dice_state = run * 55 + 1;
        for (unsigned cut = 0; cut < 40; cut++) {
            struct stat status;
            size_t written;
            mount_loaded();
            cut_arm(1 + dice(50));
            size_t synced = append_until_cut("/file", size, &written);
            fs_shutdown();
            cuts += cut_apply();
            mount_loaded();
            if (fs_stat("/file", &status))
                status.st_size = 0;
            size = (size_t)status.st_size;
            assert_in_range(size, synced, written);
            if (size)
                read_exactly("/file", 8, size, 4096);
            fs_shutdown();
        }
    }
    assert_true(cuts > 200);
}

/* The entry of a cluster in the table of a volume of this shape (0: FAT12, 1: FAT16, 2: FAT32). */
static uint32_t link_of(unsigned shape, uint32_t cluster, uint32_t *to)
{
    uint32_t fat_bytes = (bpb(22, 2) ? bpb(22, 2) : bpb(36, 4)) * 512, value = 0;
    uint32_t at = shape == 0 ? cluster + cluster / 2 : shape == 1 ? cluster * 2 : cluster * 4;
    unsigned bytes = shape == 2 ? 4 : 2, shift = shape == 0 && cluster % 2 ? 4 : 0;
    uint32_t mask = (shape == 0 ? 0xfffu : shape == 1 ? 0xffffu : 0x0fffffffu) << shift;
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t *entry = disk + bpb(14, 2) * 512 + copy * fat_bytes + at;
        value = 0;
        memcpy(&value, entry, bytes);
        if (to) {
            value = (value & ~mask) | (*to << shift & mask);
            memcpy(entry, &value, bytes);
        }
    }
    return (value & mask) >> shift;
}

static uint32_t first_cluster(const char *short_name)
{
    uint32_t fat_bytes = (bpb(22, 2) ? bpb(22, 2) : bpb(36, 4)) * 512;
    const uint8_t *entry = disk + bpb(14, 2) * 512 + 2 * fat_bytes;
    while (*entry && memcmp(entry, short_name, 11))
        entry += 32;
    assert_int_not_equal(*entry, 0);
    return entry[26] | (uint32_t)entry[27] << 8 | (uint32_t)entry[20] << 16;
}

/* The chain of the one goes on with the other's. */
static void link_behind(unsigned shape, const char *short_name, const char *behind)
{
    uint32_t cluster = first_cluster(short_name), to = first_cluster(behind), next;
    unsigned left = 100;
    while ((next = link_of(shape, cluster, NULL)) < (shape == 0 ? 0xff8u : 0xfff8u) && left--)
        cluster = next;
    link_of(shape, cluster, &to);
}

/*
 * What such a cut may leave: the chain goes on behind the file's end, to a cluster that is free, and that
 * another file takes. Found by make power-cut.
 */
static void a_chain_behind_the_end_is_cut_off(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        format(&shapes[i]);
        load("disk.img");
        mount_loaded();
        unsigned cluster = bpb(13, 1) * 512;
        /* An odd and an even number of clusters: entries of FAT12 come in two kinds. */
        for (unsigned count = 4; count < 6; count++) {
            char path[20], other[20], name[12];
            snprintf(path, sizeof(path), "/grows%u", count);
            snprintf(other, sizeof(other), "/other%u", count);
            snprintf(name, sizeof(name), "GROWS%u     ", count);
            write_file(path, 3, count * cluster, 1000);
            /* As much is linked, and then the entry is as it was. */
            write_file("/tail", 4, 3 * cluster, 1000);
            fs_shutdown();
            link_behind(i, name, "TAIL       ");
            mount_loaded();
            assert_int_equal(fs_remove("/tail", false), 0);
            write_file(other, 5, 3 * cluster, 1000);
            int fd = file_open(path, O_WRONLY | O_APPEND);
            unsigned char data[100];
            for (size_t n = 0; n < sizeof(data); n++)
                data[n] = content(3, count * cluster + n);
            assert_int_equal(file_write(fd, data, sizeof(data)), sizeof(data));
            assert_int_equal(file_close(fd), 0);
            read_exactly(path, 3, count * cluster + sizeof(data), 4096);
            read_exactly(other, 5, 3 * cluster, 4096);
        }
        fs_shutdown();
        judge();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAT_TEST(renaming_and_removing),
        FAT_TEST(opening_fails_with_the_reason),
        FAT_TEST(a_disk_leaves_and_comes_back),
        FAT_TEST(a_full_volume_says_so),
        FAT_TEST(an_unusable_disk_is_said_clearly),
        FAT_TEST(sizes_that_overflow),
        FAT_TEST(a_partition_is_found),
        FAT_TEST(a_read_only_disk_is_only_read),
        FAT_TEST(device_errors_end_in_eio),
        FAT_TEST(damaged_volumes_neither_crash_nor_hang),
        FAT_TEST(what_was_synced_survives_power_cuts),
        FAT_TEST(a_chain_behind_the_end_is_cut_off),
    };
    return cmocka_run_group_tests_name("fat errors", tests, fat_begin, fat_end);
}
