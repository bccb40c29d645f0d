/*
 * virtio_mmio_scan.c - where virtio-mmio devices are said to be: words of the command line, ACPI,
 * the hypervisor.
 *
 * MMIO devices cannot be found by looking (4.2.1), so each must be named. The words have the form
 * that Linux made common and that QEMU writes itself. Read virtio_mmio.c for what happens to them.
 */
#include <string.h>

#include "cmdline.h"
#include "log.h"
#include "platform.h"
#include "virtio/virtio_mmio.h"

#define KEY "virtio_mmio.device"
#define VALUE_SIZE 80
#define MAX_PLACES 64

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* A number in C's notation. False: there is none, or it does not fit. */
static bool parse_number(const char **at, uint64_t *value)
{
    unsigned base = 10;
    const char *first;

    if ((*at)[0] == '0' && ((*at)[1] | 0x20) == 'x') {
        base = 16;
        *at += 2;
    } else if ((*at)[0] == '0') {
        base = 8;
    }
    first = *at;
    for (*value = 0; (unsigned)digit_value(**at) < base; (*at)++) {
        uint64_t digit = (uint64_t)digit_value(**at);

        if (*value > (UINT64_MAX - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return *at != first;
}

/* A number with K, M or G behind it, or none of them. */
static bool parse_size(const char **at, uint64_t *size)
{
    static const char suffixes[] = "kmg";
    const char *suffix;
    unsigned shift = 0;

    if (!parse_number(at, size))
        return false;
    suffix = strchr(suffixes, **at | 0x20);
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        (*at)++;
    }
    if (*size > UINT64_MAX >> shift)
        return false;
    *size <<= shift;
    return true;
}

bool virtio_mmio_parse(const char *value, struct mmio_place *place)
{
    uint64_t line, id;

    if (!parse_size(&value, &place->size) || *value++ != '@' ||
        !parse_number(&value, &place->address) || *value++ != ':' || !parse_number(&value, &line) ||
        line > INT32_MAX)
        return false;
    /* A platform device number may follow, which is Linux's own matter. */
    if (*value == ':') {
        value++;
        if (!parse_number(&value, &id))
            return false;
    }
    place->gsi = (int)line;
    place->active_low = false;
    return *value == '\0' && place->size > 0 && place->address <= UINT64_MAX - place->size;
}

static unsigned scan_words(const char *words)
{
    char value[VALUE_SIZE];
    unsigned found = 0;

    while (cmdline_next(&words, KEY, value, sizeof(value))) {
        struct mmio_place place;

        if (virtio_mmio_parse(value, &place))
            found += virtio_mmio_probe(&place) == 0;
        else
            log_warn(KEY "=%s: not of the form <size>@<address>:<irq>[:<id>]", value);
    }
    return found;
}

unsigned virtio_mmio_scan(void)
{
    struct mmio_place place[MAX_PLACES];
    unsigned found = scan_words(platform_cmdline());
    unsigned count = mmio_virtio_places(place, MAX_PLACES), i;

    for (i = 0; i < count; i++)
        found += virtio_mmio_probe(&place[i]) == 0;
    /* Asking the hypervisor takes longer than all of this, so it comes last. */
    return found ? found : scan_words(mmio_hypervisor_words());
}
