/*
 * littlefs_port.h - how littlefs is built for Ferrule.
 *
 * Owns every compile-time choice of littlefs, which itself is third-party and not changed; the
 * Makefile includes this file in front of its sources. Read littlefs_disk.c next.
 */
#ifndef FERRULE_FS_LITTLEFS_PORT_H
#define FERRULE_FS_LITTLEFS_PORT_H

/* What is wrong with a volume is said by the port, in the kernel's log. */
#define LFS2_NO_DEBUG
#define LFS2_NO_WARN
#define LFS2_NO_ERROR

/*
 * littlefs asserts what a sound volume guarantees. A damaged one must not end the machine, so the
 * function that finds a contradiction fails like one that read a bad checksum.
 */
#define LFS2_ASSERT(test)            \
    do {                             \
        if (!(test))                 \
            return LFS2_ERR_CORRUPT; \
    } while (0)

#endif
