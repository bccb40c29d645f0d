// sources: net/nic.c net/virtio_net.c net/virtio_net_setup.c net/virtio_net_control.c net/virtio_net_watch.c
// sources: blk/block.c blk/block_parts.c blk/block_devices.c blk/wait.c blk/virtio_blk.c blk/virtio_blk_config.c blk/virtio_blk_zones.c blk/virtio_scsi.c blk/virtio_scsi_request.c blk/scsi_disk.c
// sources: net/virtio_net_steering.c net/flow_hash.c net/frame.c
// sources: blk/scsi_scan.c blk/scsi_sense.c blk/scsi_range.c console/virtio_console.c console/console_port.c
// sources: console/console_stream.c rng/virtio_rng.c rng/random.c rng/chacha20.c
// sources: balloon/virtio_balloon.c balloon/balloon_pages.c balloon/page_reporting.c
// sources: virtio/virtio.c virtio/virtio_config.c virtio/virtio_features.c virtio/virtio_report.c virtio/virtio_watch.c
// sources: virtio/virtqueue.c virtio/virtqueue_split.c virtio/virtqueue_packed.c
// sources: virtio/virtio_pci.c virtio/virtio_pci_access.c virtio/virtio_pci_interrupts.c
// sources: virtio/virtio_pci_legacy.c arch/x86_64/pci.c arch/x86_64/pci_alloc.c arch/x86_64/pci_roots.c
// sources: arch/x86_64/pci_msix.c boot/pci_caps.c boot/log.c boot/format.c boot/loop.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
// sources: hosted/qtest.c hosted/qtest_machine.c tests/native/backend.c tests/native/net_port.c
// sources: tests/native/qtest_rig.c tests/native/qtest_torture.c
/*
 * test_qtest.c - every driver, as a Linux process under sanitizers, on QEMU's own device models.
 *
 * The kernel's PCI code enumerates a real QEMU, places BARs and programs MSI-X; the drivers' rings
 * are guest memory. Once with split and once with packed rings, each in a QEMU of its own.
 */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "hosted/qtest.h"
#include "loop.h"
#include "qtest_rig.h"
#include "qtest_torture.h"
#include "virtio/spec_storage.h"

#define AMOUNT 256u
#define ROUNDS 50u

static bool packed;

static int setup(void **state)
{
    int result = support_setup(state);

    if (virtio_devices())
        fail_msg("a test before this one failed and left its device");
    rig_attach();
    return result;
}

/* An interrupt comes only when the driver waits for one, so it is given more than one chance. */
static void exercise_until(const struct rig_device *which, struct virtio_device *device,
                           uint64_t (*interrupts)(void))
{
    uint64_t before = interrupts();
    unsigned rounds = 0;

    do {
        assert_true(which->exercise(device, AMOUNT));
    } while (interrupts() == before && ++rounds < ROUNDS);
    if (interrupts() == before)
        fail_msg("no interrupt ever came; log:\n%s", hosted_log());
    assert_int_equal(device->recoveries, 0);
}

static uint64_t all_interrupts(void)
{
    return qtest_messages() + qtest_lines();
}

static void works(void **state)
{
    const struct rig_device *which = *state;
    struct virtio_device *device = rig_bring_up(which);

    assert_non_null(device);
    assert_int_equal(virtio_features_has(&device->accepted, VIRTIO_F_RING_PACKED), packed);
    exercise_until(which, device, all_interrupts);
    assert_true(rig_take_down(which));
}

/* Without MSI-X interrupts come by a line. */
static void works_with_lines(void **state)
{
    const struct rig_device *which = *state;
    struct virtio_device *device;
    uint64_t messages = qtest_messages();

    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_INTX);
    device = rig_bring_up(which);
    assert_non_null(device);
    assert_int_equal(device->interrupt_mode, VIRTIO_INTERRUPT_INTX);
    exercise_until(which, device, qtest_lines);
    assert_int_equal(qtest_messages(), messages);
    assert_true(rig_take_down(which));
}

/* Without lines, the driver has to look. */
static void works_without_interrupts(void **state)
{
    const struct rig_device *which = *state;
    struct virtio_device *device;
    uint64_t before = all_interrupts();

    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_NONE);
    device = rig_bring_up(which);
    assert_non_null(device);
    assert_int_equal(device->interrupt_mode, VIRTIO_INTERRUPT_NONE);
    assert_true(which->exercise(device, AMOUNT / 4));
    assert_int_equal(all_interrupts(), before);
    assert_true(rig_take_down(which));
    loop_set_polling(false);
}

static void survives_torture(void **state)
{
    uint32_t seed = 20;

    assert_true(torture_round(*state, &seed));
}

#define KINDS 4u
static const struct {
    const char *name;
    void (*run)(void **state);
} kinds[KINDS] = {{"", works},
                  {"_intx", works_with_lines},
                  {"_polling", works_without_interrupts},
                  {"_torture", survives_torture}};

static int run_group(void)
{
    static char name[KINDS * RIG_DEVICES][64];
    struct CMUnitTest tests[KINDS * RIG_DEVICES];

    hosted_set_failure_hook(NULL);
    hosted_reset();
    rig_start(packed);
    for (unsigned i = 0; i < KINDS * RIG_DEVICES; i++) {
        const struct rig_device *which = &rig_devices[i / KINDS];

        snprintf(name[i], sizeof(name[0]), "%s_%s%s", which->name, packed ? "packed" : "split",
                 kinds[i % KINDS].name);
        tests[i] = (struct CMUnitTest){name[i], kinds[i % KINDS].run, setup, support_teardown,
                                       (void *)(uintptr_t)which};
    }
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    rig_stop();
    return result;
}

/* A machine is enumerated once, so each QEMU has a process. */
int main(void)
{
    int failed = 0, status;

    for (int ring = 0; ring < 2; ring++) {
        pid_t pid = fork();

        if (pid == 0) {
            packed = ring;
            exit(run_group() != 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            failed = 1;
    }
    return failed;
}
