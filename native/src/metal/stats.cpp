#include "stats.h"
#include "spatialnorm/spatialnorm.h"
#include <algorithm>
#include <cstddef>
#include <cstring>

namespace sn::metal { Stats stats; } // namespace sn::metal

extern "C" void sn_get_metal_stats(sn_metal_stats *to) {
    const sn::metal::Stats &s = sn::metal::stats;
    const sn_metal_stats now = {to->size,
                                0,
                                s.runs,
                                s.command_buffers,
                                s.wrapped_buffers,
                                s.staged_buffers,
                                s.refused_buffers,
                                s.misaligned_buffers,
                                s.in_place_buffers,
                                s.staged_bytes,
                                s.allocated_buffers,
                                s.pipelines};
    std::memcpy(to, &now, std::min<size_t>(to->size, sizeof now)); // a caller may know fewer counts
}
