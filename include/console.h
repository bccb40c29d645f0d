/*
 * console.h - consoles beside the serial port: what a driver that has one offers, and how it joins.
 *
 * platform_console_write() goes to the serial port and to every console attached here;
 * platform_console_read() takes from whichever has something. boot/console.c implements it; the
 * drivers in console/ attach. Everything runs in loop context with one exception, said below.
 */
#ifndef FERRULE_CONSOLE_H
#define FERRULE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/* The structure belongs to the driver and must stay in place while attached. */
struct console {
    const char *name;
    /*
     * Takes text with line ends as a terminal wants them. Waits a bounded time for room at most,
     * then drops. Must cope with being called from within the driver's own code, since that logs.
     */
    void (*write)(void *arg, const char *text, size_t len);
    /* The next byte, or -1. */
    int (*read)(void *arg);
    /* Is there something to read? Costs no access to the device. */
    bool (*pending)(void *arg);
    /* Waits until the device has taken all that was written, for a bounded time. False: it has not. */
    bool (*flush)(void *arg);
    /*
     * The last resort of a crash, in any context: writes what was not taken yet, then `text`, past
     * everything that may be in an undefined state; the usual way when the device has no other.
     */
    void (*emergency)(void *arg, const char *text, size_t len);
    void *arg;
    struct console *next; /* private */
};

/* From the next line on it takes part; `with_log`: what was logged so far is written to it first. */
void console_attach(struct console *console, bool with_log);
void console_detach(struct console *console); /* a no-op when it is not attached */

/* Is there nothing yet that could show text, no serial port and no console? */
bool console_wanted(void);

/* Does all input come by the serial port? */
bool console_is_serial(void);

/* Waits until every console has shown what was written, for a bounded time. */
void console_flush(void);

/*
 * The last words follow. Without a serial port, those that the usual way does not take until
 * console_flush(), and all of them after a second call (a crash within a crash), go through
 * emergency(). Any context.
 */
void console_panic(void);

/*
 * Something typed waits in memory: platform_console_read() would give it without looking at
 * hardware.
 */
bool console_pending(void);

#endif
