#include "scratch.h"
#include "thread_exit.h"
#include <cstdlib>
#include <new>

namespace sn {
namespace cpu {
namespace {

constexpr int64_t page = 4096, most_kept = int64_t(8) << 20;

void *allocate(int64_t bytes) {
    void *memory = nullptr;
    if (bytes < 0 || posix_memalign(&memory, page, size_t(bytes))) throw std::bad_alloc();
    return memory;
}

} // namespace

struct Kept {
    void *memory = nullptr;
    int64_t size = 0;
    bool used = false, freed_at_exit = false;
    uint64_t mark = 0;
};

namespace {

thread_local Kept kept_by_thread;

const ThreadExit at_exit([](void *) {
    std::free(kept_by_thread.memory);
    kept_by_thread = Kept();
});

// What the thread keeps, if it is large enough or may be; else nullptr.
Kept *find_kept(int64_t bytes) {
    Kept &kept = kept_by_thread; // looked up once: that is a call
    if (kept.used || bytes > most_kept) return nullptr;
    if (!kept.freed_at_exit) kept.freed_at_exit = at_exit.arm(&kept);
    return kept.freed_at_exit ? &kept : nullptr;
}

} // namespace

Scratch::Scratch(int64_t bytes) : memory(nullptr), kept(find_kept(bytes)), marked(0) {
    if (!kept) {
        memory = allocate(bytes);
        return;
    }
    if (bytes > kept->size) {
        std::free(kept->memory);
        kept->memory = nullptr, kept->size = 0, kept->mark = 0;
        kept->memory = allocate(bytes);
        kept->size = bytes;
    }
    kept->used = true;
    memory = kept->memory;
    marked = kept->mark;
    kept->mark = 0;
}

void Scratch::leave_mark(uint64_t who) {
    if (kept) kept->mark = who;
}

Scratch::~Scratch() {
    if (kept) kept->used = false;
    else std::free(memory);
}

} // namespace cpu
} // namespace sn
