/*
 * cmdline.h - words of the kernel command line: `key=value` or a bare `key`, separated by blanks.
 *
 * A value may be quoted "like this" to hold blanks. When a key stands twice the last one counts.
 * Words after a lone `--` belong to the application (its argv). Pure functions over text: no state
 * but the text itself.
 */
#ifndef FERRULE_CMDLINE_H
#define FERRULE_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Looks up `key` and copies its value (empty for a bare key), NUL-terminated and unquoted, to
 * `value` of `size` bytes. Returns false, and an empty value, when the key is absent or the value
 * does not fit.
 */
bool cmdline_get(const char *cmdline, const char *key, char *value, size_t size);

/*
 * The next word with this key, for keys that may stand more than once: copies its value like
 * cmdline_get() and moves *at behind it. False: there is none from *at on. A value that does not
 * fit comes out empty. Words after `--` count as well, because hypervisors append theirs.
 */
bool cmdline_next(const char **at, const char *key, char *value, size_t size);

/*
 * A number of bytes: decimal, with k, M or G (or K, m, g) behind it for powers of 1024. False: the
 * text is something else, or does not fit.
 */
bool cmdline_parse_size(const char *text, uint64_t *bytes);

/*
 * Splits the words after `--` into argv (argv[0] is `name`, the list ends in NULL), using `storage`
 * for the text. Returns argc; words that do not fit `max` entries (NULL included) or the storage
 * are left out.
 */
int cmdline_args(const char *cmdline, const char *name, char **argv, int max, char *storage,
                 size_t size);

#endif
