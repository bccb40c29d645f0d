/*
 * mqtt.c - says at an MQTT broker that this machine is up (lwIP's client, MQTT 3.1.1).
 *
 * The broker is the word `mqtt=HOST[:PORT]` (an IPv4 address or a name). The topic ferrule/NAME is
 * kept by the broker: `up SECONDS`, written again every minute, and `down` by the broker itself
 * once the connection is lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/apps/mqtt.h"
#include "lwip/dns.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"

#include "cmdline.h"
#include "log.h"
#include "platform.h"
#include "services/service.h"

#define MQTT_SERVICE_PORT 1883
#define RETRY_MS 5000u
#define PUBLISH_MS 60000u
/* The broker takes the connection for lost after one and a half of these without a word. */
#define KEEP_ALIVE_S 10
#define AT_LEAST_ONCE 1
#define NS_PER_S 1000000000u

static mqtt_client_t *client;
static char broker[256], topic[80];
static uint16_t broker_port = MQTT_SERVICE_PORT;

static void connect(void *arg);

static void publish(void *arg)
{
    char text[40];
    (void)arg;
    if (!mqtt_client_is_connected(client))
        return;
    int len =
        snprintf(text, sizeof(text), "up %llu", (unsigned long long)(platform_now_ns() / NS_PER_S));
    if (mqtt_publish(client, topic, text, (u16_t)len, AT_LEAST_ONCE, 1, NULL, NULL) != ERR_OK)
        log_warn("mqtt: no memory to publish %s", topic);
    sys_timeout(PUBLISH_MS, publish, NULL);
}

static void on_connection(mqtt_client_t *which, void *arg, mqtt_connection_status_t status)
{
    (void)which;
    (void)arg;
    sys_untimeout(publish, NULL);
    if (status == MQTT_CONNECT_ACCEPTED) {
        log_info("mqtt: connected to %s, publishes %s", broker, topic);
        publish(NULL);
    } else {
        log_warn("mqtt: no connection to %s (%d), trying again", broker, (int)status);
        sys_timeout(RETRY_MS, connect, NULL);
    }
}

static void on_found(const char *name, const ip_addr_t *address, void *arg)
{
    const char *host = netif_default != NULL ? netif_get_hostname(netif_default) : NULL;
    const struct mqtt_connect_client_info_t info = {
        .client_id = host != NULL ? host : "ferrule",
        .keep_alive = KEEP_ALIVE_S,
        .will_topic = topic,
        .will_msg = "down",
        .will_qos = AT_LEAST_ONCE,
        .will_retain = 1,
    };
    (void)name;
    (void)arg;
    if (address == NULL ||
        mqtt_client_connect(client, address, broker_port, on_connection, NULL, &info) != ERR_OK)
        sys_timeout(RETRY_MS, connect, NULL);
}

static void connect(void *arg)
{
    ip_addr_t address;
    (void)arg;
    err_t error = dns_gethostbyname(broker, &address, on_found, NULL);
    if (error != ERR_INPROGRESS)
        on_found(broker, error == ERR_OK ? &address : NULL, NULL);
}

static int mqtt_start(void)
{
    const char *host = netif_default != NULL ? netif_get_hostname(netif_default) : NULL;
    if (!cmdline_get(platform_cmdline(), "mqtt", broker, sizeof(broker)) || broker[0] == '\0') {
        log_error("mqtt: the word mqtt=HOST[:PORT] does not say where the broker is");
        return -EINVAL;
    }
    char *colon = strchr(broker, ':');
    if (colon != NULL) {
        char *end;
        unsigned long port = strtoul(colon + 1, &end, 10);
        *colon = '\0';
        if (port == 0 || port > UINT16_MAX || *end != '\0') {
            log_error("mqtt: the port behind %s is none", broker);
            return -EINVAL;
        }
        broker_port = (uint16_t)port;
    }
    client = mqtt_client_new();
    if (client == NULL)
        return -ENOMEM;
    snprintf(topic, sizeof(topic), "ferrule/%s", host != NULL ? host : "ferrule");
    connect(NULL);
    return 0;
}

const struct service mqtt_service = {"mqtt", MQTT_SERVICE_PORT, mqtt_start};
