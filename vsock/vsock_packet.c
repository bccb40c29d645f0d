/*
 * vsock_packet.c - the pages that packets are in, sent or received.
 *
 * Taken from the machine in chunks when a device or a connection comes, never on the data path, and
 * given back when the device goes. What a connection may keep is limited (vsock_impl.h), so a peer
 * cannot make it more. Read vsock_connection.c next.
 */
#include <errno.h>

#include "vsock/vsock_impl.h"

#define CHUNK_PACKETS VSOCK_KEPT_MAX
#define CHUNKS_MAX (VSOCK_QUEUE_CHUNKS + VSOCK_CONNECTIONS_MAX)

static struct chunk {
    uint8_t *pages;
    struct vsock_packet packet[CHUNK_PACKETS];
} * chunk[CHUNKS_MAX];
static unsigned chunks, reserved;
static struct vsock_packet *free_packets;

static int add_chunk(void)
{
    struct chunk *fresh = platform_dma_alloc(sizeof(*fresh), 64);

    if (!fresh)
        return -ENOMEM;
    fresh->pages = platform_dma_alloc(CHUNK_PACKETS * VSOCK_PACKET_SIZE, VSOCK_PACKET_SIZE);
    if (!fresh->pages) {
        platform_dma_free(fresh, sizeof(*fresh));
        return -ENOMEM;
    }
    for (unsigned i = 0; i < CHUNK_PACKETS; i++) {
        fresh->packet[i].hdr = (void *)(fresh->pages + i * VSOCK_PACKET_SIZE);
        vsock_packet_give(&fresh->packet[i]);
    }
    chunk[chunks++] = fresh;
    return 0;
}

int vsock_packets_reserve(unsigned count)
{
    while (chunks < reserved + count) {
        int error = chunks < CHUNKS_MAX ? add_chunk() : -ENOMEM;

        if (error)
            return error;
    }
    reserved += count;
    return 0;
}

void vsock_packets_unreserve(unsigned count)
{
    reserved -= count;
}

void vsock_packets_finish(void)
{
    free_packets = NULL;
    while (chunks) {
        struct chunk *last = chunk[--chunks];

        platform_dma_free(last->pages, CHUNK_PACKETS * VSOCK_PACKET_SIZE);
        platform_dma_free(last, sizeof(*last));
    }
}

struct vsock_packet *vsock_packet_take(void)
{
    struct vsock_packet *packet = free_packets;

    if (packet) {
        free_packets = packet->next;
        packet->next = NULL;
        packet->len = packet->taken = 0;
    }
    return packet;
}

void vsock_packet_give(struct vsock_packet *packet)
{
    packet->next = free_packets;
    free_packets = packet;
}
