// sources: vsock/vsock.c vsock/vsock_connection.c vsock/vsock_message.c vsock/vsock_packet.c vsock/virtio_vsock.c
// sources: tests/unit/vsock_rig.c hosted/device_vsock.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/violation.c hosted/ring_packed.c
/*
 * test_vsock.c - connections over the socket device (5.10.6): how they begin, carry data within
 * their credit, and end, with a host that behaves. One that does not is in test_vsock_lies.c.
 */
#include "support.h"

#include "ring_variants.h"
#include "vsock_rig.h"

static uint8_t out[300000], in[300000];

static void opening(void)
{
    struct rig_user user;
    uint32_t cid;

    assert_int_equal(rig_start(NULL), 1);
    assert_true(vsock_own_cid(&cid));
    assert_int_equal(cid, RIG_CID);
    rig_accept(&user, 5000, 7);
    assert_int_equal(vsock_own_port(user.connection), 7);
    assert_int_equal(vsock_peer(user.connection).cid, 2);
    assert_int_equal(vsock_peer(user.connection).port, 5000);
    vsock_close(user.connection, false);
    const struct device_vsock_packet *packet = rig_expect(VSOCK_SHUTDOWN, 7, 5000);
    assert_int_equal(packet->header.flags, 3);
    device_vsock_send(&rig_device, 5000, 7, VSOCK_RST, 0, NULL, 0);
    rig_expect_nothing();
    assert_false(vsock_port_is_taken(7));
    rig_end();
}

/* covers: VSOCK-RXTX-1 VSOCK-T-STREAM-1 VSOCK-CREDIT-2 */
static void a_connection_is_accepted_and_closed(void **state)
{
    (void)state;
    opening();
    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        rig_ring = ring_variants[i];
        opening();
        hosted_dma_use_iommu(false);
    }
    rig_ring = 0;
}

/* covers: VSOCK-T-STREAM-1 */
static void nobody_listens(void **state)
{
    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    device_vsock_send(&rig_device, 5000, 7, VSOCK_REQUEST, 0, NULL, 0);
    rig_expect(VSOCK_RST, 7, 5000);
    rig_expect_nothing();
    rig_end();
}

static int refuse(void *arg, struct vsock_connection *connection)
{
    (void)connection;
    *(unsigned *)arg += 1;
    return -ENOMEM;
}

static void a_listener_may_refuse(void **state)
{
    unsigned asked = 0;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    assert_int_equal(vsock_listen(7, VSOCK_TYPE_STREAM, refuse, &asked), 0);
    assert_int_equal(vsock_listen(7, VSOCK_TYPE_STREAM, refuse, &asked), -EADDRINUSE);
    for (unsigned i = 0; i < 3 * VSOCK_CONNECTIONS_MAX; i++) {
        device_vsock_send(&rig_device, 5000, 7, VSOCK_REQUEST, 0, NULL, 0);
        rig_expect(VSOCK_RST, 7, 5000);
    }
    assert_int_equal(asked, 3 * VSOCK_CONNECTIONS_MAX);
    vsock_unlisten(7);
    vsock_unlisten(7);
    for (uint32_t i = 0; i < VSOCK_LISTENERS_MAX; i++)
        assert_int_equal(vsock_listen(100 + i, VSOCK_TYPE_STREAM, refuse, &asked), 0);
    assert_int_equal(vsock_listen(1000, VSOCK_TYPE_STREAM, refuse, &asked), -ENOSPC);
    for (uint32_t i = 0; i < VSOCK_LISTENERS_MAX; i++)
        vsock_unlisten(100 + i);
    rig_end();
}

/* covers: VSOCK-T-STREAM-1 */
static void connecting(void **state)
{
    static const uint32_t nowhere[] = {0, 1, RIG_CID, UINT32_MAX};
    struct vsock_address to = {2, 80};
    struct rig_user user;

    (void)state;
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, &user, &user.connection), -ENODEV);
    assert_int_equal(rig_start(NULL), 1);
    for (unsigned i = 0; i < 4; i++) {
        to.cid = nowhere[i];
        assert_int_equal(
            vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, &user, &user.connection),
            -ENODEV);
    }
    uint32_t port = rig_connect(&user, 80);
    to.cid = 2;
    struct vsock_connection *other;
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, port, &rig_callbacks, &user, &other),
                     -EADDRINUSE);
    assert_true(vsock_port_is_taken(port));
    assert_int_not_equal(vsock_free_port(), port);
    vsock_close(user.connection, true);
    rig_expect(VSOCK_RST, port, 80);

    /* refused */
    memset(&user, 0, sizeof(user));
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, port, &rig_callbacks, &user, &user.connection), 0);
    assert_int_equal(vsock_send(user.connection, "x", 1), -ENOTCONN);
    assert_int_equal(vsock_shutdown(user.connection, 3), -ENOTCONN);
    rig_expect(VSOCK_REQUEST, port, 80);
    device_vsock_send(&rig_device, 80, port, VSOCK_RST, 0, NULL, 0);
    rig_expect_nothing();
    assert_int_equal(user.ended, 1);
    assert_int_equal(user.error, -ECONNREFUSED);
    assert_int_equal(vsock_send(user.connection, "x", 1), -ENOTCONN);
    vsock_close(user.connection, false);

    /* no answer */
    memset(&user, 0, sizeof(user));
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, port, &rig_callbacks, &user, &user.connection), 0);
    rig_expect(VSOCK_REQUEST, port, 80);
    hosted_clock_advance(VSOCK_CONNECT_TIMEOUT_NS - 1000000);
    rig_expect_nothing();
    hosted_clock_advance(2000000);
    rig_expect(VSOCK_RST, port, 80);
    assert_int_equal(user.ended, 1);
    assert_int_equal(user.error, -ETIMEDOUT);
    vsock_close(user.connection, false);

    /* closed before it began, and before the answer */
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, port, &rig_callbacks, &user, &user.connection), 0);
    vsock_close(user.connection, false);
    rig_expect_nothing();
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, port, &rig_callbacks, &user, &user.connection), 0);
    rig_expect(VSOCK_REQUEST, port, 80);
    vsock_close(user.connection, false);
    rig_expect(VSOCK_RST, port, 80);
    rig_expect_nothing();
    rig_end();
}

/* Pieces of these lengths to the driver, who reads `at_once` bytes whenever there are as many. */
static void receive(uint32_t longest, uint32_t at_once)
{
    struct rig_user user;
    uint32_t seed = longest, sent = 0, got = 0, room;
    uint32_t port = rig_connect(&user, 80);
    struct device_vsock_flow *flow = device_vsock_flow(&rig_device, 80, port);

    rig_fill(out, sizeof(out), 0);
    while (got < sizeof(out)) {
        uint32_t n = 1 + support_random(&seed) % longest;

        rig_settle();
        room = flow->driver_buf_alloc - (flow->given - flow->driver_fwd_cnt);
        n = n < room ? n : room;
        n = n < sizeof(out) - sent ? n : (uint32_t)sizeof(out) - sent;
        if (n > 0 && device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, out + sent, n)) {
            sent += n;
            continue;
        }
        rig_settle();
        assert_int_equal(vsock_readable(user.connection), sent - got);
        n = (uint32_t)vsock_read(user.connection, in + got, at_once);
        assert_true(n > 0);
        got += n;
    }
    assert_memory_equal(in, out, sizeof(out));
    assert_int_equal(vsock_read(user.connection, in, 1), 0);
    assert_false(vsock_is_at_end(user.connection));
    while (device_vsock_take(&rig_device))
        continue;
    vsock_close(user.connection, true);
    rig_expect(VSOCK_RST, port, 80);
}

/*
 * Packets of every size, read in portions of every size, with the buffer full again and again: none
 * is lost, and pages do not run out however small the packets are.
 */
/* covers: VSOCK-CREDIT-2 VSOCK-T-CREDIT-1 */
static void data_arrives(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        rig_ring = i ? ring_variants[3 * i - 1] : 0;
        assert_int_equal(rig_start(NULL), 1);
        receive(4052, 4052);
        receive(4052, 70000);
        receive(10, 1000);
        receive(3000, 65536);
        receive(200, 1);
        rig_end();
        hosted_dma_use_iommu(false);
    }
    rig_ring = 0;
}

/* covers: VSOCK-CREDIT-1 VSOCK-CREDIT-2 VSOCK-T-CREDIT-1 */
static void data_is_sent_within_the_credit(void **state)
{
    static const uint32_t buffers[] = {65536, 4052, 100, 1, 200000};
    struct rig_user user;

    (void)state;
    rig_fill(out, sizeof(out), 3);
    for (unsigned i = 0; i < 5; i++) {
        const uint32_t total = buffers[i] < 1000 ? 2000 : (uint32_t)sizeof(out);
        uint32_t done = 0, got = 0, asked = 0;

        assert_int_equal(rig_start(NULL), 1);
        rig_device.buffer = buffers[i];
        uint32_t port = rig_connect(&user, 80);
        while (got < total) {
            const struct device_vsock_packet *packet;

            ssize_t n = vsock_send(user.connection, out + done, total - done);
            assert_true(n >= 0);
            done += (uint32_t)n;
            rig_settle();
            if ((packet = device_vsock_take(&rig_device))) {
                asked += packet->header.op == VSOCK_CREDIT_REQUEST;
                if (packet->header.op != VSOCK_RW)
                    continue;
                memcpy(in + got, packet->payload, packet->header.len);
                got += packet->header.len;
                device_vsock_forward(&rig_device, 80, port, packet->header.len);
            } else {
                assert_true(
                    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0));
                rig_settle();
                assert_true(vsock_can_send(user.connection) || done == total);
            }
        }
        assert_memory_equal(in, out, total);
        assert_true(asked > 0 || buffers[i] >= 65536);
        assert_true(user.writable > 0);
        rig_end();
        vsock_close(user.connection, false);
    }
}

/* What a CREDIT_REQUEST is answered by. */
static void the_host_asks_for_credit(void **state)
{
    struct rig_user user;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    uint32_t port = rig_connect(&user, 80);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "abcdef", 6);
    rig_settle();
    assert_int_equal(vsock_read(user.connection, in, 4), 4);
    rig_expect_nothing();
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_REQUEST, 0, NULL, 0);
    const struct device_vsock_packet *packet = rig_expect(VSOCK_CREDIT_UPDATE, port, 80);
    assert_int_equal(packet->header.fwd_cnt, 4);
    assert_int_equal(packet->header.buf_alloc, VSOCK_BUFFER_SIZE);
    rig_end();
    vsock_close(user.connection, false);
}

/* covers: VSOCK-T-STREAM-1 */
static void halves_are_closed_apart(void **state)
{
    struct rig_user user;
    size_t len;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    uint32_t port = rig_connect(&user, 80);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "last words", 10);
    device_vsock_send(&rig_device, 80, port, VSOCK_SHUTDOWN, 2, NULL, 0);
    rig_settle();
    assert_true(vsock_is_at_end(user.connection));
    assert_int_equal(vsock_readable(user.connection), 10);
    assert_memory_equal(vsock_peek(user.connection, 5, &len), "words", 5);
    assert_int_equal(len, 5);
    assert_int_equal(vsock_send(user.connection, "and mine", 8), 8);
    rig_expect(VSOCK_RW, port, 80);
    assert_int_equal(vsock_shutdown(user.connection, VSOCK_NO_SEND), 0);
    assert_int_equal(rig_expect(VSOCK_SHUTDOWN, port, 80)->header.flags, 2);
    assert_int_equal(vsock_send(user.connection, "more", 4), -EPIPE);
    /* Flags are sticky: this one says both by now. */
    device_vsock_send(&rig_device, 80, port, VSOCK_SHUTDOWN, 1, NULL, 0);
    rig_expect(VSOCK_RST, port, 80);
    assert_int_equal(user.ended, 1);
    assert_int_equal(user.error, 0);
    assert_int_equal(vsock_read(user.connection, in, 100), 10);
    assert_null(vsock_peek(user.connection, 0, &len));
    assert_int_equal(vsock_shutdown(user.connection, 3), -ENOTCONN);
    vsock_close(user.connection, false);

    /* A peer that will not receive, and one that sends to who will not. */
    port = rig_connect(&user, 80);
    device_vsock_send(&rig_device, 80, port, VSOCK_SHUTDOWN, 1, NULL, 0);
    rig_settle();
    assert_int_equal(vsock_send(user.connection, "x", 1), -EPIPE);
    assert_false(vsock_is_at_end(user.connection));
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "dropped", 7);
    rig_settle();
    assert_int_equal(vsock_shutdown(user.connection, VSOCK_NO_RECEIVE), 0);
    assert_int_equal(rig_expect(VSOCK_SHUTDOWN, port, 80)->header.flags, 1);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "dropped", 7);
    rig_settle();
    assert_int_equal(vsock_readable(user.connection), 0);
    assert_true(vsock_is_at_end(user.connection));
    device_vsock_send(&rig_device, 80, port, VSOCK_RST, 0, NULL, 0);
    rig_expect_nothing();
    assert_int_equal(user.error, -ECONNRESET);
    vsock_close(user.connection, false);
    rig_end();
}

/* A host that never says RST holds its connection for eight seconds, and no longer. */
static void a_close_is_bounded(void **state)
{
    struct rig_user user, second;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    uint32_t port = rig_connect(&user, 80);
    uint32_t other = rig_connect(&second, 81);
    assert_int_equal(vsock_send(user.connection, "all of it", 9), 9);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "unread", 6);
    rig_settle();
    vsock_close(user.connection, false);
    assert_int_equal(rig_expect(VSOCK_RW, port, 80)->header.len, 9);
    rig_expect(VSOCK_SHUTDOWN, port, 80);
    hosted_clock_advance(5000000);
    assert_int_equal(vsock_shutdown(second.connection, 3), 0);
    rig_expect(VSOCK_SHUTDOWN, other, 81);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "too late", 8);
    hosted_clock_advance(VSOCK_CLOSE_TIMEOUT_NS - 6000000);
    rig_expect_nothing();
    assert_true(vsock_port_is_taken(port));
    hosted_clock_advance(2000000);
    rig_expect(VSOCK_RST, port, 80);
    rig_expect_nothing();
    hosted_clock_advance(5000000);
    rig_expect(VSOCK_RST, other, 81);
    assert_false(vsock_port_is_taken(port));
    assert_int_equal(user.ended, 0);
    assert_int_equal(second.ended, 1);
    assert_int_equal(second.error, 0);
    vsock_close(second.connection, false);
    rig_end();
}

/* Places and memory are bounded, and come back. */
static void connections_run_out(void **state)
{
    static struct rig_user user[VSOCK_CONNECTIONS_MAX];
    struct vsock_address to = {2, 80};
    struct vsock_connection *more;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
            rig_accept(&user[i], 100 + i, 7);
        size_t bytes = hosted_dma_allocated_bytes();
        assert_true(bytes < VSOCK_CONNECTIONS_MAX * 170000);
        assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, NULL, &more),
                         -ENOSPC);
        assert_int_equal(vsock_listen(9, VSOCK_TYPE_STREAM, refuse, NULL), 0);
        device_vsock_send(&rig_device, 80, 9, VSOCK_REQUEST, 0, NULL, 0);
        rig_expect(VSOCK_RST, 9, 80);
        vsock_unlisten(9);
        for (uint32_t i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
            user[i].close_at_end = true;
            device_vsock_send(&rig_device, 100 + i, 7, VSOCK_RST, 0, NULL, 0);
            rig_settle();
            assert_int_equal(user[i].ended, 1);
        }
    }
    /* No memory for another. */
    struct rig_user first;
    rig_accept(&first, 1, 7);
    rig_end();
    assert_int_equal(first.ended, 1);
    vsock_close(first.connection, false);
    assert_int_equal(rig_start(NULL), 1);
    hosted_dma_fail_nth(1);
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, NULL, &more),
                     -ENOMEM);
    hosted_dma_fail_nth(2);
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, NULL, &more),
                     -ENOMEM);
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, 1, &rig_callbacks, &first, &first.connection), 0);
    rig_end();
    vsock_close(first.connection, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_accepted_and_closed),
        TEST(nobody_listens),
        TEST(a_listener_may_refuse),
        TEST(connecting),
        TEST(data_arrives),
        TEST(data_is_sent_within_the_credit),
        TEST(the_host_asks_for_credit),
        TEST(halves_are_closed_apart),
        TEST(a_close_is_bounded),
        TEST(connections_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
