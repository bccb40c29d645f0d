/*
 * device_net_control.c - the control queue of the model network device. See device_net_control.h.
 */
#include "hosted/device_net_control.h"

#include <string.h>

#include "hosted/violation.h"

enum {
    CLASS_RX = 0,
    CLASS_MAC = 1,
    CLASS_VLAN = 2,
    CLASS_ANNOUNCE = 3,
    CLASS_MQ = 4,
    CLASS_OFFLOADS = 5,
    CLASS_COALESCE = 6
};
#define CONFIG_PAIRS 8u
#define CONFIG_HASH_TYPES 20u
#define MQ_RSS_CONFIG 1
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
#define COALESCE_VQ 2
#define MESSAGE_MAX 2048u
#define HEADER 2u
#define STATUS_ANNOUNCE 2u

static bool set_mode(struct device *device, struct device_net_control *control, uint8_t code,
                     const uint8_t *data, uint32_t len)
{
    if (code >= RX_ALLUNI && !device_has(device, NET_F_CTRL_RX_EXTRA))
        violation("NET-CTRLRX-2", "receive mode %u without CTRL_RX_EXTRA", code);
    if (!device_has(device, NET_F_CTRL_RX))
        violation("NET-CTRLRX-1", "receive mode %u without CTRL_RX", code);
    if (len != 1 || data[0] > 1)
        return false;
    if (code == RX_PROMISC)
        control->promiscuous = data[0];
    else if (code == RX_ALLMULTI)
        control->all_multicast = data[0];
    else if (code == RX_NOBCAST)
        control->no_broadcast = data[0];
    return code <= RX_NOBCAST;
}

/* One half of the table: a count and so many addresses. Returns its length, 0: it is not whole. */
static uint32_t read_table(const uint8_t *data, uint32_t len, uint8_t (*table)[6], unsigned *count)
{
    uint32_t n;

    if (len < 4)
        return 0;
    memcpy(&n, data, 4);
    if (n > DEVICE_NET_GROUPS || len - 4 < n * 6)
        return 0;
    memcpy(table, data + 4, n * 6);
    *count = n;
    return 4 + n * 6;
}

static bool set_address(struct device *device, struct device_net_control *control,
                        const uint8_t *data, uint32_t len)
{
    if (!device_has(device, NET_F_CTRL_MAC_ADDR) || len != sizeof(control->mac))
        return false;
    memcpy(control->mac, data, sizeof(control->mac));
    return true;
}

static bool set_table(struct device *device, struct device_net_control *control, uint8_t code,
                      const uint8_t *data, uint32_t len)
{
    uint8_t unicast[DEVICE_NET_GROUPS][6];
    uint32_t first, second;

    if (!device_has(device, NET_F_CTRL_RX))
        violation("NET-CTRLMAC-1", "MAC command %u without CTRL_RX", code);
    if (code == MAC_ADDR_SET)
        return set_address(device, control, data, len);
    if (code != MAC_TABLE_SET)
        return false;
    first = read_table(data, len, unicast, &control->unicasts);
    second =
        first ? read_table(data + first, len - first, control->multicast, &control->multicasts) : 0;
    if (!second || first + second != len)
        violation("NET-CTRLMAC-3", "a MAC table of %u bytes", len);
    return second != 0;
}

static bool set_pairs(struct device *device, struct device_net_control *control, uint8_t code,
                      const uint8_t *data, uint32_t len);

/* 5.1.9.5.7: hash types, mask, queue for the rest, table, transmit queues, key. */
static bool set_rss(struct device *device, struct device_net_control *control, const uint8_t *data,
                    uint32_t len)
{
    uint32_t supported, table;
    uint16_t pairs, unclassified;

    if (!device_has(device, NET_F_RSS))
        violation("NET-RSS-1", "RSS_CONFIG without RSS");
    if (len < 8)
        return false;
    memcpy(&control->hash_types, data, 4);
    memcpy(&control->mask, data + 4, 2);
    memcpy(&unclassified, data + 6, 2);
    memcpy(&supported, device->config + CONFIG_HASH_TYPES, 4);
    table = 2 * (control->mask + 1u);
    if (control->hash_types & ~supported)
        violation("NET-RSS-5", "hash types %#x of %#x", control->hash_types, supported);
    if (control->mask & (control->mask + 1u))
        violation("NET-RSS-3", "a table of %u entries", control->mask + 1u);
    if (control->mask >= DEVICE_NET_TABLE) {
        violation("NET-RSS-4", "a table of %u entries", control->mask + 1u);
        return false;
    }
    if (len != 8 + table + 3 + sizeof(control->key) || data[8 + table + 2] != sizeof(control->key))
        return false;
    memcpy(control->table, data + 8, table);
    memcpy(&pairs, data + 8 + table, 2);
    memcpy(control->key, data + 8 + table + 3, sizeof(control->key));
    if (!set_pairs(device, control, 0, data + 8 + table, 2))
        return false;
    for (unsigned i = 0; i <= control->mask; i++)
        if (control->table[i] >= pairs || unclassified >= pairs)
            violation("NET-RSS-2", "entry %u names receive queue %u of %u", i, control->table[i],
                      pairs);
    control->steered = true;
    return true;
}

/* As the specification has it: for each bit of the input that is set, the key's leftmost 32 bits. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, unsigned len)
{
    uint32_t hash = 0;

    for (unsigned i = 0; i < 8 * len; i++) {
        uint32_t window = 0;
        if (!(input[i / 8] >> (7 - i % 8) & 1))
            continue;
        for (unsigned k = i; k < i + 32; k++)
            window = window << 1 | (key[k / 8] >> (7 - k % 8) & 1);
        hash ^= window;
    }
    return hash;
}

unsigned device_net_hash(const struct device_net_control *control, const uint8_t *frame,
                         uint32_t len, uint32_t *hash)
{
    uint8_t input[36];
    uint32_t ip = frame[12] == 0x81 ? 18 : 14;
    bool v6 = frame[ip - 2] == 0x86, v4 = frame[ip - 2] == 8 && frame[ip - 1] == 0;
    unsigned addresses = v6 ? 32 : 8, first = v6 ? 4 : 1;
    uint32_t ports = v6 ? ip + 40 : ip + (frame[ip] & 15u) * 4;
    uint8_t protocol = frame[ip + (v6 ? 6 : 9)];
    unsigned kind = first + (protocol == 6 ? 1 : 2);
    bool whole = v6 || !((frame[ip + 6] & 0x3f) | frame[ip + 7]);

    if ((!v4 && !v6) || ports + 4 > len)
        return 0;
    memcpy(input, frame + ip + (v6 ? 8 : 12), addresses);
    memcpy(input + addresses, frame + ports, 4);
    if ((protocol == 6 || protocol == 17) && whole && (control->hash_types >> (kind - 1) & 1)) {
        *hash = toeplitz(control->key, input, addresses + 4);
        return kind;
    }
    *hash = toeplitz(control->key, input, addresses);
    return control->hash_types >> (first - 1) & 1 ? first : 0;
}

/* 5.1.9.5.6: VQ_PAIRS_SET, or the number in RSS_CONFIG. */
static bool set_pairs(struct device *device, struct device_net_control *control, uint8_t code,
                      const uint8_t *data, uint32_t len)
{
    uint16_t pairs, most;

    if (code == MQ_RSS_CONFIG)
        return set_rss(device, control, data, len);
    if (!device_has(device, NET_F_MQ) || code != 0 || len != sizeof(pairs))
        return false;
    control->steered = false;
    memcpy(&pairs, data, sizeof(pairs));
    memcpy(&most, device->config + CONFIG_PAIRS, sizeof(most));
    if (pairs == 0 || pairs > most) {
        violation("NET-MQ-2", "%u queue pairs of %u", pairs, most);
        return false;
    }
    for (unsigned i = 0; i < 2u * pairs; i++)
        if (!device->queue[i].enabled)
            violation("NET-MQ-1", "%u pairs without queue %u", pairs, i);
    control->pairs = pairs;
    return true;
}

/* 5.1.9.5.3 */
static bool set_vlan(struct device *device, struct device_net_control *control, uint8_t code,
                     const uint8_t *data, uint32_t len)
{
    uint16_t vlan;

    if (!device_has(device, NET_F_CTRL_VLAN) || code > 1 || len != sizeof(vlan))
        return false;
    memcpy(&vlan, data, sizeof(vlan));
    if (vlan > 4094)
        return false;
    if (code == 0)
        control->vlan[vlan / 8] |= (uint8_t)(1u << vlan % 8);
    else
        control->vlan[vlan / 8] &= (uint8_t) ~(1u << vlan % 8);
    return true;
}

bool device_net_has_vlan(const struct device_net_control *control, unsigned vlan)
{
    return control->vlan[vlan / 8] >> vlan % 8 & 1;
}

/* 5.1.9.5.9 */
static bool set_offloads(struct device *device, struct device_net_control *control, uint8_t code,
                         const uint8_t *data, uint32_t len)
{
    uint64_t offloads;

    if (!device_has(device, NET_F_CTRL_GUEST_OFFLOADS) || code != 0 || len != sizeof(offloads))
        return false;
    memcpy(&offloads, data, sizeof(offloads));
    for (unsigned bit = 0; bit < 64; bit++)
        if ((offloads >> bit & 1) && !device_has(device, bit))
            violation("NET-OFFLOADS-1", "offload %u without its feature", bit);
    control->offloads = offloads;
    return true;
}

/* 5.1.9.5.10: packets and microseconds, for all queues of a direction or for one. */
static bool set_coalescing(struct device *device, struct device_net_control *control, uint8_t code,
                           const uint8_t *data, uint32_t len)
{
    uint16_t queue = code, index[2] = {0, 0};
    bool one = code == COALESCE_VQ;

    if (!one && !device_has(device, NET_F_NOTF_COAL))
        violation("NET-COAL-2", "command %u without NOTF_COAL", code);
    if (one && !device_has(device, NET_F_VQ_NOTF_COAL))
        violation("NET-COAL-3", "VQ_SET without VQ_NOTF_COAL");
    if (code > COALESCE_VQ || len != (one ? 12u : 8u))
        return false;
    if (one) {
        memcpy(index, data, sizeof(index));
        queue = index[0];
        data += sizeof(index);
    }
    if (index[1] || queue >= 2 * control->pairs) {
        violation("NET-COAL-1", "queue %u of %u pairs", queue, control->pairs);
        return false;
    }
    /* Transmit queues are the odd ones, TX_SET is command 0. */
    for (unsigned i = 0; i < 2 * DEVICE_NET_PAIRS_MAX; i++)
        if (one ? i == queue : i % 2 != code)
            memcpy(&control->coalesce[i], data, sizeof(control->coalesce[i]));
    return true;
}

static bool acknowledge(struct device *device, struct device_net_control *control)
{
    if (!device_has(device, NET_F_GUEST_ANNOUNCE))
        violation("NET-ANNOUNCE-2", "an acknowledgement without GUEST_ANNOUNCE");
    control->announce_acks++;
    device->config[6] &= (uint8_t)~STATUS_ANNOUNCE;
    return true;
}

/* 5.1.9.8: with the old framing each part has a descriptor of its own. */
static void check_framing(const struct device *device, const struct ring_chain *chain,
                          bool is_table)
{
    if (!device_is_legacy(device) || device_has(device, F_ANY_LAYOUT))
        return;
    if (chain->piece[0].len != HEADER)
        violation("LEG-NET-FRAME-2", "%u bytes in the descriptor of the command",
                  chain->piece[0].len);
    if (is_table && chain->out != 3)
        violation("LEG-NET-FRAME-4", "%u descriptors for a MAC table", chain->out - 1);
    else if (!is_table && chain->out > 2)
        violation("LEG-NET-FRAME-3", "%u descriptors for data", chain->out - 1);
    if (chain->in != 1 || chain->piece[chain->out].len != 1)
        violation("LEG-NET-FRAME-5", "%u descriptors for the answer", chain->in);
}

void device_net_command(struct device *device, struct device_net_control *control,
                        struct ring_device *ring, struct ring_chain *chain)
{
    uint8_t message[MESSAGE_MAX];
    uint32_t len = (uint32_t)ring_chain_read(chain, 0, message, sizeof(message));
    bool good = false;

    check_framing(device, chain,
                  len >= HEADER && message[0] == CLASS_MAC && message[1] == MAC_TABLE_SET);
    if (len < HEADER || chain->writable != 1) {
        violation("NET-T-CTRL-1", "a command of %u bytes and %u for the answer", len,
                  chain->writable);
        return;
    }
    control->commands++;
    control->class = message[0];
    control->code = message[1];
    if (control->mute)
        return;
    if (control->class == CLASS_RX)
        good = set_mode(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_MAC)
        good = set_table(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_VLAN)
        good = set_vlan(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_OFFLOADS)
        good = set_offloads(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_COALESCE)
        good = set_coalescing(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_MQ && !control->refuse)
        good = set_pairs(device, control, control->code, message + HEADER, len - HEADER);
    else if (control->class == CLASS_ANNOUNCE)
        good = acknowledge(device, control);
    uint8_t ack = !good || control->refuse;
    ring_chain_write(chain, 0, &ack, 1);
    ring_device_push(ring, chain, 1);
}

void device_net_control_reset(struct device_net_control *control)
{
    control->promiscuous = true;
    control->all_multicast = control->no_broadcast = false;
    memset(control->mac, 0, sizeof(control->mac));
    memset(control->vlan, 0, sizeof(control->vlan));
    control->offloads = 0;
    control->steered = false;
    memset(control->coalesce, 0, sizeof(control->coalesce));
    control->pairs = 1;
    control->unicasts = control->multicasts = 0;
}
