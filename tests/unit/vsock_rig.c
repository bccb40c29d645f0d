/* vsock_rig.c - see vsock_rig.h. */
#include "vsock_rig.h"

#include "support.h"

#include "hosted/fake_pci.h"
#include "loop.h"
#include "virtio/virtio_pci.h"
#include "vsock/virtio_vsock.h"

struct device_vsock rig_device;
uint64_t rig_ring;

static const struct virtio_driver *const drivers[] = {&virtio_vsock_driver};

/* ---- the user ---- */

static void on_connected(void *arg, struct vsock_connection *connection)
{
    struct rig_user *user = arg;

    assert_ptr_equal(user->connection, connection);
    user->connected++;
}

static void on_readable(void *arg, struct vsock_connection *connection)
{
    struct rig_user *user = arg;

    assert_ptr_equal(user->connection, connection);
    user->readable++;
}

static void on_writable(void *arg, struct vsock_connection *connection)
{
    struct rig_user *user = arg;

    assert_ptr_equal(user->connection, connection);
    user->writable++;
}

static void on_ended(void *arg, struct vsock_connection *connection, int error)
{
    struct rig_user *user = arg;

    assert_ptr_equal(user->connection, connection);
    user->ended++;
    user->error = error;
    if (!user->close_at_end)
        return;
    user->connection = NULL;
    vsock_close(connection, false);
}

const struct vsock_callbacks rig_callbacks = {
    .connected = on_connected,
    .readable = on_readable,
    .writable = on_writable,
    .ended = on_ended,
};

static int on_accept(void *arg, struct vsock_connection *connection)
{
    struct rig_user *user = arg;

    user->connection = connection;
    vsock_set_callbacks(connection, &rig_callbacks, user);
    return 0;
}

/* ---- device and driver ---- */

unsigned rig_start(const struct device_vsock_setup *setup)
{
    struct device_vsock_setup used = {.features = 1, .cid = RIG_CID, .msix_vectors = 4};

    if (setup)
        used = *setup;
    used.features |= rig_ring;
    fake_pci_reset();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    device_vsock_init(&rig_device, &used);
    virtio_pci_scan();
    return virtio_devices() && virtio_devices()->driver_ok;
}

void rig_settle(void)
{
    do {
        device_run(&rig_device.device);
        hosted_interrupts_deliver();
    } while (loop_turn());
    device_run(&rig_device.device);
}

void rig_end(void)
{
    uint32_t cid;

    virtio_shutdown();
    assert_false(vsock_own_cid(&cid));
    device_vsock_finish(&rig_device);
    fake_pci_reset();
}

/* ---- packets ---- */

const struct device_vsock_packet *rig_expect(unsigned op, uint32_t driver_port, uint32_t port)
{
    const struct device_vsock_packet *packet;

    rig_settle();
    packet = device_vsock_take(&rig_device);
    if (!packet)
        fail_msg("no packet, where operation %u was expected; log:\n%s", op, hosted_log());
    if (packet->header.op != op || packet->header.src_port != driver_port ||
        packet->header.dst_port != port)
        fail_msg("operation %u from %u to %u, not %u from %u to %u", packet->header.op,
                 packet->header.src_port, packet->header.dst_port, op, driver_port, port);
    assert_int_equal(packet->header.dst_cid, 2);
    return packet;
}

void rig_expect_nothing(void)
{
    const struct device_vsock_packet *packet;

    rig_settle();
    packet = device_vsock_take(&rig_device);
    if (packet)
        fail_msg("operation %u from %u to %u, where nothing was expected", packet->header.op,
                 packet->header.src_port, packet->header.dst_port);
}

void rig_accept(struct rig_user *user, uint32_t port, uint32_t driver_port)
{
    memset(user, 0, sizeof(*user));
    assert_int_equal(vsock_listen(driver_port, VSOCK_TYPE_STREAM, on_accept, user), 0);
    assert_true(device_vsock_send(&rig_device, port, driver_port, VSOCK_REQUEST, 0, NULL, 0));
    rig_expect(VSOCK_RESPONSE, driver_port, port);
    vsock_unlisten(driver_port);
    assert_non_null(user->connection);
}

uint32_t rig_connect(struct rig_user *user, uint32_t port)
{
    const struct vsock_address to = {2, port};
    uint32_t driver_port;

    memset(user, 0, sizeof(*user));
    assert_int_equal(vsock_connect(&to, VSOCK_TYPE_STREAM, VSOCK_PORT_ANY, &rig_callbacks, user,
                                   &user->connection),
                     0);
    driver_port = vsock_own_port(user->connection);
    rig_expect(VSOCK_REQUEST, driver_port, port);
    assert_true(device_vsock_send(&rig_device, port, driver_port, VSOCK_RESPONSE, 0, NULL, 0));
    rig_settle();
    assert_int_equal(user->connected, 1);
    return driver_port;
}

void rig_fill(uint8_t *data, size_t len, uint32_t place)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((place + i) * 31 + ((place + i) >> 8));
}
