/*
 * net/if.h - network interfaces by name and index.
 */
#ifndef FERRULE_LIBC_NET_IF_H
#define FERRULE_LIBC_NET_IF_H

#define IF_NAMESIZE 16
#define IFNAMSIZ IF_NAMESIZE

unsigned if_nametoindex(const char *name);
char *if_indextoname(unsigned index, char *name);

#endif
