/*
 * net_port.c - frames with a number and contents that follow from it, sent and expected back.
 *
 * A frame's number says which slot of `expected` knows its length, so a frame that comes twice, or
 * of another length, is wrong. Buffers are lent again as soon as they were looked at. Read
 * net_port.h first.
 */
#include "net_port.h"

#include <stddef.h>
#include <string.h>

#include "loop.h"
#include "net/nic.h"
#include "platform.h"

#define BUFFER_BYTES 2048u
#define BUDGET 64u
/* Numbers that can be outstanding at once; more than the device's queues hold. */
#define EXPECTED 4096u
#define PAYLOAD offsetof(struct frame, payload)

struct frame {
    uint8_t destination[6], source[6];
    uint8_t type[2];
    uint8_t number[4];
    uint8_t payload[BUFFER_BYTES - 18];
};

static struct nic *nic;
static uint8_t *rx_memory, *tx_memory;
static struct frame *tx_free[NET_PORT_SLOTS];
static void *rx_free[NET_PORT_SLOTS];
static unsigned tx_free_count, rx_free_count;
static uint16_t expected[EXPECTED]; /* length of the frame with this number, 0: none is out */
static uint32_t next_number;
static uint64_t outstanding;
static struct net_port_counts counts;

static uint8_t content(uint32_t number, unsigned at)
{
    return (uint8_t)(number * 31 + at);
}

/* ---- what the driver says ---- */

static bool is_right(const struct frame *frame, uint32_t len)
{
    uint32_t number;

    if (len < NET_PORT_FRAME_MIN)
        return false;
    memcpy(&number, frame->number, sizeof(number));
    if (expected[number % EXPECTED] != len || next_number - number > EXPECTED)
        return false;
    for (unsigned i = 0; i < len - PAYLOAD; i++)
        if (frame->payload[i] != content(number, i))
            return false;
    expected[number % EXPECTED] = 0;
    return true;
}

static void take_frame(const struct nic_rx_frame *frame)
{
    const struct nic_piece *piece = frame->piece;

    if (frame->pieces == 1 && is_right(piece[0].data, piece[0].len)) {
        counts.received++;
        outstanding--;
    } else {
        counts.wrong++;
    }
    for (unsigned i = 0; i < frame->pieces; i++)
        rx_free[rx_free_count++] = piece[i].buffer;
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    (void)arg;
    for (unsigned i = 0; i < count; i++)
        take_frame(&frame[i]);
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    rx_free[rx_free_count++] = buffer;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    counts.sent += count;
    for (unsigned i = 0; i < count; i++)
        tx_free[tx_free_count++] = token[i];
}

static void lend_buffers(void)
{
    int taken = rx_free_count > 0 ? nic_rx_provide(nic, rx_free, rx_free_count, BUFFER_BYTES) : 0;

    if (taken <= 0)
        return;
    rx_free_count -= (unsigned)taken;
    memmove(rx_free, rx_free + taken, rx_free_count * sizeof(rx_free[0]));
}

static void changed(void *arg)
{
    (void)arg;
}

static void restarted(void *arg)
{
    (void)arg;
    lend_buffers();
    nic_kick(nic);
}

static const struct nic_callbacks callbacks = {.received = received,
                                               .reclaimed = reclaimed,
                                               .sent = sent,
                                               .changed = changed,
                                               .restarted = restarted};

/* ---- the user's side ---- */

static unsigned source_poll(void *arg, unsigned budget);
static bool source_arm(void *arg);
static struct loop_source source = {.name = "port", .poll = source_poll, .arm = source_arm};

bool net_port_open(void)
{
    nic = nic_at(0);
    rx_free_count = tx_free_count = 0;
    next_number = 0;
    outstanding = 0;
    counts = (struct net_port_counts){0};
    memset(expected, 0, sizeof(expected));
    if (!nic)
        return false;
    rx_memory = platform_dma_alloc(NET_PORT_SLOTS * BUFFER_BYTES, 4096);
    tx_memory = platform_dma_alloc(NET_PORT_SLOTS * BUFFER_BYTES, 4096);
    for (unsigned i = 0; i < NET_PORT_SLOTS; i++) {
        rx_free[rx_free_count++] = rx_memory + (size_t)i * BUFFER_BYTES;
        tx_free[tx_free_count++] = (struct frame *)(tx_memory + (size_t)i * BUFFER_BYTES);
    }
    nic_attach(nic, &callbacks, NULL);
    lend_buffers();
    nic_kick(nic);
    loop_add(&source);
    return true;
}

bool net_port_close(void)
{
    bool all = rx_free_count == NET_PORT_SLOTS && tx_free_count == NET_PORT_SLOTS;

    loop_remove(&source);
    platform_dma_free(rx_memory, NET_PORT_SLOTS * BUFFER_BYTES);
    platform_dma_free(tx_memory, NET_PORT_SLOTS * BUFFER_BYTES);
    return all;
}

static void fill(struct frame *frame, uint32_t number, unsigned len)
{
    memcpy(frame->destination, nic->mac, 6);
    memcpy(frame->source, nic->mac, 6);
    frame->type[0] = 0x88; /* 0x88b5: for local experiments (IEEE 802) */
    frame->type[1] = 0xb5;
    memcpy(frame->number, &number, sizeof(number));
    for (unsigned i = 0; i < len - PAYLOAD; i++)
        frame->payload[i] = content(number, i);
}

unsigned net_port_send(unsigned count, unsigned len)
{
    unsigned done = 0;

    for (; done < count && tx_free_count > 0; done++) {
        struct frame *frame = tx_free[tx_free_count - 1];
        uint32_t number = next_number;
        unsigned bytes =
            len ? len
                : NET_PORT_FRAME_MIN + number * 7 % (NET_PORT_FRAME_MAX - NET_PORT_FRAME_MIN + 1);
        struct virtqueue_sg piece = {frame, bytes};

        if (expected[number % EXPECTED])
            break;
        fill(frame, number, bytes);
        if (nic_tx(nic, &piece, 1, 0, NULL, frame))
            break;
        tx_free_count--;
        next_number++;
        expected[number % EXPECTED] = (uint16_t)bytes;
        counts.submitted++;
        outstanding++;
    }
    return done;
}

void net_port_kick(void)
{
    nic_kick(nic);
}

unsigned net_port_poll(void)
{
    unsigned done = nic_poll(nic, BUDGET);

    lend_buffers();
    nic_kick(nic);
    return done;
}

static unsigned source_poll(void *arg, unsigned budget)
{
    (void)arg;
    (void)budget;
    return net_port_poll();
}

static bool source_arm(void *arg)
{
    (void)arg;
    return nic_arm(nic);
}

const struct net_port_counts *net_port_counts(void)
{
    return &counts;
}

uint64_t net_port_outstanding(void)
{
    return outstanding;
}

void net_port_forget(void)
{
    outstanding = 0;
    memset(expected, 0, sizeof(expected));
}
