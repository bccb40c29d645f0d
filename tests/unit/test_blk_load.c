// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/load.c blk/partition.c blk/partition_gpt.c blk/partition_gpt_fields.c blk/partition_mbr.c
// sources: blk/ramdisk.c boot/loop.c boot/log.c boot/format.c boot/cmdline.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_blk_load.c - lines that ask for a load on a disk, and their answers (blk/load.h), on RAM
 * disks.
 */
#include "support.h"

#include "blk/load.h"
#include "blk/ramdisk.h"

static char answer[BLK_LOAD_ANSWER_SIZE];
static unsigned answers;
#define SECTORS 4096u

static struct blk_device *disk;

static void take(void *arg, const char *text)
{
    assert_ptr_equal(arg, &answers);
    assert_true(strlen(text) < sizeof(answer));
    strcpy(answer, text);
    answers++;
}

/* The answer to a line, which a RAM disk gives at once. */
static const char *ask(const char *line)
{
    answers = 0;
    blk_load_start(line, take, &answers);
    assert_int_equal(answers, 1);
    return answer;
}

static void expect(const char *line, const char *start)
{
    const char *text = ask(line);

    if (strncmp(text, start, strlen(start)) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", line, text, start);
}

static void open_disk(void)
{
    disk = ramdisk_create(1 << 20);
    assert_non_null(disk);
}

static void close_disk(void)
{
    ramdisk_destroy(disk);
    disk = NULL;
}

static void every_op_is_done_as_often_as_asked(void **state)
{
    (void)state;
    open_disk();
    expect("blk randread 4k 4 1000", "ok n=1000 usec=");
    assert_int_equal(disk->stats.reads, 1000);
    assert_int_equal(disk->stats.sectors_read, 8000);
    expect("blk read 4096 1 300 rama", "ok n=300 ");
    assert_int_equal(disk->stats.reads, 1300);
    expect("blk randwrite 512 256 1000", "ok n=1000 ");
    expect("  blk   write\t1M 2 3 \r", "ok n=3 ");
    assert_non_null(strstr(answer, " bytes=3145728 p50="));
    assert_int_equal(disk->stats.writes, 1003);
    assert_int_equal(disk->stats.sectors_written, 1000 + 3 * 2048);
    expect("blk flush 0 8 20", "ok n=20 ");
    assert_non_null(strstr(answer, " bytes=0 "));
    assert_int_equal(disk->stats.flushes, 20);
    expect("blk sync 4k 3 300", "ok n=300 ");
    assert_non_null(strstr(answer, " bytes=1228800 "));
    assert_int_equal(disk->stats.flushes, 320);
    assert_int_equal(disk->stats.writes, 1303);
    memset(ramdisk_memory(disk), 1, 1 << 20);
    expect("blk zeroes 4k 3 128", "ok n=128 ");
    expect("blk discard 64k 2 4", "ok n=4 ");
    assert_int_equal(((uint8_t *)ramdisk_memory(disk))[(1 << 19) - 1], 0);
    assert_int_equal(((uint8_t *)ramdisk_memory(disk))[1 << 19], 1);
    assert_int_equal(disk->stats.ranges, 132);
    close_disk();
}

static void wrong_lines_are_refused(void **state)
{
    static const char *const lines[][2] = {
        {"", "error: expected: blk OP"},
        {"blk", "error: expected: blk OP"},
        {"blk read 4k 1", "error: expected"},
        {"blc read 4k 1 1", "error: expected"},
        {"blk readx 4k 1 1", "error: OP is none of"},
        {"blk read 4x 1 1", "error: BS is not a size"},
        {"blk read 0 1 1", "error: BS is not a multiple"},
        {"blk read 513 1 1", "error: BS is not a multiple"},
        {"blk read 1G 1 1", "error: BS is not a multiple"},
        {"blk read 2M 1 1", "error: the disk is smaller than BS"},
        {"blk read 4k 0 1", "error: DEPTH"},
        {"blk read 4k 257 1000", "error: DEPTH"},
        {"blk read 4k -1 1", "error: DEPTH"},
        {"blk read 4k 1 0", "error: COUNT"},
        {"blk read 4k 1 4294967296", "error: COUNT"},
        {"blk read 4k 1 1 ramb", "error: there is no such disk"},
        {"blk read 4k 1 1 rama rama", "error: too many words"},
        {"blk read 4k 1 1 rama force force force", "error: expected"},
    };
    char line[2 * BLK_LOAD_LINE_SIZE];

    (void)state;
    expect("blk read 4k 1 1", "error: there is no disk");
    open_disk();
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect(lines[i][0], lines[i][1]);
    memset(line, 'x', sizeof(line));
    line[BLK_LOAD_LINE_SIZE] = '\0';
    expect(line, "error: the line is too long");
    assert_int_equal(disk->stats.parts, 0);
    close_disk();
}

/* What writes keeps off a device in use, and has it for itself meanwhile. */
static void a_device_in_use_is_not_written_to(void **state)
{
    (void)state;
    open_disk();
    assert_int_equal(blk_claim(disk, "FAT volume"), 0);
    expect("blk write 4k 1 1", "error: rama is in use (FAT volume); with the word force");
    expect("blk randwrite 4k 1 1", "error: rama is in use");
    expect("blk fill 4k 1 1", "error: rama is in use");
    expect("blk sync 4k 1 1", "error: rama is in use");
    expect("blk discard 4k 1 1", "error: rama is in use");
    expect("blk read 4k 1 1", "ok ");
    expect("blk flush 0 1 1", "ok ");
    expect("blk write 4k 1 1 force", "ok ");
    assert_string_equal(blk_holder(disk), "FAT volume");
    blk_release(disk);
    expect("blk write 4k 1 1 rama", "ok ");
    assert_null(blk_holder(disk));
    close_disk();
}

static void verify_finds_what_fill_did_not_write(void **state)
{
    (void)state;
    open_disk();
    expect("blk verify 8k 4 128", "error: 2047 sectors of rama are not as filled, the first is 1");
    expect("blk fill 64k 3 16", "ok n=16 ");
    expect("blk verify 8k 4 128", "ok n=128 ");
    ((uint8_t *)ramdisk_memory(disk))[700 * 512 + 511]++;
    ((uint8_t *)ramdisk_memory(disk))[701 * 512]++;
    expect("blk verify 8k 4 128", "error: 2 sectors of rama are not as filled, the first is 700");
    close_disk();
}

static void random_offsets_cover_the_device(void **state)
{
    const uint8_t *memory;
    unsigned untouched = 0;

    (void)state;
    open_disk();
    memory = ramdisk_memory(disk);
    memset(ramdisk_memory(disk), 0xff, 1 << 20);
    expect("blk randwrite 4k 8 2000", "ok ");
    for (unsigned block = 0; block < 256; block++)
        untouched += memory[block * 4096] == 0xff;
    assert_true(untouched < 5); /* 256 blocks, each missed with probability e^-7.8 */
    close_disk();
}

/* ---- a disk that fails, and one that waits ---- */

static struct blk_request *held[BLK_LOAD_DEPTH_MAX];
static unsigned held_count, failing, submitted;

static int slow_submit(struct blk_device *device, const struct blk_part *part)
{
    (void)device;
    held[held_count++] = part->token;
    submitted++;
    return 0;
}

static void slow_nothing(struct blk_device *device)
{
    (void)device;
}

static unsigned slow_poll(struct blk_device *device, unsigned budget)
{
    unsigned done = 0, end = held_count;

    while (done < end && done < budget) {
        struct blk_request *token = held[0];

        memmove(held, held + 1, --held_count * sizeof(held[0]));
        done++;
        blk_complete(device, token, failing && submitted > failing ? -EIO : 0);
    }
    return done;
}

static bool slow_arm(struct blk_device *device)
{
    (void)device;
    return true;
}

static const struct blk_ops slow_ops = {.submit = slow_submit,
                                        .kick = slow_nothing,
                                        .poll = slow_poll,
                                        .arm = slow_arm,
                                        .reset = slow_nothing};

static struct blk_device slow = {
    .capacity = 2048,
    .block_size = 512,
    .limits = {.max_segments = 4, .max_segment_size = 1 << 20, .max_sectors = 2048},
    .ops = &slow_ops};

static void loads_take_turns_and_can_be_cancelled(void **state)
{
    unsigned other = 0;

    (void)state;
    held_count = submitted = failing = 0;
    assert_int_equal(blk_add(&slow), 0);
    answers = 0;
    blk_load_start("blk write 4k 7 100", take, &answers);
    assert_int_equal(held_count, 7);
    assert_string_equal(blk_holder(&slow), "load");
    blk_load_start("blk read 4k 1 1", take, &answers);
    assert_string_equal(answer, "error: another load is running");
    while (answers == 1) {
        assert_true(held_count <= 7);
        blk_poll(&slow, 3);
    }
    assert_memory_equal(answer, "ok n=100 ", 9);
    assert_int_equal(submitted, 100);
    assert_null(blk_holder(&slow));
    /* Cancelled: nothing new is submitted, and what is under way is waited for. */
    answers = 0;
    blk_load_start("blk write 4k 5 100", take, &answers);
    blk_load_cancel(&other);
    blk_poll(&slow, 5);
    assert_int_equal(submitted, 110);
    blk_load_cancel(&answers);
    blk_poll(&slow, 5);
    assert_int_equal(submitted, 110);
    assert_int_equal(answers, 0);
    assert_null(blk_holder(&slow));
    blk_remove(&slow);
}

static void an_error_ends_the_load(void **state)
{
    (void)state;
    held_count = submitted = 0;
    failing = 20;
    assert_int_equal(blk_add(&slow), 0);
    answers = 0;
    blk_load_start("blk read 4k 4 1000", take, &answers);
    while (!answers)
        blk_poll(&slow, 64);
    assert_memory_equal(answer, "error: read at sector ", 22);
    assert_non_null(strstr(answer, " of vda: -5 (input or output error)"));
    assert_in_range(submitted, 21, 28);
    blk_remove(&slow);
}

static void without_memory_there_is_no_load(void **state)
{
    (void)state;
    open_disk();
    for (unsigned nth = 1; nth <= 2; nth++) {
        hosted_dma_fail_nth(nth);
        expect("blk write 4k 4 10", "error: no memory");
        assert_null(blk_holder(disk));
    }
    hosted_dma_fail_nth(0);
    expect("blk write 4k 4 10", "ok ");
    close_disk();
}

static uint64_t sectors_read;

/* Says that it is larger as soon as it is read. */
static int grow(struct blk_device *device, const struct blk_part *part)
{
    device->capacity = 2 * SECTORS;
    for (unsigned i = 0; i < part->segments; i++) {
        memset(part->segment[i].data, 7, part->segment[i].len);
        sectors_read += part->segment[i].len / BLK_SECTOR_SIZE;
    }
    blk_complete(device, part->token, 0);
    return 0;
}

static void nothing(struct blk_device *device)
{
    (void)device;
}

static unsigned nothing_done(struct blk_device *device, unsigned budget)
{
    (void)device;
    (void)budget;
    return 0;
}

static bool idle(struct blk_device *device)
{
    (void)device;
    return true;
}

/* The copy has the size that the disk had when it began. */
static void a_disk_that_grows_is_copied(void **state)
{
    static const struct blk_ops ops = {
        .submit = grow, .kick = nothing, .poll = nothing_done, .arm = idle};
    static struct blk_device growing;

    (void)state;
    growing = (struct blk_device){
        .capacity = SECTORS,
        .block_size = 512,
        .limits = {.max_segments = 1, .max_segment_size = 1 << 20, .max_sectors = 2048},
        .ops = &ops};
    sectors_read = 0;
    assert_int_equal(blk_add(&growing), 0);
    ramdisk_from_cmdline("ramdisk=vda");
    assert_int_equal(sectors_read, SECTORS);
    disk = blk_find("rama");
    assert_non_null(disk);
    assert_int_equal(disk->capacity, SECTORS);
    close_disk();
    blk_remove(&growing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_op_is_done_as_often_as_asked),
        TEST(wrong_lines_are_refused),
        TEST(a_device_in_use_is_not_written_to),
        TEST(verify_finds_what_fill_did_not_write),
        TEST(random_offsets_cover_the_device),
        TEST(loads_take_turns_and_can_be_cancelled),
        TEST(an_error_ends_the_load),
        TEST(without_memory_there_is_no_load),
        TEST(a_disk_that_grows_is_copied),
    };

    return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
