/*
 * report.c - what the block layer has: each device with its size and counters, for the monitor.
 *
 * Read block.h for what the counters mean.
 */
#include "blk/block.h"
#include "blk/partition.h"
#include "log.h"
#include "platform.h"

#define LINE_SIZE 400u

static void say(const char *text, int len)
{
    if (len > 0)
        platform_console_write(text, (size_t)len < LINE_SIZE ? (size_t)len : LINE_SIZE - 1);
}

/* What the device told of itself, as far as it did. */
static void print_facts(const struct blk_device *device)
{
    const struct blk_facts *facts = &device->facts;
    char text[LINE_SIZE];

    if (device->parent)
        return;
    say(text, format_text(text, sizeof(text),
                          "  serial %s, physical blocks %u, first at %u, best requests %u to %u, "
                          "geometry %u/%u/%u, wear %u %u %u, %u queues\n",
                          facts->serial[0] ? facts->serial : "-", facts->physical_block,
                          facts->aligned_sector, facts->min_io, facts->opt_io, facts->cylinders,
                          facts->heads, facts->sectors, facts->spare_blocks_used,
                          facts->life_used_a, facts->life_used_b, facts->queues));
    say(text, format_text(text, sizeof(text),
                          "  at once: discard %u, write zeroes %u, secure erase %u sectors; "
                          "write cache %s\n",
                          device->limits.max_discard_sectors, device->limits.max_zeroes_sectors,
                          device->limits.max_erase_sectors, device->has_flush ? "on" : "off"));
}

static void print_device(const struct blk_device *device)
{
    const struct partition_info *info = partition_info(device);
    const struct blk_statistics *stats = &device->stats;
    const char *holder = blk_holder(device);
    char text[LINE_SIZE];

    say(text,
        format_text(text, sizeof(text), "%s: %llu sectors%s%s%s%s%s%s\n", device->name,
                    (unsigned long long)device->capacity, device->read_only ? ", read-only" : "",
                    info ? ", " : "", info ? info->uuid : "", info && info->label[0] ? ", " : "",
                    info ? info->label : "", holder ? ", in use" : ""));
    say(text,
        format_text(text, sizeof(text),
                    "  %llu reads of %llu sectors, %llu writes of %llu, %llu flushes; "
                    "%llu merged, %llu errors, %llu time-outs, %llu times full\n",
                    (unsigned long long)stats->reads, (unsigned long long)stats->sectors_read,
                    (unsigned long long)stats->writes, (unsigned long long)stats->sectors_written,
                    (unsigned long long)stats->flushes, (unsigned long long)stats->merged,
                    (unsigned long long)stats->errors, (unsigned long long)stats->timeouts,
                    (unsigned long long)stats->full));
    print_facts(device);
}

void blk_print_report(void)
{
    const struct blk_device *device;

    for (unsigned i = 0; (device = blk_device_at(i)) != NULL; i++)
        print_device(device);
}
