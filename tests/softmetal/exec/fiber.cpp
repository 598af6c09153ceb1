#include "fiber.hpp"
#include <cstdint>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

extern "C" void sm_switch(void **save_stack_pointer, void *load_stack_pointer); // switch_*.S

namespace sm {
namespace {
char *stacks;
size_t stacks_length;
void *caller_stack_pointer;
} // namespace

void fiber_prepare(Fiber &f, size_t number, void (*body)()) {
    // Stacks that all began at the same offset would share the same few cache sets.
    uintptr_t top = reinterpret_cast<uintptr_t>(f.stack) + kStackBytes - (number * 320 & 0x3fc0);
#if defined(__x86_64__)
    void **frame = reinterpret_cast<void **>(top) - 8; // six registers, the return address, one slot to align
    memset(frame, 0, 64);
    frame[6] = reinterpret_cast<void *>(body);
#elif defined(__aarch64__)
    void **frame = reinterpret_cast<void **>(top) - 20; // x19..x30, d8..d15
    memset(frame, 0, 160);
    frame[11] = reinterpret_cast<void *>(body); // x30, the link register
#else
#  error "no fiber switch for this processor: see exec/switch_*.S"
#endif
    f.stack_pointer = frame;
}
void fiber_enter(Fiber &f) { sm_switch(&caller_stack_pointer, f.stack_pointer); }
void fiber_leave(Fiber &f) { sm_switch(&f.stack_pointer, caller_stack_pointer); }

char *fiber_stacks(size_t count) {
    if (count * kStackBytes <= stacks_length) return stacks;
    if (stacks) munmap(stacks, stacks_length);
    stacks_length = count * kStackBytes;
    void *p = mmap(nullptr, stacks_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        stacks = nullptr;
        stacks_length = 0;
        throw std::bad_alloc();
    }
    stacks = static_cast<char *>(p);
    for (size_t i = 0; i < count; i++)
        mprotect(stacks + i * kStackBytes, size_t(getpagesize()), PROT_NONE); // an overflow faults
    return stacks;
}
size_t fiber_stacks_length() { return stacks_length; }
} // namespace sm
