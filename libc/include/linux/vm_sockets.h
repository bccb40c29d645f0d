/*
 * linux/vm_sockets.h - addresses of AF_VSOCK: streams to the hypervisor, or to another virtual
 * machine through it.
 *
 * Under the name that programs for Linux include; names, numbers and layout are Linux's.
 * docs/APPLICATIONS.md says what differs. Implemented by libc/sockets.c and socket/socket_vsock.c.
 */
#ifndef FERRULE_LIBC_LINUX_VM_SOCKETS_H
#define FERRULE_LIBC_LINUX_VM_SOCKETS_H

#include <stdint.h>
#include <sys/socket.h>

#define VMADDR_CID_ANY 0xffffffffu /* bind(): this machine's */
#define VMADDR_CID_HYPERVISOR 0u
#define VMADDR_CID_LOCAL 1u /* a name only: nothing listens there */
#define VMADDR_CID_HOST 2u
#define VMADDR_PORT_ANY 0xffffffffu /* bind(): one that is free */

struct sockaddr_vm {
    sa_family_t svm_family;
    uint16_t svm_reserved1;
    uint32_t svm_port; /* in the machine's byte order */
    uint32_t svm_cid;
    uint8_t svm_flags;
    uint8_t svm_zero[3];
};

#endif
