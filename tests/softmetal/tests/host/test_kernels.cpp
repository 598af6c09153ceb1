// Whole kernels against plain loops. The driver runs these in every thread order and in checked mode.
#include "testing.hpp"
#include <cstring>
#include <random>

struct Params {
    uint32_t width, height, planes;
    float bias;
};

static std::vector<float> random_floats(size_t n) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> v(n);
    for (float &x : v) x = uniform(random);
    return v;
}

static float from_bfloat(uint16_t bits) {
    uint32_t u = uint32_t(bits) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint16_t to_bfloat(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return uint16_t((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

// Largest difference from the sums in double, over ragged planes.
static double box_sum_error(const std::string &kernel, unsigned radius, bool whole_groups) {
    Gpu gpu;
    const int w = 37, h = 21, planes = 2, r = int(radius);
    std::vector<float> x = random_floats(size_t(w) * h * planes);
    std::vector<uint16_t> narrow(x.size());
    size_t size = kernel == "box_sum_float" ? 4 : 2;
    for (size_t i = 0; i < x.size() && size == 2; i++) {
        if (kernel == "box_sum_half") {
            _Float16 v = _Float16(x[i]);
            memcpy(&narrow[i], &v, 2);
            x[i] = float(v);
        } else {
            narrow[i] = to_bfloat(x[i]);
            x[i] = from_bfloat(narrow[i]);
        }
    }
    auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
    uint32_t radius_value = radius;
    bool bias = true;
    values->setConstantValue(&radius_value, MTL::DataTypeUInt, NS::UInteger(0));
    values->setConstantValue(&bias, MTL::DataTypeBool, NS::UInteger(1));
    auto lib = gpu.library(kernel_source("box_sum.metal"));
    auto pipeline = gpu.pipeline(lib.get(), kernel, values.get());
    auto src = size == 4 ? gpu.buffer(x) : gpu.buffer(narrow), dst = gpu.buffer(x.size() * size);
    Params params = {uint32_t(w), uint32_t(h), uint32_t(planes), 0.5f};
    unsigned span = 16 + 2 * radius;
    std::string error = gpu.run([&](MTL::ComputeCommandEncoder *e) {
        e->setComputePipelineState(pipeline.get());
        e->setBuffer(src.get(), 0, 0);
        e->setBuffer(dst.get(), 0, 1);
        e->setBytes(&params, sizeof params, 2);
        e->setThreadgroupMemoryLength(span * 16 * 4, 0);
        if (whole_groups)
            e->dispatchThreadgroups(MTL::Size((w + 15) / 16, (h + 15) / 16, planes), MTL::Size(16, 16, 1));
        else e->dispatchThreads(MTL::Size(w, h, planes), MTL::Size(16, 16, 1));
    });
    if (!error.empty()) failed(__FILE__, __LINE__, error);
    double worst = 0;
    for (int z = 0; z < planes; z++)
        for (int y = 0; y < h; y++)
            for (int c = 0; c < w; c++) {
                double want = 0.5;
                for (int j = std::max(0, y - r); j <= std::min(h - 1, y + r); j++)
                    for (int i = std::max(0, c - r); i <= std::min(w - 1, c + r); i++)
                        want += x[(size_t(z) * h + j) * w + i];
                size_t at = (size_t(z) * h + y) * w + c;
                double got = size == 4                  ? contents<float>(dst)[at]
                             : kernel == "box_sum_half" ? double(contents<_Float16>(dst)[at])
                                                        : double(from_bfloat(contents<uint16_t>(dst)[at]));
                worst = std::max(worst, std::fabs(got - want));
            }
    return worst;
}
TEST(kernel_box_sum_float) {
    for (unsigned radius : {0u, 1u, 3u, 8u})
        for (bool whole : {false, true}) CHECK(box_sum_error("box_sum_float", radius, whole) < 1e-5);
}
TEST(kernel_box_sum_half) { CHECK(box_sum_error("box_sum_half", 2, false) < 0.01); }
TEST(kernel_box_sum_bfloat) { CHECK(box_sum_error("box_sum_bfloat", 2, false) < 0.05); }

TEST(kernel_reduce) {
    Gpu gpu;
    auto p = gpu.pipeline("reduce.metal", "reduce");
    uint32_t count = 1000;
    auto src = gpu.buffer(std::vector<float>(4 * count, 0.25f)), sums = gpu.buffer(16);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(src.get(), 0, 0);
                 e->setBuffer(sums.get(), 0, 1);
                 e->setBytes(&count, 4, 2);
                 e->dispatchThreadgroups(MTL::Size(4, 1, 1), MTL::Size(256, 1, 1));
             })
              .empty());
    for (int i = 0; i < 4; i++) CHECK_EQUAL(contents<float>(sums)[i], i < 3 ? 256.0f : 232.0f);
}

TEST(kernel_histogram) {
    Gpu gpu;
    auto p = gpu.pipeline("reduce.metal", "histogram");
    uint32_t count = 3000;
    std::vector<uint8_t> v(count);
    std::vector<uint32_t> want(256);
    for (uint32_t i = 0; i < count; i++) want[v[i] = uint8_t(i * i + 7 * i)]++;
    auto src = gpu.buffer(v), bins = gpu.buffer(1024);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(src.get(), 0, 0);
                 e->setBuffer(bins.get(), 0, 1);
                 e->setBytes(&count, 4, 2);
                 e->dispatchThreads(MTL::Size(count, 1, 1), MTL::Size(128, 1, 1));
             })
              .empty());
    CHECK(!memcmp(bins->contents(), want.data(), 1024));
}

TEST(kernel_atomic_float) {
    Gpu gpu;
    auto p = gpu.pipeline("reduce.metal", "sum_atomically");
    auto src = gpu.buffer(std::vector<float>(500, 0.5f)), sum = gpu.buffer(4);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(src.get(), 0, 0);
                 e->setBuffer(sum.get(), 0, 1);
                 e->dispatchThreads(MTL::Size(500, 1, 1), MTL::Size(64, 1, 1));
             })
              .empty());
    CHECK_EQUAL(*contents<float>(sum), 250.0f);
}

TEST(kernel_transpose) {
    Gpu gpu;
    auto p = gpu.pipeline("transpose.metal", "transpose");
    const uint32_t w = 50, h = 35, size[2] = {w, h};
    auto x = random_floats(w * h);
    auto src = gpu.buffer(x), dst = gpu.buffer(w * h * 4);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(src.get(), 0, 0);
                 e->setBuffer(dst.get(), 0, 1);
                 e->setBytes(size, 8, 2);
                 e->dispatchThreadgroups(MTL::Size(4, 3, 1), MTL::Size(16, 16, 1));
             })
              .empty());
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t i = 0; i < w; i++) CHECK_EQUAL(contents<float>(dst)[i * h + y], x[y * w + i]);
}

TEST(kernel_positions) {
    Gpu gpu;
    auto p = gpu.pipeline("types.metal", "positions");
    const unsigned w = 7, h = 5, d = 3;
    auto out = gpu.buffer(w * h * d * 4);
    auto run = [&](bool threads) {
        memset(out->contents(), 0, w * h * d * 4);
        return gpu.run([&](auto *e) {
            e->setComputePipelineState(p.get());
            e->setBuffer(out.get(), 0, 0);
            if (threads) e->dispatchThreads(MTL::Size(w, h, d), MTL::Size(4, 2, 2));
            else e->dispatchThreadgroups(MTL::Size(w, h, d), MTL::Size(1, 1, 1));
        });
    };
    CHECK(run(true).empty());
    for (unsigned z = 0; z < d; z++)
        for (unsigned y = 0; y < h; y++)
            for (unsigned x = 0; x < w; x++) // the last threadgroups are smaller
                CHECK_EQUAL(contents<uint32_t>(out)[(z * h + y) * w + x],
                            (x < 4 ? 4u : 3u) * (y < 4 ? 2u : 1u) * (z < 2 ? 2u : 1u));
    CHECK(run(false).empty());
    for (unsigned i = 0; i < w * h * d; i++) CHECK_EQUAL(contents<uint32_t>(out)[i], 1u);
}
