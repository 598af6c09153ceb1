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

struct Kept {
    void *memory = nullptr;
    int64_t size = 0;
    bool used = false, freed_at_exit = false;
    uint64_t mark = 0;
};
thread_local Kept kept;

const ThreadExit at_exit([](void *) {
    std::free(kept.memory);
    kept = Kept();
});

bool can_keep() {
    if (!kept.freed_at_exit) kept.freed_at_exit = at_exit.arm(&kept);
    return kept.freed_at_exit;
}

} // namespace

Scratch::Scratch(int64_t bytes) : memory(nullptr), own(kept.used || bytes > most_kept || !can_keep()), marked(0) {
    if (own) {
        memory = allocate(bytes);
        return;
    }
    if (bytes > kept.size) {
        std::free(kept.memory);
        kept.memory = nullptr, kept.size = 0, kept.mark = 0;
        kept.memory = allocate(bytes);
        kept.size = bytes;
    }
    kept.used = true;
    memory = kept.memory;
    marked = kept.mark;
    kept.mark = 0;
}

void Scratch::leave_mark(uint64_t who) {
    if (!own) kept.mark = who;
}

Scratch::~Scratch() {
    if (own) std::free(memory);
    else kept.used = false;
}

} // namespace cpu
} // namespace sn
