// A fiber is one GPU thread: a stack of its own, entered and left without the operating system.
#pragma once
#include <cstddef>

namespace sm {
constexpr size_t kStackBytes = 256 << 10;

struct Fiber {
    char *stack = nullptr; // kStackBytes, the lowest page unmapped
    void *stack_pointer = nullptr;
};

// Makes the fiber begin in `body` when it is next entered; `body` must leave and never return.
void fiber_prepare(Fiber &, size_t number, void (*body)());
void fiber_enter(Fiber &); // runs the fiber until it leaves
void fiber_leave(Fiber &); // back to whoever entered it

// Stacks for `count` fibers, contiguous; kept from call to call.
char *fiber_stacks(size_t count);
size_t fiber_stacks_length();
} // namespace sm
