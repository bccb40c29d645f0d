// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c virtio/virtio.c
// sources: virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c hosted/vhost_user.c hosted/vhost_user_session.c
// sources: hosted/vhost_user_link.c tests/native/backend.c tests/native/net_port.c
/*
 * test_vhost_net.c - the network driver, as a Linux process, on DPDK's vhost back end.
 *
 * testpmd gets every frame from the rings that the driver filled and sends it back through them.
 * Split and packed, with and without merged buffers, event indices and order. Nothing may get lost,
 * since there are more receive buffers than frames under way.
 */
#include "support.h"

#include <unistd.h>

#include "backend.h"
#include "hosted/vhost_user.h"
#include "net/virtio_net.h"
#include "net_port.h"
#include "virtio/spec_net.h"

#define FRAMES 5000u
#define UNDER_WAY 64u

static const struct virtio_driver *const drivers[] = {&virtio_net_driver};
static struct backend testpmd;
static struct virtio_device *device;

static void start_testpmd(void)
{
    char vdev[128], prefix[64];
    /* --stats-period keeps it from ending at the end of its standard input. */
    const char *argv[] = {"nice",
                          "dpdk-testpmd",
                          "--no-huge",
                          "-m",
                          "256",
                          "--no-pci",
                          "--no-telemetry",
                          "--file-prefix",
                          prefix,
                          "--log-level=lib.*:4",
                          "--lcores",
                          "0@(0-1),1@(0-1)",
                          "--vdev",
                          vdev,
                          "--",
                          "--forward-mode=io",
                          "--port-topology=loop",
                          "--auto-start",
                          "--nb-cores=1",
                          "--total-num-mbufs=8192",
                          "--stats-period=60",
                          NULL};

    snprintf(vdev, sizeof(vdev), "net_vhost0,iface=%s,queues=1", testpmd.socket);
    snprintf(prefix, sizeof(prefix), "ferrule-%d", (int)getpid());
    backend_start(&testpmd, argv, NULL);
}

static void withhold(struct virtio_features *set, bool wanted, unsigned bit)
{
    if (!wanted)
        virtio_features_add(set, bit);
}

struct variant {
    bool packed, in_order, merged, event_idx;
};

static void begin(const struct variant *variant)
{
    struct vhost_user_setup setup = {
        .path = testpmd.socket, .type = VIRTIO_ID_NET, .timeout_ms = BACKEND_TIMEOUT_MS};

    if (!testpmd.pid) {
        backend_init(&testpmd);
        start_testpmd();
    }
    hosted_clock_use_real();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    withhold(&setup.withheld, variant->packed, VIRTIO_F_RING_PACKED);
    withhold(&setup.withheld, variant->in_order, VIRTIO_F_IN_ORDER);
    withhold(&setup.withheld, variant->merged, VIRTIO_NET_F_MRG_RXBUF);
    withhold(&setup.withheld, variant->event_idx, VIRTIO_F_EVENT_IDX);
    device = vhost_user_open(&setup);
    if (!device || !net_port_open())
        fail_msg("no NIC; log:\n%s", hosted_log());
    assert_int_equal(virtio_features_has(&device->accepted, VIRTIO_F_RING_PACKED), variant->packed);
    assert_int_equal(virtio_features_has(&device->accepted, VIRTIO_F_IN_ORDER), variant->in_order);
}

static void end(void)
{
    virtio_shutdown();
    assert_true(net_port_close());
}

static bool all_back(void *arg)
{
    (void)arg;
    return net_port_outstanding() == 0;
}

static bool traffic(void *arg)
{
    uint64_t goal = *(uint64_t *)arg;
    uint64_t room = UNDER_WAY - net_port_outstanding();

    if (net_port_counts()->submitted + room > goal)
        room = goal - net_port_counts()->submitted;
    net_port_send((unsigned)room, 0);
    net_port_kick();
    return net_port_counts()->submitted == goal;
}

static void send_and_expect(unsigned frames)
{
    uint64_t goal = net_port_counts()->submitted + frames;

    if (!backend_wait(traffic, &goal) || !backend_wait(all_back, NULL))
        fail_msg("%llu of %llu frames came back, %llu wrong; log:\n%s",
                 (unsigned long long)net_port_counts()->received,
                 (unsigned long long)net_port_counts()->submitted,
                 (unsigned long long)net_port_counts()->wrong, hosted_log());
    assert_int_equal(net_port_counts()->wrong, 0);
}

static void frames_come_back(const struct variant *variant)
{
    begin(variant);
    send_and_expect(FRAMES);
    assert_int_equal(net_port_counts()->received, FRAMES);
    assert_false(virtqueue_is_broken(device->queue[0]));
    assert_false(virtqueue_is_broken(device->queue[1]));
    end();
}

static void split_rings(void **state)
{
    (void)state;
    frames_come_back(&(struct variant){.event_idx = true});
}

static void split_rings_merged_in_order(void **state)
{
    (void)state;
    frames_come_back(&(struct variant){.merged = true, .in_order = true});
}

static void packed_rings(void **state)
{
    (void)state;
    frames_come_back(&(struct variant){.packed = true, .event_idx = true});
}

static void packed_rings_merged_in_order(void **state)
{
    (void)state;
    frames_come_back(&(struct variant){.packed = true, .merged = true, .in_order = true});
}

static bool is_running_again(void *arg)
{
    (void)arg;
    return device->driver_ok && vhost_user_connections(device) > 1;
}

/* Frames under way may be lost with the back end; buffers may not, and later frames go through. */
static void killed_back_end_comes_back(void **state)
{
    static const struct variant packed = {.packed = true, .merged = true};

    (void)state;
    begin(&packed);
    send_and_expect(FRAMES / 4);
    net_port_send(UNDER_WAY, 0);
    backend_kill(&testpmd);
    start_testpmd();
    net_port_poll();
    if (!backend_wait(is_running_again, NULL))
        fail_msg("it did not come back; log:\n%s", hosted_log());
    net_port_forget();
    assert_int_equal(net_port_counts()->sent, net_port_counts()->submitted);
    send_and_expect(FRAMES / 4);
    end();
}

/* testpmd takes its time to start, so one serves all tests while they succeed. */
static int finish(void **state)
{
    (void)state;
    backend_finish_all();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(split_rings),
        TEST(split_rings_merged_in_order),
        TEST(packed_rings),
        TEST(packed_rings_merged_in_order),
        TEST(killed_back_end_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, finish);
}
