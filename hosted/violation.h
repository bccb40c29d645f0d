/*
 * violation.h - what the model device found wrong with the driver, by requirement id of the driver
 * requirements list.
 *
 * The model reports and goes on as well as it can; a test decides. support.h of the unit tests
 * fails every test that ends with a violation that it did not expect.
 */
#ifndef FERRULE_HOSTED_VIOLATION_H
#define FERRULE_HOSTED_VIOLATION_H

/* `id` is a literal like "SPLIT-FRAME-1". */
void violation(const char *id, const char *format, ...) __attribute__((format(printf, 2, 3)));

unsigned violation_count(const char *id); /* NULL: all of them */
const char *violation_text(void);         /* all of them, a line each */
void violation_reset(void);

#endif
