// sources: net/net_config.c boot/cmdline.c boot/format.c
/*
 * test_net_config.c - the network words of the command line: what is understood, what is refused,
 * and which word counts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/net_config.h"

static char complaint[200];

static struct net_config parsed(const char *cmdline, const char *device, int expected)
{
    struct net_config config;
    memset(&config, 0xa5, sizeof(config));
    strcpy(complaint, "unset");
    assert_int_equal(net_config_parse(cmdline, device, &config, complaint, sizeof(complaint)),
                     expected);
    if (expected == 0)
        assert_string_equal(complaint, "");
    else
        assert_string_not_equal(complaint, "");
    return config;
}

static void assert_ipv4(const uint8_t *actual, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t expected[4] = {a, b, c, d};
    assert_memory_equal(actual, expected, 4);
}

static void test_defaults(void **state)
{
    (void)state;
    struct net_config config = parsed("", "eth0", 0);
    assert_int_equal(config.ipv4, NET_CONFIG_AUTO);
    assert_int_equal(config.ipv6, NET_CONFIG_AUTO);
    assert_string_equal(config.hostname, "ferrule");
    assert_ipv4(config.dns[0], 0, 0, 0, 0);
}

static void test_single_words(void **state)
{
    static const struct {
        const char *word;
        enum net_config_mode mode;
    } cases[] = {
        {"ip=dhcp", NET_CONFIG_AUTO},
        {"ip=on", NET_CONFIG_AUTO},
        {"ip=any", NET_CONFIG_AUTO},
        {"ip=both", NET_CONFIG_AUTO},
        {"ip=off", NET_CONFIG_OFF},
        {"ip=none", NET_CONFIG_OFF},
        {"ip=:::::eth0:dhcp", NET_CONFIG_AUTO},
        {"ip=:::::eth0:off", NET_CONFIG_OFF},
        {"ip=::::box::", NET_CONFIG_AUTO},
        {"ip=:::::eth1:off", NET_CONFIG_AUTO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(parsed(cases[i].word, "eth0", 0).ipv4, cases[i].mode);
}

static void test_static(void **state)
{
    (void)state;
    struct net_config config =
        parsed("ip=192.168.7.9:1.2.3.4:192.168.7.1:255.255.255.128:box:eth0:off:9.9.9.9:8.8.4.4",
               "eth0", 0);
    assert_int_equal(config.ipv4, NET_CONFIG_STATIC);
    assert_ipv4(config.address, 192, 168, 7, 9);
    assert_ipv4(config.gateway, 192, 168, 7, 1);
    assert_ipv4(config.netmask, 255, 255, 255, 128);
    assert_ipv4(config.dns[0], 9, 9, 9, 9);
    assert_ipv4(config.dns[1], 8, 8, 4, 4);
    assert_string_equal(config.hostname, "box");

    /* A tenth field is Linux's time server and does no harm. */
    config = parsed("ip=10.0.0.2::::::::9.9.9.9:10.0.0.3", "eth0", 0);
    assert_int_equal(config.ipv4, NET_CONFIG_STATIC);
    assert_ipv4(config.dns[1], 9, 9, 9, 9);
    parsed("ip=10.0.0.2::::::::9.9.9.9:10.0.0.3:", "eth0", -EINVAL);
}

static void test_class_netmask(void **state)
{
    (void)state;
    assert_ipv4(parsed("ip=10.1.2.3", "eth0", 0).netmask, 255, 0, 0, 0);
    assert_ipv4(parsed("ip=172.16.2.3", "eth0", 0).netmask, 255, 255, 0, 0);
    assert_ipv4(parsed("ip=192.168.2.3", "eth0", 0).netmask, 255, 255, 255, 0);
}

/* An address together with the word for DHCP is a wish that the server decides on. */
static void test_dhcp_with_address(void **state)
{
    (void)state;
    struct net_config config = parsed("ip=10.0.0.2:::255.255.255.0::eth0:dhcp", "eth0", 0);
    assert_int_equal(config.ipv4, NET_CONFIG_AUTO);
}

static void test_refused(void **state)
{
    static const char *const words[] = {
        "ip=",
        "ip=10.0.0",
        "ip=10.0.0.256",
        "ip=10.0.0.2.3",
        "ip=0010.0.0.2",
        "ip=10.0.0.2x",
        "ip=127.0.0.1",
        "ip=224.0.0.1",
        "ip=0.0.0.0",
        "ip=dhpc",
        "ip=10.0.0.2::10.0.0.1:255.0.255.0",
        "ip=10.0.0.2::10.0.0.1:0.0.0.0",
        "ip=10.0.0.2::10.0.1.1:255.255.255.0",
        "ip=10.0.0.2::x",
        "ip=10.0.0.2:::255.255.255.0:-bad-",
        "ip=10.0.0.2:::255.255.255.0:a_b",
        "ip=10.0.0.2:::255.255.255.0:::maybe",
        "ip=10.0.0.2:::255.255.255.0::::nine",
        "ip=10.0.0.2::::::::::::",
        "ip6=fe80",
        "ip6=fd00::1/48",
        "ip6=fd00::1::2",
        "ip6=:1",
        "ip6=1:2:3:4:5:6:7:8:9",
        "ip6=1:2:3:4:5:6:7",
        "ip6=12345::1",
        "ip6=ff02::1",
        "ip6=::1",
        "ip6=fd00::2,nowhere",
        "ip6=fd00::2:",
        "hostname=a_b",
        "hostname=",
        "hostname=-",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], "ip=") == 0)
            continue;
        struct net_config config = parsed(words[i], "eth0", -EINVAL);
        assert_int_equal(config.ipv4, NET_CONFIG_AUTO);
        assert_int_equal(config.ipv6, NET_CONFIG_AUTO);
        assert_string_equal(config.hostname, "ferrule");
        assert_ipv4(config.address, 0, 0, 0, 0);
    }
    /* An empty `ip=` is a CLIENT that is not given. */
    assert_int_equal(parsed("ip=", "eth0", 0).ipv4, NET_CONFIG_AUTO);
}

static void test_overlong(void **state)
{
    char cmdline[2000] = "ip=";
    (void)state;
    memset(cmdline + 3, ':', 1900);
    assert_int_equal(parsed(cmdline, "eth0", -EINVAL).ipv4, NET_CONFIG_AUTO);
    memset(cmdline + 3, '7', 1900);
    assert_int_equal(parsed(cmdline, "eth0", -EINVAL).ipv4, NET_CONFIG_AUTO);
}

/* A small buffer for the complaint is cut, not overrun. */
static void test_small_complaint(void **state)
{
    struct net_config config;
    char *small = malloc(8);
    (void)state;
    assert_int_equal(net_config_parse("ip=nonsense", "eth0", &config, small, 8), -EINVAL);
    assert_int_equal(strlen(small), 7);
    assert_int_equal(net_config_parse("ip=nonsense", "eth0", &config, NULL, 0), -EINVAL);
    free(small);
}

static void test_which_word_counts(void **state)
{
    static const char cmdline[] =
        "quiet ip=10.0.0.1 ip=10.0.0.2:::::eth1 ip=10.0.0.3:::::eth0 x=\"ip=10.0.0.9\" "
        "ip=10.0.0.4:::::eth1 -- ip=10.0.0.5";
    (void)state;
    assert_ipv4(parsed(cmdline, "eth0", 0).address, 10, 0, 0, 3);
    assert_ipv4(parsed(cmdline, "eth1", 0).address, 10, 0, 0, 4);
    assert_ipv4(parsed(cmdline, "eth2", 0).address, 10, 0, 0, 1);

    /* Good after bad is good, bad after good is bad, and a bad word for another NIC is none of
     * ours. */
    assert_int_equal(parsed("ip=junk ip=10.0.0.1", "eth0", 0).ipv4, NET_CONFIG_STATIC);
    assert_int_equal(parsed("ip=10.0.0.1 ip=junk", "eth0", -EINVAL).ipv4, NET_CONFIG_AUTO);
    assert_int_equal(parsed("ip=10.0.0.1 ip=1.2:::::eth7", "eth0", 0).ipv4, NET_CONFIG_STATIC);
}

static void test_hostname(void **state)
{
    (void)state;
    assert_string_equal(parsed("hostname=web-1.example", "eth0", 0).hostname, "web-1.example");
    assert_true(parsed("hostname=web-1.example", "eth0", 0).named);
    assert_false(parsed("", "eth0", 0).named);
    assert_string_equal(parsed("hostname=a ip=10.0.0.1::::b", "eth0", 0).hostname, "b");
    char cmdline[100] = "hostname=";
    memset(cmdline + 9, 'h', 63);
    assert_int_equal(strlen(parsed(cmdline, "eth0", 0).hostname), 63);
    memset(cmdline + 9, 'h', 64);
    assert_string_equal(parsed(cmdline, "eth0", -EINVAL).hostname, "ferrule");
}

static void test_ipv6(void **state)
{
    static const uint8_t full[16] = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0xab, 0xcd};
    static const uint8_t gap[16] = {0xfd, 0, [15] = 0x12};
    static const uint8_t router[16] = {0xfe, 0x80, [15] = 1};
    static const uint8_t ends[16] = {0xfd, 0, 0, 1};
    (void)state;
    assert_int_equal(parsed("ip6=off", "eth0", 0).ipv6, NET_CONFIG_OFF);
    assert_int_equal(parsed("ip6=auto", "eth0", 0).ipv6, NET_CONFIG_AUTO);
    struct net_config config = parsed("ip6=2001:db8:1:2:3:4:5:ABCD/64", "eth0", 0);
    assert_int_equal(config.ipv6, NET_CONFIG_STATIC);
    assert_memory_equal(config.address6, full, 16);
    config = parsed("ip6=fd00::12,fe80::1", "eth0", 0);
    assert_memory_equal(config.address6, gap, 16);
    assert_memory_equal(config.gateway6, router, 16);
    config = parsed("ip6=fd00:1::", "eth0", 0);
    assert_memory_equal(config.address6, ends, 16);
    config = parsed("ip6=fd00:1:0:0:0:0:0::", "eth0", 0);
    assert_memory_equal(config.address6, ends, 16);
}

static unsigned vlans_of(const char *cmdline, const char *device, uint16_t *first, int expected)
{
    uint16_t vlan[NET_CONFIG_VLANS] = {0};
    unsigned vlans = 99;
    assert_int_equal(net_config_vlans(cmdline, device, vlan, &vlans, complaint, sizeof(complaint)),
                     expected);
    assert_int_equal(complaint[0] != '\0', expected != 0);
    *first = vlan[0];
    return vlans;
}

static void test_vlans(void **state)
{
    uint16_t first;
    (void)state;
    assert_int_equal(vlans_of("", "eth0", &first, 0), 0);
    assert_int_equal(vlans_of("vlan=eth0:100,eth0:4094,eth1:7 vlan=eth0:3", "eth0", &first, 0), 3);
    assert_int_equal(first, 100);
    assert_int_equal(vlans_of("vlan=eth0:100,eth10:5,eth1:7,eth1:7", "eth1", &first, 0), 1);
    assert_int_equal(first, 7);
    assert_int_equal(vlans_of("vlan=eth0:0,eth0:9", "eth0", &first, -EINVAL), 1);
    assert_int_equal(first, 9);
    static const char *const bad[] = {
        "vlan=",        "vlan=eth0",      "vlan=eth0:",      "vlan=eth0:1x",
        "vlan=eth0:-1", "vlan=eth0:4095", "vlan=eth0:65537", "vlan=eth0:99999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vlans_of(bad[i], "eth0", &first, -EINVAL), 0);
    assert_int_equal(vlans_of("vlan=e:1,e:2,e:3,e:4,e:5,e:6,e:7,e:8,e:9", "e", &first, -EINVAL),
                     NET_CONFIG_VLANS);
}

static int mac_of(const char *cmdline, const char *device, uint8_t mac[6])
{
    char complaint[200] = "";
    int found = net_config_mac(cmdline, device, mac, complaint, sizeof(complaint));
    assert_int_equal(complaint[0] != '\0', found < 0);
    return found;
}

static void test_mac(void **state)
{
    static const char *const bad[] = {
        "mac=eth0",
        "mac=eth0:",
        "mac=eth0:02:00:00:00:00",
        "mac=eth0:02:00:00:00:00:01:02",
        "mac=eth0:02:00:00:00:00:0g",
        "mac=eth0:2:0:0:0:0:1",
        "mac=eth0:01:00:00:00:00:01",
        "mac=eth0:00:00:00:00:00:00",
        "mac=02:00:00:00:00:01",
        "mac=eth0:02:00:00:00:00:01,",
    };
    uint8_t mac[6] = {0};
    (void)state;
    assert_int_equal(mac_of("", "eth0", mac), 0);
    assert_int_equal(mac_of("mac=eth1:02:00:00:00:00:01", "eth0", mac), 0);
    assert_int_equal(mac_of("mac=eth10:02:00:00:00:00:01,eth1:52:5A:00:aB:cd:eF", "eth1", mac), 1);
    assert_memory_equal(mac, "\x52\x5a\x00\xab\xcd\xef", 6);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mac_of(bad[i], "eth0", mac), -EINVAL);
}

/* Words without a device are the NIC's, not its VLANs'. */
static void test_vlan_addresses(void **state)
{
    const char *cmdline = "ip=10.0.0.1 ip=10.0.1.1:::::eth0.5 ip6=fd00::1 hostname=h";
    (void)state;
    assert_ipv4(parsed(cmdline, "eth0", 0).address, 10, 0, 0, 1);
    assert_ipv4(parsed(cmdline, "eth0.5", 0).address, 10, 0, 1, 1);
    assert_int_equal(parsed(cmdline, "eth0.6", 0).ipv4, NET_CONFIG_AUTO);
    assert_int_equal(parsed(cmdline, "eth0.5", 0).ipv6, NET_CONFIG_AUTO);
    assert_int_equal(parsed("ip6=off", "eth0.5", 0).ipv6, NET_CONFIG_OFF);
    assert_string_equal(parsed(cmdline, "eth0.5", 0).hostname, "h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_single_words),
        cmocka_unit_test(test_static),
        cmocka_unit_test(test_class_netmask),
        cmocka_unit_test(test_dhcp_with_address),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_small_complaint),
        cmocka_unit_test(test_which_word_counts),
        cmocka_unit_test(test_hostname),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_vlans),
        cmocka_unit_test(test_mac),
        cmocka_unit_test(test_vlan_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
