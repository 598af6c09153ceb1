#include "gpu.h"
#include "error.h"
#include "metal_source.h"
#include "stats.h"
#include <algorithm>
#include <pthread.h>
#include <unistd.h>

namespace sn::metal {
namespace {

// Buffers that no run uses are kept up to this size in all.
constexpr uint64_t most_kept_bytes = uint64_t(256) << 20;

std::atomic<bool> in_forked_child{false};

std::vector<Gpu *> find_gpus() {
    pthread_atfork(nullptr, nullptr, [] { in_forked_child = true; });
    const AutoreleaseScope scope;
    std::vector<Gpu *> found; // never deleted: threads may use them while the process exits
    auto add = [&](MTL::Device *device) {
        if (device) found.push_back(new Gpu(device));
    };
    const auto first = own(MTL::CreateSystemDefaultDevice());
    add(first.get());
    const auto all = own(MTL::CopyAllDevices());
    for (NS::UInteger i = 0; all && i < all->count(); ++i) {
        auto *device = all->object<MTL::Device>(i);
        if (!first || device->registryID() != first->registryID()) add(device);
    }
    return found;
}

uintptr_t page_size() {
    static const auto size = uintptr_t(sysconf(_SC_PAGESIZE));
    return size;
}

} // namespace

const std::vector<Gpu *> &gpus() {
    static const auto *all = new std::vector<Gpu *>(find_gpus());
    return *all;
}

bool forked() { return in_forked_child; }

Gpu::Gpu(MTL::Device *device) : device_(device->retain()) {
    const NS::String *name = device->name();
    name_ = name ? name->utf8String() : "Metal device";
    description_ = name_ + (device->hasUnifiedMemory() ? ", unified memory" : ", memory of its own");
}

std::string Gpu::last_failure() {
    std::lock_guard<std::mutex> lock(mutex_);
    return failure_;
}

MTL::CommandQueue *Gpu::queue() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!queue_) queue_ = own(device_->newCommandQueue());
    if (!queue_) fail(SN_DEVICE_ERROR, "device \"metal\" (%s) gave no command queue", name());
    return queue_.get();
}

MTL::Library *Gpu::library() {
    if (library_) return library_.get();
    const auto options = own(MTL::CompileOptions::alloc()->init());
    // Infinities and nan must be honoured. Newer systems call this math mode "safe", which older ones lack.
    options->setFastMathEnabled(false);
    NS::Error *error = nullptr;
    library_ =
        own(device_->newLibrary(NS::String::string(sn_metal_source, NS::UTF8StringEncoding), options.get(), &error));
    if (!library_) failure_ = words(error);
    else failure_.clear();
    return library_.get();
}

MTL::ComputePipelineState *Gpu::pipeline(const char *kernel) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto known = pipelines_.find(kernel);
    if (known != pipelines_.end()) return known->second.get();
    const AutoreleaseScope scope;
    MTL::Library *from = library();
    if (!from) fail(SN_UNSUPPORTED, "device \"metal\" (%s) cannot compile the kernels: %s", name(), failure_.c_str());
    const auto function = own(from->newFunction(NS::String::string(kernel, NS::UTF8StringEncoding)));
    if (!function)
        fail(SN_UNSUPPORTED, "device \"metal\" (%s) has no kernel %s: this system's Metal is too old for it", name(),
             kernel);
    NS::Error *error = nullptr;
    auto made = own(device_->newComputePipelineState(function.get(), &error));
    if (!made) fail(SN_UNSUPPORTED, "device \"metal\" (%s) cannot make kernel %s: %s", name(), kernel, words(error));
    ++stats.pipelines;
    return pipelines_.emplace(kernel, std::move(made)).first->second.get();
}

Buffer Gpu::wrap(const void *start, const void *end, int64_t &offset) {
    const uintptr_t page = page_size(), from = uintptr_t(start) / page * page;
    const uintptr_t to = (uintptr_t(end) + page - 1) / page * page;
    offset = int64_t(uintptr_t(start) - from);
    if (to - from > device_->maxBufferLength()) return Buffer();
    return own(
        device_->newBuffer(reinterpret_cast<const void *>(from), to - from, MTL::ResourceStorageModeShared, nullptr));
}

Buffer Gpu::allocate(int64_t bytes) {
    const auto needed = std::max<uint64_t>(uint64_t(bytes), 1);
    {
        std::lock_guard<std::mutex> lock(kept_mutex_);
        auto best = kept_.end();
        for (auto it = kept_.begin(); it != kept_.end(); ++it)
            if ((*it)->length() >= needed && (best == kept_.end() || (*it)->length() < (*best)->length())) best = it;
        if (best != kept_.end()) {
            Buffer buffer = std::move(*best);
            kept_.erase(best);
            return buffer;
        }
    }
    const uint64_t length = (needed + page_size() - 1) / page_size() * page_size();
    Buffer buffer;
    if (length <= device_->maxBufferLength()) buffer = own(device_->newBuffer(length, MTL::ResourceStorageModeShared));
    if (!buffer)
        fail(SN_OUT_OF_MEMORY, "device \"metal\" (%s) has no memory for a buffer of %llu bytes (it takes %llu at most)",
             name(), (unsigned long long)length, (unsigned long long)device_->maxBufferLength());
    ++stats.allocated_buffers;
    return buffer;
}

// The smallest kept ones go first: a large one does for them too.
void Gpu::give_back(Buffer buffer) {
    std::lock_guard<std::mutex> lock(kept_mutex_);
    uint64_t total = buffer->length();
    if (total > most_kept_bytes) return;
    for (const Buffer &kept : kept_) total += kept->length();
    kept_.push_back(std::move(buffer));
    std::sort(kept_.begin(), kept_.end(), [](const Buffer &a, const Buffer &b) { return a->length() > b->length(); });
    for (; total > most_kept_bytes; kept_.pop_back()) total -= kept_.back()->length();
}

} // namespace sn::metal
