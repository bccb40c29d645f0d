/*
 * tftp.h - what the two halves of TFTP share: tftp.c (lwIP's callbacks, the server, the guard in
 * front of both) and tftp_fetch.c (the client's side).
 *
 * Private to services/. lwIP has one state for both, so one transfer is under way at a time.
 */
#ifndef FERRULE_SERVICES_TFTP_H
#define FERRULE_SERVICES_TFTP_H

#include <stdbool.h>

#include "lwip/udp.h"

#define TFTP_SERVICE_PORT 69

/* RFC 1350, 5. */
#define TFTP_HEADER_LEN 4u
#define TFTP_BLOCK 512u
enum tftp_kind {
    TFTP_READ = 1,
    TFTP_WRITE = 2,
    TFTP_DATA = 3,
    TFTP_ACKNOWLEDGEMENT = 4,
    TFTP_ERROR = 5
};

/* The server's side is at work. */
bool tftp_is_serving(void);

/* lwIP starts anew, and what was under way has ended. */
int tftp_restart(void);

/* Fetches a file: `what` is ADDRESS/NAME, and NAME is what it is called here, below "/". 0 or -EINVAL,
 * said in the log; how it ends is said there, too. */
int tftp_fetch(const char *what);

/* What lwIP's callbacks get as the file while something is fetched. */
extern char tftp_fetch_handle;

/* For the callbacks: another block, and the end, well or not. */
int tftp_fetch_write(const struct pbuf *p);
void tftp_fetch_error(const char *text, int len);
void tftp_fetch_close(void);

/* For the guard: while or after something is fetched. True: lwIP is not to see this packet. */
bool tftp_fetch_refuses(struct udp_pcb *pcb, const struct pbuf *p, const ip_addr_t *address,
                        u16_t port, enum tftp_kind kind, u16_t number);

#endif
