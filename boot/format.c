/*
 * format.c - printf's formats without libc, floating point or SSE.
 *
 * Owns format_text() of include/log.h and nothing else; pure functions over the caller's buffer, so
 * they work before anything is set up and run in hosted tests. The directives are C11 section
 * 7.21.6.1 without e f g a n. Read log.c next.
 */
#include <stdbool.h>
#include <stdint.h>

#include "log.h"

struct sink {
    char *out;
    size_t size;
    size_t length; /* of the whole text, also beyond `size` */
};

struct directive {
    bool left, zero, alternate, plus, space;
    int width;
    int precision; /* -1: none given */
    char length;   /* 'H' hh, 'h', 'l', 'q' ll, 'z', 't', or 0 */
};

static void put(struct sink *sink, char c)
{
    if (sink->length + 1 < sink->size)
        sink->out[sink->length] = c;
    sink->length++;
}

static void put_repeated(struct sink *sink, char c, int count)
{
    while (count-- > 0)
        put(sink, c);
}

static void put_string(struct sink *sink, const struct directive *d, const char *text)
{
    int length = 0;

    if (text == NULL)
        text = "(null)";
    while ((d->precision < 0 || length < d->precision) && text[length] != '\0')
        length++;
    if (!d->left)
        put_repeated(sink, ' ', d->width - length);
    for (int i = 0; i < length; i++)
        put(sink, text[i]);
    if (d->left)
        put_repeated(sink, ' ', d->width - length);
}

static void put_number(struct sink *sink, const struct directive *d, uint64_t value, unsigned base,
                       const char *prefix, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int count = 0;
    int prefix_length = 0;
    int zeros;
    int blanks;

    while (value != 0) {
        text[count++] = digits[value % base];
        value /= base;
    }
    while (prefix[prefix_length] != '\0')
        prefix_length++;
    zeros = (d->precision < 0 ? 1 : d->precision) - count;
    if (zeros < 0)
        zeros = 0;
    if (d->zero && !d->left && d->precision < 0 && d->width > prefix_length + count + zeros)
        zeros = d->width - prefix_length - count;
    blanks = d->width - prefix_length - zeros - count;

    if (!d->left)
        put_repeated(sink, ' ', blanks);
    for (int i = 0; i < prefix_length; i++)
        put(sink, prefix[i]);
    put_repeated(sink, '0', zeros);
    while (count > 0)
        put(sink, text[--count]);
    if (d->left)
        put_repeated(sink, ' ', blanks);
}

/* A va_list inside a struct can be handed on by address on every ABI. */
struct arguments {
    va_list list;
};

static int64_t take_signed(struct arguments *args, char length)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(args->list, int);
    case 'h':
        return (short)va_arg(args->list, int);
    case 'l':
    case 'q':
    case 'z':
    case 't':
        return va_arg(args->list, int64_t);
    default:
        return va_arg(args->list, int);
    }
}

static uint64_t take_unsigned(struct arguments *args, char length)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(args->list, unsigned);
    case 'h':
        return (unsigned short)va_arg(args->list, unsigned);
    case 'l':
    case 'q':
    case 'z':
    case 't':
        return va_arg(args->list, uint64_t);
    default:
        return va_arg(args->list, unsigned);
    }
}

static int parse_count(const char **format, struct arguments *args)
{
    int value = 0;

    if (**format == '*') {
        (*format)++;
        return va_arg(args->list, int);
    }
    while (**format >= '0' && **format <= '9') {
        if (value < 100000)
            value = value * 10 + (**format - '0');
        (*format)++;
    }
    return value;
}

static const char *parse_directive(const char *format, struct arguments *args, struct directive *d)
{
    *d = (struct directive){.precision = -1};
    for (;; format++) {
        if (*format == '-')
            d->left = true;
        else if (*format == '0')
            d->zero = true;
        else if (*format == '#')
            d->alternate = true;
        else if (*format == '+')
            d->plus = true;
        else if (*format == ' ')
            d->space = true;
        else
            break;
    }
    d->width = parse_count(&format, args);
    if (d->width < 0) {
        d->left = true;
        d->width = -d->width;
    }
    if (*format == '.') {
        format++;
        d->precision = parse_count(&format, args);
    }
    if (*format == 'h' || *format == 'l' || *format == 'z' || *format == 't' || *format == 'j') {
        d->length = *format == 'j' ? 'l' : *format;
        format++;
        if (d->length == 'h' && *format == 'h') {
            d->length = 'H';
            format++;
        } else if (d->length == 'l' && *format == 'l') {
            d->length = 'q';
            format++;
        }
    }
    return format;
}

static void put_signed(struct sink *sink, const struct directive *d, int64_t value)
{
    const char *sign = value < 0 ? "-" : d->plus ? "+" : d->space ? " " : "";

    put_number(sink, d, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, sign, false);
}

static void put_directive(struct sink *sink, const struct directive *d, char conversion,
                          struct arguments *args)
{
    uint64_t value;
    char text[2] = {0, 0};

    switch (conversion) {
    case 'd':
    case 'i':
        put_signed(sink, d, take_signed(args, d->length));
        break;
    case 'u':
        put_number(sink, d, take_unsigned(args, d->length), 10, "", false);
        break;
    case 'o':
        put_number(sink, d, take_unsigned(args, d->length), 8, d->alternate ? "0" : "", false);
        break;
    case 'x':
    case 'X':
        value = take_unsigned(args, d->length);
        put_number(sink, d, value, 16,
                   !d->alternate || value == 0 ? ""
                   : conversion == 'x'         ? "0x"
                                               : "0X",
                   conversion == 'X');
        break;
    case 'p':
        put_number(sink, d, (uintptr_t)va_arg(args->list, void *), 16, "0x", false);
        break;
    case 'c':
        text[0] = (char)va_arg(args->list, int);
        put_string(sink, d, text);
        break;
    case 's':
        put_string(sink, d, va_arg(args->list, const char *));
        break;
    case '%':
        put(sink, '%');
        break;
    default:
        /* An unknown conversion shows itself instead of taking an argument of unknown width. */
        put(sink, '%');
        put(sink, conversion);
        break;
    }
}

int format_text_v(char *out, size_t size, const char *format, va_list list)
{
    struct sink sink = {.out = out, .size = size};
    struct arguments args;
    struct directive d;

    va_copy(args.list, list);
    while (*format != '\0') {
        if (*format != '%') {
            put(&sink, *format++);
            continue;
        }
        format = parse_directive(format + 1, &args, &d);
        if (*format == '\0')
            break;
        put_directive(&sink, &d, *format++, &args);
    }
    va_end(args.list);
    if (size > 0)
        out[sink.length < size ? sink.length : size - 1] = '\0';
    return (int)sink.length;
}

int format_text(char *out, size_t size, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = format_text_v(out, size, format, args);
    va_end(args);
    return length;
}
