/*
 * log.c - log lines: time stamp, level, console, and the ring that keeps the last of them.
 *
 * Owns include/log.h except for the formatter (format.c). Needs platform_now_ns() and
 * platform_console_write() only, so it works from the first line of C; times read 0 until the clock
 * is calibrated. Read arch/x86_64/uart.c next.
 */
#include <stdint.h>

#include "log.h"
#include "platform.h"

#define LINE_SIZE 1024
#define RING_SIZE 16384

static enum log_level shown_level = LOG_INFO;
static char ring[RING_SIZE];
static uint64_t ring_written; /* bytes ever; the ring holds the last RING_SIZE of them */

static void ring_put(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ring[ring_written++ % RING_SIZE] = text[i];
}

void log_set_level(enum log_level level)
{
    shown_level = level;
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const prefixes[] = {"error: ", "warning: ", "", ""};
    char line[LINE_SIZE];
    uint64_t now_us = platform_now_ns() / 1000;
    va_list args;
    int used;
    int added;

    if (level > shown_level)
        return;
    used = format_text(line, sizeof(line), "[%5u.%06u] %s", (unsigned)(now_us / 1000000),
                       (unsigned)(now_us % 1000000), prefixes[level]);
    va_start(args, format);
    added = format_text_v(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    used += added;
    if (used > LINE_SIZE - 2)
        used = LINE_SIZE - 2;
    line[used++] = '\n';
    ring_put(line, (size_t)used);
    platform_console_write(line, (size_t)used);
}

void log_replay_to(void (*write)(void *arg, const char *text, size_t len), void *arg)
{
    uint64_t end = ring_written;
    uint64_t at = end > RING_SIZE ? end - RING_SIZE : 0;

    /* Once the ring has wrapped, its oldest line has lost its beginning. */
    if (at > 0) {
        while (at < end && ring[at % RING_SIZE] != '\n')
            at++;
        at++;
    }
    while (at < end) {
        size_t offset = (size_t)(at % RING_SIZE);
        size_t length = RING_SIZE - offset;

        if (length > end - at)
            length = (size_t)(end - at);
        write(arg, ring + offset, length);
        at += length;
    }
}

static void to_console(void *arg, const char *text, size_t len)
{
    (void)arg;
    platform_console_write(text, len);
}

void log_replay(void)
{
    log_replay_to(to_console, NULL);
}
