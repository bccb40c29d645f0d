/*
 * ffconf.h - how FatFs is built for Ferrule.
 *
 * Owns every compile-time choice of FatFs, which itself is third-party and not changed; the
 * Makefile names this file by FFCONF_H. FAT12, FAT16 and FAT32 with long names in UTF-8, read and
 * write, no exFAT. Read fat.c next.
 */
#ifndef FERRULE_FS_FFCONF_H
#define FERRULE_FS_FFCONF_H

#define FFCONF_DEF 86604 /* the revision of ff.h that these choices belong to */

/* Functions: all basic ones, nothing else. */
#define FF_FS_READONLY 0
#define FF_FS_MINIMIZE 0
#define FF_USE_STRFUNC 0
#define FF_USE_FIND 0
#define FF_USE_MKFS 0
#define FF_USE_EXPAND 0
#define FF_USE_CHMOD 0
#define FF_USE_LABEL 0
#define FF_USE_FORWARD 0
/*
 * Its link map is built without a bound on a damaged (circular) chain; fat_file.c keeps a bounded
 * one of its own.
 */
#define FF_USE_FASTSEEK 0

/*
 * Names: long, UTF-8; the work space comes from malloc, which also lets FatFs clear a new directory
 * with one large write.
 */
#define FF_USE_LFN 3
#define FF_MAX_LFN 255
#define FF_LFN_UNICODE 2
#define FF_LFN_BUF 765
#define FF_SFN_BUF 34
#define FF_STRF_ENCODE 3
#define FF_CODE_PAGE 437
#define FF_FS_RPATH 0 /* paths arrive absolute and normalised */

/*
 * Volumes: any number; each is found in its FATFS, on the whole disk or in the first partition that
 * holds one.
 */
#define FF_VOLUMES 1
#define FF_STR_VOLUME_ID 0
#define FF_MULTI_PARTITION 0
#define FF_MIN_SS 512
#define FF_MAX_SS 4096
#define FF_USE_TRIM 0
#define FF_FS_NOFSINFO 0

/*
 * System: a sector buffer in each file, so that data and directory do not push each other out; one
 * thread.
 */
#define FF_FS_TINY 0
#define FF_FS_EXFAT 0
#define FF_FS_NORTC 0
#define FF_NORTC_MON 1
#define FF_NORTC_MDAY 1
#define FF_NORTC_YEAR 2025
/*
 * A file open for writing cannot be opened again, removed or renamed: FatFs would damage the
 * volume. Files and directories together.
 */
#define FF_FS_LOCK 96
#define FF_FS_REENTRANT 0
#define FF_FS_TIMEOUT 1000
#define FF_SYNC_t void *

#endif
