/*
 * lwip_loan.c - counts the pbufs over lent memory: see lwip_loan.h.
 *
 * lwIP makes these pbufs in tcp_write() (net/lwip_segments.c says for which loan) and gives all of
 * them back by memp_free(), which the linker leads through here (--wrap in the Makefile).
 */
#include "net/lwip_loan.h"

#include <stdint.h>

#include "lwip/memp.h"
#include "lwip/pbuf.h"

/* What tcp_write() is writing now. */
struct lwip_loan *lwip_loan_now;

static struct lwip_loan *loans;

void __real_memp_free(memp_t type, void *memory);
void __wrap_memp_free(memp_t type, void *memory);

void lwip_loan_begin(struct lwip_loan *loan)
{
    loan->users = 1;
    loan->next = loans;
    loans = loan;
}

void lwip_loan_use(struct lwip_loan *loan)
{
    loan->users++;
}

void lwip_loan_drop(struct lwip_loan *loan)
{
    struct lwip_loan **at = &loans;
    if (--loan->users > 0)
        return;
    while (*at != loan)
        at = &(*at)->next;
    *at = loan->next;
    loan->ended(loan);
}

struct lwip_loan *lwip_loan_of(const void *data)
{
    struct lwip_loan *loan = loans;
    while (loan != NULL && (uintptr_t)data - (uintptr_t)loan->data >= loan->len)
        loan = loan->next;
    return loan;
}

/* A pbuf that brings its own memory, for headers, refers to nobody's. */
void lwip_loan_mark(struct pbuf *p)
{
    if ((p->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) != 0)
        return;
    p->loan = lwip_loan_now;
    lwip_loan_use(lwip_loan_now);
}

void __wrap_memp_free(memp_t type, void *memory)
{
    struct lwip_loan *loan = type == MEMP_PBUF ? ((struct pbuf *)memory)->loan : NULL;
    __real_memp_free(type, memory);
    if (loan != NULL)
        lwip_loan_drop(loan);
}
