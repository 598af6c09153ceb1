#include "testing.hpp"
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

struct AddOne {
    Gpu gpu;
    Ptr<MTL::ComputePipelineState> pipeline = gpu.pipeline("types.metal", "add_one");
    static constexpr unsigned n = 256;
    void encode(MTL::ComputeCommandEncoder *e, MTL::Buffer *b) {
        e->setComputePipelineState(pipeline.get());
        e->setBuffer(b, 0, 0);
        e->dispatchThreads(MTL::Size(n, 1, 1), MTL::Size(64, 1, 1));
    }
    MTL::CommandBuffer *command(MTL::CommandQueue *q, MTL::Buffer *b) {
        auto *c = q->commandBuffer();
        auto *e = c->computeCommandEncoder();
        encode(e, b);
        e->endEncoding();
        return c;
    }
};

TEST(command_runs_without_wait) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    auto *c = add.command(add.gpu.queue.get(), b.get());
    CHECK(c->status() == MTL::CommandBufferStatusNotEnqueued);
    c->commit();
    for (int i = 0; i < 10000 && c->status() != MTL::CommandBufferStatusCompleted; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(c->status() == MTL::CommandBufferStatusCompleted);
    CHECK_EQUAL(contents<float>(b)[add.n - 1], 1.0f);
    CHECK(c->GPUEndTime() >= c->GPUStartTime());
}

TEST(command_handlers) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    std::atomic<int> called{0};
    float seen = 0;
    auto *c = add.command(add.gpu.queue.get(), b.get());
    c->addCompletedHandler([&](MTL::CommandBuffer *done) {
        if (done->status() == MTL::CommandBufferStatusCompleted && !done->error()) seen = contents<float>(b)[0];
        called++;
    });
    c->addCompletedHandler([&](MTL::CommandBuffer *) { called++; });
    c->commit();
    c->waitUntilCompleted(); // returns after the handlers
    CHECK_EQUAL(called.load(), 2);
    CHECK_EQUAL(seen, 1.0f);
}

TEST(command_many_encoders) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    long buffers = softmetal_count("command_buffers"), dispatches = softmetal_count("dispatches"),
         waits = softmetal_count("waits"), encoders = softmetal_count("encoders");
    auto *c = add.gpu.queue->commandBuffer();
    for (int k = 0; k < 3; k++) {
        auto *e = c->computeCommandEncoder();
        for (int j = 0; j < 4; j++) add.encode(e, b.get());
        e->endEncoding();
    }
    CHECK(finish(c).empty());
    for (unsigned i = 0; i < add.n; i++) CHECK_EQUAL(contents<float>(b)[i], 12.0f);
    CHECK_EQUAL(softmetal_count("command_buffers") - buffers, 1);
    CHECK_EQUAL(softmetal_count("encoders") - encoders, 3);
    CHECK_EQUAL(softmetal_count("dispatches") - dispatches, 12);
    CHECK_EQUAL(softmetal_count("waits") - waits, 1);
    CHECK_EQUAL(softmetal_count("no such event"), -1);
}

TEST(command_order) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    std::vector<Ptr<MTL::CommandBuffer>> all;
    for (int i = 0; i < 20; i++) {
        all.push_back(NS::RetainPtr(add.command(add.gpu.queue.get(), b.get())));
        all.back()->commit();
    }
    all.back()->waitUntilCompleted(); // the others were committed before
    for (auto &c : all) CHECK(c->status() == MTL::CommandBufferStatusCompleted);
    CHECK_EQUAL(contents<float>(b)[5], 20.0f);
}

TEST(command_many_threads) {
    AddOne add;
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 8; t++)
        threads.emplace_back([&] {
            Pool outer;
            auto queue = NS::TransferPtr(add.gpu.device->newCommandQueue());
            auto b = add.gpu.buffer(add.n * 4);
            for (int i = 0; i < 50; i++) {
                Pool pool;
                if (!finish(add.command(queue.get(), b.get())).empty()) wrong++;
            }
            for (unsigned i = 0; i < add.n; i++) wrong += contents<float>(b)[i] != 50;
        });
    for (auto &t : threads) t.join();
    CHECK_EQUAL(wrong.load(), 0);
}

TEST(command_after_fork) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    CHECK(finish(add.command(add.gpu.queue.get(), b.get())).empty()); // the worker thread exists
    pid_t child = fork();
    if (!child) {
        alarm(20);
        bool right = finish(add.command(add.gpu.queue.get(), b.get())).empty() && contents<float>(b)[0] == 2;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(contents<float>(b)[0], 1.0f);
}

TEST(command_not_waited_for_at_exit) {
    AddOne add;
    pid_t child = fork();
    if (!child) {
        alarm(20);
        auto b = add.gpu.buffer(add.n * 4);
        for (int i = 0; i < 200; i++) add.command(add.gpu.queue.get(), b.get())->commit();
        exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
}

TEST(command_blit) {
    Gpu gpu;
    std::vector<uint8_t> v(100);
    for (int i = 0; i < 100; i++) v[i] = uint8_t(i);
    auto a = gpu.buffer(v), b = gpu.buffer(100, nullptr, MTL::ResourceStorageModePrivate), c = gpu.buffer(100);
    auto *command = gpu.queue->commandBuffer();
    auto *e = command->blitCommandEncoder();
    e->fillBuffer(b.get(), NS::Range(0, 100), 7);
    e->copyFromBuffer(a.get(), 10, b.get(), 20, 30);
    e->copyFromBuffer(b.get(), 0, c.get(), 0, 100);
    e->endEncoding();
    CHECK(finish(command).empty());
    for (int i = 0; i < 100; i++) CHECK_EQUAL(int(contents<uint8_t>(c)[i]), i >= 20 && i < 50 ? i - 10 : 7);
}

TEST(command_buffer_offset) {
    AddOne add;
    auto b = add.gpu.buffer(2 * add.n * 4);
    CHECK(add.gpu
              .run([&](auto *e) {
                  add.encode(e, b.get());
                  e->setBufferOffset(add.n * 4, 0);
                  for (int i = 0; i < 2; i++) e->dispatchThreads(MTL::Size(add.n, 1, 1), MTL::Size(32, 1, 1));
              })
              .empty());
    CHECK_EQUAL(contents<float>(b)[0], 1.0f);
    CHECK_EQUAL(contents<float>(b)[2 * add.n - 1], 2.0f);
}

// Two dispatches of a concurrent encoder that share memory need a barrier between them; the driver runs
// this in checked mode.
TEST(checked_concurrent_dispatches) {
    AddOne add;
    auto b = add.gpu.buffer(add.n * 4);
    auto run = [&](MTL::DispatchType type, bool barrier) {
        auto *c = add.gpu.queue->commandBuffer();
        auto *e = c->computeCommandEncoder(type);
        add.encode(e, b.get());
        if (barrier) e->memoryBarrier(MTL::BarrierScopeBuffers);
        add.encode(e, b.get());
        e->endEncoding();
        return finish(c);
    };
    CHECK(run(MTL::DispatchTypeSerial, false).empty());
    CHECK(run(MTL::DispatchTypeConcurrent, true).empty());
    CHECK_CONTAINS(run(MTL::DispatchTypeConcurrent, false), "concurrent dispatch");
}
