#include "testing.hpp"
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

TEST(device_properties) {
    Gpu gpu;
    MTL::Device *d = gpu.device.get();
    CHECK_CONTAINS(d->name()->utf8String(), "Emulated Metal");
    CHECK(d->hasUnifiedMemory());
    CHECK_EQUAL(d->maxThreadgroupMemoryLength(), 32768u);
    CHECK_EQUAL(d->maxThreadsPerThreadgroup().width, 1024u); // a struct return
    CHECK_EQUAL(d->maxThreadsPerThreadgroup().depth, 1024u);
    CHECK(d->maxBufferLength() >= 1u << 30);
    CHECK(d->recommendedMaxWorkingSetSize() > 0);
    CHECK(d->registryID() != 0);
    CHECK(d->supportsFamily(MTL::GPUFamilyApple7));
    CHECK(d->supportsFamily(MTL::GPUFamilyMetal3));
    CHECK(!d->supportsFamily(MTL::GPUFamilyApple9));
    CHECK_CONTAINS(d->architecture()->name()->utf8String(), "emulated");
    CHECK_CONTAINS(NS::ProcessInfo::processInfo()->operatingSystemVersionString()->utf8String(), "not macOS");
    CHECK_EQUAL(d->supportsBCTextureCompression(), false); // an optional selector that is not there
    CHECK(NS::LocalizedDescriptionKey &&
          NS::LocalizedDescriptionKey->isEqualToString(MTLSTR("NSLocalizedDescription")));
}

TEST(device_list) {
    auto devices = NS::TransferPtr(MTL::CopyAllDevices());
    CHECK_EQUAL(devices->count(), 1u);
    CHECK(devices->object<MTL::Device>(0)->registryID() == Gpu().device->registryID());
}

TEST(device_absent) {
    softmetal_set_fault("no_device", 0, nullptr);
    CHECK(MTL::CreateSystemDefaultDevice() == nullptr);
    CHECK_EQUAL(NS::TransferPtr(MTL::CopyAllDevices())->count(), 0u);
    softmetal_clear_faults();
    CHECK(NS::TransferPtr(MTL::CreateSystemDefaultDevice()));
}

TEST(buffer_contents) {
    Gpu gpu;
    std::vector<float> v = {1, 2, 3};
    auto copied = gpu.buffer(v), zeros = gpu.buffer(1000),
         hidden = gpu.buffer(64, nullptr, MTL::ResourceStorageModePrivate);
    CHECK_EQUAL(copied->length(), 12u);
    CHECK(!memcmp(copied->contents(), v.data(), 12));
    for (int i = 0; i < 1000; i++) CHECK_EQUAL(contents<char>(zeros)[i], 0);
    CHECK(hidden->contents() == nullptr);
    CHECK(hidden->storageMode() == MTL::StorageModePrivate);
    CHECK(!gpu.buffer(0));
    CHECK(!gpu.buffer(gpu.device->maxBufferLength() + 1));
    size_t before = gpu.device->currentAllocatedSize();
    {
        auto b = gpu.buffer(4096);
        CHECK_EQUAL(gpu.device->currentAllocatedSize(), before + 4096);
    }
    CHECK_EQUAL(gpu.device->currentAllocatedSize(), before);
}

TEST(buffer_no_copy) {
    Gpu gpu;
    size_t page = getpagesize();
    char *memory =
        static_cast<char *>(mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    auto wrap = [&](void *p, size_t n) {
        return NS::TransferPtr(gpu.device->newBuffer(p, n, MTL::ResourceStorageModeShared, nullptr));
    };
    auto b = wrap(memory, 2 * page);
    CHECK(b && b->contents() == memory && b->length() == 2 * page);
    CHECK(!wrap(memory + 16, page)); // pointer not on a page
    CHECK(!wrap(memory, page + 16)); // length not whole pages
    CHECK(!wrap(nullptr, page));
    CHECK(!wrap(memory, 0));
    munmap(memory + 3 * page, page);
    CHECK(!wrap(memory, 4 * page)); // not all of it is mapped
    CHECK(wrap(memory, 3 * page));
    munmap(memory, 3 * page);
}

TEST(buffer_no_copy_deallocator) {
    Gpu gpu;
    void *p = nullptr;
    CHECK(!posix_memalign(&p, getpagesize(), getpagesize()));
    __block int called = 0;
    __block size_t length = 0;
    {
        auto b = NS::TransferPtr(
            gpu.device->newBuffer(p, getpagesize(), MTL::ResourceStorageModeShared, ^(void *q, NS::UInteger n) {
              called++;
              length = n;
              free(q);
            }));
        CHECK_EQUAL(called, 0);
    }
    CHECK_EQUAL(called, 1);
    CHECK_EQUAL(length, size_t(getpagesize()));
}

TEST(buffer_no_copy_runs_in_place) {
    Gpu gpu;
    auto p = gpu.pipeline("types.metal", "add_one");
    void *memory = nullptr;
    CHECK(!posix_memalign(&memory, getpagesize(), getpagesize()));
    float *x = static_cast<float *>(memory);
    for (int i = 0; i < 100; i++) x[i] = float(i);
    {
        auto b = NS::TransferPtr(gpu.device->newBuffer(memory, getpagesize(), MTL::ResourceStorageModeShared, nullptr));
        CHECK(gpu.run([&](MTL::ComputeCommandEncoder *e) {
                     e->setComputePipelineState(p.get());
                     e->setBuffer(b.get(), 10 * sizeof(float), 0); // with an offset
                     e->dispatchThreads(MTL::Size(50, 1, 1), MTL::Size(32, 1, 1));
                 })
                  .empty());
    }
    for (int i = 0; i < 100; i++) CHECK_EQUAL(x[i], float(i) + (i >= 10 && i < 60));
    free(memory);
}
