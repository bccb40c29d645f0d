// sources: libc/files.c libc/console.c fs/mount.c
/*
 * test_files.c - descriptors, the console and the mount table over a file system that only notes
 * what it is asked.
 *
 * Every way to call libc/files.c and fs/mount.c wrongly has its errno here. The file system proper
 * is test_fat.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs.h"
#include "libc/console.h"
#include "libc/files.h"
#include "platform.h"

/* --- The console ------------------------------------------------------------------------------ */

static char printed[4096];
static size_t printed_len;
static const char *typed = "";

void platform_console_write(const char *text, size_t len)
{
    assert_true(printed_len + len < sizeof(printed));
    memcpy(printed + printed_len, text, len);
    printed_len += len;
    printed[printed_len] = '\0';
}

int platform_console_read(void)
{
    return *typed ? (unsigned char)*typed++ : -1;
}

static void printed_is(const char *text)
{
    assert_string_equal(printed, text);
    printed_len = 0;
    printed[0] = '\0';
}

/* --- A file system that notes what it is asked ------------------------------------------------ */

struct note {
    char call[32], path[FS_PATH_MAX], other[FS_PATH_MAX];
    int flags, answer, closed, unmounted, synced;
} note;

static ssize_t noted_read(void *object, void *data, size_t count)
{
    memset(data, *(char *)object, count);
    return (ssize_t)count;
}

static ssize_t noted_write(void *object, const void *data, size_t count)
{
    (void)object;
    (void)data;
    return note.answer ? note.answer : (ssize_t)count;
}

static int64_t noted_seek(void *object, int64_t offset, int whence)
{
    (void)object;
    return whence == SEEK_SET ? offset : -EINVAL;
}

static int noted_truncate(void *object, int64_t size)
{
    (void)object;
    return size > 100 ? -EFBIG : 0;
}

static int noted_close(void *object)
{
    note.closed++;
    free(object);
    return note.answer;
}

static const struct file_ops noted_file = {
    .read = noted_read,
    .write = noted_write,
    .seek = noted_seek,
    .truncate = noted_truncate,
    .close = noted_close,
};

static const struct file_ops bare_file = {.close = noted_close};

static int noted(const char *call, const char *path, const char *other, int flags)
{
    strcpy(note.call, call);
    strcpy(note.path, path);
    strcpy(note.other, other);
    note.flags = flags;
    return note.answer;
}

static int noted_open(void *volume, const char *path, int flags, struct file_object *file)
{
    int error = noted("open", path, "", flags);
    if (error)
        return error;
    char *object = malloc(1);
    *object = *(char *)volume;
    *file = (struct file_object){strstr(path, "bare") ? &bare_file : &noted_file, object};
    return 0;
}

static int noted_open_directory(void *volume, const char *path, struct file_object *directory)
{
    (void)volume;
    (void)directory;
    return noted("opendir", path, "", 0);
}

static int noted_stat(void *volume, const char *path, struct stat *status)
{
    status->st_size = *(char *)volume;
    return noted("stat", path, "", 0);
}

static int noted_remove(void *volume, const char *path, bool directory)
{
    (void)volume;
    return noted(directory ? "rmdir" : "unlink", path, "", 0);
}

static int noted_rename(void *volume, const char *from, const char *to)
{
    (void)volume;
    return noted("rename", from, to, 0);
}

static int noted_make_directory(void *volume, const char *path)
{
    (void)volume;
    return noted("mkdir", path, "", 0);
}

static int noted_sync(void *volume)
{
    (void)volume;
    note.synced++;
    return note.answer;
}

static int noted_unmount(void *volume)
{
    (void)volume;
    note.unmounted++;
    return note.answer;
}

static const struct fs_ops noted_fs = {
    .name = "noted",
    .open = noted_open,
    .open_directory = noted_open_directory,
    .stat = noted_stat,
    .remove = noted_remove,
    .rename = noted_rename,
    .make_directory = noted_make_directory,
    .sync = noted_sync,
    .unmount = noted_unmount,
};

static char root_volume = 'r', data_volume = 'd';

static int setup(void **state)
{
    (void)state;
    memset(&note, 0, sizeof(note));
    printed_len = 0;
    typed = "";
    assert_int_equal(fs_mount("/", &noted_fs, &root_volume), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    note.answer = 0;
    file_close_all();
    fs_unmount_all();
    return 0;
}

/* --- Paths ------------------------------------------------------------------------------------ */

static void paths_take_their_normal_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/", "/"},
        {"//", "/"},
        {".", "/"},
        {"..", "/"},
        {"/..", "/"},
        {"/../..", "/"},
        {"a", "/a"},
        {"/a", "/a"},
        {"./a", "/a"},
        {"a/", "/a"},
        {"/a//b", "/a/b"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/b/..", "/a"},
        {"/a/b/../..", "/"},
        {"/../a", "/a"},
        {"/a/../../b", "/b"},
        {"/...", "/..."},
        {"/a/...b", "/a/...b"},
        {"/.a", "/.a"},
        {"/..a", "/..a"},
        {"a/b/c/../../d", "/a/d"},
        {"/a/.", "/a"},
        {"////x////", "/x"},
    };
    char plain[FS_PATH_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fs_normalise(cases[i][0], plain), 0);
        assert_string_equal(plain, cases[i][1]);
    }
    assert_int_equal(fs_normalise("", plain), -ENOENT);
}

static void paths_have_a_limit(void **state)
{
    (void)state;
    static char path[4 * FS_PATH_MAX];
    char plain[FS_PATH_MAX];
    path[0] = '/';
    memset(path + 1, 'n', FS_NAME_MAX);
    assert_int_equal(fs_normalise(path, plain), 0);
    path[1 + FS_NAME_MAX] = 'n';
    assert_int_equal(fs_normalise(path, plain), -ENAMETOOLONG);

    for (size_t i = 0; i < FS_PATH_MAX - 1; i++)
        path[i] = i % 2 ? 'a' : '/';
    path[FS_PATH_MAX - 1] = '\0'; /* 1023 bytes, the last a slash that vanishes */
    assert_int_equal(fs_normalise(path, plain), 0);
    strcpy(path + FS_PATH_MAX - 2, "/bb");
    assert_int_equal(fs_normalise(path, plain), -ENAMETOOLONG);

    /* Only the result counts: a long way round is fine. */
    path[0] = '\0';
    for (size_t i = 0; i < 800; i++)
        memcpy(path + 5 * i, "/a/..", 6);
    assert_int_equal(fs_normalise(path, plain), 0);
    assert_string_equal(plain, "/");
}

static void longest_mount_wins(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(fs_mount("/data", &noted_fs, &data_volume), 0);
    assert_int_equal(fs_mount("/data/", &noted_fs, &data_volume), -EBUSY);
    assert_int_equal(fs_mount("/", &noted_fs, &data_volume), -EBUSY);
    static const struct {
        const char *path, *inner;
        char volume;
    } cases[] = {
        {"/", "/", 'r'},
        {"/data", "/", 'd'},
        {"/data/", "/", 'd'},
        {"/data/x/y", "/x/y", 'd'},
        {"/database", "/database", 'r'},
        {"/data/../z", "/z", 'r'},
        {"data/q", "/q", 'd'},
        {"/dat", "/dat", 'r'},
        {"/x/data", "/x/data", 'r'},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fs_stat(cases[i].path, &status), 0);
        assert_string_equal(note.path, cases[i].inner);
        assert_int_equal(status.st_size, cases[i].volume);
    }
    assert_int_equal(fs_rename("/data/a", "/b"), -EXDEV);
    assert_int_equal(fs_rename("/data/a", "/data/b"), 0);
    assert_string_equal(note.path, "/a");
    assert_string_equal(note.other, "/b");
    assert_int_equal(fs_unmount_all(), 0);
    assert_int_equal(note.unmounted, 2);
    assert_int_equal(fs_stat("/", &status), -ENODEV);
}

static void mount_table_has_an_end(void **state)
{
    (void)state;
    static char prefixes[16][8];
    int mounted = 1, error = 0;
    for (int i = 0; i < 16 && !error; i++, mounted += !error) {
        prefixes[i][0] = '/';
        prefixes[i][1] = (char)('a' + i);
        error = fs_mount(prefixes[i], &noted_fs, &data_volume);
    }
    assert_int_equal(error, -ENOSPC);
    note.answer = -EIO;
    assert_int_equal(fs_sync_all(), -EIO);
    assert_int_equal(note.synced, mounted);
    assert_int_equal(fs_unmount_all(), -EIO);
    assert_int_equal(note.unmounted, mounted);
}

static void operations_reach_the_file_system(void **state)
{
    (void)state;
    struct file_object object;
    assert_int_equal(fs_make_directory("x/./new"), 0);
    assert_string_equal(note.call, "mkdir");
    assert_string_equal(note.path, "/x/new");
    assert_int_equal(fs_remove("/x", true), 0);
    assert_string_equal(note.call, "rmdir");
    assert_int_equal(fs_remove("/x", false), 0);
    assert_string_equal(note.call, "unlink");
    assert_int_equal(fs_open_directory("/x", &object), 0);
    assert_string_equal(note.call, "opendir");
    note.answer = -EROFS;
    assert_int_equal(fs_make_directory("/x"), -EROFS);
    assert_int_equal(fs_rename("/x", "/y"), -EROFS);

    /* The root itself can be neither made nor removed nor moved. */
    assert_int_equal(fs_make_directory("/."), -EEXIST);
    assert_int_equal(fs_remove("/..", true), -EBUSY);
    assert_int_equal(fs_rename("/", "/x"), -EBUSY);
    assert_int_equal(fs_rename("/x", "/"), -EBUSY);

    assert_int_equal(fs_make_directory(NULL), -EFAULT);
    assert_int_equal(fs_make_directory(""), -ENOENT);
    assert_int_equal(fs_rename("/x", ""), -ENOENT);
    assert_int_equal(fs_rename(NULL, "/x"), -EFAULT);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

static void a_descriptor_lives(void **state)
{
    (void)state;
    char data[4];
    struct stat status;
    int fd = file_open("dir/../file", O_RDWR | O_CREAT);
    assert_int_equal(fd, 3);
    assert_string_equal(note.path, "/file");
    assert_int_equal(note.flags, O_RDWR | O_CREAT);
    assert_int_equal(file_flags(fd), O_RDWR | O_CREAT);
    assert_int_equal(file_read(fd, data, 4), 4);
    assert_memory_equal(data, "rrrr", 4);
    assert_int_equal(file_write(fd, data, 4), 4);
    assert_int_equal(file_seek(fd, 77, SEEK_SET), 77);
    assert_int_equal(file_seek(fd, 77, 99), -EINVAL);
    assert_int_equal(file_truncate(fd, 100), 0);
    assert_int_equal(file_truncate(fd, 101), -EFBIG);
    assert_int_equal(file_truncate(fd, -1), -EINVAL);
    assert_int_equal(file_sync(fd), -EINVAL); /* this one cannot */
    assert_int_equal(file_stat(fd, &status), -EINVAL);
    assert_int_equal(file_is_console(fd), -ENOTTY);
    assert_int_equal(file_open("/second", O_RDONLY), 4);
    assert_int_equal(file_close(fd), 0);
    assert_int_equal(file_open("/third", O_RDONLY), 3); /* the lowest free one */
}

static void a_descriptor_is_checked(void **state)
{
    (void)state;
    char data[4] = "abc";
    struct stat status;
    static const int bad[] = {-1, 3, FILES_MAX, FILES_MAX + 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(file_close(bad[i]), -EBADF);
        assert_int_equal(file_read(bad[i], data, 1), -EBADF);
        assert_int_equal(file_write(bad[i], data, 1), -EBADF);
        assert_int_equal(file_seek(bad[i], 0, SEEK_SET), -EBADF);
        assert_int_equal(file_stat(bad[i], &status), -EBADF);
        assert_int_equal(file_truncate(bad[i], 0), -EBADF);
        assert_int_equal(file_sync(bad[i]), -EBADF);
        assert_int_equal(file_is_console(bad[i]), -EBADF);
        assert_int_equal(file_flags(bad[i]), -EBADF);
    }
    int reader = file_open("/r", O_RDONLY), writer = file_open("/w", O_WRONLY);
    assert_int_equal(file_write(reader, data, 1), -EBADF);
    assert_int_equal(file_truncate(reader, 0), -EINVAL);
    assert_int_equal(file_read(writer, data, 1), -EBADF);
    assert_int_equal(file_read(reader, NULL, 1), -EFAULT);
    assert_int_equal(file_read(reader, NULL, 0), 0);
    assert_int_equal(file_write(writer, NULL, 1), -EFAULT);
    assert_int_equal(file_write(writer, NULL, 0), 0);
    assert_int_equal(file_stat(reader, NULL), -EFAULT);
    note.answer = -ENOSPC;
    assert_int_equal(file_write(writer, data, 1), -ENOSPC);
    assert_int_equal(file_open("/x", O_WRONLY | O_CREAT), -ENOSPC);
    note.answer = -EIO;
    assert_int_equal(file_close(writer), -EIO);
    assert_int_equal(file_close(writer), -EBADF); /* gone nevertheless */
    note.answer = 0;
    assert_int_equal(file_open("/x", O_ACCMODE), -EINVAL);
    assert_int_equal(file_open(NULL, O_RDONLY), -EFAULT);
    assert_int_equal(file_open("", O_RDONLY), -ENOENT);

    int bare = file_open("/bare", O_RDWR);
    assert_int_equal(file_read(bare, data, 1), -EINVAL);
    assert_int_equal(file_write(bare, data, 1), -EINVAL);
    assert_int_equal(file_seek(bare, 0, SEEK_SET), -ESPIPE);
    assert_int_equal(file_truncate(bare, 0), -EINVAL);
}

static void the_table_has_an_end(void **state)
{
    (void)state;
    for (int fd = 3; fd < FILES_MAX; fd++)
        assert_int_equal(file_open("/x", O_RDONLY), fd);
    note.call[0] = '\0';
    assert_int_equal(file_open("/x", O_WRONLY | O_CREAT | O_TRUNC), -EMFILE);
    assert_string_equal(note.call, ""); /* nothing was created or cut */
    struct file_object object = {&noted_file, NULL};
    assert_int_equal(file_install(&object, O_RDONLY), -EMFILE);
    assert_int_equal(file_close_all(), 0);
    assert_int_equal(note.closed, FILES_MAX - 3);
    assert_int_equal(file_is_console(1), 1);
    assert_int_equal(file_open("/x", O_RDONLY), 3);
}

/* --- The console ------------------------------------------------------------------------------ */

static void the_console_writes(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(file_write(1, "one\ntwo\n\nthree", 14), 14);
    printed_is("one\ntwo\n\nthree");
    assert_int_equal(file_write(2, "\n", 1), 1);
    printed_is("\n");
    assert_int_equal(file_write(0, "x", 1), -EBADF);
    assert_int_equal(file_seek(1, 0, SEEK_CUR), -ESPIPE);
    assert_int_equal(file_sync(1), -EINVAL);
    assert_int_equal(file_stat(1, &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_int_equal(file_is_console(0), 1);
}

static void the_console_reads_lines(void **state)
{
    (void)state;
    char text[300];
    assert_int_equal(file_read(0, text, sizeof(text)), -EAGAIN);
    typed = "he";
    assert_int_equal(file_read(0, text, sizeof(text)), -EAGAIN);
    typed = "lk\x7flo\rnext";
    assert_int_equal(file_read(0, text, sizeof(text)), 6);
    assert_memory_equal(text, "hello\n", 6);
    printed_is("helk\b \blo\n");
    /*
     * What follows the line stays with the console until it is asked for; then a short read leaves
     * the rest.
     */
    typed = "next\b\b\b\b\b\bwords\n";
    assert_int_equal(file_read(0, text, 2), 2);
    assert_memory_equal(text, "wo", 2);
    assert_int_equal(file_read(0, text, sizeof(text)), 4);
    assert_memory_equal(text, "rds\n", 4);
    assert_int_equal(file_read(0, text, sizeof(text)), -EAGAIN);
}

static void the_console_bounds_a_line(void **state)
{
    (void)state;
    static char many[1001];
    char text[2000];
    memset(many, 'y', 1000);
    many[999] = '\r';
    typed = many;
    ssize_t n = file_read(0, text, sizeof(text));
    assert_true(n > 100 && n < 1000);
    assert_int_equal(text[n - 1], '\n');
    typed = "\x01\x1b[A\tz\n";
    assert_int_equal(file_read(0, text, sizeof(text)), 5);
    assert_memory_equal(text, "[A\tz\n", 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(paths_take_their_normal_form),
        TEST(paths_have_a_limit),
        TEST(longest_mount_wins),
        TEST(mount_table_has_an_end),
        TEST(operations_reach_the_file_system),
        TEST(a_descriptor_lives),
        TEST(a_descriptor_is_checked),
        TEST(the_table_has_an_end),
        TEST(the_console_writes),
        TEST(the_console_reads_lines),
        TEST(the_console_bounds_a_line),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
