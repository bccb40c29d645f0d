// sources: fs/fuse.c fs/fuse_file.c fs/fuse_rpc.c fs/mount.c boot/log.c boot/format.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
// sources: fs/share_file.c
/*
 * test_fuse.c - the client of FUSE against a small server that answers as it should, or lies.
 *
 * The tree is fixed: /file, /folder/inner, /link to it, /folder. What matters: every lie is an
 * error and costs the session only, and every node that was looked up is forgotten. The real
 * daemon's files are tests/qemu/test_virtiofs.py's.
 */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fuse.h"
#include "fs/fuse_wire.h"

enum { ROOT = 1, FILE_NODE, FOLDER, INNER, LINK, NODES };
#define CONTENT 100u
#define HANDLE 0x1234567890u

enum lie {
    HONEST,
    SILENT,        /* no answer comes */
    NO_HEADER,     /* fewer bytes than a header */
    SHORT_LENGTH,  /* a length that does not hold the header */
    LONG_LENGTH,   /* a length beyond what was written */
    OTHER_REQUEST, /* the number of another request */
    POSITIVE_ERROR,
    HUGE_ERROR,
    MORE, /* bytes behind the answer; before LESS */
    LESS, /* a byte too few */
    LIES
};

static struct {
    enum lie lie;
    uint32_t lie_opcode;
    int lookups[NODES]; /* that were not forgotten */
    unsigned sessions, requests;
    struct fuse_init_out init;
    uint64_t size, nodeid; /* what LOOKUP says of a file, instead of the truth unless 0 */
    uint32_t written;      /* what WRITE says, unless 0 */
    const char *target;
    size_t target_len;
    uint8_t entries[4096]; /* what READDIR gives, at offset 0 or always */
    uint32_t entries_len;
    bool endless;
} server;

static uint8_t request[FUSE_REQUEST_SIZE] __attribute__((aligned(8)));
static uint8_t reply[FUSE_REPLY_SIZE] __attribute__((aligned(8)));
static struct fuse_transport transport;

/* ---- the server ---- */

static struct fuse_attr attr_of(uint64_t node)
{
    struct fuse_attr attr = {.ino = node, .nlink = 1, .mtime = 1000};

    attr.mode = node == LINK ? 0120777 : node == ROOT || node == FOLDER ? 0040755 : 0100644;
    attr.size = server.size ? server.size : CONTENT;
    return attr;
}

static uint64_t find(uint64_t folder, const char *name)
{
    if (folder == ROOT)
        return !strcmp(name, "file")     ? FILE_NODE
               : !strcmp(name, "folder") ? FOLDER
               : !strcmp(name, "link")   ? LINK
                                         : 0;
    return folder == FOLDER && !strcmp(name, "inner") ? INNER : 0;
}

/* The payload of the answer to the request; its length, or a negative error of Linux's. */
static int serve(const struct fuse_in_header *header, const uint8_t *in, uint8_t *out)
{
    struct fuse_entry_out entry = {0};
    struct fuse_attr_out attr = {.attr = attr_of(header->nodeid)};
    struct fuse_open_out open = {.fh = HANDLE};
    const struct fuse_io_in *io = (const void *)in;
    uint32_t size;

    switch (header->opcode) {
    case FUSE_INIT:
        server.sessions++;
        memset(server.lookups, 0, sizeof(server.lookups));
        memcpy(out, &server.init, sizeof(server.init));
        return sizeof(server.init);
    case FUSE_LOOKUP:
        entry.nodeid = find(header->nodeid, (const char *)in);
        if (!entry.nodeid)
            return -2;
        server.lookups[entry.nodeid]++;
        entry.attr = attr_of(entry.nodeid);
        if (server.nodeid)
            entry.nodeid = server.nodeid;
        memcpy(out, &entry, sizeof(entry));
        return sizeof(entry);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        memcpy(out, &attr, sizeof(attr));
        return sizeof(attr);
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        memcpy(out, &open, sizeof(open));
        return sizeof(open);
    case FUSE_READ:
        assert_int_equal(io->fh, HANDLE);
        size = io->offset >= CONTENT ? 0 : CONTENT - (uint32_t)io->offset;
        size = size < io->size ? size : io->size;
        memset(out, 'x', size);
        return (int)size;
    case FUSE_WRITE:
        size = server.written ? server.written : io->size;
        memcpy(out, (uint32_t[2]){size, 0}, 8);
        return 8;
    case FUSE_READDIR:
        if (io->offset && !server.endless)
            return 0;
        memcpy(out, server.entries, server.entries_len);
        return (int)server.entries_len;
    case FUSE_READLINK:
        memcpy(out, server.target, server.target_len);
        return (int)server.target_len;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNC:
    case FUSE_DESTROY:
        return 0;
    default:
        return -38;
    }
}

/* Writes the answer as a device does: header and payload to reply, or the payload to the room. */
static int exchange(struct fuse_transport *from, struct fuse_exchange *x)
{
    static uint8_t payload[FUSE_REPLY_SIZE + 8];
    const struct fuse_in_header *header = (const void *)from->request;
    uint32_t room = x->room_len ? x->room_len : FUSE_REPLY_SIZE - sizeof(struct fuse_out_header);
    enum lie lie = header->opcode == server.lie_opcode ? server.lie : HONEST;
    struct fuse_out_header answer = {.unique = header->unique};

    server.requests++;
    assert_int_equal(header->len, x->request_len + x->data_len);
    assert_int_not_equal(header->opcode, FUSE_FORGET);
    int len = serve(header, from->request + sizeof(*header), payload);
    if (lie == SILENT)
        return -EIO;
    answer.error = lie == POSITIVE_ERROR ? 5 : lie == HUGE_ERROR ? -4096 : len < 0 ? len : 0;
    len = len < 0 ? 0 : len;
    len += lie == MORE ? 1 : lie == LESS ? -1 : 0;
    if (len > (int)room)
        len = (int)room;
    answer.len = (uint32_t)sizeof(answer) + (uint32_t)(len < 0 ? 0 : len);
    x->reply_len = answer.len;
    if (lie == NO_HEADER)
        x->reply_len = sizeof(answer) - 1;
    else if (lie == SHORT_LENGTH)
        answer.len = sizeof(answer) - 1;
    else if (lie == LONG_LENGTH)
        answer.len++;
    else if (lie == OTHER_REQUEST)
        answer.unique++;
    memcpy(from->reply, &answer, sizeof(answer));
    if (len > 0)
        memcpy(x->room_len ? x->room : from->reply + sizeof(answer), payload, (size_t)len);
    return 0;
}

static int post(struct fuse_transport *from, const void *data, uint32_t len)
{
    const struct fuse_in_header *header = data;
    const struct fuse_forget_in *forget = (const void *)(header + 1);

    (void)from;
    assert_int_equal(len, FUSE_FORGET_SIZE);
    assert_int_equal(header->len, len);
    assert_int_equal(header->opcode, FUSE_FORGET);
    assert_in_range(header->nodeid, FILE_NODE, NODES - 1);
    server.lookups[header->nodeid] -= (int)forget->nlookup;
    assert_true(server.lookups[header->nodeid] >= 0);
    return 0;
}

static void add_entry(const char *name, uint32_t len, uint32_t type, uint64_t offset)
{
    struct fuse_dirent entry = {.ino = 1, .off = offset, .namelen = len, .type = type};

    memcpy(server.entries + server.entries_len, &entry, sizeof(entry));
    memcpy(server.entries + server.entries_len + sizeof(entry), name, strlen(name));
    server.entries_len += (uint32_t)(sizeof(entry) + (strlen(name) + 7) / 8 * 8);
}

static void start_server(void)
{
    memset(&server, 0, sizeof(server));
    server.init = (struct fuse_init_out){
        .major = 7, .minor = 31, .flags = FUSE_BIG_WRITES, .max_write = 1 << 20};
    server.target = "/folder/../folder/inner";
    server.target_len = strlen(server.target);
    transport = (struct fuse_transport){
        .tag = "host", .request = request, .reply = reply, .exchange = exchange, .post = post};
    add_entry(".", 1, FUSE_DT_DIR, 1);
    add_entry("file", 4, FUSE_DT_REG, 2);
    add_entry("link", 4, FUSE_DT_LNK, 3);
}

static void start(void)
{
    void *volume;

    start_server();
    assert_int_equal(fuse_mount(&transport, &volume), 0);
    assert_int_equal(fs_mount("/", &fuse_ops, volume), 0);
}

static void assert_all_forgotten(void)
{
    for (unsigned i = FILE_NODE; i < NODES; i++)
        assert_int_equal(server.lookups[i], 0);
}

static int read_through(const char *path)
{
    struct file_object file;
    char data[CONTENT + 20];
    int result = fs_open(path, O_RDWR, &file);

    if (result)
        return result;
    result = (int)file.ops->read(file.object, data, sizeof(data));
    int written = (int)file.ops->write(file.object, data, 10);
    int error = file.ops->close(file.object);
    return result < 0 ? result : written < 0 ? written : error ? error : result;
}

static int count_entries(void)
{
    struct file_object folder;
    struct fs_entry entry;
    int count = 0, result = fs_open_directory("/", &folder);

    if (result)
        return result;
    while ((result = folder.ops->read_entry(folder.object, &entry)) == 1)
        count++;
    int error = folder.ops->close(folder.object);
    return result < 0 ? result : error ? error : count;
}

static int everything(void)
{
    struct stat status;
    int error = read_through("/file");

    if (error >= 0)
        error = read_through("/link");
    if (error >= 0)
        error = count_entries();
    if (error >= 0)
        error = fs_stat("/", &status);
    return error;
}

/* ---- tests ---- */

/* covers: FS-T-INIT-1 */
static void files_are_reached_and_nodes_forgotten(void **state)
{
    struct stat status;

    (void)state;
    start();
    assert_int_equal(read_through("/file"), CONTENT);
    assert_int_equal(read_through("/folder/inner"), CONTENT);
    assert_int_equal(read_through("/link"), CONTENT);
    assert_int_equal(count_entries(), 2);
    assert_int_equal(fs_stat("/link", &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(status.st_mtime, 1000);
    assert_int_equal(fs_stat("/none", &status), -ENOENT);
    assert_int_equal(fs_stat("/file/below", &status), -ENOTDIR);
    assert_int_equal(read_through("/folder"), -EISDIR);
    assert_int_equal(fs_make_directory("/new"), -ENOSYS);
    assert_int_equal(fs_remove("/file", false), -ENOSYS);
    assert_int_equal(fs_remove("/none", false), -ENOENT);
    assert_int_equal(fs_rename("/file", "/folder/x"), -ENOSYS);
    assert_all_forgotten();
    assert_int_equal(server.sessions, 1);
    server.target = "link";
    server.target_len = 4;
    assert_int_equal(fs_stat("/link", &status), -ELOOP);
    assert_all_forgotten();
    assert_int_equal(fs_unmount_all(), 0);
}

/* Whatever answer is a lie: an error, once, and a new session that works. */
static void every_lie_is_an_error(void **state)
{
    static const uint32_t opcodes[] = {FUSE_LOOKUP,   FUSE_GETATTR,   FUSE_OPEN,    FUSE_READ,
                                       FUSE_WRITE,    FUSE_RELEASE,   FUSE_OPENDIR, FUSE_READDIR,
                                       FUSE_READLINK, FUSE_RELEASEDIR};

    (void)state;
    for (unsigned i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
        for (enum lie lie = SILENT; lie < LIES; lie++) {
            bool any_length = opcodes[i] == FUSE_READ || opcodes[i] == FUSE_READDIR ||
                              opcodes[i] == FUSE_READLINK;
            bool empty = opcodes[i] == FUSE_RELEASE || opcodes[i] == FUSE_RELEASEDIR;
            if ((any_length && lie >= MORE) || (empty && lie == LESS))
                continue; /* it is as good as the truth */
            start();
            assert_true(everything() >= 0);
            server.lie = lie;
            server.lie_opcode = opcodes[i];
            assert_int_equal(everything(), -EIO);
            server.lie = HONEST;
            assert_true(everything() >= 0);
            assert_int_equal(server.sessions, 2);
            assert_all_forgotten();
            assert_int_equal(fs_unmount_all(), 0);
        }
    }
}

static void a_session_begins_soundly_or_not_at_all(void **state)
{
    static const struct fuse_init_out bad[] = {
        {.major = 6, .minor = 31, .max_write = 65536}, {.major = 8, .minor = 0, .max_write = 65536},
        {.major = 7, .minor = 22, .max_write = 65536}, {.major = 7, .minor = 31, .max_write = 4095},
        {.major = 7, .minor = 31, .max_write = 0},
    };
    void *volume;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start_server();
        server.init = bad[i];
        assert_int_equal(fuse_mount(&transport, &volume), i < 3 ? -ENOTSUP : -EIO);
    }
    for (enum lie lie = SILENT; lie < LIES; lie++) {
        start_server();
        server.lie = lie;
        server.lie_opcode = FUSE_INIT;
        assert_int_equal(fuse_mount(&transport, &volume), -EIO);
    }
    expect_log("the host speaks version", 3);
}

static void impossible_values_are_errors(void **state)
{
    struct stat status;

    (void)state;
    start();
    server.nodeid = ROOT;
    assert_int_equal(fs_stat("/file", &status), -EIO);
    server.nodeid = 0;
    server.size = UINT64_C(1) << 63;
    assert_int_equal(fs_stat("/file", &status), -EIO);
    assert_int_equal(fs_stat("/", &status), -EIO);
    server.size = 0;
    server.written = 11;
    assert_int_equal(read_through("/file"), -EIO);
    server.written = 0;
    server.target = "a\0b";
    server.target_len = 3;
    assert_int_equal(fs_stat("/link", &status), -EIO);
    static char long_target[FS_PATH_MAX];
    memset(long_target, 'x', sizeof(long_target));
    server.target = long_target;
    server.target_len = sizeof(long_target);
    assert_int_equal(fs_stat("/link", &status), -EIO);
    server.target_len = 0;
    assert_int_equal(fs_stat("/link", &status), 0); /* to the folder it lies in */
    assert_int_equal(fs_unmount_all(), 0);
}

static void directories_of_a_liar_do_no_harm(void **state)
{
    (void)state;
    start();
    server.entries_len = 0;
    add_entry("file", 1000, FUSE_DT_REG, 1);
    assert_int_equal(count_entries(), -EIO);
    server.entries_len = 0;
    add_entry("file", UINT32_MAX, FUSE_DT_REG, 1);
    assert_int_equal(count_entries(), -EIO);
    server.entries_len = 10;
    assert_int_equal(count_entries(), -EIO);
    server.entries_len = 0;
    add_entry("a/b", 3, FUSE_DT_REG, 1);
    add_entry("..", 2, FUSE_DT_DIR, 2);
    add_entry("", 0, FUSE_DT_REG, 3);
    add_entry("fi\0e", 4, FUSE_DT_REG, 4); /* written as "fi", in as many bytes */
    add_entry("none", 4, FUSE_DT_REG, 5);
    add_entry("file", 4, 12, 6); /* a socket */
    assert_int_equal(count_entries(), 0);
    server.entries_len = 0;
    add_entry(".", 1, FUSE_DT_DIR, 0);
    server.endless = true;
    assert_int_equal(count_entries(), -EIO);
    expect_log("a directory without an end", 1);
    assert_int_equal(fs_unmount_all(), 0);
}

/* The device was reset, or the volume unmounted: what is open ends in errors. */
static void open_files_end_with_their_session(void **state)
{
    struct file_object file, folder;
    struct fs_entry entry;
    struct stat status;
    char data[10];

    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        start();
        assert_int_equal(fs_open("/file", O_RDWR, &file), 0);
        assert_int_equal(fs_open_directory("/", &folder), 0);
        if (way == 0)
            transport.resets++;
        else
            fs_unmount_from(&transport);
        unsigned requests = server.requests;
        assert_int_equal(file.ops->read(file.object, data, 10), -EIO);
        assert_int_equal(file.ops->write(file.object, data, 10), -EIO);
        assert_int_equal(file.ops->seek(file.object, 0, SEEK_END), -EIO);
        assert_int_equal(file.ops->truncate(file.object, 0), -EIO);
        assert_int_equal(file.ops->sync(file.object), -EIO);
        assert_int_equal(file.ops->stat(file.object, &status), -EIO);
        assert_int_equal(folder.ops->read_entry(folder.object, &entry), -EIO);
        assert_int_equal(server.requests, requests);
        if (way == 0)
            assert_int_equal(read_through("/file"), CONTENT);
        assert_int_equal(file.ops->close(file.object), -EIO);
        assert_int_equal(folder.ops->close(folder.object), -EIO);
        assert_int_equal(fs_stat("/file", &status), way == 0 ? 0 : -ENODEV);
        fs_unmount_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_reached_and_nodes_forgotten),  TEST(every_lie_is_an_error),
        TEST(a_session_begins_soundly_or_not_at_all), TEST(impossible_values_are_errors),
        TEST(directories_of_a_liar_do_no_harm),       TEST(open_files_end_with_their_session),
    };

    return cmocka_run_group_tests_name("fuse", tests, NULL, NULL);
}
