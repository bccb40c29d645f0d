// sources: fs/ninep.c fs/ninep_file.c fs/ninep_rpc.c fs/mount.c libc/files.c libc/console.c
// sources: boot/log.c boot/format.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c tests/unit/ninep_server.c tests/unit/ninep_share.c fs/share_file.c
/*
 * test_ninep_hostile.c - the 9P2000.L client against a server that refuses, lies or falls silent.
 *
 * Everything there is to do is done again and again while one type of answer is spoiled: each
 * attempt ends in an errno, what comes after it works, and no fid is left over.
 */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

#include "ninep_share.h"

/* Does everything there is once; returns the number of operations that failed. */
static unsigned do_everything(void)
{
    static uint8_t data[200000];
    struct file_object directory;
    struct fs_entry entry;
    struct stat status;
    unsigned failed = 0;

#define DO(operation) failed += (operation) < 0
    DO(fs_stat("/d/f", &status));
    DO(fs_stat("/l/f", &status));
    int fd = file_open("/d/f", O_RDWR);
    if (fd >= 0) {
        DO(file_read(fd, data, 10));
        DO(file_seek(fd, 0, SEEK_END));
        DO(file_write(fd, data, 150000));
        DO(file_truncate(fd, 4));
        DO(file_sync(fd));
        DO(file_stat(fd, &status));
        DO(file_close(fd));
    } else {
        failed++;
    }
    fd = file_open("/d/new", O_WRONLY | O_CREAT | O_APPEND);
    if (fd >= 0) {
        DO(file_write(fd, data, 10));
        DO(file_close(fd));
    } else {
        failed++;
    }
    DO(fs_make_directory("/d/e"));
    DO(fs_rename("/d/new", "/d/e/newer"));
    if (!fs_open_directory("/d", &directory)) {
        int found;
        for (unsigned i = 0; i < 10; i++) {
            found = directory.ops->read_entry(directory.object, &entry);
            if (found <= 0)
                break;
        }
        DO(found);
        DO(directory.ops->rewind(directory.object));
        DO(directory.ops->stat(directory.object, &status));
        DO(directory.ops->close(directory.object));
    } else {
        failed++;
    }
    DO(fs_remove("/d/e/newer", false));
    DO(fs_remove("/d/e", true));
#undef DO
    return failed;
}

static void make_everything(void)
{
    int d = add("d", S_IFDIR | 0755, "");
    server_add(&server, d, "f", S_IFREG | 0644, "text", 4);
    add("l", S_IFLNK | 0777, "d");
}

/* What a failed attempt may have left behind. */
static void tidy_everything(void)
{
    server.spoil = NULL;
    server.error = 0;
    fs_remove("/d/e/newer", false);
    fs_remove("/d/e", true);
    fs_remove("/d/new", false);
    assert_int_equal(do_everything(), 0);
    assert_int_equal(server_fids(&server), 1);
}

static const uint8_t types[] = {TLOPEN, TLCREATE, TREADLINK, TGETATTR,  TSETATTR, TREADDIR,
                                TFSYNC, TMKDIR,   TRENAMEAT, TUNLINKAT, TATTACH,  TVERSION,
                                TWALK,  TREAD,    TWRITE,    TCLUNK};

/* Every request is refused in turn, at each place where it occurs; nothing is left over. */
static void every_request_may_be_refused(void **state)
{
    (void)state;
    attach("/");
    make_everything();
    for (unsigned i = 0; i < sizeof(types); i++) {
        for (unsigned after = 0; after < 12; after++) {
            server.spoil_type = types[i];
            server.spoil_after = after;
            server.error = 13;
            do_everything();
            assert_int_equal(server_fids(&server), 1);
            tidy_everything();
        }
    }
    assert_int_equal(server.count[TATTACH], 1);
    expect_log("breaks the protocol", 0);
}

/* ---- a server that breaks the protocol ---- */

static size_t answer_of_five_bytes(uint8_t *reply, size_t len, void *arg)
{
    (void)reply;
    (void)len;
    (void)arg;
    return 5;
}

static size_t no_answer_at_all(uint8_t *reply, size_t len, void *arg)
{
    (void)reply;
    (void)len;
    (void)arg;
    return 0;
}

static size_t size_is_huge(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    memset(reply, 0xff, 4);
    return len;
}

static size_t size_is_tiny(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    memcpy(reply, "\3\0\0\0", 4);
    return len;
}

static size_t tag_is_wrong(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    reply[5] ^= 1;
    return len;
}

static size_t type_is_wrong(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    reply[4]--;
    return len;
}

static size_t error_without_number(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    (void)len;
    memcpy(reply, "\7\0\0\0\7", 5);
    return 7;
}

static size_t count_is_huge(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    memset(reply + 7, 0xff, len - 7 < 4 ? len - 7 : 4);
    return len;
}

/* The first (*arg) bytes only, with a size that agrees. */
static size_t answer_is_cut(uint8_t *reply, size_t len, void *arg)
{
    size_t wanted = *(size_t *)arg;

    if (wanted >= len)
        return len;
    memcpy(reply, &(uint32_t){(uint32_t)wanted}, 4);
    return wanted;
}

static const struct {
    const char *name;
    size_t (*spoil)(uint8_t *reply, size_t len, void *arg);
} lies[] = {
    {"five bytes", answer_of_five_bytes},
    {"nothing", no_answer_at_all},
    {"size huge", size_is_huge},
    {"size tiny", size_is_tiny},
    {"tag", tag_is_wrong},
    {"type", type_is_wrong},
    {"error", error_without_number},
};

/* Each lie in each answer ends the session: an error now, and everything works afterwards. */
static void a_lie_ends_the_session(void **state)
{
    (void)state;
    attach("/");
    make_everything();
    for (unsigned i = 0; i < sizeof(types); i++) {
        /* The session begins once, so its requests are seen again only after something else. */
        if (types[i] == TVERSION || types[i] == TATTACH)
            continue;
        for (unsigned lie = 0; lie < sizeof(lies) / sizeof(lies[0]); lie++) {
            unsigned sessions = server.count[TATTACH];
            server.spoil_type = types[i];
            server.spoil = lies[lie].spoil;
            if (!do_everything())
                fail_msg("type %u, %s: nothing failed", types[i], lies[lie].name);
            tidy_everything();
            if (server.count[TATTACH] == sessions)
                fail_msg("type %u, %s: no new session", types[i], lies[lie].name);
        }
    }
    expect_log("breaks the protocol", 8); /* said a few times only */
}

/* Answers of every length, each sound as far as it goes. */
static void a_cut_answer_is_an_error(void **state)
{
    (void)state;
    attach("/");
    make_everything();
    server.spoil_arg = &(size_t){0};
    for (unsigned i = 0; i < sizeof(types); i++) {
        for (size_t len = 7; len < 170; len += len < 40 ? 1 : 13) {
            *(size_t *)server.spoil_arg = len;
            server.spoil_type = types[i];
            server.spoil = answer_is_cut;
            do_everything();
            tidy_everything();
        }
    }
}

static void counts_are_checked(void **state)
{
    static const uint8_t counting[] = {TREAD, TWRITE, TREADDIR, TREADLINK, TWALK};

    (void)state;
    attach("/");
    make_everything();
    for (unsigned i = 0; i < sizeof(counting); i++) {
        server.spoil_type = counting[i];
        server.spoil = count_is_huge;
        assert_true(do_everything() > 0);
        tidy_everything();
    }
}

/* One name more than was asked for, in an answer that is otherwise sound. */
static size_t walk_goes_too_far(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    reply[7]++;
    memset(reply + len, 0, 13);
    memcpy(reply, &(uint32_t){(uint32_t)len + 13}, 4);
    return len + 13;
}

static size_t file_is_too_large(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    memset(reply + 56, 0xff, 8);
    return len;
}

static void what_cannot_be_is_refused(void **state)
{
    struct stat status;

    (void)state;
    attach("/");
    make_everything();
    server.spoil_type = TWALK;
    server.spoil = walk_goes_too_far;
    assert_int_equal(fs_stat("/d/f", &status), -EIO);
    expect_log("a walk went further than asked", 1);
    server.spoil_type = TGETATTR;
    server.spoil = file_is_too_large;
    assert_int_equal(fs_stat("/d/f", &status), -EIO);
    expect_log("a file's size", 1);
    tidy_everything();
}

/* Random bytes in random places of random answers. */
static size_t answer_is_noise(uint8_t *reply, size_t len, void *arg)
{
    uint32_t *seed = arg;
    unsigned changes = support_random(seed) % 4;

    while (changes--)
        reply[support_random(seed) % len] = (uint8_t)support_random(seed);
    return support_random(seed) % 8 ? len : support_random(seed) % (len + 1);
}

static void noise_does_no_harm(void **state)
{
    uint32_t seed = 9;

    (void)state;
    attach("/");
    make_everything();
    server.spoil_arg = &seed;
    for (unsigned round = 0; round < 1500; round++) {
        server.spoil_type = round % 3 ? types[support_random(&seed) % sizeof(types)] : 0;
        server.spoil_after = support_random(&seed) % 4;
        server.spoil = answer_is_noise;
        do_everything();
        /* A changed qid or attribute is no violation; the fids may differ, so begin anew. */
        server.spoil = NULL;
        server_reset(&server);
        transport.resets++;
        tidy_everything();
    }
}

/* ---- directories from a hostile server ---- */

struct raw_entries {
    uint8_t data[4096];
    size_t len;
};

static void raw_entry(struct raw_entries *entries, uint64_t offset, const char *name, size_t len)
{
    uint8_t *at = entries->data + entries->len;

    memset(at, 0, 13);
    memcpy(at + 13, &offset, 8);
    at[21] = 8;
    memcpy(at + 22, &(uint16_t){(uint16_t)len}, 2);
    memcpy(at + 24, name, len);
    entries->len += 24 + len;
}

/* Names that no path can lead to are not shown; the others are. */
static void names_are_checked(void **state)
{
    struct raw_entries raw = {.len = 0};
    char long_name[800];

    (void)state;
    attach("/");
    add_file("good", "1");
    add_file("better", "2");
    memset(long_name, 'x', sizeof(long_name));
    raw_entry(&raw, 1, "good", 4);
    raw_entry(&raw, 2, ".", 1);
    raw_entry(&raw, 3, "..", 2);
    raw_entry(&raw, 4, "a/b", 3);
    raw_entry(&raw, 5, "../good", 7);
    raw_entry(&raw, 6, "good\0x", 6);
    raw_entry(&raw, 7, "", 0);
    raw_entry(&raw, 8, long_name, sizeof(long_name));
    raw_entry(&raw, 9, "gone", 4);
    raw_entry(&raw, 100, "better", 6);
    server.entries = raw.data;
    server.entries_len = raw.len;
    assert_int_equal(list("/"), 2);
    assert_string_equal(listed[0], "good");
    assert_string_equal(listed[1], "better");
}

/* An entry that ends behind the answer, at every possible place. */
static void half_entries_are_errors(void **state)
{
    struct file_object directory;
    struct fs_entry entry;
    struct raw_entries raw = {.len = 0};

    (void)state;
    attach("/");
    add_file("good", "1");
    raw_entry(&raw, 1, "good", 4);
    raw_entry(&raw, 2, "good", 4);
    server.entries = raw.data;
    for (server.entries_len = 29; server.entries_len < raw.len; server.entries_len++) {
        assert_int_equal(fs_open_directory("/", &directory), 0);
        assert_int_equal(directory.ops->read_entry(directory.object, &entry), 1);
        assert_int_equal(directory.ops->read_entry(directory.object, &entry), -EIO);
        assert_int_equal(directory.ops->read_entry(directory.object, &entry), -EIO);
        assert_int_equal(directory.ops->close(directory.object), -EIO);
    }
    server.entries = NULL;
    assert_text("/good", "1");
}

/* A directory that goes on for ever without anything to show. */
static void an_endless_folder_ends(void **state)
{
    struct file_object directory;
    struct fs_entry entry;
    struct raw_entries raw = {.len = 0};

    (void)state;
    attach("/");
    for (unsigned i = 0; i < 100; i++)
        raw_entry(&raw, 1, ".", 1);
    server.entries = raw.data;
    server.entries_len = raw.len;
    server.entries_again = true;
    assert_int_equal(fs_open_directory("/", &directory), 0);
    assert_int_equal(directory.ops->read_entry(directory.object, &entry), -EIO);
    assert_int_equal(directory.ops->close(directory.object), -EIO);
    expect_log("a directory without an end", 1);
    server.entries = NULL;
    assert_int_equal(list("/"), 0);
}

static void bad_links_are_errors(void **state)
{
    char long_target[2000];
    struct stat status;

    (void)state;
    attach("/");
    memset(long_target, 'x', sizeof(long_target));
    server_add(&server, SERVER_ROOT, "nul", S_IFLNK | 0777, "a\0b", 3);
    server_add(&server, SERVER_ROOT, "long", S_IFLNK | 0777, long_target, sizeof(long_target));
    server_add(&server, SERVER_ROOT, "name", S_IFLNK | 0777, long_target, 900);
    server_add(&server, SERVER_ROOT, "empty", S_IFLNK | 0777, "", 0);
    assert_int_equal(fs_stat("/nul", &status), -EIO);
    assert_int_equal(fs_stat("/long", &status), -ENAMETOOLONG);
    assert_int_equal(fs_stat("/name", &status), -ENAMETOOLONG);
    assert_int_equal(fs_stat("/long/x", &status), -ENAMETOOLONG);
    assert_true(fs_stat("/empty", &status) == 0 || fs_stat("/empty", &status) == -ENOENT);
    expect_log("breaks the protocol", 1);
}

static size_t msize_is_larger(uint8_t *reply, size_t len, void *arg)
{
    (void)arg;
    memset(reply + 7, 0x7f, 4);
    return len;
}

static void a_larger_message_size_is_refused(void **state)
{
    void *volume;

    (void)state;
    server.spoil_type = TVERSION;
    server.spoil = msize_is_larger;
    assert_int_equal(ninep_mount(&transport, &volume), -EIO);
    expect_log("message size that makes no sense", 1);
}

/* A server that stays silent: every operation ends, and costs one exchange. */
static void silence_is_an_error(void **state)
{
    (void)state;
    attach("/");
    make_everything();
    int fd = file_open("/d/f", O_RDONLY);
    silent = true;
    exchanges = 0;
    assert_true(do_everything() > 5);
    assert_true(exchanges < 15);
    silent = false;
    assert_int_equal(do_everything(), 0);
    assert_int_equal(file_close(fd), -EIO);
    expect_log("attached again", 1);
}

/* Found by the fault points: a fid whose end could not be sent was used for the next walk. */
static void what_cannot_be_sent_does_no_harm(void **state)
{
    (void)state;
    attach("/");
    make_everything();
    for (unsigned i = 0; i < sizeof(types); i++) {
        unsent = types[i];
        do_everything();
        unsent = 0;
        fs_remove("/d/e/newer", false);
        fs_remove("/d/e", true);
        fs_remove("/d/new", false);
        assert_int_equal(do_everything(), 0);
    }
    assert_true(server_fids(&server) > 1);
    server_reset(&server);
    transport.resets++;
    tidy_everything();
    expect_log("attached again", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NINEP_TEST(every_request_may_be_refused),
        NINEP_TEST(a_lie_ends_the_session),
        NINEP_TEST(a_cut_answer_is_an_error),
        NINEP_TEST(counts_are_checked),
        NINEP_TEST(what_cannot_be_is_refused),
        NINEP_TEST(noise_does_no_harm),
        NINEP_TEST(names_are_checked),
        NINEP_TEST(half_entries_are_errors),
        NINEP_TEST(an_endless_folder_ends),
        NINEP_TEST(bad_links_are_errors),
        NINEP_TEST(a_larger_message_size_is_refused),
        NINEP_TEST(silence_is_an_error),
        NINEP_TEST(what_cannot_be_sent_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
