// sources: net/lwip_lookup.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/violation.c
/*
 * test_lwip_lookup.c - the connection that a packet is for comes to the front of lwIP's list, and whatever
 * else the table says changes nothing.
 */
#include "support.h"

#include "lwip/priv/tcp_priv.h"

#include "net/lwip_lookup.h"

#define CONNECTIONS 5u

struct tcp_pcb *tcp_active_pcbs;
static struct tcp_pcb connection[CONNECTIONS];

static void set_up(void)
{
    tcp_active_pcbs = NULL;
    for (unsigned i = CONNECTIONS; i-- > 0;) {
        connection[i] = (struct tcp_pcb){.local_port = 80, .remote_port = (u16_t)(40000 + i)};
        connection[i].next = tcp_active_pcbs;
        tcp_active_pcbs = &connection[i];
        lookup_remember(&connection[i]);
    }
}

static void prepare(unsigned source, unsigned destination)
{
    const u8_t ports[] = {(u8_t)(source >> 8), (u8_t)source, (u8_t)(destination >> 8),
                          (u8_t)destination};

    lookup_prepare(ports);
}

static void assert_order(const char *order)
{
    const struct tcp_pcb *at = tcp_active_pcbs;

    for (; *order != '\0'; order++, at = at->next)
        assert_ptr_equal(at, &connection[*order - '0']);
    assert_null(at);
}

static void the_connection_comes_to_the_front(void **state)
{
    (void)state;
    set_up();
    assert_order("01234");
    prepare(40003, 80);
    assert_order("30124");
    prepare(40004, 80);
    assert_order("43012");
    prepare(40004, 80);
    assert_order("43012");
    prepare(40003, 80);
    assert_order("34012");
}

static void who_is_not_meant_stays_where_it_is(void **state)
{
    (void)state;
    set_up();
    prepare(40003, 81);
    prepare(40003 + 256, 80); /* the same place in the table */
    prepare(50000, 80);
    assert_order("01234");
}

static void an_ended_connection_is_not_found(void **state)
{
    (void)state;
    set_up();
    connection[1].next = connection[2].next;
    prepare(40002, 80);
    assert_order("0134");
    tcp_active_pcbs = NULL;
    prepare(40003, 80);
    assert_null(tcp_active_pcbs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_connection_comes_to_the_front),
        TEST(who_is_not_meant_stays_where_it_is),
        TEST(an_ended_connection_is_not_found),
    };

    return cmocka_run_group_tests_name("lwip lookup", tests, NULL, NULL);
}
