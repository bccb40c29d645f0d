/*
 * proof_frame.c - looking into any received frame of up to 80 bytes, lengths and headers being
 * anything: no byte beyond it is read, and what is found lies inside of it.
 */
// share
// unwind: 40
// control: net/frame.c: header < IPV4_MIN_LEN || header > len || => header < IPV4_MIN_LEN ||
// control: net/frame.c: transport->offset + FRAME_TCP_HEADER_LEN > len || =>
// control: net/frame.c: len < IPV6_LEN + 8 => 0
#include "proof.h"

#include "net/frame.c"

int main(void)
{
    size_t len = any_u8();
    struct frame_transport transport;
    struct frame_syn syn;

    assume(len >= 1 && len <= 80);
    uint8_t *frame = malloc(len);
    frame_is_cut_arp(frame, len);
    if (!frame_find_transport(frame, len, &transport))
        return 0;
    claim(transport.network + (transport.ipv6 ? IPV6_LEN : IPV4_MIN_LEN) <= len);
    claim(transport.fragment == (transport.offset == 0) && transport.offset <= len);
    frame_is_syn(frame, len, &transport, &syn);
    return 0;
}
