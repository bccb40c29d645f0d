/*
 * e1000_setup.c - finding e1000 cards on PCI, their address, link, filter and interrupt, and
 * starting them.
 *
 * Chapter 14 of the manual says in which order. Frames are e1000.c's.
 */
#include "net/e1000.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "net/e1000_impl.h"

#define VENDOR_INTEL 0x8086
#define DEVICE_82540EM 0x100e
#define DEVICE_82545EM 0x100f

#define CARDS_MAX 8
#define RESET_TIMEOUT_NS 100000000u
#define EEPROM_TIMEOUT_NS 10000000u
#define DEFAULT_MTU 1500
#define SPEED_MBIT 1000
/* At most 20000 interrupts a second; units of 256 ns. */
#define INTERRUPT_GAP 195
/* 13.4.34: what the manual wants for copper. */
#define GAPS 0x00602008u
#define TCTL_COLLISIONS (0x0fu << 4 | 0x40u << 12)
/* Where the ring cannot be: an uninitialised register. */
#define GONE 0xffffffffu

static struct e1000 *cards[CARDS_MAX];
static unsigned card_count;

/* ---- the card ---- */

int e1000_stop(struct e1000 *card)
{
    uint64_t end = platform_now_ns() + RESET_TIMEOUT_NS;

    e1000_write(card, E1000_IMC, ~0u);
    e1000_write(card, E1000_CTRL, e1000_read(card, E1000_CTRL) | E1000_CTRL_RST);
    do {
        if (platform_now_ns() >= end) {
            /* Without the bus it cannot touch memory. */
            pci_command(card->fn, 0, PCI_COMMAND_MASTER);
            card->broken = true;
            return -EIO;
        }
        platform_relax();
    } while (e1000_read(card, E1000_CTRL) & E1000_CTRL_RST);
    e1000_write(card, E1000_IMC, ~0u);
    return 0;
}

static bool read_eeprom(struct e1000 *card, unsigned word, uint16_t *value)
{
    uint64_t end = platform_now_ns() + EEPROM_TIMEOUT_NS;
    uint32_t answer;

    e1000_write(card, E1000_EERD, word << 8 | E1000_EERD_START);
    do {
        answer = e1000_read(card, E1000_EERD);
        if (answer & E1000_EERD_DONE) {
            *value = (uint16_t)(answer >> 16);
            return true;
        }
        platform_relax();
    } while (platform_now_ns() < end);
    return false;
}

static void read_mac(struct e1000 *card)
{
    uint8_t *mac = card->nic.mac;
    uint16_t word = 0;
    bool known = true;
    uint64_t random;

    for (unsigned i = 0; i < 3; i++) {
        known = known && read_eeprom(card, i, &word);
        mac[2 * i] = (uint8_t)word;
        mac[2 * i + 1] = (uint8_t)(word >> 8);
    }
    if (known && !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]))
        return;
    random = platform_random();
    memcpy(mac, &random, sizeof(card->nic.mac));
    mac[0] = (uint8_t)((mac[0] & ~1u) | 2u);
    log_warn("e1000: the card has no address; it gets a random one");
}

void e1000_read_link(struct e1000 *card)
{
    bool was_up = card->nic.link_up;

    card->nic.link_up = e1000_read(card, E1000_STATUS) & E1000_STATUS_LU;
    if (was_up == card->nic.link_up || !card->nic.callbacks)
        return;
    log_info("%s: link %s", card->nic.name, card->nic.link_up ? "up" : "down");
    card->nic.callbacks->changed(card->nic.arg);
}

/* 13.5.1: twelve bits of the address choose a bit of the table. */
static void hash_group(uint32_t *table, const uint8_t *group)
{
    unsigned hash = (group[4] >> 4 | group[5] << 4) & 0xfffu;

    table[hash >> 5] |= 1u << (hash & 31);
}

/*
 * All groups are a full table rather than a bit of RCTL: QEMU's card receives nothing for a second
 * after a write to that register. What the card knows already is not written again.
 */
void e1000_apply_filter(struct e1000 *card)
{
    const struct nic_filter *filter = &card->filter;
    uint32_t table[E1000_MTA_WORDS];
    uint32_t control = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_SECRC;

    memset(table, filter->all_groups ? 0xff : 0, sizeof(table));
    for (unsigned i = 0; i < filter->groups && i < NIC_MAX_GROUPS; i++)
        hash_group(table, filter->group[i]);
    for (unsigned i = 0; i < E1000_MTA_WORDS; i++)
        if (card->table[i] != table[i])
            e1000_write(card, E1000_MTA + 4 * i, table[i]);
    memcpy(card->table, table, sizeof(table));
    if (filter->promiscuous)
        control |= E1000_RCTL_UPE | E1000_RCTL_MPE;
    if (card->control != control)
        e1000_write(card, E1000_RCTL, control);
    card->control = control;
}

/* After a reset nothing that the card was told before is sure. */
static void clear_filter(struct e1000 *card)
{
    for (unsigned i = 0; i < E1000_MTA_WORDS; i++)
        e1000_write(card, E1000_MTA + 4 * i, 0);
    memset(card->table, 0, sizeof(card->table));
    card->control = 0;
}

static void start_rings(struct e1000 *card)
{
    memset(card->rx, 0, E1000_RING * sizeof(*card->rx));
    memset(card->tx, 0, E1000_RING * sizeof(*card->tx));
    card->rx_head = card->rx_tail = card->rx_told = 0;
    card->tx_head = card->tx_tail = card->tx_told = 0;
    card->context = 0;
    card->dropping = false;
    e1000_write(card, E1000_RDBAL, (uint32_t)card->rx_address);
    e1000_write(card, E1000_RDBAH, (uint32_t)(card->rx_address >> 32));
    e1000_write(card, E1000_RDLEN, E1000_RING * sizeof(*card->rx));
    e1000_write(card, E1000_RDH, 0);
    e1000_write(card, E1000_RDT, 0);
    e1000_write(card, E1000_RDTR, 0);
    e1000_write(card, E1000_TDBAL, (uint32_t)card->tx_address);
    e1000_write(card, E1000_TDBAH, (uint32_t)(card->tx_address >> 32));
    e1000_write(card, E1000_TDLEN, E1000_RING * sizeof(*card->tx));
    e1000_write(card, E1000_TDH, 0);
    e1000_write(card, E1000_TDT, 0);
    e1000_write(card, E1000_TIDV, 0);
}

void e1000_apply_mac(struct e1000 *card)
{
    const uint8_t *mac = card->nic.mac;

    e1000_write(card, E1000_RAL, mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24);
    e1000_write(card, E1000_RAH, mac[4] | mac[5] << 8 | E1000_RAH_VALID);
}

int e1000_start(struct e1000 *card)
{
    if (card->broken)
        return -EIO;
    e1000_write(card, E1000_CTRL, e1000_read(card, E1000_CTRL) | E1000_CTRL_SLU | E1000_CTRL_ASDE);
    e1000_apply_mac(card);
    start_rings(card);
    e1000_write(card, E1000_TIPG, GAPS);
    e1000_write(card, E1000_RXCSUM, E1000_RXCSUM_TRANSPORT);
    clear_filter(card);
    e1000_apply_filter(card);
    e1000_write(card, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP | TCTL_COLLISIONS);
    e1000_write(card, E1000_ITR, INTERRUPT_GAP);
    if (card->interrupts)
        e1000_write(card, E1000_IMS, E1000_INTERRUPTS);
    e1000_read_link(card);
    return 0;
}

/* ---- finding it ---- */

static bool on_interrupt(void *arg)
{
    struct e1000 *card = arg;
    uint32_t cause = e1000_read(card, E1000_ICR);

    if (cause == 0 || cause == GONE)
        return false;
    if (cause & E1000_INTERRUPT_LINK)
        card->link_changed = true;
    return true;
}

static const char *make_rings(struct e1000 *card)
{
    const size_t size = E1000_RING * sizeof(*card->rx);

    card->rx = platform_dma_alloc(size, 128);
    card->tx = platform_dma_alloc(size, 128);
    if (!card->rx || !card->tx)
        return "out of memory";
    card->rx_address = platform_dma_map(card->rx, size, DMA_BIDIRECTIONAL);
    card->tx_address = platform_dma_map(card->tx, size, DMA_BIDIRECTIONAL);
    return NULL;
}

static void free_card(struct e1000 *card)
{
    const size_t size = E1000_RING * sizeof(*card->rx);

    if (card->rx && card->tx) {
        platform_dma_unmap(card->rx_address, size, DMA_BIDIRECTIONAL);
        platform_dma_unmap(card->tx_address, size, DMA_BIDIRECTIONAL);
    }
    if (card->rx)
        platform_dma_free(card->rx, size);
    if (card->tx)
        platform_dma_free(card->tx, size);
    platform_dma_free(card, sizeof(*card));
}

static const char *bring_up(struct e1000 *card, bool interrupts)
{
    const char *refusal = make_rings(card);

    if (refusal)
        return refusal;
    card->registers = pci_map_bar(card->fn, 0, 0, E1000_REGISTERS);
    if (!card->registers)
        return "its registers are not reachable";
    pci_command(card->fn, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    if (e1000_stop(card))
        return "it does not end its reset";
    card->nic.ops = &e1000_ops;
    card->nic.mtu = DEFAULT_MTU;
    card->nic.speed_mbit = SPEED_MBIT;
    card->nic.offloads = NIC_CHECKSUM;
    card->nic.tx_queue = E1000_RING - 2;
    card->nic.rx_buffer_min = E1000_BUFFER;
    /* All frames but those to other stations, until the user says what it wants. */
    card->filter.all_groups = true;
    read_mac(card);
    card->interrupts = interrupts && pci_intx_enable(card->fn, on_interrupt, card, "e1000") == 0;
    e1000_start(card);
    if (nic_register(&card->nic) != 0) {
        e1000_stop(card);
        pci_intx_disable(card->fn);
        return "too many network devices";
    }
    return NULL;
}

static bool probe(struct pci_function *fn, bool interrupts)
{
    struct e1000 *card = card_count < CARDS_MAX ? platform_dma_alloc(sizeof(*card), 64) : NULL;

    if (!card)
        return false;
    card->fn = fn;
    fn->refusal = bring_up(card, interrupts);
    if (fn->refusal) {
        pci_command(fn, 0, PCI_COMMAND_MASTER);
        free_card(card);
        return false;
    }
    fn->driver = "e1000";
    cards[card_count++] = card;
    log_info("pci %02x:%02x.%x: e1000: rings of %u, checksums, %s", fn->bus, fn->device,
             fn->function, E1000_RING, card->interrupts ? "INTx" : "polled");
    return true;
}

unsigned e1000_scan(bool interrupts)
{
    unsigned driven = 0;

    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        if (fn->vendor_id == VENDOR_INTEL && !fn->driver &&
            (fn->device_id == DEVICE_82540EM || fn->device_id == DEVICE_82545EM))
            driven += probe(fn, interrupts);
    }
    return driven;
}

void e1000_shutdown(void)
{
    while (card_count > 0) {
        struct e1000 *card = cards[--card_count];

        e1000_stop(card);
        pci_intx_disable(card->fn);
        pci_command(card->fn, 0, PCI_COMMAND_MASTER);
        e1000_reclaim(card);
        nic_unregister(&card->nic);
        card->fn->driver = NULL;
        free_card(card);
    }
}
