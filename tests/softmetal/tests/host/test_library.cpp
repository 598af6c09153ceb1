#include "testing.hpp"

static const std::string kHeader = "#include <metal_stdlib>\nusing namespace metal;\n";

TEST(library_compile_error) {
    Gpu gpu;
    std::string why;
    CHECK(!gpu.library(kHeader + "kernel void k(device float* a [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n "
                                 "   a[i] = undeclared_name + 1.0;\n}\n",
                       nullptr, &why));
    CHECK_CONTAINS(why, "program_source:4:12: error: use of undeclared identifier 'undeclared_name'");
}

TEST(library_names) {
    Gpu gpu;
    auto lib = gpu.library(kernel_source("box_sum.metal"));
    CHECK_EQUAL(lib->functionNames()->count(), 3u);
    CHECK(NS::TransferPtr(lib->newFunction(MTLSTR("box_sum_half"))));
    CHECK(!NS::TransferPtr(lib->newFunction(MTLSTR("no_such_kernel"))));
    std::string why;
    auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
    CHECK(!gpu.pipeline(lib.get(), "no_such_kernel", values.get(), &why));
    CHECK_CONTAINS(why, "no_such_kernel was not found in the library");
}

TEST(library_language_version) {
    Gpu gpu;
    auto options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
    std::string why, source = kHeader + "kernel void k(device bfloat* a [[buffer(0)]], uint i "
                                        "[[thread_position_in_grid]]) { a[i] = a[i] * bfloat(2.0f); }\n";
    options->setLanguageVersion(MTL::LanguageVersion3_0);
    CHECK(!gpu.library(source, options.get(), &why));
    CHECK_CONTAINS(why, "bfloat");
    options->setLanguageVersion(MTL::LanguageVersion3_1);
    CHECK(gpu.library(source, options.get(), &why));
    std::string asks =
        kHeader +
        "static_assert(__METAL_VERSION__ == 230, \"\");\nkernel void k(device int* a [[buffer(0)]]) { a[0] = 1; }\n";
    options->setLanguageVersion(MTL::LanguageVersion2_3);
    CHECK(gpu.library(asks, options.get(), &why));
}

TEST(library_macros) {
    Gpu gpu;
    auto options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
    NS::Object *keys[] = {text("VALUE"), text("TYPE")};
    const NS::Object *values[] = {NS::Number::number(7), text("float")};
    options->setPreprocessorMacros(NS::Dictionary::dictionary(values, keys, 2));
    auto lib = gpu.library(kHeader + "kernel void k(device TYPE* a [[buffer(0)]]) { a[0] = VALUE; }\n", options.get());
    auto p = gpu.pipeline(lib.get(), "k");
    auto b = gpu.buffer(4);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(b.get(), 0, 0);
                 e->dispatchThreads(MTL::Size(1, 1, 1), MTL::Size(1, 1, 1));
             })
              .empty());
    CHECK_EQUAL(*contents<float>(b), 7.0f);
}

static unsigned nans_seen(const std::function<void(MTL::CompileOptions *)> &set) {
    Gpu gpu;
    auto options = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
    set(options.get());
    auto lib = gpu.library(kernel_source("types.metal"), options.get());
    auto p = gpu.pipeline(lib.get(), "count_nans");
    std::vector<float> v = {1, NAN, 2, NAN};
    auto in = gpu.buffer(v), out = gpu.buffer(16);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(in.get(), 0, 0);
                 e->setBuffer(out.get(), 0, 1);
                 e->dispatchThreads(MTL::Size(4, 1, 1), MTL::Size(4, 1, 1));
             })
              .empty());
    unsigned n = 0;
    for (int i = 0; i < 4; i++) n += contents<unsigned>(out)[i];
    return n;
}
TEST(library_math_mode) {
    CHECK_EQUAL(nans_seen([](MTL::CompileOptions *o) { o->setMathMode(MTL::MathModeSafe); }), 2u);
    CHECK_EQUAL(nans_seen([](MTL::CompileOptions *o) { o->setMathMode(MTL::MathModeRelaxed); }), 2u);
    CHECK_EQUAL(nans_seen([](MTL::CompileOptions *o) { o->setFastMathEnabled(false); }), 2u);
    CHECK_EQUAL(nans_seen([](MTL::CompileOptions *) {}), 0u); // fast is the default, and assumes that there are none
}

TEST(function_constants) {
    Gpu gpu;
    auto lib = gpu.library(kernel_source("types.metal"));
    std::string why;
    CHECK(!gpu.pipeline(lib.get(), "optional_buffer", nullptr, &why));
    CHECK_CONTAINS(why, "function constant '");

    auto values = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
    bool has_bias = false;
    float scale = 0.5f;
    _Float16 shift = 3;
    int power = 2;
    values->setConstantValue(&has_bias, MTL::DataTypeBool, NS::UInteger(0));
    values->setConstantValue(&scale, MTL::DataTypeFloat, text("SCALE"));
    values->setConstantValue(&shift, MTL::DataTypeHalf, NS::UInteger(2));
    CHECK(!gpu.pipeline(lib.get(), "optional_buffer", values.get(), &why));
    CHECK_CONTAINS(why,
                   "function constant 'POWER' (index 3) is used by kernel 'optional_buffer' but was given no value");
    values->setConstantValue(&scale, MTL::DataTypeFloat, NS::UInteger(3));
    CHECK(!gpu.pipeline(lib.get(), "optional_buffer", values.get(), &why));
    CHECK_CONTAINS(why, "function constant 'POWER' (index 3) is declared as int but was given a value of type float");
    values->setConstantValue(&power, MTL::DataTypeInt, NS::UInteger(3));

    auto run = [&](MTL::ComputePipelineState *p, MTL::Buffer *out, MTL::Buffer *bias) {
        return gpu.run([&](auto *e) {
            e->setComputePipelineState(p);
            e->setBuffer(out, 0, 0);
            if (bias) e->setBuffer(bias, 0, 1);
            e->dispatchThreads(MTL::Size(4, 1, 1), MTL::Size(4, 1, 1));
        });
    };
    auto out = gpu.buffer(16), bias = gpu.buffer(std::vector<float>{10, 20, 30, 40});
    auto without = gpu.pipeline(lib.get(), "optional_buffer", values.get());
    CHECK(run(without.get(), out.get(), nullptr).empty()); // the buffer is switched off
    CHECK_EQUAL(contents<float>(out)[3], (3 * 0.5f + 3) * 2);
    has_bias = true;
    values->setConstantValue(&has_bias, MTL::DataTypeBool, NS::UInteger(0));
    auto with = gpu.pipeline(lib.get(), "optional_buffer", values.get());
    CHECK_CONTAINS(run(with.get(), out.get(), nullptr), "buffer at index 1 for 'bias' is missing");
    CHECK(run(with.get(), out.get(), bias.get()).empty());
    CHECK_EQUAL(contents<float>(out)[3], (3 * 0.5f + 3) * 2 + 40);
    // A kernel that uses no constant needs no value, even in a library that has some.
    auto none = NS::TransferPtr(MTL::FunctionConstantValues::alloc()->init());
    CHECK(gpu.pipeline(lib.get(), "add_one", none.get()));
}

TEST(pipeline_properties) {
    Gpu gpu;
    auto transpose = gpu.pipeline("transpose.metal", "transpose");
    CHECK_EQUAL(transpose->threadExecutionWidth(), 32u);
    CHECK_EQUAL(transpose->maxTotalThreadsPerThreadgroup(), 256u); // by its attribute
    CHECK_EQUAL(transpose->staticThreadgroupMemoryLength(), 16u * 17u * 4u);
    auto add = gpu.pipeline("types.metal", "add_one");
    CHECK_EQUAL(add->maxTotalThreadsPerThreadgroup(), 1024u);
    CHECK_EQUAL(add->staticThreadgroupMemoryLength(), 0u);

    std::string why;
    auto lib = gpu.library(kHeader +
                           "kernel void k(device float* a [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {\n"
                           "    threadgroup float t[8193];\n    t[i] = 1;\n    a[i] = t[i];\n}\n");
    CHECK(!gpu.pipeline(lib.get(), "k", nullptr, &why));
    CHECK_CONTAINS(why, "Threadgroup memory size (32772) exceeds the maximum threadgroup memory allowed (32768)");

    auto descriptor = NS::TransferPtr(MTL::ComputePipelineDescriptor::alloc()->init());
    auto plain = gpu.library(kHeader + "kernel void k(device float* a [[buffer(0)]]) { a[0] = 1; }\n");
    auto k = NS::TransferPtr(plain->newFunction(MTLSTR("k")));
    descriptor->setComputeFunction(k.get());
    descriptor->setMaxTotalThreadsPerThreadgroup(64);
    descriptor->setLabel(MTLSTR("labelled"));
    NS::Error *error = nullptr;
    auto p = NS::TransferPtr(
        gpu.device->newComputePipelineState(descriptor.get(), MTL::PipelineOptionNone, nullptr, &error));
    CHECK(p && p->maxTotalThreadsPerThreadgroup() == 64);
    CHECK_CONTAINS(p->label()->utf8String(), "labelled");
}

TEST(language_types) {
    Gpu gpu;
    auto p = gpu.pipeline("types.metal", "types");
    struct {
        float mix[4];
        float offset[3];
        uint32_t count;
    } params = {{1, 2, 3, 4}, {5, 6, 7}, 8};
    auto b = gpu.buffer(19 * 4);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(b.get(), 0, 0);
                 e->setBytes(&params, sizeof params, 1);
                 e->dispatchThreads(MTL::Size(1, 1, 1), MTL::Size(1, 1, 1));
             })
              .empty());
    const float want[19] = {4,
                            9,
                            14,
                            10,
                            3.14159274f,
                            0.125f,
                            2.5f,
                            15,
                            48,
                            0.5f,
                            10,
                            2.5f,
                            5,
                            8 + 31 + 3,
                            1024 + 8 + 3,
                            2,
                            3,
                            2048,
                            1.5f + 0.75f + 1 - 1};
    for (int i = 0; i < 19; i++)
        if (contents<float>(b)[i] != want[i])
            failed(__FILE__, __LINE__, "types[" + std::to_string(i) + "] is " + std::to_string(contents<float>(b)[i]));
}

TEST(language_simd_functions) {
    Gpu gpu;
    auto p = gpu.pipeline("simd.metal", "simd_functions");
    const unsigned n = 64;
    auto b = gpu.buffer(17 * n * 4);
    CHECK(gpu.run([&](auto *e) {
                 e->setComputePipelineState(p.get());
                 e->setBuffer(b.get(), 0, 0);
                 e->dispatchThreads(MTL::Size(n, 1, 1), MTL::Size(n, 1, 1));
             })
              .empty());
    for (unsigned i = 0; i < n; i++) {
        unsigned lane = i % 32, first = i - lane, v = i + 1, sum = 0, upto = 0, ands = ~0u, ors = 0, xors = 0, quad = 0;
        for (unsigned k = 0; k < 32; k++) {
            unsigned w = first + k + 1;
            sum += w;
            ands &= w | 8;
            ors |= w;
            xors ^= w;
            if (k <= lane) upto += w;
            if (k / 4 == lane / 4) quad += w;
        }
        const unsigned want[17] = {sum,
                                   first + 1,
                                   first + 32,
                                   upto,
                                   upto - v,
                                   first + 32 - lane,
                                   first + (lane ^ 1) + 1,
                                   first + 8,
                                   first + 1,
                                   first + (lane + 3) % 32 + 1,
                                   v,
                                   ands,
                                   ors,
                                   xors,
                                   quad,
                                   1,
                                   15};
        for (int r = 0; r < 17; r++)
            if (contents<unsigned>(b)[r * n + i] != want[r])
                failed(__FILE__, __LINE__,
                       "row " + std::to_string(r) + ", thread " + std::to_string(i) + " is " +
                           std::to_string(contents<unsigned>(b)[r * n + i]) + ", not " + std::to_string(want[r]));
    }
}
