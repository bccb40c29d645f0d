/*
 * vsock_rig.h - what the tests of vsock/ share: the model socket device with the driver on it, and
 * a user of connections who notes what he is told.
 */
#ifndef FERRULE_TESTS_VSOCK_RIG_H
#define FERRULE_TESTS_VSOCK_RIG_H

#include "hosted/device_vsock.h"
#include "vsock/vsock.h"

#define RIG_CID 42u

extern struct device_vsock rig_device;

/* Features that are added to those of the device, for another kind of ring. */
extern uint64_t rig_ring;

struct rig_user {
    struct vsock_connection *connection;
    unsigned connected, readable, writable, ended;
    int error;
    bool close_at_end; /* closes when it hears of the end */
};

extern const struct vsock_callbacks rig_callbacks; /* for a struct rig_user */

/* Makes the device and finds it; 1 when it is driven. NULL: CID 42, STREAM, queues of 64. */
unsigned rig_start(const struct device_vsock_setup *setup);
/* Device and driver until nothing happens any more. */
void rig_settle(void);
/* The driver goes, and must leave nothing; then the device. */
void rig_end(void);

/* The next packet of the driver must be this operation between these ports, and is returned. */
const struct device_vsock_packet *rig_expect(unsigned op, uint32_t driver_port, uint32_t port);
/* It must have sent nothing more. */
void rig_expect_nothing(void);

/* A connection from the host's port to the driver's, which is listened at for this time. */
void rig_accept(struct rig_user *user, uint32_t port, uint32_t driver_port);
/* A connection to the host's port, accepted. Returns the driver's port. */
uint32_t rig_connect(struct rig_user *user, uint32_t port);

/* Bytes to be told apart by their place. */
void rig_fill(uint8_t *data, size_t len, uint32_t place);

#endif
