// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c
// sources: virtio/virtio_report.c virtio/virtio_watch.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c hosted/platform_linux.c
// sources: hosted/dma_arena.c hosted/registers.c hosted/violation.c hosted/vhost_user.c
// sources: hosted/vhost_user_session.c hosted/vhost_user_link.c tests/unit/vhost_backend.c
/*
 * test_vhost_user.c - the vhost-user front end against a back end that breaks the protocol, dies,
 * keeps silent, or comes back.
 *
 * Whatever it does must end in an error that names it and the message, within the time limit, and
 * with every buffer back exactly once. Real back ends are in tests/native.
 */
#include "support.h"

#include "hosted/vhost_user.h"
#include "loop.h"
#include "vhost_backend.h"
#include "virtio/spec.h"
#include "virtio/virtio.h"

/* Generous, since the other side is a thread that a busy machine may keep waiting; and what a lie
 * that is a silence costs. */
#define TIMEOUT_MS 20000u
#define SILENCE_MS 1000u
#define BUFFERS 8u
#define FEATURE(name) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)
#define ALL_PROTOCOL_FEATURES \
    (FEATURE(MQ) | FEATURE(REPLY_ACK) | FEATURE(BACKEND_REQ) | FEATURE(CONFIG) | FEATURE(STATUS))

/* ---- a driver with one queue ---- */

static unsigned reclaimed, changes;

static int test_probe(struct virtio_device *device)
{
    struct virtio_queue_request request = {.name = "queue", .index = 0, .max_segments = 1};

    return virtio_find_queues(device, &request, 1);
}

static int test_ready(struct virtio_device *device)
{
    (void)device;
    return 0;
}

static void test_reclaim(struct virtio_device *device)
{
    while (virtqueue_detach_unused(device->queue[0]))
        reclaimed++;
}

static void test_remove(struct virtio_device *device)
{
    (void)device;
}

static void test_changed(struct virtio_device *device)
{
    (void)device;
    changes++;
}

static const uint16_t types[] = {VIRTIO_ID_BLOCK, 0};
static const struct virtio_driver driver = {.name = "test-driver",
                                            .device_types = types,
                                            .probe = test_probe,
                                            .ready = test_ready,
                                            .reclaim = test_reclaim,
                                            .remove = test_remove,
                                            .config_changed = test_changed};
static const struct virtio_driver *const drivers[] = {&driver};

static struct vhost_backend backend;
static uint8_t *memory;

static struct virtio_device *begin(const struct vhost_backend *how)
{
    backend = *how;
    reclaimed = changes = 0;
    vhost_backend_start(&backend);
    hosted_clock_use_real();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    memory = platform_dma_alloc(BUFFERS * 64, 64);
    return vhost_user_open(&(struct vhost_user_setup){
        .path = backend.path,
        .type = VIRTIO_ID_BLOCK,
        .timeout_ms = how->lie == LIE_SILENCE || how->lie == LIE_HALF ? SILENCE_MS : TIMEOUT_MS});
}

static void end(void)
{
    virtio_shutdown();
    vhost_backend_finish(&backend);
    platform_dma_free(memory, BUFFERS * 64);
}

/* ---- lies ---- */

static void every_lie_is_an_error_with_a_name(void **state)
{
    static const struct {
        enum vhost_user_request at;
        enum lie lie;
        const char *said;
    } lies[] = {
        {VHOST_USER_GET_FEATURES, LIE_VERSION, "GET_FEATURES: the answer has another version"},
        {VHOST_USER_GET_FEATURES, LIE_NO_ANSWER_FLAG, "GET_FEATURES: the answer is no answer"},
        {VHOST_USER_GET_FEATURES, LIE_OTHER_REQUEST,
         "GET_FEATURES: the answer is one to another request"},
        {VHOST_USER_GET_FEATURES, LIE_SIZE, "GET_FEATURES: the answer has the wrong size"},
        {VHOST_USER_GET_FEATURES, LIE_HALF, "GET_FEATURES: the back end sent half of an answer"},
        {VHOST_USER_GET_FEATURES, LIE_SILENCE, "GET_FEATURES: the back end does not answer"},
        {VHOST_USER_GET_PROTOCOL_FEATURES, LIE_CLOSE,
         "GET_PROTOCOL_FEATURES: the back end closed the connection"},
        {VHOST_USER_GET_CONFIG, LIE_SIZE, "GET_CONFIG: the answer has the wrong size"},
        {VHOST_USER_GET_CONFIG, LIE_OTHER_PART, "GET_CONFIG: the answer is about another part"},
        {VHOST_USER_GET_STATUS, LIE_SIZE, "GET_STATUS: the answer has the wrong size"},
        {VHOST_USER_GET_STATUS, LIE_CLOSE, "GET_STATUS: the back end closed the connection"},
        {VHOST_USER_SET_MEM_TABLE, LIE_REFUSAL, "SET_MEM_TABLE: the back end refused it"},
        {VHOST_USER_SET_MEM_TABLE, LIE_SILENCE, "SET_MEM_TABLE: the back end does not answer"},
        {VHOST_USER_SET_VRING_ADDR, LIE_REFUSAL, "SET_VRING_ADDR: the back end refused it"},
        {VHOST_USER_SET_VRING_KICK, LIE_CLOSE,
         "SET_VRING_KICK: the back end closed the connection"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct virtio_device *device = begin(&(struct vhost_backend){
            .lie_at = lies[i].at, .lie = lies[i].lie, .protocol = ALL_PROTOCOL_FEATURES});

        assert_true(!device || !device->driver_ok);
        if (!hosted_log_count(lies[i].said))
            fail_msg("\"%s\" is not in the log:\n%s", lies[i].said, hosted_log());
        assert_true(hosted_log_count(backend.path) > 0);
        backend.lie = LIE_NONE;
        end();
    }
}

/* Numbers beyond all measure are cut, and memory that cannot be is done without. */
static void nonsense_is_not_believed(void **state)
{
    struct virtio_device *device = begin(&(struct vhost_backend){
        .lie = LIE_NONSENSE, .protocol = ALL_PROTOCOL_FEATURES | FEATURE(INFLIGHT_SHMFD)});

    (void)state;
    assert_non_null(device);
    assert_true(device->driver_ok);
    expect_log("the memory offered makes no sense", 1);
    assert_int_equal(backend.inflight_set, 0);
    assert_true(virtio_has_queue(device, 0));
    assert_false(virtio_has_queue(device, 1));
    end();
}

/* ---- lost connections ---- */

static void add_buffers(struct virtqueue *vq)
{
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_int_equal(
            virtqueue_add(vq, &(struct virtqueue_sg){memory + i * 64, 64}, 1, 0, memory + i * 64),
            0);
    virtqueue_kick(vq);
    virtqueue_enable_cb(vq);
}

/* The event loop, for a limited time. */
static void run_until(bool (*done)(struct virtio_device *device), struct virtio_device *device)
{
    uint64_t limit = platform_now_ns() + TIMEOUT_MS * UINT64_C(1000000);

    while (!done(device)) {
        if (platform_now_ns() > limit)
            fail_msg("it did not happen; log:\n%s", hosted_log());
        if (loop_turn() == 0)
            platform_wait(platform_now_ns() + 5000000);
    }
}

static bool was_notified(struct virtio_device *device)
{
    (void)device;
    return backend.kicks > 0;
}

static bool came_back(struct virtio_device *device)
{
    return vhost_user_connections(device) == 2;
}

static unsigned got;
static unsigned times[BUFFERS];

static bool all_used(struct virtio_device *device)
{
    uint8_t *token;

    while ((token = virtqueue_get_buf(device->queue[0], NULL))) {
        times[(token - memory) / 64]++;
        got++;
    }
    return got >= BUFFERS;
}

static void a_back_end_that_keeps_track_is_resumed(void **state)
{
    struct virtio_device *device =
        begin(&(struct vhost_backend){.protocol = ALL_PROTOCOL_FEATURES | FEATURE(INFLIGHT_SHMFD)});

    (void)state;
    assert_non_null(device);
    assert_true(device->driver_ok);
    assert_int_equal(backend.inflight_set, 1);
    add_buffers(device->queue[0]);
    run_until(was_notified, device);
    backend.use_buffers = true;
    vhost_backend_drop(&backend);
    run_until(came_back, device);
    assert_int_equal(backend.inflight_set, 2);
    got = 0;
    memset(times, 0, sizeof(times));
    run_until(all_used, device);
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_int_equal(times[i], 1);
    assert_int_equal(device->recoveries, 0);
    assert_int_equal(reclaimed, 0);
    end();
}

static void any_other_is_reset(void **state)
{
    struct virtio_device *device =
        begin(&(struct vhost_backend){.protocol = ALL_PROTOCOL_FEATURES});

    (void)state;
    assert_non_null(device);
    add_buffers(device->queue[0]);
    run_until(was_notified, device);
    vhost_backend_drop(&backend);
    run_until(came_back, device);
    assert_int_equal(reclaimed, BUFFERS);
    assert_int_equal(device->recoveries, 1);
    assert_true(device->driver_ok);
    end();
}

/* Whatever it does when it is told to stop, a new connection is a new start. */
static void a_back_end_that_will_not_stop(void **state)
{
    static const struct {
        enum lie lie;
        const char *said;
    } lies[] = {
        {LIE_CLOSE, "GET_VRING_BASE: the back end closed the connection"},
        {LIE_SIZE, "GET_VRING_BASE: the answer has the wrong size"},
        {LIE_SILENCE, "GET_VRING_BASE: the back end does not answer"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct virtio_device *device =
            begin(&(struct vhost_backend){.lie_at = VHOST_USER_GET_VRING_BASE,
                                          .lie = lies[i].lie,
                                          .protocol = ALL_PROTOCOL_FEATURES});

        assert_non_null(device);
        add_buffers(device->queue[0]);
        assert_int_equal(virtio_recover(device, "test"), 0);
        expect_log(lies[i].said, 1);
        assert_int_equal(vhost_user_connections(device), 2);
        assert_int_equal(reclaimed, BUFFERS);
        backend.lie = LIE_NONE;
        end();
    }
}

static bool is_broken(struct virtio_device *device)
{
    virtqueue_get_buf(device->queue[0], NULL);
    return virtqueue_is_broken(device->queue[0]);
}

static void buffers_that_nobody_gave(void **state)
{
    struct virtio_device *device = begin(&(struct vhost_backend){
        .protocol = ALL_PROTOCOL_FEATURES, .use_buffers = true, .invent_buffers = true});

    (void)state;
    assert_non_null(device);
    add_buffers(device->queue[0]);
    run_until(is_broken, device);
    backend.invent_buffers = false;
    assert_int_equal(virtio_mend(device, "test"), 0);
    assert_int_equal(reclaimed, BUFFERS);
    got = 0;
    add_buffers(device->queue[0]);
    run_until(all_used, device);
    end();
}

/* Where only answers are expected. Who does that is not understood any more. */
static void an_answer_that_nobody_asked_for(void **state)
{
    struct virtio_device *device =
        begin(&(struct vhost_backend){.protocol = ALL_PROTOCOL_FEATURES});

    (void)state;
    assert_non_null(device);
    add_buffers(device->queue[0]);
    run_until(was_notified, device);
    assert_int_equal(vhost_backend_speak(&backend, false, VHOST_USER_GET_FEATURES,
                                         VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, 8),
                     0);
    run_until(came_back, device);
    assert_int_equal(reclaimed, BUFFERS);
    assert_true(device->driver_ok);
    end();
}

/* ---- the back end's own channel ---- */

static bool said_it(struct virtio_device *device)
{
    (void)device;
    return hosted_log_count("of the back end") > 0;
}

/* Its device goes on. */
static void malformed_requests_of_the_back_end(void **state)
{
    static const struct {
        uint32_t request, flags, size;
        const char *said;
    } requests[] = {
        {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0x7fffffff, "a malformed"},
        {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 8, "a malformed"},
        {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 2, 0, "a malformed"},
        {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, 0,
         "a malformed"},
        {99, VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY, 0, "request 99"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct virtio_device *device =
            begin(&(struct vhost_backend){.protocol = ALL_PROTOCOL_FEATURES, .use_buffers = true});

        assert_non_null(device);
        assert_int_equal(vhost_backend_speak(&backend, true, requests[i].request, requests[i].flags,
                                             requests[i].size),
                         0);
        run_until(said_it, device);
        assert_int_equal(hosted_log_count(requests[i].said), 1);
        got = 0;
        add_buffers(device->queue[0]);
        run_until(all_used, device);
        assert_int_equal(device->recoveries, 0);
        end();
        hosted_reset();
    }
}

/* ---- configuration ---- */

static bool noticed(struct virtio_device *device)
{
    (void)device;
    return changes > 0;
}

static void changed_configuration_is_read_again(void **state)
{
    struct virtio_device *device =
        begin(&(struct vhost_backend){.protocol = ALL_PROTOCOL_FEATURES, .config = {1, 2, 3}});
    uint8_t value = 0;

    (void)state;
    assert_non_null(device);
    assert_int_equal(virtio_config_read(device, 2, &value, 1, 1), 0);
    assert_int_equal(value, 3);
    backend.config[2] = 7;
    assert_int_equal(vhost_backend_change_config(&backend), 0);
    run_until(noticed, device);
    assert_int_equal(virtio_config_read(device, 2, &value, 1, 1), 0);
    assert_int_equal(value, 7);
    assert_int_equal(virtio_config_read(device, 60, &value, 1, 1), -ERANGE);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_lie_is_an_error_with_a_name),
        TEST(nonsense_is_not_believed),
        TEST(a_back_end_that_keeps_track_is_resumed),
        TEST(any_other_is_reset),
        TEST(changed_configuration_is_read_again),
        TEST(a_back_end_that_will_not_stop),
        TEST(buffers_that_nobody_gave),
        TEST(an_answer_that_nobody_asked_for),
        TEST(malformed_requests_of_the_back_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
