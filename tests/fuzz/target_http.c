/*
 * target_http.c - the web server (apps/httpd, and lwIP's own httpd below it) over a FAT volume: the
 * requests are the input's. Also its pure functions over text.
 */
#include "apps/httpd/path.h"
#include "apps/httpd/request.h"

#include <sanitizer/lsan_interface.h>

#include "fs/fat.h"
#include "fs/fs.h"
#include "fuzz.h"
#include "hosted/hosted.h"
#include "image_disk.h"
#include "loopback.h"
#include "lwip/apps/httpd.h"
#include "volumes.h"

unsigned short httpd_port = 80;

/* Text of the input, as what others make of it. */
static void use_text(struct input input)
{
    static char target[PATH_SIZE], path[PATH_SIZE], out[64];

    request_keeps_open((const char *)input.at, (size_t)(input.end - input.at));
    input_bytes(&input, target, sizeof(target) - 1);
    if (path_decode(target, path) == 0 && path[0] != '/')
        hosted_fail("\"%s\" became \"%s\"", target, path);
    path_content_type(target);
    if (path_escape_url(out, sizeof(out), target) >= sizeof(out) && strlen(out) != sizeof(out) - 1)
        hosted_fail("a URL was cut off early");
    if (path_escape_html(out, sizeof(out), target) >= sizeof(out) && strlen(out) != sizeof(out) - 1)
        hosted_fail("text was cut off early");
}

void fuzz_http(struct input *input, bool packed)
{
    (void)packed;
    image_disk_fail_from(input_u8(input) & 15);
    use_text(*input);
    loopback_run(httpd_port, input, NULL);
    image_disk_fail_from(0);
}

void fuzz_http_prepare(void)
{
    void *volume;

    loopback_prepare();
    volume_make_fat();
    __lsan_disable();
    if (fat_mount(image_disk_add(BLK_SECTOR_SIZE, true), &volume) != 0 ||
        fs_mount("/", &fat_ops, volume) != 0)
        hosted_fail("there is no volume to serve");
    httpd_init();
    __lsan_enable();
}
