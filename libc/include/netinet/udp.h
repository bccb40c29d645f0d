/*
 * netinet/udp.h - options of UDP sockets. Numbers are Linux's.
 */
#ifndef FERRULE_LIBC_NETINET_UDP_H
#define FERRULE_LIBC_NETINET_UDP_H

#define UDP_SEGMENT 103 /* what is sent is a row of datagrams of so many bytes; 0: one */

#endif
