// A run's working memory: kept by the calling thread from run to run, so that small calls allocate nothing.
#pragma once
#include <cstdint>

namespace sn {
namespace cpu {

struct Kept; // by a thread

class Scratch {
  public:
    explicit Scratch(int64_t bytes); // throws std::bad_alloc
    ~Scratch();
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    void *data() const { return memory; } // aligned to a page
    // The one who marked this memory, if nobody else has had it since; 0 if nobody.
    uint64_t mark() const { return marked; }
    void leave_mark(uint64_t who); // for the next who gets it

  private:
    void *memory;
    Kept *const kept; // nullptr: memory of its own
    uint64_t marked;
};

} // namespace cpu
} // namespace sn
