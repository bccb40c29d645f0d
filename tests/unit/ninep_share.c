/*
 * ninep_share.c - a 9P2000.L server without a device in between, and the start and end of a test.
 *
 * Read ninep_share.h first.
 */
#include "ninep_share.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hosted/hosted.h"

/* More than the longest message. */
#define MESSAGE_MAX (256u << 10)

struct ninep_server server;
struct ninep_transport transport;
bool silent;
uint8_t unsent;
unsigned exchanges, longest;
char listed[LISTED_MAX][64];
static uint8_t flat_request[MESSAGE_MAX], flat_reply[MESSAGE_MAX];

/* What the driver does, without a device: the pieces of a message are one row of bytes here. */
static int exchange(struct ninep_transport *t, struct ninep_exchange *x)
{
    size_t head = x->room_len ? 11 : NINEP_REPLY_SIZE, len;

    exchanges++;
    if (silent) {
        server_reset(t->driver);
        t->resets++;
        return -EIO;
    }
    assert_true(x->request_len <= NINEP_REQUEST_SIZE);
    if (unsent && t->request[4] == unsent)
        return -EFAULT;
    memcpy(flat_request, t->request, x->request_len);
    if (x->data_len)
        memcpy(flat_request + x->request_len, x->data, x->data_len);
    if (x->request_len + x->data_len > longest)
        longest = x->request_len + x->data_len;
    memset(flat_reply, 0xee, sizeof(flat_reply));
    len = server_answer(t->driver, flat_request, x->request_len + x->data_len, flat_reply,
                        head + x->room_len);
    assert_true(len <= head + x->room_len);
    memcpy(t->reply, flat_reply, len < head ? len : head);
    if (len > head)
        memcpy(x->room, flat_reply + head, len - head);
    x->reply_len = (uint32_t)len;
    return 0;
}

void attach(const char *place)
{
    void *volume;

    assert_int_equal(ninep_mount(&transport, &volume), 0);
    assert_int_equal(fs_mount(place, &ninep_ops, volume), 0);
}

int share_begin(void **state)
{
    (void)state;
    hosted_reset();
    server_init(&server);
    silent = false;
    unsent = 0;
    longest = 0;
    transport = (struct ninep_transport){.tag = "test",
                                         .request = malloc(NINEP_REQUEST_SIZE),
                                         .reply = malloc(NINEP_REPLY_SIZE),
                                         .exchange = exchange,
                                         .driver = &server};
    return 0;
}

/* Every fid but the root's must have been given back, and that one is by unmounting. */
int share_end(void **state)
{
    (void)state;
    file_close_all();
    if (server_fids(&server) > 1) {
        print_error("%u fids are left\n", server_fids(&server));
        return -1;
    }
    fs_unmount_all();
    if (server_fids(&server)) {
        print_error("the root is still attached\n");
        return -1;
    }
    server_finish(&server);
    free(transport.request);
    free(transport.reply);
    return 0;
}

int add(const char *name, uint32_t mode, const char *text)
{
    return server_add(&server, SERVER_ROOT, name, mode, text, strlen(text));
}

int add_file(const char *name, const char *text)
{
    return add(name, S_IFREG | 0644, text);
}

void assert_text(const char *path, const char *text)
{
    char data[100];
    int fd = file_open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(file_read(fd, data, sizeof(data)), strlen(text));
    assert_memory_equal(data, text, strlen(text));
    assert_int_equal(file_close(fd), 0);
}

unsigned list(const char *path)
{
    struct file_object directory;
    struct fs_entry entry;
    unsigned count = 0;
    int found;

    assert_int_equal(fs_open_directory(path, &directory), 0);
    while ((found = directory.ops->read_entry(directory.object, &entry)) == 1) {
        assert_true(count < LISTED_MAX && strlen(entry.name) < 64);
        strcpy(listed[count++], entry.name);
    }
    assert_int_equal(found, 0);
    assert_int_equal(directory.ops->read_entry(directory.object, &entry), 0);
    assert_int_equal(directory.ops->rewind(directory.object), 0);
    found = directory.ops->read_entry(directory.object, &entry);
    assert_int_equal(found, count > 0);
    if (count)
        assert_string_equal(entry.name, listed[0]);
    assert_int_equal(directory.ops->close(directory.object), 0);
    return count;
}
