// sources: tests/unit/fat_image.c fs/fat.c fs/fat_file.c fs/fat_disk.c fs/fat_tail.c fs/mount.c fs/fs.c fs/disks.c
// sources: fs/littlefs.c fs/littlefs_file.c fs/littlefs_disk.c littlefs/lfs2.c littlefs/lfs2_util.c
// sources: blk/cache.c libc/files.c libc/console.c fatfs/ff.c fatfs/ffunicode.c
// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/fuse.c boot/cmdline.c boot/format.c
// sources: fs/fuse_rpc.c fs/fuse_file.c fs/share_file.c
/*
 * test_fat.c - files on FAT volumes that mkfs.fat and mtools made and fsck.fat judges.
 *
 * Owns what must hold of fs/fat*.c and FatFs together as long as nothing goes wrong: contents to
 * the byte, names, times, and a volume that is clean after writing. Read test_fat_errors.c next.
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

/* --- Contents --------------------------------------------------------------------------------- */

static void files_of_others_are_read_exactly(void **state)
{
    (void)state;
    make_host_file("empty", 0, 0);
    make_host_file("one", 1, 1);
    make_host_file("odd", 2, 4097);
    make_host_file("large", 3, 3 * MIB + 77);
    for (size_t i = 0; i < SHAPES; i++) {
        format(&shapes[i]);
        assert_int_equal(
            shell(
                "mmd -i disk.img ::sub ::sub/deeper && mcopy -i disk.img empty one odd large :: && "
                "mcopy -i disk.img odd '::%s' && mcopy -i disk.img odd ::sub/deeper/Odd.Bin && "
                "mdel -i disk.img ::one "
                "&& mcopy -i disk.img large ::large2 && mcopy -i disk.img one ::",
                LONG_NAME),
            0);
        load("disk.img");
        mount_loaded();
        read_exactly("/empty", 0, 0, 100);
        read_exactly("/one", 1, 1, 100);
        read_exactly("/odd", 2, 4097, 1000);
        read_exactly("/" LONG_NAME, 2, 4097, 5000);
        read_exactly("/SUB/deeper/odd.bin", 2, 4097, 512);
        static const size_t chunks[] = {MIB, 4096, 65536, 1 + 4096 * 5, 12345, 4 * MIB};
        for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++)
            read_exactly("large", 3, 3 * MIB + 77, chunks[c]);
        read_exactly("/sub/../large2", 3, 3 * MIB + 77, 100000);
        fs_shutdown();
        assert_int_equal(disk_writes, 0);
    }
}

static void seeking_finds_every_byte(void **state)
{
    (void)state;
    format(&shapes[2]);
    make_host_file("large", 3, 3 * MIB + 77);
    assert_int_equal(shell("mcopy -i disk.img large ::large"), 0);
    load("disk.img");
    mount_loaded();
    /* A scattered file: written in turns with another one. */
    int a = file_open("/a", O_WRONLY | O_CREAT), b = file_open("/b", O_WRONLY | O_CREAT);
    unsigned char data[700];
    for (size_t at = 0; at < 300 * sizeof(data); at += sizeof(data)) {
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = content(9, at + i);
        assert_int_equal(file_write(a, data, sizeof(data)), sizeof(data));
        assert_int_equal(file_write(b, data, sizeof(data)), sizeof(data));
    }
    file_close(a);
    file_close(b);
    static const struct {
        const char *path;
        unsigned seed, size;
    } files[] = {{"/large", 3, 3 * MIB + 77}, {"/a", 9, 300 * 700}, {"/b", 9, 300 * 700}};
    uint32_t x = 1;
    for (size_t f = 0; f < 3; f++) {
        read_exactly(files[f].path, files[f].seed, files[f].size, 4096);
        for (int flags = 0; flags < 2; flags++) {
            int fd = file_open(files[f].path, flags ? O_RDWR : O_RDONLY);
            for (unsigned i = 0; i < 500; i++) {
                x = x * 1664525u + 1013904223u;
                uint32_t at = (x >> 4) % files[f].size;
                uint32_t n = (x >> 20) % sizeof(data) + 1;
                n = n < files[f].size - at ? n : files[f].size - at;
                assert_int_equal(file_seek(fd, at, SEEK_SET), at);
                assert_int_equal(file_read(fd, data, n), n);
                for (uint32_t k = 0; k < n; k++)
                    assert_int_equal(data[k], content(files[f].seed, at + k));
            }
            assert_int_equal(file_seek(fd, -1, SEEK_END), files[f].size - 1);
            assert_int_equal(file_read(fd, data, 10), 1);
            assert_int_equal(file_read(fd, data, 10), 0);
            assert_int_equal(file_seek(fd, 0, SEEK_CUR), files[f].size);
            assert_int_equal(file_seek(fd, 1000, SEEK_CUR), files[f].size + 1000);
            assert_int_equal(file_read(fd, data, 10), 0);
            assert_int_equal(file_seek(fd, -1, SEEK_SET), -EINVAL);
            assert_int_equal(file_seek(fd, 1ll << 40, SEEK_SET), -EOVERFLOW);
            assert_int_equal(file_seek(fd, INT64_MIN, SEEK_END), -EINVAL);
            assert_int_equal(file_seek(fd, INT64_MAX, SEEK_END), -EOVERFLOW);
            assert_int_equal(file_seek(fd, 0, 77), -EINVAL);
            file_close(fd);
        }
    }
}

static void large_reads_go_straight_to_the_caller(void **state)
{
    (void)state;
    format(&shapes[2]); /* clusters of 512 bytes: one request a cluster would be 8192 of them */
    make_host_file("large", 5, 4 * MIB);
    assert_int_equal(shell("mcopy -i disk.img large ::large"), 0);
    load("disk.img");
    mount_loaded();
    char *data = malloc(4 * MIB);
    int fd = file_open("/large", O_RDONLY);
    assert_int_equal(file_read(fd, data, 512), 512);
    disk_reads = 0;
    bytes_direct = 0;
    buffer_start = data;
    buffer_end = data + 4 * MIB;
    assert_int_equal(file_read(fd, data + 512, 4 * MIB - 512), 4 * MIB - 512);
    buffer_start = buffer_end = NULL;
    assert_int_equal(bytes_direct, 4 * MIB - 512);
    /* 64 sectors of the FAT, and the data in one piece. */
    assert_true(disk_reads <= 66);
    for (size_t i = 0; i < 4 * MIB; i += 511)
        assert_int_equal((unsigned char)data[i], content(5, i));
    free(data);
    file_close(fd);
}

static void what_is_written_is_there_for_others(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 511, 512, 513, 4096, 70000, 2 * MIB + 3};
    char path[64];
    for (size_t i = 0; i < SHAPES; i++) {
        format(&shapes[i]);
        load("disk.img");
        mount_loaded();
        assert_int_equal(fs_make_directory("/made here"), 0);
        assert_int_equal(fs_make_directory("/made here/x"), 0);
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            snprintf(path, sizeof(path), "/made here/File number %u.data", s);
            write_file(path, s, sizes[s], s % 2 ? 4096 : 30000);
            read_exactly(path, s, sizes[s], 8000);
        }
        write_file("/" LONG_NAME, 42, 5000, 77);
        fs_shutdown();
        assert_true(disk_flushes > 0);
        judge();
        for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            make_host_file("expected", s, sizes[s]);
            assert_int_equal(
                shell("rm -f got && mcopy -i judged.img '::made here/File number %u.data' got && "
                      "cmp got expected",
                      s),
                0);
        }
        make_host_file("expected", 42, 5000);
        assert_int_equal(
            shell("rm -f got && mcopy -i judged.img '::%s' got && cmp got expected", LONG_NAME), 0);
    }
}

/*
 * Directories and tables are written over and over: in memory, until a flush, or until a second has
 * passed. Nothing is kept longer than that.
 */
static void short_writes_wait_in_memory(void **state)
{
    char path[64];
    (void)state;
    format(&shapes[1]);
    load("disk.img");
    mount_loaded();
    disk_writes = disk_flushes = 0;
    for (unsigned i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "/small %u", i);
        write_file(path, i, 1000, 500);
    }
    assert_true(disk_writes < 10); /* what had to give way */
    assert_int_equal(disk_flushes, 0);
    assert_true(fat_image_wait());
    assert_in_range(disk_writes, 1, 100); /* 384 when each goes at once */
    assert_int_equal(disk_flushes, 0);
    assert_false(fat_image_wait());
    judge();
    make_host_file("expected", 63, 1000);
    assert_int_equal(shell("rm -f got && mcopy -i judged.img '::small 63' got && cmp got expected"),
                     0);
    /* And a sync makes all of it stable. */
    disk_writes = disk_flushes = 0;
    write_file("/more", 7, 1000, 500);
    fs_sync_all();
    assert_true(disk_writes > 0);
    assert_int_equal(disk_flushes, 1);
    disk_writes = 0;
    assert_true(fat_image_wait());
    assert_int_equal(disk_writes, 0);
}

/* What could not be written back is kept, and said to the next who asks. */
static void a_failed_write_back_is_heard_of(void **state)
{
    (void)state;
    format(&shapes[1]);
    load("disk.img");
    mount_loaded();
    int fd = file_open("/a", O_WRONLY | O_CREAT);
    assert_int_equal(file_write(fd, "text", 4), 4);
    assert_int_equal(file_close(fd), 0);
    write_error = -EIO;
    assert_true(fat_image_wait());
    assert_non_null(strstr(logged, "writing back"));
    assert_int_equal(fs_sync_all(), -EIO);
    write_error = 0;
    assert_int_equal(fs_sync_all(), 0);
    judge();
    assert_int_equal(shell("rm -f got && mcopy -i judged.img ::a got && grep -q text got"), 0);
}

static void writing_in_the_middle_appending_and_cutting(void **state)
{
    (void)state;
    unsigned char data[3000], zeros[100] = {0};
    struct stat status;
    format(&shapes[1]);
    load("disk.img");
    memset(disk + disk_size / 2, 0xee, disk_size / 2); /* what free sectors hold must never show */
    memset(disk + 512 * 400, 0xee, disk_size / 2 - 512 * 400);
    mount_loaded();
    write_file("/f", 1, 10000, 1000);

    int fd = file_open("/f", O_RDWR | O_APPEND);
    for (size_t i = 0; i < 500; i++)
        data[i] = content(1, 10000 + i);
    assert_int_equal(file_seek(fd, 3, SEEK_SET), 3);
    assert_int_equal(file_write(fd, data, 500), 500); /* at the end nevertheless */
    file_close(fd);
    read_exactly("/f", 1, 10500, 3000);

    fd = file_open("/f", O_RDWR);
    assert_int_equal(file_seek(fd, 5000, SEEK_SET), 5000);
    memset(data, 'm', 100);
    assert_int_equal(file_write(fd, data, 100), 100);
    assert_int_equal(file_read(fd, data, 1), 1);
    assert_int_equal(data[0], content(1, 5100));
    assert_int_equal(file_seek(fd, 4999, SEEK_SET), 4999);
    assert_int_equal(file_read(fd, data, 102), 102);
    assert_int_equal(data[0], content(1, 4999));
    assert_int_equal(data[1], 'm');
    assert_int_equal(data[100], 'm');
    assert_int_equal(data[101], content(1, 5100));
    assert_int_equal(file_truncate(fd, 5050), 0);
    assert_int_equal(file_stat(fd, &status), 0);
    assert_int_equal(status.st_size, 5050);

    /* A gap reads as zeros, by seek and by ftruncate. */
    assert_int_equal(file_seek(fd, 200000, SEEK_SET), 200000);
    assert_int_equal(file_write(fd, "x", 1), 1);
    assert_int_equal(file_truncate(fd, 300000), 0);
    for (unsigned at = 5050; at < 300000; at += 100) {
        file_seek(fd, at, SEEK_SET);
        ssize_t n = file_read(fd, data, 100);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(data[i], at + i == 200000 ? 'x' : 0);
    }
    assert_int_equal(file_truncate(fd, 0), 0);
    assert_int_equal(file_seek(fd, 0, SEEK_SET), 0);
    assert_int_equal(file_read(fd, data, 10), 0);
    assert_int_equal(file_truncate(fd, 1ll << 32), -EFBIG);
    assert_int_equal(file_write(fd, zeros, 100), 100);
    assert_int_equal(file_sync(fd), 0);
    file_close(fd);
    write_file("/f", 7, 20, 20); /* O_TRUNC */
    read_exactly("/f", 7, 20, 20);
    fs_shutdown();
    judge();
}

/* --- Names and errors ------------------------------------------------------------------------- */

static unsigned count_entries(const char *path, const char *sought, struct fs_entry *found)
{
    struct file_object directory;
    struct fs_entry entry;
    unsigned n = 0;
    int more;
    assert_int_equal(fs_open_directory(path, &directory), 0);
    for (int round = 0; round < 2; round++) {
        for (n = 0; (more = directory.ops->read_entry(directory.object, &entry)) > 0; n++) {
            if (sought && !strcmp(entry.name, sought))
                *found = entry;
        }
        assert_int_equal(more, 0);
        assert_int_equal(directory.ops->rewind(directory.object), 0);
    }
    assert_int_equal(directory.ops->close(directory.object), 0);
    return n;
}

static void directories_list_what_is_in_them(void **state)
{
    (void)state;
    struct fs_entry entry = {0};
    struct stat status;
    format(&shapes[2]);
    make_host_file("odd", 2, 4097);
    assert_int_equal(
        shell(
            "mmd -i disk.img ::sub && mcopy -i disk.img odd '::%s' && "
            "mcopy -i disk.img odd ::sub/UPPER.TXT && "
            "TZ=UTC touch -d '2021-02-28 12:34:56' odd && TZ=UTC mcopy -m -i disk.img odd ::dated",
            LONG_NAME),
        0);
    load("disk.img");
    mount_loaded();
    assert_int_equal(count_entries("/", LONG_NAME, &entry), 3);
    assert_string_equal(entry.name, LONG_NAME);
    assert_true(S_ISREG(entry.mode));
    assert_int_equal(entry.size, 4097);
    assert_int_equal(count_entries("/", "sub", &entry), 3);
    assert_true(S_ISDIR(entry.mode));
    assert_int_equal(count_entries("/sub", "UPPER.TXT", &entry), 1);
    assert_int_equal(entry.size, 4097);
    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/sub/one of very many files %d", i);
        write_file(path, 0, 0, 1);
    }
    assert_int_equal(count_entries("/sub/", "one of very many files 299", &entry), 301);
    assert_int_equal(fs_stat("/dated", &status), 0);
    assert_int_equal(status.st_mtime, 1614515696);
    int fd = file_open("/dated", O_RDONLY);
    assert_int_equal(file_stat(fd, &status), 0);
    assert_int_equal(status.st_mtime, 1614515696);
    assert_int_equal(status.st_size, 4097);
    assert_true(status.st_blksize >= 512);
    assert_int_equal(fs_stat("/sub/one of very many files 7", &status), 0);
    assert_int_equal(status.st_mtime, NOW);
    assert_int_equal(fs_stat("/", &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(fs_stat("/SUB", &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    fs_shutdown();
    judge();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAT_TEST(files_of_others_are_read_exactly),
        FAT_TEST(seeking_finds_every_byte),
        FAT_TEST(large_reads_go_straight_to_the_caller),
        FAT_TEST(what_is_written_is_there_for_others),
        FAT_TEST(short_writes_wait_in_memory),
        FAT_TEST(a_failed_write_back_is_heard_of),
        FAT_TEST(writing_in_the_middle_appending_and_cutting),
        FAT_TEST(directories_list_what_is_in_them),
    };
    return cmocka_run_group_tests_name("fat", tests, fat_begin, fat_end);
}
