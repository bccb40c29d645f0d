/*
 * blkio_bench.c - what blk_bench.c measures, with libblkio's virtio-blk-vhost-user driver in the
 * place of Ferrule's.
 *
 * blkio_bench SOCKET read|write DEPTH SECONDS. One queue, memory of libblkio's own, completions
 * waited for as the library does it.
 */
#include <blkio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_time.h"

#define BYTES 4096u
#define DEPTH_MAX 128

static struct blkioq *queue;
static struct bench_time bench;
static uint64_t places;
static bool writing;

static void check(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "libblkio: %s\n", blkio_get_error_msg());
    exit(1);
}

static void submit(void *data)
{
    uint64_t start = bench_random(&bench) % places * BYTES;

    if (writing)
        blkioq_write(queue, start, data, BYTES, data, 0);
    else
        blkioq_read(queue, start, data, BYTES, data, 0);
}

static void open_device(struct blkio **device, const char *path)
{
    uint64_t capacity;

    check(blkio_create("virtio-blk-vhost-user", device));
    check(blkio_set_str(*device, "path", path));
    check(blkio_connect(*device));
    check(blkio_set_int(*device, "num-queues", 1));
    check(blkio_start(*device));
    check(blkio_get_uint64(*device, "capacity", &capacity));
    places = capacity / BYTES;
    queue = blkio_get_queue(*device, 0);
}

int main(int argc, char **argv)
{
    int depth = argc == 5 ? atoi(argv[3]) : 0, in_flight;
    struct blkio_completion completion[DEPTH_MAX];
    struct blkio_mem_region memory;
    struct blkio *device;

    if (depth < 1 || depth > DEPTH_MAX) {
        fprintf(stderr, "usage: blkio_bench SOCKET read|write DEPTH SECONDS\n");
        return 2;
    }
    writing = strcmp(argv[2], "write") == 0;
    open_device(&device, argv[1]);
    check(blkio_alloc_mem_region(device, &memory, (size_t)depth * BYTES));
    check(blkio_map_mem_region(device, &memory));
    bench_start(&bench, atof(argv[4]));
    for (in_flight = 0; in_flight < depth; in_flight++)
        submit((char *)memory.addr + (size_t)in_flight * BYTES);
    while (in_flight > 0) {
        int count = blkioq_do_io(queue, completion, 1, DEPTH_MAX, NULL);

        check(count);
        for (int i = 0; i < count; i++) {
            check(completion[i].ret);
            if (bench_count(&bench))
                submit(completion[i].user_data);
            else
                in_flight--;
        }
    }
    bench_print(&bench);
    blkio_destroy(&device);
    return 0;
}
