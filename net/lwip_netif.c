/*
 * lwip_netif.c - NICs as lwIP network interfaces.
 *
 * Owns the way of a received frame, without a copy: it is lwIP's pbuf over the memory that the
 * device wrote, and the memory goes back to the device when lwIP frees the pbuf. Owns the
 * interfaces' loop sources and link state too. Sending is in lwip_transmit.c, addresses and the
 * life of the stack are in lwip_addresses.c and lwip_stack.c. Read lwip_ports.h first.
 */
#include "net/lwip_ports.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/snmp.h"
#include "netif/ethernet.h"

#include "log.h"
#include "net/frame.h"
#include "net/lwip_lookup.h"
#include "net/lwip_port.h"
#include "net/lwip_timewait.h"
#include "platform.h"

/* Receive buffers of one NIC: at most this many, and at most one part in RX_MEMORY_SHARE of the
 * free memory. */
#define RX_BUFFERS_MAX 256u
#define RX_BUFFERS_MIN 16u
#define RX_MEMORY_SHARE 32u
#define RX_BUFFER_LEN 2048u /* with struct rx_buffer */

/* Where the device merges them they are larger if there is the memory, so that large frames take
 * few. */
#define RX_BUFFER_LEN_MAX 16384u

/* In front of each frame's memory, where the device does not write: what is received can be sent back with
 * longer headers, and the NIC's own, where it is. A multiple of what the memory is aligned by. */
#define RX_HEADROOM 64u

/* IPv6 needs links of at least this MTU (RFC 8200, 5). */
#define IPV6_MIN_MTU 1280u

/* A receive buffer: the pbuf that carries it through lwIP, and right behind it what the device
 * writes. */
struct rx_buffer {
    struct pbuf_custom custom; /* first: lwIP hands it back to rx_free() */
    struct port *port;
    struct rx_buffer *next; /* in the list of buffers that are neither the device's nor lwIP's */
    uint8_t headroom[RX_HEADROOM];
    uint8_t memory[] __attribute__((aligned(RX_HEADROOM)));
};

/* ---- receiving ---- */

static struct rx_buffer *rx_buffer_of(void *memory)
{
    return (struct rx_buffer *)((uint8_t *)memory - offsetof(struct rx_buffer, memory));
}

/* Lends the device what is free, as far as it has room. */
static void rx_refill(struct port *port)
{
    void *memory[NIC_BURST];
    while (port->rx_free != NULL) {
        struct rx_buffer *buffer = port->rx_free;
        unsigned count = 0;
        for (; buffer != NULL && count < NIC_BURST; buffer = buffer->next)
            memory[count++] = buffer->memory;
        int taken = nic_rx_provide(port->nic, memory, count, port->rx_buffer_len);
        if (taken <= 0)
            return;
        port->rx_free = rx_buffer_of(memory[taken - 1])->next;
        port->rx_lent += (unsigned)taken;
        port->unkicked = true;
    }
}

static void rx_put(struct rx_buffer *buffer)
{
    buffer->next = buffer->port->rx_free;
    buffer->port->rx_free = buffer;
}

static size_t rx_buffer_size(const struct port *port)
{
    return sizeof(struct rx_buffer) + port->rx_buffer_len;
}

/* Frees a port whose NIC is gone. Its memory is no device's any more. */
static void port_free(struct port *port)
{
    platform_dma_free(port->rx_all, port->rx_buffers * rx_buffer_size(port));
    free(port);
}

/* lwIP is done with a buffer. The next poll lends it again with others, unless the device is running
 * out of them. */
static void rx_free(struct pbuf *p)
{
    struct rx_buffer *buffer = (struct rx_buffer *)p;
    struct port *port = buffer->port;
    rx_put(buffer);
    if (port->nic == NULL && --port->rx_missing == 0)
        port_free(port);
    else if (port->nic != NULL && port->rx_lent < port->rx_buffers / 2)
        rx_refill(port);
}

uint32_t port_rx_headroom(const struct pbuf *p)
{
    if (((const struct pbuf_custom *)p)->custom_free_function != rx_free)
        return 0;
    return (uint32_t)((uint8_t *)p->payload - ((const struct rx_buffer *)p)->headroom);
}

/*
 * The device's pieces as a chain of pbufs over the same memory, which nobody else changes as long as
 * they live: what is sent back or waits in a queue needs no copy. To lwIP it is memory behind the pbuf
 * (PBUF_POOL), so it takes what lies in front of a payload for its own: the headers that were
 * there, and RX_HEADROOM.
 */
static struct pbuf *rx_wrap(const struct nic_piece *piece, unsigned pieces)
{
    struct pbuf *head = NULL;
    for (unsigned i = 0; i < pieces; i++) {
        struct rx_buffer *buffer = rx_buffer_of(piece[i].buffer);
        u16_t len = (u16_t)piece[i].len;
        buffer->custom.custom_free_function = rx_free;
        struct pbuf *p =
            pbuf_alloced_custom(PBUF_RAW, len, PBUF_POOL, &buffer->custom, piece[i].data, len);
        if (head == NULL)
            head = p;
        else
            pbuf_cat(head, p);
    }
    return head;
}

/* A copy of the frame, so that its buffers can go back at once. NULL when memory is short. */
static struct pbuf *rx_copy(const struct nic_piece *piece, unsigned pieces, u16_t total)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, total, PBUF_RAM);
    u16_t at = 0;
    for (unsigned i = 0; p != NULL && i < pieces; i++) {
        pbuf_take_at(p, piece[i].data, (u16_t)piece[i].len, at);
        at = (u16_t)(at + piece[i].len);
    }
    return p;
}

/*
 * Looks into a frame before lwIP does; returns which checks lwIP must make itself. What the device
 * says is about TCP or UDP of this very frame, so it is believed for a frame that holds a whole
 * packet of theirs only.
 */
static u16_t rx_inspect(struct port *port, const struct nic_piece *first, uint8_t protocol,
                        enum nic_checksum checksum)
{
    struct frame_transport transport;
    struct frame_syn syn;
    u16_t flags = port->checksum_flags;
    if (protocol != 0 && protocol != FRAME_PROTOCOL_TCP && protocol != FRAME_PROTOCOL_UDP)
        return flags;
    if (!frame_find_transport(first->data, first->len, &transport) || transport.fragment)
        return flags;
    if (frame_is_syn(first->data, first->len, &transport, &syn) && timewait_reuse(&syn))
        port->time_wait_reused++;
    if (transport.protocol == FRAME_PROTOCOL_TCP && first->len >= transport.offset + 4u)
        lookup_prepare((const uint8_t *)first->data + transport.offset);
    if (checksum == NIC_CHECKSUM_UNKNOWN)
        return flags;
    return flags & (u16_t) ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP);
}

/* Takes a frame. */
static void rx_take(struct port *port, const struct nic_piece *piece, unsigned pieces,
                    const struct nic_received *how)
{
    struct pbuf *p = NULL;
    u32_t total = 0;
    lwip_touch();
    for (unsigned i = 0; i < pieces; i++)
        total += piece[i].len;
    port->rx_lent -= pieces;

    uint8_t protocol = frame_ipv4_protocol(piece[0].data, piece[0].len);
    u16_t checks = rx_inspect(port, &piece[0], protocol, how->checksum);
    bool sound =
        total <= UINT16_MAX && (protocol != 0 || !frame_is_cut_arp(piece[0].data, piece[0].len));
    bool scarce = port->rx_lent < port->rx_buffers / 4;
    if (sound && scarce) {
        p = rx_copy(piece, pieces, (u16_t)total);
        port->rx_copied++;
        port->rx_pressed = port->rx_pressed || (p == NULL && pieces > 1);
    } else if (sound) {
        p = rx_wrap(piece, pieces);
    }
    if (!sound || scarce) {
        for (unsigned i = 0; i < pieces; i++)
            rx_put(rx_buffer_of(piece[i].buffer));
        rx_refill(port);
    }
    if (p == NULL) {
        port->rx_dropped++;
        return;
    }
    MIB2_STATS_NETIF_ADD(&port->netif, ifinoctets, total);
    NETIF_SET_CHECKSUM_CTRL(&port->netif, checks);
    if (how->datagram_size != 0) {
        bool checked = how->checksum != NIC_CHECKSUM_UNKNOWN;
        port->rx_dropped += checked ? port_take_row(port, p, how->datagram_size) : 1;
        pbuf_free(p);
    } else if (port->netif.input(p, &port->netif) != ERR_OK)
        pbuf_free(p);
    NETIF_SET_CHECKSUM_CTRL(&port->netif, port->checksum_flags);
}

/* Callback of the NIC: frames. */
static void on_received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    for (; count > 0; count--, frame++)
        rx_take(arg, frame->piece, frame->pieces, &frame->how);
}

/* Callback of the NIC: a buffer came back without a frame. */
static void on_reclaimed(void *arg, void *memory)
{
    struct port *port = arg;
    port->rx_lent--;
    rx_put(rx_buffer_of(memory));
}

static unsigned rx_buffer_count(const struct port *port, uint64_t memory)
{
    uint64_t count = memory / rx_buffer_size(port);
    unsigned room = nic_rx_room(port->nic);
    if (count > RX_BUFFERS_MAX)
        count = RX_BUFFERS_MAX;
    if (count < RX_BUFFERS_MIN)
        count = RX_BUFFERS_MIN;
    return count < room ? (unsigned)count : room;
}

static uint32_t rx_buffer_len(const struct port *port, uint64_t memory)
{
    uint32_t least = port->nic->rx_buffer_min, len = RX_BUFFER_LEN;
    if ((port->nic->offloads & NIC_LARGE_RECEIVE) != 0)
        while (len < RX_BUFFER_LEN_MAX && 2 * len * RX_BUFFERS_MAX <= memory)
            len *= 2;
    len -= sizeof(struct rx_buffer);
    return least > len ? (least + RX_HEADROOM - 1) / RX_HEADROOM * RX_HEADROOM : len;
}

static bool rx_create(struct port *port)
{
    uint64_t total, available;
    platform_memory(&total, &available);
    port->rx_buffer_len = rx_buffer_len(port, available / RX_MEMORY_SHARE);
    unsigned count = rx_buffer_count(port, available / RX_MEMORY_SHARE);
    if (count == 0)
        return false;
    port->rx_all = platform_dma_alloc(count * rx_buffer_size(port), RX_BUFFER_LEN);
    if (port->rx_all == NULL)
        return false;
    for (unsigned i = count; i-- > 0;) {
        struct rx_buffer *buffer = (void *)((uint8_t *)port->rx_all + i * rx_buffer_size(port));
        memset(buffer, 0, sizeof(*buffer));
        buffer->port = port;
        rx_put(buffer);
    }
    port->rx_buffers = count;
    return true;
}

/* ---- the interface ---- */

static void set_mtu(struct port *port)
{
    u16_t mtu = port->nic->mtu;
    port->netif.mtu = mtu;
    port->netif.mtu6 = mtu;
}

/* Callback of the NIC: link or MTU. */
static void on_changed(void *arg)
{
    struct port *port = arg;
    struct netif *netif = &port->netif;
    bool up = port->nic->link_up, was_up = netif_is_link_up(netif);
    set_mtu(port);
    if (up && !was_up)
        netif_set_link_up(netif); /* announces itself, and DHCP starts anew */
    else if (!up && was_up)
        netif_set_link_down(netif);
    port_update_vlans(port);
    if (up && !was_up)
        port_tx_again(port);
}

/* Callback of the NIC: the device was reset and is back. */
static void on_restarted(void *arg)
{
    struct port *port = arg;
    rx_refill(port);
    port_tx_again(port);
    nic_kick(port->nic);
}

/* Callback of the NIC: it goes. */
static void on_removed(void *arg)
{
    port_destroy(arg);
}

static const struct nic_callbacks callbacks = {
    .received = on_received,
    .reclaimed = on_reclaimed,
    .sent = port_sent,
    .changed = on_changed,
    .announce = port_announce,
    .restarted = on_restarted,
    .removed = on_removed,
};

static void kick(struct port *port)
{
    if (port->unkicked)
        nic_kick(port->nic);
    port->unkicked = false;
}

static unsigned port_poll(void *arg, unsigned budget)
{
    struct port *port = arg;
    unsigned done = nic_poll(port->nic, budget);
    rx_refill(port);
    if (port->tx_full && port->tx_done != port->tx_resumed) {
        port->tx_resumed = port->tx_done;
        port_tx_resume(port);
    }
    kick(port);
    return done;
}

/*
 * Memory is so short that large frames are lost again and again: small ones still find room, so the
 * device is asked for those until applications have read what waits for them.
 */
__attribute__((noinline)) static void relieve(struct port *port)
{
    bool ample = port->rx_lent >= port->rx_buffers / 2;
    port->rx_pressed = !ample;
    if (ample != port->rx_small)
        return;
    if (nic_set_large_receive(port->nic, ample) == 0) {
        port->rx_small = !ample;
        log_info("%s: large receive %s", port->name, ample ? "is back" : "stops, memory is short");
    }
}

/* Timers and applications may have queued frames since the last poll, so there is a kick before
 * each sleep as well. */
static bool port_arm(void *arg)
{
    struct port *port = arg;
    if (port->groups_changed)
        port_send_groups(port);
    if (port->rx_pressed)
        relieve(port);
    kick(port);
    return nic_arm(port->nic);
}

bool port_may_have_ipv6(const struct port *port)
{
    return port->netif.mtu >= IPV6_MIN_MTU;
}

/* netif_add()'s callback. */
static err_t port_setup(struct netif *netif)
{
    struct port *port = netif->state;
    netif->name[0] = 'e';
    netif->name[1] = 't';
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, port->nic->mac, ETH_HWADDR_LEN);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_IGMP;
    netif->output = port_output;
    netif->linkoutput = port_link_output;
    MIB2_INIT_NETIF(netif, snmp_ifType_ethernet_csmacd, 0); /* its speed is not known */
    set_mtu(port);
    if (port->config.ipv6 != NET_CONFIG_OFF && port_may_have_ipv6(port)) {
        netif->flags |= NETIF_FLAG_MLD6;
        netif->output_ip6 = port_output_ip6;
    } else {
        port->config.ipv6 = NET_CONFIG_OFF;
    }
    if (port->nic->link_up)
        netif->flags |= NETIF_FLAG_LINK_UP;
    port->checksum_flags = NETIF_CHECKSUM_ENABLE_ALL;
    if ((port->nic->offloads & NIC_CHECKSUM) != 0)
        port->checksum_flags &= (u16_t)~NETIF_CHECKSUM_GEN_TCP;
    NETIF_SET_CHECKSUM_CTRL(netif, port->checksum_flags);
    port_watch_groups(port);
    return ERR_OK;
}

static void announce(const struct port *port)
{
    const uint8_t *mac = port->nic->mac;
    unsigned offloads = port->nic->offloads;
    char speed[32] = "";
    if (port->nic->speed_mbit != 0)
        format_text(speed, sizeof(speed), ", %u Mbit/s%s", port->nic->speed_mbit,
                    port->nic->half_duplex ? " half duplex" : "");
    log_info("%s: %02x:%02x:%02x:%02x:%02x:%02x mtu %u, checksum by %s%s%s, link %s%s", port->name,
             mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], port->netif.mtu,
             offloads & NIC_CHECKSUM ? "device" : "software",
             offloads & NIC_SEGMENT_TCP4 ? ", segments by device" : "",
             offloads & NIC_LARGE_RECEIVE ? ", large receive" : "",
             port->nic->link_up ? "up" : "down", speed);
}

/* The address of the `mac=` word, if there is one. */
static void take_mac(struct port *port)
{
    char complaint[200];
    uint8_t mac[6];
    int found = net_config_mac(platform_cmdline(), port->name, mac, complaint, sizeof(complaint));
    if (found < 0)
        log_error("%s: %s", port->name, complaint);
    else if (found > 0 && nic_set_mac(port->nic, mac) != 0)
        log_warn("%s: the device keeps its own address, mac= is left out", port->name);
}

struct port *port_create(struct nic *nic)
{
    char complaint[200];
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        goto no_memory;
    port->base = port;
    port->nic = nic;
    port->name = nic->name;
    if (!rx_create(port))
        goto no_memory;
    if (net_config_parse(platform_cmdline(), port->name, &port->config, complaint,
                         sizeof(complaint)) != 0)
        log_error("%s: %s", port->name, complaint);

    take_mac(port);
    nic_attach(nic, &callbacks, port);
    port_limit_segments(port);
    netif_add(&port->netif, NULL, NULL, NULL, port, port_setup, ethernet_input);
    netif_set_hostname(&port->netif, port->config.hostname);
    announce(port);
    rx_refill(port);
    nic_kick(nic);

    port->source.name = port->name;
    port->source.poll = port_poll;
    port->source.arm = port_arm;
    port->source.arm_finds_all = true;
    port->source.arg = port;
    loop_add(&port->source);
    return port;

no_memory:
    log_error("%s: no memory for receive buffers, not used", nic->name);
    free(port);
    return NULL;
}

/*
 * lwIP ends the connections that have an address of the interface. Frames it still holds, of
 * connections by other interfaces or to be put together, keep their buffers until it is done with
 * them.
 */
void port_destroy(struct port *port)
{
    struct netif *netif = &port->netif;
    loop_remove(&port->source);
    if (netif_is_up(netif)) /* else the machine ends */
        log_info("%s: removed", port->name);
    port_destroy_vlans(port);
    port_forget_addresses(port);
    netif_remove(netif);
    if (netif->loop_first != NULL)
        pbuf_free(netif->loop_first);
    port_unlist(port);
    port->nic = NULL;
    port->rx_missing = port->rx_buffers;
    for (const struct rx_buffer *buffer = port->rx_free; buffer != NULL; buffer = buffer->next)
        port->rx_missing--;
    if (port->rx_missing == 0)
        port_free(port);
}

struct port *port_of(const struct netif *netif)
{
    return netif->linkoutput == port_link_output ? netif->state : NULL;
}
