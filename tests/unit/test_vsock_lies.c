// sources: vsock/vsock.c vsock/vsock_connection.c vsock/vsock_message.c vsock/vsock_packet.c vsock/virtio_vsock.c
// sources: tests/unit/vsock_rig.c hosted/device_vsock.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/violation.c hosted/ring_packed.c
/*
 * test_vsock_lies.c - the socket device driver (5.10): what it makes of features, CIDs, events and
 * resets, a transmit queue that stands still, and packets that are not true.
 */
#include "support.h"

#include "ring_variants.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"
#include "vsock/vsock_impl.h"
#include "vsock_rig.h"

static uint8_t data[70000];

static uint64_t counter(const char *name)
{
    char word[32];
    const char *at = hosted_log(), *last = NULL;

    vsock_print_report();
    snprintf(word, sizeof(word), " %s=", name);
    while ((at = strstr(at, word)) != NULL)
        last = at += strlen(word);
    assert_non_null(last);
    return strtoull(last, NULL, 10);
}

static int accept_nobody(void *arg, struct vsock_connection *connection)
{
    (void)arg;
    (void)connection;
    return -EAGAIN;
}

/* covers: VSOCK-FEAT-1 VSOCK-FEAT-2 VSOCK-FEAT-3 */
static void features(void **state)
{
    static const struct {
        unsigned offered, accepted;
    } sets[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {5, 5}, {7, 7}};

    (void)state;
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        struct device_vsock_setup setup = {.features = sets[i].offered, .cid = RIG_CID};
        struct rig_user user;

        assert_int_equal(rig_start(&setup), 1);
        assert_int_equal(virtio_devices()->accepted.word[0], sets[i].accepted);
        rig_accept(&user, 1, 2);
        vsock_close(user.connection, true);
        rig_end();
    }
    assert_int_equal(rig_start(&(struct device_vsock_setup){.features = 4, .cid = RIG_CID}), 0);
    assert_string_equal(virtio_devices()->refusal, "it has neither streams nor messages");
    rig_end();
    /* Messages without streams. */
    const struct vsock_address to = {2, 80};
    struct vsock_connection *none;
    assert_int_equal(rig_start(&(struct device_vsock_setup){.features = 6, .cid = RIG_CID}), 1);
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, 1, NULL, NULL, &none), -EPROTONOSUPPORT);
    rig_end();
}

/* covers: VSOCK-T-CID-1 */
static void cids(void **state)
{
    static const uint64_t bad[] = {0, 1, 2, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 32 | 42};
    uint32_t cid;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rig_start(&(struct device_vsock_setup){.features = 1, .cid = bad[i]}), 0);
        assert_string_equal(virtio_devices()->refusal, "its CID is not valid");
        rig_end();
    }
    assert_int_equal(rig_start(&(struct device_vsock_setup){.features = 1, .cid = 3}), 1);
    assert_true(vsock_own_cid(&cid));
    assert_int_equal(cid, 3);
    rig_end();
}

/* covers: VSOCK-EVT-1 VSOCK-EVT-2 VSOCK-EVT-3 VSOCK-EVT-4 VSOCK-RXTX-1 */
static void the_transport_is_reset(void **state)
{
    const struct vsock_address to = {2, 80};
    struct rig_user user, asking;
    uint32_t cid;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    assert_int_equal(vsock_listen(9, VSOCK_TYPE_STREAM, accept_nobody, NULL), 0);
    for (uint32_t i = 0; i < 20; i++) { /* as often as there are buffers, and again */
        rig_connect(&user, 80);
        memset(&asking, 0, sizeof(asking));
        assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, VSOCK_PORT_ANY, &rig_callbacks,
                                       &asking, &asking.connection),
                         0);
        rig_expect(VSOCK_REQUEST, vsock_own_port(asking.connection), 80);
        assert_true(device_vsock_transport_reset(&rig_device, 100 + i));
        rig_expect_nothing();
        assert_true(vsock_own_cid(&cid));
        assert_int_equal(cid, 100 + i);
        assert_int_equal(user.ended, 1);
        assert_int_equal(user.error, -ECONNRESET);
        assert_int_equal(asking.ended, 1);
        assert_true(vsock_deadline() == PLATFORM_NO_DEADLINE);
        assert_int_equal(vsock_send(user.connection, "x", 1), -ENOTCONN);
        vsock_close(user.connection, false);
        vsock_close(asking.connection, false);
        /* The listener hears what comes to the new CID. */
        device_vsock_send(&rig_device, 5, 9, VSOCK_REQUEST, 0, NULL, 0);
        rig_expect(VSOCK_RST, 9, 5);
    }
    assert_int_equal(counter("unknown"), 0);
    /* A CID that is none: nothing goes until the next event. */
    assert_true(device_vsock_transport_reset(&rig_device, 2));
    rig_settle();
    assert_false(vsock_own_cid(&cid));
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, 1, NULL, NULL, &user.connection),
                     -ENODEV);
    device_vsock_send(&rig_device, 5, 9, VSOCK_REQUEST, 0, NULL, 0);
    rig_expect_nothing();
    assert_true(device_vsock_transport_reset(&rig_device, 77));
    rig_settle();
    rig_connect(&user, 80);
    vsock_close(user.connection, true);
    /* Events that are none. */
    uint64_t bad = counter("bad");
    assert_true(device_vsock_event(&rig_device, 1, 4));
    rig_settle();
    assert_true(device_vsock_event(&rig_device, 0, 3));
    rig_settle();
    assert_int_equal(counter("bad"), bad + 2);
    vsock_unlisten(9);
    rig_end();
}

/* Packets that nothing here is meant by, and whether an RST is the answer. */
/* covers: VSOCK-RXTX-2 */
static void packets_that_are_not_true(void **state)
{
    static const struct wire_vsock_header good = {.src_cid = 2,
                                                  .dst_cid = RIG_CID,
                                                  .src_port = 5,
                                                  .dst_port = 6,
                                                  .type = VSOCK_STREAM,
                                                  .op = VSOCK_RW,
                                                  .buf_alloc = 1000};
    struct wire_vsock_header h;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    for (uint16_t type = 0; type < 6; type++) {
        h = good;
        h.type = type == 5 ? 0xffff : type;
        for (h.op = 0; h.op < 10; h.op++) {
            assert_true(device_vsock_send_raw(&rig_device, &h, "", 0, 44));
            rig_settle();
            const struct device_vsock_packet *packet = device_vsock_take(&rig_device);
            assert_int_equal(packet != NULL, h.op != VSOCK_RST);
            if (packet) {
                assert_int_equal(packet->header.op, VSOCK_RST);
                assert_int_equal(packet->header.type, h.type);
                assert_int_equal(packet->header.dst_port, 5);
            }
        }
    }
    uint64_t bad = counter("bad");
    for (uint32_t used = 0; used < 44; used++) {
        assert_true(device_vsock_send_raw(&rig_device, &good, "", 0, used));
        rig_expect_nothing();
    }
    h = good;
    h.dst_cid = RIG_CID + 1;
    assert_true(device_vsock_send_raw(&rig_device, &h, "", 0, 44));
    h.dst_cid = UINT64_C(1) << 32 | RIG_CID;
    assert_true(device_vsock_send_raw(&rig_device, &h, "", 0, 44));
    h = good;
    h.src_cid |= UINT64_C(1) << 63;
    assert_true(device_vsock_send_raw(&rig_device, &h, "", 0, 44));
    h = good;
    h.len = 9;
    assert_true(device_vsock_send_raw(&rig_device, &h, "12345678", 8, 52));
    h.len = UINT32_MAX;
    assert_true(device_vsock_send_raw(&rig_device, &h, "12345678", 8, 52));
    rig_expect_nothing();
    assert_int_equal(counter("bad"), bad + 44 + 5);
    rig_end();
}

/* Of a connection that stands: each of these ends it with an RST. */
static void a_connection_is_lied_to(void **state)
{
    static const struct {
        uint16_t op;
        uint32_t len, fwd_cnt;
    } lies[] = {{0, 0, 0}, {8, 0, 0},          {0xffff, 0, 0},    {VSOCK_REQUEST, 0, 0},
                {5, 1, 1}, {VSOCK_RW, 0, 101}, {6, 0, 0x7fffffff}};

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct rig_user user;
        uint32_t port = rig_connect(&user, 80);
        struct wire_vsock_header h = {.src_cid = 2,
                                      .dst_cid = RIG_CID,
                                      .src_port = 80,
                                      .dst_port = port,
                                      .len = lies[i].len,
                                      .type = VSOCK_STREAM,
                                      .op = lies[i].op,
                                      .buf_alloc = 1000,
                                      .fwd_cnt = lies[i].fwd_cnt};

        if (lies[i].fwd_cnt == 101) {
            assert_int_equal(vsock_send(user.connection, data, 100), 100);
            rig_expect(VSOCK_RW, port, 80);
        }
        uint64_t bad = counter("bad");
        assert_true(device_vsock_send_raw(&rig_device, &h, "", 0, 44 + lies[i].len));
        rig_expect(VSOCK_RST, port, 80);
        assert_int_equal(counter("bad"), bad + 1);
        assert_int_equal(user.ended, 1);
        assert_int_equal(user.error, -ECONNRESET);
        vsock_close(user.connection, false);
        rig_expect_nothing();
    }
    rig_end();
}

/* More than was allowed, after the end of it, and answers to what was not asked. */
static void data_that_is_too_much(void **state)
{
    struct rig_user user;
    uint32_t port, given = 0;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    port = rig_connect(&user, 80);
    for (; given < VSOCK_BUFFER_SIZE; given += 4000 < VSOCK_BUFFER_SIZE - given ? 4000 : 1536) {
        uint32_t n = VSOCK_BUFFER_SIZE - given < 4000 ? VSOCK_BUFFER_SIZE - given : 4000;
        assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, data, n));
        rig_settle();
    }
    assert_int_equal(vsock_readable(user.connection), VSOCK_BUFFER_SIZE);
    rig_expect_nothing();
    assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, data, 1));
    rig_expect(VSOCK_RST, port, 80);
    assert_int_equal(user.error, -ECONNRESET);
    /* What was allowed can be read all the same. */
    assert_int_equal(vsock_read(user.connection, data, sizeof(data)), VSOCK_BUFFER_SIZE);
    vsock_close(user.connection, false);

    port = rig_connect(&user, 80);
    device_vsock_send(&rig_device, 80, port, VSOCK_SHUTDOWN, 2, NULL, 0);
    device_vsock_send(&rig_device, 80, port, VSOCK_RESPONSE, 0, NULL, 0);
    device_vsock_send(&rig_device, 80, port, VSOCK_SHUTDOWN, 0xfffffffc, NULL, 0);
    rig_expect_nothing();
    device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "after all", 9);
    rig_expect(VSOCK_RST, port, 80);
    vsock_close(user.connection, false);

    /* Before the answer to a request, only the answer makes sense. */
    const struct vsock_address to = {2, 80};
    memset(&user, 0, sizeof(user));
    assert_int_equal(
        vsock_connect(&to, VSOCK_TYPE_STREAM, 99, &rig_callbacks, &user, &user.connection), 0);
    rig_expect(VSOCK_REQUEST, 99, 80);
    device_vsock_send(&rig_device, 80, 99, VSOCK_RW, 0, "early", 5);
    rig_expect(VSOCK_RST, 99, 80);
    assert_int_equal(user.ended, 1);
    vsock_close(user.connection, false);
    rig_end();
}

/* A buffer that shrinks under what is in it, old news of it, and none at all. */
/* covers: VSOCK-CREDIT-1 VSOCK-T-CREDIT-1 */
static void the_hosts_buffer_changes(void **state)
{
    struct rig_user user;
    struct device_vsock_flow *flow;

    (void)state;
    assert_int_equal(rig_start(NULL), 1);
    rig_device.buffer = 0;
    uint32_t port = rig_connect(&user, 80);
    flow = device_vsock_flow(&rig_device, 80, port);
    assert_int_equal(vsock_send(user.connection, data, 100), 0);
    rig_expect(VSOCK_CREDIT_REQUEST, port, 80);
    assert_int_equal(vsock_send(user.connection, data, 100), 0);
    rig_expect_nothing(); /* it was asked once */
    flow->buf_alloc = 5000;
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_settle();
    assert_int_equal(user.writable, 1);
    assert_int_equal(vsock_send(user.connection, data, 3000), 3000);
    assert_int_equal(rig_expect(VSOCK_RW, port, 80)->header.len, 3000);
    flow->buf_alloc = 1000;
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_settle();
    assert_false(vsock_can_send(user.connection));
    assert_int_equal(vsock_send(user.connection, data, 1), 0);
    rig_expect(VSOCK_CREDIT_REQUEST, port, 80);
    device_vsock_forward(&rig_device, 80, port, 2500);
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_settle();
    assert_int_equal(vsock_send(user.connection, data, 3000), 500);
    assert_int_equal(rig_expect(VSOCK_RW, port, 80)->header.len, 500);
    rig_expect(VSOCK_CREDIT_REQUEST, port, 80);
    device_vsock_forward(&rig_device, 80, port, 0u - 1000u); /* a count from before */
    device_vsock_send(&rig_device, 80, port, VSOCK_CREDIT_UPDATE, 0, NULL, 0);
    rig_expect_nothing();
    assert_int_equal(user.ended, 0);
    assert_false(vsock_can_send(user.connection));
    vsock_close(user.connection, true);
    rig_end();
}

/*
 * The transmit queue stands still: what comes is received all the same, until the row of answers is
 * full; then that waits, and nothing spins or is lost.
 */
/* covers: VSOCK-FLOW-1 */
static void transmission_stands_still(void **state)
{
    struct rig_user user;
    unsigned answers = 0, packets = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig_ring = i ? ring_variants[4 * i - 1] : 0;
        assert_int_equal(rig_start(&(struct device_vsock_setup){
                             .features = 1, .cid = RIG_CID, .queue_size = i == 1 ? 4 : 64}),
                         1);
        uint32_t port = rig_connect(&user, 80);
        rig_device.hold = true;
        unsigned sent = 0;
        ssize_t n;
        do {
            n = vsock_send(user.connection, data, 100);
            rig_settle();
            sent += n == 100;
        } while (n > 0);
        assert_int_equal(sent, i == 1 ? 3 : 24); /* some are left for other things */
        for (unsigned k = 0; k < 10; k++) {
            assert_true(device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "still here", 10));
            rig_settle();
        }
        assert_int_equal(vsock_readable(user.connection), 100);
        assert_int_equal(vsock_read(user.connection, data, 100), 100);
        while (device_vsock_send(&rig_device, 5, 6, VSOCK_RW, 0, "x", 1)) {
            rig_settle();
            answers++;
        }
        assert_true(answers >= 32);
        rig_device.hold = false;
        device_run(&rig_device.device);
        rig_device.device.queue[1].kicked = true; /* it looks by itself */
        rig_settle();
        while (device_vsock_take(&rig_device))
            packets++;
        assert_int_equal(packets, sent + answers);
        assert_int_equal(user.writable, 1);
        assert_true(vsock_can_send(user.connection));
        vsock_close(user.connection, true);
        rig_end();
        hosted_dma_use_iommu(false);
        packets = answers = 0;
    }
    rig_ring = 0;
}

/* A reset of the device ends all connections; it and its listeners go on. */
static void the_device_is_recovered(void **state)
{
    struct rig_user user;

    (void)state;
    for (unsigned i = 0; i < RING_VARIANTS; i++) {
        rig_ring = ring_variants[i];
        assert_int_equal(rig_start(NULL), 1);
        uint32_t port = rig_connect(&user, 80);
        device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, "before", 6);
        rig_settle();
        assert_int_equal(vsock_send(user.connection, data, 5000), 5000);
        if (i % 2)
            device_need_reset(&rig_device.device);
        else
            virtqueue_break(virtio_devices()->queue[i / 2 % 3], "by the test");
        rig_settle();
        assert_int_equal(virtio_devices()->recoveries, 1);
        assert_int_equal(user.ended, 1);
        assert_int_equal(user.error, -ECONNRESET);
        assert_int_equal(vsock_read(user.connection, data, 100), 6);
        vsock_close(user.connection, false);
        rig_connect(&user, 80);
        assert_int_equal(device_vsock_buffers(&rig_device), 32);
        /* And one that does not come back. */
        rig_device.device.lies.reset_reads = DEVICE_FOR_EVER;
        device_need_reset(&rig_device.device);
        rig_settle();
        assert_int_equal(user.ended, 1);
        assert_int_equal(vsock_send(user.connection, "x", 1), -ENOTCONN);
        rig_end();
        vsock_close(user.connection, false);
        hosted_dma_use_iommu(false);
    }
    rig_ring = 0;
}

/* Out of memory at each place of the bring-up, and a device too many. */
static void bringing_up_fails(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        hosted_dma_fail_nth(nth);
        unsigned driven = rig_start(NULL);
        hosted_dma_fail_nth(0);
        rig_end();
        assert_int_equal(hosted_dma_allocations(), 0);
        if (driven)
            break;
        assert_true(nth < 100);
    }
    static struct device_vsock second;
    assert_int_equal(rig_start(NULL), 1);
    virtio_shutdown();
    device_vsock_init(&second, &(struct device_vsock_setup){.features = 1, .cid = 9});
    virtio_pci_scan();
    expect_log("there is a socket device already", 1);
    virtio_shutdown();
    device_vsock_finish(&second);
    rig_end();
}

/* One notification for a batch in either direction. */
static void batches(void **state)
{
    struct rig_user user;

    (void)state;
    rig_ring = RING_F(F_EVENT_IDX);
    assert_int_equal(rig_start(NULL), 1);
    rig_connect(&user, 80);
    const struct virtqueue_stats *rx = virtqueue_stats(virtio_devices()->queue[0]);
    const struct virtqueue_stats *tx = virtqueue_stats(virtio_devices()->queue[1]);
    uint64_t kicks = tx->notifications;
    assert_int_equal(vsock_send(user.connection, data, 60000), 60000);
    rig_settle();
    assert_int_equal(tx->notifications, kicks + 1);
    assert_true(tx->added >= 15);
    uint64_t interrupts = tx->interrupts;
    rig_settle();
    assert_int_equal(tx->interrupts, interrupts); /* nobody waits for room */
    kicks = rx->notifications;
    uint32_t port = vsock_own_port(user.connection);
    for (unsigned i = 0; i < 16; i++)
        device_vsock_send(&rig_device, 80, port, VSOCK_RW, 0, data, 4000);
    rig_settle();
    assert_int_equal(vsock_readable(user.connection), 64000);
    assert_true(rx->notifications <= kicks + 1);
    assert_true(rx->interrupts <= 4);
    vsock_close(user.connection, true);
    rig_end();
    rig_ring = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(features),
        TEST(cids),
        TEST(the_transport_is_reset),
        TEST(packets_that_are_not_true),
        TEST(a_connection_is_lied_to),
        TEST(data_that_is_too_much),
        TEST(the_hosts_buffer_changes),
        TEST(transmission_stands_still),
        TEST(the_device_is_recovered),
        TEST(bringing_up_fails),
        TEST(batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
