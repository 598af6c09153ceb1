// Runs a grid on the CPU: one fiber per GPU thread, one threadgroup at a time, in a chosen order.
// Only the worker thread (metal/worker.cpp) calls it, so its state is plain globals.
#pragma once
#include "kernel_abi.h"
#include <cstddef>
#include <string>
#include <vector>

namespace sm {
struct Region { // memory that a kernel may touch
    char *base;
    size_t length;
    std::string name;
    bool writable;
};

struct Launch {
    const SmKernel *kernel = nullptr;
    SmDispatch dispatch = {};
    size_t threadgroup_length[SM_MAX_BUFFERS] = {};
    std::vector<Region> regions;
    bool after_barrier = true; // false: may run at the same time as the launch before it
};

// Environment: SOFTMETAL_ORDER=forward|reverse|shuffle, SOFTMETAL_SEED=n, SOFTMETAL_SIMD_WIDTH=n (32).
// Returns an empty string, or what went wrong.
std::string execute(Launch &, bool checked);
unsigned simd_width();

// Called on a kernel's fiber: notes what went wrong and never returns.
[[noreturn]] void stop_kernel(std::string why);

// For reports: where execution stands.
struct Position {
    const SmKernel *kernel;
    const SmDispatch *dispatch;
    const SmThread *thread;
};
Position position();
const char *current_stack(); // of the fiber that runs, null outside
} // namespace sm
