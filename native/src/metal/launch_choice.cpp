#include "launch_choice.h"
#include "error.h"
#include "spatial_table.h"
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

namespace sn {

const char *type_name(sn_dtype dtype) {
    switch (dtype) {
    case SN_FLOAT32: return "float";
    case SN_FLOAT16: return "half";
    case SN_BFLOAT16: return "bfloat";
    case SN_FLOAT64: break;
    }
    fail(SN_INVALID_TYPE, "device \"metal\" has no float64 arithmetic: convert to float32 or use device=\"cpu\"");
}

int32_t to_int(int64_t value, const char *what) {
    if (value > std::numeric_limits<int32_t>::max())
        fail(SN_UNSUPPORTED, "%s must be below 2^31 on device \"metal\", not %lld", what, (long long)value);
    return int32_t(value);
}

namespace {

// The nearest finite float: an infinity would turn zeros into nan.
float to_float(double value) { return float(std::clamp(value, -double(FLT_MAX), double(FLT_MAX))); }

// The kernels for odd square windows.
constexpr sn_pass forward = SN_FORWARD, gradient = SN_GRADIENT;
constexpr Walk walks[] = {
#define SPATIAL_WALK_SIMD(design, pass, k, columns, rows) {design, pass, k, columns, rows, 0, 1, 1, 0},
#define SPATIAL_WALK_SIMD_16(design, pass, k, columns, rows) {design, pass, k, columns, rows, 0, 1, 1, 2},
#define SPATIAL_WALK_STRIP(bytes, pass, k, columns, rows, width, each) \
    {Design::strip, pass, k, columns, rows, width, 1, 1, bytes},
#define SPATIAL_WALK_LONG(design, pass, k, rows, width) {design, pass, k, 1, rows, width, 1, 1, 0},
#define SPATIAL_WALK_PLANES(design, pass, k, side) {design, pass, k, side, side, side, 1, 1, 0},
#define SPATIAL_WALK_INTERLEAVED(bytes, pass, k, columns, rows, channels, lanes, width) \
    {Design::interleaved, pass, k, columns, rows, width, channels, lanes, bytes},
    SPATIAL_SIMD_TABLE_16(SPATIAL_WALK_SIMD_16, Design::simd) SPATIAL_STRIP_TABLE_16(SPATIAL_WALK_STRIP, 2)
        SPATIAL_SIMD_TABLE(SPATIAL_WALK_SIMD, Design::simd) SPATIAL_STRIP_TABLE(SPATIAL_WALK_STRIP, 0)
            SPATIAL_LONG_TABLE(SPATIAL_WALK_LONG, Design::strip) SPATIAL_INTERLEAVED_TABLE(SPATIAL_WALK_INTERLEAVED, 0)
                SPATIAL_INTERLEAVED_FLOAT_TABLE(SPATIAL_WALK_INTERLEAVED, 4)
                    SPATIAL_INTERLEAVED_HALF_TABLE(SPATIAL_WALK_INTERLEAVED, 2)
                        SPATIAL_PLANES_TABLE(SPATIAL_WALK_PLANES, Design::planes)
                            SPATIAL_COLUMNS_TABLE(SPATIAL_WALK_SIMD, Design::columns)};

struct Roles {
    int x, v; // which operands are x and the other image
};
Roles roles(sn_pass pass) {
    switch (pass) {
    case SN_FORWARD: return {0, 0};
    case SN_JVP: return {0, 1};
    case SN_GRADIENT:
    case SN_PARAMETER_GRADIENTS: break;
    }
    return {1, 0};
}

void set_shape(SpatialParams &p, const Problem &problem) {
    const int64_t size = itemsize(problem.dtype);
    auto elements = [&](const Layout &layout, int64_t bytes) {
        if (bytes % size)
            fail(SN_UNSUPPORTED,
                 "the strides of %s must be multiples of its itemsize %lld on device \"metal\", not %lld", layout.name,
                 (long long)size, (long long)bytes);
        return bytes / size;
    };
    p.height = to_int(problem.height, "the height");
    p.width = to_int(problem.width, "the width");
    // The last SPATIAL_BATCH_AXES axes; make_launch steps through the ones before them.
    const int skipped = std::max(0, problem.n_batch - SPATIAL_BATCH_AXES), axes = problem.n_batch - skipped;
    for (int axis = 0; axis < SPATIAL_BATCH_AXES; ++axis) {
        const int from = skipped + axis - (SPATIAL_BATCH_AXES - axes);
        const bool present = axis >= SPATIAL_BATCH_AXES - axes;
        p.batch[axis] = present ? to_int(problem.batch[from], "the size of an axis") : 1;
        for (int i = 0; i < problem.n_images; ++i)
            p.image[i].batch[axis] = present ? elements(problem.operands[i], problem.operands[i].batch[from]) : 0;
    }
    for (int i = 0; i < problem.n_images; ++i) {
        const Layout &layout = problem.operands[i];
        p.image[i].row = elements(layout, layout.height);
        p.image[i].column = elements(layout, layout.width);
    }
    // Channels that lie closer together than columns (NHWC) stay innermost in scratch.
    const SpatialStrides &x = p.image[0];
    const int last = SPATIAL_BATCH_AXES - 1;
    p.inner = p.batch[last] > 1 && std::llabs(x.batch[last]) < std::llabs(x.column) ? p.batch[last] : 1;
}

void set_operation(SpatialParams &p, const Problem &problem) {
    const sn_spatial_params &s = problem.spatial;
    const double area = double(s.kernel_height) * double(s.kernel_width);
    const bool documented = problem.pass == SN_GRADIENT && s.gradient == SN_GRADIENT_DOCUMENTED;
    p.clamp = s.edge == SN_EDGE_CLAMP;
    auto clip = [&](int64_t kernel, int64_t size, int32_t &length, int32_t &before) {
        const int64_t most = p.clamp ? kernel : size - 1;
        const int64_t clipped = std::min(kernel / 2, most);
        before = int32_t(clipped);
        length = int32_t(clipped + 1 + std::min((kernel - 1) / 2, most));
    };
    clip(s.kernel_height, p.height, p.kernel_height, p.top);
    clip(s.kernel_width, p.width, p.kernel_width, p.left);
    p.scale = to_float(s.alpha / area);
    p.delta = to_float(s.delta);
    p.beta = to_float(s.beta);
    p.factor = to_float(2 * s.beta * (documented ? s.alpha : s.alpha / area));
    p.inverse_area = to_float(1 / area);
    const bool integer = s.beta == std::floor(s.beta);
    p.power = integer && (s.delta < 0 || s.beta == 0 || s.beta == -1) ? SPATIAL_POWER_SIGNED : SPATIAL_POWER_PLAIN;
    p.odd = integer && std::fmod(s.beta, 2) != 0;
    p.mirrored = documented;
    p.x_image = roles(problem.pass).x;
    p.v_image = roles(problem.pass).v;
}

} // namespace

SpatialParams problem_params(const Problem &problem) {
    SpatialParams p = {};
    set_shape(p, problem);
    set_operation(p, problem);
    return p;
}

namespace {

// Square odd windows, as spatial.metal instantiates them; 0 for all others.
int32_t odd_square(const Problem &problem, const SpatialParams &shape) {
    const sn_spatial_params &s = problem.spatial;
    const bool pass = problem.pass == SN_FORWARD || (problem.pass == SN_GRADIENT && !shape.mirrored);
    const bool odd = s.kernel_height == s.kernel_width && s.kernel_width % 2 == 1;
    return pass && !shape.clamp && odd && s.kernel_width <= 63 ? int32_t(s.kernel_width) : 0;
}

// Whether 32 bits can count what gradients in strips count by them: the bytes from row to row, and elements between all
// rows that a step of a long walk takes.
bool rows_are_near(const Walk &walk, const Problem &problem, const SpatialParams &shape) {
    const int64_t distance = walks_long(walk) ? walk.k + 4 * walk.rows : itemsize(problem.dtype);
    const int64_t most = std::numeric_limits<int32_t>::max() / distance;
    for (int i = 0; i < problem.n_images; ++i)
        if (std::llabs(shape.image[i].row) > most) return false;
    return true;
}

// Whether elements and planes are of the size that the kernel is made for.
bool fits(const Walk &walk, const Problem &problem, const SpatialParams &shape) {
    if (walk.bytes && walk.bytes != itemsize(problem.dtype)) return false;
    switch (walk.design) {
    case Design::strip: return walk.pass != SN_GRADIENT || rows_are_near(walk, problem, shape);
    case Design::planes: return shape.height == walk.width && shape.width == walk.width;
    case Design::columns: return shape.height == walk.rows && shape.width <= 16 * walk.columns;
    default: return true;
    }
}

// The kernel of a design for this window, if there is one.
std::optional<Walk> find_walk(Design design, const Problem &problem, const SpatialParams &shape,
                              const LaunchOptions &options) {
    const int32_t k = odd_square(problem, shape), *tile = options.tile;
    if (tile[0] && options.design == design && k > 1)
        return Walk{design, problem.pass, k, tile[0], tile[1], tile[2], std::max(1, tile[3]), tile[4], 0};
    std::optional<Walk> found;
    for (const Walk &walk : walks)
        if (walk.design == design && walk.pass == problem.pass && walk.k == k && fits(walk, problem, shape) &&
            (!found || shape.width % found->columns != 0))
            found = walk;
    return found;
}

// Registers of a thread, roughly: the rows that it keeps, those that are read ahead and what a step needs. How many
// threads run at a time follows from them.
int32_t registers(const Walk &w) {
    const int32_t kept = int32_t(ceil_div(w.k - 1, w.rows) + 1) * w.rows, reading = 2 * w.rows;
    int32_t rows = kept + reading;
    if (w.pass == SN_GRADIENT) rows = walks_long(w) ? kept + 9 * w.rows : 2 * kept + w.k / 2 + w.rows + 2 * reading;
    return std::min(255, 24 + rows * w.columns * w.channels);
}

// Tasks that the device should be given at a time.
int64_t tasks_at_once(const SpatialParams &p, const Walk &w, sn_dtype dtype, const LaunchOptions &options,
                      int32_t threads, int32_t tasks_each) {
    const int64_t estimate = options.concurrency * 128 / registers(w) / threads;
    const int64_t groups = options.groups_at_once ? options.groups_at_once : estimate;
    // Forward strips cost little to begin. Many rounds of short ones even out best: of a simdgroup in tall images, the
    // more so the longer an element takes to read and write; of interleaved channels in small windows of float (as
    // measured).
    const bool forward_pass = w.pass != SN_GRADIENT, wide = dtype == SN_FLOAT32;
    int64_t rounds = 1;
    if (forward_pass && w.design == Design::simd) rounds = p.height > 32 * w.k ? (wide ? 16 : 4) : wide ? 2 : 1;
    if (forward_pass && w.design == Design::interleaved && w.k <= 5 && wide) rounds = 4;
    return std::max<int64_t>(1, rounds * groups * tasks_each);
}

} // namespace

Choice choose(const Problem &problem, const SpatialParams &shape, const LaunchOptions &options) {
    const auto walk = [&](Design design) { return find_walk(design, problem, shape, options); };
    // A thread may add up as many samples as a line has: 32 at most.
    const bool tiny = problem.pass != SN_PARAMETER_GRADIENTS && shape.height <= 32 && shape.width <= 32;
    if (options.design == Design::automatic) { // what each design takes, the fastest first
        if (shape.inner > 1) {
            const auto interleaved = walk(Design::interleaved);
            return interleaved ? Choice{Design::interleaved, *interleaved} : Choice{Design::general, {}};
        }
        const auto planes = walk(Design::planes);
        if (planes && in_one_run(shape, problem.n_images)) return {Design::planes, *planes};
        if (const auto columns = walk(Design::columns)) return {Design::columns, *columns};
        if (const auto simd = walk(Design::simd)) return {Design::simd, *simd};
        if (tiny) return {Design::small, {}};
        const auto strip = walk(Design::strip);
        return strip ? Choice{Design::strip, *strip} : Choice{Design::general, {}};
    }
    if (options.design == Design::small && !tiny)
        fail(SN_UNSUPPORTED, "the kernels for small planes take images of at most 32 x 32, but this one is %d x %d",
             shape.height, shape.width);
    if (options.design == Design::plain || options.design == Design::general || options.design == Design::small)
        return {options.design, {}};
    const auto asked = walk(options.design);
    if (!asked)
        fail(
            SN_UNSUPPORTED,
            "no kernel of the asked design takes this window, pass and size: spatial_table.h lists odd square windows, "
            "for edge zero");
    return {options.design, *asked};
}

bool in_one_run(const SpatialParams &p, int n_images) {
    bool run = true;
    for (int i = 0; i < n_images; ++i) {
        const SpatialStrides &s = p.image[i];
        run = run && s.column == 1 && s.row == p.width;
        int64_t step = int64_t(p.height) * p.width;
        for (int axis = SPATIAL_BATCH_AXES - 1; axis >= 0; step *= p.batch[axis--])
            run = run && (p.batch[axis] == 1 || s.batch[axis] == step);
    }
    return run;
}

void set_strips(SpatialParams &p, int32_t lanes, int32_t columns, int32_t margin, int32_t zeros) {
    const int32_t wanted = int32_t(ceil_div(p.width, columns));
    if (wanted + zeros <= lanes) {
        p.strip_margin = 0;
        p.strip_outputs = wanted;
    } else {
        p.strip_margin = margin;
        p.strip_outputs = lanes - 2 * margin;
    }
    p.strip_lanes = lanes;
    p.strip_planes = 1;
    p.strips = int32_t(ceil_div(wanted, p.strip_outputs));
}

void set_segments(SpatialParams &p, const Walk &walk, sn_dtype dtype, const LaunchOptions &options,
                  int64_t side_by_side, int32_t threads, int32_t tasks_each) {
    const int64_t at_once = tasks_at_once(p, walk, dtype, options, threads, tasks_each);
    // Rows that a segment costs beside those that it writes.
    const int32_t warm_up = walk.pass == SN_GRADIENT ? 2 * walk.k : walk.k, rows = walk.rows;
    double best = 0;
    for (int32_t n = 1; n <= ceil_div(p.height, rows); ++n) {
        const int32_t segment = int32_t(ceil_div(ceil_div(p.height, n), rows) * rows);
        const int32_t segments = int32_t(ceil_div(p.height, segment));
        if (segments != n && n > 1) continue;
        // Few waves are whole ones; of many, the last is a small part.
        const double load = double(side_by_side) * segments / double(at_once);
        const double waves = load <= 4 ? std::ceil(load) : load + 0.5;
        const double cost = waves * (segment + warm_up);
        if (n == 1 || cost < 0.99 * best) best = cost, p.segment = segment, p.segments = segments;
        if (n > 64 && segment <= rows) break;
    }
    p.tasks = to_int(side_by_side * p.segments, "the number of strips");
}

} // namespace sn
