// Broken rules, lifetimes and planted faults: each must come back as an error, with the process alive.
#include "testing.hpp"
#include <cstring>

struct Scene {
    Gpu gpu;
    Ptr<MTL::ComputePipelineState> transpose = gpu.pipeline("transpose.metal", "transpose"),
                                   add = gpu.pipeline("types.metal", "add_one");
    Ptr<MTL::Buffer> buffer = gpu.buffer(1024);
    void bind(MTL::ComputeCommandEncoder *e) {
        e->setComputePipelineState(add.get());
        e->setBuffer(buffer.get(), 0, 0);
    }
    void dispatch(MTL::ComputeCommandEncoder *e) { e->dispatchThreads(MTL::Size(256, 1, 1), MTL::Size(64, 1, 1)); }
};

TEST(rules_of_encoding) {
    Scene s;
    char block[8192] = {};
    struct Rule {
        const char *words;
        std::function<void(MTL::ComputeCommandEncoder *)> encode;
    };
    const Rule rules[] = {
        {"dispatch with no compute pipeline state set", [&](auto *e) { s.dispatch(e); }},
        {"buffer at index 0 for 'data' is missing",
         [&](auto *e) {
             e->setComputePipelineState(s.add.get());
             s.dispatch(e);
         }},
        {"setComputePipelineState: the state must not be nil", [&](auto *e) { e->setComputePipelineState(nullptr); }},
        {"setBuffer: index 31 must be at most 30", [&](auto *e) { e->setBuffer(s.buffer.get(), 0, 31); }},
        {"setBuffer: offset 1024 must be less than the buffer's length 1024",
         [&](auto *e) { e->setBuffer(s.buffer.get(), 1024, 0); }},
        {"setBufferOffset: no buffer at index 3", [&](auto *e) { e->setBufferOffset(4, 3); }},
        {"setBytes: length 8192 must be in 1 .. 4096", [&](auto *e) { e->setBytes(block, 8192, 0); }},
        {"setBytes: length 0 must be in 1 .. 4096", [&](auto *e) { e->setBytes(block, 0, 0); }},
        {"buffer at index 0 for 'data' is written, but was set with setBytes",
         [&](auto *e) {
             s.bind(e);
             e->setBytes(block, 1024, 0);
             s.dispatch(e);
         }},
        {"setThreadgroupMemoryLength: length 20 must be a multiple of 16",
         [&](auto *e) { e->setThreadgroupMemoryLength(20, 0); }},
        {"= 1056 must be in 1 .. 1024 (maxTotalThreadsPerThreadgroup)",
         [&](auto *e) {
             s.bind(e);
             e->dispatchThreads(MTL::Size(2000, 1, 1), MTL::Size(33, 32, 1));
         }},
        {"= 289 must be in 1 .. 256 (maxTotalThreadsPerThreadgroup)",
         [&](auto *e) {
             s.bind(e);
             e->setComputePipelineState(s.transpose.get());
             e->dispatchThreads(MTL::Size(64, 64, 1), MTL::Size(17, 17, 1));
         }},
        {"= 0 must be in 1 .. 1024",
         [&](auto *e) {
             s.bind(e);
             e->dispatchThreads(MTL::Size(8, 1, 1), MTL::Size(0, 1, 1));
         }},
        {"grid 0 x 1 x 1 must not be empty",
         [&](auto *e) {
             s.bind(e);
             e->dispatchThreads(MTL::Size(0, 1, 1), MTL::Size(8, 1, 1));
         }},
        {"has 4 bytes, but the argument needs at least 8",
         [&](auto *e) {
             s.bind(e);
             e->setComputePipelineState(s.transpose.get());
             e->setBuffer(s.buffer.get(), 0, 1);
             e->setBytes(block, 4, 2);
             e->dispatchThreads(MTL::Size(8, 8, 1), MTL::Size(8, 8, 1));
         }},
        {"setBuffer after endEncoding",
         [&](auto *e) {
             e->endEncoding();
             e->setBuffer(s.buffer.get(), 0, 0);
         }},
    };
    for (const Rule &r : rules) {
        memset(s.buffer->contents(), 0, 1024);
        CHECK_CONTAINS(s.gpu.run(r.encode), std::string("Metal validation: "));
        CHECK_CONTAINS(s.gpu.run(r.encode), r.words);
        CHECK_EQUAL(*contents<float>(s.buffer), 0.0f);
    }
    CHECK(s.gpu
              .run([&](auto *e) {
                  s.bind(e);
                  s.dispatch(e);
              })
              .empty()); // still works
}

TEST(rules_of_threadgroup_memory) {
    Gpu gpu;
    auto lib = gpu.library("#include <metal_stdlib>\nusing namespace metal;\n"
                           "kernel void k(device float* a [[buffer(0)]], threadgroup float* t [[threadgroup(0)]], uint "
                           "i [[thread_position_in_threadgroup]]) {\n"
                           "    threadgroup float own[4096];\n    own[i] = 1; t[i] = own[i]; a[i] = t[i];\n}\n");
    auto p = gpu.pipeline(lib.get(), "k");
    auto b = gpu.buffer(1024);
    auto run = [&](size_t length) {
        return gpu.run([&](auto *e) {
            e->setComputePipelineState(p.get());
            e->setBuffer(b.get(), 0, 0);
            if (length) e->setThreadgroupMemoryLength(length, 0);
            e->dispatchThreads(MTL::Size(32, 1, 1), MTL::Size(32, 1, 1));
        });
    };
    CHECK_CONTAINS(run(0), "threadgroup memory length at index 0 for 't' is missing");
    CHECK(run(16384).empty());
    CHECK_CONTAINS(run(16400), "threadgroup memory, static 16384 and dynamic 16400 bytes, exceeds 32768");
}

TEST(rules_of_command_buffers) {
    Scene s;
    auto *twice = s.gpu.queue->commandBuffer();
    twice->commit();
    twice->waitUntilCompleted();
    twice->commit();
    CHECK(twice->status() == MTL::CommandBufferStatusCompleted);

    auto *open = s.gpu.queue->commandBuffer();
    open->computeCommandEncoder();
    CHECK_CONTAINS(finish(open), "command buffer committed before endEncoding");

    auto *two = s.gpu.queue->commandBuffer();
    auto *first = two->computeCommandEncoder();
    two->computeCommandEncoder()->endEncoding();
    first->endEncoding();
    CHECK_CONTAINS(finish(two), "a command encoder is already encoding to this command buffer");

    auto *early = s.gpu.queue->commandBuffer();
    early->waitUntilCompleted();
    CHECK(early->status() == MTL::CommandBufferStatusError);
    CHECK_CONTAINS(early->error()->localizedDescription()->utf8String(), "waitUntilCompleted before commit");

    auto *blit = s.gpu.queue->commandBuffer();
    auto *e = blit->blitCommandEncoder();
    e->copyFromBuffer(s.buffer.get(), 1000, s.buffer.get(), 0, 100);
    e->endEncoding();
    CHECK_CONTAINS(finish(blit), "copyFromBuffer: offset 1000 and size 100 exceed the buffer's length 1024");
}

TEST(lifetime_released_in_use) {
    Scene s;
    auto run = [&](bool retained) {
        auto b = s.gpu.buffer(1024);
        b->setLabel(MTLSTR("weights"));
        auto *c = retained ? s.gpu.queue->commandBuffer() : s.gpu.queue->commandBufferWithUnretainedReferences();
        auto *e = c->computeCommandEncoder();
        s.bind(e);
        e->setBuffer(b.get(), 0, 0);
        s.dispatch(e);
        e->endEncoding();
        {
            auto last = std::move(b); // released before the commands have run
            Pool pool;
        }
        return c;
    };
    // The encoder keeps its bindings until the pool drains it, so use one.
    std::string unretained;
    Ptr<MTL::CommandBuffer> c;
    {
        Pool pool;
        c = NS::RetainPtr(run(false));
    }
    CHECK_CONTAINS(finish(c.get()), "buffer 'data' (index 0) \"weights\" of kernel 'add_one' was released while in use "
                                    "by an uncompleted command buffer");
    {
        Pool pool;
        c = NS::RetainPtr(run(true));
    }
    CHECK(finish(c.get()).empty());
}

TEST(lifetime_thousand_runs) {
    Scene s;
    auto once = [&] {
        std::string error = s.gpu.run([&](auto *e) {
            s.bind(e);
            s.dispatch(e);
        });
        if (!error.empty()) failed(__FILE__, __LINE__, error);
    };
    once();
    long all = softmetal_live_objects(nullptr), buffers = softmetal_live_objects("SoftMetalBuffer"),
         leaked = softmetal_count("leaked_autoreleases");
    CHECK(buffers >= 1);
    for (int i = 0; i < 1000; i++) once();
    CHECK_EQUAL(softmetal_live_objects(nullptr), all);
    CHECK_EQUAL(softmetal_live_objects("SoftMetalCommandBuffer"), 0);
    CHECK_EQUAL(softmetal_live_objects("SoftMetalComputeCommandEncoder"), 0);
    CHECK_EQUAL(softmetal_count("leaked_autoreleases"), leaked);
    auto kept = s.gpu.buffer(16);
    CHECK_EQUAL(softmetal_live_objects("SoftMetalBuffer"), buffers + 1);
}

TEST(faults_planted) {
    Scene s;
    std::string why;
    softmetal_set_fault("compile", 0, "no licence");
    CHECK(!s.gpu.library(kernel_source("types.metal"), nullptr, &why));
    CHECK_CONTAINS(why, "no licence");
    softmetal_clear_faults();

    auto lib = s.gpu.library(kernel_source("transpose.metal"));
    softmetal_set_fault("pipeline", 0, nullptr);
    CHECK(!s.gpu.pipeline(lib.get(), "transpose", nullptr, &why));
    CHECK_CONTAINS(why, "planted fault: the pipeline state cannot be made");
    softmetal_clear_faults();

    softmetal_set_fault("buffer", 2, nullptr);
    CHECK(s.gpu.buffer(16) && s.gpu.buffer(16) && !s.gpu.buffer(16) && !s.gpu.buffer(16));
    softmetal_clear_faults();
    CHECK(s.gpu.buffer(16));

    void *p = nullptr;
    CHECK(!posix_memalign(&p, 65536, 65536));
    softmetal_set_fault("no_copy", 0, nullptr);
    CHECK(!NS::TransferPtr(s.gpu.device->newBuffer(p, 65536, MTL::ResourceStorageModeShared, nullptr)));
    softmetal_clear_faults();
    CHECK(NS::TransferPtr(s.gpu.device->newBuffer(p, 65536, MTL::ResourceStorageModeShared, nullptr)));
    free(p);

    softmetal_set_fault("command_queue", 0, nullptr);
    CHECK(!NS::TransferPtr(s.gpu.device->newCommandQueue()));
    softmetal_clear_faults();

    memset(s.buffer->contents(), 0, 1024);
    softmetal_set_fault("command_buffer", 1, "the GPU hung");
    auto run = [&] {
        return s.gpu.run([&](auto *e) {
            s.bind(e);
            s.dispatch(e);
        });
    };
    CHECK(run().empty());
    CHECK_CONTAINS(run(), "the GPU hung");
    CHECK_EQUAL(*contents<float>(s.buffer), 1.0f);
    softmetal_clear_faults();
    CHECK(run().empty());
    CHECK_EQUAL(softmetal_set_fault("no such fault", 0, nullptr), -1);
}
