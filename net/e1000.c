/*
 * e1000.c - the driver of the e1000: frames through rings of descriptors that the card reads and
 * writes back.
 *
 * Owns the rings. The card completes checksums of sent frames; segmentation is not asked of it,
 * since it would want every header rewritten. Interrupts stay enabled: they reach the CPU only while
 * it halts, and reading ICR takes them back. Bring-up is in e1000_setup.c. Read nic.h first.
 */
#include "net/e1000_impl.h"

#include <errno.h>
#include <string.h>

#include "log.h"

/* A frame that is not sent by then means that the card stalls. */
#define TX_STALL_NS 5000000000u
/* How often the link is looked at where nothing reports a change. */
#define LINK_LOOK_NS 500000000u

static struct e1000 *card_of(struct nic *nic)
{
    return (struct e1000 *)nic;
}

static unsigned next(unsigned i)
{
    return (i + 1) % E1000_RING;
}

/* Descriptors that may be filled; one stays empty, so that a full ring differs from an empty one. */
static unsigned room(unsigned head, unsigned tail)
{
    return (head + E1000_RING - tail - 1) % E1000_RING;
}

/* ---- transmit ---- */

static void end_tx(struct e1000 *card)
{
    unsigned last = card->tx_end[card->tx_head];
    void *token = card->tx_lent[last].token;
    unsigned i;

    for (i = card->tx_head; i != next(last); i = next(i))
        if (card->tx_lent[i].len)
            platform_dma_unmap(card->tx_lent[i].address, card->tx_lent[i].len, DMA_TO_DEVICE);
    card->tx_head = next(last);
    card->nic.callbacks->sent(card->nic.arg, &token, 1);
}

static unsigned reap_transmitted(struct e1000 *card)
{
    unsigned done = 0;

    while (card->tx_head != card->tx_tail) {
        const volatile struct e1000_tx *last = &card->tx[card->tx_end[card->tx_head]];

        if (!(last->status & E1000_TX_DONE))
            break;
        end_tx(card);
        done++;
    }
    return done;
}

/* 3.3.6: sums from `start` to the frame's end and stores at start + offset. */
static void put_context(struct e1000 *card, const struct nic_offload *offload)
{
    uint64_t start = offload->checksum_start, at = start + offload->checksum_offset;

    card->tx[card->tx_tail] = (struct e1000_tx){.address = start << 32 | at << 40,
                                                .command = E1000_TX_EXTENDED | E1000_TX_REPORT};
    card->tx_lent[card->tx_tail].len = 0;
    card->tx_tail = next(card->tx_tail);
    card->context = (uint32_t)start << 16 | offload->checksum_offset;
}

static int put_pieces(struct e1000 *card, const struct virtqueue_sg *sg, unsigned n, bool checksum)
{
    unsigned tail = card->tx_tail, i;

    for (i = 0; i < n; i++, tail = next(tail)) {
        struct e1000_lent *lent = &card->tx_lent[tail];

        *lent = (struct e1000_lent){.data = sg[i].data, .len = sg[i].len};
        lent->address = platform_dma_map(sg[i].data, sg[i].len, DMA_TO_DEVICE);
        if (lent->address == DMA_ADDR_INVALID) {
            while (i-- > 0)
                platform_dma_unmap(card->tx_lent[(card->tx_tail + i) % E1000_RING].address,
                                   sg[i].len, DMA_TO_DEVICE);
            return -EIO;
        }
        card->tx[tail] = (struct e1000_tx){
            .address = lent->address,
            .command = sg[i].len | E1000_TX_EXTENDED | E1000_TX_DATA | E1000_TX_FCS |
                       (i + 1 == n ? E1000_TX_END | E1000_TX_REPORT : 0),
            .options = checksum ? E1000_TX_TRANSPORT_CHECKSUM : 0,
        };
    }
    card->tx_tail = tail;
    return 0;
}

static uint32_t frame_length(const struct e1000 *card, const struct virtqueue_sg *sg, unsigned n)
{
    uint64_t len = 0, most = card->nic.mtu + NIC_ETHERNET_HEADER + NIC_VLAN_TAG;
    unsigned i;

    for (i = 0; i < n; i++)
        len += sg[i].len;
    return len >= NIC_ETHERNET_HEADER && len <= most ? (uint32_t)len : 0;
}

static int send_frame(struct e1000 *card, const struct nic_tx_frame *frame)
{
    const struct nic_offload *offload = frame->offload;
    unsigned n = frame->n, first;
    uint32_t len = frame_length(card, frame->sg, n);
    int error;

    if (card->broken)
        return -EIO;
    if (n > NIC_MAX_TX_PIECES || !len ||
        (offload &&
         (offload->segment_size || offload->checksum_start + offload->checksum_offset > 255)))
        return -EINVAL;
    if (room(card->tx_head, card->tx_tail) < n + 1)
        reap_transmitted(card);
    if (room(card->tx_head, card->tx_tail) < n + 1) {
        card->nic.stats.tx_full++;
        return -ENOSPC;
    }
    if (card->tx_head == card->tx_tail)
        card->tx_progress_ns = 0;
    first = card->tx_tail;
    if (offload &&
        card->context != ((uint32_t)offload->checksum_start << 16 | offload->checksum_offset))
        put_context(card, offload);
    error = put_pieces(card, frame->sg, n, offload != NULL);
    if (error) {
        card->tx_tail = first;
        card->context = 0;
        return error;
    }
    card->tx_end[first] = (uint16_t)((card->tx_tail + E1000_RING - 1) % E1000_RING);
    card->tx_lent[card->tx_end[first]].token = frame->token;
    card->nic.stats.tx_frames++;
    card->nic.stats.tx_bytes += len;
    return 0;
}

static int tx(struct nic *nic, const struct nic_tx_frame *frame, unsigned count)
{
    unsigned done = 0;
    int error = 0;

    while (done < count && !error) {
        error = send_frame(card_of(nic), &frame[done]);
        done += !error;
    }
    return done > 0 ? (int)done : error;
}

static unsigned tx_room(const struct nic *nic)
{
    const struct e1000 *card = (const struct e1000 *)nic;
    unsigned free = room(card->tx_head, card->tx_tail);

    return card->broken || free == 0 ? 0 : free - 1;
}

/* ---- receive ---- */

static unsigned rx_room(const struct nic *nic)
{
    const struct e1000 *card = (const struct e1000 *)nic;

    return card->broken ? 0 : room(card->rx_head, card->rx_tail);
}

static int provide_buffer(struct e1000 *card, void *buffer, uint32_t len)
{
    struct e1000_lent *lent = &card->rx_lent[card->rx_tail];
    dma_addr_t address;

    if (card->broken)
        return -EIO;
    if (len < card->nic.rx_buffer_min)
        return -EINVAL;
    if (room(card->rx_head, card->rx_tail) == 0)
        return -ENOSPC;
    address = platform_dma_map(buffer, E1000_BUFFER, DMA_FROM_DEVICE);
    if (address == DMA_ADDR_INVALID)
        return -EIO;
    *lent = (struct e1000_lent){.data = buffer, .len = E1000_BUFFER, .address = address};
    card->rx[card->rx_tail] = (struct e1000_rx){.address = address};
    card->rx_tail = next(card->rx_tail);
    return 0;
}

static int rx_provide(struct nic *nic, void *const *buffer, unsigned count, uint32_t len)
{
    unsigned done = 0;
    int error = 0;

    while (done < count && !error) {
        error = provide_buffer(card_of(nic), buffer[done], len);
        done += !error;
    }
    return done > 0 ? (int)done : error;
}

static void drop(struct e1000 *card, void *buffer)
{
    card->nic.stats.rx_dropped++;
    card->nic.callbacks->reclaimed(card->nic.arg, buffer);
}

static enum nic_checksum checksum_state(const struct e1000_rx *done)
{
    bool checked = (done->status & E1000_RX_CHECKSUM) &&
                   !(done->status & E1000_RX_IGNORE_CHECKSUM) &&
                   !(done->errors & E1000_RX_BAD_CHECKSUM);

    return checked ? NIC_CHECKSUM_VALID : NIC_CHECKSUM_UNKNOWN;
}

/* Takes one buffer from the card. A frame has one; what is spread over several is dropped. */
static bool receive_frame(struct e1000 *card)
{
    const volatile struct e1000_rx *at = &card->rx[card->rx_head];
    struct e1000_lent lent = card->rx_lent[card->rx_head];
    struct nic_piece piece = {.data = lent.data, .buffer = lent.data};
    struct nic_rx_frame frame = {.piece = &piece, .pieces = 1};
    struct e1000_rx done;
    bool whole;

    if (card->rx_head == card->rx_tail)
        return false;
    done.status = __atomic_load_n(&at->status, __ATOMIC_ACQUIRE);
    if (!(done.status & E1000_RX_DONE))
        return false;
    done.length = at->length;
    done.errors = at->errors;
    piece.len = done.length;
    platform_dma_unmap(lent.address, lent.len, DMA_FROM_DEVICE);
    card->rx_head = next(card->rx_head);
    whole = (done.status & E1000_RX_END) && !card->dropping;
    card->dropping = !(done.status & E1000_RX_END);
    if (!whole || piece.len < NIC_ETHERNET_HEADER || piece.len > E1000_BUFFER ||
        (done.errors & E1000_RX_BAD_FRAME)) {
        drop(card, lent.data);
        return true;
    }
    card->nic.stats.rx_frames++;
    card->nic.stats.rx_bytes += piece.len;
    frame.how.checksum = checksum_state(&done);
    card->nic.callbacks->received(card->nic.arg, &frame, 1);
    return true;
}

/* ---- the loop's side ---- */

static void kick(struct nic *nic)
{
    struct e1000 *card = card_of(nic);

    if (card->broken)
        return;
    /* The descriptors are in memory before the card hears of them: x86 keeps stores in order, and
     * the accessors hold the compiler. */
    if (card->rx_told != card->rx_tail)
        e1000_write(card, E1000_RDT, card->rx_told = card->rx_tail);
    if (card->tx_told != card->tx_tail)
        e1000_write(card, E1000_TDT, card->tx_told = card->tx_tail);
}

static void restart(struct e1000 *card)
{
    log_warn("%s: the card stalls: resetting it", card->nic.name);
    e1000_stop(card);
    e1000_reclaim(card);
    if (e1000_start(card) == 0)
        card->nic.callbacks->restarted(card->nic.arg);
}

/* Notices what nobody reports: a card that stopped sending, and the link without interrupts. */
static void look(struct e1000 *card, unsigned sent)
{
    bool waiting = card->tx_head != card->tx_told;
    uint64_t now;

    if (!waiting && card->interrupts)
        return;
    now = platform_now_ns();
    if (sent > 0 || card->tx_progress_ns == 0 || !waiting)
        card->tx_progress_ns = now;
    else if (now - card->tx_progress_ns > TX_STALL_NS && card->nic.link_up)
        restart(card);
    if (!card->interrupts && now >= card->link_look_ns) {
        card->link_look_ns = now + LINK_LOOK_NS;
        e1000_read_link(card);
    }
}

static unsigned poll(struct nic *nic, unsigned budget)
{
    struct e1000 *card = card_of(nic);
    unsigned received = 0, sent;

    if (card->broken)
        return 0;
    sent = reap_transmitted(card);
    while (received < budget && receive_frame(card))
        received++;
    if (card->link_changed) {
        card->link_changed = false;
        e1000_read_link(card);
    }
    look(card, sent);
    return received + sent;
}

static bool arm(struct nic *nic)
{
    const struct e1000 *card = card_of(nic);
    const volatile struct e1000_rx *at = &card->rx[card->rx_head];

    return card->broken || card->rx_head == card->rx_tail || !(at->status & E1000_RX_DONE);
}

static int set_filter(struct nic *nic, const struct nic_filter *filter)
{
    struct e1000 *card = card_of(nic);

    if (card->broken)
        return -EIO;
    card->filter = *filter;
    e1000_apply_filter(card);
    return 0;
}

static int set_mac(struct nic *nic, const uint8_t mac[6])
{
    struct e1000 *card = card_of(nic);

    if (card->broken)
        return -EIO;
    memcpy(nic->mac, mac, sizeof(nic->mac));
    e1000_apply_mac(card);
    return 0;
}

const struct nic_ops e1000_ops = {
    .rx_room = rx_room,
    .rx_provide = rx_provide,
    .tx_room = tx_room,
    .tx = tx,
    .kick = kick,
    .poll = poll,
    .arm = arm,
    .set_filter = set_filter,
    .set_mac = set_mac,
};

void e1000_reclaim(struct e1000 *card)
{
    while (card->tx_head != card->tx_tail)
        end_tx(card);
    while (card->rx_head != card->rx_tail) {
        struct e1000_lent lent = card->rx_lent[card->rx_head];

        platform_dma_unmap(lent.address, lent.len, DMA_FROM_DEVICE);
        card->rx_head = next(card->rx_head);
        card->nic.callbacks->reclaimed(card->nic.arg, lent.data);
    }
}
