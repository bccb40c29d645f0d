/*
 * proof_console_message.c - any control message of any length from a console device: no byte
 * beyond it is read, and only ports that exist are told (5.3.6.2).
 */
// share
// unwind: 4
// control: console/virtio_console.c: if (len < sizeof(size))\n            break; =>
// control: console/virtio_console.c: if (id < vcon->ports) { => if (id <= vcon->ports) {
// control: console/virtio_console.c: if (len < sizeof(message)) { => if (len < 1) {
#include "proof.h"

#include "console/virtio_console.c"

#define PORTS 2

static struct console_port ports[PORTS];
static const uint8_t *message_end;

static void told(const struct console_port *port)
{
    claim(port == &ports[0] || port == &ports[1]);
}

void console_port_added(struct console_port *port)
{
    told(port);
}

void console_port_removed(struct console_port *port)
{
    told(port);
}

void console_port_made_console(struct console_port *port)
{
    told(port);
}

void console_port_connected(struct console_port *port, bool connected)
{
    (void)connected;
    told(port);
}

void console_port_named(struct console_port *port, const uint8_t *name, size_t len)
{
    told(port);
    claim(name + len == message_end);
}

int virtqueue_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
                  void *token)
{
    (void)vq;
    claim(out == 1 && in == 0 && token == sg[0].data);
    return any_bool() ? 0 : -ENOSPC;
}

void *virtqueue_get_buf(struct virtqueue *vq, uint32_t *len)
{
    (void)vq;
    (void)len;
    return NULL;
}

int main(void)
{
    static struct console_control control;
    static struct virtio_device device;
    struct virtio_console vcon = {.device = &device,
                                  .control = &control,
                                  .control_free = any_u32(),
                                  .port = ports,
                                  .ports = PORTS};
    size_t len = any_unsigned() % (CONTROL_MESSAGE_SIZE + 1);
    uint8_t *message = malloc(len);

    ports[0].present = any_bool();
    ports[1].present = any_bool();
    message_end = message + len;
    take_message(&vcon, message, len);
    return 0;
}
