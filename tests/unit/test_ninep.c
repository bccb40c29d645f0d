// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/mount.c libc/files.c libc/console.c
// sources: boot/log.c boot/format.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c tests/unit/ninep_server.c tests/unit/ninep_share.c fs/share_file.c
/*
 * test_ninep.c - the 9P2000.L client, through descriptors and paths, against a server in memory.
 *
 * What an application may rely on: data, names, links, folders, errors, and what a reset of the
 * other side costs. A server that breaks the protocol is test_ninep_hostile.c's.
 */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

#include "ninep_share.h"

/* ---- what an application sees ---- */

static void files_are_read(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 131072, 131073, 1000000};
    uint8_t *data = malloc(1000000), *back = malloc(1000000);
    struct stat status;
    uint32_t seed = 1;

    (void)state;
    for (size_t i = 0; i < 1000000; i++)
        data[i] = (uint8_t)support_random(&seed);
    attach("/");
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char name[32];
        snprintf(name, sizeof(name),
                 "gr\xc3\xb6\xc3\x9f"
                 "e %zu",
                 sizes[i]);
        server_add(&server, SERVER_ROOT, name, S_IFREG | 0640, data, sizes[i]);
        char path[40];
        snprintf(path, sizeof(path), "/%s", name);
        assert_int_equal(fs_stat(path, &status), 0);
        assert_int_equal(status.st_size, sizes[i]);
        assert_int_equal(status.st_mode, S_IFREG | 0640);
        assert_int_equal(status.st_mtime, 1700000001);
        int fd = file_open(path, O_RDONLY);
        assert_true(fd >= 0);
        size_t chunk = i % 2 ? 1000000 : 70000, done = 0;
        ssize_t got;
        while ((got = file_read(fd, back + done, chunk < 1000000 - done ? chunk : 1)) > 0)
            done += (size_t)got;
        if (i % 2) {
            assert_int_equal(file_seek(fd, 0, SEEK_SET), 0);
            done = (size_t)file_read(fd, back, 1000000);
        }
        assert_int_equal(got, 0);
        assert_int_equal(done, sizes[i]);
        assert_memory_equal(back, data, done);
        assert_int_equal(file_seek(fd, 0, SEEK_END), sizes[i]);
        assert_int_equal(file_read(fd, back, 1), 0);
        assert_int_equal(file_close(fd), 0);
    }
    free(data);
    free(back);
}

static void files_are_written(void **state)
{
    uint8_t *data = malloc(500000);
    struct stat status;
    uint32_t seed = 2;

    (void)state;
    for (size_t i = 0; i < 500000; i++)
        data[i] = (uint8_t)support_random(&seed);
    server.msize = 10000;
    attach("/");
    int fd = file_open("/new", O_RDWR | O_CREAT);
    assert_int_equal(file_write(fd, data, 500000), 500000);
    assert_int_equal(longest, 9999); /* 23 bytes and the data, which leaves room for 24 */
    assert_int_equal(file_sync(fd), 0);
    assert_int_equal(server.count[TFSYNC], 1);
    int node = server_find(&server, "/new");
    assert_int_equal(server.node[node].size, 500000);
    assert_int_equal(server.node[node].mode, S_IFREG | 0644);
    assert_memory_equal(server.node[node].data, data, 500000);
    assert_int_equal(file_truncate(fd, 7), 0);
    assert_int_equal(file_stat(fd, &status), 0);
    assert_int_equal(status.st_size, 7);
    assert_int_equal(file_seek(fd, 10, SEEK_SET), 10);
    assert_int_equal(file_write(fd, "end", 3), 3);
    assert_int_equal(server.node[node].size, 13);
    assert_memory_equal(server.node[node].data + 7, "\0\0\0end", 6);
    assert_int_equal(file_close(fd), 0);
    fd = file_open("/new", O_WRONLY | O_APPEND);
    assert_int_equal(file_write(fd, "1", 1), 1);
    assert_int_equal(file_seek(fd, 0, SEEK_SET), 0);
    assert_int_equal(file_write(fd, "2", 1), 1);
    assert_int_equal(file_seek(fd, 0, SEEK_CUR), 15);
    assert_memory_equal(server.node[node].data + 13, "12", 2);
    assert_int_equal(file_close(fd), 0);
    fd = file_open("/new", O_WRONLY | O_TRUNC);
    assert_int_equal(server.node[node].size, 0);
    assert_int_equal(file_close(fd), 0);
    free(data);
}

static void the_unit_of_a_file_is_kept_to(void **state)
{
    char data[5000] = {0};

    (void)state;
    attach("/");
    server.iounit = 1000;
    int fd = file_open("/new", O_RDWR | O_CREAT);
    assert_int_equal(file_write(fd, data, sizeof(data)), sizeof(data));
    assert_int_equal(server.count[TWRITE], 5);
    assert_int_equal(file_seek(fd, 0, SEEK_SET), 0);
    assert_int_equal(file_read(fd, data, sizeof(data)), sizeof(data));
    assert_int_equal(server.count[TREAD], 5);
    assert_int_equal(file_close(fd), 0);
}

static void seeking_has_limits(void **state)
{
    (void)state;
    attach("/");
    add_file("a", "12345");
    int fd = file_open("/a", O_RDWR);
    assert_int_equal(file_seek(fd, -1, SEEK_SET), -EINVAL);
    assert_int_equal(file_seek(fd, -6, SEEK_END), -EINVAL);
    assert_int_equal(file_seek(fd, -5, SEEK_END), 0);
    assert_int_equal(file_seek(fd, 0, 77), -EINVAL);
    assert_int_equal(file_seek(fd, INT64_MAX, SEEK_SET), INT64_MAX);
    assert_int_equal(file_seek(fd, 1, SEEK_CUR), -EOVERFLOW);
    assert_int_equal(file_write(fd, "x", 1), -EFBIG);
    assert_int_equal(server.count[TWRITE], 0);
    assert_int_equal(file_seek(fd, INT64_MIN, SEEK_CUR), -EINVAL);
    assert_int_equal(file_close(fd), 0);
}

static void names_are_changed(void **state)
{
    (void)state;
    attach("/mnt/test");
    assert_int_equal(fs_make_directory("/mnt/test/a"), 0);
    assert_int_equal(fs_make_directory("/mnt/test/a"), -EEXIST);
    assert_int_equal(fs_make_directory("/mnt/test/a/b"), 0);
    assert_int_equal(fs_make_directory("/mnt/test/none/b"), -ENOENT);
    assert_int_equal(fs_remove("/mnt/test/a", true), -ENOTEMPTY);
    assert_int_equal(fs_remove("/mnt/test/a", false), -EISDIR);
    add_file("f", "text");
    add_file("g", "other");
    assert_int_equal(fs_rename("/mnt/test/f", "/mnt/test/a/b/h"), 0);
    assert_text("/mnt/test/a/b/h", "text");
    assert_int_equal(fs_rename("/mnt/test/g", "/mnt/test/a/b/h"), 0);
    assert_text("/mnt/test/a/b/h", "other");
    assert_int_equal(fs_rename("/mnt/test/g", "/mnt/test/x"), -ENOENT);
    assert_int_equal(fs_rename("/mnt/test/a", "/mnt/test/none/x"), -ENOENT);
    assert_int_equal(fs_rename("/mnt/test/a", "/elsewhere"), -ENODEV);
    assert_int_equal(fs_remove("/mnt/test/a/b/h", true), -ENOTDIR);
    assert_int_equal(fs_remove("/mnt/test/a/b/h", false), 0);
    assert_int_equal(fs_remove("/mnt/test/a/b/h", false), -ENOENT);
    assert_int_equal(fs_remove("/mnt/test/a/b", true), 0);
    assert_int_equal(fs_remove("/mnt/test/a", true), 0);
    assert_int_equal(server_find(&server, "/a"), -1);
    assert_int_equal(fs_sync_all(), 0);
}

static void opening_has_rules(void **state)
{
    struct file_object directory;

    (void)state;
    attach("/");
    add_file("f", "text");
    add("d", S_IFDIR | 0755, "");
    assert_int_equal(file_open("/", O_RDONLY), -EISDIR);
    assert_int_equal(file_open("/d", O_RDONLY), -EISDIR);
    assert_int_equal(file_open("/d", O_RDWR | O_CREAT), -EISDIR);
    assert_int_equal(file_open("/none", O_RDONLY), -ENOENT);
    assert_int_equal(file_open("/none/f", O_RDWR | O_CREAT), -ENOENT);
    assert_int_equal(file_open("/f/x", O_RDONLY), -ENOTDIR);
    assert_int_equal(file_open("/f/x", O_RDWR | O_CREAT), -ENOTDIR);
    assert_int_equal(file_open("/f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(fs_open_directory("/f", &directory), -ENOTDIR);
    assert_int_equal(fs_open_directory("/none", &directory), -ENOENT);
    int fd = file_open("/f", O_WRONLY | O_CREAT);
    assert_true(fd >= 0);
    assert_int_equal(file_close(fd), 0);
    assert_text("/f", "text");
    fd = file_open("/d/x", O_WRONLY | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    assert_int_equal(file_close(fd), 0);
    char name[400];
    memset(name, 'n', sizeof(name));
    memcpy(name, "/d/", 3);
    name[399] = '\0';
    assert_int_equal(file_open(name, O_WRONLY | O_CREAT), -ENAMETOOLONG);
}

static void a_read_only_share_is_kept_as_it_is(void **state)
{
    (void)state;
    attach("/");
    add_file("f", "text");
    server.read_only = true;
    assert_int_equal(file_open("/f", O_RDWR), -EROFS);
    assert_int_equal(file_open("/f", O_RDWR | O_TRUNC), -EROFS);
    assert_int_equal(file_open("/new", O_RDWR | O_CREAT), -EROFS);
    assert_text("/f", "text");
}

/* A walk carries 16 names; deeper paths take several. */
static void deep_paths_are_walked(void **state)
{
    char path[FS_PATH_MAX] = "";
    struct stat status;

    (void)state;
    attach("/");
    for (unsigned depth = 1; depth <= 100; depth++) {
        snprintf(path + strlen(path), 16, "/d%u", depth);
        assert_int_equal(fs_stat(path, &status), -ENOENT);
        assert_int_equal(fs_make_directory(path), 0);
        assert_int_equal(fs_stat(path, &status), 0);
        assert_true(S_ISDIR(status.st_mode));
        assert_int_equal(server_fids(&server), 1);
    }
    strcat(path, "/f");
    int fd = file_open(path, O_WRONLY | O_CREAT);
    assert_true(fd >= 0);
    assert_int_equal(file_close(fd), 0);
    strcat(path, "/g");
    assert_int_equal(file_open(path, O_RDONLY), -ENOTDIR);
    strcat(path, "/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z");
    assert_int_equal(file_open(path, O_RDONLY), -ENOTDIR);
}

static void links_are_followed(void **state)
{
    char deep[200] = "";
    int parent = SERVER_ROOT;
    struct stat status;

    (void)state;
    attach("/mnt");
    int d = add("d", S_IFDIR | 0755, "");
    server_add(&server, d, "f", S_IFREG | 0644, "text", 4);
    server_add(&server, d, "up", S_IFLNK | 0777, "../top", 6);
    add_file("top", "the top");
    add("relative", S_IFLNK | 0777, "d/f");
    add("absolute", S_IFLNK | 0777, "/d/f");
    add("folder", S_IFLNK | 0777, "d");
    add("twice", S_IFLNK | 0777, "folder/up");
    add("nowhere", S_IFLNK | 0777, "d/none");
    add("circle", S_IFLNK | 0777, "circle");
    add("ring1", S_IFLNK | 0777, "ring2/x");
    add("ring2", S_IFLNK | 0777, "ring1/y");
    add("outside", S_IFLNK | 0777, "../../../top");
    assert_text("/mnt/relative", "text");
    assert_text("/mnt/absolute", "text");
    assert_text("/mnt/folder/f", "text");
    assert_text("/mnt/folder/up", "the top");
    assert_text("/mnt/twice", "the top");
    assert_text("/mnt/outside", "the top"); /* `..` never leaves the share */
    assert_int_equal(file_open("/mnt/nowhere", O_RDONLY), -ENOENT);
    assert_int_equal(file_open("/mnt/circle", O_RDONLY), -ELOOP);
    assert_int_equal(file_open("/mnt/circle/x", O_RDONLY), -ELOOP);
    assert_int_equal(file_open("/mnt/ring1", O_RDONLY), -ELOOP);
    assert_int_equal(file_open("/mnt/relative/x", O_RDONLY), -ENOTDIR);
    assert_int_equal(fs_make_directory("/mnt/folder/new"), 0);
    assert_true(server_find(&server, "/d/new") >= 0);
    /* The link is the seventeenth name, where the next walk begins. */
    for (unsigned i = 0; i < 15; i++) {
        parent = server_add(&server, parent, "e", S_IFDIR | 0755, "", 0);
        strcat(deep, "/e");
    }
    server_add(&server, parent, "link", S_IFLNK | 0777, "/d", 2);
    char path[300];
    snprintf(path, sizeof(path), "/mnt%s/link/f", deep);
    assert_text(path, "text");
    /* Removing takes the link away and not what it leads to. */
    assert_int_equal(fs_remove("/mnt/relative", false), 0);
    assert_int_equal(fs_stat("/mnt/d/f", &status), 0);
    assert_int_equal(fs_stat("/mnt/relative", &status), -ENOENT);
}

static void folders_are_listed(void **state)
{
    char name[64];

    (void)state;
    attach("/");
    assert_int_equal(list("/"), 0);
    int many = add("many", S_IFDIR | 0755, "");
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "a name of some length, number %u", i);
        server_add(&server, many, name, S_IFREG | 0644, name, i % 60);
    }
    assert_int_equal(list("/many"), 2000);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "a name of some length, number %u", i);
        assert_string_equal(listed[i], name);
    }
    add("pipe", S_IFIFO | 0644, "");
    add("link", S_IFLNK | 0777, "many");
    add("nowhere", S_IFLNK | 0777, "none");
    assert_int_equal(list("/"), 2);
    assert_int_equal(list("/link"), 2000);
}

static void entries_have_kind_and_size(void **state)
{
    struct file_object directory;
    struct fs_entry entry;
    struct stat status;

    (void)state;
    attach("/");
    add_file("file", "text");
    add("folder", S_IFDIR | 0755, "");
    assert_int_equal(fs_open_directory("/", &directory), 0);
    assert_int_equal(directory.ops->stat(directory.object, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(directory.ops->read_entry(directory.object, &entry), 1);
    assert_int_equal(entry.mode, S_IFREG | 0644);
    assert_int_equal(entry.size, 4);
    assert_int_equal(directory.ops->read_entry(directory.object, &entry), 1);
    assert_true(S_ISDIR(entry.mode));
    assert_int_equal(entry.size, 0);
    assert_int_equal(directory.ops->close(directory.object), 0);
}

/* More open files than there are fids. */
static void fids_are_bounded(void **state)
{
    static struct file_object files[600];
    unsigned count = 0;
    int error = 0;

    (void)state;
    attach("/");
    add_file("f", "text");
    while (count < 600 && !(error = fs_open("/f", O_RDONLY, &files[count])))
        count++;
    assert_int_equal(error, -ENFILE);
    assert_true(count > 400);
    assert_int_equal(fs_remove("/f", false), -ENFILE);
    while (count--)
        assert_int_equal(files[count].ops->close(files[count].object), 0);
    assert_text("/f", "text");
}

/* ---- errors from the host ---- */

static void errors_are_those_of_the_host(void **state)
{
    static const struct {
        uint32_t linux_number;
        int error;
    } errors[] = {{1, EPERM},      {2, ENOENT},  {5, EIO},        {13, EACCES},
                  {28, ENOSPC},    {34, ERANGE}, {35, EIO},       {36, ENAMETOOLONG},
                  {39, ENOTEMPTY}, {40, ELOOP},  {75, EOVERFLOW}, {95, EOPNOTSUPP},
                  {122, EDQUOT},   {0, EIO},     {1000, EIO},     {UINT32_MAX, EIO}};
    struct stat status;

    (void)state;
    attach("/");
    add_file("f", "text");
    server.spoil_type = TGETATTR;
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        server.error = errors[i].linux_number;
        if (!server.error)
            continue;
        assert_int_equal(fs_stat("/f", &status), -errors[i].error);
        assert_int_equal(server_fids(&server), 1);
    }
    assert_int_equal(server.count[TATTACH], 1);
}

/* ---- sessions ---- */

static void the_version_must_fit(void **state)
{
    void *volume;

    (void)state;
    server.version = "9P2000.u";
    assert_int_equal(ninep_mount(&transport, &volume), -ENOTSUP);
    server.version = "unknown";
    assert_int_equal(ninep_mount(&transport, &volume), -ENOTSUP);
    expect_log("does not speak 9P2000.L", 2);
    server.version = "9P2000.L";
    server.msize = 4095;
    assert_int_equal(ninep_mount(&transport, &volume), -EIO);
    server.msize = 0;
    assert_int_equal(ninep_mount(&transport, &volume), -EIO);
    expect_log("message size that makes no sense", 2);
    server.msize = 4096;
    server.root_type = 0;
    assert_int_equal(ninep_mount(&transport, &volume), -ENOTDIR);
    server.root_type = 0x80;
    server.spoil_type = TATTACH;
    server.error = 1;
    assert_int_equal(ninep_mount(&transport, &volume), -EPERM);
    silent = true;
    assert_int_equal(ninep_mount(&transport, &volume), -EIO);
    silent = false;
    server.error = 0;
    attach("/");
    add_file("f", "text");
    assert_text("/f", "text");
}

/* After a reset open files are lost, and paths work again. */
static void a_reset_costs_open_files_only(void **state)
{
    struct file_object directory;
    struct fs_entry entry;
    struct stat status;
    char data[10];

    (void)state;
    attach("/");
    add_file("f", "text");
    add_file("g", "other");
    int fd = file_open("/f", O_RDWR);
    assert_int_equal(fs_open_directory("/", &directory), 0);
    server_reset(&server);
    transport.resets++;
    assert_int_equal(file_read(fd, data, 4), -EIO);
    assert_text("/g", "other");
    expect_log("attached again", 1);
    assert_int_equal(file_read(fd, data, 4), -EIO);
    assert_int_equal(file_write(fd, data, 4), -EIO);
    assert_int_equal(file_seek(fd, 0, SEEK_END), -EIO);
    assert_int_equal(file_truncate(fd, 0), -EIO);
    assert_int_equal(file_stat(fd, &status), -EIO);
    assert_int_equal(file_sync(fd), -EIO);
    assert_int_equal(directory.ops->read_entry(directory.object, &entry), -EIO);
    /* A new file may get the old one's fid, which the old one must leave alone. */
    int other = file_open("/g", O_RDONLY);
    assert_int_equal(file_close(fd), -EIO);
    assert_int_equal(directory.ops->close(directory.object), -EIO);
    assert_text("/f", "text");
    assert_int_equal(file_read(other, data, 10), 5);
    assert_int_equal(file_close(other), 0);
    assert_text("/f", "text");
}

static void two_shares_are_two_places(void **state)
{
    static struct ninep_server other;
    struct ninep_transport second = transport;
    void *volume;

    (void)state;
    attach("/");
    add_file("f", "text");
    server_init(&other);
    second.driver = &other;
    assert_int_equal(ninep_mount(&second, &volume), 0);
    assert_int_equal(fs_mount("/mnt/in/side", &ninep_ops, volume), 0);
    server_add(&other, SERVER_ROOT, "f", S_IFREG | 0644, "other", 5);
    assert_text("/f", "text");
    assert_text("/mnt/in/side/f", "other");
    assert_int_equal(fs_rename("/f", "/mnt/in/side/f"), -EXDEV);
    assert_int_equal(fs_make_directory("/mnt"), 0);
    assert_int_equal(fs_make_directory("/mnt/in"), 0);
    assert_int_equal(fs_make_directory("/mnt/in/sides"), 0);
    assert_int_equal(fs_make_directory("/mnt/in/side"), -EEXIST);
    assert_true(server_find(&server, "/mnt/in/sides") > 0);
    assert_int_equal(fs_remove("/mnt/in/sides", true), 0);
    assert_int_equal(fs_unmount_all(), 0);
    assert_int_equal(server_fids(&other), 0);
    server_finish(&other);
}

/* Folders on the way to a mount show it once, whatever the volume around has there. */
static void mounts_are_listed(void **state)
{
    static const char *const places[] = {"/a/b/c", "/a/b/d", "/x"};
    struct ninep_transport second = transport;
    struct stat status;
    struct file_object directory;
    void *volume;

    (void)state;
    for (unsigned around = 0; around < 3; around++) { /* nothing, a volume, one with such names */
        if (around) {
            assert_int_equal(ninep_mount(&second, &volume), 0);
            assert_int_equal(fs_mount("/", &ninep_ops, volume), 0);
        }
        if (around == 2) {
            assert_int_equal(fs_make_directory("/a"), 0);
            assert_int_equal(fs_make_directory("/x"), 0);
        }
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(ninep_mount(&transport, &volume), 0);
            assert_int_equal(fs_mount(places[i], &ninep_ops, volume), 0);
        }
        transport.resets++;
        assert_int_equal(list("/"), 2);
        assert_string_equal(listed[0], "a");
        assert_string_equal(listed[1], "x");
        assert_int_equal(list("/a/b"), 2);
        assert_string_equal(listed[0], "c");
        assert_int_equal(fs_stat("/a", &status), 0);
        assert_true(S_ISDIR(status.st_mode));
        assert_int_equal(fs_open_directory("/a", &directory), 0);
        assert_int_equal(directory.ops->stat(directory.object, &status), 0);
        assert_true(S_ISDIR(status.st_mode));
        assert_int_equal(directory.ops->close(directory.object), 0);
        assert_int_equal(fs_stat("/a/bb", &status), around ? -ENOENT : -ENODEV);
        assert_int_equal(fs_open_directory("/b", &directory), around ? -ENOENT : -ENODEV);
        fs_unmount_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NINEP_TEST(files_are_read),
        NINEP_TEST(files_are_written),
        NINEP_TEST(the_unit_of_a_file_is_kept_to),
        NINEP_TEST(seeking_has_limits),
        NINEP_TEST(names_are_changed),
        NINEP_TEST(opening_has_rules),
        NINEP_TEST(a_read_only_share_is_kept_as_it_is),
        NINEP_TEST(deep_paths_are_walked),
        NINEP_TEST(links_are_followed),
        NINEP_TEST(folders_are_listed),
        NINEP_TEST(entries_have_kind_and_size),
        NINEP_TEST(fids_are_bounded),
        NINEP_TEST(errors_are_those_of_the_host),
        NINEP_TEST(the_version_must_fit),
        NINEP_TEST(a_reset_costs_open_files_only),
        NINEP_TEST(two_shares_are_two_places),
        NINEP_TEST(mounts_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
