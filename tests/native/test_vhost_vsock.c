// sources: vsock/vsock.c vsock/vsock_connection.c vsock/vsock_message.c vsock/vsock_packet.c
// sources: vsock/virtio_vsock.c virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_watch.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c hosted/vhost_user.c
// sources: hosted/vhost_user_session.c hosted/vhost_user_link.c tests/native/backend.c
/*
 * test_vhost_vsock.c - the socket device driver, as a Linux process, on the vhost-user daemon of
 * tests/qemu/vsock_daemon.py: data, refusals, a transport reset, and a daemon that dies and comes
 * back, which QEMU's own device does not survive.
 */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend.h"
#include "hosted/vhost_user.h"
#include "virtio/spec.h"
#include "vsock/virtio_vsock.h"
#include "vsock/vsock.h"

#define BULK 300000u
#define ECHO_PORT 7u

static const struct virtio_driver *const drivers[] = {&virtio_vsock_driver};
static struct backend daemon_;
static struct virtio_device *device;
static char bridge[80];

/* ---- the driver's user: echoes, and notes the ends ---- */

static unsigned open_connections;
static int last_error;

static void echo(void *arg, struct vsock_connection *connection)
{
    const void *data;
    size_t len;
    ssize_t n;

    (void)arg;
    while ((data = vsock_peek(connection, 0, &len)) != NULL &&
           (n = vsock_send(connection, data, len)) > 0)
        vsock_consume(connection, (size_t)n);
}

static void ended(void *arg, struct vsock_connection *connection, int error)
{
    (void)arg;
    last_error = error;
    open_connections--;
    vsock_close(connection, false);
}

static const struct vsock_callbacks callbacks = {
    .readable = echo, .writable = echo, .ended = ended};

static int accept_any(void *arg, struct vsock_connection *connection)
{
    vsock_set_callbacks(connection, &callbacks, arg);
    open_connections++;
    return 0;
}

/* ---- daemon and device ---- */

static void start_daemon(void)
{
    const char *argv[] = {"python3", "tests/qemu/vsock_daemon.py", daemon_.socket, bridge, "77",
                          NULL};

    backend_start(&daemon_, argv, NULL);
}

static void begin(void)
{
    const struct vhost_user_setup setup = {
        .path = daemon_.socket, .type = VIRTIO_ID_VSOCK, .timeout_ms = BACKEND_TIMEOUT_MS};
    uint32_t cid;

    backend_init(&daemon_);
    snprintf(bridge, sizeof(bridge), "%s/bridge", daemon_.folder);
    start_daemon();
    hosted_clock_use_real();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    assert_int_equal(vsock_listen(ECHO_PORT, VSOCK_TYPE_STREAM, accept_any, NULL), 0);
    open_connections = 0;
    device = vhost_user_open(&setup);
    if (!device || !vsock_own_cid(&cid))
        fail_msg("no socket device; log:\n%s", hosted_log());
    assert_int_equal(cid, 77);
}

static void end(void)
{
    virtio_shutdown();
    assert_int_equal(open_connections, 0);
    vsock_unlisten(ECHO_PORT);
    backend_finish(&daemon_);
}

/* ---- the host's side, which must not wait ---- */

struct talk {
    int fd;
    size_t sent, received, wanted;
    uint8_t out[BULK], in[BULK + 16];
    bool over;
};

static void call(struct talk *talk, unsigned port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memset(talk, 0, sizeof(*talk));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", bridge);
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(talk->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fcntl(talk->fd, F_SETFL, O_NONBLOCK);
    talk->wanted = (size_t)snprintf((char *)talk->out, sizeof(talk->out), "CONNECT %u\n", port);
}

/* Until everything was sent, and as much as is wanted or the end was received. */
static bool talk_on(void *arg)
{
    struct talk *talk = arg;
    ssize_t n = 1;

    if (talk->sent < talk->wanted)
        n = send(talk->fd, talk->out + talk->sent, talk->wanted - talk->sent, MSG_NOSIGNAL);
    if (n > 0 && talk->sent < talk->wanted)
        talk->sent += (size_t)n;
    n = recv(talk->fd, talk->in + talk->received, sizeof(talk->in) - talk->received, 0);
    if (n > 0)
        talk->received += (size_t)n;
    talk->over = n == 0 || (n < 0 && errno != EAGAIN);
    return talk->over || (talk->sent == talk->wanted && talk->received >= talk->wanted);
}

static bool is_answered(void *arg)
{
    struct talk *talk = arg;

    return talk_on(talk) || (talk->received > 0 && talk->in[talk->received - 1] == '\n');
}

static bool ask(struct talk *talk, unsigned port)
{
    call(talk, port);
    if (!backend_wait(is_answered, talk))
        fail_msg("no answer; log:\n%s", hosted_log());
    return !talk->over;
}

static void expect_echo(struct talk *talk)
{
    uint32_t seed = 5;

    talk->sent = talk->received = 0;
    talk->wanted = BULK;
    for (size_t i = 0; i < BULK; i++)
        talk->out[i] = (uint8_t)support_random(&seed);
    if (!backend_wait(talk_on, talk))
        fail_msg("%zu of %zu bytes came back; log:\n%s", talk->received, talk->sent, hosted_log());
    assert_int_equal(talk->received, BULK);
    assert_memory_equal(talk->in, talk->out, BULK);
}

static bool none_is_open(void *arg)
{
    (void)arg;
    return open_connections == 0;
}

/* ---- tests ---- */

static struct talk talk;

static void bytes_come_back(void **state)
{
    (void)state;
    begin();
    assert_true(ask(&talk, ECHO_PORT));
    expect_echo(&talk);
    expect_echo(&talk);
    close(talk.fd);
    vsock_drain();
    assert_false(ask(&talk, ECHO_PORT + 1));
    close(talk.fd);
    end();
}

static void refused(void *arg, struct vsock_connection *connection, int error)
{
    *(int *)arg = error;
    vsock_close(connection, false);
}

static bool is_told(void *arg)
{
    return *(int *)arg != 0;
}

static void the_host_refuses(void **state)
{
    static const struct vsock_callbacks told = {.ended = refused};
    const struct vsock_address to = {VSOCK_CID_HOST, 4711};
    struct vsock_connection *connection;
    int error = 0;

    (void)state;
    begin();
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, VSOCK_PORT_ANY, &told, &error, &connection), 0);
    assert_true(backend_wait(is_told, &error));
    assert_int_equal(error, -ECONNREFUSED);
    end();
}

/* covers: VSOCK-EVT-1 VSOCK-EVT-3 VSOCK-EVT-4 */
static void the_transport_is_reset(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 6; i++) { /* more often than there are buffers for it */
        assert_true(ask(&talk, ECHO_PORT));
        kill(daemon_.pid, SIGUSR1);
        assert_true(backend_wait(none_is_open, NULL));
        assert_int_equal(last_error, -ECONNRESET);
        close(talk.fd);
    }
    assert_true(ask(&talk, ECHO_PORT));
    expect_echo(&talk);
    close(talk.fd);
    assert_int_equal(device->recoveries, 0);
    end();
}

static bool is_running_again(void *arg)
{
    (void)arg;
    return device->driver_ok && vhost_user_connections(device) > 1;
}

static void killed_daemon_comes_back(void **state)
{
    (void)state;
    begin();
    assert_true(ask(&talk, ECHO_PORT));
    expect_echo(&talk);
    backend_kill(&daemon_);
    start_daemon();
    if (!backend_wait(is_running_again, NULL))
        fail_msg("it did not come back; log:\n%s", hosted_log());
    assert_true(backend_wait(none_is_open, NULL));
    assert_int_equal(last_error, -ECONNRESET);
    close(talk.fd);
    assert_true(ask(&talk, ECHO_PORT)); /* the listener has stayed */
    expect_echo(&talk);
    close(talk.fd);
    end();
}

static int finish(void **state)
{
    (void)state;
    backend_finish_all();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_come_back),
        TEST(the_host_refuses),
        TEST(the_transport_is_reset),
        TEST(killed_daemon_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, finish);
}
