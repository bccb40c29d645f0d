/*
 * listing.h - the page for a folder without an index file.
 */
#ifndef FERRULE_HTTPD_LISTING_H
#define FERRULE_HTTPD_LISTING_H

#include <stddef.h>

/*
 * Builds the page for the folder `path` (with a '/' at its end). Returns 0, and then `*page` is
 * `*len` bytes that the caller frees; or a negative errno.
 */
int listing_build(const char *path, char **page, size_t *len);

#endif
