/*
 * share_user.h - who uses the host's shares of target_9p.c and target_virtiofs.c: the same calls of
 * fs/fs.h, whatever carries them.
 *
 * The share may go at any time: who watches it calls share_user_stop() then.
 */
#ifndef FERRULE_TESTS_FUZZ_SHARE_USER_H
#define FERRULE_TESTS_FUZZ_SHARE_USER_H

#include "fs/fs.h"
#include "input.h"

struct share_user {
    const struct fs_ops *ops;
    /* Mounts the share if it is there; 0 or a negative errno. */
    int (*mount)(void **volume);
};

void share_user_start(const struct share_user *user, uint8_t *memory);
void share_user_use(uint8_t op, struct input *input);
/* Also when the share goes: a file that is open stays so, and is still asked for this and that. */
void share_user_unmount(void);
void share_user_stop(void);
bool share_user_found(void);

#endif
