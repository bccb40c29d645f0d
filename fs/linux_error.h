/*
 * linux_error.h - Linux's error numbers, which protocols of the host carry, as the C library's.
 */
#ifndef FERRULE_FS_LINUX_ERROR_H
#define FERRULE_FS_LINUX_ERROR_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/* A number that the C library has no name for is EIO. */
static inline int error_from_linux(uint32_t number)
{
    static const struct {
        uint8_t number;
        int error;
    } others[] = {
        {36, ENAMETOOLONG}, {37, ENOLCK},     {38, ENOSYS},    {39, ENOTEMPTY},
        {40, ELOOP},        {71, EPROTO},     {75, EOVERFLOW}, {84, EILSEQ},
        {95, EOPNOTSUPP},   {110, ETIMEDOUT}, {116, ESTALE},   {122, EDQUOT},
    };
    _Static_assert(EPERM == 1 && ERANGE == 34, "up to ERANGE all systems have the same numbers");

    if (number >= 1 && number <= ERANGE)
        return (int)number;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i].number == number)
            return others[i].error;
    return EIO;
}

#endif
