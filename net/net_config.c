/*
 * net_config.c - the network words of the kernel command line: see net_config.h for their syntax.
 *
 * Text in, structure out; no state. cmdline_get() (include/cmdline.h) knows a key's last word only,
 * and `ip=` may stand once for each NIC, so its words are walked here.
 */
#include "net/net_config.h"

#include <errno.h>
#include <string.h>

#include "cmdline.h"
#include "log.h"

#define DEFAULT_HOSTNAME "ferrule"
#define IP_FIELDS 9u
#define VALUE_SIZE 256u

enum ip_field {
    FIELD_CLIENT,
    FIELD_SERVER,
    FIELD_GATEWAY,
    FIELD_NETMASK,
    FIELD_HOSTNAME,
    FIELD_DEVICE,
    FIELD_AUTOCONF,
    FIELD_DNS0,
    FIELD_DNS1,
};

bool net_config_ipv4(const char *text, uint8_t out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = 0, digits = 0;
        while (*text >= '0' && *text <= '9' && digits < 4) {
            value = value * 10 + (unsigned)(*text++ - '0');
            digits++;
        }
        if (digits == 0 || digits > 3 || value > 255)
            return false;
        out[i] = (uint8_t)value;
        if (i < 3 && *text++ != '.')
            return false;
    }
    return *text == '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool net_config_ipv6(const char *text, uint8_t out[16])
{
    uint16_t group[8];
    unsigned groups = 0;
    int gap = -1;
    if (text[0] == ':' && text[1] != ':')
        return false;
    while (*text != '\0') {
        if (text[0] == ':' && text[1] == ':') {
            if (gap >= 0)
                return false;
            gap = (int)groups;
            text += 2;
            continue;
        }
        if (*text == ':' && groups > 0 && gap != (int)groups)
            text++;
        unsigned value = 0, digits = 0;
        for (; hex_digit(*text) >= 0 && digits < 5; text++, digits++)
            value = value << 4 | (unsigned)hex_digit(*text);
        if (digits == 0 || digits > 4 || groups == 8 || (*text != '\0' && *text != ':'))
            return false;
        group[groups++] = (uint16_t)value;
    }
    if (gap < 0 ? groups != 8 : groups > 7)
        return false;
    memset(out, 0, 16);
    for (unsigned i = 0; i < groups; i++) {
        unsigned at = gap >= 0 && i >= (unsigned)gap ? 8 - groups + i : i;
        out[2 * at] = (uint8_t)(group[i] >> 8);
        out[2 * at + 1] = (uint8_t)group[i];
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* An address that a host may have: neither of this network, nor loopback, nor multicast, nor
 * broadcast. */
static bool is_host_address(const uint8_t address[4])
{
    return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

static bool is_netmask(const uint8_t mask[4])
{
    uint32_t bits =
        (uint32_t)mask[0] << 24 | (uint32_t)mask[1] << 16 | (uint32_t)mask[2] << 8 | mask[3];
    return bits != 0 && (~bits & (~bits + 1)) == 0;
}

static void class_netmask(const uint8_t address[4], uint8_t mask[4])
{
    unsigned bytes = address[0] < 128 ? 1 : address[0] < 192 ? 2 : 3;
    for (unsigned i = 0; i < 4; i++)
        mask[i] = i < bytes ? 255 : 0;
}

static bool is_hostname(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= NET_CONFIG_HOSTNAME_SIZE || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (; *name != '\0'; name++) {
        bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
        if (!letter && !(*name >= '0' && *name <= '9') && *name != '-' && *name != '.')
            return false;
    }
    return true;
}

static bool is_word(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static const char *const auto_words[] = {"dhcp", "on", "any", "both", "bootp", "rarp", NULL};
static const char *const off_words[] = {"off", "none", "static", NULL};

/* Cuts `value` at its colons; fields that are not there point at the empty string. Returns how many
 * there are. */
static unsigned split_fields(char *value, char *field[IP_FIELDS])
{
    static char empty[1];
    unsigned count = 0;
    for (unsigned i = 0; i < IP_FIELDS; i++)
        field[i] = empty;
    for (;;) {
        char *colon = strchr(value, ':');
        if (count < IP_FIELDS)
            field[count] = value;
        count++;
        if (colon == NULL)
            return count;
        *colon = '\0';
        value = colon + 1;
    }
}

/* Says what is wrong with the addresses of a word, or NULL. */
static const char *take_addresses(char *const field[IP_FIELDS], struct net_config *config)
{
    if (!net_config_ipv4(field[FIELD_CLIENT], config->address) || !is_host_address(config->address))
        return "bad client address";
    if (*field[FIELD_GATEWAY] != '\0' && (!net_config_ipv4(field[FIELD_GATEWAY], config->gateway) ||
                                          !is_host_address(config->gateway)))
        return "bad gateway";
    if (*field[FIELD_NETMASK] == '\0')
        class_netmask(config->address, config->netmask);
    else if (!net_config_ipv4(field[FIELD_NETMASK], config->netmask) ||
             !is_netmask(config->netmask))
        return "bad netmask";
    for (unsigned i = 0; i < 4 && !is_zero(config->gateway, 4); i++)
        if (((config->address[i] ^ config->gateway[i]) & config->netmask[i]) != 0)
            return "gateway outside of the network";
    return NULL;
}

static const char *take_fields(char *const field[IP_FIELDS], unsigned fields,
                               struct net_config *config)
{
    if (fields == 1 && is_word(field[0], auto_words))
        return NULL;
    if (fields == 1 && is_word(field[0], off_words)) {
        config->ipv4 = NET_CONFIG_OFF;
        return NULL;
    }
    const char *autoconf = field[FIELD_AUTOCONF];
    bool off = is_word(autoconf, off_words);
    if (*autoconf != '\0' && !off && !is_word(autoconf, auto_words))
        return "unknown autoconf word";
    if (*field[FIELD_HOSTNAME] != '\0') {
        if (!is_hostname(field[FIELD_HOSTNAME]))
            return "bad host name";
        strcpy(config->hostname, field[FIELD_HOSTNAME]);
        config->named = true;
    }
    for (unsigned i = 0; i < NET_CONFIG_DNS; i++) {
        const char *dns = field[FIELD_DNS0 + i];
        if (*dns != '\0' && (!net_config_ipv4(dns, config->dns[i]) || is_zero(config->dns[i], 4)))
            return "bad DNS server";
    }
    if (*field[FIELD_CLIENT] == '\0') {
        config->ipv4 = off ? NET_CONFIG_OFF : NET_CONFIG_AUTO;
        return NULL;
    }
    if (*autoconf != '\0' && !off)
        return NULL; /* DHCP decides, whatever address the word wishes for */
    config->ipv4 = NET_CONFIG_STATIC;
    return take_addresses(field, config);
}

static bool is_vlan(const char *device)
{
    return strchr(device, '.') != NULL;
}

/* One `ip=` word. True unless it is for another NIC; `*wrong` is then what is wrong with it, or
 * NULL. */
static bool take_word(char *value, const char *device, struct net_config *config,
                      const char **wrong)
{
    char *field[IP_FIELDS];
    unsigned fields = split_fields(value, field);
    *wrong = NULL;
    if (fields > IP_FIELDS + 1) { /* a tenth one is Linux's time server */
        *wrong = "too many fields";
        return true;
    }
    bool named = *field[FIELD_DEVICE] != '\0';
    if (named ? strcmp(field[FIELD_DEVICE], device) != 0 : is_vlan(device))
        return false;
    *wrong = take_fields(field, fields, config);
    return true;
}

/* The next blank-separated word of the kernel's part of the command line: its start and length, or
 * NULL. */
static const char *next_word(const char *text, size_t *len)
{
    while (*text == ' ' || *text == '\t' || *text == '\n')
        text++;
    const char *end = text;
    bool quoted = false;
    for (; *end != '\0'; end++) {
        if (*end == '"')
            quoted = !quoted;
        if (!quoted && (*end == ' ' || *end == '\t' || *end == '\n'))
            break;
    }
    *len = (size_t)(end - text);
    if (*len == 0 || (*len == 2 && memcmp(text, "--", 2) == 0))
        return NULL;
    return text;
}

static const char *parse_ip(const char *cmdline, const char *device, struct net_config *config,
                            char *value, size_t size)
{
    const struct net_config defaults = *config;
    const char *wrong = NULL;
    size_t len;
    char copy[VALUE_SIZE];
    for (const char *word = cmdline; (word = next_word(word, &len)) != NULL; word += len) {
        if (len < 3 || memcmp(word, "ip=", 3) != 0)
            continue;
        if (len - 3 >= sizeof(copy) || len - 3 >= size) {
            wrong = "too long";
            *config = defaults;
            continue;
        }
        memcpy(copy, word + 3, len - 3);
        copy[len - 3] = '\0';
        struct net_config taken = defaults;
        const char *why;
        if (!take_word(copy, device, &taken, &why))
            continue;
        wrong = why;
        *config = why != NULL ? defaults : taken;
        memcpy(value, word + 3, len - 3);
        value[len - 3] = '\0';
    }
    return wrong;
}

static const char *parse_ip6(char *value, struct net_config *config)
{
    if (strcmp(value, "off") == 0 || strcmp(value, "none") == 0) {
        config->ipv6 = NET_CONFIG_OFF;
        return NULL;
    }
    if (strcmp(value, "auto") == 0 || strcmp(value, "on") == 0)
        return NULL;
    char *comma = strchr(value, ',');
    if (comma != NULL)
        *comma = '\0';
    char *slash = strchr(value, '/');
    if (slash != NULL && strcmp(slash, "/64") != 0)
        return "the prefix must be /64";
    if (slash != NULL)
        *slash = '\0';
    if (!net_config_ipv6(value, config->address6) || is_zero(config->address6, 15) ||
        config->address6[0] == 0xff)
        return "bad address";
    if (comma != NULL && (!net_config_ipv6(comma + 1, config->gateway6) ||
                          is_zero(config->gateway6, 15) || config->gateway6[0] == 0xff))
        return "bad gateway";
    config->ipv6 = NET_CONFIG_STATIC;
    return NULL;
}

int net_config_parse(const char *cmdline, const char *device, struct net_config *config,
                     char *complaint, size_t size)
{
    char value[VALUE_SIZE] = "", shown[VALUE_SIZE];
    int status = 0;
    memset(config, 0, sizeof(*config));
    strcpy(config->hostname, DEFAULT_HOSTNAME);
    if (size > 0)
        complaint[0] = '\0';

    if (cmdline_get(cmdline, "hostname", value, sizeof(value))) {
        if (is_hostname(value)) {
            strcpy(config->hostname, value);
            config->named = true;
        } else {
            format_text(complaint, size, "hostname=%s: not a host name", value);
            status = -EINVAL;
        }
    }
    if (cmdline_get(cmdline, "ip6", value, sizeof(value))) {
        struct net_config taken = *config;
        strcpy(shown, value);
        const char *wrong = parse_ip6(value, &taken);
        if (wrong == NULL) {
            if (taken.ipv6 != NET_CONFIG_STATIC || !is_vlan(device))
                *config = taken;
        } else {
            format_text(complaint, size, "ip6=%s: %s; using router advertisements", shown, wrong);
            status = -EINVAL;
        }
    }
    value[0] = '\0';
    const char *wrong = parse_ip(cmdline, device, config, value, sizeof(value));
    if (wrong != NULL) {
        format_text(complaint, size, "ip=%s: %s; using DHCP", value, wrong);
        status = -EINVAL;
    }
    return status;
}

/* A number of a VLAN (802.1Q, 9.6), or 0. */
static uint16_t vlan_number(const char *text)
{
    unsigned value = 0, digits = 0;
    for (; *text >= '0' && *text <= '9' && digits < 5; text++, digits++)
        value = value * 10 + (unsigned)(*text - '0');
    return *text == '\0' && digits > 0 && value < 4095 ? (uint16_t)value : 0;
}

/* What stands behind `DEVICE:`, NULL if it is another device's item. */
static char *after_device(char *item, const char *device)
{
    size_t len = strlen(device);
    return strncmp(item, device, len) == 0 && item[len] == ':' ? item + len + 1 : NULL;
}

/* Takes one `DEVICE:NUMBER`; says what is wrong with it, or NULL. */
static const char *take_vlan(char *item, const char *device, uint16_t vlan[NET_CONFIG_VLANS],
                             unsigned *vlans)
{
    const char *text = after_device(item, device);
    if (strchr(item, ':') == NULL)
        return "not a device and a number";
    if (text == NULL)
        return NULL;
    uint16_t number = vlan_number(text);
    if (number == 0)
        return "the number must be 1 to 4094";
    for (unsigned i = 0; i < *vlans; i++)
        if (vlan[i] == number)
            return NULL;
    if (*vlans == NET_CONFIG_VLANS)
        return "too many";
    vlan[(*vlans)++] = number;
    return NULL;
}

/* Ends an item of a list at its comma; returns the next one, or NULL. */
static char *end_item(char *item)
{
    char *comma = strchr(item, ',');
    if (comma == NULL)
        return NULL;
    *comma = '\0';
    return comma + 1;
}

int net_config_vlans(const char *cmdline, const char *device, uint16_t vlan[NET_CONFIG_VLANS],
                     unsigned *vlans, char *complaint, size_t size)
{
    char value[VALUE_SIZE], *next;
    int status = 0;
    *vlans = 0;
    if (size > 0)
        complaint[0] = '\0';
    while (cmdline_next(&cmdline, "vlan", value, sizeof(value))) {
        for (char *item = value; item != NULL; item = next) {
            next = end_item(item);
            const char *wrong = take_vlan(item, device, vlan, vlans);
            if (wrong == NULL)
                continue;
            format_text(complaint, size, "vlan=%s: %s; left out", item, wrong);
            status = -EINVAL;
        }
    }
    return status;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    uint8_t bytes[6];
    for (unsigned i = 0; i < 6; i++, text += 2) {
        if (i > 0 && *text++ != ':')
            return false;
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (*text != '\0' || (bytes[0] & 1) || is_zero(bytes, 6))
        return false;
    memcpy(mac, bytes, 6);
    return true;
}

int net_config_mac(const char *cmdline, const char *device, uint8_t mac[6], char *complaint,
                   size_t size)
{
    char value[VALUE_SIZE], *next;
    int status = 0;
    while (cmdline_next(&cmdline, "mac", value, sizeof(value))) {
        for (char *item = value; item != NULL; item = next) {
            next = end_item(item);
            const char *text = after_device(item, device);
            uint8_t other[6];
            if (text != NULL && parse_mac(text, mac)) {
                status = 1;
            } else if (text != NULL || strchr(item, ':') == NULL || parse_mac(item, other)) {
                format_text(complaint, size, "mac=%s: not a device and a station's address", item);
                return -EINVAL;
            }
        }
    }
    return status;
}
