/*
 * sys/dirent.h - the machine's half of <dirent.h>, which newlib leaves to each system.
 *
 * Owns struct dirent and the DIR type; newlib's <dirent.h> declares the functions and libc/dirent.c
 * implements them. Comes before newlib's headers in the search path, since newlib's own file of
 * this name only says that there is none.
 */
#ifndef FERRULE_LIBC_SYS_DIRENT_H
#define FERRULE_LIBC_SYS_DIRENT_H

#include <sys/types.h>

/* 255 UTF-16 units, the longest name on a FAT volume, as UTF-8. */
#define MAXNAMLEN 765

#define DT_UNKNOWN 0
#define DT_DIR 4
#define DT_REG 8

struct dirent {
    ino_t d_ino;          /* always 0: a FAT volume has no such numbers */
    unsigned char d_type; /* DT_DIR or DT_REG */
    char d_name[MAXNAMLEN + 1];
};

typedef struct directory_stream DIR;

#endif
