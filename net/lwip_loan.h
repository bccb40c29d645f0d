/*
 * lwip_loan.h - memory that TCP sends without a copy and that may go one day: who knows when.
 *
 * tcp_write() without TCP_WRITE_FLAG_COPY refers to the caller's bytes until the peer has them and
 * no device reads them any more, which lwIP tells nobody. Bytes inside a loan are counted: one user
 * for each pbuf that refers to them. Owns the counting; the memory is the lender's. Loop context.
 * Used by apps/httpd/kept.c.
 */
#ifndef FERRULE_NET_LWIP_LOAN_H
#define FERRULE_NET_LWIP_LOAN_H

#include <stddef.h>

struct lwip_loan {
    const void *data;
    size_t len;
    void (*ended)(struct lwip_loan *loan); /* nobody uses it any more: the memory is the lender's */
    unsigned users;                        /* the lender's own, and one for each pbuf */
    struct lwip_loan *next;
};

/* From now on pbufs over these bytes count. The caller is the first user. */
void lwip_loan_begin(struct lwip_loan *loan);

void lwip_loan_use(struct lwip_loan *loan);

/* One user less; ended() is called when it was the last one. */
void lwip_loan_drop(struct lwip_loan *loan);

/* The loan that these bytes are of, or NULL. Work: a comparison for each loan. */
struct lwip_loan *lwip_loan_of(const void *data);

#endif
