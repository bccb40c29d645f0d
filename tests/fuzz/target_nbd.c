/*
 * target_nbd.c - the NBD server (apps/nbd) over a disk in memory: the handshake and requests are the
 * input's.
 *
 * Nobody guesses eight bytes of magic, so a piece that begins with "o" or "r" becomes the header of
 * an option or of a request.
 */
#include "apps/nbd/wire.h"

#include <sanitizer/lsan_interface.h>

#include "fuzz.h"
#include "hosted/hosted.h"
#include "image_disk.h"
#include "loopback.h"

int nbd_main(int argc, char **argv);

static void put_magic(uint8_t *data, size_t len)
{
    if (len >= 16 && data[0] == 'o')
        nbd_put64(data, NBD_IHAVEOPT);
    if (len >= 28 && data[0] == 'r')
        nbd_put32(data, NBD_REQUEST_MAGIC);
}

void fuzz_nbd(struct input *input, bool packed)
{
    (void)packed;
    image_disk_fail_from(input_u8(input) & 15);
    loopback_run(NBD_PORT, input, put_magic);
    if (input_is_empty(input) && loopback_received() == 0)
        hosted_fail("the server did not greet");
    image_disk_fail_from(0);
    image_disk_restore();
}

/* The application sets everything up and finds that it is to end at once. */
void fuzz_nbd_prepare(void)
{
    char *argv[] = {"nbd", NULL};

    loopback_prepare();
    image_disk_add(BLK_SECTOR_SIZE, false);
    platform_request_stop();
    __lsan_disable();
    if (nbd_main(1, argv) != 0)
        hosted_fail("the server did not start");
    __lsan_enable();
    hosted_clear_stop();
}
