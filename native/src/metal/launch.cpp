#include "launch.h"
#include "launch_choice.h"
#include "launch_elementwise.h"
#include "operation.h"
#include <algorithm>
#include <cstdio>

namespace sn {
namespace {

// Builds the dispatches for the planes that one SpatialParams describes.
class Builder {
  public:
    Builder(const Problem &problem, const LaunchOptions &options, Launch &launch)
        : problem_(problem), options_(options), launch_(launch), type_(type_name(problem.dtype)),
          shape_(problem_params(problem)) {
        const Choice choice = choose(problem, shape_, options);
        design_ = choice.design;
        walk_ = choice.walk;
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
            case Design::planes: build_planes(); break;
            case Design::columns: build_columns(); break;
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
        return design_ == Design::simd || design_ == Design::interleaved || design_ == Design::strip ||
               design_ == Design::planes || design_ == Design::columns;
    }

    static constexpr int32_t simd_width = 32;
    bool is_gradient() const { return problem_.pass == SN_GRADIENT; }

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

    // Interleaved channels that can be read as whole vectors of `channels`.
    bool channels_aligned(int channels) const {
        constexpr int last = SPATIAL_BATCH_AXES - 1;
        bool whole = options_.aligned && shape_.inner % channels == 0;
        for (int i = 0; i < problem_.n_images; ++i) {
            const SpatialStrides &s = shape_.image[i];
            whole = whole && (shape_.inner == 1 || s.batch[last] == 1) && s.row % channels == 0 &&
                    s.column % channels == 0 && offsets_[i] % 16 == 0;
            for (int axis = 0; axis < last; ++axis) whole = whole && s.batch[axis] % channels == 0;
        }
        return whole;
    }

    // One dispatch of a kernel that walks down strips.
    void add_strips(SpatialParams &p, const char *design, int64_t side_by_side, int32_t threads, int32_t tasks_each) {
        set_segments(p, walk_, problem_.dtype, options_, side_by_side, threads, tasks_each);
        add_walk(p, design, ceil_div(p.tasks, tasks_each), threads);
    }
    // The same where each threadgroup has scratch of its own: so many planes at a time that it stays small.
    void add_strips_with_scratch(SpatialParams p) {
        constexpr int64_t each = SPATIAL_LONG_SCRATCH * int64_t(sizeof(float));
        const int64_t at_a_time = std::max<int64_t>(1, options_.scratch_limit / each / p.strips);
        const int32_t first = p.first_plane, planes = p.planes;
        for (int64_t plane = 0; plane < planes; plane += at_a_time) {
            p.first_plane = int32_t(first + plane);
            p.planes = int32_t(std::min(at_a_time, planes - plane));
            set_segments(p, walk_, problem_.dtype, options_, int64_t(p.planes) * p.strips, walk_.width, 1);
            image_bytes_ = p.tasks * each;
            add_walk(p, "strip", p.tasks, walk_.width, true);
        }
    }
    // One dispatch of a kernel for an odd square window; of gradients, some take scratch.
    void add_walk(const SpatialParams &p, const char *design, int64_t groups, int32_t threads,
                  bool with_scratch = false) {
        char name[64];
        std::snprintf(name, sizeof name, "spatial_%s_%s_%s_%d_%d", is_gradient() ? "gradient" : "forward", design,
                      type_, walk_.k, walk_.columns);
        Dispatch &d = with_scratch    ? add(name, false, {operand(0), operand(1), operand(2), scratch(0)}, groups, p)
                      : is_gradient() ? add(name, false, {operand(0), operand(1), operand(2)}, groups, p)
                                      : add(name, false, {operand(0), operand(1)}, groups, p);
        d.threads = uint32_t(threads);
    }

    // Columns that the kernel reads and writes together: all of a thread's, pairs, or single ones.
    int32_t together() const {
        return aligned(walk_.columns) ? walk_.columns : walk_.columns == 4 && aligned(2) ? 2 : 1;
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
        case SN_PARAMETER_GRADIENTS: return; // choose() never comes here with it
        }
    }

    // Whole planes side by side in a simdgroup, zeros between them.
    static void stand_side_by_side(SpatialParams &p, int32_t zeros) {
        p.strip_lanes = p.strip_outputs + zeros;
        p.strip_planes = simd_width / p.strip_lanes;
    }

    void build_columns() {
        const Walk &w = walk_;
        const int32_t reach = int32_t(ceil_div(w.k / 2, w.columns));
        SpatialParams p = base_;
        p.aligned = together();
        set_strips(p, simd_width, w.columns, 0, reach);
        stand_side_by_side(p, reach);
        p.segment = p.height;
        p.segments = 1;
        p.tasks = int32_t(ceil_div(p.planes, p.strip_planes));
        add_walk(p, "columns", ceil_div(p.tasks, SPATIAL_SIMDGROUPS), SPATIAL_SIMDGROUPS * simd_width);
    }

    void build_simd() {
        constexpr int32_t width = simd_width;
        const Walk &w = walk_;
        const int32_t reach = int32_t(ceil_div(w.k / 2, w.columns));
        SpatialParams p = base_;
        p.aligned = together();
        set_strips(p, width, w.columns, is_gradient() ? int32_t(ceil_div(w.k - 1, w.columns)) : reach, reach);
        if (p.strip_margin == 0) stand_side_by_side(p, reach);
        const int64_t side_by_side = ceil_div(p.planes, p.strip_planes) * p.strips;
        add_strips(p, "simd", side_by_side, SPATIAL_SIMDGROUPS * width, SPATIAL_SIMDGROUPS);
    }

    void build_interleaved() {
        const Walk &w = walk_;
        const int32_t reach = int32_t(ceil_div(w.k / 2, w.columns)), lanes = w.width / w.columns;
        SpatialParams p = base_;
        p.aligned = channels_aligned(w.channels) ? w.channels : SPATIAL_APART;
        set_strips(p, lanes, w.columns, is_gradient() ? 2 * reach : reach, 0);
        if (p.strips == 1) p.strip_lanes = p.strip_outputs;
        // Groups of channels: the last of an image may be smaller.
        p.planes = int32_t(p.planes / p.inner * ceil_div(p.inner, w.channels));
        add_strips(p, "interleaved", ceil_div(p.planes, w.lanes) * p.strips, p.strip_lanes * w.lanes, 1);
    }

    void build_strip() {
        const Walk &w = walk_;
        const int32_t lanes = w.width / w.columns, reach = int32_t(ceil_div(w.k / 2, w.columns));
        SpatialParams p = base_;
        p.aligned = together();
        // The gradient's margins for large windows are whole simdgroups, which leave out what they do not need.
        const int32_t twice = int32_t(ceil_div(w.k - 1, w.columns));
        const int32_t margin = w.k > SPATIAL_WIDE ? int32_t(ceil_div(twice, simd_width)) * simd_width : twice;
        set_strips(p, lanes, w.columns, is_gradient() ? margin : reach, lanes);
        if (walks_long(w) && itemsize(problem_.dtype) < int64_t(sizeof(float))) return add_strips_with_scratch(p);
        // The whole width between zeros, where margins are not part of the kernel.
        if (!walks_long(w) && ceil_div(p.width, w.columns) + 2 * reach <= lanes) {
            p.strip_margin = reach;
            p.strip_outputs = int32_t(ceil_div(p.width, w.columns));
            p.strips = 1;
        }
        add_strips(p, "strip", int64_t(p.planes) * p.strips, lanes, 1);
    }

    void build_planes() {
        SpatialParams p = base_;
        bool whole = options_.aligned;
        for (int i = 0; i < problem_.n_images; ++i) whole = whole && offsets_[i] % 16 == 0;
        p.aligned = !in_one_run(shape_, problem_.n_images) ? SPATIAL_APART : whole ? 4 : 1;
        add_walk(p, "planes", ceil_div(p.planes, SPATIAL_PLANES), SPATIAL_PLANES * walk_.width);
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
    SpatialParams shape_, base_ = {};
    Design design_ = Design::general;
    Walk walk_ = {};
    int64_t planes_ = 0, image_bytes_ = 0, reserved_ = 0, all_groups_ = 0, next_group_ = 0;
    const int64_t *offsets_ = nullptr;
};

} // namespace

Launch make_launch(const Problem &problem, const LaunchOptions &options) {
    if (problem.operation->elementwise) return make_elementwise_launch(problem);
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
