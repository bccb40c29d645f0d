/*
 * report.c - what the block layer has: each device with its size and counters, for the monitor.
 *
 * Read block.h for what the counters mean.
 */
#include "blk/block.h"
#include "blk/partition.h"
#include "log.h"
#include "platform.h"

#define LINE_SIZE 320u

static void say(const char *text, int len)
{
    if (len > 0)
        platform_console_write(text, (size_t)len < LINE_SIZE ? (size_t)len : LINE_SIZE - 1);
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
                    "%llu errors, %llu time-outs, %llu times full\n",
                    (unsigned long long)stats->reads, (unsigned long long)stats->sectors_read,
                    (unsigned long long)stats->writes, (unsigned long long)stats->sectors_written,
                    (unsigned long long)stats->flushes, (unsigned long long)stats->errors,
                    (unsigned long long)stats->timeouts, (unsigned long long)stats->full));
}

void blk_print_report(void)
{
    const struct blk_device *device;

    for (unsigned i = 0; (device = blk_device_at(i)) != NULL; i++)
        print_device(device);
}
