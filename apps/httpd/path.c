/*
 * path.c - from the target of a request to a file's path, and back into links: see path.h.
 */
#include "path.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Skips "http://host:port" of the absolute form, which every server must take (RFC 9112, 3.2.2). */
static const char *skip_authority(const char *target)
{
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    target += 7;
    target += strcspn(target, "/?");
    return *target == '/' ? target : "/";
}

/* A part ".." leads out of the folder that is served; refused by text, before any file system looks
 * at it. */
static bool has_parent_part(const char *path)
{
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0'))
            return true;
    }
    return false;
}

int path_decode(const char *target, char path[PATH_SIZE])
{
    size_t len = 0;
    target = skip_authority(target);
    if (*target != '/')
        return -EINVAL;
    for (; *target != '\0' && *target != '?' && *target != '#'; target++) {
        unsigned char c = (unsigned char)*target;
        if (c == '%') {
            int high = hex_digit(target[1]);
            int low = high < 0 ? -1 : hex_digit(target[2]);
            if (low < 0)
                return -EINVAL;
            c = (unsigned char)(high << 4 | low);
            target += 2;
        }
        /* FAT takes a backslash for a separator, as a browser on another system may. */
        if (c < ' ' || c == 0x7f || c == '\\')
            return -EINVAL;
        if (len + 1 >= PATH_SIZE)
            return -ENAMETOOLONG;
        path[len++] = (char)c;
    }
    path[len] = '\0';
    return has_parent_part(path) ? -EINVAL : 0;
}

const char *path_content_type(const char *path)
{
    static const struct {
        const char *extension, *type;
    } types[] = {
        {"html", "text/html"},
        {"htm", "text/html"},
        {"css", "text/css"},
        {"js", "text/javascript"},
        {"mjs", "text/javascript"},
        {"json", "application/json"},
        {"map", "application/json"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/plain; charset=utf-8"},
        {"log", "text/plain; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"xml", "text/xml"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"webp", "image/webp"},
        {"avif", "image/avif"},
        {"bmp", "image/bmp"},
        {"ico", "image/x-icon"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
        {"ttf", "font/ttf"},
        {"otf", "font/otf"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
        {"zip", "application/zip"},
        {"gz", "application/gzip"},
        {"tgz", "application/gzip"},
        {"xz", "application/x-xz"},
        {"tar", "application/x-tar"},
        {"mp3", "audio/mpeg"},
        {"ogg", "audio/ogg"},
        {"wav", "audio/wav"},
        {"mp4", "video/mp4"},
        {"webm", "video/webm"},
    };
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash != NULL ? slash : path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot + 1, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

bool path_is_folder(const char *path)
{
    size_t len = strlen(path);
    return len > 0 && path[len - 1] == '/';
}

/* Appends to the output as far as there is room for the NUL behind it; returns the length without
 * the limit. */
static size_t put(char *out, size_t size, size_t len, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++, len++)
        if (len + 1 < size)
            out[len] = text[i];
    if (size > 0)
        out[len < size ? len : size - 1] = '\0';
    return len;
}

size_t path_escape_url(char *out, size_t size, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    static const char digits[] = "0123456789ABCDEF";
    size_t len = put(out, size, 0, "", 0);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (strchr(plain, c) != NULL)
            len = put(out, size, len, text, 1);
        else
            len = put(out, size, len, escape, sizeof(escape));
    }
    return len;
}

size_t path_escape_html(char *out, size_t size, const char *text)
{
    size_t len = put(out, size, 0, "", 0);
    for (; *text != '\0'; text++) {
        const char *entity = *text == '&'    ? "&amp;"
                             : *text == '<'  ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&#39;"
                                             : NULL;
        if (entity != NULL)
            len = put(out, size, len, entity, strlen(entity));
        else
            len = put(out, size, len, text, 1);
    }
    return len;
}
