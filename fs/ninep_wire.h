/*
 * ninep_wire.h - the numbers of 9P2000.L, under the names that the protocol gives them.
 *
 * No logic. The base protocol is that of intro(5) in section 5 of the Plan 9 manual; 9P2000.L
 * replaces its stat messages and errors by ones that carry Linux's numbers for open flags, file
 * modes and errors. All whole numbers are little-endian. Read ninep.h next.
 */
#ifndef FERRULE_FS_NINEP_WIRE_H
#define FERRULE_FS_NINEP_WIRE_H

#define P9_VERSION "9P2000.L"

/* Message types; an answer has its request's number plus one, or is Rlerror. */
#define P9_RLERROR 7
#define P9_TLOPEN 12
#define P9_TLCREATE 14
#define P9_TREADLINK 22
#define P9_TGETATTR 24
#define P9_TSETATTR 26
#define P9_TREADDIR 40
#define P9_TFSYNC 50
#define P9_TMKDIR 72
#define P9_TRENAMEAT 74
#define P9_TUNLINKAT 76
#define P9_TVERSION 100
#define P9_TATTACH 104
#define P9_TWALK 110
#define P9_TREAD 116
#define P9_TWRITE 118
#define P9_TCLUNK 120

#define P9_NOTAG 0xffffu
#define P9_NOFID 0xffffffffu

/* size[4] type[1] tag[2] */
#define P9_HEADER_SIZE 7u
/* What precedes the data of Rread (count[4]); Rlerror (ecode[4]) has the same size. */
#define P9_READ_HEADER_SIZE 11u
/* More than what precedes the data in any message: what msize must exceed by the data's length. */
#define P9_IO_HEADER_SIZE 24u

/* A qid is type[1] version[4] path[8]. */
#define P9_QID_SIZE 13u
#define P9_QTDIR 0x80
#define P9_QTSYMLINK 0x02

/* Names in one Twalk. */
#define P9_MAXWELEM 16u

/* Flags of Tlopen and Tlcreate. */
#define P9_DOTL_WRONLY 01u
#define P9_DOTL_RDWR 02u
#define P9_DOTL_CREATE 0100u
#define P9_DOTL_EXCL 0200u
#define P9_DOTL_TRUNC 01000u
#define P9_DOTL_APPEND 02000u
#define P9_DOTL_DIRECTORY 0200000u

/* Tgetattr: everything that stat() shows. */
#define P9_STATS_BASIC 0x7ffu
/* Tsetattr */
#define P9_SETATTR_SIZE 8u
/* Tunlinkat */
#define P9_DOTL_AT_REMOVEDIR 0x200u

/* The type in an entry of Rreaddir. */
#define P9_DT_DIR 4
#define P9_DT_REG 8
#define P9_DT_LNK 10

#endif
