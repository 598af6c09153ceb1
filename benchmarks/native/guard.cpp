// Runs one case through the public C interface: benchmarks/guard.py counts its instructions.
//
//     guard PASS DTYPE LAYOUT EDGE N C H W KERNEL BETA
//
// Only counted_run is counted: not the plan, and not the first run, which allocates.
#include "spatialnorm/spatialnorm.h"
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const std::string &message) {
    std::fprintf(stderr, "guard: %s\n", message.c_str());
    std::exit(1);
}

void demand(sn_status status) {
    if (status != SN_OK) fail(sn_last_error());
}

template <class T> T choose(const char *word, std::initializer_list<std::pair<const char *, T>> choices) {
    for (const auto &[name, value] : choices)
        if (!std::strcmp(word, name)) return value;
    fail(std::string("unknown word ") + word);
}

// Multiples of 1/8 between -2 and 2, exact in every dtype: counts must not depend on rounding.
double sample(uint64_t i) { return double(int64_t((i * 6364136223846793005ull + 1442695040888963407ull) >> 59) - 16) / 8; }

uint16_t half_bits(double v, sn_dtype dtype) {
    const float f = float(v);
    uint32_t b;
    std::memcpy(&b, &f, sizeof b);
    if (dtype == SN_BFLOAT16) return uint16_t(b >> 16);
    if (v == 0) return 0;
    return uint16_t(((b >> 16) & 0x8000) | ((((b >> 23) & 255) - 127 + 15) << 10) | ((b >> 13) & 0x3ff));
}

std::vector<char> data(int64_t n, sn_dtype dtype, uint64_t seed) {
    const size_t size = dtype == SN_FLOAT64 ? 8 : dtype == SN_FLOAT32 ? 4 : 2;
    std::vector<char> bytes(size_t(n) * size);
    for (int64_t i = 0; i < n; ++i) {
        const double v = sample(uint64_t(i) + seed);
        const float f = float(v);
        const uint16_t h = half_bits(v, dtype);
        std::memcpy(&bytes[size_t(i) * size], size == 8 ? (const void *)&v : size == 4 ? (const void *)&f : &h, size);
    }
    return bytes;
}

} // namespace

extern "C" __attribute__((noinline)) sn_status counted_run(const sn_plan *plan, void *const *pointers, int32_t count) {
    return sn_plan_run(plan, pointers, count);
}

int main(int argc, char **argv) {
    if (argc != 11) fail("ten arguments are wanted: PASS DTYPE LAYOUT EDGE N C H W KERNEL BETA");
    const sn_pass pass = choose<sn_pass>(argv[1], {{"forward", SN_FORWARD},
                                                   {"gradient", SN_GRADIENT},
                                                   {"jvp", SN_JVP},
                                                   {"parameters", SN_PARAMETER_GRADIENTS}});
    const sn_dtype dtype = choose<sn_dtype>(
        argv[2],
        {{"float16", SN_FLOAT16}, {"bfloat16", SN_BFLOAT16}, {"float32", SN_FLOAT32}, {"float64", SN_FLOAT64}});
    const bool nhwc = choose<bool>(argv[3], {{"NCHW", false}, {"NHWC", true}});
    const sn_edge edge = choose<sn_edge>(argv[4], {{"zero", SN_EDGE_ZERO}, {"clamp", SN_EDGE_CLAMP}});
    const int64_t n = std::atoll(argv[5]), c = std::atoll(argv[6]), h = std::atoll(argv[7]), w = std::atoll(argv[8]);

    sn_tensor image = {nullptr, {n, c, h, w}, {c * h * w, h * w, w, 1}, dtype};
    if (nhwc) image = {nullptr, {n, c, h, w}, {h * w * c, 1, w * c, c}, dtype};
    const sn_tensor derivatives = {nullptr, {1, 1, 1, 3}, {3, 3, 3, 1}, SN_FLOAT64};
    const bool forward = pass == SN_FORWARD;
    const sn_tensor result = pass == SN_PARAMETER_GRADIENTS ? derivatives : image;

    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.kernel_height = params.kernel_width = std::atoll(argv[9]);
    params.beta = std::atof(argv[10]);
    params.edge = edge;

    std::vector<char> a = data(n * c * h * w, dtype, 1), b = data(n * c * h * w, dtype, 1000003);
    std::vector<char> out(pass == SN_PARAMETER_GRADIENTS ? 24 : a.size());
    const sn_tensor operands[3] = {image, forward ? result : image, result};
    void *pointers[3] = {a.data(), forward ? out.data() : b.data(), out.data()};
    const int32_t count = forward ? 2 : 3;

    demand(sn_set_num_threads(1));
    if (std::strcmp(sn_isa(), "") == 0) fail(sn_last_error());
    sn_plan *plan = nullptr;
    demand(sn_plan_create(&params.header, pass, SN_DEVICE_CPU, operands, count, &plan));
    demand(sn_plan_run(plan, pointers, count));
    demand(counted_run(plan, pointers, count));
    sn_plan_destroy(plan);
    std::printf("%s\n", sn_isa());
}
