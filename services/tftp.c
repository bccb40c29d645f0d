/*
 * tftp.c - files of "/" for reading by TFTP (RFC 1350, port 69), by lwIP's server.
 *
 * Nothing can be written: TFTP knows no passwords. lwIP serves one transfer at a time, and names of
 * at most 20 characters.
 *
 * Its server looks at four bytes of packets that may be shorter, ends a transfer by an error when a
 * request or an acknowledgement comes twice, and starts one more timer with each request, so that
 * many requests at once would take all that there are. It is compiled with other names for
 * udp_recv() and sys_timeout() (Makefile), so that packets and timers pass here first.
 */
#include <errno.h>
#include <stdio.h>

#include "lwip/apps/tftp_server.h"
#include "lwip/timeouts.h"

#include "services/service.h"

#define TFTP_SERVICE_PORT 69

/* RFC 1350, 5. */
#define HEADER_LEN 4u
enum { REQUEST_READ = 1, REQUEST_WRITE = 2, ACKNOWLEDGEMENT = 4 };

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
    (void)handle;
    (void)p;
    return -1;
}

static void tftp_error(void *handle, int error, const char *message, int size)
{
    (void)handle;
    (void)error;
    (void)message;
    (void)size;
}

/* ---- the guard ---- */

/*
 * Is this packet to be ignored? Of what comes twice the first one has been answered already, and what
 * got lost is sent again by time (RFC 1123, 4.2.3.1).
 */
static bool is_unwanted(const struct pbuf *p, const ip_addr_t *address, u16_t port)
{
    if (p->len < HEADER_LEN)
        return true;
    u8_t kind = pbuf_get_at(p, 1);
    bool request = kind == REQUEST_READ || kind == REQUEST_WRITE;
    if (transfer.open && port == transfer.port && ip_addr_eq(address, &transfer.address)) {
        u16_t number = (u16_t)(pbuf_get_at(p, 2) << 8 | pbuf_get_at(p, 3));
        return request || (kind == ACKNOWLEDGEMENT && number != transfer.block);
    }
    if (request && !transfer.open) {
        transfer.address = *address;
        transfer.port = port;
    }
    return false;
}

static void on_packet(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *address,
                      u16_t port)
{
    if (is_unwanted(p, address, port))
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

static int tftp_start(void)
{
    static const struct tftp_context context = {
        .open = tftp_open,
        .close = tftp_close,
        .read = tftp_read,
        .write = tftp_write,
        .error = tftp_error,
    };
    return tftp_init_server(&context) == ERR_OK ? 0 : -EADDRINUSE;
}

const struct service tftp_service = {"tftp", TFTP_SERVICE_PORT, tftp_start};
