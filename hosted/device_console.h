/*
 * device_console.h - the model console device (5.3): ports that a test adds, feeds, reads and takes
 * away, and a control queue that checks the driver's answers.
 */
#ifndef FERRULE_HOSTED_DEVICE_CONSOLE_H
#define FERRULE_HOSTED_DEVICE_CONSOLE_H

#include "hosted/device.h"

#define DEVICE_CONSOLE_PORTS 3 /* what fits the model's queues */
#define DEVICE_CONSOLE_TEXT 65536
#define DEVICE_CONSOLE_MESSAGES 64
#define DEVICE_CONSOLE_MESSAGE_SIZE 320

struct device_console_setup {
    bool multiport, size, emergency;
    uint32_t max_ports; /* what the configuration says; queues exist for up to 3 */
    uint64_t more_features;
    unsigned msix_vectors;
};

struct device_console_port {
    bool exists, is_console;
    const char *name;
    bool ready, driver_open;
    unsigned opens, closes;                /* PORT_OPEN messages of the driver */
    uint8_t received[DEVICE_CONSOLE_TEXT]; /* from the driver */
    unsigned received_len;
    bool hold; /* takes what the driver sends without finishing with it */
    struct ring_chain *held[32];
    unsigned held_count;
    const uint8_t *to_send; /* not delivered yet */
    size_t to_send_len;
};

struct device_console {
    struct device device;
    struct device_console_setup setup;
    struct device_console_port port[DEVICE_CONSOLE_PORTS];
    unsigned device_ready, refused; /* DEVICE_READY messages; PORT_READY with 0 */
    uint8_t message[DEVICE_CONSOLE_MESSAGES][DEVICE_CONSOLE_MESSAGE_SIZE];
    unsigned message_len[DEVICE_CONSOLE_MESSAGES];
    unsigned message_head, message_tail;
    bool hold_control; /* the driver's control messages are not finished with */
    struct ring_chain *held_control[64];
    unsigned held_control_count;
    char emergency[DEVICE_CONSOLE_TEXT];
    unsigned emergency_len;
};

void device_console_init(struct device_console *console, const struct device_console_setup *setup);
void device_console_finish(struct device_console *console);

/* A port that is there at DEVICE_READY, or from now on. `name` may be NULL. */
void device_console_add(struct device_console *console, unsigned id, bool is_console,
                        const char *name);
void device_console_remove(struct device_console *console, unsigned id);

/* The far end opens or closes; sends bytes (which stay the caller's until delivered). */
void device_console_open(struct device_console *console, unsigned id, bool open);
void device_console_send(struct device_console *console, unsigned id, const void *data, size_t len);

/* Any control message; and what follows its header. */
void device_console_control(struct device_console *console, uint32_t id, uint16_t event,
                            uint16_t value, const void *rest, unsigned len);
/* A control message of any length. */
void device_console_raw(struct device_console *console, const void *data, unsigned len);

/* Finishes with what is held. */
void device_console_release(struct device_console *console, unsigned id);
void device_console_release_control(struct device_console *console);

#endif
