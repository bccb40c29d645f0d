// sources: input/virtio_input.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtio_pci.c
// sources: virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c virtio/virtio_pci_legacy.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c boot/pci_caps.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/ring_device.c hosted/ring_split.c hosted/fake_pci.c
// sources: hosted/device.c hosted/device_setup.c hosted/violation.c hosted/ring_packed.c
/*
 * test_virtio_input.c - the input device driver (5.8) against a model device: what it asks, how it
 * keeps the queues, and a device that lies about sizes and lengths.
 *
 * The model answers only a select and a subsel written together, as 5.8.5.1 wants them. QEMU's own
 * devices are in tests/qemu/test_input.py.
 */
#include "support.h"

#include "hosted/device.h"
#include "input/input.h"
#include "input/virtio_input.h"
#include "loop.h"
#include "virtio/spec_devices.h"
#include "virtio/virtio_pci.h"

#define EVENT_QUEUE 0
#define STATUS_QUEUE 1
#define DATA_AT 8u

static const struct virtio_driver *const drivers[] = {&virtio_input_driver};
static struct device model;
static struct {
    bool select, subsel; /* written since the last answer */
    unsigned answers;
    const char *name;
    int size_lie; /* what `size` says, -1: the truth */
    bool hold;    /* states are not taken */
    struct virtio_input_event state;
    unsigned states;
} keyboard;

static struct {
    unsigned events, left;
    struct input_event last;
} seen;

/* ---- the device ---- */

static void show(const void *data, unsigned size)
{
    memset(model.config + 2, 0, sizeof(model.config) - 2);
    memcpy(model.config + DATA_AT, data, size);
    model.config[2] = (uint8_t)(keyboard.size_lie < 0 ? size : (unsigned)keyboard.size_lie);
}

static void answer_query(void)
{
    static const uint8_t keys[5] = {0, 0, 0, 0x40, 0x80}; /* 30 and 39 */
    static const uint8_t lights[1] = {2};
    static const uint16_t ids[4] = {6, 0x1234, 7, 8};
    static const uint32_t axis[5] = {0xffffff00, 1000, 2, 3, 4};
    uint8_t select = model.config[0], subsel = model.config[1];

    keyboard.answers++;
    if (select == VIRTIO_INPUT_CFG_ID_NAME && !subsel)
        show(keyboard.name, (unsigned)strlen(keyboard.name));
    else if (select == VIRTIO_INPUT_CFG_ID_DEVIDS && !subsel)
        show(ids, sizeof(ids));
    else if (select == VIRTIO_INPUT_CFG_PROP_BITS && !subsel)
        show("\x20", 1);
    else if (select == VIRTIO_INPUT_CFG_EV_BITS && subsel == INPUT_KEY)
        show(keys, sizeof(keys));
    else if (select == VIRTIO_INPUT_CFG_EV_BITS && subsel == INPUT_LED)
        show(lights, sizeof(lights));
    else if (select == VIRTIO_INPUT_CFG_ABS_INFO && subsel == 1)
        show(axis, sizeof(axis));
    else
        show("", 0);
}

static void config_written(struct device *device, unsigned offset)
{
    if (offset > 1) {
        violation("INPUT-INIT-2", "offset %u of the configuration was written", offset);
        return;
    }
    keyboard.select |= offset == 0;
    keyboard.subsel |= offset == 1;
    if (keyboard.select && keyboard.subsel) {
        keyboard.select = keyboard.subsel = false;
        answer_query();
    } else {
        memset(device->config + 2, 0xee, sizeof(device->config) - 2); /* half a question */
    }
}

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    if (queue == EVENT_QUEUE || keyboard.hold)
        return;
    while ((chain = ring_device_pop(ring))) {
        if (chain->in || chain->readable < sizeof(keyboard.state))
            violation("INPUT-OP-4", "a state of %u readable bytes", chain->readable);
        ring_chain_read(chain, 0, &keyboard.state, sizeof(keyboard.state));
        keyboard.states++;
        ring_device_push(ring, chain, 0);
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static const struct device_field fields[] = {{0, 1, 128, DEVICE_NO_FEATURE}};
static const struct device_type type = {.name = "input",
                                        .id = VIRTIO_ID_INPUT,
                                        .field = fields,
                                        .fields = 1,
                                        .serve = serve,
                                        .config_written = config_written};

/* False: the driver has left no buffer for it. */
static bool send_event(uint16_t event_type, uint16_t code, uint32_t value, uint32_t len)
{
    struct ring_device *ring = &model.queue[EVENT_QUEUE].ring;
    struct virtio_input_event event = {event_type, code, value};
    struct ring_chain *chain = ring_device_pop(ring);

    if (!chain)
        return false;
    if (chain->out)
        violation("INPUT-OP-2", "an event buffer has %u readable bytes", chain->readable);
    if (chain->writable < sizeof(event))
        violation("INPUT-OP-3", "an event buffer has %u bytes", chain->writable);
    ring_chain_write(chain, 0, &event, len < sizeof(event) ? len : sizeof(event));
    ring_device_push(ring, chain, len);
    device_signal(&model, EVENT_QUEUE);
    return true;
}

/* ---- what every test begins and ends with ---- */

static void listener(void *arg, struct input_device *device, const struct input_event *event)
{
    assert_ptr_equal(arg, &seen);
    assert_non_null(device);
    if (!event) {
        seen.left++;
        return;
    }
    seen.events++;
    seen.last = *event;
}

static unsigned start(uint64_t features, uint16_t queue_size)
{
    static const uint8_t config[DEVICE_CONFIG_SIZE];

    memset(&seen, 0, sizeof(seen));
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_init(&model, &(struct device_setup){.type = &type,
                                               .features = features,
                                               .queues = 2,
                                               .queue_size = queue_size,
                                               .msix_vectors = 3,
                                               .config = config,
                                               .config_length = DEVICE_CONFIG_SIZE});
    input_listen(listener, &seen);
    return virtio_pci_scan();
}

static void honest(void)
{
    memset(&keyboard, 0, sizeof(keyboard));
    keyboard.name = "A keyboard";
    keyboard.size_lie = -1;
}

static void settle(void)
{
    do {
        device_run(&model);
        hosted_interrupts_deliver();
    } while (loop_turn());
}

static void end(void)
{
    virtio_shutdown();
    input_listen(NULL, NULL);
    assert_null(input_at(0));
    device_finish(&model);
    fake_pci_reset();
}

/* ---- tests ---- */

/* covers: INPUT-INIT-1 INPUT-INIT-2 INPUT-INIT-3 */
static void the_device_is_asked_what_it_is(void **state)
{
    uint8_t bits[INPUT_BITS_SIZE];
    struct input_range range;

    (void)state;
    honest();
    assert_int_equal(start(0, 64), 1);
    struct input_device *device = input_at(0);
    assert_non_null(device);
    assert_null(input_at(1));
    assert_string_equal(device->name, "A keyboard");
    assert_string_equal(device->serial, "");
    assert_int_equal(device->vendor, 0x1234);
    assert_int_equal(device->version, 8);
    assert_true(input_can(device, INPUT_KEY, 30));
    assert_true(input_can(device, INPUT_KEY, 39));
    assert_false(input_can(device, INPUT_KEY, 31));
    assert_false(input_can(device, INPUT_KEY, 40));
    assert_false(input_can(device, INPUT_KEY, 60000));
    assert_false(input_can(device, INPUT_REL, 0));
    assert_int_equal(input_read_codes(device, INPUT_KEY, bits), 5);
    assert_int_equal(bits[3], 0x40);
    assert_int_equal(bits[INPUT_BITS_SIZE - 1], 0);
    assert_int_equal(input_read_codes(device, 300, bits), -EINVAL);
    assert_int_equal(input_read_properties(device, bits), 1);
    assert_int_equal(bits[0], 0x20);
    assert_int_equal(input_read_range(device, 1, &range), 0);
    assert_int_equal(range.min, -256);
    assert_int_equal(range.max, 1000);
    assert_int_equal(range.resolution, 4);
    assert_int_equal(input_read_range(device, 0, &range), -ENOENT);
    assert_int_equal(input_read_range(device, 300, &range), -ENOENT);
    end();
}

/* covers: INPUT-INIT-3 */
static void sizes_and_texts_of_a_liar_do_no_harm(void **state)
{
    static const int sizes[] = {129, 255};
    struct input_range range;

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        honest();
        keyboard.size_lie = sizes[i];
        assert_int_equal(start(0, 64), 0);
        expect_log("its configuration cannot be read", i + 1);
        end();
    }
    honest();
    keyboard.name = "bad\nname\x80\x1b[2J and one that is too long for what the driver keeps of it";
    assert_int_equal(start(0, 64), 1);
    assert_memory_equal(input_at(0)->name, "bad?name??[2J and", 17);
    assert_int_equal(strlen(input_at(0)->name), 63);
    keyboard.size_lie = 19; /* less than a range has */
    assert_int_equal(input_read_range(input_at(0), 1, &range), -ENOENT);
    end();
}

/* covers: INPUT-OP-1 INPUT-OP-2 INPUT-OP-3 INPUT-OP-5 */
static void every_event_arrives(void **state)
{
    static const uint64_t features[] = {0, UINT64_C(1) << 29, UINT64_C(1) << 34,
                                        UINT64_C(1) << 34 | 1 << 29};

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        uint16_t size = i < 4 ? 64 : i < 8 ? 4 : 1024;
        unsigned sent = 0;

        honest();
        assert_int_equal(start(features[i % 4], size), 1);
        for (unsigned round = 0; round < 50; round++) {
            unsigned room = 0;
            while (send_event(round % 5 ? INPUT_KEY : 4711, (uint16_t)round, sent + 1, 8)) {
                sent++;
                room++;
            }
            assert_int_equal(room, size < 64 ? size : 64);
            settle();
            assert_int_equal(seen.events, sent);
            assert_int_equal(seen.last.value, (int)sent);
            assert_int_equal(seen.last.code, round);
        }
        assert_int_equal(input_at(0)->events, sent);
        end();
    }
}

static void short_events_are_left_out(void **state)
{
    (void)state;
    honest();
    assert_int_equal(start(0, 64), 1);
    for (uint32_t len = 0; len < 8; len++)
        assert_true(send_event(INPUT_KEY, 30, 1, len));
    assert_true(send_event(INPUT_KEY, 31, 1, 8));
    settle();
    assert_int_equal(seen.events, 1);
    assert_int_equal(seen.last.code, 31);
    assert_int_equal(input_at(0)->short_events, 8);
    end();
}

/* covers: INPUT-OP-4 */
static void states_go_to_the_device(void **state)
{
    struct input_event light = {INPUT_LED, 1, 1};

    (void)state;
    honest();
    assert_int_equal(start(0, 64), 1);
    struct input_device *device = input_at(0);
    assert_int_equal(input_send(device, &light), 0);
    settle();
    assert_int_equal(keyboard.states, 1);
    assert_int_equal(keyboard.state.type, INPUT_LED);
    assert_int_equal(keyboard.state.value, 1);
    keyboard.hold = true;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(input_send(device, &light), 0);
    assert_int_equal(input_send(device, &light), -ENOSPC);
    keyboard.hold = false;
    settle();
    assert_int_equal(device->send_done, 9);
    light.value = 0;
    assert_int_equal(input_send(device, &light), 0);
    settle();
    assert_int_equal(keyboard.state.value, 0);
    end();
}

static void a_broken_queue_is_recovered(void **state)
{
    struct input_event light = {INPUT_LED, 1, 1};

    (void)state;
    honest();
    assert_int_equal(start(0, 64), 1);
    for (unsigned queue = EVENT_QUEUE; queue <= STATUS_QUEUE; queue++) {
        ring_device_push_raw(&model.queue[queue].ring, 4711, 8);
        device_signal(&model, queue);
        settle();
        assert_true(device_is_live(&model));
        assert_true(send_event(INPUT_KEY, 30, 1, 8));
        assert_int_equal(input_send(input_at(0), &light), 0);
        settle();
        assert_int_equal(seen.events, queue + 1);
        assert_int_equal(keyboard.states, queue + 1);
    }
    device_need_reset(&model);
    settle();
    assert_true(send_event(INPUT_KEY, 30, 1, 8));
    settle();
    assert_int_equal(seen.events, 3);
    end();
    assert_int_equal(seen.left, 1);
}

static void a_device_that_is_gone_answers_nothing(void **state)
{
    struct input_event light = {INPUT_LED, 1, 1};
    uint8_t bits[INPUT_BITS_SIZE];

    (void)state;
    honest();
    assert_int_equal(start(0, 64), 1);
    model.lies.reset_reads = DEVICE_FOR_EVER;
    device_need_reset(&model);
    settle();
    assert_int_equal(input_send(input_at(0), &light), -EIO);
    assert_int_equal(input_read_codes(input_at(0), INPUT_KEY, bits), -EIO);
    assert_false(input_can(input_at(0), INPUT_KEY, 30));
    end();
}

static void bring_up_survives_lack_of_memory(void **state)
{
    unsigned nth, driven = 0;

    (void)state;
    honest();
    for (nth = 1; !driven && nth < 40; nth++) {
        hosted_dma_fail_nth(nth);
        driven = start(0, 64);
        hosted_dma_fail_nth(0);
        end();
        assert_int_equal(hosted_dma_allocations(), 0);
    }
    assert_in_range(nth, 4, 39);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_device_is_asked_what_it_is),
        TEST(sizes_and_texts_of_a_liar_do_no_harm),
        TEST(every_event_arrives),
        TEST(short_events_are_left_out),
        TEST(states_go_to_the_device),
        TEST(a_broken_queue_is_recovered),
        TEST(a_device_that_is_gone_answers_nothing),
        TEST(bring_up_survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("virtio_input", tests, NULL, NULL);
}
