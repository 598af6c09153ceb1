/* Gradient and forward-mode product of an NHWC image: <g, J v> and <J^T g, v> must be one number. */
#include <spatialnorm/spatialnorm.h>

#include <math.h>
#include <stdio.h>

enum { HEIGHT = 24, WIDTH = 20, CHANNELS = 3, SAMPLES = HEIGHT * WIDTH * CHANNELS };

static int run(sn_pass pass, float *first, float *second, float *out) {
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.kernel_height = 5;
    params.kernel_width = 4; /* even: it leans to the left */
    params.beta = 0.75;
    /* A layout is its strides, in the order N, C, H, W: channels lie side by side. */
    const sn_tensor image = {NULL, {1, CHANNELS, HEIGHT, WIDTH}, {SAMPLES, 1, WIDTH * CHANNELS, CHANNELS}, SN_FLOAT32};
    const sn_tensor operands[3] = {image, image, image};
    sn_plan *plan = NULL;
    sn_status status = sn_plan_create(&params.header, pass, SN_DEVICE_CPU, operands, 3, &plan);
    if (status == SN_OK) {
        void *data[3] = {first, second, out};
        status = sn_plan_run(plan, data, 3);
    }
    sn_plan_destroy(plan);
    if (status != SN_OK) fprintf(stderr, "%s\n", sn_last_error());
    return status == SN_OK;
}

static double inner_product(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < SAMPLES; ++i) sum += (double)a[i] * (double)b[i];
    return sum;
}

int main(void) {
    static float x[SAMPLES], v[SAMPLES], g[SAMPLES], jv[SAMPLES], jtg[SAMPLES];
    for (int i = 0; i < SAMPLES; ++i) {
        x[i] = (float)sin(0.1 * i);
        v[i] = (float)cos(0.37 * i);
        g[i] = (float)cos(0.23 * i + 1);
    }
    if (!run(SN_JVP, x, v, jv) || !run(SN_GRADIENT, g, x, jtg)) return 1;
    const double left = inner_product(g, jv), right = inner_product(jtg, v);
    printf("<g, J v> = %.9g, <J^T g, v> = %.9g\n", left, right);
    return fabs(left - right) < 1e-5 * fabs(left) ? 0 : 1;
}
