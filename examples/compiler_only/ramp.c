/* The C interface with nothing but a compiler: normalizes a ramp of 4 x 4 samples with a window of 3 x 3. */
#include <spatialnorm/spatialnorm.h>

#include <math.h>
#include <stdio.h>

int main(void) {
    float x[16], y[16];
    for (int i = 0; i < 16; ++i) x[i] = (float)(i + 1);

    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT; /* alpha 1, beta 5, delta 1 */
    params.kernel_height = params.kernel_width = 3;
    const sn_tensor image = {NULL, {1, 1, 4, 4}, {16, 16, 4, 1}, SN_FLOAT32};
    const sn_tensor operands[2] = {image, image}; /* x, y */
    sn_plan *plan = NULL;
    if (sn_plan_create(&params.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) != SN_OK) {
        fprintf(stderr, "%s\n", sn_last_error());
        return 1;
    }

    void *data[2] = {x, y};
    const sn_status status = sn_plan_run(plan, data, 2);
    sn_plan_destroy(plan);
    if (status != SN_OK) {
        fprintf(stderr, "%s\n", sn_last_error());
        return 1;
    }

    /* The window of the corner holds 1, 2, 5, 6: T = 1 + 66 / 9, y = 1 / T^5. */
    const double expected = pow(1 + 66.0 / 9, -5);
    printf("spatialnorm %s (%s): y[0] = %.6e, expected %.6e\n", sn_version(), sn_isa(), (double)y[0], expected);
    return fabs((double)y[0] / expected - 1) < 1e-5 ? 0 : 1;
}
