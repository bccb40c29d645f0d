/*
 * cmdline.c - finds words of the kernel command line.
 *
 * Owns include/cmdline.h. Pure functions over text. Quotes hold a word together and are never part
 * of it. Read main.c for who asks.
 */
#include "cmdline.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves *at to the next word and returns its end; *at == the end when there is none. */
static const char *next_word(const char **at)
{
    const char *end;
    bool quoted = false;

    while (is_blank(**at))
        (*at)++;
    for (end = *at; *end != '\0' && (quoted || !is_blank(*end)); end++) {
        if (*end == '"')
            quoted = !quoted;
    }
    return end;
}

/*
 * Copies [from, end) without its quotes and with a NUL; returns the length, or `size` when that
 * does not fit.
 */
static size_t copy_unquoted(char *out, size_t size, const char *from, const char *end)
{
    size_t length = 0;

    for (; from < end; from++) {
        if (*from == '"')
            continue;
        if (length + 1 >= size)
            return size;
        out[length++] = *from;
    }
    if (size == 0)
        return 0;
    out[length] = '\0';
    return length;
}

static bool is_separator(const char *word, const char *end)
{
    return end - word == 2 && word[0] == '-' && word[1] == '-';
}

/* Is [word, end) the key, or key=value? Then *value is where the value starts. */
static bool has_key(const char *word, const char *end, const char *key, const char **value)
{
    size_t length = strlen(key);

    if ((size_t)(end - word) < length || memcmp(word, key, length) != 0)
        return false;
    word += length;
    if (word < end && *word != '=')
        return false;
    *value = word < end ? word + 1 : word;
    return true;
}

/* Copies a value; false, and an empty one, when it does not fit. */
static bool copy_value(char *out, size_t size, const char *from, const char *end)
{
    if (copy_unquoted(out, size, from, end) < size)
        return true;
    if (size > 0)
        out[0] = '\0';
    return false;
}

bool cmdline_get(const char *cmdline, const char *key, char *value, size_t size)
{
    const char *from;
    bool found = false;

    if (size > 0)
        value[0] = '\0';
    for (;;) {
        const char *end = next_word(&cmdline);
        const char *word = cmdline;

        if (word == end || is_separator(word, end))
            return found;
        cmdline = end;
        if (has_key(word, end, key, &from))
            found = copy_value(value, size, from, end);
    }
}

bool cmdline_next(const char **at, const char *key, char *value, size_t size)
{
    const char *from;

    for (;;) {
        const char *end = next_word(at);
        const char *word = *at;

        if (word == end)
            return false;
        *at = end;
        if (has_key(word, end, key, &from)) {
            copy_value(value, size, from, end);
            return true;
        }
    }
}

int cmdline_args(const char *cmdline, const char *name, char **argv, int max, char *storage,
                 size_t size)
{
    bool belongs_to_us = true;
    int argc = 0;

    if (max < 1)
        return 0;
    if (max > 1) {
        size_t used = copy_unquoted(storage, size, name, name + strlen(name));

        if (used < size) {
            argv[argc++] = storage;
            storage += used + 1;
            size -= used + 1;
        }
    }
    while (argc + 1 < max) {
        const char *end = next_word(&cmdline);
        const char *word = cmdline;
        size_t used;

        if (word == end)
            break;
        cmdline = end;
        if (belongs_to_us) {
            belongs_to_us = !is_separator(word, end);
            continue;
        }
        used = copy_unquoted(storage, size, word, end);
        if (used >= size)
            break;
        argv[argc++] = storage;
        storage += used + 1;
        size -= used + 1;
    }
    argv[argc] = NULL;
    return argc;
}

bool cmdline_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "kmgKMG";
    const char *unit;
    unsigned shift = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (*bytes = 0; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (*bytes > (UINT64_MAX - digit) / 10)
            return false;
        *bytes = *bytes * 10 + digit;
    }
    if (*text != '\0') {
        unit = strchr(units, *text++);
        if (unit == NULL)
            return false;
        shift = 10 * (unsigned)((unit - units) % 3 + 1);
    }
    if (*text != '\0' || *bytes > UINT64_MAX >> shift)
        return false;
    *bytes <<= shift;
    return true;
}
