// A run's working memory: kept by the calling thread from run to run, so that small calls allocate nothing.
#pragma once
#include <cstdint>

namespace sn {
namespace cpu {

class Scratch {
  public:
    explicit Scratch(int64_t bytes); // throws std::bad_alloc
    ~Scratch();
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    void *data() const { return memory; } // aligned to a page

  private:
    void *memory;
    bool own; // not the thread's kept memory
};

} // namespace cpu
} // namespace sn
