/*
 * tftp.c - files of "/" for reading by TFTP (RFC 1350, port 69), by lwIP's server; and with the word
 * `tftp=` one file from another server (tftp_fetch.c).
 *
 * Nothing can be written from outside: TFTP knows no passwords. lwIP serves one transfer at a time, and names of
 * at most 20 characters.
 *
 * Its server looks at four bytes of packets that may be shorter, ends a transfer by an error when a
 * request or an acknowledgement comes twice, and starts one more timer with each request, so that
 * many requests at once would take all that there are. It is compiled with other names for
 * udp_recv() and sys_timeout() (Makefile), so that packets and timers pass here first.
 */
#include <errno.h>
#include <stdio.h>

#include "lwip/apps/tftp_common.h"
#include "lwip/timeouts.h"

#include "cmdline.h"
#include "platform.h"
#include "services/service.h"
#include "services/tftp.h"

#define WORD_SIZE 200

/* Who has asked, and what he has been sent. */
static struct {
    bool open;
    ip_addr_t address;
    u16_t port;
    u16_t block; /* the last one, which is to be acknowledged next */
} transfer;

static udp_recv_fn server_received;

void tftp_guard_recv(struct udp_pcb *pcb, udp_recv_fn received, void *arg);
void tftp_guard_timeout(u32_t ms, sys_timeout_handler handler, void *arg);

static void *tftp_open(const char *name, const char *mode, u8_t write)
{
    (void)mode;
    FILE *file = write ? NULL : fopen(name, "r");
    transfer.open = file != NULL;
    transfer.block = 0;
    return file;
}

static void tftp_close(void *handle)
{
    if (handle == &tftp_fetch_handle) {
        tftp_fetch_close();
        return;
    }
    transfer.open = false;
    fclose(handle);
}

static int tftp_read(void *handle, void *data, int bytes)
{
    transfer.block++;
    size_t n = fread(data, 1, (size_t)bytes, handle);
    return ferror((FILE *)handle) ? -1 : (int)n;
}

static int tftp_write(void *handle, struct pbuf *p)
{
    return handle == &tftp_fetch_handle ? tftp_fetch_write(p) : -1;
}

static void tftp_error(void *handle, int error, const char *message, int size)
{
    (void)error;
    if (handle == &tftp_fetch_handle)
        tftp_fetch_error(message, size);
}

/* ---- the guard ---- */

/*
 * Is this packet to be ignored? Of what comes twice the first one has been answered already, and what
 * got lost is sent again by time (RFC 1123, 4.2.3.1).
 */
static bool is_unwanted(struct udp_pcb *pcb, const struct pbuf *p, const ip_addr_t *address,
                        u16_t port)
{
    if (p->len < TFTP_HEADER_LEN)
        return true;
    enum tftp_kind kind = pbuf_get_at(p, 1);
    u16_t number = (u16_t)(pbuf_get_at(p, 2) << 8 | pbuf_get_at(p, 3));
    bool request = kind == TFTP_READ || kind == TFTP_WRITE;
    if (transfer.open && port == transfer.port && ip_addr_eq(address, &transfer.address))
        return request || (kind == TFTP_ACKNOWLEDGEMENT && number != transfer.block);
    if (tftp_fetch_refuses(pcb, p, address, port, kind, number))
        return true;
    if (request && !transfer.open) {
        transfer.address = *address;
        transfer.port = port;
    }
    return false;
}

static void on_packet(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *address,
                      u16_t port)
{
    if (is_unwanted(pcb, p, address, port))
        pbuf_free(p);
    else
        server_received(arg, pcb, p, address, port);
}

void tftp_guard_recv(struct udp_pcb *pcb, udp_recv_fn received, void *arg)
{
    server_received = received;
    udp_recv(pcb, on_packet, arg);
}

/* One timer is all that the server needs. */
void tftp_guard_timeout(u32_t ms, sys_timeout_handler handler, void *arg)
{
    sys_untimeout(handler, arg);
    sys_timeout(ms, handler, arg);
}

bool tftp_is_serving(void)
{
    return transfer.open;
}

static int begin(void)
{
    static const struct tftp_context context = {
        .open = tftp_open,
        .close = tftp_close,
        .read = tftp_read,
        .write = tftp_write,
        .error = tftp_error,
    };
    return tftp_init_common(LWIP_TFTP_MODE_CLIENTSERVER, &context) == ERR_OK ? 0 : -EADDRINUSE;
}

int tftp_restart(void)
{
    tftp_cleanup();
    return begin();
}

static int tftp_start(void)
{
    char what[WORD_SIZE];
    int error = begin();
    if (error == 0 && cmdline_get(platform_cmdline(), "tftp", what, sizeof(what)))
        return tftp_fetch(what);
    return error;
}

const struct service tftp_service = {"tftp", TFTP_SERVICE_PORT, tftp_start};
