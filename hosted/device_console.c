/*
 * device_console.c - the model console device (5.3). Read device.c first.
 *
 * Queues (5.3.2): 0 and 1 are port 0, 2 and 3 control, 4 and 5 port 1, 6 and 7 port 2. Receive
 * queues are the even ones.
 */
#include "hosted/device_console.h"

#include <string.h>

#include "hosted/violation.h"

enum { CONTROL_RX = 2, CONTROL_TX = 3 };
enum {
    CONFIG_COLS = 0,
    CONFIG_ROWS = 2,
    CONFIG_PORTS = 4,
    CONFIG_EMERGENCY = 8,
    CONFIG_LENGTH = 12
};

static const struct device_field fields[] = {
    {CONFIG_COLS, 2, 1, CONSOLE_F_SIZE},
    {CONFIG_ROWS, 2, 1, CONSOLE_F_SIZE},
    {CONFIG_PORTS, 4, 1, CONSOLE_F_MULTIPORT},
    {CONFIG_EMERGENCY, 4, 1, CONSOLE_F_EMERG_WRITE},
};

static unsigned rx_queue(unsigned id)
{
    return id ? 2 * id + 2 : 0;
}

static struct device_console_port *port_of(struct device_console *console, unsigned queue)
{
    unsigned id = queue < 2 ? 0 : queue / 2 - 1;

    return id < DEVICE_CONSOLE_PORTS ? &console->port[id] : NULL;
}

/* ---- to the driver ---- */

static struct ring_chain *take_buffer(struct device_console *console, unsigned queue)
{
    struct ring_chain *chain = ring_device_pop(&console->device.queue[queue].ring);

    if (chain && chain->out)
        violation("CONSOLE-OP-1", "%u readable bytes in receive queue %u", chain->readable, queue);
    return chain;
}

static void deliver_control(struct device_console *console)
{
    struct ring_chain *chain;

    if (!device_is_live(&console->device) || !console->device_ready)
        return;
    while (console->message_tail != console->message_head &&
           (chain = take_buffer(console, CONTROL_RX))) {
        unsigned i = console->message_tail++ % DEVICE_CONSOLE_MESSAGES;

        ring_chain_write(chain, 0, console->message[i], console->message_len[i]);
        ring_device_push(&console->device.queue[CONTROL_RX].ring, chain, console->message_len[i]);
    }
    device_signal(&console->device, CONTROL_RX);
}

static void deliver(struct device_console *console, unsigned id)
{
    struct device_console_port *port = &console->port[id];
    struct ring_chain *chain;

    if (!device_is_live(&console->device))
        return;
    while (port->to_send_len > 0 && (chain = take_buffer(console, rx_queue(id)))) {
        size_t n = ring_chain_write(chain, 0, port->to_send, port->to_send_len);

        /* What lies behind the bytes that are claimed is nobody's business (2.7.8.2). */
        ring_chain_write(chain, n, "behind the end", 14);
        port->to_send += n;
        port->to_send_len -= n;
        ring_device_push(&console->device.queue[rx_queue(id)].ring, chain, (uint32_t)n);
    }
    device_signal(&console->device, rx_queue(id));
}

void device_console_raw(struct device_console *console, const void *data, unsigned len)
{
    unsigned i = console->message_head++ % DEVICE_CONSOLE_MESSAGES;

    if (console->message_head - console->message_tail > DEVICE_CONSOLE_MESSAGES)
        hosted_fail("too many control messages");
    memcpy(console->message[i], data, len);
    console->message_len[i] = len;
    deliver_control(console);
}

void device_console_control(struct device_console *console, uint32_t id, uint16_t event,
                            uint16_t value, const void *rest, unsigned len)
{
    struct wire_console_control header = {id, event, value};
    uint8_t message[DEVICE_CONSOLE_MESSAGE_SIZE];

    memcpy(message, &header, sizeof(header));
    if (len)
        memcpy(message + sizeof(header), rest, len);
    device_console_raw(console, message, (unsigned)sizeof(header) + len);
}

/* ---- from the driver ---- */

static void port_ready(struct device_console *console, struct device_console_port *port,
                       unsigned id)
{
    port->ready = true;
    if (port->is_console)
        device_console_control(console, id, CONSOLE_CONSOLE_PORT, 1, NULL, 0);
    if (port->name)
        device_console_control(console, id, CONSOLE_PORT_NAME, 1, port->name,
                               (unsigned)strlen(port->name));
    if (port->is_console)
        device_console_control(console, id, CONSOLE_PORT_OPEN, 1, NULL, 0);
}

static void device_ready(struct device_console *console)
{
    if (console->device_ready++)
        violation("CONSOLE-MP-1", "DEVICE_READY twice");
    for (unsigned id = 0; id < DEVICE_CONSOLE_PORTS; id++)
        if (console->port[id].exists)
            device_console_control(console, id, CONSOLE_DEVICE_ADD, 1, NULL, 0);
    deliver_control(console);
}

/* What a legacy device says it wrote to what it only reads means nothing (5.3.6.2). */
static uint32_t used_length(const struct device_console *console)
{
    return device_is_legacy(&console->device) ? 77 : 0;
}

static void take_control(struct device_console *console, struct ring_chain *chain)
{
    struct wire_console_control message;
    struct device_console_port *port;

    if (device_is_legacy(&console->device) && chain->out != 1)
        violation("LEG-CONSOLE-FRAME-1", "a control message in %u descriptors", chain->out);
    if (chain->readable != sizeof(message)) {
        violation("CONSOLE-T-INIT-2", "a control message of %u bytes", chain->readable);
        return;
    }
    ring_chain_read(chain, 0, &message, sizeof(message));
    if (message.event == CONSOLE_DEVICE_READY) {
        device_ready(console);
        return;
    }
    if (!console->device_ready)
        violation("CONSOLE-MP-1", "control message %u before DEVICE_READY", message.event);
    if (message.event == CONSOLE_PORT_READY && !message.value) {
        console->refused++;
        return;
    }
    port = message.id < DEVICE_CONSOLE_PORTS ? &console->port[message.id] : NULL;
    if (!port || !port->exists) {
        violation("CONSOLE-T-INIT-2", "control message %u for port %u, which is not there",
                  message.event, message.id);
    } else if (message.event == CONSOLE_PORT_READY) {
        port_ready(console, port, message.id);
    } else if (message.event == CONSOLE_PORT_OPEN) {
        if (port->is_console && message.value != 1)
            violation("CONSOLE-MP-4", "PORT_OPEN with %u for a console", message.value);
        port->driver_open = message.value;
        *(message.value ? &port->opens : &port->closes) += 1;
    } else {
        violation("CONSOLE-T-INIT-2", "control message %u from the driver", message.event);
    }
}

static void take_text(struct device_console *console, unsigned queue, struct ring_chain *chain)
{
    struct device_console_port *port = port_of(console, queue);

    if (port->received_len + chain->readable > DEVICE_CONSOLE_TEXT)
        hosted_fail("more text than the model console keeps");
    ring_chain_read(chain, 0, port->received + port->received_len, chain->readable);
    port->received_len += chain->readable;
}

static void serve_tx(struct device_console *console, unsigned queue)
{
    struct ring_device *ring = &console->device.queue[queue].ring;
    struct device_console_port *port = port_of(console, queue);
    struct ring_chain *chain;

    while ((chain = ring_device_pop(ring))) {
        if (chain->in)
            violation("CONSOLE-OP-2", "%u writable bytes in transmit queue %u", chain->writable,
                      queue);
        if (queue == CONTROL_TX && console->hold_control) {
            console->held_control[console->held_control_count++] = chain;
            continue;
        }
        if (queue != CONTROL_TX && port->hold) {
            port->held[port->held_count++] = chain;
            continue;
        }
        if (queue == CONTROL_TX)
            take_control(console, chain);
        else
            take_text(console, queue, chain);
        ring_device_push(ring, chain, 0);
    }
    ring_device_want_notify(ring, true);
    device_signal(&console->device, queue);
}

static void serve(struct device *device, unsigned queue)
{
    struct device_console *console = device->state;

    if (queue % 2) {
        serve_tx(console, queue);
        return;
    }
    ring_device_want_notify(&device->queue[queue].ring, true);
    if (queue == CONTROL_RX && console->setup.multiport)
        deliver_control(console);
    else if (port_of(console, queue))
        deliver(console, (unsigned)(port_of(console, queue) - console->port));
}

void device_console_release(struct device_console *console, unsigned id)
{
    struct device_console_port *port = &console->port[id];
    unsigned queue = rx_queue(id) + 1;

    for (unsigned i = 0; i < port->held_count; i++) {
        take_text(console, queue, port->held[i]);
        ring_device_push(&console->device.queue[queue].ring, port->held[i], used_length(console));
    }
    port->held_count = 0;
    device_signal(&console->device, queue);
}

void device_console_release_control(struct device_console *console)
{
    for (unsigned i = 0; i < console->held_control_count; i++) {
        take_control(console, console->held_control[i]);
        ring_device_push(&console->device.queue[CONTROL_TX].ring, console->held_control[i],
                         used_length(console));
    }
    console->held_control_count = 0;
    device_signal(&console->device, CONTROL_TX);
}

/* ---- what a test does ---- */

void device_console_add(struct device_console *console, unsigned id, bool is_console,
                        const char *name)
{
    console->port[id].exists = true;
    console->port[id].is_console = is_console;
    console->port[id].name = name;
    if (console->device_ready)
        device_console_control(console, id, CONSOLE_DEVICE_ADD, 1, NULL, 0);
}

void device_console_remove(struct device_console *console, unsigned id)
{
    console->port[id].exists = console->port[id].ready = console->port[id].driver_open = false;
    device_console_control(console, id, CONSOLE_DEVICE_REMOVE, 1, NULL, 0);
}

void device_console_open(struct device_console *console, unsigned id, bool open)
{
    device_console_control(console, id, CONSOLE_PORT_OPEN, open, NULL, 0);
}

void device_console_send(struct device_console *console, unsigned id, const void *data, size_t len)
{
    console->port[id].to_send = data;
    console->port[id].to_send_len = len;
    deliver(console, id);
}

static void config_written(struct device *device, unsigned offset)
{
    struct device_console *console = device->state;

    if (offset != CONFIG_EMERGENCY)
        violation("CORE-CFG-4", "the driver wrote to %u of the console's configuration", offset);
    else if (console->emergency_len + 1 < sizeof(console->emergency))
        console->emergency[console->emergency_len++] = (char)device->config[offset];
}

static void forget(struct device *device)
{
    struct device_console *console = device->state;

    console->device_ready = 0;
    console->message_tail = console->message_head;
    console->held_control_count = 0;
    for (unsigned id = 0; id < DEVICE_CONSOLE_PORTS; id++) {
        console->port[id].ready = console->port[id].driver_open = false;
        console->port[id].held_count = 0;
    }
}

static const struct device_type console_type = {
    .name = "console",
    .id = 3,
    .field = fields,
    .fields = sizeof(fields) / sizeof(fields[0]),
    .serve = serve,
    .reset = forget,
    .config_written = config_written,
};

void device_console_init(struct device_console *console, const struct device_console_setup *setup)
{
    uint8_t config[CONFIG_LENGTH] = {80, 0, 25, 0};
    uint64_t features = setup->more_features;

    memset(console, 0, sizeof(*console));
    console->setup = *setup;
    memcpy(config + CONFIG_PORTS, &setup->max_ports, 4);
    features |= (uint64_t)setup->size << CONSOLE_F_SIZE;
    features |= (uint64_t)setup->multiport << CONSOLE_F_MULTIPORT;
    features |= (uint64_t)setup->emergency << CONSOLE_F_EMERG_WRITE;
    device_init(&console->device,
                &(struct device_setup){.type = &console_type,
                                       .features = features,
                                       .queues = setup->multiport ? DEVICE_MAX_QUEUES : 2,
                                       .queue_size = 64,
                                       .msix_vectors = setup->msix_vectors,
                                       .config = config,
                                       .config_length = sizeof(config),
                                       .state = console});
}

void device_console_finish(struct device_console *console)
{
    device_finish(&console->device);
}
