/*
 * acpi_mmio.c - finds virtio-mmio devices and the event device in ACPI byte code by their encoding,
 * without running it.
 *
 * Pure functions over bytes, so that tests can feed them anything. What is recognized is a Device
 * whose first object is Name (_HID, "LNRO0005") and which has a Name (_CRS) that is a plain buffer
 * with a 32-bit fixed memory range, as QEMU and its like write them; anything computed is not seen.
 * Of the event device ("ACPI0013"), the method is known by its shape as QEMU makes it. ACPI 6.4
 * sections 20.2 (AML) and 6.4.3 (resource descriptors). Read acpi.c for who calls.
 */
#include "arch/x86_64/acpi_mmio.h"

#include <stddef.h>
#include <string.h>

#define AML_EXTENDED 0x5b
#define AML_DEVICE 0x82
#define AML_NAME 0x08
#define AML_BUFFER 0x11
#define AML_BYTE 0x0a
#define AML_WORD 0x0b
#define AML_DWORD 0x0c
#define NAME_BYTES 4

#define RESOURCE_LARGE 0x80
#define RESOURCE_MEMORY32_FIXED 0x86
#define RESOURCE_INTERRUPT 0x89
#define RESOURCE_END 0x79
#define INTERRUPT_ACTIVE_LOW 0x04

/* What is left to read; nothing is read beyond `end`. */
struct span {
    const uint8_t *at, *end;
};

static size_t left(const struct span *s)
{
    return (size_t)(s->end - s->at);
}

/* Steps over these bytes if they come next. */
static bool take(struct span *s, const void *bytes, size_t length)
{
    if (left(s) < length || memcmp(s->at, bytes, length) != 0)
        return false;
    s->at += length;
    return true;
}

static bool take_byte(struct span *s, uint8_t byte)
{
    return take(s, &byte, 1);
}

static uint32_t little_endian(const uint8_t *bytes, unsigned count)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

/* A PkgLength (20.2.4) and what it covers; false when that is more than there is. */
static bool take_package(struct span *s, struct span *package)
{
    const uint8_t *start = s->at;
    unsigned extra;
    uint32_t length;

    if (left(s) < 1)
        return false;
    extra = *start >> 6;
    if (left(s) < 1 + extra)
        return false;
    length = extra == 0 ? *start & 0x3f : (*start & 0x0f) | little_endian(start + 1, extra) << 4;
    if (length < 1 + extra || length > left(s))
        return false;
    *package = (struct span){start + 1 + extra, start + length};
    s->at = package->end;
    return true;
}

/* Name (_CRS, Buffer (n) {...}): the bytes of the buffer. */
static bool find_resources(struct span body, struct span *resources)
{
    static const uint8_t name[] = {AML_NAME, '_', 'C', 'R', 'S', AML_BUFFER};

    for (; left(&body) >= sizeof(name); body.at++) {
        struct span s = body;

        if (!take(&s, name, sizeof(name)) || !take_package(&s, resources))
            continue;
        /* The buffer's size, which says no more than the package does. */
        if (left(resources) >= 2 && *resources->at == AML_BYTE)
            resources->at += 2;
        else if (left(resources) >= 3 && *resources->at == AML_WORD)
            resources->at += 3;
        else
            continue;
        return true;
    }
    return false;
}

static void read_descriptor(const struct span *body, uint8_t type, struct mmio_place *place)
{
    const uint8_t *bytes = body->at;

    if (type == RESOURCE_MEMORY32_FIXED && left(body) >= 9) {
        place->address = little_endian(bytes + 1, 4);
        place->size = little_endian(bytes + 5, 4);
    } else if (type == RESOURCE_INTERRUPT && left(body) >= 6 && bytes[1] >= 1) {
        uint32_t gsi = little_endian(bytes + 2, 4);

        place->active_low = bytes[0] & INTERRUPT_ACTIVE_LOW;
        place->gsi = gsi <= INT32_MAX ? (int)gsi : MMIO_NO_LINE;
    }
}

/* Walks the list of resource descriptors. False: it is cut off. */
static bool read_resources(struct span s, struct mmio_place *place)
{
    *place = (struct mmio_place){.gsi = MMIO_NO_LINE};
    while (left(&s) >= 1 && *s.at != RESOURCE_END) {
        uint8_t type = *s.at;
        size_t header = type & RESOURCE_LARGE ? 3 : 1;
        struct span body;
        size_t length;

        if (left(&s) < header)
            return false;
        length = type & RESOURCE_LARGE ? little_endian(s.at + 1, 2) : type & 7u;
        if (left(&s) - header < length)
            return false;
        body = (struct span){s.at + header, s.at + header + length};
        read_descriptor(&body, type, place);
        s.at = body.end;
    }
    return true;
}

#define HID_BYTES 15 /* Name, _HID, and a string of eight characters with its NUL */

/* Does a Device with that identifier and resources start here? `body` is what follows in it. */
static bool read_device(struct span s, const char *hid, struct span *body, struct mmio_place *place)
{
    static const uint8_t device[] = {AML_EXTENDED, AML_DEVICE};
    struct span resources;

    if (!take(&s, device, sizeof(device)) || !take_package(&s, body))
        return false;
    if (!take_byte(body, '\\'))
        take_byte(body, '^');
    if (left(body) < NAME_BYTES)
        return false;
    body->at += NAME_BYTES;
    return take(body, hid, HID_BYTES) && find_resources(*body, &resources) &&
           read_resources(resources, place);
}

unsigned acpi_find_virtio_mmio(const uint8_t *aml, uint32_t length, struct mmio_place *place,
                               unsigned max)
{
    struct span s = {aml, aml + length}, body;
    unsigned count = 0;

    for (; left(&s) > 0 && count < max; s.at++) {
        if (read_device(s, "\x08_HID\x0dLNRO0005", &body, &place[count]) && place[count].size > 0)
            count++;
    }
    return count;
}

/* OperationRegion (EREG, SystemMemory, address, 4): where the events are. */
static bool find_event_register(struct span body, uint64_t *address)
{
    static const uint8_t region[] = {AML_EXTENDED, 0x80, 'E', 'R', 'E', 'G', 0, AML_DWORD};
    static const uint8_t size[] = {AML_BYTE, 4};

    for (; left(&body) > 0; body.at++) {
        struct span s = body;

        if (!take(&s, region, sizeof(region)) || left(&s) < 4)
            continue;
        *address = little_endian(s.at, 4);
        s.at += 4;
        if (take(&s, size, sizeof(size)) && *address != 0 && *address % 4 == 0)
            return true;
    }
    return false;
}

/* If ((Local0 & bit) == bit) {Notify (PWRB, 0x80)}: which of them is the power button. */
static bool find_button(struct span body, uint32_t *bit)
{
    static const uint8_t and_local[] = {0x7b, 0x60, AML_BYTE};
    static const uint8_t notify[] = {0x86, 'P', 'W', 'R', 'B', AML_BYTE, 0x80};

    for (; left(&body) > 0; body.at++) {
        struct span s = body;
        uint8_t value;

        if (!take(&s, and_local, sizeof(and_local)) || left(&s) < 1)
            continue;
        value = *s.at++;
        if (take_byte(&s, 0) && take_byte(&s, AML_BYTE) && take_byte(&s, value) &&
            take(&s, notify, sizeof(notify)) && value != 0) {
            *bit = value;
            return true;
        }
    }
    return false;
}

bool acpi_find_event_device(const uint8_t *aml, uint32_t length, struct acpi_event_device *events)
{
    struct span s = {aml, aml + length}, body;
    struct mmio_place place;

    for (; left(&s) > 0; s.at++) {
        *events = (struct acpi_event_device){0};
        if (!read_device(s,
                         "\x08_HID\x0d"
                         "ACPI0013",
                         &body, &place) ||
            place.gsi == MMIO_NO_LINE)
            continue;
        events->gsi = (unsigned)place.gsi;
        events->active_low = place.active_low;
        if (find_event_register(body, &events->address) && find_button(body, &events->power_button))
            return true;
    }
    *events = (struct acpi_event_device){0};
    return false;
}
