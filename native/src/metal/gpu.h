// One Metal device: its command queue, its compiled kernels, its buffers. Usable from many threads at once.
#pragma once
#include "metal_cpp.h"
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace sn::metal {

using Buffer = Owned<MTL::Buffer>;

class Gpu {
  public:
    explicit Gpu(MTL::Device *device);

    const char *name() const { return name_.c_str(); }
    const char *description() const { return description_.c_str(); }
    std::string last_failure(); // why kernels could not be compiled the last time, or empty

    // The kernel of that name in metal/, compiled when first asked for. Throws sn::Error.
    MTL::ComputePipelineState *pipeline(const char *kernel);

    MTL::CommandQueue *queue(); // throws sn::Error

    // The memory that encloses `bytes` from `start` on, in whole pages; empty if the system refuses. The
    // buffer must not outlive the run: another run may find other memory at the same address.
    Buffer wrap(const void *start, const void *end, int64_t &offset);

    // Metal's own memory, kept for later runs. Throws sn::Error.
    Buffer allocate(int64_t bytes);
    void give_back(Buffer buffer);

  private:
    MTL::Library *library(); // with mutex_ held

    Owned<MTL::Device> device_;
    std::string name_, description_;
    std::mutex mutex_; // guards what follows
    Owned<MTL::CommandQueue> queue_;
    Owned<MTL::Library> library_;
    std::map<std::string, Owned<MTL::ComputePipelineState>> pipelines_;
    std::string failure_;
    std::mutex kept_mutex_;
    std::vector<Buffer> kept_;
};

// A buffer of Gpu::allocate for the time of one run.
class Loan {
  public:
    Loan() = default;
    Loan(Gpu &gpu, int64_t bytes) : gpu_(&gpu), buffer_(gpu.allocate(bytes)) {}
    Loan(Loan &&) = default;
    Loan &operator=(Loan &&) = default;
    ~Loan() {
        if (buffer_) gpu_->give_back(std::move(buffer_));
    }
    MTL::Buffer *get() const { return buffer_.get(); }
    void *contents() const { return buffer_->contents(); }

  private:
    Gpu *gpu_ = nullptr;
    Buffer buffer_;
};

// The devices of this machine, the system's default first; found when first asked for, and the same ever after.
const std::vector<Gpu *> &gpus();

// Metal does not survive fork(): in a child of a process that has used it, nothing here may be called.
bool forked();
constexpr const char *forked_reason = "not usable in a child made by fork() from a process that has used Metal: "
                                      "start it by spawn, or use device=\"cpu\"";

} // namespace sn::metal
