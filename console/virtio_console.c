/*
 * virtio_console.c - the console device driver (5.3): queues, control messages, ports that come and
 * go.
 *
 * Without MULTIPORT there is port 0, a console. With it the device announces its ports one by one
 * (5.3.6.2), and each message is answered as soon as a buffer for the answer is free. What a port
 * means to others is console_port.c's. Read console_impl.h first.
 */
#include "console/virtio_console.h"

#include <errno.h>
#include <string.h>

#include "console/console_impl.h"
#include "log.h"
#include "loop.h"
#include "virtio/spec_devices.h"

/* Of the ports that a device may have (QEMU: 31 by default) the first ones are used: each costs two
 * queues whether or not it is ever there. */
#define MAX_PORTS 7

/*
 * A device that finds no buffer for a control message may lose it, and announces all its ports at
 * once: 31 by QEMU's default.
 */
#define CONTROL_BUFFERS 32
#define CONTROL_MESSAGE_SIZE 256

/*
 * Where nothing else shows text, bring-up waits so long for the device to name a console: a program
 * that ends soon would go unseen otherwise.
 */
#define FIRST_CONSOLE_NS 100000000u
/* Of messages. What is written to a port may wait for its reader for ever. */
#define CONTROL_PATIENCE_S 30u

#define ALL_FREE UINT32_MAX

/* Device-visible: messages in, messages out. */
struct console_control {
    uint8_t in[CONTROL_BUFFERS][CONTROL_MESSAGE_SIZE];
    struct virtio_console_control out[CONTROL_BUFFERS];
};

static struct virtio_console *first_console;
static bool in_loop;

struct virtio_console *virtio_console_first(void)
{
    return first_console;
}

/* ---- messages to the device ---- */

static void reap_control(struct virtio_console *vcon)
{
    struct virtio_console_control *message;

    while ((message = virtqueue_get_buf(vcon->control_tx, NULL)) != NULL)
        vcon->control_free |= 1u << (message - vcon->control->out);
}

/* False: no room now. */
static bool send_control(struct virtio_console *vcon, uint32_t id, uint16_t event, uint16_t value)
{
    struct virtio_console_control *message;
    struct virtqueue_sg sg;
    unsigned i;

    if (!vcon->control_free)
        reap_control(vcon);
    if (!vcon->control_free)
        return false;
    i = (unsigned)__builtin_ctz(vcon->control_free);
    message = &vcon->control->out[i];
    *message =
        (struct virtio_console_control){cpu_to_le32(id), cpu_to_le16(event), cpu_to_le16(value)};
    sg = (struct virtqueue_sg){message, sizeof(*message)};
    if (virtqueue_add(vcon->control_tx, &sg, 1, 0, message) != 0)
        return false;
    vcon->control_free &= ~(1u << i);
    return true;
}

void virtio_console_send_owed(struct virtio_console *vcon)
{
    if (!vcon->control_tx || !vcon->device->driver_ok)
        return;
    for (unsigned i = 0; i < vcon->ports; i++) {
        struct console_port *port = &vcon->port[i];

        if (port->owes_ready)
            port->owes_ready =
                !send_control(vcon, i, VIRTIO_CONSOLE_PORT_READY, port->present ? 1 : 0);
        if (port->owes_open && !port->owes_ready)
            port->owes_open = !send_control(vcon, i, VIRTIO_CONSOLE_PORT_OPEN, port->open);
    }
    virtqueue_kick(vcon->control_tx);
}

/* ---- messages from the device ---- */

static void set_size(struct virtio_console *vcon, uint16_t cols, uint16_t rows)
{
    if (vcon->cols == cols && vcon->rows == rows)
        return;
    vcon->cols = cols;
    vcon->rows = rows;
    log_debug("%s: console of %u columns and %u rows", vcon->device->name, cols, rows);
}

static void complain(struct virtio_console *vcon, const char *what, unsigned number)
{
    if (!vcon->complained)
        log_warn("%s: %s %u (said once)", vcon->device->name, what, number);
    vcon->complained = true;
}

static void take_port_message(struct virtio_console *vcon, struct console_port *port,
                              uint16_t event, uint16_t value, const uint8_t *rest, size_t len)
{
    struct virtio_console_resize size;

    if (event == VIRTIO_CONSOLE_DEVICE_ADD) {
        console_port_added(port);
        port->owes_ready = true;
        return;
    }
    if (!port->present) {
        complain(vcon, "a control message for a port that does not exist:", port->id);
        return;
    }
    switch (event) {
    case VIRTIO_CONSOLE_DEVICE_REMOVE:
        log_info("%s: port %u is gone", vcon->device->name, port->id);
        console_port_removed(port);
        port->was_console = false;
        break;
    case VIRTIO_CONSOLE_CONSOLE_PORT:
        console_port_made_console(port);
        port->owes_open = true;
        break;
    case VIRTIO_CONSOLE_RESIZE:
        if (len < sizeof(size))
            break;
        memcpy(&size, rest, sizeof(size));
        set_size(vcon, le16_to_cpu(size.cols), le16_to_cpu(size.rows));
        break;
    case VIRTIO_CONSOLE_PORT_OPEN:
        console_port_connected(port, value != 0);
        break;
    case VIRTIO_CONSOLE_PORT_NAME:
        console_port_named(port, rest, len);
        break;
    default:
        complain(vcon, "unknown control message", event);
    }
}

static void take_message(struct virtio_console *vcon, const uint8_t *data, size_t len)
{
    struct virtio_console_control message;
    uint32_t id;
    uint16_t event;

    if (len < sizeof(message)) {
        complain(vcon, "a control message shorter than its header:", (unsigned)len);
        return;
    }
    memcpy(&message, data, sizeof(message));
    id = le32_to_cpu(message.id);
    event = le16_to_cpu(message.event);
    if (id < vcon->ports) {
        take_port_message(vcon, &vcon->port[id], event, le16_to_cpu(message.value),
                          data + sizeof(message), len - sizeof(message));
    } else if (event == VIRTIO_CONSOLE_DEVICE_ADD) {
        log_warn("%s: port %u is not used: only %u can be", vcon->device->name, id, vcon->ports);
        send_control(vcon, id, VIRTIO_CONSOLE_PORT_READY, 0);
    } else {
        complain(vcon, "a control message for port", id);
    }
}

static void provide_message(struct virtio_console *vcon, uint8_t *buffer)
{
    struct virtqueue_sg sg = {buffer, CONTROL_MESSAGE_SIZE};

    virtqueue_add(vcon->control_rx, &sg, 0, 1, buffer);
}

static unsigned poll_control(struct virtio_console *vcon)
{
    uint8_t message[CONTROL_MESSAGE_SIZE], *buffer;
    unsigned done = 0;
    uint32_t len;

    virtqueue_disable_cb(vcon->control_rx);
    virtqueue_disable_cb(vcon->control_tx);
    while (done < CONTROL_BUFFERS && (buffer = virtqueue_get_buf(vcon->control_rx, &len)) != NULL) {
        memcpy(message, buffer, len);
        provide_message(vcon, buffer);
        take_message(vcon, message, len);
        done++;
    }
    if (done > 0)
        virtqueue_kick(vcon->control_rx);
    virtio_console_send_owed(vcon);
    return done;
}

/* ---- the event loop ---- */

static bool is_broken(const struct virtio_console *vcon)
{
    for (unsigned i = 0; i < vcon->device->queue_count; i++) {
        if (virtqueue_is_broken(vcon->device->queue[i]))
            return true;
    }
    return false;
}

static unsigned poll_console(struct virtio_console *vcon)
{
    unsigned done = 0;

    if (!vcon->device->driver_ok)
        return 0;
    if (vcon->control_rx)
        done += poll_control(vcon);
    for (unsigned i = 0; i < vcon->ports; i++) {
        if (vcon->port[i].present)
            done += console_port_poll(&vcon->port[i]);
    }
    if (is_broken(vcon))
        vcon->trouble = "its queue is broken";
    if (vcon->trouble) {
        virtio_recover(vcon->device, vcon->trouble);
        done++;
    }
    return done;
}

static unsigned loop_poll(void *arg, unsigned budget)
{
    unsigned done = 0;

    (void)arg;
    (void)budget;
    for (struct virtio_console *vcon = first_console; vcon; vcon = vcon->next)
        done += poll_console(vcon);
    return done;
}

static bool arm_console(struct virtio_console *vcon)
{
    bool idle = true;

    if (!vcon->device->driver_ok)
        return true;
    if (vcon->control_rx)
        idle = virtqueue_enable_cb(vcon->control_rx);
    for (unsigned i = 0; i < vcon->ports; i++) {
        struct console_port *port = &vcon->port[i];

        if (port->present)
            idle = console_port_arm(port) && idle;
        /* The answer waits for room, so the end of an earlier one is news. */
        if (port->owes_ready || port->owes_open)
            idle = virtqueue_enable_cb(vcon->control_tx) && idle;
    }
    return idle;
}

static bool loop_arm(void *arg)
{
    bool idle = true;

    (void)arg;
    for (struct virtio_console *vcon = first_console; vcon; vcon = vcon->next)
        idle = arm_console(vcon) && idle;
    return idle;
}

static struct loop_source source = {.name = "virtio-console", .poll = loop_poll, .arm = loop_arm};

void virtio_console_emergency(struct virtio_console *vcon, uint8_t byte)
{
    le32 value = cpu_to_le32(byte);

    virtio_config_write(vcon->device, offsetof(struct virtio_console_config, emerg_wr), &value,
                        sizeof(value), sizeof(value));
}

/* ---- set-up ---- */

static void read_size(struct virtio_console *vcon)
{
    le16 cols, rows;

    if (!virtio_has_feature(vcon->device, VIRTIO_CONSOLE_F_SIZE) ||
        VIRTIO_CONFIG_READ(vcon->device, struct virtio_console_config, cols, &cols) ||
        VIRTIO_CONFIG_READ(vcon->device, struct virtio_console_config, rows, &rows))
        return;
    set_size(vcon, le16_to_cpu(cols), le16_to_cpu(rows));
}

static int find_queues(struct virtio_console *vcon)
{
    struct virtio_queue_request request[2 * MAX_PORTS + 2];
    bool multiport = virtio_has_feature(vcon->device, VIRTIO_CONSOLE_F_MULTIPORT);
    unsigned n = 0;
    int error;

    for (unsigned i = 0; i < vcon->ports; i++) {
        request[n++] = (struct virtio_queue_request){.name = "port rx",
                                                     .index = (uint16_t)VIRTIO_CONSOLE_PORT_RX(i),
                                                     .max_size = CONSOLE_STREAM_RX_BUFFERS,
                                                     .max_segments = 1};
        request[n++] = (struct virtio_queue_request){.name = "port tx",
                                                     .index = (uint16_t)VIRTIO_CONSOLE_PORT_TX(i),
                                                     .max_size = CONSOLE_STREAM_TX_CHUNKS,
                                                     .max_segments = 1,
                                                     .patience_s = VIRTIO_PATIENT};
        if (i > 0 || !multiport)
            continue;
        request[n++] = (struct virtio_queue_request){.name = "control rx",
                                                     .index = VIRTIO_CONSOLE_CONTROL_RX,
                                                     .max_size = CONTROL_BUFFERS,
                                                     .max_segments = 1};
        request[n++] = (struct virtio_queue_request){.name = "control tx",
                                                     .index = VIRTIO_CONSOLE_CONTROL_TX,
                                                     .max_size = CONTROL_BUFFERS,
                                                     .max_segments = 1,
                                                     .patience_s = CONTROL_PATIENCE_S};
    }
    error = virtio_find_queues(vcon->device, request, n);
    if (error)
        return error;
    vcon->control_rx = multiport ? vcon->device->queue[VIRTIO_CONSOLE_CONTROL_RX] : NULL;
    vcon->control_tx = multiport ? vcon->device->queue[VIRTIO_CONSOLE_CONTROL_TX] : NULL;
    for (unsigned i = 0; i < vcon->ports; i++) {
        /* The requests are in the order of the queues' numbers. */
        vcon->port[i].stream.rx = vcon->device->queue[VIRTIO_CONSOLE_PORT_RX(i)];
        vcon->port[i].stream.tx = vcon->device->queue[VIRTIO_CONSOLE_PORT_TX(i)];
    }
    return 0;
}

static void console_free(struct virtio_console *vcon)
{
    for (unsigned i = 0; i < vcon->ports; i++)
        console_stream_finish(&vcon->port[i].stream);
    if (vcon->port)
        platform_dma_free(vcon->port, vcon->ports * sizeof(*vcon->port));
    if (vcon->control)
        platform_dma_free(vcon->control, sizeof(*vcon->control));
    platform_dma_free(vcon, sizeof(*vcon));
}

static unsigned count_ports(struct virtio_device *device)
{
    le32 max;

    if (!virtio_has_feature(device, VIRTIO_CONSOLE_F_MULTIPORT) ||
        VIRTIO_CONFIG_READ(device, struct virtio_console_config, max_nr_ports, &max) ||
        le32_to_cpu(max) == 0)
        return 1;
    return le32_to_cpu(max) > MAX_PORTS ? MAX_PORTS : le32_to_cpu(max);
}

static int console_probe(struct virtio_device *device)
{
    struct virtio_console *vcon = platform_dma_alloc(sizeof(*vcon), 64);
    unsigned ports = count_ports(device);
    int error = -ENOMEM;

    if (!vcon)
        return -ENOMEM;
    vcon->device = device;
    vcon->port = platform_dma_alloc(ports * sizeof(*vcon->port), 64);
    vcon->ports = vcon->port ? ports : 0;
    vcon->control = platform_dma_alloc(sizeof(*vcon->control), 64);
    if (!vcon->port || !vcon->control)
        goto out;
    vcon->control_free = ALL_FREE;
    for (unsigned i = 0; i < ports; i++) {
        vcon->port[i].owner = vcon;
        vcon->port[i].id = i;
    }
    read_size(vcon);
    error = find_queues(vcon);
    if (error)
        goto out;
    device->driver_data = vcon;
    return 0;

out:
    console_free(vcon);
    return error;
}

static int console_ready(struct virtio_device *device)
{
    struct virtio_console *vcon = device->driver_data;
    uint64_t end_ns = platform_now_ns() + FIRST_CONSOLE_NS;

    if (!device->recovering) {
        vcon->next = first_console;
        first_console = vcon;
        if (!in_loop)
            loop_add(&source);
        in_loop = true;
    }
    if (!vcon->control_rx) {
        console_port_added(&vcon->port[0]);
        if (vcon->port[0].present) {
            console_port_made_console(&vcon->port[0]);
            console_port_connected(&vcon->port[0], true);
        }
        return vcon->port[0].present ? 0 : -ENOMEM;
    }
    for (unsigned i = 0; i < CONTROL_BUFFERS && i < virtqueue_size(vcon->control_rx); i++)
        provide_message(vcon, vcon->control->in[i]);
    virtqueue_kick(vcon->control_rx);
    send_control(vcon, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    virtqueue_kick(vcon->control_tx);
    while (console_wanted() && !device->recovering && !is_broken(vcon) &&
           platform_now_ns() < end_ns) {
        poll_control(vcon);
        platform_relax();
    }
    return 0;
}

static void console_reclaim(struct virtio_device *device)
{
    struct virtio_console *vcon = device->driver_data;

    for (unsigned i = 0; i < vcon->ports; i++) {
        console_stream_reclaim(&vcon->port[i].stream);
        console_port_removed(&vcon->port[i]);
    }
    vcon->trouble = NULL;
    if (!vcon->control_rx)
        return;
    while (virtqueue_detach_unused(vcon->control_rx) != NULL)
        continue;
    while (virtqueue_detach_unused(vcon->control_tx) != NULL)
        continue;
    vcon->control_free = ALL_FREE;
}

static void console_remove(struct virtio_device *device)
{
    struct virtio_console **link = &first_console;

    while (*link && *link != device->driver_data)
        link = &(*link)->next;
    if (*link)
        *link = (*link)->next;
    if (!first_console) {
        loop_remove(&source);
        in_loop = false;
    }
    console_free(device->driver_data);
    device->driver_data = NULL;
}

static void console_config_changed(struct virtio_device *device)
{
    read_size(device->driver_data);
}

static const struct virtio_feature features[] = {
    {.bit = VIRTIO_CONSOLE_F_SIZE, .name = "SIZE"},
    {.bit = VIRTIO_CONSOLE_F_MULTIPORT, .name = "MULTIPORT"},
    {.bit = VIRTIO_CONSOLE_F_EMERG_WRITE, .name = "EMERG_WRITE"},
};

static const uint16_t device_types[] = {VIRTIO_ID_CONSOLE, 0};

const struct virtio_driver virtio_console_driver = {
    .name = "virtio-console",
    .device_types = device_types,
    .features = features,
    .feature_count = sizeof(features) / sizeof(features[0]),
    .probe = console_probe,
    .ready = console_ready,
    .reclaim = console_reclaim,
    .remove = console_remove,
    .config_changed = console_config_changed,
};
