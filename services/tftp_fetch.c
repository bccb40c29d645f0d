/*
 * tftp_fetch.c - a file from a TFTP server, asked for by the word `tftp=`, by lwIP's client.
 *
 * lwIP's client sends its request once, takes an answer from anybody, and waits for ever. Here the
 * request and acknowledgements are sent again, only the server that was asked is listened to, from
 * the port that its first answer came from, and who does not answer is given up. Read tftp.h first.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lwip/apps/tftp_client.h"
#include "lwip/timeouts.h"

#include "log.h"
#include "services/tftp.h"

#define NAME_SIZE 128
#define TICK_MS 1000u
#define TRIES 30u

char tftp_fetch_handle;

static struct {
    bool wanted; /* and not yet ended */
    bool asked;  /* lwIP has it */
    bool whole, failed;
    ip_addr_t server;
    u16_t port;  /* that it answers from; 0: it has not yet */
    u16_t block; /* the last one that came */
    bool moved;  /* since the last tick */
    unsigned tries;
    unsigned long long bytes;
    struct udp_pcb *pcb;
    FILE *file;
    char name[NAME_SIZE], path[NAME_SIZE + 1];
} fetch;

static void ask(void)
{
    fetch.asked = tftp_get(&tftp_fetch_handle, &fetch.server, TFTP_SERVICE_PORT, fetch.name,
                           TFTP_MODE_OCTET) == ERR_OK;
}

static void acknowledge(void)
{
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, TFTP_HEADER_LEN, PBUF_RAM);
    if (p == NULL)
        return;
    const u8_t packet[TFTP_HEADER_LEN] = {0, TFTP_ACKNOWLEDGEMENT, (u8_t)(fetch.block >> 8),
                                          (u8_t)fetch.block};
    memcpy(p->payload, packet, sizeof(packet));
    udp_sendto(fetch.pcb, p, &fetch.server, fetch.port);
    pbuf_free(p);
}

static void end(const char *complaint)
{
    if (!fetch.wanted)
        return;
    fetch.wanted = false;
    if (fclose(fetch.file) != 0 && complaint == NULL)
        complaint = "it cannot be written";
    if (complaint == NULL) {
        log_info("tftp: %s: %llu bytes from %s", fetch.path, fetch.bytes,
                 ipaddr_ntoa(&fetch.server));
        return;
    }
    log_error("tftp: %s from %s: %s", fetch.path, ipaddr_ntoa(&fetch.server), complaint);
    unlink(fetch.path);
}

static void tick(void *arg)
{
    (void)arg;
    if (!fetch.wanted)
        return;
    if (fetch.moved)
        fetch.tries = 0;
    fetch.moved = false;
    if (++fetch.tries > TRIES) {
        end("the server does not answer");
        tftp_restart();
        return;
    }
    if (fetch.port != 0)
        acknowledge();
    else if (!tftp_is_serving())
        ask();
    sys_timeout(TICK_MS, tick, NULL);
}

int tftp_fetch(const char *what)
{
    char address[IPADDR_STRLEN_MAX];
    const char *slash = strchr(what, '/');
    size_t len = slash != NULL ? (size_t)(slash - what) : 0;
    if (slash == NULL || slash[1] == '\0' || len >= sizeof(address) ||
        strlen(slash + 1) >= NAME_SIZE || strstr(slash, "..") != NULL) {
        log_error("tftp: \"%s\" is not ADDRESS/NAME", what);
        return -EINVAL;
    }
    memcpy(address, what, len);
    address[len] = '\0';
    if (ipaddr_aton(address, &fetch.server) == 0) {
        log_error("tftp: \"%s\" is no address", address);
        return -EINVAL;
    }
    strcpy(fetch.name, slash + 1);
    strcpy(fetch.path, slash);
    fetch.file = fopen(fetch.path, "w");
    if (fetch.file == NULL) {
        log_error("tftp: %s cannot be written: %s", fetch.path, strerror(errno));
        return -EINVAL;
    }
    fetch.wanted = true;
    ask();
    sys_timeout(TICK_MS, tick, NULL);
    return 0;
}

/* ---- lwIP's callbacks ---- */

int tftp_fetch_write(const struct pbuf *p)
{
    fetch.block++;
    fetch.moved = true;
    fetch.bytes += p->tot_len;
    fetch.whole = p->tot_len < TFTP_BLOCK;
    for (; p != NULL; p = p->next)
        if (fwrite(p->payload, 1, p->len, fetch.file) != p->len)
            fetch.failed = true;
    return fetch.failed ? -1 : 0;
}

void tftp_fetch_error(const char *text, int len)
{
    char complaint[80];
    snprintf(complaint, sizeof(complaint), "the server says: %.*s", len, text);
    for (char *c = complaint; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    end(complaint);
}

void tftp_fetch_close(void)
{
    end(fetch.failed ? "it cannot be written" : fetch.whole ? NULL : "it ended early");
}

/* ---- the guard ---- */

/* Blocks come in order. The last one may come again after the end, when its acknowledgement got lost. */
bool tftp_fetch_refuses(struct udp_pcb *pcb, const struct pbuf *p, const ip_addr_t *address,
                        u16_t port, enum tftp_kind kind, u16_t number)
{
    bool from_server = fetch.asked && ip_addr_eq(address, &fetch.server) &&
                       (fetch.port == 0 ? fetch.wanted : port == fetch.port);
    fetch.pcb = pcb;
    if (!from_server)
        return fetch.wanted && kind != TFTP_READ && kind != TFTP_WRITE;
    if (kind == TFTP_ERROR)
        return !fetch.wanted;
    if (kind != TFTP_DATA || p->tot_len > TFTP_HEADER_LEN + TFTP_BLOCK)
        return kind != TFTP_READ;
    if (number == fetch.block && fetch.port != 0)
        acknowledge();
    if (!fetch.wanted || number != (u16_t)(fetch.block + 1))
        return true;
    fetch.port = port;
    return false;
}
