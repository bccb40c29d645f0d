// sources: console/virtio_console.c console/console_port.c console/console_stream.c virtio/virtio.c
// sources: virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c virtio/virtqueue.c virtio/virtqueue_split.c
// sources: virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/ring_device.c
// sources: hosted/ring_split.c hosted/fake_pci.c hosted/device.c hosted/device_setup.c
// sources: hosted/device_console.c hosted/violation.c hosted/ring_packed.c
// sources: hosted/device_legacy.c
/*
 * test_virtio_console.c - the console device driver (5.3) against the model console: consoles,
 * named ports, control messages, and what happens when the other side is slow, rude or gone.
 *
 * The kernel's console (boot/console.c) is played by the few functions at the top. Read
 * hosted/device_console.h first.
 */
#include "support.h"

#include "hosted/device_legacy.h"

#include "console.h"
#include "console/console_port.h"
#include "console/virtio_console.h"
#include "hosted/device_console.h"
#include "loop.h"
#include "virtio/virtio.h"
#include "virtio/virtio_pci.h"

static const struct virtio_driver *const drivers[] = {&virtio_console_driver};
static struct device_console model;
static const struct device_console_setup multiport = {
    .multiport = true, .max_ports = 3, .msix_vectors = 3};

/* ---- the kernel's console ---- */

static struct console *attached[4];
static unsigned attached_count, replays;
static bool wanted;

void console_attach(struct console *console, bool with_log)
{
    attached[attached_count++] = console;
    replays += with_log;
}

void console_detach(struct console *console)
{
    for (unsigned i = 0; i < attached_count; i++)
        if (attached[i] == console)
            attached[i] = attached[--attached_count];
}

bool console_wanted(void)
{
    return wanted && attached_count == 0;
}

/* ---- an application at a port ---- */

static struct app {
    struct console_port *port;
    unsigned found, readable, writable, changed;
} app;

static void app_readable(void *arg, struct console_port *port)
{
    assert_ptr_equal(((struct app *)arg)->port, port);
    ((struct app *)arg)->readable++;
}

static void app_writable(void *arg, struct console_port *port)
{
    (void)port;
    ((struct app *)arg)->writable++;
}

static void app_changed(void *arg, struct console_port *port)
{
    (void)port;
    ((struct app *)arg)->changed++;
}

static const struct console_port_callbacks callbacks = {app_readable, app_writable, app_changed};

static void app_found(void *arg, struct console_port *port)
{
    ((struct app *)arg)->port = port;
    ((struct app *)arg)->found++;
}

/* ---- start and end ---- */

static void start_with(const struct device_console_setup *setup)
{
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_console_init(&model, setup);
    attached_count = replays = 0;
    wanted = false;
    memset(&app, 0, sizeof(app));
}

static void start(const struct device_console_setup *setup)
{
    start_with(setup);
    assert_int_equal(virtio_pci_scan(), 1);
}

static void end(void)
{
    virtio_shutdown();
    assert_int_equal(attached_count, 0);
    device_console_finish(&model);
    fake_pci_reset();
}

static void settle(void)
{
    do {
        device_run(&model.device);
        hosted_interrupts_deliver();
    } while (loop_turn());
}

static void show(const char *text)
{
    attached[0]->write(attached[0]->arg, text, strlen(text));
}

static void assert_shown(unsigned id, const char *text)
{
    assert_int_equal(model.port[id].received_len, strlen(text));
    assert_memory_equal(model.port[id].received, text, strlen(text));
}

/* A port of the name "app" at 1, found and open, with the other side open as well. */
static void start_app(void)
{
    static struct console_port_watch watch;

    watch = (struct console_port_watch){.name = "app", .found = app_found, .arg = &app};
    start_with(&multiport);
    console_port_watch(&watch);
    device_console_add(&model, 1, false, "app");
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    console_port_unwatch(&watch);
    assert_int_equal(app.found, 1);
    assert_int_equal(console_port_open(app.port, &callbacks, &app), 0);
    settle();
    device_console_open(&model, 1, true);
    settle();
    assert_true(model.port[1].driver_open);
    assert_true(console_port_is_connected(app.port));
}

/* ---- consoles ---- */

/* covers: CONSOLE-OP-1 CONSOLE-OP-2 LEG-CONSOLE-CFG-1 */
static void without_multiport_there_is_one_console(void **state)
{
    struct device_console_setup setup = {.size = true, .msix_vectors = 2};
    uint16_t cols, rows;

    (void)state;
    start(&setup);
    assert_int_equal(attached_count, 1);
    show("hello\r\n");
    settle();
    assert_shown(0, "hello\r\n");
    device_console_send(&model, 0, "help\r", 5);
    settle();
    assert_true(attached[0]->pending(attached[0]->arg));
    for (const char *key = "help\r"; *key; key++)
        assert_int_equal(attached[0]->read(attached[0]->arg), *key);
    assert_int_equal(attached[0]->read(attached[0]->arg), -1);
    assert_false(attached[0]->pending(attached[0]->arg));
    console_port_size(&cols, &rows);
    assert_int_equal(cols, 80);
    assert_int_equal(rows, 25);
    end();
}

/*
 * The legacy interface has the same fields, in the CPU's byte order, which is little-endian here.
 * covers: CONSOLE-MP-1 CONSOLE-MP-2 CONSOLE-MP-3 CONSOLE-MP-4 CONSOLE-T-INIT-2 LEG-CONSOLE-OP-1
 * covers: LEG-CONSOLE-OP-2 LEG-CONSOLE-FRAME-1
 */
static void ports_that_are_consoles_are_attached(void **state)
{
    (void)state;
    start_with(&multiport);
    device_console_add(&model, 0, true, NULL);
    device_console_add(&model, 2, true, "second");
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    assert_int_equal(model.device_ready, 1);
    assert_int_equal(attached_count, 2);
    assert_int_equal(replays, 2);
    assert_true(model.port[0].ready && model.port[2].ready);
    assert_int_equal(model.port[0].opens, 1);
    assert_int_equal(model.port[2].opens, 1);
    assert_null(console_port_find("second"));
    device_console_remove(&model, 0);
    settle();
    assert_int_equal(attached_count, 1);
    device_console_add(&model, 0, true, NULL);
    settle();
    assert_int_equal(attached_count, 2);
    assert_int_equal(replays, 3);
    end();
}

static void bring_up_waits_for_the_only_console(void **state)
{
    uint64_t before = platform_now_ns();

    (void)state;
    start_with(&multiport);
    wanted = true;
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    assert_int_equal(attached_count, 1);
    end();
    start_with(&multiport);
    wanted = true;
    assert_int_equal(virtio_pci_scan(), 1); /* and in vain, but not for ever */
    assert_true(platform_now_ns() - before < 1000000000);
    end();
}

/* 40 KiB at once: more than any buffer, in order, with a device that keeps up. */
static void much_output_arrives_whole(void **state)
{
    static char text[40001];

    (void)state;
    for (unsigned i = 0; i < sizeof(text) - 1; i++)
        text[i] = (char)('!' + i % 89);
    start_with(&multiport);
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    for (unsigned i = 0; i < sizeof(text) - 1; i += 250)
        attached[0]->write(attached[0]->arg, text + i, 250);
    assert_true(attached[0]->flush(attached[0]->arg));
    assert_shown(0, text);
    end();
}

static void a_device_that_does_not_read_costs_a_bounded_wait(void **state)
{
    static char text[1000];
    uint64_t before;

    (void)state;
    memset(text, 'x', sizeof(text));
    start_with(&multiport);
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    model.port[0].hold = true;
    before = platform_now_ns();
    for (unsigned i = 0; i < 100; i++)
        attached[0]->write(attached[0]->arg, text, sizeof(text));
    assert_false(attached[0]->flush(attached[0]->arg));
    assert_true(platform_now_ns() - before < 2000000000);
    settle();
    model.port[0].hold = false;
    device_console_release(&model, 0);
    settle();
    settle();
    /* What was taken arrived, and what was not is said. */
    assert_in_range(model.port[0].received_len, 16384, 17000);
    expect_log("bytes of output dropped", 1);
    model.port[0].received_len = 0;
    show("again");
    settle();
    assert_shown(0, "again");
    end();
}

static void output_goes_on_while_the_queue_breaks(void **state)
{
    (void)state;
    start_with(&multiport);
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    show("before ");
    settle();
    ring_device_push_raw(&model.device.queue[1].ring, 99, 0);
    show("during ");
    settle();
    settle();
    expect_log("running again (recovery 1)", 1);
    assert_int_equal(attached_count, 1);
    assert_int_equal(replays, 1); /* the log was shown once already */
    show("after");
    settle();
    assert_true(model.port[0].received_len >= 12);
    assert_memory_equal(model.port[0].received + model.port[0].received_len - 5, "after", 5);
    end();
}

/* covers: CONSOLE-T-INIT-1 */
static void the_last_words_go_past_the_queue(void **state)
{
    struct device_console_setup setup = multiport;

    (void)state;
    setup.emergency = true;
    start_with(&setup);
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    model.port[0].hold = true;
    for (unsigned i = 0; i < 20; i++)
        show("0123456789");
    assert_false(attached[0]->flush(attached[0]->arg));
    attached[0]->emergency(attached[0]->arg, "last", 4);
    /* 16 pieces are with the device, and what follows comes by the register. */
    assert_string_equal(model.emergency, "0123456789012345678901234567890123456789last");
    end();
}

static void without_the_register_the_last_words_are_output(void **state)
{
    (void)state;
    start_with(&multiport);
    device_console_add(&model, 0, true, NULL);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    attached[0]->emergency(attached[0]->arg, "last", 4);
    settle();
    assert_shown(0, "last");
    assert_int_equal(model.emergency_len, 0);
    end();
}

/* ---- ports ---- */

/* The device writes more than it says, which must not be read. covers: SPLIT-USED-1 */
static void a_named_port_carries_bytes_both_ways(void **state)
{
    static uint8_t sent[30000], got[30000];
    size_t written = 0, read = 0;
    uint32_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)support_random(&seed);
    start_app();
    assert_string_equal(console_port_name(app.port), "app");
    assert_ptr_equal(console_port_find("app"), app.port);
    while (written < sizeof(sent)) {
        int n = console_port_write(app.port, sent + written, sizeof(sent) - written);
        assert_true(n > 0 || n == -EAGAIN);
        written += n > 0 ? (size_t)n : 0;
        settle();
    }
    assert_int_equal(model.port[1].received_len, sizeof(sent));
    assert_memory_equal(model.port[1].received, sent, sizeof(sent));
    assert_int_equal(console_port_read(app.port, got, 10), -EAGAIN);
    device_console_send(&model, 1, sent, sizeof(sent));
    while (read < sizeof(sent)) {
        settle();
        int n = console_port_read(app.port, got + read, 1 + support_random(&seed) % 700);
        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_memory_equal(got, sent, sizeof(sent));
    assert_true(app.readable > 0);
    end();
}

/* The device has 8 buffers of 512 bytes, and gets no more until somebody reads. */
static void what_is_not_read_is_not_taken(void **state)
{
    static uint8_t sent[10000], got[10000];
    int n;

    (void)state;
    start_app();
    device_console_send(&model, 1, sent, sizeof(sent));
    for (unsigned i = 0; i < 5; i++)
        settle();
    assert_int_equal(model.port[1].to_send_len, sizeof(sent) - 8 * 512);
    n = console_port_read(app.port, got, sizeof(got));
    assert_int_equal(n, 8 * 512);
    settle();
    assert_int_equal(model.port[1].to_send_len, sizeof(sent) - 16 * 512);
    end();
}

static void a_full_port_says_when_there_is_room(void **state)
{
    static uint8_t text[20000];

    (void)state;
    start_app();
    model.port[1].hold = true;
    assert_int_equal(console_port_write(app.port, text, sizeof(text)), 16384);
    assert_int_equal(console_port_write(app.port, text, 1), -EAGAIN);
    settle();
    assert_int_equal(app.writable, 0);
    model.port[1].hold = false;
    device_console_release(&model, 1);
    settle();
    assert_int_equal(app.writable, 1);
    assert_int_equal(console_port_write(app.port, text, 100), 100);
    settle();
    assert_int_equal(app.writable, 1);
    end();
}

static void the_other_side_closes(void **state)
{
    char text[8];

    (void)state;
    start_app();
    device_console_send(&model, 1, "bye", 3);
    device_console_open(&model, 1, false);
    settle();
    assert_int_equal(app.changed, 2);
    assert_false(console_port_is_connected(app.port));
    assert_int_equal(console_port_write(app.port, "x", 1), -EPIPE);
    assert_int_equal(console_port_read(app.port, text, sizeof(text)), 3);
    assert_int_equal(console_port_read(app.port, text, sizeof(text)), 0);
    device_console_open(&model, 1, true);
    settle();
    assert_int_equal(console_port_read(app.port, text, sizeof(text)), -EAGAIN);
    assert_int_equal(console_port_write(app.port, "x", 1), 1);
    end();
}

static void we_close_and_open_again(void **state)
{
    char text[8];

    (void)state;
    start_app();
    assert_int_equal(console_port_open(app.port, &callbacks, &app), -EBUSY);
    device_console_send(&model, 1, "old", 3);
    settle();
    console_port_close(app.port);
    settle();
    assert_false(model.port[1].driver_open);
    assert_int_equal(model.port[1].closes, 1);
    assert_int_equal(console_port_read(app.port, text, sizeof(text)), -ENODEV);
    assert_int_equal(console_port_write(app.port, "x", 1), -ENODEV);
    device_console_send(&model, 1, "early", 5); /* to nobody */
    settle();
    assert_int_equal(console_port_open(app.port, NULL, NULL), 0);
    settle();
    assert_true(model.port[1].driver_open);
    assert_int_equal(console_port_read(app.port, text, sizeof(text)), -EAGAIN);
    end();
}

static void a_port_goes_and_comes(void **state)
{
    static struct console_port_watch watch = {.name = "app", .found = app_found, .arg = &app};

    (void)state;
    start_app();
    console_port_watch(&watch);
    assert_int_equal(app.found, 2); /* at once, since it is there */
    console_port_write(app.port, "lost", 4);
    device_console_remove(&model, 1);
    settle();
    assert_int_equal(app.changed, 2);
    assert_false(console_port_is_present(app.port));
    assert_null(console_port_find("app"));
    assert_int_equal(console_port_write(app.port, "x", 1), -ENODEV);
    assert_int_equal(console_port_open(app.port, &callbacks, &app), -ENODEV);
    model.port[1].received_len = 0;
    device_console_add(&model, 1, false, "app");
    settle();
    assert_int_equal(app.found, 3);
    assert_int_equal(console_port_open(app.port, &callbacks, &app), 0);
    device_console_open(&model, 1, true);
    settle();
    assert_int_equal(console_port_write(app.port, "new", 3), 3);
    device_console_send(&model, 1, "yes", 3);
    settle();
    assert_shown(1, "new");
    assert_int_equal(app.readable, 1);
    console_port_unwatch(&watch);
    end();
}

/* A device that keeps what a removed port was sending is reset, or the port would stay full. */
static void a_port_comes_back_with_old_buffers(void **state)
{
    (void)state;
    start_app();
    model.port[1].hold = true;
    console_port_write(app.port, "stays", 5);
    settle();
    device_console_remove(&model, 1);
    settle();
    model.port[1].hold = false;
    device_console_add(&model, 1, false, "app");
    settle();
    settle();
    expect_log("a port came back", 1);
    expect_log("running again (recovery 1)", 1);
    assert_non_null(console_port_find("app"));
    end();
}

static void recovery_brings_the_ports_back(void **state)
{
    static struct console_port_watch watch = {.name = "app", .found = app_found, .arg = &app};

    (void)state;
    start_app();
    console_port_watch(&watch);
    device_need_reset(&model.device);
    settle();
    settle();
    expect_log("running again (recovery 1)", 1);
    assert_int_equal(app.changed, 2);
    assert_int_equal(app.found, 3);
    assert_int_equal(console_port_open(app.port, &callbacks, &app), 0);
    settle();
    assert_true(model.port[1].driver_open);
    console_port_unwatch(&watch);
    end();
}

/* ---- control messages ---- */

/* The last word counts, however many are held up. */
static void answers_wait_for_room(void **state)
{
    (void)state;
    start_app();
    model.hold_control = true;
    for (unsigned i = 0; i < 40; i++) {
        console_port_close(app.port);
        console_port_open(app.port, &callbacks, &app);
    }
    settle();
    console_port_close(app.port);
    settle();
    assert_true(model.held_control_count >= 32);
    model.hold_control = false;
    device_console_release_control(&model);
    settle();
    settle();
    assert_false(model.port[1].driver_open);
    end();
}

static void messages_that_make_no_sense_are_passed_over(void **state)
{
    static const uint8_t noise[300] = {1, 0, 0, 0, 7, 0, 1, 0, 'a', 1, 2, 3, 0x7f, 'z'};
    uint32_t seed = 11;

    (void)state;
    start_app();
    for (unsigned len = 0; len < 8; len++)
        device_console_raw(&model, noise, len);
    settle();
    device_console_control(&model, 1, 99, 0, NULL, 0);
    device_console_control(&model, 2, CONSOLE_PORT_OPEN, 1, NULL, 0);
    device_console_control(&model, 0xffffffff, CONSOLE_PORT_OPEN, 1, NULL, 0);
    device_console_control(&model, 1, CONSOLE_RESIZE, 0, noise, 3);
    device_console_control(&model, 1, CONSOLE_DEVICE_ADD, 1, NULL, 0);
    settle();
    expect_log("(said once)", 1);
    device_console_raw(&model, noise, 20);
    settle();
    assert_string_equal(console_port_name(app.port), "a????z");
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t text[64];
        unsigned len = support_random(&seed) % sizeof(text);
        for (unsigned n = 0; n < len; n++)
            text[n] = (uint8_t)support_random(&seed);
        /* Of ports that exist, and events that do, but none that the model would answer. */
        if (len >= 8) {
            text[0] = (uint8_t)(1 + support_random(&seed) % 2);
            memset(text + 1, 0, 3);
            text[4] = (uint8_t)(5 + support_random(&seed) % 4);
            text[5] = 0;
        }
        device_console_raw(&model, text, len);
        settle();
    }
    end();
}

static void ports_beyond_what_is_used_are_refused(void **state)
{
    struct device_console_setup setup = multiport;

    (void)state;
    start_with(&setup);
    assert_int_equal(virtio_pci_scan(), 1);
    settle();
    device_console_control(&model, 20, CONSOLE_DEVICE_ADD, 1, NULL, 0);
    settle();
    assert_int_equal(model.refused, 1);
    expect_log("port 20 is not used", 1);
    end();
}

static void too_few_queues_for_the_ports_is_an_error(void **state)
{
    struct device_console_setup setup = multiport;

    (void)state;
    setup.max_ports = 5;
    start_with(&setup);
    assert_int_equal(virtio_pci_scan(), 0);
    expect_log("the device has no queue 8", 1);
    end();
}

static void memory_may_be_short(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 50; nth++) {
        start_with(&multiport);
        device_console_add(&model, 0, true, NULL);
        device_console_add(&model, 1, false, "app");
        hosted_dma_fail_nth(nth);
        virtio_pci_scan();
        settle();
        hosted_dma_fail_nth(0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_multiport_there_is_one_console),
        TEST(ports_that_are_consoles_are_attached),
        TEST(bring_up_waits_for_the_only_console),
        TEST(much_output_arrives_whole),
        TEST(a_device_that_does_not_read_costs_a_bounded_wait),
        TEST(output_goes_on_while_the_queue_breaks),
        TEST(the_last_words_go_past_the_queue),
        TEST(without_the_register_the_last_words_are_output),
        TEST(a_named_port_carries_bytes_both_ways),
        TEST(what_is_not_read_is_not_taken),
        TEST(a_full_port_says_when_there_is_room),
        TEST(the_other_side_closes),
        TEST(we_close_and_open_again),
        TEST(a_port_goes_and_comes),
        TEST(a_port_comes_back_with_old_buffers),
        TEST(recovery_brings_the_ports_back),
        TEST(answers_wait_for_room),
        TEST(messages_that_make_no_sense_are_passed_over),
        TEST(ports_beyond_what_is_used_are_refused),
        TEST(too_few_queues_for_the_ports_is_an_error),
        TEST(memory_may_be_short),
    };

    int failed = cmocka_run_group_tests_name("console", tests, NULL, NULL);

    device_set_front(&device_legacy_front);
    return failed + cmocka_run_group_tests_name("console, legacy interface", tests, NULL, NULL);
}
