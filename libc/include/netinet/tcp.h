/*
 * netinet/tcp.h - options of TCP sockets. Numbers are Linux's.
 */
#ifndef FERRULE_LIBC_NETINET_TCP_H
#define FERRULE_LIBC_NETINET_TCP_H

#define TCP_NODELAY 1
#define TCP_MAXSEG 2    /* can be read only */
#define TCP_KEEPIDLE 4  /* seconds */
#define TCP_KEEPINTVL 5 /* seconds */
#define TCP_KEEPCNT 6

#endif
