/*
 * console.c - descriptors 0, 1 and 2.
 *
 * Owns the line being typed; the bytes themselves, and how a line ends on the wire, are
 * platform.h's. Read files.c next.
 */
#include "libc/console.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "platform.h"

#define LINE_MAX_BYTES 256u

/*
 * The line being typed; once `complete`, it is handed out from `given` on before anything more is
 * taken.
 */
static struct {
    char text[LINE_MAX_BYTES];
    size_t len, given;
    bool complete;
} line;

/* Takes one typed byte into the line, with echo. */
static void console_typed(char byte)
{
    if (byte == '\r' || byte == '\n') {
        line.text[line.len++] = '\n';
        line.complete = true;
        platform_console_write("\n", 1);
    } else if (byte == '\b' || byte == 0x7f) {
        if (line.len) {
            line.len--;
            platform_console_write("\b \b", 3);
        }
    } else if (line.len < LINE_MAX_BYTES - 1 && (byte == '\t' || (unsigned char)byte >= ' ')) {
        line.text[line.len++] = byte;
        platform_console_write(&byte, 1);
    }
}

/* Takes what was typed, up to the end of a line. */
static void console_take(void)
{
    int byte;
    while (!line.complete && (byte = platform_console_read()) >= 0)
        console_typed((char)byte);
}

static unsigned console_poll(void *object)
{
    (void)object;
    console_take();
    return POLLOUT | POLLWRNORM | (line.complete ? POLLIN | POLLRDNORM : 0u);
}

static ssize_t console_read(void *object, void *data, size_t count)
{
    (void)object;
    console_take();
    if (!line.complete)
        return -EAGAIN;
    size_t n = line.len - line.given;
    if (n > count)
        n = count;
    memcpy(data, line.text + line.given, n);
    line.given += n;
    if (line.given == line.len) {
        line.len = line.given = 0;
        line.complete = false;
    }
    return (ssize_t)n;
}

static ssize_t console_write(void *object, const void *data, size_t count)
{
    (void)object;
    platform_console_write(data, count);
    return (ssize_t)count;
}

static int console_stat(void *object, struct stat *status)
{
    (void)object;
    memset(status, 0, sizeof(*status));
    status->st_mode = S_IFCHR | 0666;
    status->st_nlink = 1;
    status->st_blksize = 1024;
    return 0;
}

static int console_close(void *object)
{
    (void)object;
    return 0;
}

const struct file_ops console_ops = {
    .read = console_read,
    .write = console_write,
    .stat = console_stat,
    .poll = console_poll,
    .close = console_close,
};
