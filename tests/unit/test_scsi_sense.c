// sources: blk/scsi_sense.c boot/log.c boot/format.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/violation.c
/*
 * test_scsi_sense.c - what the end of a SCSI command means (blk/scsi_sense.h), from bytes to
 * verdicts. No device here. Read test_virtio_scsi.c for the same with one.
 */
#include "support.h"

#include "blk/scsi_sense.h"

static struct scsi_result result;
static struct scsi_verdict verdict;

static void judge_sense(uint8_t key, uint8_t asc, uint8_t ascq)
{
    result = (struct scsi_result){.status = 0x02, .sense_len = 18};
    result.sense[0] = 0x70;
    result.sense[2] = key;
    result.sense[12] = asc;
    result.sense[13] = ascq;
    scsi_judge(&result, &verdict);
}

static void both_formats_are_read(void **state)
{
    const uint8_t fixed[18] = {0xf0, 0, 0xe3, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x11, 0x02};
    const uint8_t descriptor[8] = {0x72, 0x03, 0x11, 0x02};
    struct scsi_sense sense;

    (void)state;
    scsi_sense_decode(fixed, sizeof(fixed), &sense);
    assert_true(sense.valid && !sense.deferred);
    assert_int_equal(sense.key, 3);
    assert_int_equal(sense.asc, 0x11);
    assert_int_equal(sense.ascq, 2);
    scsi_sense_decode(descriptor, sizeof(descriptor), &sense);
    assert_true(sense.valid && !sense.deferred);
    assert_int_equal(sense.key, 3);
    assert_int_equal(sense.asc, 0x11);
    assert_int_equal(sense.ascq, 2);
}

/* Any bytes of any length are decoded without looking past the end (the sanitizer watches). */
static void any_bytes_will_do(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = support_random(&seed) % 20;
        uint8_t *data = malloc(len ? len : 1);
        struct scsi_sense sense;

        for (size_t b = 0; b < len; b++)
            data[b] = (uint8_t)support_random(&seed);
        if (len && i % 2)
            data[0] = 0x70 + i / 2 % 4;
        scsi_sense_decode(data, len, &sense);
        assert_true(sense.key < 16);
        free(data);
    }
}

static void short_sense_is_taken_as_far_as_it_goes(void **state)
{
    const uint8_t fixed[3] = {0x70, 0, 0x05}, descriptor[3] = {0x72, 5, 0x20};
    struct scsi_sense sense;

    (void)state;
    scsi_sense_decode(fixed, 3, &sense);
    assert_true(sense.valid);
    assert_int_equal(sense.key, 5);
    assert_int_equal(sense.asc, 0);
    scsi_sense_decode(fixed, 2, &sense);
    assert_false(sense.valid);
    scsi_sense_decode(descriptor, 3, &sense);
    assert_false(sense.valid);
    scsi_sense_decode(descriptor, 0, &sense);
    assert_false(sense.valid);
}

static void sense_becomes_errors(void **state)
{
    static const struct {
        uint8_t key, asc, ascq;
        enum scsi_action action;
        int error;
    } cases[] = {
        {0x0, 0x00, 0x00, SCSI_DONE, 0},        {0x1, 0x17, 0x01, SCSI_DONE, 0},
        {0x2, 0x04, 0x01, SCSI_LATER, -EIO},    {0x2, 0x3a, 0x00, SCSI_DONE, -EIO},
        {0x3, 0x11, 0x00, SCSI_DONE, -EIO},     {0x4, 0x44, 0x00, SCSI_DONE, -EIO},
        {0x5, 0x20, 0x00, SCSI_DONE, -ENOTSUP}, {0x5, 0x21, 0x00, SCSI_DONE, -EINVAL},
        {0x5, 0x24, 0x00, SCSI_DONE, -EIO},     {0x5, 0x25, 0x00, SCSI_DONE, -ENODEV},
        {0x6, 0x29, 0x00, SCSI_AGAIN, -EIO},    {0x6, 0x2a, 0x09, SCSI_AGAIN, -EIO},
        {0x7, 0x27, 0x00, SCSI_DONE, -EROFS},   {0x7, 0x27, 0x07, SCSI_DONE, -EIO},
        {0x8, 0x00, 0x00, SCSI_DONE, -EIO},     {0xb, 0x00, 0x06, SCSI_AGAIN, -EIO},
        {0xc, 0xff, 0xff, SCSI_DONE, -EIO},     {0xf, 0x00, 0x00, SCSI_DONE, -EIO},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        judge_sense(cases[i].key, cases[i].asc, cases[i].ascq);
        assert_int_equal(verdict.action, cases[i].action);
        assert_int_equal(verdict.error, cases[i].error);
    }
}

static void news_are_told_apart(void **state)
{
    (void)state;
    judge_sense(0x6, 0x29, 0x00);
    assert_false(verdict.unit_changed || verdict.units_changed);
    judge_sense(0x6, 0x2a, 0x09);
    assert_true(verdict.unit_changed && !verdict.units_changed);
    judge_sense(0x6, 0x3f, 0x03);
    assert_true(verdict.unit_changed && !verdict.units_changed);
    judge_sense(0x6, 0x3f, 0x0e);
    assert_true(!verdict.unit_changed && verdict.units_changed);
    judge_sense(0x5, 0x20, 0x00);
    assert_true(verdict.unknown_command);
}

static void an_error_of_an_earlier_command_counts(void **state)
{
    (void)state;
    result = (struct scsi_result){.status = 0x02, .sense_len = 18, .sense = {0x71, 0, 0x01}};
    scsi_judge(&result, &verdict);
    assert_int_equal(verdict.action, SCSI_DONE);
    assert_int_equal(verdict.error, -EIO);
}

static void every_status_has_a_meaning(void **state)
{
    (void)state;
    for (unsigned status = 0; status < 256; status++) {
        char text[SCSI_REASON_SIZE];

        result = (struct scsi_result){.status = (uint8_t)status};
        scsi_judge(&result, &verdict);
        assert_int_equal(verdict.error, status == 0 || status == 4 ? 0 : -EIO);
        scsi_reason(&verdict, text, sizeof(text));
        assert_true(strlen(text) > 0);
    }
    result = (struct scsi_result){.status = 0x28};
    scsi_judge(&result, &verdict);
    assert_int_equal(verdict.action, SCSI_LATER);
    result.status = 0x40;
    scsi_judge(&result, &verdict);
    assert_int_equal(verdict.action, SCSI_AGAIN);
}

static void reasons_can_be_read(void **state)
{
    char text[SCSI_REASON_SIZE];

    (void)state;
    judge_sense(0x3, 0x11, 0x00);
    scsi_reason(&verdict, text, sizeof(text));
    assert_string_equal(text, "MEDIUM ERROR, unrecovered read error (3/11/00)");
    judge_sense(0x4, 0x99, 0x01);
    scsi_reason(&verdict, text, sizeof(text));
    assert_string_equal(text, "HARDWARE ERROR (4/99/01)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_formats_are_read),
        TEST(any_bytes_will_do),
        TEST(short_sense_is_taken_as_far_as_it_goes),
        TEST(sense_becomes_errors),
        TEST(news_are_told_apart),
        TEST(an_error_of_an_earlier_command_counts),
        TEST(every_status_has_a_meaning),
        TEST(reasons_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
