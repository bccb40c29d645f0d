// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c tests/unit/nic_user.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_net.c hosted/device_net_control.c hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_watch.c - devices that stall: what is noticed of it, how fast, how often something is
 * done about it, and what is not taken for it.
 *
 * The network device stands for all. Time is simulated; the loop runs as in the kernel. Read
 * virtio/virtio_watch.c first.
 */
#include "nic_user.h"

#include "loop.h"

#define SECOND UINT64_C(1000000000)

static uint64_t end_ns; /* of the time that passes */

static unsigned poll_nic(void *arg, unsigned budget)
{
    (void)arg;
    return nic_poll(nic, budget);
}

static bool arm_nic(void *arg)
{
    (void)arg;
    nic_kick(nic);
    return nic_arm(nic);
}

static uint64_t end_of_time(void *arg)
{
    (void)arg;
    return end_ns;
}

static struct loop_source source = {
    .name = "user", .poll = poll_nic, .arm = arm_nic, .deadline = end_of_time};

static void start(uint64_t features)
{
    make_nic(features);
    provide(BUFFERS);
    loop_add(&source);
}

static void finish(void)
{
    loop_remove(&source);
    end();
}

/* So much time in the event loop; it sleeps while there is nothing to do. */
static void pass(unsigned seconds)
{
    end_ns = platform_now_ns() + seconds * SECOND;
    while (platform_now_ns() < end_ns)
        loop_step();
    loop_turn();
}

/* A frame each second. */
static void send_for(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        transmit(100, 1, NULL, 1); /* also refused for lack of room */
        pass(1);
    }
}

/* A frame each second that had to be sent again. */
static void send_again_for(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        nic->unanswered++;
        send_for(1);
    }
}

static unsigned recoveries(void)
{
    return virtio_devices()->recoveries;
}

static void a_device_that_sends_nothing_is_reset(void **state)
{
    (void)state;
    start(USUAL);
    model.device.lies.mute = true;
    assert_int_equal(transmit(100, 1, NULL, 1), 0);
    pass(4);
    assert_int_equal(recoveries(), 0);
    pass(3);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(user.sent, 1);
    assert_int_equal(user.restarted, 1);
    assert_int_equal(hosted_log_count("no buffer was used for 5 s, 1 are under way"), 1);
    model.device.lies.mute = false;
    assert_int_equal(transmit(100, 1, NULL, 2), 0);
    pass(2);
    assert_int_equal(user.sent, 2);
    assert_int_equal(receive(100, NULL), 1);
    finish();
}

/* One that takes the notification and the frames, but never makes them used. */
static void a_device_that_keeps_frames_is_reset(void **state)
{
    (void)state;
    start(USUAL);
    model.hold_tx = true;
    send_for(4);
    assert_int_equal(model.held_count, 4);
    pass(5);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(user.sent, 4);
    model.hold_tx = false;
    send_for(1);
    assert_int_equal(user.sent, 5);
    finish();
}

/* Stopped for long: it is not reset every few seconds, and not given up. */
static void resets_become_rare(void **state)
{
    (void)state;
    start(USUAL);
    model.device.lies.mute = true;
    send_for(640);
    assert_in_range(recoveries(), 5, 7);
    assert_false(virtio_devices()->failed);
    model.device.lies.mute = false;
    send_for(2);
    assert_int_equal(user.in_flight[0], 0);
    /* The patience that was learnt stays for a minute of work. */
    model.device.lies.mute = true;
    send_for(30);
    assert_in_range(recoveries(), 5, 7);
    model.device.lies.mute = false;
    send_for(65);
    unsigned before = recoveries();
    model.device.lies.mute = true;
    send_for(7);
    assert_int_equal(recoveries(), before + 1);
    finish();
}

/* The clock of a machine that was paused goes on, its device does not. */
static void a_pause_is_no_stall(void **state)
{
    (void)state;
    start(USUAL);
    model.device.lies.mute = true;
    assert_int_equal(transmit(100, 1, NULL, 1), 0);
    pass(2);
    hosted_clock_advance(3600 * SECOND);
    pass(1);
    assert_int_equal(recoveries(), 0);
    model.device.lies.mute = false;
    pass(2);
    assert_int_equal(user.sent, 1);
    assert_int_equal(recoveries(), 0);
    finish();
}

static void without_a_link_nothing_stalls(void **state)
{
    uint16_t down = 0, up = 1;

    (void)state;
    start(USUAL);
    assert_int_equal(receive(100, NULL), 1);
    device_change_config(&model.device, NET_CONFIG_STATUS, &down, 2);
    pass(1);
    assert_false(nic->link_up);
    model.device.lies.mute = true;
    send_for(100);
    assert_int_equal(recoveries(), 0);
    device_change_config(&model.device, NET_CONFIG_STATUS, &up, 2);
    pass(7);
    assert_int_equal(recoveries(), 1);
    finish();
}

/* Looking costs an idle machine no wake-up. */
static void an_idle_machine_is_not_woken(void **state)
{
    uint64_t waits;

    (void)state;
    start(USUAL);
    assert_int_equal(transmit(100, 1, NULL, 1), 0);
    waits = hosted_wait_count();
    pass(10000);
    assert_in_range(hosted_wait_count() - waits, 1, 4);
    assert_int_equal(user.sent, 1);
    finish();
}

/* covers: CORE-STATUS-4 */
static void a_wish_for_a_reset_without_its_interrupt(void **state)
{
    (void)state;
    virtio_watch_idle(true);
    start(USUAL);
    model.device.status |= ST_NEEDS_RESET;
    send_for(4);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(hosted_log_count("DEVICE_NEEDS_RESET"), 1);
    /* With nothing under way it is noticed within a minute, by one that is woken for it. */
    pass(50);
    model.device.status |= ST_NEEDS_RESET;
    pass(61);
    assert_int_equal(recoveries(), 2);
    send_for(1);
    assert_int_equal(receive(100, NULL), 1);
    finish();
    virtio_watch_idle(false);
}

/* ---- the receive side ---- */

static void a_silent_receive_side_is_reset(void **state)
{
    (void)state;
    start(USUAL);
    assert_int_equal(receive(100, NULL), 1);
    send_for(2);
    send_again_for(5);
    send_for(20);
    assert_int_equal(recoveries(), 0);
    send_again_for(2);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(hosted_log_count("it hears nothing"), 1);
    assert_int_equal(lent(), BUFFERS);
    /* Twice as long for the second time, and as at first when something came. */
    send_again_for(10);
    assert_int_equal(recoveries(), 1);
    send_again_for(4);
    assert_int_equal(recoveries(), 2);
    assert_int_equal(receive(100, NULL), 1);
    send_again_for(8);
    assert_int_equal(recoveries(), 3);
    finish();
}

static void silence_that_is_no_death(void **state)
{
    (void)state;
    start(USUAL);
    /* Of a network where nobody ever was. */
    send_again_for(100);
    assert_int_equal(recoveries(), 0);
    assert_int_equal(receive(100, NULL), 1);
    /* While nothing is sent, or nothing that wants an answer. */
    pass(1000);
    send_for(1000);
    assert_int_equal(recoveries(), 0);
    /* Broken now and then. */
    for (unsigned i = 0; i < 5; i++) {
        send_again_for(5);
        assert_int_equal(receive(100, NULL), 1);
        provide(BUFFERS);
    }
    assert_int_equal(recoveries(), 0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_sends_nothing_is_reset),
        TEST(a_device_that_keeps_frames_is_reset),
        TEST(resets_become_rare),
        TEST(a_pause_is_no_stall),
        TEST(without_a_link_nothing_stalls),
        TEST(an_idle_machine_is_not_woken),
        TEST(a_wish_for_a_reset_without_its_interrupt),
        TEST(a_silent_receive_side_is_reset),
        TEST(silence_that_is_no_death),
    };
    int failed = run_over_other_rings(tests, sizeof(tests) / sizeof(tests[0]));

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
