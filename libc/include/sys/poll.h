/* sys/poll.h - where older programs look for <poll.h>. */
#include <poll.h>
