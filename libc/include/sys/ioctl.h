/*
 * sys/ioctl.h - the two requests that programs make of sockets.
 */
#ifndef FERRULE_LIBC_SYS_IOCTL_H
#define FERRULE_LIBC_SYS_IOCTL_H

#define FIONREAD 0x541b /* int *: bytes that read() would give now */
#define FIONBIO 0x5421  /* const int *: O_NONBLOCK on or off */

int ioctl(int fd, unsigned long request, ...);

#endif
