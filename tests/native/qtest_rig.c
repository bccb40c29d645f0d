/*
 * qtest_rig.c - see qtest_rig.h. An exercise is the same whether the device is left in peace or
 * reset in the middle of it: data that was acknowledged must be there, and everything must end.
 */
#include "qtest_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend.h"
#include "balloon/virtio_balloon.h"
#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "blk/virtio_scsi.h"
#include "console.h"
#include "console/virtio_console.h"
#include "hosted/hosted.h"
#include "hosted/qtest.h"
#include "net/virtio_net.h"
#include "net_port.h"
#include "pci.h"
#include "rng/random.h"
#include "rng/virtio_rng.h"
#include "virtio/virtio_pci.h"

#define DISK_BYTES (8u << 20)
#define TRANSFER_BYTES 8192u
#define TRANSFER_SECTORS (TRANSFER_BYTES / BLK_SECTOR_SIZE)
#define DEPTH 16u

enum { SLOT_NET = 1, SLOT_BLK, SLOT_CONSOLE, SLOT_RNG, SLOT_BALLOON, SLOT_SCSI };

void (*rig_disturb)(struct virtio_device *device);
static int net_peer, terminal;
static struct console *console;
static uint64_t rng_goal; /* answers that there will have been */

static void disturb(struct virtio_device *device)
{
    if (rig_disturb)
        rig_disturb(device);
}

static bool complain(const char *what)
{
    printf("%s; log:\n%s\n", what, hosted_log());
    return false;
}

/* ---- network: the peer sends every frame back ---- */

static void echo_frames(void *arg)
{
    uint8_t frame[2048];
    ssize_t len;

    (void)arg;
    while ((len = recv(net_peer, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
        send(net_peer, frame, (size_t)len, MSG_DONTWAIT);
}

static bool frames_back(void *arg)
{
    (void)arg;
    return net_port_outstanding() == 0;
}

/* Frames that were under way in a reset may be lost, others not. */
static bool exercise_net(struct virtio_device *device, unsigned amount)
{
    for (unsigned done = 0; done < amount; done += DEPTH) {
        net_port_send(DEPTH, 0);
        net_port_kick();
        disturb(device);
        if (rig_disturb) {
            /* What was not lost comes soon. */
            for (unsigned turn = 0; turn < 4 && net_port_outstanding(); turn++) {
                platform_wait(platform_now_ns() + 1000000);
                loop_turn();
            }
            net_port_forget();
        } else if (!backend_wait(frames_back, NULL)) {
            return complain("frames got lost");
        }
    }
    return net_port_counts()->wrong == 0 || rig_disturb;
}

/* ---- disks ---- */

struct transfer {
    struct blk_request blk;
    struct blk_segment segment;
    bool done;
};

static void transfer_done(struct blk_request *blk)
{
    ((struct transfer *)blk->context)->done = true;
}

static bool all_done(void *arg)
{
    struct transfer *transfer = arg;

    for (unsigned i = 0; i < DEPTH; i++)
        if (!transfer[i].done)
            return false;
    return true;
}

/* DEPTH requests at once; every one must end, and well. */
static bool transfer_all(struct virtio_device *device, struct blk_device *disk, enum blk_op op,
                         uint8_t *data, uint64_t first)
{
    static struct transfer transfer[DEPTH];

    for (unsigned i = 0; i < DEPTH; i++) {
        struct transfer *t = &transfer[i];

        t->done = false;
        t->segment = (struct blk_segment){data + i * TRANSFER_BYTES, TRANSFER_BYTES};
        t->blk = (struct blk_request){.op = op,
                                      .sector = first + i * TRANSFER_SECTORS,
                                      .segment = &t->segment,
                                      .segments = 1,
                                      .done = transfer_done,
                                      .context = t};
        blk_submit(disk, &t->blk);
    }
    loop_turn();
    disturb(device);
    if (!backend_wait(all_done, transfer))
        return complain("a request does not end");
    for (unsigned i = 0; i < DEPTH; i++)
        if (transfer[i].blk.status)
            return complain("a request failed");
    return true;
}

static bool exercise_disk(struct virtio_device *device, unsigned amount)
{
    struct blk_device *disk = blk_device_at(0);
    size_t bytes = (size_t)DEPTH * TRANSFER_BYTES;
    uint64_t places = DISK_BYTES / bytes;
    uint8_t *data, *want = malloc(bytes);
    bool good = disk != NULL;

    if (!disk)
        complain("there is no disk");
    data = platform_dma_alloc(bytes, 4096);
    for (unsigned done = 0; done < amount && good; done += DEPTH) {
        uint64_t first = platform_random() % places * (bytes / BLK_SECTOR_SIZE);

        for (size_t i = 0; i < bytes; i++)
            want[i] = (uint8_t)(done + first + i / 7);
        memcpy(data, want, bytes);
        good = transfer_all(device, disk, BLK_WRITE, data, first) && blk_flush(disk) == 0;
        memset(data, 0, bytes);
        good = good && transfer_all(device, disk, BLK_READ, data, first);
        if (good && memcmp(data, want, bytes) != 0)
            good = complain("the disk holds other data");
    }
    platform_dma_free(data, bytes);
    free(want);
    return good;
}

/* ---- console ---- */

void console_attach(struct console *attached, bool with_log)
{
    (void)with_log;
    console = attached;
}

void console_detach(struct console *detached)
{
    if (console == detached)
        console = NULL;
}

bool console_wanted(void)
{
    return false;
}

struct text {
    char data[64];
    unsigned length, got;
};

static bool terminal_shows(void *arg)
{
    struct text *text = arg;
    char part[64];
    ssize_t len = recv(terminal, part, sizeof(part), MSG_DONTWAIT);

    if (len > 0 && text->got + (unsigned)len <= text->length &&
        memcmp(part, text->data + text->got, (size_t)len) == 0)
        text->got += (unsigned)len;
    return text->got == text->length;
}

static bool console_got(void *arg)
{
    struct text *text = arg;
    int byte;

    while (text->got < text->length && (byte = console->read(console->arg)) >= 0)
        if ((char)byte == text->data[text->got])
            text->got++;
    return text->got == text->length;
}

static bool console_is_there(void *arg)
{
    (void)arg;
    return console != NULL;
}

/* Text of before a reset may be lost; it must work afterwards. */
static bool exercise_console(struct virtio_device *device, unsigned amount)
{
    for (unsigned done = 0; done < amount; done += DEPTH) {
        struct text text = {.got = 0};
        char rest[256];

        if (!backend_wait(console_is_there, NULL))
            return complain("there is no console");
        if (rig_disturb) {
            console->write(console->arg, "lost\r\n", 6);
            disturb(device);
            if (!backend_wait(console_is_there, NULL))
                return complain("the console did not come back");
            console->flush(console->arg);
            platform_wait(platform_now_ns() + 1000000);
            while (recv(terminal, rest, sizeof(rest), MSG_DONTWAIT) > 0)
                continue;
            while (console->read(console->arg) >= 0)
                continue;
        }
        text.length = (unsigned)snprintf(text.data, sizeof(text.data), "line %u of it\r\n", done);
        console->write(console->arg, text.data, text.length);
        if (!backend_wait(terminal_shows, &text))
            return complain("the terminal does not show what was written");
        text.got = 0;
        if (send(terminal, text.data, text.length, 0) != (ssize_t)text.length ||
            !backend_wait(console_got, &text))
            return complain("the console did not get what was typed");
    }
    return true;
}

/* ---- entropy and balloon ---- */

static bool was_answered(void *arg)
{
    struct virtio_device *device = arg;

    /* A request that a reset took is made again when numbers are used. */
    if (rig_disturb)
        random_u64();
    return virtqueue_stats(device->queue[0])->used >= rng_goal;
}

static bool exercise_rng(struct virtio_device *device, unsigned amount)
{
    for (unsigned done = 0; done < amount; done += 4 * DEPTH) {
        rng_goal = virtqueue_stats(device->queue[0])->used + 1;
        /* So many that the generator asks the device again. */
        for (unsigned i = 0; i < 8193; i++)
            random_u64();
        loop_turn();
        disturb(device);
        if (!backend_wait(was_answered, device))
            return complain("the entropy device does not answer");
    }
    return true;
}

static bool balloon_reached(void *arg)
{
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "\"actual\": %llu", *(unsigned long long *)arg);
    return strstr(qtest_monitor("{\"execute\":\"query-balloon\"}"), wanted) != NULL;
}

static bool set_balloon(struct virtio_device *device, unsigned long long bytes)
{
    char command[96];

    snprintf(command, sizeof(command), "{\"execute\":\"balloon\",\"arguments\":{\"value\":%llu}}",
             bytes);
    qtest_monitor(command);
    platform_wait(platform_now_ns() + 1000000);
    loop_turn();
    disturb(device);
    return backend_wait(balloon_reached, &bytes) || complain("the balloon has another size");
}

static bool exercise_balloon(struct virtio_device *device, unsigned amount)
{
    const unsigned long long all = 1ull << 30;

    hosted_set_memory(512u << 20, 256u << 20);
    for (unsigned done = 0; done < amount; done += 4 * DEPTH)
        if (!set_balloon(device, all - ((unsigned long long)(done % 64 + 16) << 16)) ||
            !set_balloon(device, all))
            return false;
    return true;
}

/* ---- the machine ---- */

const struct rig_device rig_devices[RIG_DEVICES] = {
    {"net", SLOT_NET, exercise_net},
    {"blk", SLOT_BLK, exercise_disk},
    {"console", SLOT_CONSOLE, exercise_console},
    {"rng", SLOT_RNG, exercise_rng},
    {"balloon", SLOT_BALLOON, exercise_balloon},
    {"scsi", SLOT_SCSI, exercise_disk},
};

static void make_pair(int type, int *ours, int *theirs)
{
    int pair[2];

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0)
        hosted_fail("socketpair: %s", strerror(errno));
    *ours = pair[0];
    *theirs = pair[1];
}

static int make_disk(void)
{
    int fd = memfd_create("disk", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, DISK_BYTES) != 0)
        hosted_fail("memfd: %s", strerror(errno));
    return fd;
}

void rig_start(bool packed)
{
    static const char *const types[] = {
        "virtio-net-pci,netdev=n,addr=1", "virtio-blk-pci,drive=b,addr=2",
        "virtio-serial-pci,addr=3",       "virtio-rng-pci,max-bytes=64,period=2,addr=4",
        "virtio-balloon-pci,addr=5",      "virtio-scsi-pci,id=s,addr=6"};
    static char device[RIG_DEVICES][96], netdev[96], disk[2][96], chardev[64];
    const char *argv[40] = {"-netdev", netdev,     "-blockdev", disk[0],   "-blockdev",
                            disk[1],   "-chardev", chardev,     "-object", "rng-builtin,id=r"};
    int net, blk = make_disk(), scsi = make_disk(), tty;
    unsigned count = 10;

    make_pair(SOCK_DGRAM, &net_peer, &net);
    make_pair(SOCK_STREAM, &terminal, &tty);
    snprintf(netdev, sizeof(netdev), "dgram,id=n,local.type=fd,local.str=%d", net);
    snprintf(chardev, sizeof(chardev), "socket,id=c,fd=%d", tty);
    snprintf(disk[0], sizeof(disk[0]), "driver=file,node-name=b,filename=/proc/self/fd/%d", blk);
    snprintf(disk[1], sizeof(disk[1]), "driver=file,node-name=d,filename=/proc/self/fd/%d", scsi);
    for (unsigned i = 0; i < RIG_DEVICES; i++) {
        snprintf(device[i], sizeof(device[i]), "%s,packed=%s%s", types[i], packed ? "on" : "off",
                 i == 3 ? ",rng=r" : "");
        argv[count++] = "-device";
        argv[count++] = device[i];
    }
    argv[count++] = "-device";
    argv[count++] = "virtconsole,chardev=c";
    argv[count++] = "-device";
    argv[count++] = "scsi-hd,drive=d,bus=s.0";
    argv[count] = NULL;
    qtest_start(argv, (const int[]){net, blk, scsi, tty, -1});
    close(net);
    close(blk);
    close(scsi);
    close(tty);
}

void rig_stop(void)
{
    qtest_stop();
    close(net_peer);
    close(terminal);
}

void rig_attach(void)
{
    static const struct virtio_driver *const drivers[] = {
        &virtio_net_driver, &virtio_blk_driver,     &virtio_console_driver,
        &virtio_rng_driver, &virtio_balloon_driver, &virtio_scsi_driver};

    qtest_attach();
    hosted_world_add(echo_frames, NULL);
    virtio_set_drivers(drivers, sizeof(drivers) / sizeof(drivers[0]));
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    rig_disturb = NULL;
}

struct virtio_device *rig_bring_up(const struct rig_device *which)
{
    struct pci_function *fn = NULL;

    for (unsigned i = 0; i < pci_function_count(); i++)
        if (pci_function_at(i)->device == which->slot)
            fn = pci_function_at(i);
    if (!fn || virtio_pci_probe(fn) != 0 || !virtio_devices() || !virtio_devices()->driver_ok) {
        complain("the device does not come up");
        return NULL;
    }
    if (which->slot == SLOT_NET && !net_port_open())
        return NULL;
    return virtio_devices();
}

bool rig_take_down(const struct rig_device *which)
{
    virtio_shutdown();
    return which->slot != SLOT_NET || net_port_close();
}
