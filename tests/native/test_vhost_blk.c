// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c virtio/virtio.c virtio/virtio_config.c
// sources: virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c virtio/virtqueue.c
// sources: virtio/virtqueue_split.c virtio/virtqueue_packed.c boot/log.c boot/format.c boot/loop.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
// sources: hosted/vhost_user.c hosted/vhost_user_session.c hosted/vhost_user_link.c
// sources: tests/native/backend.c
/*
 * test_vhost_blk.c - the block driver, as a Linux process, on qemu-storage-daemon's vhost-user-blk
 * export.
 *
 * The daemon is a device that nobody here wrote: it shares the rings as memory, and can be killed,
 * stopped and started again. Every request must end exactly once, and what was acknowledged must be
 * on the disk. Each test starts a daemon of its own on a file of its own.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "backend.h"
#include "blk/block.h"
#include "blk/virtio_blk.h"
#include "hosted/vhost_user.h"
#include "virtio/spec_storage.h"

#define DISK_BYTES (16u << 20)
#define SECTORS (DISK_BYTES / BLK_SECTOR_SIZE)
#define REQUESTS 32u
#define REQUEST_BYTES 16384u
#define REQUEST_SECTORS (REQUEST_BYTES / BLK_SECTOR_SIZE)
#define PLACES (DISK_BYTES / REQUEST_BYTES)

static const struct virtio_driver *const drivers[] = {&virtio_blk_driver};
static struct backend daemon_;
static char file_name[64];
static struct virtio_device *device;
static struct blk_device *disk;
static uint8_t *memory;

/* ---- the daemon ---- */

static void start_daemon(void)
{
    char file[128], export[192];
    const char *argv[] = {"qemu-storage-daemon", "--blockdev", file, "--export", export, NULL};

    snprintf(file, sizeof(file), "driver=file,node-name=f,filename=%s", file_name);
    snprintf(export, sizeof(export),
             "type=vhost-user-blk,id=e,addr.type=unix,addr.path=%s,node-name=f,writable=on",
             daemon_.socket);
    backend_start(&daemon_, argv, NULL);
}

static void begin(unsigned timeout_ms)
{
    int fd;

    backend_init(&daemon_);
    snprintf(file_name, sizeof(file_name), "%s/disk", daemon_.folder);
    fd = open(file_name, O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
    close(fd);
    start_daemon();

    hosted_clock_use_real();
    virtio_set_drivers(drivers, 1);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    memory = platform_dma_alloc(REQUESTS * REQUEST_BYTES, 4096);
    device = vhost_user_open(&(struct vhost_user_setup){
        .path = daemon_.socket, .type = VIRTIO_ID_BLOCK, .timeout_ms = BACKEND_TIMEOUT_MS});
    disk = blk_device_at(0);
    if (!device || !disk)
        fail_msg("no disk; log:\n%s", hosted_log());
    /* From here on it is there, and the tests decide how patient they are. */
    disk->timeout_ms = timeout_ms;
}

static void end(void)
{
    virtio_shutdown();
    assert_null(blk_device_at(0));
    platform_dma_free(memory, REQUESTS * REQUEST_BYTES);
    backend_finish(&daemon_);
}

/* ---- requests: writes of known contents to random places ---- */

struct request {
    struct blk_request blk;
    struct blk_segment segment;
    unsigned place, done;
};
static struct request requests[REQUESTS];
static uint32_t acknowledged[PLACES]; /* what a place must hold: the number of its last write */
static uint32_t write_count, completed, failed;

static void fill(uint8_t *data, unsigned place, uint32_t number)
{
    for (unsigned i = 0; i < REQUEST_BYTES; i += 8) {
        memcpy(data + i, &number, 4);
        memcpy(data + i + 4, &(uint32_t){place * 4099 + i}, 4);
    }
}

static void write_done(struct blk_request *blk)
{
    struct request *request = blk->context;
    uint32_t number;

    request->done++;
    completed++;
    memcpy(&number, request->segment.data, 4);
    if (blk->status == 0)
        acknowledged[request->place] = number;
    else
        failed++;
}

static bool in_flight(unsigned place)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        if (!requests[i].done && requests[i].blk.done && requests[i].place == place)
            return true;
    return false;
}

static void submit_write(struct request *request, uint32_t *seed)
{
    uint8_t *data = memory + (size_t)(request - requests) * REQUEST_BYTES;

    request->done = 1;
    do {
        request->place = support_random(seed) % PLACES;
    } while (in_flight(request->place));
    request->done = 0;
    fill(data, request->place, ++write_count);
    request->segment = (struct blk_segment){data, REQUEST_BYTES};
    request->blk = (struct blk_request){.op = BLK_WRITE,
                                        .sector = (uint64_t)request->place * REQUEST_SECTORS,
                                        .segment = &request->segment,
                                        .segments = 1,
                                        .done = write_done,
                                        .context = request};
    blk_submit(disk, &request->blk);
}

static bool enough_done(void *arg)
{
    return completed >= *(unsigned *)arg;
}

/* As many requests under way as there are. */
static void submit_writes(uint32_t *seed)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        if (requests[i].done || !requests[i].blk.done)
            submit_write(&requests[i], seed);
}

/* Writes at full depth until `count` were answered since the start. */
static void write_until(unsigned count, uint32_t *seed)
{
    for (unsigned goal = completed + 1; completed < count; goal = completed + 1) {
        submit_writes(seed);
        if (!backend_wait(enough_done, &goal))
            fail_msg("no request ends any more; log:\n%s", hosted_log());
    }
}

static void start_writes(void)
{
    memset(requests, 0, sizeof(requests));
    memset(acknowledged, 0, sizeof(acknowledged));
    write_count = completed = failed = 0;
}

/* The daemon falls silent, and then gets requests that it will not answer. */
static void stop_daemon(uint32_t *seed)
{
    assert_int_equal(kill(daemon_.pid, SIGSTOP), 0);
    submit_writes(seed);
    loop_turn();
}

/* All that was submitted ends, each exactly once. */
static void finish_writes(void)
{
    if (!backend_wait(enough_done, &write_count))
        fail_msg("%u of %u requests never ended; log:\n%s", write_count - completed, write_count,
                 hosted_log());
    for (unsigned i = 0; i < REQUESTS; i++)
        assert_int_equal(requests[i].done, 1);
    assert_int_equal(completed, write_count);
}

static void check_disk(void)
{
    uint8_t *want = malloc(REQUEST_BYTES);

    for (unsigned place = 0; place < PLACES; place++) {
        if (!acknowledged[place])
            continue;
        fill(want, place, acknowledged[place]);
        assert_int_equal(blk_read(disk, (uint64_t)place * REQUEST_SECTORS, memory, REQUEST_SECTORS),
                         0);
        assert_memory_equal(memory, want, REQUEST_BYTES);
    }
    free(want);
}

/* ---- tests ---- */

static void data_goes_through(void **state)
{
    uint32_t seed = 1;
    uint8_t *want = malloc(REQUEST_BYTES);
    int fd;

    (void)state;
    begin(BACKEND_TIMEOUT_MS);
    assert_int_equal(disk->capacity, SECTORS);
    assert_true(vhost_user_protocol_features(device) >> 9 & 1); /* CONFIG */
    start_writes();
    write_until(2000, &seed);
    finish_writes();
    assert_int_equal(failed, 0);
    assert_int_equal(blk_flush(disk), 0);
    check_disk();
    assert_true(virtqueue_stats(device->queue[0])->interrupts > 0);
    /* The file says the same, to whoever looks at it without us. */
    fd = open(file_name, O_RDONLY);
    for (unsigned place = 0; place < PLACES; place++) {
        if (!acknowledged[place])
            continue;
        fill(want, place, acknowledged[place]);
        assert_int_equal(pread(fd, memory, REQUEST_BYTES, (off_t)place * REQUEST_BYTES),
                         REQUEST_BYTES);
        assert_memory_equal(memory, want, REQUEST_BYTES);
    }
    close(fd);
    free(want);
    assert_int_equal(blk_read(disk, SECTORS, memory, 8), -EINVAL);
    end();
}

static void killed_daemon_loses_nothing(void **state)
{
    uint32_t seed = 2;

    (void)state;
    begin(BACKEND_TIMEOUT_MS);
    start_writes();
    for (unsigned round = 1; round <= 4; round++) {
        write_until(round * 300, &seed);
        stop_daemon(&seed);
        backend_kill(&daemon_);
        start_daemon();
    }
    write_until(1500, &seed);
    finish_writes();
    assert_int_equal(failed, 0);
    assert_int_equal(vhost_user_connections(device), 5);
    check_disk();
    end();
}

static void dead_daemon_is_an_error(void **state)
{
    uint32_t seed = 3;

    (void)state;
    begin(BACKEND_TIMEOUT_MS);
    start_writes();
    write_until(100, &seed);
    stop_daemon(&seed);
    backend_kill(&daemon_);
    vhost_user_set_timeout(device, 300);
    finish_writes();
    assert_true(failed > 0);
    expect_log("cannot connect", 1);
    assert_int_equal(blk_read(disk, 0, memory, 8), -EIO);
    vhost_user_set_timeout(device, 10);
    end();
}

static void silent_daemon_is_an_error(void **state)
{
    uint32_t seed = 4;

    (void)state;
    begin(500);
    start_writes();
    write_until(100, &seed);
    vhost_user_set_timeout(device, 200);
    stop_daemon(&seed);
    finish_writes();
    assert_true(failed > 0);
    assert_true(hosted_log_count("the back end does not answer") > 0);
    backend_kill(&daemon_);
    vhost_user_set_timeout(device, 10);
    end();
}

static void polling_needs_no_events(void **state)
{
    uint32_t seed = 5;

    (void)state;
    begin(BACKEND_TIMEOUT_MS);
    virtio_shutdown();
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
    device = vhost_user_open(&(struct vhost_user_setup){
        .path = daemon_.socket, .type = VIRTIO_ID_BLOCK, .timeout_ms = BACKEND_TIMEOUT_MS});
    disk = blk_device_at(0);
    assert_non_null(disk);
    start_writes();
    write_until(500, &seed);
    finish_writes();
    check_disk();
    assert_int_equal(failed, 0);
    assert_int_equal(virtqueue_stats(device->queue[0])->interrupts, 0);
    loop_set_polling(false);
    end();
}

static int teardown(void **state)
{
    backend_finish_all();
    return support_teardown(state);
}

#define NATIVE(function) cmocka_unit_test_setup_teardown(function, support_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NATIVE(data_goes_through),       NATIVE(killed_daemon_loses_nothing),
        NATIVE(dead_daemon_is_an_error), NATIVE(silent_daemon_is_an_error),
        NATIVE(polling_needs_no_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
