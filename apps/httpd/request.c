/*
 * request.c - what the head of a request says about its connection: see request.h.
 *
 * Reads bytes from anybody: no terminator, no line ending and no order of fields is relied on.
 */
#include "request.h"

#include <string.h>
#include <strings.h>

struct span {
    const char *start;
    size_t len;
};

/* Takes the next line off the text, without its line ending. False at the end. */
static bool next_line(struct span *text, struct span *line)
{
    if (text->len == 0)
        return false;
    const char *end = memchr(text->start, '\n', text->len);
    size_t taken = end != NULL ? (size_t)(end - text->start) + 1 : text->len;
    line->start = text->start;
    line->len = end != NULL ? taken - 1 : taken;
    if (line->len > 0 && line->start[line->len - 1] == '\r')
        line->len--;
    text->start += taken;
    text->len -= taken;
    return true;
}

static bool ends_with(const struct span *line, const char *end)
{
    size_t len = strlen(end);
    return line->len >= len && memcmp(line->start + line->len - len, end, len) == 0;
}

static bool separates(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* Is `word` among the comma-separated words of a field's value? */
static bool has_word(const char *value, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    while (len > 0) {
        size_t skip = 0, count = 0;
        while (skip < len && separates(value[skip]))
            skip++;
        while (skip + count < len && !separates(value[skip + count]))
            count++;
        if (count == word_len && strncasecmp(value + skip, word, count) == 0)
            return true;
        value += skip + count;
        len -= skip + count;
    }
    return false;
}

bool request_keeps_open(const char *request, size_t len)
{
    static const char name[] = "connection:";
    const size_t name_len = sizeof(name) - 1;
    struct span text = {request, len}, line;
    if (!next_line(&text, &line))
        return false;
    bool open = ends_with(&line, " HTTP/1.1");
    while (next_line(&text, &line) && line.len > 0) {
        /* Most fields differ in the first letter. */
        if (line.len < name_len || (line.start[0] | 0x20) != name[0] ||
            strncasecmp(line.start, name, name_len) != 0)
            continue;
        if (has_word(line.start + name_len, line.len - name_len, "close"))
            return false;
        if (has_word(line.start + name_len, line.len - name_len, "keep-alive"))
            open = true;
    }
    return open;
}
