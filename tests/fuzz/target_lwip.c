/*
 * target_lwip.c - frames from the network into the whole stack: the driver, lwIP's interface
 * (net/lwip_netif.c), TCP, UDP, DHCP, DNS and a server that answers.
 *
 * The device is a good one; the frames are the input's. Sums and numbers that a sender would get
 * right can be put right here, or nothing would pass the first check. The stack lives as long as the
 * program, connections only for a run.
 */
#include <sanitizer/lsan_interface.h>

#include "fuzz.h"
#include "hostile.h"
#include "hosted/hosted.h"
#include "loop.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"
#include "net/lwip_netif.h"
#include "net/virtio_net.h"
#include "virtio/spec_net.h"

#define FRAMES 24u
#define FRAME_SIZE 600u
#define HEADER 12u
#define ETHERNET 14u
#define RECEIVE 0
#define TCP 6
#define ARP_REPLY 2

/* What is put right in a frame. */
enum { FIX_TARGET = 1, FIX_IP = 2, FIX_TCP = 4, BELIEVED = 8, ROW = 16, OTHER_CLIENT = 32 };

static struct hostile *device;
/* What an answer to the last TCP segment from here would acknowledge, and begin with. */
static uint32_t next_acknowledged, next_sequence;
static unsigned answers; /* to ARP requests */

/* ---- the other end ---- */

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Remembers the numbers of TCP, which nobody could guess. */
static void note_tcp(const uint8_t *ip)
{
    uint32_t len = (uint32_t)(ip[2] << 8 | ip[3]) - 20 - (ip[32] >> 4) * 4u;
    uint8_t flags = ip[33];

    next_acknowledged =
        get32(ip + 24) + len + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
    next_sequence = get32(ip + 28);
}

static void note_sent(const struct hostile_chain *chain)
{
    uint8_t frame[ETHERNET + 40] = {0};
    uint32_t at = 0;

    for (unsigned i = 0; i < chain->out && at < HEADER + sizeof(frame); i++)
        for (uint32_t n = 0; n < chain->piece[i].len && at < HEADER + sizeof(frame); n++, at++)
            if (at >= HEADER)
                frame[at - HEADER] = chain->piece[i].data[n];
    if (frame[12] == 8 && frame[13] == 0 && frame[ETHERNET + 9] == TCP)
        note_tcp(frame + ETHERNET);
    answers += frame[12] == 8 && frame[13] == 6 && frame[ETHERNET + 7] == ARP_REPLY;
}

static uint32_t answer(unsigned queue, struct hostile_chain *chain)
{
    if (queue == RECEIVE)
        return HOSTILE_KEEP;
    note_sent(chain);
    return 0;
}

static const struct hostile_type type = {
    .driver = &virtio_net_driver,
    .id = 1,
    .queues = 2,
    .features = 1u << VIRTIO_NET_F_MAC | 1u << VIRTIO_NET_F_GUEST_CSUM | 1u << VIRTIO_NET_F_CSUM |
                1u << VIRTIO_NET_F_HOST_TSO4 | 1u << VIRTIO_NET_F_HOST_TSO6 |
                1u << VIRTIO_NET_F_MRG_RXBUF | 1u << VIRTIO_NET_F_HOST_UFO,
    .more_features = 1u << (VIRTIO_NET_F_GUEST_USO4 - 32) | 1u << (VIRTIO_NET_F_HOST_USO - 32),
    .config = {0x52, 0x54, 0, 1, 2, 3},
    .answer = answer,
};

static void put32(uint8_t *at, uint32_t value)
{
    value = lwip_htonl(value);
    memcpy(at, &value, 4);
}

/* A segment of a client, of one of two, to the server: as it should come next, but for its flags. */
static void put_tcp_right(uint8_t *ip, bool other)
{
    ip[9] = TCP;
    memcpy(ip + 12, (const uint8_t[]){10, 0, 2, 9, 10, 0, 2, 15, 4, other, 0, 7}, 12);
    if (!(ip[33] & TCP_SYN))
        put32(ip + 24, next_sequence);
    put32(ip + 28, next_acknowledged);
    if (ip[32] < 0x50)
        ip[32] = 0x50;
}

static void put_right(uint8_t *frame, size_t len, uint8_t how)
{
    uint8_t *ip = frame + ETHERNET;
    uint32_t sum = 0;

    if (how & FIX_TARGET && len >= 6)
        memcpy(frame, mac, 6);
    if (len < ETHERNET + 40)
        return;
    if (how & FIX_TCP)
        put_tcp_right(ip, how & OTHER_CLIENT);
    if (how & FIX_IP) {
        frame[12] = 8;
        frame[13] = 0;
        ip[0] = 0x45;
        ip[2] = (uint8_t)((len - ETHERNET) >> 8);
        ip[3] = (uint8_t)(len - ETHERNET);
        if (how & FIX_TCP)
            ip[6] = ip[7] = 0;
        memcpy(ip + 16, (const uint8_t[]){10, 0, 2, 15}, 4);
        ip[10] = ip[11] = 0;
        for (unsigned i = 0; i < 20; i += 2)
            sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = ~(sum + (sum >> 16));
        ip[10] = (uint8_t)(sum >> 8);
        ip[11] = (uint8_t)sum;
    }
}

static void receive(struct input *input)
{
    static struct hostile_chain chain;
    static uint8_t frame[FRAME_SIZE];
    uint8_t how = input_u8(input);
    size_t len = input_bytes(input, frame, input_u16(input) % FRAME_SIZE);
    uint8_t header[HEADER] = {how & BELIEVED ? VIRTIO_NET_HDR_F_DATA_VALID : 0, [10] = 1};
    struct hostile_queue *q = &device->queue[RECEIVE];

    if (how & ROW) { /* of datagrams, a few bytes each */
        header[1] = VIRTIO_NET_HDR_GSO_UDP_L4;
        header[4] = how >> 5;
    }
    put_right(frame, len, how);
    if (!hostile_ring_take(q, device->packed, &chain))
        return;
    if (chain.piece[0].len < HEADER + len)
        hosted_fail("a receive buffer of %u bytes", chain.piece[0].len);
    memcpy(chain.piece[0].data, header, HEADER);
    memcpy(chain.piece[0].data + HEADER, frame, len);
    hostile_ring_put(q, device->packed, chain.id, (uint32_t)(HEADER + len), 1);
}

/* ---- the servers ---- */

static err_t echo(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)arg;
    (void)error;
    if (!p) {
        tcp_close(pcb);
        return ERR_OK;
    }
    tcp_recved(pcb, p->tot_len);
    tcp_write(pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY);
    pbuf_free(p);
    return ERR_OK;
}

static err_t accept_one(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    tcp_recv(pcb, echo);
    return ERR_OK;
}

static void answer_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                            u16_t port)
{
    (void)arg;
    udp_sendto(pcb, p, from, port);
    pbuf_free(p);
}

static void start_servers(void)
{
    struct tcp_pcb *tcp = tcp_new();
    struct udp_pcb *udp = udp_new();

    tcp_bind(tcp, IP_ANY_TYPE, 7);
    tcp_accept(tcp_listen(tcp), accept_one);
    udp_bind(udp, IP_ANY_TYPE, 7);
    udp_recv(udp, answer_datagram, NULL);
}

/* ---- the run ---- */

/* Does anything reach the stack? It must answer who asks for its address, and knows the client's then. */
static void ask_for_address(void)
{
    static const uint8_t request[] = {
        0, 42, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1,  8, 0, 6, 4,
        0, 1,  2, 0,    0,    0,    0,    1,    10,   0, 2, 9, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15};
    struct input input = {request, request + sizeof(request)};

    answers = 0;
    receive(&input);
    loop_turn();
    hostile_serve(device);
    if (answers != 1)
        hosted_fail("a request was answered %u times", answers);
}

void fuzz_lwip_prepare(void)
{
    /* The device itself does nothing that the input says: it must live as long as the program. */
    static struct input none;

    hosted_dma_use_heap(true);
    device = hostile_open(&type, false, &none);
    hosted_set_cmdline(
        "ip=10.0.2.15::10.0.2.2:255.255.255.0:ferrule:eth0:off:10.0.2.3 ip6=fd00::15/64 vlan=eth0:100 "
        "ntp=10.0.2.2");
    hosted_set_memory(64u << 20, 32u << 20);
    /* It stays, and the pointers to some of it lie in device memory. */
    __lsan_disable();
    if (net_init() != 2)
        hosted_fail("the network did not come up");
    start_servers();
    ask_for_address();
    __lsan_enable();
}

void fuzz_lwip(struct input *input, bool packed)
{
    (void)packed;
    ask_for_address();
    for (unsigned n = 0; n < FRAMES && !input_is_empty(input); n++) {
        uint8_t op = input_u8(input);

        if (op & 0x80)
            hosted_clock_advance((op & 0x7f) * UINT64_C(50000000));
        else
            receive(input);
        hostile_serve(device);
        loop_turn();
    }
    while (tcp_active_pcbs)
        tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs)
        tcp_abort(tcp_tw_pcbs);
    hostile_serve(device);
    loop_turn();
}
