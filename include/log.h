/*
 * log.h - the boot and run-time log: one line per event, on the console and in a ring kept in
 * memory.
 *
 * A line starts with the time since boot. The format is printf's, without floating point: flags
 * `-0#`, width, precision, `*`, lengths hh h l ll z t, conversions d i u x X o c s p %. Works from
 * the first instruction of C on, in any context, before libc is set up, and without SSE. Lines
 * below the level set by `loglevel=` (error warn info debug; default info) are dropped.
 */
#ifndef FERRULE_LOG_H
#define FERRULE_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Logs one line; a newline is added. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* The most detailed level that is still shown. */
void log_set_level(enum log_level level);

/* Writes the ring, that is the last 16 KiB of log lines, to the console once more, or elsewhere. */
void log_replay(void);
void log_replay_to(void (*write)(void *arg, const char *text, size_t len), void *arg);

/*
 * The formatter behind log_line, for others that need text without libc. Writes at most size - 1
 * bytes and a NUL; returns the length the whole text would have had.
 */
int format_text(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int format_text_v(char *out, size_t size, const char *format, va_list args);

#endif
