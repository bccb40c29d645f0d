/*
 * scenario_streams.c - the life of the console driver with a named port, and of the 9P driver with a
 * server behind it (tests/unit/ninep_server.h).
 */
#include "scenario_streams.h"

#include <string.h>
#include <sys/stat.h>

#include "console.h"
#include "console/console_port.h"
#include "fs/ninep.h"
#include "hosted/device_console.h"
#include "scenario_volumes.h"
#include "tests/unit/ninep_server.h"

#define RINGS (UINT64_C(1) << F_INDIRECT_DESC | UINT64_C(1) << F_EVENT_IDX)
#define MESSAGE_MAX 65536u

/* ---- console ---- */

static struct device_console console;
static struct console *attached;
static struct console_port *port; /* NULL: it is gone */

void console_attach(struct console *of, bool with_log)
{
    (void)with_log;
    attached = of;
}

void console_detach(struct console *of)
{
    if (attached == of)
        attached = NULL;
}

bool console_wanted(void)
{
    return false;
}

struct device *console_make(void)
{
    static const struct device_console_setup setup = {
        .multiport = true, .size = true, .max_ports = 3, .more_features = RINGS, .msix_vectors = 3};

    device_console_init(&console, &setup);
    device_console_add(&console, 0, true, NULL);
    device_console_add(&console, 1, false, "agent");
    return &console.device;
}

static void port_changed(void *arg, struct console_port *changed)
{
    (void)arg;
    if (!console_port_is_present(changed))
        port = NULL;
}

void console_use(void)
{
    static const struct console_port_callbacks callbacks = {.changed = port_changed};
    static const char text[] = "text";
    char answer[16];

    scenario_settle(&console.device);
    device_console_open(&console, 1, true);
    scenario_settle(&console.device);
    if (attached)
        attached->write(attached->arg, text, sizeof(text));
    port = console_port_find("agent");
    if (port && console_port_open(port, &callbacks, NULL) == 0) {
        console_port_write(port, text, sizeof(text));
        device_console_send(&console, 1, text, sizeof(text));
        scenario_settle(&console.device);
        if (port)
            console_port_read(port, answer, sizeof(answer));
        if (port)
            console_port_close(port);
    }
    device_console_remove(&console, 1);
    scenario_settle(&console.device);
}

void console_finish(void)
{
    if (attached)
        hosted_fail("a console stayed attached");
    device_console_finish(&console);
}

/* ---- 9P ---- */

static struct device share;
static struct ninep_server server;
static uint8_t request[MESSAGE_MAX], reply[MESSAGE_MAX];
static uint8_t *data;

static void serve(struct device *device, unsigned queue)
{
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring))) {
        size_t len = ring_chain_read(chain, 0, request, sizeof(request));

        len = server_answer(&server, request, len, reply,
                            chain->writable < MESSAGE_MAX ? chain->writable : MESSAGE_MAX);
        ring_device_push(ring, chain, (uint32_t)ring_chain_write(chain, 0, reply, len));
    }
    ring_device_want_notify(ring, true);
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    (void)device;
    server_reset(&server);
}

struct device *p9_make(void)
{
    static const struct device_field fields[] = {{0, 2, 1, 0}, {2, 1, 126, 0}};
    static const struct device_type type = {
        .name = "9p", .id = 9, .field = fields, .fields = 2, .serve = serve, .reset = forget};
    static const uint8_t config[DEVICE_CONFIG_SIZE] = {4, 0, 'h', 'o', 's', 't'};

    server_init(&server);
    server_add(&server, SERVER_ROOT, "folder", S_IFDIR | 0755, NULL, 0);
    data = platform_dma_alloc(4096, 64);
    device_init(&share, &(struct device_setup){.type = &type,
                                               .features = 1 | RINGS,
                                               .queues = 1,
                                               .queue_size = 16,
                                               .msix_vectors = 2,
                                               .config = config,
                                               .config_length = sizeof(config)});
    return &share;
}

static void watch(struct ninep_transport *transport, bool added)
{
    if (!added)
        scenario_volume_leaves(transport);
}

void p9_use(void)
{
    struct ninep_transport *transport = virtio_9p_at(0);
    void *volume;

    virtio_9p_watch(watch);
    if (transport && ninep_mount(transport, &volume) == 0)
        scenario_use_volume(&share, &ninep_ops, volume, data);
}

void p9_finish(void)
{
    virtio_9p_watch(NULL);
    device_finish(&share);
    server_finish(&server);
    platform_dma_free(data, 4096);
}
