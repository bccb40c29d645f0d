// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/vhost_user.c
// sources: hosted/vhost_user_session.c hosted/vhost_user_link.c
/*
 * blk_bench.c - requests a second of the block driver on a vhost-user-blk back end, and the CPU time
 * of each.
 *
 * blk_bench SOCKET read|write DEPTH SECONDS: 4 KiB at random places, DEPTH requests at a time, by
 * the block layer in the event loop as an application would. Prints requests a second and
 * microseconds of CPU a request, of this process. blkio_bench.c does the same with libblkio.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_time.h"
#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/hosted.h"
#include "hosted/vhost_user.h"
#include "virtio/spec_storage.h"

#define BYTES 4096u
#define SECTORS (BYTES / BLK_SECTOR_SIZE)
#define DEPTH_MAX 128

static struct {
    struct blk_request blk;
    struct blk_segment segment;
} request[DEPTH_MAX];
static struct blk_device *disk;
static struct bench_time bench;
static unsigned in_flight;

static void submit(struct blk_request *blk)
{
    blk->sector = bench_random(&bench) % (disk->capacity / SECTORS) * SECTORS;
    in_flight++;
    blk_submit(disk, blk);
}

static void done(struct blk_request *blk)
{
    in_flight--;
    if (blk->status) {
        fprintf(stderr, "a request failed: %d\n%s", blk->status, hosted_log());
        exit(1);
    }
    if (bench_count(&bench))
        submit(blk);
    else if (in_flight == 0)
        platform_request_stop();
}

int main(int argc, char **argv)
{
    static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
    int depth = argc == 5 ? atoi(argv[3]) : 0;
    uint8_t *memory;

    if (depth < 1 || depth > DEPTH_MAX) {
        fprintf(stderr, "usage: blk_bench SOCKET read|write DEPTH SECONDS\n");
        return 2;
    }
    hosted_reset();
    hosted_clock_use_real();
    virtio_set_drivers(drivers, 1);
    if (!vhost_user_open(&(struct vhost_user_setup){
            .path = argv[1], .type = VIRTIO_ID_BLOCK, .timeout_ms = 20000}) ||
        !(disk = blk_device_at(0))) {
        fputs(hosted_log(), stderr);
        return 1;
    }
    memory = platform_dma_alloc(DEPTH_MAX * BYTES, BYTES);
    bench_start(&bench, atof(argv[4]));
    for (int i = 0; i < depth; i++) {
        request[i].segment = (struct blk_segment){memory + (size_t)i * BYTES, BYTES};
        request[i].blk.op = strcmp(argv[2], "write") == 0 ? BLK_WRITE : BLK_READ;
        request[i].blk.segment = &request[i].segment;
        request[i].blk.segments = 1;
        request[i].blk.done = done;
        submit(&request[i].blk);
    }
    loop_run();
    bench_print(&bench);
    virtio_shutdown();
    return 0;
}
