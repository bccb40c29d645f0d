/*
 * path.h - from the target of a request to a file's path, and back into links.
 *
 * Owns percent-encoding (RFC 3986), what is refused in a request target, and content types. Pure
 * functions over text. Read content.c next, which serves what the path leads to.
 */
#ifndef FERRULE_HTTPD_PATH_H
#define FERRULE_HTTPD_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_SIZE 1024u

/*
 * Decodes a request target (RFC 9112, 3.2.1 and 3.2.2) to an absolute path without query. 0, or
 * -EINVAL when it is not a path, has a bad percent escape, a control character, a backslash or a
 * part "..", or -ENAMETOOLONG.
 */
int path_decode(const char *target, char path[PATH_SIZE]);

/* The Content-Type for a file, by the extension of its name. */
const char *path_content_type(const char *path);

/* Does a path end in '/', that is: does it name a folder? */
bool path_is_folder(const char *path);

/*
 * Text with the characters replaced that mean something in a URL's path (escape_url, '/' stays) or
 * in HTML (escape_html). Writes at most size - 1 bytes and a NUL and returns the length of the
 * whole, like snprintf.
 */
size_t path_escape_url(char *out, size_t size, const char *text);
size_t path_escape_html(char *out, size_t size, const char *text);

#endif
