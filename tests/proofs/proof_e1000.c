/*
 * proof_e1000.c - by induction, with a card that writes anything into its descriptors at any time:
 * every frame that was given to it comes back once, in order; every mapping ends once; what is
 * received lies in the buffer that was provided.
 */
// unwind: 5
// variant receive: -DRECEIVE -DE1000_RING=4u
// variant send: -DSEND -DE1000_RING=4u --unwindset transmit_is_valid.2:9,put_pieces.0:3,put_pieces.1:3
// variant reap: -DREAP -DE1000_RING=4u --unwindset transmit_is_valid.2:9
// control receive: net/e1000.c: piece.len > E1000_BUFFER || => 0 ||
// control receive: net/e1000.c: if (card->rx_head == card->rx_tail)\n        return false; =>
// control receive: net/e1000.c: drop(card, lent.data);\n        return true; => return true;
// control send: net/e1000.c: (card->tx_head, card->tx_tail) < n + 1) {\n        card => (card->tx_head, card->tx_tail) < n) {\n        card
// control send: net/e1000.c: card->tx_tail = first;\n        card->context = 0; =>
// control send: net/e1000.c: while (i-- > 0) => while (i-- > 1)
// control reap: net/e1000.c: while (card->tx_head != card->tx_tail) {\n        const => for (;;) {\n        const
// control reap: net/e1000.c: card->tx_head = next(last); => card->tx_head = next(card->tx_head);
#include "proof.h"

#include "net/e1000.c"

#define RING E1000_RING
#define PIECES 2u

static struct e1000 *card;
static uint8_t *buffers[RING];
static char tokens[RING];
static bool lent[RING]; /* tokens[i] is the card's */
static bool mapped[2 * RING];
static unsigned fresh_mappings;

/* Mappings have the numbers of their descriptors; those of a new frame others. */
dma_addr_t hosted_dma_map(const void *memory, size_t len, enum dma_direction direction)
{
    (void)direction;
    claim(memory && len > 0 && fresh_mappings < RING);
    if (any_bool())
        return DMA_ADDR_INVALID;
    mapped[RING + fresh_mappings] = true;
    return RING + fresh_mappings++;
}

void hosted_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    (void)direction;
    claim(addr < 2 * RING && mapped[addr] && len > 0);
    mapped[addr] = false;
}

void hosted_register_write(uint64_t address, unsigned width, uint64_t value)
{
    (void)address;
    (void)width;
    (void)value;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    size_t i = (size_t)((char *)token[0] - tokens);

    (void)arg;
    claim(count == 1 && i < RING && lent[i]);
    lent[i] = false;
}

static void reclaimed(void *arg, void *buffer)
{
    unsigned i = 0;

    (void)arg;
    while (i < RING && buffers[i] != buffer)
        i++;
    claim(i < RING && lent[i]);
    lent[i] = false;
}

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    const struct nic_piece *piece = frame->piece;

    reclaimed(arg, piece->buffer);
    claim(count == 1 && frame->pieces == 1 && piece->data == piece->buffer);
    claim(__CPROVER_r_ok(piece->data, piece->len));
    claim(frame->how.checksum == NIC_CHECKSUM_VALID || frame->how.checksum == NIC_CHECKSUM_UNKNOWN);
}

static const struct nic_callbacks callbacks = {
    .received = received, .reclaimed = reclaimed, .sent = sent};

static bool is_between(unsigned head, unsigned i, unsigned tail)
{
    return (i + RING - head) % RING < (tail + RING - head) % RING;
}

/* Those from head to tail, and no others, are the card's, and mapped. */
static bool receive_is_valid(void)
{
    bool good = card->rx_head < RING && card->rx_tail < RING;
    unsigned i;

    for (i = 0; i < RING; i++) {
        bool with_card = is_between(card->rx_head, i, card->rx_tail);

        good = good && lent[i] == with_card && mapped[i] == with_card;
    }
    return good;
}

/* The same of frames: each has an end, whose token is the card's, and pieces that are mapped. */
static bool transmit_is_valid(void)
{
    unsigned at = card->tx_head, ends = 0, pieces = 0, tokens_lent = 0, mappings = 0, i;

    if (at >= RING || card->tx_tail >= RING)
        return false;
    for (i = 0; i < RING && at != card->tx_tail; i++) {
        unsigned end = card->tx_end[at];

        if (end >= RING || !is_between(at, end, card->tx_tail) || !lent[end] ||
            card->tx_lent[end].token != &tokens[end])
            return false;
        ends++;
        at = next(end);
    }
    for (i = 0; i < RING; i++) {
        const struct e1000_lent *of = &card->tx_lent[i];

        tokens_lent += lent[i];
        if (!is_between(card->tx_head, i, card->tx_tail) || !of->len)
            continue;
        if (of->address >= 2 * RING || !mapped[of->address])
            return false;
        pieces++;
    }
    for (i = 0; i < 2 * RING; i++)
        mappings += mapped[i];
    return at == card->tx_tail && tokens_lent == ends && mappings == pieces;
}

static void any_state(void)
{
    unsigned i;

    card->nic.callbacks = &callbacks;
    for (i = 0; i < RING; i++) {
        buffers[i] = malloc(E1000_BUFFER);
        card->rx_lent[i] = (struct e1000_lent){buffers[i], &tokens[i], E1000_BUFFER, i};
        card->tx_lent[i].token = &tokens[i];
        card->tx_lent[i].len = any_bool() ? 0 : any_u32();
        card->tx_lent[i].address = i;
        lent[i] = any_bool();
        mapped[i] = any_bool();
    }
}

#if defined(RECEIVE)
static void step(void)
{
    assume(receive_is_valid());
    receive_frame(card);
    claim(receive_is_valid());
}
#elif defined(REAP)
static void step(void)
{
    unsigned done;

    assume(transmit_is_valid());
    done = reap_transmitted(card);
    claim(done < RING && transmit_is_valid());
}
#else
static void step(void)
{
    uint8_t *data = malloc(16);
    struct virtqueue_sg sg[PIECES] = {{data, any_u32()}, {data, any_u32()}};
    struct nic_offload offload = {.checksum_start = any_u16(), .checksum_offset = any_u16()};
    unsigned n = any_unsigned(), end = any_unsigned();
    struct nic_tx_frame frame;

    assume(n >= 1 && n <= PIECES && sg[0].len > 0 && sg[1].len > 0 && end < RING);
    assume(transmit_is_valid());
    card->nic.mtu = any_u16();
    frame = (struct nic_tx_frame){sg, n, 0, any_bool() ? &offload : NULL, &tokens[end]};
    if (send_frame(card, &frame) == 0) {
        assume(next(end) == card->tx_tail); /* how the new token is called */
        claim(!lent[end]);
        lent[end] = true;
    }
    claim(transmit_is_valid());
}
#endif

int main(void)
{
    struct e1000 any_card;
    struct e1000_rx rx[RING];
    struct e1000_tx tx_ring[RING];

    card = &any_card;
    card->rx = rx;
    card->tx = tx_ring;
    any_state();
    step();
    return 0;
}
