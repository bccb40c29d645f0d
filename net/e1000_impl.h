/*
 * e1000_impl.h - registers, descriptors and the state of a card, for e1000.c (frames) and
 * e1000_setup.c (bring-up) only.
 *
 * Numbers are those of "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's
 * Manual" (317453), chapters 3 and 13.
 */
#ifndef FERRULE_NET_E1000_IMPL_H
#define FERRULE_NET_E1000_IMPL_H

#include "net/nic.h"
#include "pci.h"
#include "platform.h"

#define E1000_CTRL 0x0000
#define E1000_STATUS 0x0008
#define E1000_EERD 0x0014
#define E1000_ICR 0x00c0 /* reading it takes the interrupt back */
#define E1000_ITR 0x00c4
#define E1000_IMS 0x00d0
#define E1000_IMC 0x00d8
#define E1000_RCTL 0x0100
#define E1000_TCTL 0x0400
#define E1000_TIPG 0x0410
#define E1000_RDBAL 0x2800
#define E1000_RDBAH 0x2804
#define E1000_RDLEN 0x2808
#define E1000_RDH 0x2810
#define E1000_RDT 0x2818
#define E1000_RDTR 0x2820
#define E1000_TDBAL 0x3800
#define E1000_TDBAH 0x3804
#define E1000_TDLEN 0x3808
#define E1000_TDH 0x3810
#define E1000_TDT 0x3818
#define E1000_TIDV 0x3820
#define E1000_RXCSUM 0x5000
#define E1000_MTA 0x5200 /* 128 words of a hash table */
#define E1000_RAL 0x5400
#define E1000_RAH 0x5404
#define E1000_REGISTERS 0x20000

#define E1000_CTRL_ASDE 0x00000020u
#define E1000_CTRL_SLU 0x00000040u
#define E1000_CTRL_RST 0x04000000u
#define E1000_STATUS_LU 0x00000002u
#define E1000_EERD_START 0x01u
#define E1000_EERD_DONE 0x10u
#define E1000_INTERRUPT_LINK 0x04u
/* Receive: a frame, or few descriptors left, or none. Sent frames are reaped when something else
 * happens. */
#define E1000_INTERRUPTS (E1000_INTERRUPT_LINK | 0x10u | 0x40u | 0x80u)
#define E1000_RCTL_EN 0x00000002u
#define E1000_RCTL_UPE 0x00000008u
#define E1000_RCTL_MPE 0x00000010u
#define E1000_RCTL_BAM 0x00008000u
#define E1000_RCTL_SECRC 0x04000000u
#define E1000_TCTL_EN 0x00000002u
#define E1000_TCTL_PSP 0x00000008u
#define E1000_RXCSUM_TRANSPORT 0x200u
#define E1000_RAH_VALID 0x80000000u
#define E1000_MTA_WORDS 128u

struct e1000_rx {
    uint64_t address;
    uint16_t length, checksum;
    uint8_t status, errors;
    uint16_t special;
};
_Static_assert(sizeof(struct e1000_rx) == 16, "as the card reads it");
#define E1000_RX_DONE 0x01u
#define E1000_RX_END 0x02u
#define E1000_RX_IGNORE_CHECKSUM 0x04u
#define E1000_RX_CHECKSUM 0x20u
#define E1000_RX_BAD_CHECKSUM 0x60u /* of TCP or UDP, of IP */
#define E1000_RX_BAD_FRAME 0x97u

/* A piece of a frame, or the offsets for the checksum of those that follow. */
struct e1000_tx {
    uint64_t address; /* or the four offsets and two ends of a context, 3.3.6 */
    uint32_t command;
    uint8_t status, options;
    uint16_t special;
};
_Static_assert(sizeof(struct e1000_tx) == 16, "as the card reads it");
#define E1000_TX_END 0x01000000u
#define E1000_TX_FCS 0x02000000u
#define E1000_TX_REPORT 0x08000000u
#define E1000_TX_EXTENDED 0x20000000u
#define E1000_TX_DATA 0x00100000u
#define E1000_TX_DONE 0x01u
#define E1000_TX_TRANSPORT_CHECKSUM 0x02u

#ifndef E1000_RING
#define E1000_RING 256u /* descriptors; one always stays empty. Proofs take fewer. */
#endif
#define E1000_BUFFER 2048u

struct e1000 {
    struct nic nic; /* first: what the user has a pointer to */
    struct pci_function *fn;
    volatile uint8_t *registers;
    bool interrupts, broken;
    volatile bool link_changed; /* set by the interrupt handler */

    struct e1000_rx *rx;
    struct e1000_tx *tx;
    dma_addr_t rx_address, tx_address;
    struct e1000_lent {
        void *data;
        void *token;  /* of a frame to be sent, at its last piece */
        uint32_t len; /* 0: no memory of the user's, but a context */
        dma_addr_t address;
    } rx_lent[E1000_RING], tx_lent[E1000_RING];
    uint16_t tx_end[E1000_RING]; /* of the frame that begins here, its last descriptor */
    unsigned rx_head, rx_tail;   /* next to be filled by the card; next for a buffer */
    unsigned tx_head, tx_tail;
    unsigned rx_told, tx_told; /* what the tail registers hold */
    bool dropping;             /* the rest of a frame that was too long */
    uint32_t context;          /* that the card has: start << 16 | offset; 0: none */
    uint64_t tx_progress_ns, link_look_ns;
    struct nic_filter filter;
    uint32_t table[E1000_MTA_WORDS], control; /* what the card was told of it */
};

extern const struct nic_ops e1000_ops;

static inline uint32_t e1000_read(const struct e1000 *card, unsigned offset)
{
    return mmio_read32(card->registers + offset);
}

static inline void e1000_write(const struct e1000 *card, unsigned offset, uint32_t value)
{
    mmio_write32(card->registers + offset, value);
}

/* Resets the card and sets it up: rings empty, filter as before. -EIO: it does not come back. */
int e1000_start(struct e1000 *card);
/* Resets the card only. */
int e1000_stop(struct e1000 *card);
/* Gives every buffer back. The card must have been stopped. */
void e1000_reclaim(struct e1000 *card);
/* Reads the link's state, and tells the user of a change. */
void e1000_read_link(struct e1000 *card);
void e1000_apply_filter(struct e1000 *card);

/* Tells the card its address, nic.mac. */
void e1000_apply_mac(struct e1000 *card);

#endif
