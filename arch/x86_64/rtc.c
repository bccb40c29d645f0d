/*
 * rtc.c - the battery-backed clock of the PC, read once at boot.
 *
 * Owns CMOS registers 0 to 0x32. Gives UTC as the machine was told to keep it; every wait and value
 * is checked, because a machine without the chip reads as all ones. MC146818 data sheet.
 */
#include "arch/x86_64/clock.h"

#include "platform.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define RTC_STATUS_A 0x0a
#define RTC_STATUS_B 0x0b
#define RTC_CENTURY 0x32
#define STATUS_A_UPDATING 0x80
#define STATUS_B_24_HOURS 0x02
#define STATUS_B_BINARY 0x04
#define HOUR_PM 0x80

/* An update takes under 2.3 ms; a port read, a microsecond or so. */
#define UPDATE_READS 10000
#define READ_ATTEMPTS 4

struct rtc_time {
    unsigned second, minute, hour, day, month, year, century;
};

static uint8_t cmos_read(uint8_t index)
{
    pio_write8(CMOS_INDEX, index);
    return pio_read8(CMOS_DATA);
}

static struct rtc_time read_registers(void)
{
    return (struct rtc_time){
        .second = cmos_read(0),
        .minute = cmos_read(2),
        .hour = cmos_read(4),
        .day = cmos_read(7),
        .month = cmos_read(8),
        .year = cmos_read(9),
        .century = cmos_read(RTC_CENTURY),
    };
}

static bool same(const struct rtc_time *a, const struct rtc_time *b)
{
    return a->second == b->second && a->minute == b->minute && a->hour == b->hour &&
           a->day == b->day && a->month == b->month && a->year == b->year;
}

static unsigned from_bcd(unsigned value)
{
    return (value >> 4) * 10 + (value & 15);
}

static void decode(struct rtc_time *t, uint8_t status_b)
{
    bool pm = !(status_b & STATUS_B_24_HOURS) && (t->hour & HOUR_PM);

    t->hour &= ~(unsigned)HOUR_PM;
    if (!(status_b & STATUS_B_BINARY)) {
        t->second = from_bcd(t->second);
        t->minute = from_bcd(t->minute);
        t->hour = from_bcd(t->hour);
        t->day = from_bcd(t->day);
        t->month = from_bcd(t->month);
        t->year = from_bcd(t->year);
        t->century = from_bcd(t->century);
    }
    if (!(status_b & STATUS_B_24_HOURS))
        t->hour = t->hour % 12 + (pm ? 12 : 0);
    /* Not every chip keeps a century. */
    if (t->century != 19 && t->century != 20)
        t->century = 20;
    t->year += t->century * 100;
}

static bool plausible(const struct rtc_time *t)
{
    return t->second <= 60 && t->minute < 60 && t->hour < 24 && t->day >= 1 && t->day <= 31 &&
           t->month >= 1 && t->month <= 12 && t->year >= 1970 && t->year < 2100;
}

/*
 * Days from 1970-01-01 in the Gregorian calendar, with years that start in March so that the leap
 * day comes last.
 */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    unsigned y = month <= 2 ? year - 1 : year;
    unsigned m = month <= 2 ? month + 9 : month - 3;

    return (uint64_t)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

uint64_t rtc_read_ns(void)
{
    struct rtc_time first, second;
    uint8_t status_b;

    for (int i = 0; cmos_read(RTC_STATUS_A) & STATUS_A_UPDATING; i++) {
        if (i == UPDATE_READS)
            return 0;
    }
    status_b = cmos_read(RTC_STATUS_B);
    first = read_registers();
    for (int i = 0;; i++) {
        second = read_registers();
        if (same(&first, &second))
            break;
        if (i == READ_ATTEMPTS)
            return 0;
        first = second;
    }
    decode(&first, status_b);
    if (!plausible(&first))
        return 0;
    return (days_since_1970(first.year, first.month, first.day) * 86400 + first.hour * 3600 +
            first.minute * 60 + first.second) *
           UINT64_C(1000000000);
}
