#include "threadgroup_memory.hpp"
#include "check.hpp"
#include "executor.hpp"
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sm {
namespace {
constexpr size_t kArena = 1 << 20; // far more than the 32 KiB that a kernel may use, for the guards
constexpr size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xA5, kUndefinedByte = 0xFF; // a float of 0xFFFFFFFF is NaN
} // namespace

void ThreadgroupMemory::begin_group() {
    if (!arena_) arena_ = static_cast<char *>(aligned_alloc(4096, kArena));
    if (!arena_) throw std::bad_alloc();
    used_ = 0;
    pieces_.clear();
}

void *ThreadgroupMemory::get(size_t size, size_t alignment, const void *key, const char *name) {
    for (const Piece &p : pieces_)
        if (p.key == key) return p.base;
    if (alignment < 16) alignment = 16;
    size_t start = (used_ + kGuard + alignment - 1) / alignment * alignment, end = start + size + kGuard;
    if (end > kArena) stop_kernel("threadgroup memory of more than 1 MiB");
    memset(arena_ + used_, kGuardByte, end - used_);
    memset(arena_ + start, kUndefinedByte, size);
    used_ = end;
    pieces_.push_back({key, arena_ + start, size, name});
    check::add_threadgroup_memory(arena_ + start, size, name);
    return arena_ + start;
}

std::string ThreadgroupMemory::overwritten() const {
    for (const Piece &p : pieces_)
        for (size_t i = 0; i < kGuard; i++)
            if (static_cast<unsigned char>(p.base[-1 - ptrdiff_t(i)]) != kGuardByte ||
                static_cast<unsigned char>(p.base[p.size + i]) != kGuardByte)
                return p.name;
    return "";
}
} // namespace sm
