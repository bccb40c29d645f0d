// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c virtio/virtio.c
// sources: virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c
// sources: boot/format.c boot/loop.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/vhost_user.c hosted/vhost_user_session.c hosted/vhost_user_link.c
/*
 * net_bench.c - packets a second of the network driver on a vhost-user back end that sends back what
 * it gets.
 *
 * net_bench SOCKET SECONDS FRAMES [packed] [in_order] [merged]: FRAMES frames of 64 bytes go round
 * and round: each that is received is sent again from the same buffer, in bursts, as testpmd does with its own
 * driver. Prints the frames received in a second. Read tests/bench/native/run next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/vhost_user.h"
#include "net/nic.h"
#include "net/virtio_net.h"
#include "virtio/spec_net.h"

#define BUFFERS 512u
#define BUFFER_BYTES 2048u
#define FRAME_BYTES 64u
#define BUDGET 32u
/* Turns between two looks at the clock. */
#define TURNS 1024u

static struct nic *nic;
static void *free_buffer[BUFFERS];
static unsigned free_count;
static uint64_t frames;

static void received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    static struct nic_tx_frame back[NIC_BURST];
    static struct virtqueue_sg sg[NIC_BURST];
    int sent;

    (void)arg;
    for (unsigned i = 0; i < count; i++) {
        const struct nic_piece *piece = frame[i].piece;
        uint32_t headroom = (uint32_t)((uint8_t *)piece->data - (uint8_t *)piece->buffer);

        sg[i] = (struct virtqueue_sg){piece->data, piece->len};
        back[i] = (struct nic_tx_frame){&sg[i], 1, headroom, NULL, piece->buffer};
    }
    frames += count;
    sent = nic_tx_burst(nic, back, count);
    for (unsigned i = sent > 0 ? (unsigned)sent : 0; i < count; i++)
        free_buffer[free_count++] = back[i].token;
}

static void reclaimed(void *arg, void *buffer)
{
    (void)arg;
    free_buffer[free_count++] = buffer;
}

static void sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    memcpy(free_buffer + free_count, token, count * sizeof(*token));
    free_count += count;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void lend(void)
{
    int taken = 0;

    while (free_count > 0 && taken >= 0) {
        unsigned most = free_count < NIC_BURST ? free_count : NIC_BURST;
        void **last = free_buffer + free_count - most;

        taken = nic_rx_provide(nic, last, most, BUFFER_BYTES);
        if (taken <= 0)
            break;
        memmove(last, last + taken, (most - (unsigned)taken) * sizeof(*last));
        free_count -= (unsigned)taken;
    }
}

static void turn(void)
{
    nic_poll(nic, BUDGET);
    lend();
    nic_kick(nic);
}

/* Frames a second in the time that is left. */
static double measure(double seconds)
{
    uint64_t start = platform_now_ns(), end = start + (uint64_t)(seconds * 1e9), now,
             first = frames;

    do {
        for (unsigned i = 0; i < TURNS; i++)
            turn();
        now = platform_now_ns();
    } while (now < end);
    return (double)(frames - first) * 1e9 / (double)(now - start);
}

static bool has(int argc, char **argv, const char *word)
{
    for (int i = 4; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

static void begin(int argc, char **argv)
{
    static const struct virtio_driver *const drivers[] = {&virtio_net_driver};
    static const struct {
        const char *word;
        unsigned bit;
    } features[] = {{"packed", VIRTIO_F_RING_PACKED},
                    {"in_order", VIRTIO_F_IN_ORDER},
                    {"merged", VIRTIO_NET_F_MRG_RXBUF}};
    struct vhost_user_setup setup = {.path = argv[1], .type = VIRTIO_ID_NET, .timeout_ms = 20000};

    hosted_reset();
    hosted_clock_use_real();
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
        if (!has(argc, argv, features[i].word))
            virtio_features_add(&setup.withheld, features[i].bit);
    /* Large frames would need larger buffers, and testpmd's driver does not take them either. */
    virtio_features_add(&setup.withheld, VIRTIO_NET_F_GUEST_TSO4);
    virtio_features_add(&setup.withheld, VIRTIO_NET_F_GUEST_TSO6);
    virtio_features_add(&setup.withheld, VIRTIO_NET_F_GUEST_UFO);
    virtio_set_drivers(drivers, 1);
    if (!vhost_user_open(&setup) || !(nic = nic_at(0))) {
        fputs(hosted_log(), stderr);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const struct nic_callbacks callbacks = {.received = received,
                                                   .reclaimed = reclaimed,
                                                   .sent = sent,
                                                   .changed = nothing,
                                                   .restarted = nothing};
    uint8_t *memory;

    if (argc < 4) {
        fprintf(stderr, "usage: net_bench SOCKET SECONDS FRAMES [packed] [in_order] [merged]\n");
        return 2;
    }
    begin(argc, argv);
    nic_attach(nic, &callbacks, NULL);
    memory = platform_dma_alloc(BUFFERS * BUFFER_BYTES, 4096);
    for (unsigned i = 0; i < BUFFERS; i++)
        free_buffer[free_count++] = memory + (size_t)i * BUFFER_BYTES;
    lend();
    for (int i = 0; i < atoi(argv[3]) && free_count > 0; i++) {
        struct virtqueue_sg sg = {free_buffer[free_count - 1], FRAME_BYTES};

        if (nic_tx(nic, &sg, 1, 0, NULL, sg.data) == 0)
            free_count--;
    }
    measure(0.5);
    printf("%.0f\n", measure(atof(argv[2])));
    virtio_shutdown();
    return 0;
}
