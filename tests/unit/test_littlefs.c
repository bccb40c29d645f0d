// sources: tests/unit/fat_image.c fs/fat.c fs/fat_file.c fs/fat_disk.c fs/fat_tail.c fs/mount.c fs/fs.c fs/disks.c
// sources: fs/littlefs.c fs/littlefs_file.c fs/littlefs_disk.c littlefs/lfs2.c littlefs/lfs2_util.c
// sources: blk/cache.c libc/files.c libc/console.c fatfs/ff.c fatfs/ffunicode.c
// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/fuse.c boot/cmdline.c boot/format.c
// sources: fs/fuse_rpc.c fs/fuse_file.c fs/share_file.c
/*
 * test_littlefs.c - files on littlefs volumes: contents, rules, full and damaged volumes, and power
 * cuts at every write.
 *
 * Owns what must hold of fs/littlefs*.c and littlefs together. The disk is fat_image.c's; a power
 * cut leaves of what was not flushed any sectors and not the others. Read fs/littlefs_disk.c next.
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
#include "fs/littlefs.h"
#include "libc/files.h"

#define DISK_SIZE (2 * MIB)

static void blank_disk(size_t size)
{
    disk = realloc(disk, size);
    disk_size = size;
    memset(disk, 0, size);
    device.capacity = size / BLK_SECTOR_SIZE;
    disk_present = true;
}

static void format_littlefs(size_t size, uint32_t block_size)
{
    blank_disk(size);
    assert_int_equal(littlefs_format(&device, block_size), 0);
    mount_loaded();
}

/* --- Contents --------------------------------------------------------------------------------- */

static void contents_are_exact(void **state)
{
    static const struct {
        uint32_t device_block, block;
    } geometries[] = {{512, 0}, {512, 512}, {512, 65536}, {4096, 0}, {4096, 16384}};
    static const size_t sizes[] = {0, 1, 511, 512, 513, 1022, 1023, 4096, 4097, 100001};
    (void)state;
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        device.block_size = geometries[g].device_block;
        format_littlefs(8 * MIB, geometries[g].block);
        assert_int_equal(fs_make_directory("/sub"), 0);
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char name[40];
            snprintf(name, sizeof(name), "/sub/file %u", i);
            write_file(name, i, sizes[i], i % 2 ? 777 : 8192);
        }
        fs_shutdown();
        mount_loaded();
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char name[40];
            struct stat status;
            snprintf(name, sizeof(name), "sub/../sub/file %u", i);
            read_exactly(name, i, sizes[i], i % 2 ? 8192 : 777);
            assert_int_equal(fs_stat(name, &status), 0);
            assert_true(S_ISREG(status.st_mode));
            assert_int_equal(status.st_size, sizes[i]);
            assert_int_equal(status.st_mtime, NOW);
        }
        fs_shutdown();
    }
}

static void seeking_and_truncating(void **state)
{
    unsigned char byte = 7, data[16];
    struct stat status;
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/a", 5, 10000, 1000);
    int fd = file_open("/a", O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(file_seek(fd, -1, SEEK_END), 9999);
    assert_int_equal(file_read(fd, data, 16), 1);
    assert_int_equal(data[0], content(5, 9999));
    assert_int_equal(file_seek(fd, 10, SEEK_CUR), 10010);
    assert_int_equal(file_write(fd, &byte, 1), 1);
    assert_int_equal(file_seek(fd, 9999, SEEK_SET), 9999);
    assert_int_equal(file_read(fd, data, 16), 12);
    assert_int_equal(data[1], 0);
    assert_int_equal(data[11], 7);
    assert_int_equal(file_truncate(fd, 5000), 0);
    assert_int_equal(file_stat(fd, &status), 0);
    assert_int_equal(status.st_size, 5000);
    assert_int_equal(file_seek(fd, -1, SEEK_SET), -EINVAL);
    assert_int_equal(file_seek(fd, 1ll << 40, SEEK_SET), -EOVERFLOW);
    assert_int_equal(file_seek(fd, 0, 9), -EINVAL);
    assert_int_equal(file_truncate(fd, 1ll << 40), -EFBIG);
    assert_int_equal(file_close(fd), 0);
    read_exactly("/a", 5, 5000, 512);
    fd = file_open("/a", O_WRONLY | O_APPEND);
    byte = content(5, 5000);
    assert_int_equal(file_write(fd, &byte, 1), 1);
    assert_int_equal(file_close(fd), 0);
    read_exactly("/a", 5, 5001, 4096);
}

/* --- Rules ------------------------------------------------------------------------------------ */

static void names_and_errors(void **state)
{
    char long_name[300] = "/";
    struct stat status;
    struct file_object directory;
    struct fs_entry entry;
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/a", 1, 100, 100);
    write_file("/A", 2, 200, 100); /* names differ by case */
    assert_int_equal(fs_make_directory("/d"), 0);
    assert_int_equal(fs_make_directory("/d"), -EEXIST);
    assert_int_equal(fs_make_directory("/x/y"), -ENOENT);
    assert_int_equal(fs_make_directory("/a/y"), -ENOTDIR);
    write_file("/d/in", 3, 5000, 100);
    memset(long_name + 1, 'n', 256);
    assert_int_equal(file_open(long_name, O_WRONLY | O_CREAT), -ENAMETOOLONG);
    assert_int_equal(file_open("/none", O_RDONLY), -ENOENT);
    assert_int_equal(file_open("/d", O_RDONLY), -EISDIR);
    assert_int_equal(file_open("/", O_RDWR), -EISDIR);
    assert_int_equal(file_open("/a/b", O_RDONLY), -ENOTDIR);
    assert_int_equal(file_open("/a", O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(fs_open_directory("/a", &directory), -ENOTDIR);
    assert_int_equal(fs_remove("/d", true), -ENOTEMPTY);
    assert_int_equal(fs_remove("/d", false), -EISDIR);
    assert_int_equal(fs_remove("/a", true), -ENOTDIR);
    assert_int_equal(fs_remove("/none", false), -ENOENT);
    assert_int_equal(fs_rename("/d", "/d/e"), -EINVAL);
    assert_int_equal(fs_rename("/a", "/d"), -EISDIR);
    assert_int_equal(fs_rename("/d", "/a"), -ENOTDIR);
    assert_int_equal(fs_rename("/d", "/e"), 0);
    assert_int_equal(fs_rename("/a", "/A"), 0);
    read_exactly("/A", 1, 100, 64);
    read_exactly("/e/in", 3, 5000, 64);
    assert_int_equal(fs_stat("/a", &status), -ENOENT);
    assert_int_equal(fs_stat("/e", &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(fs_open_directory("/", &directory), 0);
    for (unsigned round = 0; round < 2; round++) {
        unsigned found = 0;
        while (directory.ops->read_entry(directory.object, &entry) == 1)
            found |= !strcmp(entry.name, "A") ? 1 : !strcmp(entry.name, "e") ? 2 : 4;
        assert_int_equal(found, 3);
        assert_int_equal(directory.ops->rewind(directory.object), 0);
    }
    assert_int_equal(directory.ops->close(directory.object), 0);
}

static void one_writer_at_a_time(void **state)
{
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    assert_int_equal(fs_make_directory("/d"), 0);
    int fd = file_open("/d/a", O_WRONLY | O_CREAT);
    assert_true(fd >= 0);
    assert_int_equal(file_open("/d/a", O_RDONLY), -EBUSY);
    assert_int_equal(fs_remove("/d/a", false), -EBUSY);
    assert_int_equal(fs_rename("/d/a", "/b"), -EBUSY);
    assert_int_equal(fs_rename("/d", "/e"), -EBUSY);
    assert_int_equal(file_close(fd), 0);
    fd = file_open("/d/a", O_RDONLY);
    int second = file_open("/d/a", O_RDONLY);
    assert_true(fd >= 0 && second >= 0);
    assert_int_equal(file_open("/d/a", O_WRONLY), -EBUSY);
    assert_int_equal(file_close(second), 0);
    assert_int_equal(file_close(fd), 0);
    assert_int_equal(fs_rename("/d", "/e"), 0);
}

static void words_choose_the_volume(void **state)
{
    struct stat status;
    (void)state;
    blank_disk(DISK_SIZE);
    kernel_words = "format=vda:littlefs mount=vda:/data root=vdb";
    assert_int_equal(fs_init(), -ENODEV);
    assert_non_null(strstr(logged, "made a littlefs volume"));
    assert_non_null(strstr(logged, "there is no disk vdb"));
    write_file("/data/kept", 1, 3000, 100);
    fs_shutdown();
    kernel_words = "format=vda:littlefs root=vda";
    mount_loaded();
    assert_non_null(strstr(logged, "is not blank"));
    read_exactly("/kept", 1, 3000, 100);
    fs_shutdown();
    kernel_words = "format=vda:ext4 mount=vda";
    mount_loaded();
    assert_non_null(strstr(logged, "format=vda:ext4: not understood"));
    assert_non_null(strstr(logged, "mount=vda: not understood"));
    assert_int_equal(fs_stat("/kept", &status), 0);
}

/* A disk whose zones have to be written in order is neither mounted nor formatted, and the log says why. */
static void host_managed_zones_are_left_alone(void **state)
{
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/kept", 1, 3000, 100);
    fs_shutdown();
    device.zoning.model = BLK_ZONES_HOST_MANAGED;
    kernel_words = "mount=vda:/data";
    unsigned writes = disk_writes;
    assert_int_equal(fs_init(), -ENODEV);
    assert_non_null(strstr(logged, "has host-managed zones"));
    fs_shutdown();
    blank_disk(DISK_SIZE);
    kernel_words = "format=vda:littlefs";
    assert_int_equal(fs_init(), -ENODEV);
    assert_int_equal(disk_writes, writes);
    fs_shutdown();
    /* A host-aware one takes writes anywhere. */
    device.zoning.model = BLK_ZONES_HOST_AWARE;
    kernel_words = "format=vda:littlefs root=vda";
    mount_loaded();
    write_file("/kept", 1, 3000, 100);
    fs_shutdown();
    device.zoning.model = BLK_ZONES_NONE;
}

/* --- When things go wrong --------------------------------------------------------------------- */

static void a_full_volume_says_so(void **state)
{
    static unsigned char data[10000];
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/kept", 4, 50000, 5000);
    for (unsigned round = 0; round < 3; round++) {
        ssize_t done;
        size_t total = 0;
        int fd = file_open("/fill", O_WRONLY | O_CREAT | O_TRUNC);
        assert_true(fd >= 0);
        while ((done = file_write(fd, data, sizeof(data))) > 0)
            total += (size_t)done;
        assert_int_equal(done, -ENOSPC);
        assert_true(total > DISK_SIZE / 2);
        assert_int_equal(file_sync(fd), -ENOSPC);
        assert_int_equal(file_close(fd), -ENOSPC);
        assert_int_equal(fs_remove("/fill", false), 0);
    }
    read_exactly("/kept", 4, 50000, 4096);
    write_file("/again", 5, 100000, 5000);
    read_exactly("/again", 5, 100000, 4096);
}

static void a_read_only_disk_is_only_read(void **state)
{
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/a", 1, 3000, 100);
    fs_shutdown();
    device.read_only = true;
    mount_loaded();
    read_exactly("/a", 1, 3000, 1000);
    assert_int_equal(file_open("/a", O_WRONLY), -EROFS);
    assert_int_equal(file_open("/b", O_WRONLY | O_CREAT), -EROFS);
    assert_int_equal(fs_remove("/a", false), -EROFS);
    assert_int_equal(fs_rename("/a", "/b"), -EROFS);
    assert_int_equal(fs_make_directory("/d"), -EROFS);
    assert_int_equal(littlefs_format(&device, 0), -EROFS);
}

static void device_errors_end_in_eio(void **state)
{
    unsigned char data[5000] = {0};
    (void)state;
    format_littlefs(DISK_SIZE, 0);
    write_file("/a", 1, 200000, 100);
    int fd = file_open("/a", O_RDWR);
    write_error = -EIO;
    ssize_t done = file_write(fd, data, sizeof(data));
    int error = file_sync(fd);
    assert_true(done == -EIO || error == -EIO);
    write_error = 0;
    assert_int_equal(file_sync(fd), -EIO); /* what was not written is lost, and said to be */
    file_close(fd);
    read_exactly("/a", 1, 200000, 4096);
    fs_shutdown();
    read_error = -EIO;
    disk_present = true;
    assert_int_equal(fs_init(), -ENODEV);
}

/* Reads all there is, whatever comes out of it. */
static void walk(const char *path, unsigned depth)
{
    struct file_object directory;
    struct fs_entry entry;
    char *inner = malloc(FS_PATH_MAX);
    unsigned char data[3000];
    unsigned names = 0;
    if (!fs_open_directory(path, &directory)) {
        while (names++ < 200 && directory.ops->read_entry(directory.object, &entry) == 1) {
            if (snprintf(inner, FS_PATH_MAX, "%s/%s", path, entry.name) >= (int)FS_PATH_MAX)
                continue;
            if (S_ISDIR(entry.mode) && depth) {
                walk(inner, depth - 1);
                continue;
            }
            int fd = file_open(inner, O_RDONLY);
            for (unsigned i = 0; fd >= 0 && i < 200 && file_read(fd, data, sizeof(data)) > 0; i++)
                ;
            if (fd >= 0)
                file_close(fd);
        }
        directory.ops->close(directory.object);
    }
    free(inner);
}

static void scribble(void)
{
    unsigned char data[3000] = {1};
    int fd = file_open("/new", O_WRONLY | O_CREAT);
    for (unsigned i = 0; fd >= 0 && i < 20; i++)
        file_write(fd, data, sizeof(data));
    if (fd >= 0)
        file_close(fd);
    fs_make_directory("/more");
    fs_rename("/d1/f1", "/more/f1");
    fs_remove("/d2/f2", false);
    fs_sync_all();
}

static void damage_at(size_t at)
{
    switch (dice(3)) {
    case 0:
        disk[at] ^= (uint8_t)(1u << dice(8));
        break;
    case 1:
        disk[at] = (uint8_t)dice(256);
        break;
    default:
        memset(disk + at / 64 * 64, (int)dice(256), 64);
        break;
    }
}

/*
 * A checksum makes most damage plain, so half of the rounds repair it: littlefs then believes what
 * it reads. The checksum covers everything from the block's start to the tag's own four bytes.
 */
static uint32_t crc(uint32_t value, const uint8_t *data, size_t size)
{
    while (size--) {
        value ^= *data++;
        for (unsigned i = 0; i < 8; i++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
    }
    return value;
}

/* Makes the checksums of a metadata block right; how many commits it has. */
static unsigned repair(uint8_t *block, size_t size)
{
    uint32_t tag = 0xffffffff;
    unsigned commits = 0;
    size_t start = 0;
    for (size_t at = 4; at + 8 <= size;) {
        tag ^= (uint32_t)block[at] << 24 | (uint32_t)block[at + 1] << 16 |
               (uint32_t)block[at + 2] << 8 | block[at + 3];
        if (tag & 0x80000000u)
            break;
        uint32_t type = tag >> 20 & 0x7ff, len = tag & 0x3ff;
        if ((type & 0x780) == 0x500 && type != 0x5ff) {
            uint32_t sum = crc(0xffffffff, block + start, at + 4 - start);
            for (unsigned i = 0; i < 4; i++)
                block[at + 4 + i] = (uint8_t)(sum >> (8 * i));
            tag ^= (type & 1) << 31;
            commits++;
            start = at + 4 + len;
        }
        at += 4 + (len == 0x3ff ? 0 : len);
    }
    return commits;
}

static void damaged_volumes_neither_crash_nor_hang(void **state)
{
    unsigned mounted = 0, refused = 0, repaired = 0;
    (void)state;
    format_littlefs(DISK_SIZE / 4, 0);
    for (unsigned d = 0; d < 4; d++) {
        char name[40];
        snprintf(name, sizeof(name), "/d%u", d);
        assert_int_equal(fs_make_directory(name), 0);
        for (unsigned f = 0; f < 6; f++) {
            snprintf(name, sizeof(name), "/d%u/f%u", d, f);
            write_file(name, f, f * f * f * 60, 1000);
        }
    }
    fs_shutdown();
    uint8_t *pristine = malloc(disk_size);
    memcpy(pristine, disk, disk_size);
    size_t metadata[200], blocks = 0;
    for (size_t block = 0; block < disk_size && blocks < 200; block += 4096) {
        if (repair(disk + block, 4096))
            metadata[blocks++] = block;
    }
    for (uint32_t round = 0; round < 3000; round++) {
        dice_state = round * 2654435761u + 1;
        memcpy(disk, pristine, disk_size);
        for (unsigned i = dice(6) + 1; i; i--) {
            size_t block = metadata[dice((uint32_t)blocks)];
            damage_at(block + dice(round % 4 ? 200 : 4096));
            if (round % 4)
                repaired += repair(disk + block, 4096);
        }
        logged[0] = '\0';
        log_lines = 0;
        alarm(60); /* a hang ends the test by a signal */
        if (fs_init()) {
            refused++;
        } else {
            mounted++;
            walk("", 4);
            scribble();
            walk("", 2);
        }
        fs_shutdown();
        assert_true(log_lines < 60);
    }
    alarm(0);
    free(pristine);
    /* Each must have been met for the test to mean anything. */
    assert_true(mounted > 500 && refused > 20 && repaired > 500);
}

/* --- Power cuts ------------------------------------------------------------------------------- */

#define FILES 5u

struct promise {
    unsigned seed, size; /* of the version that was synced */
    unsigned new_seed, new_size;
};

/* One change of a file in a random way; false once the power is gone. */
static bool change(struct promise *file, const char *name)
{
    unsigned char data[2000];
    file->new_seed = dice(1000) + 1;
    file->new_size = dice(5) ? dice(3000) : dice(40000);
    char temporary[] = "/temporary";
    int fd = file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    bool good = fd >= 0;
    for (size_t at = 0; good && at < file->new_size;) {
        size_t n = file->new_size - at < sizeof(data) ? file->new_size - at : sizeof(data);
        for (size_t i = 0; i < n; i++)
            data[i] = content(file->new_seed, at + i);
        good = file_write(fd, data, n) == (ssize_t)n;
        at += n;
    }
    good = good && !file_sync(fd);
    if (fd >= 0)
        good = !file_close(fd) && good;
    good = good && !fs_rename(temporary, name);
    if (good) {
        file->seed = file->new_seed;
        file->size = file->new_size;
    }
    return good;
}

static bool holds(const char *name, unsigned seed, unsigned size)
{
    unsigned char data[2000];
    struct stat status;
    size_t at = 0;
    ssize_t n;
    if (!size && fs_stat(name, &status) == -ENOENT)
        return true;
    int fd = file_open(name, O_RDONLY);
    if (fd < 0)
        return false;
    while ((n = file_read(fd, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < n; i++, at++) {
            if (data[i] != content(seed, at)) {
                file_close(fd);
                return false;
            }
        }
    }
    file_close(fd);
    return !n && at == size;
}

static void what_was_synced_survives_power_cuts(void **state)
{
    unsigned cuts = 0;
    (void)state;
    for (unsigned run = 0; run < 12; run++) {
        struct promise files[FILES] = {0};
        dice_state = run * 77 + 1;
        format_littlefs(DISK_SIZE / 4, 0);
        fs_sync_all();
        for (unsigned cut = 0; cut < 40; cut++) {
            cut_arm(1 + dice(60));
            char name[20];
            unsigned i;
            do {
                i = dice(FILES);
                snprintf(name, sizeof(name), "/file %u", i);
            } while (change(&files[i], name));
            fs_shutdown();
            cuts += cut_apply();
            mount_loaded();
            for (unsigned f = 0; f < FILES; f++) {
                snprintf(name, sizeof(name), "/file %u", f);
                if (!holds(name, files[f].seed, files[f].size)) {
                    /* The change that was under way may have been complete. */
                    if (f != i || !holds(name, files[f].new_seed, files[f].new_size))
                        fail_msg("run %u cut %u: %s is not as it was synced", run, cut, name);
                    files[f].seed = files[f].new_seed;
                    files[f].size = files[f].new_size;
                }
            }
        }
        fs_shutdown();
    }
    assert_true(cuts > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAT_TEST(contents_are_exact),
        FAT_TEST(seeking_and_truncating),
        FAT_TEST(names_and_errors),
        FAT_TEST(one_writer_at_a_time),
        FAT_TEST(words_choose_the_volume),
        FAT_TEST(host_managed_zones_are_left_alone),
        FAT_TEST(a_full_volume_says_so),
        FAT_TEST(a_read_only_disk_is_only_read),
        FAT_TEST(device_errors_end_in_eio),
        FAT_TEST(damaged_volumes_neither_crash_nor_hang),
        FAT_TEST(what_was_synced_survives_power_cuts),
    };
    return cmocka_run_group_tests_name("littlefs", tests, fat_begin, fat_end);
}
