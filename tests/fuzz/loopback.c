/*
 * loopback.c - see loopback.h.
 */
#include "loopback.h"

#include <sanitizer/lsan_interface.h>

#include "hosted/hosted.h"
#include "loop.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "net/lwip_netif.h"

#define TURNS_MAX 64u
#define STEPS_MAX 24u
#define PIECE_MAX 512u

/* A step of the client: a piece of so many bytes, or one of these. */
enum { END = 0, SHUT = 1, PAUSE = 2, LONG_PAUSE = 3, LONG_PIECE = 4 };

static struct tcp_pcb *client; /* NULL: gone */
static unsigned received;

static void settle(void)
{
    for (unsigned i = 0; i < TURNS_MAX && loop_turn(); i++)
        continue;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    (void)arg;
    (void)error;
    if (!p)
        return ERR_OK;
    received += p->tot_len;
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static void on_failed(void *arg, err_t error)
{
    (void)arg;
    (void)error;
    client = NULL;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    (void)pcb;
    (void)error;
    return ERR_OK;
}

static void start(uint16_t port)
{
    ip_addr_t here = IPADDR4_INIT_BYTES(127, 0, 0, 1);

    received = 0;
    client = tcp_new();
    if (!client)
        hosted_fail("there is no connection left");
    tcp_nagle_disable(client);
    tcp_recv(client, on_received);
    tcp_err(client, on_failed);
    tcp_connect(client, &here, port, on_connected);
    settle();
}

/* Connections end with the run; the ones that listen stay. */
static void end_all(void)
{
    while (tcp_active_pcbs)
        tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs)
        tcp_abort(tcp_tw_pcbs);
    settle();
}

static void send_piece(struct input *input, size_t len, void (*patch)(uint8_t *data, size_t len))
{
    static uint8_t piece[PIECE_MAX];

    len = input_bytes(input, piece, len);
    if (patch)
        patch(piece, len);
    if (len && tcp_write(client, piece, (u16_t)len, TCP_WRITE_FLAG_COPY) == ERR_OK)
        tcp_output(client);
}

void loopback_run(uint16_t port, struct input *input, void (*patch)(uint8_t *data, size_t len))
{
    start(port);
    for (unsigned i = 0; i < STEPS_MAX && client && !input_is_empty(input); i++) {
        uint8_t step = input_u8(input);

        if (step == END)
            break;
        if (step == SHUT)
            tcp_shutdown(client, 0, 1);
        else if (step == PAUSE || step == LONG_PAUSE)
            hosted_clock_advance(step == PAUSE ? UINT64_C(500000000) : UINT64_C(20000000000));
        else
            send_piece(input, step == LONG_PIECE ? PIECE_MAX : step, patch);
        settle();
    }
    end_all();
}

unsigned loopback_received(void)
{
    return received;
}

void loopback_prepare(void)
{
    hosted_set_memory(64u << 20, 32u << 20);
    __lsan_disable();
    net_init();
    __lsan_enable();
}
