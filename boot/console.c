/*
 * console.c - the console of platform.h: the serial port and every attached console as one.
 *
 * Owns include/console.h and the line ends: text comes with '\n' and leaves with "\r\n". The serial
 * port is arch/'s (machine.h), the other consoles are drivers'. Read console/virtio_console.c for
 * one of those.
 */
#include "console.h"

#include "log.h"
#include "loop.h"
#include "machine.h"
#include "platform.h"

#define CHUNK_SIZE 256

static struct console *consoles;
static unsigned panics;
static char last_written;

static void emit(const struct console *only, const char *text, size_t len)
{
    if (len == 0)
        return;
    if (only != NULL) {
        only->write(only->arg, text, len);
        return;
    }
    serial_write(text, len);
    for (struct console *console = consoles; console != NULL; console = console->next) {
        if (panics > 1 && !serial_present())
            console->emergency(console->arg, text, len);
        else
            console->write(console->arg, text, len);
    }
}

/* Text that comes with "\r\n" already leaves as it came. `only` NULL: to all. */
static void write_text(const struct console *only, char *last, const char *text, size_t len)
{
    char chunk[CHUNK_SIZE];
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        if (used + 2 > sizeof(chunk)) {
            emit(only, chunk, used);
            used = 0;
        }
        if (text[i] == '\n' && *last != '\r')
            chunk[used++] = '\r';
        chunk[used++] = *last = text[i];
    }
    emit(only, chunk, used);
}

void platform_console_write(const char *text, size_t len)
{
    write_text(NULL, &last_written, text, len);
}

int platform_console_read(void)
{
    int byte = serial_read();

    for (struct console *console = consoles; byte < 0 && console != NULL; console = console->next)
        byte = console->read(console->arg);
    return byte;
}

bool console_pending(void)
{
    if (serial_pending())
        return true;
    for (struct console *console = consoles; console != NULL; console = console->next) {
        if (console->pending(console->arg))
            return true;
    }
    return false;
}

/* A log line for the console that comes late. */
static void replay(void *arg, const char *text, size_t len)
{
    char last = '\0';

    write_text(arg, &last, text, len);
}

void console_attach(struct console *console, bool with_log)
{
    struct console **link = &consoles;

    while (*link != NULL) {
        if (*link == console)
            return;
        link = &(*link)->next;
    }
    if (with_log)
        log_replay_to(replay, console);
    console->next = NULL;
    *link = console;
    loop_wake_all(); /* who reads consoles has one more to look at */
}

void console_detach(struct console *console)
{
    for (struct console **link = &consoles; *link != NULL; link = &(*link)->next) {
        if (*link == console) {
            *link = console->next;
            return;
        }
    }
}

bool console_wanted(void)
{
    return !serial_present() && consoles == NULL;
}

bool console_is_serial(void)
{
    return consoles == NULL;
}

void console_flush(void)
{
    for (struct console *console = consoles; console != NULL; console = console->next) {
        if (!console->flush(console->arg) && panics > 0 && !serial_present())
            console->emergency(console->arg, "", 0);
    }
}

void console_panic(void)
{
    panics++;
}
