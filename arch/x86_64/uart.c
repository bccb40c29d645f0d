/*
 * uart.c - a 16550 serial port at 0x3f8 and, where there is one, the hypervisor's debug port 0xe9.
 *
 * Owns serial_*() of machine.h and the receive interrupt. A machine without the UART is fine:
 * nothing is shown here. Output waits are bounded, because a terminal that stopped reading must not
 * stop the kernel. PC16550D data sheet, section 8. Read boot/console.c next, the only caller.
 */
#include "irq.h"
#include "log.h"
#include "loop.h"
#include "machine.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"

#define UART_PORT 0x3f8
#define UART_IRQ 4 /* ISA numbering */
#define UART_DATA (UART_PORT + 0)
#define UART_IER (UART_PORT + 1)
#define UART_FCR (UART_PORT + 2)
#define UART_LCR (UART_PORT + 3)
#define UART_MCR (UART_PORT + 4)
#define UART_LSR (UART_PORT + 5)
#define UART_SCRATCH (UART_PORT + 7)

#define IER_RECEIVE 0x01
#define FCR_ENABLE_AND_CLEAR 0x07
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define MCR_DTR_RTS_OUT2 0x0b
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20
#define FIFO_DEPTH 16

/*
 * How long output may stand still before it is thrown away: long enough for a reader on a busy
 * host; a healthy port at 115200 baud needs 1.4 ms for its FIFO. The number of looks ends the wait
 * before there is a clock.
 */
#define OUTPUT_WAIT_NS UINT64_C(1000000000)
#define OUTPUT_WAIT_LOOKS 2000000

#define DEBUG_PORT 0xe9

static bool uart_present;
static bool debug_port_present;
static unsigned fifo_room;
static unsigned bytes_lost; /* since the port stood still for too long */

/* Bytes the interrupt handler took from the UART; indices run freely. */
#define INPUT_SIZE 256
static uint8_t input[INPUT_SIZE];
static unsigned input_head, input_tail;
static bool input_interrupts;
static struct loop_source *input_reader;

void serial_init(void)
{
    pio_write8(UART_SCRATCH, 0x5a);
    uart_present = pio_read8(UART_SCRATCH) == 0x5a;
    debug_port_present = pio_read8(DEBUG_PORT) == DEBUG_PORT;
    if (!uart_present)
        return;
    pio_write8(UART_IER, 0);
    pio_write8(UART_LCR, LCR_DLAB);
    pio_write8(UART_DATA, 1); /* divisor 1: 115200 baud */
    pio_write8(UART_IER, 0);
    pio_write8(UART_LCR, LCR_8N1);
    pio_write8(UART_FCR, FCR_ENABLE_AND_CLEAR);
    pio_write8(UART_MCR, MCR_DTR_RTS_OUT2);
}

bool serial_present(void)
{
    return uart_present;
}

static bool fifo_empty(void)
{
    return pio_read8(UART_LSR) & LSR_THR_EMPTY;
}

static bool wait_fifo_empty(void)
{
    uint64_t start_ns = platform_now_ns();

    for (unsigned looks = 0; !fifo_empty(); looks++) {
        if (looks == OUTPUT_WAIT_LOOKS || platform_now_ns() - start_ns > OUTPUT_WAIT_NS)
            return false;
        platform_relax();
    }
    return true;
}

static void uart_put(char c)
{
    if (fifo_room == 0) {
        unsigned lost = bytes_lost;

        /* A port that stood still is waited for again only once it has moved. */
        if (lost > 0 ? !fifo_empty() : !wait_fifo_empty()) {
            bytes_lost++;
            return;
        }
        fifo_room = FIFO_DEPTH;
        bytes_lost = 0;
        if (lost > 0) {
            char note[48];

            /* This comes back here when the FIFO is full, but no longer with a loss to tell of. */
            format_text(note, sizeof(note), "\r\n[%u bytes of output lost]\r\n", lost);
            for (const char *at = note; *at != '\0'; at++)
                uart_put(*at);
            uart_put(c);
            return;
        }
    }
    pio_write8(UART_DATA, (uint8_t)c);
    fifo_room--;
}

void serial_write(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (debug_port_present)
            pio_write8(DEBUG_PORT, (uint8_t)text[i]);
        if (uart_present)
            uart_put(text[i]);
    }
}

/* Moves what the UART has received into the ring, as far as there is room. */
static bool uart_drain(void)
{
    bool any = false;

    while (input_head - input_tail < INPUT_SIZE && (pio_read8(UART_LSR) & LSR_DATA_READY)) {
        input[input_head++ % INPUT_SIZE] = pio_read8(UART_DATA);
        any = true;
    }
    return any;
}

/*
 * The line is level triggered here and stays up while the UART holds data, so a full ring has to
 * switch the source off; serial_read() switches it on again.
 */
static bool uart_interrupt(void *arg)
{
    bool any = uart_drain();

    (void)arg;
    loop_wake(input_reader);
    if (input_head - input_tail == INPUT_SIZE) {
        pio_write8(UART_IER, 0);
        return true;
    }
    return any;
}

bool serial_enable_interrupts(struct loop_source *reader)
{
    if (!uart_present)
        return false;
    input_reader = reader;
    if (irq_line_add(acpi_isa_irq_to_gsi(UART_IRQ), false, uart_interrupt, NULL, "uart") < 0)
        return false;
    pio_write8(UART_IER, IER_RECEIVE);
    input_interrupts = true;
    return true;
}

bool serial_pending(void)
{
    return input_head != input_tail;
}

int serial_read(void)
{
    if (!uart_present)
        return -1;
    if (input_head == input_tail && !uart_drain())
        return -1;
    if (input_interrupts && input_head - input_tail == INPUT_SIZE)
        pio_write8(UART_IER, IER_RECEIVE);
    return input[input_tail++ % INPUT_SIZE];
}
