#include "launch.h"
#include "error.h"
#include "spatial_table.h"
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <limits>

namespace sn {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The nearest finite float: an infinity would turn zeros into nan.
float to_float(double value) { return float(std::clamp(value, -double(FLT_MAX), double(FLT_MAX))); }

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

// The kernels for odd square windows.
struct Walk {
    Design design;
    sn_pass pass;
    int32_t k;
    int32_t columns, rows; // of a thread, of a step
    int32_t width;         // of a threadgroup: columns of a strip, channels of an interleaved kernel
};
constexpr sn_pass forward = SN_FORWARD, gradient = SN_GRADIENT;
constexpr Walk walks[] = {
#define SPATIAL_WALK_SIMD(design, pass, k, columns, rows) {design, pass, k, columns, rows, 0},
#define SPATIAL_WALK_STRIP(design, pass, k, columns, rows, width, each) {design, pass, k, columns, rows, width},
#define SPATIAL_WALK_INTERLEAVED(design, pass, k, columns, rows, channels) {design, pass, k, columns, rows, channels},
    SPATIAL_SIMD_TABLE(SPATIAL_WALK_SIMD, Design::simd) SPATIAL_STRIP_TABLE(SPATIAL_WALK_STRIP, Design::strip)
        SPATIAL_INTERLEAVED_TABLE(SPATIAL_WALK_INTERLEAVED, Design::interleaved)};
static_assert(SPATIAL_INTERLEAVED_COLUMNS % 4 == 0, "threads of an interleaved kernel take 2 or 4 columns");

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

// Builds the dispatches for the planes that one SpatialParams describes.
class Builder {
  public:
    Builder(const Problem &problem, const LaunchOptions &options, Launch &launch)
        : problem_(problem), options_(options), launch_(launch), type_(type_name(problem.dtype)) {
        set_shape(shape_, problem);
        set_operation(shape_, problem);
        measured_ = {options.design, problem.pass, odd_square(), options.tile[0], options.tile[1], options.tile[2]};
        design_ = choose_design();
        planes_ = 1;
        for (int32_t size : shape_.batch) planes_ *= size;
        to_int(planes_, "the number of planes");
    }

    int64_t groups_of_partials() const {
        const int64_t share = 1024; // threadgroups of one dispatch: enough to fill a GPU, few enough to add up
        return std::clamp<int64_t>(ceil_div(chunk_planes(1) * plane(), SPATIAL_THREADS), 1, share);
    }

    void build(const int64_t *offsets) {
        offsets_ = offsets;
        const bool plain = design_ == Design::plain;
        const int64_t chunk = chunk_planes(plain           ? problem_.pass == SN_GRADIENT && !documented()
                                           : in_one_pass() ? 0
                                                           : scratch_images());
        for (int64_t first = 0; first < planes_; first += chunk) {
            base_ = shape_;
            for (int i = 0; i < problem_.n_images; ++i)
                base_.image[i].origin = (offsets_[i] - problem_.operands[i].first) / itemsize(problem_.dtype);
            base_.first_plane = int32_t(first);
            base_.planes = int32_t(std::min(chunk, planes_ - first));
            base_.elements = base_.planes * plane();
            image_bytes_ = chunk * plane() * int64_t(sizeof(float));
            switch (design_) {
            case Design::plain: build_plain(); break;
            case Design::small: build_small(); break;
            case Design::simd: build_simd(); break;
            case Design::interleaved: build_interleaved(); break;
            case Design::strip: build_strip(); break;
            default: build_general();
            }
        }
    }

  private:
    int64_t plane() const { return int64_t(shape_.height) * shape_.width; }
    bool documented() const { return shape_.mirrored != 0; }
    int scratch_images() const {
        return problem_.pass == SN_FORWARD || problem_.pass == SN_PARAMETER_GRADIENTS ? 2 : 3;
    }

    // Planes at a time, so that scratch stays small and the elements of a dispatch can be counted by 32 bits of groups.
    int64_t chunk_planes(int images) const {
        const int64_t unit = shape_.inner * plane();
        const int64_t by_scratch = images ? options_.scratch_limit / int64_t(sizeof(float)) / images : int64_t(1) << 38;
        return std::min(planes_, std::max<int64_t>(1, by_scratch / unit) * shape_.inner);
    }

    bool in_one_pass() const {
        return design_ == Design::simd || design_ == Design::interleaved || design_ == Design::strip;
    }

    // Square odd windows, as spatial.metal instantiates them; 0 for all others.
    int32_t odd_square() const {
        const sn_spatial_params &s = problem_.spatial;
        const bool pass = problem_.pass == SN_FORWARD || (problem_.pass == SN_GRADIENT && !documented());
        const bool odd = s.kernel_height == s.kernel_width && s.kernel_width % 2 == 1;
        return pass && !shape_.clamp && odd && s.kernel_width <= 63 ? int32_t(s.kernel_width) : 0;
    }

    // The kernel of a design for this window, or null.
    const Walk *walk(Design design) const {
        const int32_t k = odd_square();
        if (options_.tile[0] && options_.design == design && k > 1) return &measured_;
        const Walk *found = nullptr;
        for (const Walk &walk : walks)
            if (walk.design == design && walk.pass == problem_.pass && walk.k == k &&
                (!found || shape_.width % found->columns != 0))
                found = &walk;
        return found;
    }
    bool is_gradient() const { return problem_.pass == SN_GRADIENT; }

    // What each design takes, the fastest first.
    Design choose_design() const {
        const bool interleaved = shape_.inner > 1;
        // A thread may add up as many samples as a line has: 32 at most.
        const bool tiny = problem_.pass != SN_PARAMETER_GRADIENTS && shape_.height <= 32 && shape_.width <= 32;
        switch (options_.design) {
        case Design::automatic:
            if (interleaved && walk(Design::interleaved)) return Design::interleaved;
            if (interleaved) return Design::general;
            if (walk(Design::simd)) return Design::simd;
            if (tiny) return Design::small;
            return walk(Design::strip) ? Design::strip : Design::general;
        case Design::small:
            if (!tiny)
                fail(SN_UNSUPPORTED,
                     "the kernels for small planes take images of at most 32 x 32, but this one is %d x %d",
                     shape_.height, shape_.width);
            break;
        case Design::simd:
        case Design::strip:
        case Design::interleaved:
            if (!walk(options_.design))
                fail(SN_UNSUPPORTED,
                     "no kernel of the asked design takes this window and pass: spatial_table.h lists odd square ones, "
                     "for edge zero");
            break;
        case Design::plain:
        case Design::general: break;
        }
        return options_.design;
    }

    Binding operand(int index) const { return {Binding::operand, index, problem_.operands[index].first}; }
    Binding scratch(int image) const {
        return {Binding::scratch, 0, launch_.result_offset + reserved_ + image * image_bytes_};
    }

    Dispatch &add(const char *name, bool typed, std::initializer_list<Binding> bindings, int64_t groups,
                  const SpatialParams &params) {
        launch_.dispatches.emplace_back();
        Dispatch &d = launch_.dispatches.back();
        std::snprintf(d.kernel, sizeof d.kernel, typed ? "%.50s_%.12s" : "%.50s", name, type_);
        d.n_bindings = 0;
        for (const Binding &binding : bindings) {
            d.bindings[d.n_bindings++] = binding;
            if (binding.kind == Binding::scratch)
                launch_.scratch_bytes = std::max(launch_.scratch_bytes, binding.offset + image_bytes_);
        }
        d.params = params;
        d.groups = uint32_t(groups);
        d.threads = SPATIAL_THREADS;
        return d;
    }
    void add_elements(const char *name, bool typed, std::initializer_list<Binding> bindings) {
        add(name, typed, bindings, ceil_div(base_.elements, SPATIAL_THREADS), base_);
    }

    void build_plain() {
        switch (problem_.pass) {
        case SN_FORWARD: return add_elements("spatial_forward_plain", true, {operand(0), operand(1)});
        case SN_JVP: return add_elements("spatial_jvp_plain", true, {operand(0), operand(1), operand(2)});
        case SN_GRADIENT:
            if (documented())
                return add_elements("spatial_gradient_documented_plain", true, {operand(0), operand(1), operand(2)});
            add_elements("spatial_gradient_terms_plain", true, {operand(0), operand(1), scratch(0)});
            return add_elements("spatial_gradient_plain", true, {operand(0), operand(1), operand(2), scratch(0)});
        case SN_PARAMETER_GRADIENTS:
            return add_partials("spatial_parameter_gradients_plain", {operand(0), operand(1), partials()});
        }
    }

    // Rows and columns that can be read as whole vectors of `columns` elements.
    bool aligned(int columns) const {
        bool whole = options_.aligned && shape_.width % columns == 0;
        for (int i = 0; i < problem_.n_images; ++i) {
            const SpatialStrides &s = shape_.image[i];
            whole = whole && (shape_.width == 1 || s.column == 1) && s.row % columns == 0 && offsets_[i] % 16 == 0;
            for (int64_t stride : s.batch) whole = whole && stride % columns == 0;
        }
        return whole;
    }

    // Cuts the height into segments. Each costs `warm_up` rows more than it writes, and the device runs
    // `at_once` strips at a time.
    void set_segments(SpatialParams &p, int64_t strips, int64_t at_once, int32_t warm_up, int32_t rows) const {
        double best = 0;
        for (int32_t n = 1; n <= ceil_div(p.height, rows); ++n) {
            const int32_t segment = int32_t(ceil_div(ceil_div(p.height, n), rows) * rows);
            const int32_t segments = int32_t(ceil_div(p.height, segment));
            if (segments != n && n > 1) continue;
            // Few waves are whole ones; of many, the last is a small part.
            const double load = double(strips) * segments / double(at_once);
            const double waves = load <= 4 ? std::ceil(load) : load + 0.5;
            const double cost = waves * (segment + warm_up);
            if (n == 1 || cost < 0.99 * best) best = cost, p.segment = segment, p.segments = segments;
            if (n > 64 && segment <= rows) break;
        }
    }

    // Cuts the width into strips of `lanes` lanes of `columns` columns, of which `margin` on each side, twice for the
    // gradient, are computed only for their neighbours. `zeros` lanes must stand beside a whole image.
    void set_strips(SpatialParams &p, int32_t lanes, int32_t columns, int32_t margin, int32_t zeros) const {
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

    // Registers of a thread, roughly: the rows that it keeps, those that are read ahead and what a step needs. How many
    // threads run at a time follows from them.
    int32_t registers(const Walk &w) const {
        const int32_t kept = int32_t(ceil_div(w.k - 1, w.rows) + 1) * w.rows, reading = 2 * w.rows;
        const int32_t rows = is_gradient() ? 2 * kept + w.k / 2 + w.rows + 2 * reading : kept + reading;
        return std::min(255, 24 + rows * w.columns);
    }

    // One dispatch of a kernel that walks down strips.
    void add_strips(SpatialParams &p, const char *design, const Walk &w, int64_t side_by_side, int32_t threads,
                    int32_t tasks_each) {
        const int64_t estimate = options_.concurrency * 128 / registers(w) / threads;
        const int64_t groups_at_once = options_.groups_at_once ? options_.groups_at_once : estimate;
        // Forward strips of a simdgroup cost little to begin: many rounds of short ones even out best in tall images,
        // the more so the longer an element takes to read and write (as measured).
        const bool cheap = w.design == Design::simd && !is_gradient(), wide = problem_.dtype == SN_FLOAT32;
        const int64_t rounds = !cheap ? 1 : p.height > 32 * w.k ? (wide ? 16 : 4) : wide ? 2 : 1;
        const int64_t at_once = std::max<int64_t>(1, rounds * groups_at_once * tasks_each);
        set_segments(p, side_by_side, at_once, is_gradient() ? 2 * w.k : w.k, w.rows);
        p.tasks = to_int(side_by_side * p.segments, "the number of strips");
        char name[64];
        std::snprintf(name, sizeof name, "spatial_%s_%s_%s_%d_%d", is_gradient() ? "gradient" : "forward", design,
                      type_, w.k, w.columns);
        const int64_t groups = ceil_div(p.tasks, tasks_each);
        Dispatch &d = is_gradient() ? add(name, false, {operand(0), operand(1), operand(2)}, groups, p)
                                    : add(name, false, {operand(0), operand(1)}, groups, p);
        d.threads = uint32_t(threads);
    }

    // Columns that the kernel reads and writes together: all of a thread's, pairs, or single ones.
    int32_t together(const Walk &w) const {
        return aligned(w.columns) ? w.columns : w.columns == 4 && aligned(2) ? 2 : 1;
    }

    void build_small() {
        SpatialParams p = base_;
        p.strip_planes = SPATIAL_SMALL / (p.height * p.width);
        const int64_t groups = ceil_div(p.planes, p.strip_planes);
        switch (problem_.pass) {
        case SN_FORWARD: add("spatial_forward_small", true, {operand(0), operand(1)}, groups, p); return;
        case SN_JVP: add("spatial_jvp_small", true, {operand(0), operand(1), operand(2)}, groups, p); return;
        case SN_GRADIENT:
            add(documented() ? "spatial_gradient_documented_small" : "spatial_gradient_small", true,
                {operand(0), operand(1), operand(2)}, groups, p);
            return;
        case SN_PARAMETER_GRADIENTS: return; // choose_design() never comes here with it
        }
    }

    void build_simd() {
        constexpr int32_t width = 32;
        const Walk &w = *walk(design_);
        const int32_t reach = int32_t(ceil_div(w.k / 2, w.columns));
        SpatialParams p = base_;
        p.aligned = together(w);
        set_strips(p, width, w.columns, is_gradient() ? 2 * reach : reach, reach);
        if (p.strip_margin == 0) { // whole planes side by side, zeros between them
            p.strip_lanes = p.strip_outputs + reach;
            p.strip_planes = width / p.strip_lanes;
        }
        const int64_t side_by_side = ceil_div(p.planes, p.strip_planes) * p.strips;
        add_strips(p, "simd", w, side_by_side, SPATIAL_SIMDGROUPS * width, SPATIAL_SIMDGROUPS);
    }

    void build_interleaved() {
        const Walk &w = *walk(design_);
        const int32_t reach = int32_t(ceil_div(w.k / 2, w.columns)), lanes = SPATIAL_INTERLEAVED_COLUMNS / w.columns;
        SpatialParams p = base_;
        p.aligned = p.width % w.columns == 0 ? SPATIAL_APART : 1;
        set_strips(p, lanes, w.columns, is_gradient() ? 2 * reach : reach, 0);
        add_strips(p, "interleaved", w, ceil_div(p.planes, w.width) * p.strips, lanes * w.width, 1);
    }

    void build_strip() {
        const Walk &w = *walk(design_);
        const int32_t lanes = w.width / w.columns, reach = int32_t(ceil_div(w.k / 2, w.columns));
        SpatialParams p = base_;
        p.aligned = together(w);
        set_strips(p, lanes, w.columns, is_gradient() ? 2 * reach : reach, lanes);
        if (ceil_div(p.width, w.columns) + 2 * reach <= lanes) { // the whole width, with zeros on both sides
            p.strip_margin = reach;
            p.strip_outputs = int32_t(ceil_div(p.width, w.columns));
            p.strips = 1;
        }
        add_strips(p, "strip", w, int64_t(p.planes) * p.strips, lanes, 1);
    }

    enum Side { forward_side, adjoint_side };

    // Window sums of x^2, x * v or a scratch image, down the columns into `column_sums`, then along the rows into
    // `sums`.
    void add_window_sums(const char *name, bool typed, std::initializer_list<Binding> sources, Side side,
                         int column_sums, int sums) {
        add_sums(name, typed, sources, column_sums, side, false);
        add_sums("spatial_sums", false, {scratch(column_sums)}, sums, side, true);
    }
    void add_sums(const char *name, bool typed, std::initializer_list<Binding> sources, int target, Side side,
                  bool along_rows) {
        SpatialParams p = base_;
        const sn_spatial_params &s = problem_.spatial;
        const int64_t kernel = along_rows ? s.kernel_width : s.kernel_height;
        const int32_t size = along_rows ? p.width : p.height;
        p.along_rows = along_rows;
        p.adjoint = side == adjoint_side;
        p.before = int32_t(p.adjoint ? (kernel - 1) / 2 : kernel / 2);
        p.after = int32_t(kernel - 1) - p.before;
        p.clipped_before = std::min(p.before, size - 1);
        p.clipped_after = std::min(p.after, size - 1);
        const int32_t k = p.clipped_before + 1 + p.clipped_after;

        char full[64];
        int64_t groups;
        if (k <= SPATIAL_TILE / 2) {
            // Long enough that most of the tile is outputs, no longer than the line.
            const int64_t wanted = std::min<int64_t>(std::max<int64_t>(4 * int64_t(k), 64), int64_t(size) + k - 1);
            p.tile_bits = 4;
            while ((1 << p.tile_bits) < wanted && p.tile_bits < SPATIAL_TILE_BITS) ++p.tile_bits;
            const int64_t count = !along_rows ? int64_t(p.width) * p.inner : p.inner == 1 ? p.height : p.inner;
            groups = p.elements / size / count * ceil_div(count, SPATIAL_TILE >> p.tile_bits) *
                     ceil_div(size, (1 << p.tile_bits) - (k - 1));
            std::snprintf(full, sizeof full, "%s", name);
        } else {
            groups = ceil_div(p.elements, SPATIAL_THREADS);
            std::snprintf(full, sizeof full, "%s_plain", name);
        }
        const Binding to = scratch(target);
        const Binding *from = sources.begin();
        if (sources.size() == 1) add(full, typed, {from[0], to}, groups, p);
        else add(full, typed, {from[0], from[1], to}, groups, p);
    }

    void build_general() {
        const Binding x = operand(shape_.x_image), v = operand(shape_.v_image), out = operand(problem_.n_operands - 1);
        add_window_sums("spatial_square_sums", true, {x}, forward_side, 0, 1);
        switch (problem_.pass) {
        case SN_FORWARD: return add_elements("spatial_forward_general", true, {x, out, scratch(1)});
        case SN_JVP:
            add_window_sums("spatial_product_sums", true, {x, v}, forward_side, 0, 2);
            return add_elements("spatial_jvp_general", true, {x, v, out, scratch(1), scratch(2)});
        case SN_GRADIENT:
            if (documented()) {
                add_window_sums("spatial_product_sums", true, {x, v}, adjoint_side, 0, 2);
                return add_elements("spatial_gradient_documented_general", true, {v, x, out, scratch(1), scratch(2)});
            }
            add_elements("spatial_gradient_terms", true, {v, x, scratch(0), scratch(1)});
            add_window_sums("spatial_sums", false, {scratch(0)}, adjoint_side, 2, 0);
            return add_elements("spatial_gradient_general", true, {v, x, out, scratch(1), scratch(0)});
        case SN_PARAMETER_GRADIENTS: return add_partials("spatial_parameter_gradients", {v, x, partials(), scratch(1)});
        }
    }

    // Scratch of the parameter gradients begins with three results and the partial sums of all dispatches.
    Binding partials() const { return {Binding::scratch, 0, launch_.result_offset + partial_offset}; }
    void add_partials(const char *name, std::initializer_list<Binding> bindings) {
        SpatialParams p = base_;
        p.groups = int32_t(groups_of_partials());
        p.first_group = int32_t(next_group_);
        p.all_groups = int32_t(all_groups_);
        add(name, true, bindings, p.groups, p);
        next_group_ += p.groups;
    }

  public:
    static constexpr int64_t partial_offset = 16; // bytes
    // Reserves room for the partial sums of `times` calls of build().
    void reserve_partials(int64_t times) {
        const int images = design_ == Design::plain ? 0 : scratch_images();
        all_groups_ = groups_of_partials() * ceil_div(planes_, chunk_planes(images)) * times;
        to_int(all_groups_, "the number of partial sums");
        reserved_ = ceil_div(partial_offset + 3 * all_groups_ * int64_t(sizeof(float)), 256) * 256;
        launch_.scratch_bytes = reserved_;
    }
    void add_total() {
        SpatialParams p = shape_;
        p.all_groups = int32_t(all_groups_);
        image_bytes_ = 0;
        add("spatial_parameter_gradients_total", false, {partials(), {Binding::scratch, 0, launch_.result_offset}}, 1,
            p);
    }

  private:
    const Problem &problem_;
    const LaunchOptions &options_;
    Launch &launch_;
    const char *type_;
    Walk measured_ = {};
    Design design_ = Design::general;
    SpatialParams shape_ = {}, base_ = {};
    int64_t planes_ = 0, image_bytes_ = 0, reserved_ = 0, all_groups_ = 0, next_group_ = 0;
    const int64_t *offsets_ = nullptr;
};

} // namespace

Launch make_launch(const Problem &problem, const LaunchOptions &options) {
    Launch launch;
    const bool reduction = problem.pass == SN_PARAMETER_GRADIENTS;
    if (problem.elements == 0) return launch;
    Builder builder(problem, options, launch);
    const int outer = std::max(0, problem.n_batch - SPATIAL_BATCH_AXES);
    int64_t times = 1;
    for (int axis = 0; axis < outer; ++axis) times *= problem.batch[axis];
    if (reduction) builder.reserve_partials(times);
    for (int64_t time = 0; time < times; ++time) {
        int64_t offsets[max_operands] = {}, index = time;
        for (int axis = outer - 1; axis >= 0; --axis) {
            for (int i = 0; i < problem.n_images; ++i)
                offsets[i] += index % problem.batch[axis] * problem.operands[i].batch[axis];
            index /= problem.batch[axis];
        }
        builder.build(offsets);
    }
    if (reduction) builder.add_total();
    return launch;
}

} // namespace sn
