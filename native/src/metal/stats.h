// Counts of what the Metal devices did in this process, for sn_get_metal_stats.
#pragma once
#include <atomic>
#include <cstdint>

namespace sn::metal {

struct Stats {
    std::atomic<int64_t> runs{0}, command_buffers{0}, wrapped_buffers{0}, staged_buffers{0}, refused_buffers{0},
        misaligned_buffers{0}, in_place_buffers{0}, staged_bytes{0}, allocated_buffers{0}, pipelines{0};
};

extern Stats stats;

} // namespace sn::metal
