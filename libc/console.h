/*
 * console.h - the console as an open object, for descriptors 0, 1 and 2.
 *
 * Owns the line discipline: '\n' goes out as "\r\n"; what is typed is echoed and comes in as whole
 * lines, with backspace honoured.
 */
#ifndef FERRULE_LIBC_CONSOLE_H
#define FERRULE_LIBC_CONSOLE_H

#include "fs/fs.h"

/*
 * read() never waits: it gives (a part of) a line once that was ended by Enter, else -EAGAIN. Bytes
 * typed while the event loop runs go to the monitor instead (boot/monitor.c).
 */
extern const struct file_ops console_ops;

#endif
