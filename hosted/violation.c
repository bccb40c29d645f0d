/*
 * violation.c - the list of what the model device found wrong with the driver.
 *
 * Keeps the ids for counting and the texts for the report of a failed test. Decides nothing: the
 * model goes on, and the test looks at the list. Read violation.h first.
 */
#include "hosted/violation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_VIOLATIONS 64

static struct {
    const char *id;
} violations[MAX_VIOLATIONS];
static unsigned violations_found;
static char violations_text[8192];

void violation(const char *id, const char *format, ...)
{
    size_t used = strlen(violations_text);
    va_list args;

    if (violations_found < MAX_VIOLATIONS)
        violations[violations_found].id = id;
    violations_found++;
    used += (size_t)snprintf(violations_text + used, sizeof(violations_text) - used, "%s: ", id);
    if (used >= sizeof(violations_text) - 2)
        return;
    va_start(args, format);
    vsnprintf(violations_text + used, sizeof(violations_text) - used - 1, format, args);
    va_end(args);
    strcat(violations_text, "\n");
}

unsigned violation_count(const char *id)
{
    unsigned count = 0;

    if (!id)
        return violations_found;
    for (unsigned i = 0; i < violations_found && i < MAX_VIOLATIONS; i++)
        count += strcmp(violations[i].id, id) == 0;
    return count;
}

const char *violation_text(void)
{
    return violations_text;
}

void violation_reset(void)
{
    violations_found = 0;
    violations_text[0] = '\0';
}
