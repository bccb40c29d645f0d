/*
 * snmp.c - what a management station may read by SNMP v1 and v2c (port 161): lwIP's agent with MIB-2.
 *
 * Nothing can be written. The community is "public", or what the word `community=` says; it is sent
 * in the clear and keeps no secret. SNMPv3 is not offered: lwIP leaves its cryptography to others.
 */
#include <errno.h>
#include <string.h>

#include "lwip/apps/snmp.h"
#include "lwip/apps/snmp_mib2.h"
#include "lwip/netif.h"

#include "cmdline.h"
#include "platform.h"
#include "services/service.h"

#define SNMP_SERVICE_PORT 161

static int snmp_start(void)
{
    static const u8_t description[] = "Ferrule";
    static const u16_t description_len = sizeof(description) - 1;
    static char community[SNMP_MAX_COMMUNITY_STR_LEN + 1];
    static u8_t name[64];
    static u16_t name_len;
    const char *host = netif_default != NULL ? netif_get_hostname(netif_default) : NULL;

    name_len = (u16_t)(host != NULL ? strnlen(host, sizeof(name)) : 0);
    if (name_len > 0)
        memcpy(name, host, name_len);
    snmp_mib2_set_sysdescr(description, &description_len);
    snmp_mib2_set_sysname_readonly(name, &name_len);
    if (cmdline_get(platform_cmdline(), "community", community, sizeof(community)) &&
        community[0] != '\0')
        snmp_set_community(community);
    snmp_set_community_write("");
    snmp_init();
    return 0;
}

const struct service snmp_service = {"snmp", SNMP_SERVICE_PORT, snmp_start};
