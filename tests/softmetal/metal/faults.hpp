// Planted faults and event counts: the test's side of softmetal.h.
#pragma once
#include <atomic>
#include <string>

namespace sm {
// Is this call to fail? `message` receives what the error is to say.
bool fault(const char *name, std::string *message = nullptr);

struct Counters {
    std::atomic<long> command_buffers, encoders, dispatches, blits, waits, buffers, no_copy_buffers, libraries,
        pipelines, kernel_compilations;
};
extern Counters counters;
} // namespace sm
