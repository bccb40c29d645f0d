// sources: vsock/vsock.c vsock/vsock_connection.c vsock/vsock_message.c vsock/vsock_packet.c vsock/virtio_vsock.c
// sources: tests/unit/vsock_rig.c hosted/device_vsock.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/violation.c hosted/ring_packed.c
/*
 * test_vsock_messages.c - sequences of messages over the socket device (5.10.6.6): that they keep
 * their bounds, arrive and go as a whole, and what becomes of those that cannot.
 */
#include "support.h"

#include "vsock_rig.h"

static uint8_t out[VSOCK_BUFFER_SIZE], in[VSOCK_BUFFER_SIZE];

static int refuse(void *arg, struct vsock_connection *connection)
{
    (void)connection;
    *(unsigned *)arg += 1;
    return -ENOMEM;
}

static const struct device_vsock_setup messages = {
    .features = 1 << VSOCK_F_STREAM | 1 << VSOCK_F_SEQPACKET | 1 << VSOCK_F_NO_IMPLIED_STREAM,
    .cid = RIG_CID,
    .msix_vectors = 4};

/* A connection for messages from port 80 of the host, and the driver's port. */
static uint32_t connect_messages(struct rig_user *user)
{
    const struct vsock_address to = {2, 80};

    memset(user, 0, sizeof(*user));
    rig_device.type = VSOCK_SEQPACKET;
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_SEQPACKET, VSOCK_PORT_ANY, &rig_callbacks, user,
                                   &user->connection),
                     0);
    uint32_t port = vsock_own_port(user->connection);
    assert_int_equal(rig_expect(VSOCK_REQUEST, port, 80)->header.type, VSOCK_SEQPACKET);
    device_vsock_send(&rig_device, 80, port, VSOCK_RESPONSE, 0, NULL, 0);
    rig_settle();
    assert_int_equal(user->connected, 1);
    return port;
}

/* covers: VSOCK-T-SEQ-1 VSOCK-FEAT-1 */
static void messages_arrive_whole(void **state)
{
    static const uint32_t lengths[] = {1, 1, 64, 63, 4052, 4053, 20000, 1, 65536, 7};
    struct rig_user user;

    (void)state;
    assert_int_equal(rig_start(&messages), 1);
    rig_fill(out, sizeof(out), 9);
    uint32_t port = connect_messages(&user);
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 1, "x", 1);
    rig_settle();
    vsock_consume_message(user.connection);
    /* The host may wait for the whole buffer. */
    assert_int_equal(rig_expect(VSOCK_CREDIT_UPDATE, port, 80)->header.fwd_cnt, 1);
    for (unsigned round = 0; round < 50; round++) {
        uint32_t len = lengths[round % 10], sent = 0;
        bool record = round % 3 == 0;

        while (sent < len) { /* in packets of all sizes; the last ends it */
            uint32_t n = len - sent < 1 + 997 * (round + 1) ? len - sent : 1 + 997 * (round + 1);
            n = n < 4052 ? n : 4052;
            assert_int_equal(vsock_readable(user.connection), 0);
            assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW,
                                          sent + n < len ? 0
                                          : record       ? 3
                                                         : 1,
                                          out + sent, n));
            rig_settle();
            sent += n;
        }
        assert_int_equal(vsock_readable(user.connection), len);
        assert_int_equal(vsock_ends_record(user.connection), record);
        size_t piece, done = 0;
        const void *at;
        while (done < len && (at = vsock_peek(user.connection, done, &piece))) {
            memcpy(in + done, at, piece);
            done += piece;
        }
        assert_memory_equal(in, out, len);
        vsock_consume_message(user.connection);
        assert_int_equal(vsock_readable(user.connection), 0);
        vsock_consume_message(user.connection); /* there is none */
        rig_settle();
    }
    while (device_vsock_take(&rig_device))
        continue;
    /* As many as the buffer has bytes; an empty one is nothing, or the end of what was there. */
    for (uint32_t i = 0; i < VSOCK_BUFFER_SIZE; i++) {
        assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, i == 5 ? 0 : 1, out + i, 1));
        if (i == 5 || i == 6)
            assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, 1, NULL, 0));
        rig_settle();
    }
    for (uint32_t i = 0; i < VSOCK_BUFFER_SIZE; i++) {
        assert_int_equal(vsock_readable(user.connection), 1);
        assert_memory_equal(vsock_peek(user.connection, 0, &(size_t){0}), out + i, 1);
        vsock_consume_message(user.connection);
    }
    assert_int_equal(vsock_readable(user.connection), 0);
    assert_int_equal(user.ended, 0);
    vsock_close(user.connection, true);
    rig_end();
}

/* covers: VSOCK-T-SEQ-1 VSOCK-CREDIT-1 */
static void messages_are_sent_whole(void **state)
{
    struct rig_user user;
    struct iovec pieces[3] = {{out, 3}, {out + 3, 0}, {out + 3, 4997}};

    (void)state;
    rig_fill(out, sizeof(out), 1);
    assert_int_equal(rig_start(&messages), 1);
    rig_device.buffer = 6000;
    uint32_t port = connect_messages(&user);
    assert_int_equal(vsock_send_message(user.connection, pieces, 2, false), 0);
    const struct device_vsock_packet *packet = rig_expect(VSOCK_RW, port, 80);
    assert_int_equal(packet->header.flags, 1);
    assert_int_equal(packet->header.len, 3);
    assert_int_equal(vsock_send_message(user.connection, pieces, 3, true), 0);
    packet = rig_expect(VSOCK_RW, port, 80);
    assert_int_equal(packet->header.flags, 0);
    memcpy(in, packet->payload, packet->header.len);
    uint32_t first = packet->header.len;
    packet = rig_expect(VSOCK_RW, port, 80);
    assert_int_equal(packet->header.flags, 3);
    assert_int_equal(first + packet->header.len, 5000);
    memcpy(in + first, packet->payload, packet->header.len);
    assert_memory_equal(in, out, 5000);
    /* No room for all of it: nothing goes, and the user is told once there is. */
    assert_int_equal(vsock_send_message(user.connection, pieces, 3, false), -EAGAIN);
    rig_expect(VSOCK_CREDIT_REQUEST, port, 80);
    device_vsock_forward(&rig_device, 80, port, 4000);
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_settle();
    assert_int_equal(user.writable, 0);
    device_vsock_forward(&rig_device, 80, port, 3);
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_settle();
    assert_int_equal(user.writable, 1);
    assert_int_equal(vsock_send_message(user.connection, pieces, 3, false), 0);
    pieces[0].iov_len = 6001 - 4997;
    assert_int_equal(vsock_send_message(user.connection, pieces, 3, false), -EMSGSIZE);
    pieces[0].iov_len = 0;
    assert_int_equal(vsock_send_message(user.connection, pieces, 1, false), 0);
    vsock_close(user.connection, true);
    assert_int_equal(rig_expect(VSOCK_RW, port, 80)->header.flags, 0);
    assert_int_equal(rig_expect(VSOCK_RW, port, 80)->header.flags, 1);
    assert_int_equal(rig_expect(VSOCK_RST, port, 80)->header.type, VSOCK_SEQPACKET);
    rig_expect_nothing();
    rig_end();
}

/* covers: VSOCK-RXTX-2 VSOCK-T-SEQ-1 */
static void messages_that_cannot_be(void **state)
{
    struct rig_user user;
    unsigned asked = 0;

    (void)state;
    assert_int_equal(rig_start(&messages), 1);
    /* One that is larger than the buffer. */
    uint32_t port = connect_messages(&user);
    for (uint32_t given = 0; given < VSOCK_BUFFER_SIZE; given += 4096 / 2) {
        assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, out, 4096 / 2));
        rig_settle();
    }
    rig_expect(VSOCK_RST, port, 80);
    assert_int_equal(user.ended, 1);
    vsock_close(user.connection, false);
    /* The other type, for a connection and for a listener. */
    port = connect_messages(&user);
    rig_device.type = VSOCK_STREAM;
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_REQUEST, 0, NULL, 0);
    assert_int_equal(rig_expect(VSOCK_RST, port, 80)->header.type, VSOCK_STREAM);
    assert_int_equal(user.ended, 0);
    assert_int_equal(vsock_listen(7, VSOCK_TYPE_SEQPACKET, refuse, &asked), 0);
    device_vsock_send(&rig_device, 5, 7, VSOCK_REQUEST, 0, NULL, 0);
    rig_expect(VSOCK_RST, 7, 5);
    assert_int_equal(asked, 0);
    rig_device.type = VSOCK_SEQPACKET;
    device_vsock_send(&rig_device, 5, 7, VSOCK_REQUEST, 0, NULL, 0);
    rig_expect(VSOCK_RST, 7, 5);
    assert_int_equal(asked, 1);
    vsock_unlisten(7);
    /* Gone with the device, marks and all. */
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 1, "whole", 5);
    rig_settle();
    hosted_dma_fail_nth(1);
    struct vsock_connection *more;
    const struct vsock_address to = {2, 90};
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_SEQPACKET, 1, NULL, NULL, &more), -ENOMEM);
    hosted_dma_fail_nth(0);
    rig_end();
    assert_int_equal(vsock_readable(user.connection), 0);
    vsock_close(user.connection, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_arrive_whole),
        TEST(messages_are_sent_whole),
        TEST(messages_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
