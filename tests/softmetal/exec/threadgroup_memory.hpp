// Threadgroup memory: one arena, filled anew for every threadgroup, with guard bytes around each piece.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace sm {
class ThreadgroupMemory {
  public:
    void begin_group();
    // The piece with this key in this threadgroup. Its contents are undefined to the kernel: NaN, here.
    void *get(size_t size, size_t alignment, const void *key, const char *name);
    // Empty, or the name of a piece whose guard bytes were overwritten.
    std::string overwritten() const;

  private:
    struct Piece {
        const void *key;
        char *base;
        size_t size;
        const char *name;
    };
    char *arena_ = nullptr;
    size_t used_ = 0;
    std::vector<Piece> pieces_;
};
} // namespace sm
