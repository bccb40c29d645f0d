/*
 * target_e1000.c - the driver of the e1000 (net/e1000.h) under a card that is made of the input: what
 * its registers answer, what it writes into descriptors and buffers, and when.
 *
 * Without input it is a good card, with its link up and an address. Read nic_user.h for who uses it.
 */
#include "net/e1000.h"

#include "fuzz.h"
#include "hosted/fake_pci.h"
#include "lies.h"
#include "loop.h"
#include "net/e1000_impl.h"
#include "net/nic.h"
#include "nic_user.h"
#include "hostile.h"

#define RELAX_NS 5000000u
#define TURNS 64u
#define OP_ACT 0x80u

static struct card {
    struct fake_function *pci;
    struct lies lies;
    uint32_t control, eeprom, status, cause, rx_tail, tx_tail;
    uint64_t rx_ring, tx_ring;
    unsigned rx_head, tx_head;
    bool held; /* it sends nothing for now */
} card;

static void *descriptor(uint64_t ring, unsigned n)
{
    return hosted_dma_device_pointer(ring + 16ull * (n % E1000_RING), 16, true);
}

static void transmit(void)
{
    for (unsigned n = 0; n < E1000_RING && card.tx_head != card.tx_tail % E1000_RING; n++) {
        struct e1000_tx *at = descriptor(card.tx_ring, card.tx_head);

        if (!at)
            return;
        at->status |= E1000_TX_DONE;
        card.tx_head = (card.tx_head + 1) % E1000_RING;
    }
}

/* ---- registers ---- */

static uint64_t read_register(void *arg, uint64_t offset, unsigned width)
{
    uint32_t value = 0;

    (void)arg;
    (void)width;
    switch (offset) {
    case E1000_CTRL:
        value = card.control;
        break;
    case E1000_STATUS:
        value = card.status;
        break;
    case E1000_EERD:
        value = E1000_EERD_DONE | (0x5052 + (card.eeprom >> 8)) << 16;
        break;
    case E1000_ICR:
        value = card.cause;
        card.cause = 0;
        fake_pci_set_intx(card.pci, false);
        break;
    default:
        break;
    }
    return lies_answer(&card.lies, value);
}

static void write_half(uint64_t *ring, unsigned shift, uint64_t value)
{
    *ring = (*ring & ~(UINT64_C(0xffffffff) << shift)) | value << shift;
}

static void write_register(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)width;
    switch (offset) {
    case E1000_CTRL:
        card.control = (uint32_t)value & ~E1000_CTRL_RST;
        break;
    case E1000_EERD:
        card.eeprom = (uint32_t)value;
        break;
    case E1000_RDBAL:
    case E1000_RDBAH:
        write_half(&card.rx_ring, offset == E1000_RDBAL ? 0 : 32, value);
        break;
    case E1000_TDBAL:
    case E1000_TDBAH:
        write_half(&card.tx_ring, offset == E1000_TDBAL ? 0 : 32, value);
        break;
    case E1000_RDH:
        card.rx_head = (unsigned)value % E1000_RING;
        break;
    case E1000_TDH:
        card.tx_head = (unsigned)value % E1000_RING;
        break;
    case E1000_RDT:
        card.rx_tail = (uint32_t)value;
        break;
    case E1000_TDT:
        card.tx_tail = (uint32_t)value;
        if (!card.held)
            transmit();
        break;
    default:
        break;
    }
}

/* ---- what the card does ---- */

static void interrupt(uint32_t cause)
{
    card.cause |= cause;
    fake_pci_set_intx(card.pci, true);
    hosted_interrupts_deliver();
}

/* A frame for the next buffer. The descriptor tells the truth, or what the input says. */
static void receive(struct input *input, bool lie)
{
    struct e1000_rx *at = descriptor(card.rx_ring, card.rx_head);
    uint8_t *buffer;
    uint16_t len = input_u16(input) % E1000_BUFFER;

    if (!at || card.rx_head == card.rx_tail)
        return;
    buffer = hosted_dma_device_pointer(at->address, E1000_BUFFER, true);
    if (buffer)
        input_bytes(input, buffer, len % 32);
    at->length = lie ? input_u16(input) : len;
    at->errors = lie ? input_u8(input) : 0;
    at->status = lie ? input_u8(input) : E1000_RX_DONE | E1000_RX_END | E1000_RX_CHECKSUM;
    card.rx_head = (card.rx_head + 1) % E1000_RING;
    interrupt(E1000_INTERRUPTS);
}

/* Any bytes anywhere in a ring. */
static void scribble(struct input *input)
{
    uint16_t at = input_u16(input);
    uint8_t *where = descriptor(at & 0x8000 ? card.tx_ring : card.rx_ring, at >> 4);

    if (where)
        where[at % 16] = input_u8(input);
}

static void act(struct input *input)
{
    switch (input_u8(input) % 9) {
    case 0:
        receive(input, false);
        break;
    case 1:
        receive(input, true);
        break;
    case 2:
        transmit();
        break;
    case 3:
        scribble(input);
        break;
    case 4:
        interrupt(input_u32(input));
        break;
    case 5:
        card.status ^= E1000_STATUS_LU;
        interrupt(E1000_INTERRUPT_LINK);
        break;
    case 6:
        hosted_clock_advance(input_u16(input) * UINT64_C(1000000));
        break;
    case 7:
        card.held = !card.held;
        break;
    default:
        lies_begin(&card.lies);
    }
}

/* ---- a run ---- */

static unsigned add_card(struct input *input)
{
    static const struct hosted_registers registers = {
        .name = "e1000", .read = read_register, .write = write_register};
    uint8_t shape = input_u8(input);

    card = (struct card){.status = E1000_STATUS_LU, .lies = {.input = input}};
    fake_pci_reset();
    card.pci = fake_pci_add(0x8086, 0x100e);
    fake_pci_set_bar(card.pci, 0, shape & 2 ? 0x10000 : E1000_REGISTERS, false, &registers);
    if (shape & 4)
        card.pci->fn.gsi = -1;
    card.lies.in = input_u8(input);
    return e1000_scan(!(shape & 1));
}

void fuzz_e1000(struct input *input, bool packed)
{
    uint8_t *memory = hostile_memory();
    unsigned allocations = hosted_dma_allocations();
    bool behaves = input_is_empty(input);

    (void)packed;
    hosted_rewind();
    hosted_clock_set_relax(RELAX_NS);
    loop_set_polling(false);
    if (add_card(input) != 1 && behaves)
        hosted_fail("a good card was not brought up");
    nic_user_start(memory);
    if (behaves && !nic_user_found())
        hosted_fail("a good card is of no use");
    for (unsigned turn = 0; turn < TURNS && !input_is_empty(input); turn++) {
        uint8_t op = input_u8(input);

        if (op & OP_ACT)
            act(input);
        else
            nic_user_use(op, input);
    }
    e1000_shutdown();
    nic_user_check();
    if (nic_at(0) || hosted_dma_allocations() != allocations || hosted_dma_mappings())
        hosted_fail("%u allocations, %u mappings are left", hosted_dma_allocations(),
                    hosted_dma_mappings());
    fake_pci_reset();
}
