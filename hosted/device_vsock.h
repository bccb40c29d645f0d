/*
 * device_vsock.h - the model socket device (5.10): the host's side of connections, packet by packet
 * as a test wants them, and a watch over what the driver must do.
 *
 * A test sends packets by device_vsock_send() and looks at what came by device_vsock_take(). The
 * model keeps for each connection what was said of buffers, and reports a driver that sends more
 * than there is room for, from a wrong address, or leaves a packet of an unknown type unanswered.
 */
#ifndef FERRULE_HOSTED_DEVICE_VSOCK_H
#define FERRULE_HOSTED_DEVICE_VSOCK_H

#include "hosted/device.h"

#define DEVICE_VSOCK_PACKETS 256
#define DEVICE_VSOCK_PAYLOAD 4096
#define DEVICE_VSOCK_FLOWS 128

/* One that the driver sent. */
struct device_vsock_packet {
    struct wire_vsock_header header;
    uint8_t payload[DEVICE_VSOCK_PAYLOAD];
};

/* What each side has said of a connection. */
struct device_vsock_flow {
    bool used;
    uint32_t driver_port, port;
    uint32_t buf_alloc, fwd_cnt; /* of the host's buffer, as last sent to the driver */
    uint32_t taken;              /* bytes of data that the driver has sent since it was opened */
    uint32_t given;              /* and the host */
    uint32_t driver_buf_alloc, driver_fwd_cnt;
};

struct device_vsock {
    struct device device;
    uint32_t cid;    /* of the driver, as its configuration had it when it was read last */
    uint16_t type;   /* of the packets that device_vsock_send() sends; STREAM at first */
    uint32_t buffer; /* bytes of the host's buffer for new flows; 64 KiB at first */
    bool hold;       /* the driver's packets are not taken */
    struct device_vsock_flow flow[DEVICE_VSOCK_FLOWS];
    struct device_vsock_packet packet[DEVICE_VSOCK_PACKETS];
    unsigned head, tail; /* run freely */
    unsigned unanswered; /* packets of an unknown type that want an RST */
    uint64_t received;   /* packets from the driver in all */
};

struct device_vsock_setup {
    uint64_t features;
    uint64_t cid;
    uint16_t queue_size;
    unsigned msix_vectors;
};

void device_vsock_init(struct device_vsock *vsock, const struct device_vsock_setup *setup);
void device_vsock_finish(struct device_vsock *vsock);

/*
 * Gives the driver a packet, header as it is, with `payload` of `len` bytes behind it, and says that
 * `used` bytes were written. False: it has left no buffer. The counts of the flow are not looked at,
 * only noted.
 */
bool device_vsock_send_raw(struct device_vsock *vsock, const struct wire_vsock_header *header,
                           const void *payload, uint32_t len, uint32_t used);

/* The same for a truthful packet from the host (CID 2): addresses, length, type and buffer are filled
 * in. */
bool device_vsock_send(struct device_vsock *vsock, uint32_t port, uint32_t driver_port, unsigned op,
                       uint32_t flags, const void *payload, uint32_t len);

/* The host takes so many bytes out of its buffer; its next packet says so. */
void device_vsock_forward(struct device_vsock *vsock, uint32_t port, uint32_t driver_port,
                          uint32_t bytes);

/* The next packet that the driver sent, or NULL. It stays until another 255 have come. */
const struct device_vsock_packet *device_vsock_take(struct device_vsock *vsock);

/* What is known of a connection, or NULL. */
struct device_vsock_flow *device_vsock_flow(struct device_vsock *vsock, uint32_t port,
                                            uint32_t driver_port);

/* Sends the event; the configuration has this CID from now on. */
bool device_vsock_transport_reset(struct device_vsock *vsock, uint64_t cid);
/* An event of any kind and length. */
bool device_vsock_event(struct device_vsock *vsock, uint32_t id, uint32_t len);

/* Receive buffers that the driver has left with the device. */
unsigned device_vsock_buffers(const struct device_vsock *vsock);

#endif
