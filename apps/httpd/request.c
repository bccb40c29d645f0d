/*
 * request.c - what the head of a request says about its connection: see request.h.
 *
 * Reads bytes from anybody: no terminator, no line ending and no order of fields is relied on.
 */
#include "request.h"

#include <string.h>

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

/* Does the text begin with these letters and signs, whatever the case? `word` is in small letters. */
static bool begins_with(const char *text, size_t len, const char *word)
{
    for (; *word != '\0'; word++, text++, len--)
        if (len == 0 || (*text != *word && (*word < 'a' || (*text | 0x20) != *word)))
            return false;
    return true;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && begins_with(text, len, word);
}

/* Looks which of two words are among the comma-separated ones of a field. */
static void read_words(const char *value, size_t len, bool *keeps, bool *closes)
{
    while (len > 0) {
        size_t skip = 0, count = 0;
        while (skip < len && separates(value[skip]))
            skip++;
        while (skip + count < len && !separates(value[skip + count]))
            count++;
        *keeps = *keeps || is_word(value + skip, count, "keep-alive");
        *closes = *closes || is_word(value + skip, count, "close");
        value += skip + count;
        len -= skip + count;
    }
}

bool request_keeps_open(const char *request, size_t len)
{
    static const char name[] = "connection:";
    const size_t name_len = sizeof(name) - 1;
    struct span text = {request, len}, line;
    if (!next_line(&text, &line))
        return false;
    bool keeps = ends_with(&line, " HTTP/1.1"), closes = false;
    while (next_line(&text, &line) && line.len > 0)
        if (begins_with(line.start, line.len, name))
            read_words(line.start + name_len, line.len - name_len, &keeps, &closes);
    return keeps && !closes;
}
