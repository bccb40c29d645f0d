/*
 * target_console.c - the console driver (5.3) with its ports under a hostile device, and an
 * application at a named port.
 *
 * The good device has the console at port 0 and the port "agent" at 1.
 */
#include "console/console_port.h"
#include "console/virtio_console.h"

#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"
#include "loop.h"
#include "virtio/spec_devices.h"

#define AGENT "agent"

static struct console_port *port;
static bool is_open;
static uint8_t *memory;
static unsigned told; /* control messages so far */

static void ignore(void *arg, struct console_port *of)
{
    (void)arg;
    (void)of;
}

static void changed(void *arg, struct console_port *of)
{
    (void)arg;
    if (!console_port_is_present(of))
        is_open = false;
}

static const struct console_port_callbacks callbacks = {ignore, ignore, changed};

static void found(void *arg, struct console_port *there)
{
    (void)arg;
    port = there;
    is_open = console_port_open(port, &callbacks, NULL) == 0;
}

static struct console_port_watch watch = {.name = AGENT, .found = found};

static void start(uint8_t *at)
{
    memory = at;
    port = NULL;
    is_open = false;
    console_port_watch(&watch);
}

static void use(uint8_t op, struct input *input)
{
    uint16_t cols, rows;

    if (!port)
        return;
    switch (op % 5) {
    case 0:
        console_port_read(port, memory, input_u8(input) * 4u);
        break;
    case 1:
        console_port_write(port, memory, input_u8(input) * 40u);
        break;
    case 2:
        console_port_close(port);
        is_open = false;
        break;
    case 3:
        is_open |= console_port_open(port, &callbacks, NULL) == 0;
        break;
    default:
        console_port_size(&cols, &rows);
        console_port_find(AGENT);
    }
}

static bool is_found(void)
{
    loop_turn();
    return port && is_open;
}

static void stop(void)
{
    if (is_open)
        console_port_close(port);
    console_port_unwatch(&watch);
}

/* id, event and value of a message, and a name */
static const struct {
    uint8_t message[8];
    const char *name;
} messages[] = {
    {{0, 0, 0, 0, VIRTIO_CONSOLE_DEVICE_ADD}, ""},
    {{0, 0, 0, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 0, 1}, ""},
    {{0, 0, 0, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 1}, ""},
    {{1, 0, 0, 0, VIRTIO_CONSOLE_DEVICE_ADD}, ""},
    {{1, 0, 0, 0, VIRTIO_CONSOLE_PORT_NAME, 0, 1}, AGENT},
    {{1, 0, 0, 0, VIRTIO_CONSOLE_PORT_OPEN, 0, 1}, ""},
};

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    uint8_t text[16];
    size_t len;

    if (queue != VIRTIO_CONSOLE_CONTROL_RX)
        return chain->in ? HOSTILE_KEEP : 0;
    if (told == sizeof(messages) / sizeof(messages[0]) || chain->in == 0)
        return HOSTILE_KEEP;
    memcpy(text, messages[told].message, 8);
    len = 8 + strlen(messages[told].name);
    memcpy(text + 8, messages[told++].name, len - 8);
    if (chain->piece[0].len < len)
        return 0;
    memcpy(chain->piece[0].data, text, len);
    return (uint32_t)len;
}

static const struct hostile_type type = {
    .driver = &virtio_console_driver,
    .id = 3,
    .queues = 6,
    .features = 1u << VIRTIO_CONSOLE_F_SIZE | 1u << VIRTIO_CONSOLE_F_MULTIPORT,
    .config = {80, 0, 25, 0, 2},
    .answer = answer,
    .start = start,
    .use = use,
    .stop = stop,
    .found = is_found,
};

void fuzz_console(struct input *input, bool packed)
{
    told = 0;
    hostile_run(&type, packed, input);
}
