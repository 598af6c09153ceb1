// Where the rows of a spatial kernel stand in a thread's scratch.
#pragma once
#include "problem.h"
#include "spatial.h"
#include <algorithm>
#include <cstdlib>

namespace sn {
namespace cpu {

// Rows as long as this, and alike in it, are computed in vectors that are aligned in the input.
constexpr int64_t aligned_samples = 512;

constexpr int64_t round_up(int64_t n, int64_t m) { return (n + m - 1) / m * m; }

inline bool exact_gradient(const Problem &problem) {
    return problem.pass == SN_GRADIENT && problem.spatial.gradient == SN_GRADIENT_EXACT;
}

// A load waits for a store some instructions before it if both go to the same place of any two pages, and rows of
// inputs and outputs mostly begin at one place of a page. So scratch rows keep a distance from the output's, as
// measured: first 192 bytes (modulo 512), and from row to row neither just before nor upon the output's. And the
// eight rows of a batch stand in different sets of the first cache.
constexpr int64_t page = 4096, first_distance = 192;
inline bool apart(int64_t pitch, int64_t row_bytes) {
    for (int r = 1; r < batch_rows; ++r) {
        const int64_t own = pitch * r % page, distance = (pitch + page - row_bytes % page) * r % page;
        if (own < 256 || own > page - 256 || distance > page - 2 * first_distance) return false;
    }
    return true;
}
template <class T> void keep_apart(SpatialScratch &s, int64_t columns, int64_t row_bytes) {
    constexpr int64_t size = sizeof(T), step = max_lanes * size;
    constexpr int64_t first = round_up(first_distance, step); // what whole steps can reach: 256 bytes for float64
    while (s.lead * size % 512 != first % 512) s.lead += max_lanes;
    s.pitch = s.lead + columns;
    for (int tries = 0; tries < page / step && !apart(s.pitch * size, row_bytes); ++tries) s.pitch += max_lanes;
}
// Rows that kernels take several at a time have no more samples than this.
constexpr int64_t narrow = 4 * max_lanes;

// Where everything stands in a thread's scratch, for pieces up to `width` columns.
template <class T> void lay_out_scratch(SpatialJob<T> &job, const Problem &problem, int64_t width) {
    const bool exact = exact_gradient(problem), sums_only = problem.pass == SN_PARAMETER_GRADIENTS;
    const int n_inputs = problem.n_operands - 1;
    SpatialScratch &s = job.scratch;
    s = {};
    const int64_t left = round_up(job.reach.left * job.I, max_lanes);
    const int64_t right = round_up(job.reach.right * job.I, max_lanes);
    s.lead = left + right + max_lanes;
    const int64_t columns = round_up(width + left + right + 5 * max_lanes, max_lanes);
    s.pitch = s.lead + columns;
    if (width >= aligned_samples) keep_apart<T>(s, columns, std::abs(job.in[n_inputs - 1].height));
    else if (s.pitch * int64_t(sizeof(T)) % 1024 == 0) s.pitch += max_lanes;
    int64_t used = 0;
    auto rows = [&](int64_t n) {
        const int64_t at = used;
        used += n * s.pitch;
        return at;
    };
    const int64_t height = job.reach.up + job.reach.down + 1, kw = job.reach.left + job.reach.right + 1;
    const int64_t blocks = height > direct_rows ? (height - 7) / 8 : 0;
    int levels = 0;
    for (int64_t digits = kw; kw >= 8 && digits >= 4; digits >>= 2) ++levels;
    const int n_sums = problem.pass == SN_GRADIENT || problem.pass == SN_JVP ? 2 : 1;
    for (int k = 0; k < n_sums; ++k) {
        s.sum[k].sums = rows(batch_rows);
        s.sum[k].blocks = rows(blocks);
        s.sum[k].prefix = rows(blocks ? 1 : 0);
        s.sum[k].levels = rows(levels);
        s.window[k] = rows(1);
    }
    const bool mirrored = problem.pass == SN_GRADIENT && !exact;
    const int64_t up = mirrored ? std::max(job.reach.up, job.reach.down) : job.reach.up;
    const int64_t down = mirrored ? std::max(job.reach.up, job.reach.down) : job.reach.down;
    const int64_t batch = up + down + batch_rows;
    for (int i = 0; i < n_inputs; ++i) {
        s.ring_rows[i] = job.one_use[i] ? 1 : batch;
        s.ring[i] = rows(s.ring_rows[i]);
    }
    if (exact) {
        s.u_rows = job.reach.up + job.reach.down + batch_rows;
        s.g_rows = job.reach.up + batch_rows;
        if (job.L <= narrow) { // whole batches, so that the rows of one stand side by side
            s.u_rows = round_up(s.u_rows, batch_rows);
            s.g_rows = round_up(s.g_rows, batch_rows);
        }
        s.u_ring = rows(s.u_rows);
        s.g_ring = rows(s.g_rows);
        if (job.clamp) s.edge = rows(2);
    }
    s.zeros = rows(1);
    s.out = rows(1);
    if (sums_only) s.values = rows(3);
    for (int k = 0; k < 2; ++k) {
        s.pointers[k] = used;
        used += round_up((batch + 1) * int64_t(sizeof(void *)) / int64_t(sizeof(T)), max_lanes);
    }
    s.size = round_up(used + 2 * max_lanes, page / sizeof(T)) + 4 * max_lanes; // threads in different cache sets
}

} // namespace cpu
} // namespace sn
