/* The public header as a C11 program sees it: the example of its first lines, and failures that leave the output
 * alone. */
#include <spatialnorm/spatialnorm.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void check(int right, const char *what) {
    if (!right) {
        printf("FAILED %s; last error: %s\n", what, sn_last_error());
        ++failures;
    }
}
#define CHECK(condition) check(condition, #condition)

/* A call must fail with this status and with this word in its sentence. */
static void check_failure(sn_status got, sn_status want, const char *word, const char *what) {
    check(got == want && strstr(sn_last_error(), word), what);
}
#define FAILS(call, status, word) check_failure(call, status, word, #call)

static sn_tensor image(int64_t h, int64_t w, sn_dtype dtype) {
    const sn_tensor t = {NULL, {1, 1, h, w}, {h * w, h * w, w, 1}, dtype};
    return t;
}

static void versions_and_devices(void) {
    sn_device_info info;
    int found_metal = 0;
    CHECK(sn_abi_version() == SN_ABI_VERSION);
    CHECK(strlen(sn_version()) >= 5);
    CHECK(sn_device_count() >= 2);
    CHECK(sn_get_device_info(0, &info) == SN_OK && info.device == SN_DEVICE_CPU && info.available == 1);
    CHECK(strcmp(info.kind, "cpu") == 0 && info.name[0] && info.description[0]);
    for (int32_t i = 1; i < sn_device_count(); ++i) {
        CHECK(sn_get_device_info(i, &info) == SN_OK);
        found_metal |= strcmp(info.kind, "metal") == 0 && info.device >= SN_DEVICE_METAL && info.description[0];
    }
    CHECK(found_metal);
    FAILS(sn_get_device_info(-1, &info), SN_INVALID_ARGUMENT, "-1");
    FAILS(sn_get_device_info(0, NULL), SN_INVALID_ARGUMENT, "info");
    FAILS(sn_set_num_threads(-3), SN_INVALID_ARGUMENT, "-3");
    CHECK(sn_set_num_threads(2) == SN_OK && sn_get_num_threads() == 2);
    CHECK(sn_set_num_threads(0) == SN_OK && sn_get_num_threads() >= 1);
}

/* 4 x 4 ramp 1 ... 16, defaults, window 3: measured on the framework's own machine by a third party. */
static void example_of_the_header(void) {
    float input[16], output[16];
    for (int i = 0; i < 16; ++i) input[i] = (float)(i + 1);
    sn_spatial_params p = SN_SPATIAL_PARAMS_INIT;
    CHECK(p.header.size == sizeof p && p.kernel_height == 5 && p.kernel_width == 5);
    CHECK(p.alpha == 1 && p.beta == 5 && p.delta == 1 && p.edge == SN_EDGE_ZERO && p.gradient == SN_GRADIENT_EXACT);
    p.kernel_height = p.kernel_width = 3;
    sn_tensor operands[2] = {image(4, 4, SN_FLOAT32), image(4, 4, SN_FLOAT32)};
    void *data[2] = {input, output};
    sn_plan *plan = NULL;
    CHECK(sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) == SN_OK);
    CHECK(sn_plan_run(plan, data, 2) == SN_OK);
    CHECK(fabs(output[0] / 2.48832e-05 - 1) < 2e-6);

    /* The same image as the middle axes of an array of three, strides in bytes. */
    float same[16];
    const int64_t shape[3] = {4, 4, 1}, strides[3] = {16, 4, 4};
    const sn_array array = {NULL, shape, strides, 3, SN_FLOAT32};
    const sn_array arrays[2] = {array, array};
    sn_plan *plan_nd = NULL;
    data[1] = same;
    CHECK(sn_plan_create_nd(&p.header, SN_FORWARD, SN_DEVICE_CPU, arrays, 2, 0, 1, &plan_nd) == SN_OK);
    CHECK(sn_plan_run(plan_nd, data, 2) == SN_OK);
    CHECK(memcmp(output, same, sizeof same) == 0);
    sn_plan_destroy(plan);
    sn_plan_destroy(plan_nd);
    sn_plan_destroy(NULL);
}

static void failures_of_create(void) {
    const sn_spatial_params good = SN_SPATIAL_PARAMS_INIT;
    sn_spatial_params p = good;
    sn_tensor t[3] = {image(4, 4, SN_FLOAT32), image(4, 4, SN_FLOAT32), image(4, 4, SN_FLOAT32)};
    sn_plan *plan = NULL;
#define CREATE(n) sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, t, n, &plan)
    p.kernel_height = 0;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "kernel");
    p = good, p.alpha = -0.5;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "alpha");
    p = good, p.beta = NAN;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "beta");
    p = good, p.delta = INFINITY;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "delta");
    p = good, p.header.size = 8;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "size");
    p = good;
    FAILS(CREATE(1), SN_INVALID_ARGUMENT, "operands");
    FAILS(CREATE(-1), SN_INVALID_ARGUMENT, "operands");
    t[1].shape[3] = 5;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "5");
    t[1] = image(4, 4, SN_FLOAT64);
    FAILS(CREATE(2), SN_INVALID_TYPE, "float64");
    t[1] = image(4, 4, (sn_dtype)99);
    FAILS(CREATE(2), SN_INVALID_TYPE, "99");
    t[1] = t[0], t[1].strides[3] = 0;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "broadcast");
    t[1] = t[0], t[0].shape[2] = t[1].shape[2] = -1;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "-1");
    for (int i = 0; i < 2; ++i) t[i] = image(4, 4, SN_FLOAT32), t[i].shape[0] = t[i].shape[1] = INT64_MAX;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "");
    for (int i = 0; i < 2; ++i) t[i] = image(4, 4, SN_FLOAT32), t[i].strides[2] = INT64_MAX / 2;
    FAILS(CREATE(2), SN_INVALID_ARGUMENT, "");
    t[0] = t[1] = image(4, 4, SN_FLOAT32);
    FAILS(sn_plan_create(NULL, SN_FORWARD, SN_DEVICE_CPU, t, 2, &plan), SN_INVALID_ARGUMENT, "params");
    FAILS(sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, NULL, 2, &plan), SN_INVALID_ARGUMENT, "operands");
    FAILS(sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, t, 2, NULL), SN_INVALID_ARGUMENT, "plan");
    FAILS(sn_plan_create(&p.header, (sn_pass)17, SN_DEVICE_CPU, t, 2, &plan), SN_INVALID_ARGUMENT, "17");
    FAILS(sn_plan_create(&p.header, SN_FORWARD, 12345, t, 2, &plan), SN_INVALID_ARGUMENT, "12345");
    p.edge = SN_EDGE_CLAMP, p.gradient = SN_GRADIENT_DOCUMENTED;
    FAILS(sn_plan_create(&p.header, SN_GRADIENT, SN_DEVICE_CPU, t, 3, &plan), SN_INVALID_ARGUMENT, "documented");
    CHECK(plan == NULL);
#undef CREATE
}

static void failures_of_run(void) {
    float input[16] = {1}, output[20], before[20];
    for (int i = 0; i < 20; ++i) output[i] = before[i] = (float)i;
    const sn_spatial_params p = SN_SPATIAL_PARAMS_INIT;
    const sn_tensor t[2] = {image(4, 4, SN_FLOAT32), image(4, 4, SN_FLOAT32)};
    sn_plan *plan = NULL;
    CHECK(sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, t, 2, &plan) == SN_OK);
    void *data[2] = {input, output};
    FAILS(sn_plan_run(NULL, data, 2), SN_INVALID_ARGUMENT, "plan");
    FAILS(sn_plan_run(plan, data, 1), SN_INVALID_ARGUMENT, "1");
    FAILS(sn_plan_run(plan, NULL, 2), SN_INVALID_ARGUMENT, "data");
    data[0] = NULL;
    FAILS(sn_plan_run(plan, data, 2), SN_INVALID_ARGUMENT, "NULL");
    data[0] = output + 4; /* overlaps the output in part */
    FAILS(sn_plan_run(plan, data, 2), SN_INVALID_ARGUMENT, "overlap");
    CHECK(memcmp(before, output, sizeof before) == 0);
    data[0] = output; /* in place */
    CHECK(sn_plan_run(plan, data, 2) == SN_OK);
    CHECK(memcmp(before, output, sizeof before) != 0 && memcmp(before + 16, output + 16, 16) == 0);
    sn_plan_destroy(plan);
}

/* Images without elements may lie nowhere; the three sums that they give may not. */
static void nothing(void) {
    const sn_spatial_params p = SN_SPATIAL_PARAMS_INIT;
    sn_tensor t[3] = {image(0, 4, SN_FLOAT32), image(0, 4, SN_FLOAT32), image(1, 3, SN_FLOAT64)};
    sn_plan *plan = NULL;
    CHECK(sn_plan_create(&p.header, SN_PARAMETER_GRADIENTS, SN_DEVICE_CPU, t, 3, &plan) == SN_OK);
    double sums[3] = {1, 1, 1};
    void *data[3] = {NULL, NULL, NULL};
    FAILS(sn_plan_run(plan, data, 3), SN_INVALID_ARGUMENT, "NULL");
    data[2] = sums;
    CHECK(sn_plan_run(plan, data, 3) == SN_OK && sums[0] == 0 && sums[1] == 0 && sums[2] == 0);
    sn_plan_destroy(plan);

    /* The most negative stride has no positive one. */
    for (int i = 0; i < 2; ++i) t[i] = image(2, 1, SN_FLOAT16), t[i].strides[2] = INT64_MIN / 2;
    plan = NULL;
    FAILS(sn_plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, t, 2, &plan), SN_INVALID_ARGUMENT, "64 bits");
    CHECK(plan == NULL);
}

/* Ten values at a time: the loops take eight together and the last two alone. */
static void element_wise_operations(void) {
    const sn_params add = {sizeof(sn_params), SN_ADD}, convert = {sizeof(sn_params), SN_CONVERT};
    float numbers[10] = {1, 65519, 65520, -0x1p-25f, 0x1.8p-25f, INFINITY, 0x1.002p0f, 0x1.006p0f, NAN, -0x1.006p0f};
    const uint16_t rounded[10] = {0x3c00, 0x7bff, 0x7c00, 0x8000, 0x0001, 0x7c00, 0x3c00, 0x3c02, 0x7e00, 0xbc02};
    const uint16_t twice[10] = {0x4000, 0x7c00, 0x7c00, 0x8000, 0x0002, 0x7c00, 0x4000, 0x4002, 0x7e00, 0xc002};
    uint16_t halves[10], sums[10];
    sn_tensor operands[3] = {image(2, 5, SN_FLOAT32), image(2, 5, SN_FLOAT16), image(2, 5, SN_FLOAT16)};
    void *data[3] = {numbers, halves, sums};
    sn_plan *plan = NULL;
    CHECK(sn_plan_create(&convert, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) == SN_OK);
    CHECK(sn_plan_run(plan, data, 2) == SN_OK && memcmp(halves, rounded, sizeof halves) == 0);
    data[1] = numbers;
    FAILS(sn_plan_run(plan, data, 2), SN_INVALID_ARGUMENT, "float16 and float32");
    sn_plan_destroy(plan);

    operands[0] = operands[1];
    CHECK(sn_plan_create(&add, SN_FORWARD, SN_DEVICE_CPU, operands, 3, &plan) == SN_OK);
    data[0] = data[1] = halves;
    CHECK(sn_plan_run(plan, data, 3) == SN_OK && memcmp(sums, twice, sizeof sums) == 0);
    data[2] = halves; /* in place */
    CHECK(sn_plan_run(plan, data, 3) == SN_OK && memcmp(halves, twice, sizeof halves) == 0);
    sn_plan_destroy(plan);

    FAILS(sn_plan_create(&add, SN_GRADIENT, SN_DEVICE_CPU, operands, 3, &plan), SN_INVALID_ARGUMENT, "no pass 1");
    FAILS(sn_plan_create(&add, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan), SN_INVALID_ARGUMENT, "3 operands");
    FAILS(sn_plan_create(&convert, SN_FORWARD, SN_DEVICE_CPU, operands, 3, &plan), SN_INVALID_ARGUMENT, "2 operands");
    operands[1].dtype = SN_FLOAT32;
    FAILS(sn_plan_create(&add, SN_FORWARD, SN_DEVICE_CPU, operands, 3, &plan), SN_INVALID_TYPE, "a and b");
    operands[1].shape[2] = 3;
    FAILS(sn_plan_create(&convert, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan), SN_INVALID_ARGUMENT, "x and out");
    const sn_params longer = {sizeof(sn_params) + 8, SN_ADD};
    FAILS(sn_plan_create(&longer, SN_FORWARD, SN_DEVICE_CPU, operands, 3, &plan), SN_INVALID_ARGUMENT, "params.size");
}

int main(void) {
    if (!*sn_isa()) {
        printf("%s\n", sn_last_error());
        return 77;
    }
    versions_and_devices();
    example_of_the_header();
    failures_of_create();
    failures_of_run();
    nothing();
    element_wise_operations();
    printf("%s\n", failures ? "C interface: failed" : "C interface: passed");
    return failures != 0;
}
