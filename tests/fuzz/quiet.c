/*
 * quiet.c - the parts of the machine that no target is about: a log that nobody reads and a console
 * that nobody sees. In place of boot/log.c and boot/console.c.
 */
#include "console.h"
#include "log.h"

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

void log_set_level(enum log_level level)
{
    (void)level;
}

void console_attach(struct console *console, bool with_log)
{
    (void)console;
    (void)with_log;
}

void console_detach(struct console *console)
{
    (void)console;
}

bool console_wanted(void)
{
    return false;
}
