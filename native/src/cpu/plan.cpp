// The CPU device: makes spatial plans, cuts their work into pieces, runs the pieces on the pool.
#include "device.h"
#include "dispatch.h"
#include "elementwise.h"
#include "error.h"
#include "operation.h"
#include "pool.h"
#include "scratch.h"
#include "scratch_layout.h"
#include "vec/inline.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

namespace sn {
namespace cpu {
namespace {

// Work below this many samples stays on the caller: waking a thread costs as much.
constexpr int64_t samples_per_thread = 32768;
// Larger outputs are not found in a cache by those who read them next; stored past the caches, they are not read
// from memory first.
constexpr int64_t streamed_bytes = int64_t(4) << 20;
// Rows of a piece of the parameter gradients: fixed, so that the sums do not depend on how work is split.
constexpr int64_t band_rows = 64;
// Channels of a block where all of them would make too long a step (NHWC with many channels, wide windows).
constexpr int64_t channel_group = 64, longest_halo = 4096;

// What the rows that a tile works on may take of the second cache, as measured where that has 2 MiB.
constexpr int64_t rows_in_cache = int64_t(33) << 15;

template <class T> const SpatialKernels<T> &kernels(const Target &target);
template <> const SpatialKernels<float> &kernels(const Target &target) { return target.f32; }
template <> const SpatialKernels<double> &kernels(const Target &target) { return target.f64; }

// The nearest finite T, as on Metal: an infinity would turn the sum of a window of zeros into nan.
template <class T> T to_finite(double value) {
    constexpr double most = double(std::numeric_limits<T>::max());
    return T(std::clamp(value, -most, most));
}

template <class T> using Kernel = void (*)(const SpatialJob<T> &, const Piece &);

template <class T> Kernel<T> choose_kernel(const SpatialKernels<T> &k, const Problem &problem) {
    switch (problem.pass) {
    case SN_FORWARD: return k.spatial_forward;
    case SN_GRADIENT:
        return problem.spatial.gradient == SN_GRADIENT_EXACT ? k.spatial_gradient : k.spatial_gradient_documented;
    case SN_JVP: return k.spatial_jvp;
    case SN_PARAMETER_GRADIENTS: return k.spatial_parameter_gradients;
    }
    fail(SN_INTERNAL_ERROR, "no CPU kernel for pass %d", int(problem.pass));
}

std::atomic<uint64_t> plans_made{0};

template <class T> class SpatialPlan final : public sn_plan {
    // Blocks of one width I, side by side along the inner axis, and those of the channels that are left over.
    struct Group {
        SpatialJob<T> job;
        int64_t first_channel, count; // of blocks along the inner axis
        int64_t tile;                 // columns of a piece
        bool alike;                   // rows are long, and their alignment is one and the same
    };
    const SpatialKernels<T> &all;
    const Kernel<T> kernel;
    std::shared_ptr<const PowerTable<T>> power, power_plus;
    Group groups[2];
    int n_groups = 0;
    int inner = -1;       // the batch axis that is a block's innermost, or -1
    bool across = false;  // and its planes are narrow ones, max_lanes in a block
    int64_t channels = 1; // of the inner axis
    int64_t blocks_outer = 1;
    const uint64_t id = ++plans_made; // never that of another plan
    Reach halo;                       // rows that a piece reads above and below its own
    bool small = false;               // so little work that the caller does it, a block to a piece

    bool exact_gradient() const { return cpu::exact_gradient(problem); }
    bool sums_only() const { return problem.pass == SN_PARAMETER_GRADIENTS; }
    int n_inputs() const { return problem.n_operands - 1; }

    // NHWC and its kin: the last batch axis is contiguous, in most operands, where the width is not.
    void choose_inner_axis() {
        const int last = problem.n_batch - 1;
        if (last < 0) return;
        const int64_t size = itemsize(problem.dtype);
        int votes = 0;
        for (int i = 0; i < problem.n_images; ++i) {
            const Layout &a = problem.operands[i];
            votes += (a.batch[last] == size) - (a.width == size || problem.width == 1 ? 1 : 0);
        }
        if (votes <= 0) return choose_axis_across();
        inner = last;
        channels = problem.batch[last];
    }

    // Many narrow planes with contiguous rows: the longest batch axis.
    void choose_axis_across() {
        const int64_t size = itemsize(problem.dtype);
        if (problem.width > most_across || problem.width < 4) return;
        for (int i = 0; i < problem.n_images; ++i)
            if (problem.operands[i].width != size) return;
        int longest = 0;
        for (int k = 1; k < problem.n_batch; ++k)
            if (problem.batch[k] > problem.batch[longest]) longest = k;
        if (problem.batch[longest] < max_lanes) return;
        inner = longest;
        across = true;
        channels = problem.batch[longest];
    }

    Access access(const Layout &a, int64_t I) const {
        const int64_t size = itemsize(problem.dtype);
        Access r{a.height, a.width, inner < 0 ? 0 : a.batch[inner], false, across && I == max_lanes, false};
        const bool inner_dense = inner < 0 || r.inner == size || I == 1;
        r.dense = inner_dense && (problem.width == 1 || r.width == I * size);
        if (r.across) r.dense = false;
        r.direct = r.dense && size == int64_t(sizeof(T));
        return r;
    }

    void make_group(int64_t I, int64_t first_channel, int64_t count) {
        Group &group = groups[n_groups++];
        group.first_channel = first_channel;
        group.count = count;
        SpatialJob<T> &job = group.job;
        const sn_spatial_params &p = problem.spatial;
        const int64_t H = problem.height, W = problem.width;
        const double area = double(p.kernel_height) * double(p.kernel_width);
        job.dtype = problem.dtype;
        job.H = H, job.W = W, job.I = I, job.L = W * I;
        const Reach full{p.kernel_height / 2, (p.kernel_height - 1) / 2, p.kernel_width / 2, (p.kernel_width - 1) / 2};
        job.reach = {std::min(full.up, H - 1), std::min(full.down, H - 1), std::min(full.left, W - 1),
                     std::min(full.right, W - 1)};
        job.clamp = p.edge == SN_EDGE_CLAMP;
        job.beyond = {full.up - job.reach.up, full.down - job.reach.down, full.left - job.reach.left,
                      full.right - job.reach.right};
        if (!job.clamp) job.beyond = {0, 0, 0, 0};
        job.scale = to_finite<T>(p.alpha / area);
        const bool clipped = double(job.scale) == double(std::numeric_limits<T>::max());
        job.scale_rest = clipped ? T(0) : T(p.alpha / area - double(job.scale));
        job.delta = to_finite<T>(p.delta);
        const bool documented = problem.pass == SN_GRADIENT && !exact_gradient();
        job.factor = to_finite<T>(documented ? 2 * p.alpha * p.beta : 2 * p.alpha * p.beta / area);
        job.power = power.get();
        job.power_plus = power_plus.get();
        for (int i = 0; i < n_inputs(); ++i) {
            job.in[i] = access(problem.operands[i], I);
            job.one_use[i] = i == 0 && (exact_gradient() || sums_only());
        }
        if (!sums_only()) job.out = access(problem.operands[n_inputs()], I);
        job.stream = job.out.dense && problem.elements * itemsize(problem.dtype) >= streamed_bytes;
        const Access &most = job.in[n_inputs() - 1];
        group.alike = most.dense && job.L >= aligned_samples && !sums_only() &&
                      most.height % (max_lanes * itemsize(problem.dtype)) == 0;
        choose_tile(group);
        lay_out(group);
    }

    int64_t halo_columns(const SpatialJob<T> &job) const {
        return (job.reach.left + job.reach.right) * job.I * (exact_gradient() ? 2 : 1);
    }

    // Rows that a batch finds in the second cache if they fit: of inputs, of u and g (the gradient's rings), of sums.
    int64_t rows_at_work(const SpatialJob<T> &job) const {
        const int64_t up = job.reach.up, window = up + job.reach.down, sums = batch_rows + window / 8;
        const int64_t batch = window + batch_rows;
        if (exact_gradient()) return (batch + up) + batch + (up + batch_rows) + 2 * sums;
        return n_inputs() * batch + (problem.pass == SN_FORWARD ? 1 : 2) * sums;
    }

    // Wide tiles: memory streams better than with tiles that fit the first cache, and the rows stay in the second.
    void choose_tile(Group &group) const {
        const SpatialJob<T> &job = group.job;
        const int64_t fitting = rows_in_cache / (rows_at_work(job) * int64_t(sizeof(T)));
        const int64_t least = round_up(8 * halo_columns(job), max_lanes);
        const int64_t most = std::max(least, std::min<int64_t>(24576 / sizeof(T), fitting));
        const int64_t tiles = (job.L + most - 1) / most;
        group.tile = round_up((job.L + tiles - 1) / tiles, max_lanes);
    }

    void lay_out(Group &group) const { lay_out_scratch(group.job, problem, std::min(group.tile, group.job.L)); }

    const char *block_start(const Layout &a, const char *base, int64_t outer) const {
        for (int k = problem.n_batch - 1; k >= 0; --k) {
            if (k == inner) continue;
            base += outer % problem.batch[k] * a.batch[k];
            outer /= problem.batch[k];
        }
        return base;
    }

    // How far a block's rows begin beyond an aligned vector; 0 if they differ, or are too short to mind.
    int64_t offset_of(const Group &group, const char *base) const {
        if (!group.alike) return 0;
        const int64_t size = itemsize(problem.dtype);
        return uintptr_t(base) % size == 0 ? int64_t(uintptr_t(base) / size % max_lanes) : 0;
    }

    struct Cut { // of one group's blocks
        int64_t blocks, strips, strip_rows, tiles, tile;
        int64_t pieces() const { return blocks * strips * tiles; }
    };

    Cut cut(const Group &group, int threads, unsigned in_place) const {
        const SpatialJob<T> &job = group.job;
        Cut c;
        c.blocks = blocks_outer * group.count;
        c.tile = in_place ? job.L : group.tile;
        c.tiles = (job.L + c.tile - 1) / c.tile;
        c.strips = 1;
        if (sums_only()) {
            c.strip_rows = band_rows;
            c.strips = (job.H + band_rows - 1) / band_rows;
            return c;
        }
        if (threads > 1) {
            const int64_t some = in_place ? threads : 4 * int64_t(threads);
            const int64_t least_rows = std::max<int64_t>(32, 2 * (halo.up + halo.down));
            const int64_t in_strip = c.blocks * c.tiles;
            c.strips = std::max<int64_t>(1, std::min((some + in_strip - 1) / in_strip, job.H / least_rows));
            // As many pieces for every thread, or nearly: else some more strips, if there are any that do.
            auto idle = [&](int64_t strips) {
                const int64_t rounds = (strips * in_strip + threads - 1) / threads;
                return 16 * (rounds * threads - strips * in_strip) > strips * in_strip;
            };
            for (int64_t strips = c.strips; strips <= std::min(2 * c.strips, job.H / least_rows); ++strips)
                if (!idle(strips)) {
                    c.strips = strips;
                    break;
                }
        }
        c.strip_rows = round_up((job.H + c.strips - 1) / c.strips, batch_rows);
        c.strips = (job.H + c.strip_rows - 1) / c.strip_rows;
        return c;
    }

    // Saves, for every piece, the rows of the aliased inputs that other pieces will write before it reads them.
    int64_t saved_rows() const { return halo.up + halo.down; }

    void save(const Group &group, const Cut &c, int input, const char *base, T *saved) const {
        const SpatialJob<T> &job = group.job;
        for (int64_t b = 0; b < c.blocks; ++b)
            for (int64_t s = 0; s < c.strips; ++s) {
                const int64_t r0 = s * c.strip_rows, r1 = std::min(job.H, r0 + c.strip_rows);
                T *const to = saved + (b * c.strips + s) * saved_rows() * job.L;
                const char *const start = start_of(group, input, base, b);
                for (int64_t i = 0; i < saved_rows(); ++i) {
                    const int64_t row = i < halo.up ? r0 - halo.up + i : r1 + i - halo.up;
                    if (row >= 0 && row < job.H) all.load_row(job, input, start, row, to + i * job.L);
                }
            }
    }

    const char *start_of(const Group &group, int operand, const char *base, int64_t block) const {
        const Layout &a = problem.operands[operand];
        if (inner < 0) return block_start(a, base, block);
        const int64_t channel = group.first_channel + block % group.count * group.job.I;
        return block_start(a, base, block / group.count) + channel * a.batch[inner];
    }

    // What small plans need of run(), which for planes of a few samples costs more than the kernel.
    void run_small(void *const *data) const {
        const Group &group = groups[0];
        const SpatialJob<T> &job = group.job;
        Scratch memory(job.scratch.size * int64_t(sizeof(T)));
        Piece piece; // each member by itself: clearing all of it at once costs more
        piece.r0 = piece.c0 = 0, piece.r1 = job.H, piece.c1 = job.L;
        piece.aliased[0] = piece.aliased[1] = false;
        piece.in[1] = nullptr;
        piece.saved[0] = piece.saved[1] = nullptr;
        piece.saved_above = piece.saved_below = 0;
        piece.scratch = memory.data();
        piece.values = nullptr;
        uint64_t layout = memory.mark();
        const int64_t blocks = blocks_outer * group.count;
        for (int64_t b = 0; b < blocks; ++b) {
            auto start = [&](int operand) SN_LAMBDA {
                char *const base = static_cast<char *>(data[operand]);
                return blocks == 1 ? base : const_cast<char *>(start_of(group, operand, base, b));
            };
            for (int i = 0; i < n_inputs(); ++i) piece.in[i] = start(i);
            piece.out = start(n_inputs());
            piece.offset = offset_of(group, piece.in[n_inputs() - 1]);
            piece.clean = layout == mark(piece.offset);
            kernel(job, piece);
            layout = mark(piece.offset);
        }
        memory.leave_mark(layout);
    }

    // Of a scratch that a piece has left behind which was cleared for this plan and this offset.
    uint64_t mark(int64_t offset) const { return id * max_lanes + uint64_t(offset); }

    void finish_parameter_gradients(const double *values, int64_t n, void *out) const {
        double sum[3] = {0, 0, 0};
        for (int64_t i = 0; i < n; ++i)
            for (int k = 0; k < 3; ++k) sum[k] += values[3 * i + k];
        const sn_spatial_params &p = problem.spatial;
        const double area = double(p.kernel_height) * double(p.kernel_width);
        const double result[3] = {-p.beta / area * sum[0], -sum[1], -p.beta * sum[2]};
        std::memcpy(out, result, sizeof result);
    }

  public:
    explicit SpatialPlan(const Problem &p) : sn_plan(p), all(kernels<T>(target())), kernel(choose_kernel(all, p)) {
        const double floor = double(to_finite<T>(p.spatial.delta));
        power = power_table<T>(p.spatial.beta, floor);
        if (p.pass != SN_FORWARD) power_plus = power_table<T>(p.spatial.beta + 1, floor);
        if (problem.elements == 0) return;
        choose_inner_axis();
        blocks_outer = problem.planes / channels;
        const int64_t kw = std::min(p.spatial.kernel_width, 2 * problem.width - 1);
        const bool wide = (kw - 1) * channels > longest_halo;
        const int64_t I = across ? max_lanes : wide ? std::min(channels, channel_group) : channels;
        make_group(I, 0, channels / I);
        const int64_t done = channels / I * I;
        if (across && done < channels) make_group(1, done, channels - done);
        else if (done < channels) make_group(channels - done, done, 1);
        const Reach &r = groups[0].job.reach;
        halo = exact_gradient() ? Reach{r.up + r.down, r.up + r.down, 0, 0}
                                : Reach{std::max(r.up, r.down), std::max(r.up, r.down), 0, 0};
        small = n_groups == 1 && problem.elements < 2 * samples_per_thread && groups[0].tile >= groups[0].job.L &&
                !sums_only();
    }

    void run(void *const *data, unsigned in_place) const override {
        void *const output = data[problem.n_operands - 1];
        if (problem.elements == 0) {
            if (sums_only()) finish_parameter_gradients(nullptr, 0, output);
            return;
        }
        if (small && !in_place) return run_small(data);
        run_in_pieces(data, in_place);
    }

  private:
    // Apart from run(), whose small frame is a part of what small plans cost.
    [[gnu::noinline]] void run_in_pieces(void *const *data, unsigned in_place) const {
        void *const output = data[problem.n_operands - 1];
        const int threads =
            int(std::max<int64_t>(1, std::min<int64_t>(num_threads(), problem.elements / samples_per_thread)));
        // All memory first: nothing is written before it is there.
        Cut cuts[2];
        int64_t pieces = 0, scratch = 0, saved[2][2] = {}, total = 0;
        SpatialJob<T> whole[2]; // jobs for whole rows, where the output is an input
        for (int g = 0; g < n_groups; ++g) {
            cuts[g] = cut(groups[g], threads, in_place);
            pieces += cuts[g].pieces();
            if (in_place) {
                whole[g] = groups[g].job;
                whole[g].stream = false;
                lay_out_scratch(whole[g], problem, whole[g].L);
            }
            scratch = std::max(scratch, (in_place ? whole[g] : groups[g].job).scratch.size);
        }
        for (int g = 0; g < n_groups; ++g)
            for (int i = 0; i < n_inputs(); ++i)
                if ((in_place >> i & 1) && cuts[g].strips > 1) {
                    saved[g][i] = total + 1; // 0: none
                    total += cuts[g].blocks * cuts[g].strips * saved_rows() * groups[g].job.L;
                }
        total = round_up(total, max_lanes);
        const int workers = int(std::min<int64_t>(threads, pieces));
        const int64_t values = sums_only() ? round_up(3 * pieces, 8) : 0;
        Scratch memory(values * int64_t(sizeof(double)) + (total + workers * scratch) * int64_t(sizeof(T)));
        double *const sums = static_cast<double *>(memory.data());
        T *const saved_base = reinterpret_cast<T *>(sums + values), *const scratch_base = saved_base + total;
        for (int g = 0; g < n_groups; ++g)
            for (int i = 0; i < n_inputs(); ++i)
                if (saved[g][i])
                    save(groups[g], cuts[g], i, static_cast<const char *>(data[i]), saved_base + saved[g][i] - 1);

        // One layout for all pieces, and the caller alone: what is cleared stays clear, up to the next run.
        const bool one_layout = workers == 1 && n_groups == 1 && cuts[0].tiles == 1 && !in_place && !sums_only();
        uint64_t layout = one_layout ? memory.mark() : 0;
        auto work = [&](int64_t index, int worker) SN_LAMBDA {
            const int g = index < cuts[0].pieces() ? 0 : 1;
            const Group &group = groups[g];
            const SpatialJob<T> &job = in_place ? whole[g] : group.job;
            const Cut &c = cuts[g];
            const int64_t at = g ? index - cuts[0].pieces() : index;
            const int64_t tile = at % c.tiles, strip = at / c.tiles % c.strips, block = at / c.tiles / c.strips;
            Piece piece;
            piece.r0 = strip * c.strip_rows, piece.r1 = std::min(job.H, piece.r0 + c.strip_rows);
            piece.saved_above = halo.up, piece.saved_below = halo.down;
            for (int i = 0; i < n_inputs(); ++i) {
                piece.in[i] = start_of(group, i, static_cast<const char *>(data[i]), block);
                piece.aliased[i] = in_place >> i & 1;
                piece.saved[i] = saved[g][i]
                                     ? saved_base + saved[g][i] - 1 + (block * c.strips + strip) * saved_rows() * job.L
                                     : nullptr;
            }
            piece.out = sums_only()
                            ? nullptr
                            : const_cast<char *>(start_of(group, n_inputs(), static_cast<const char *>(output), block));
            // Tiles end where vectors do.
            const int64_t offset = offset_of(group, piece.in[n_inputs() - 1]);
            piece.c0 = tile ? tile * c.tile - offset : 0;
            piece.c1 = tile + 1 < c.tiles ? (tile + 1) * c.tile - offset : job.L;
            piece.offset = tile ? 0 : offset;
            piece.scratch = scratch_base + worker * scratch;
            piece.clean = one_layout && layout == mark(offset);
            piece.values = sums_only() ? sums + 3 * index : nullptr;
            kernel(job, piece);
            if (one_layout) layout = mark(offset);
        };
        if (workers == 1)
            for (int64_t i = 0; i < pieces; ++i) work(i, 0);
        else parallel_for(pieces, workers, work);
        if (one_layout) memory.leave_mark(layout);
        if (sums_only()) finish_parameter_gradients(sums, pieces, output);
    }
};

int count() { return 1; }

void describe(int, sn_device_info &info) {
    info.name = "CPU";
    try {
        info.description = target().name;
        info.available = 1;
    } catch (const Error &) {
        info.description = "SPATIALNORM_ISA names an instruction set that cannot run here";
        info.available = 0;
    }
}

std::unique_ptr<sn_plan> make_plan(int, const Problem &problem) {
    if (problem.operation->elementwise) return make_elementwise_plan(problem);
    if (problem.dtype == SN_FLOAT64) return std::make_unique<SpatialPlan<double>>(problem);
    return std::make_unique<SpatialPlan<float>>(problem);
}

} // namespace
} // namespace cpu

const Backend cpu_backend = {"cpu", SN_DEVICE_CPU, cpu::count, cpu::describe, cpu::make_plan};

} // namespace sn
