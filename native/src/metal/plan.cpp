// The Metal device's plans: the kernels of a launch, encoded for the memory of each run.
#include "device.h"
#include "error.h"
#include "gpu.h"
#include "launch.h"
#include "operation.h"
#include "packing.h"
#include "stats.h"
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

namespace sn::metal {
namespace {

// A bit for each image operand.
using Operands = unsigned;

class MetalPlan : public sn_plan {
  public:
    MetalPlan(const Problem &problem, Gpu &gpu) : sn_plan(problem), gpu_(gpu) {
        for (int i = 0; i < problem.n_images; ++i) {
            const Layout &a = problem.operands[i];
            const int64_t size = itemsize(a.dtype);
            bool whole = a.height % size == 0 && a.width % size == 0;
            for (int k = 0; k < problem.n_batch; ++k) whole = whole && a.batch[k] % size == 0;
            if (!whole) misaligned_ |= 1u << i;
        }
        if (problem.elements != 0) (void)variant(misaligned_, true); // now, so that errors come now
    }

    void run(void *const *data, unsigned in_place) const override {
        const PlanRun one = {this, data, in_place};
        run_sequence(&one, 1);
    }

    const void *sequence() const override { return &gpu_; }
    void run_sequence(const PlanRun *runs, int n) const override;

  private:
    friend class Sequence;

    // The launch for operands of which some are packed copies, and all or not all start at 16 bytes.
    struct Variant {
        std::array<std::unique_ptr<Packing>, max_operands> packings; // of the copies
        Launch launch;
        std::vector<MTL::ComputePipelineState *> pipelines; // of its dispatches
    };

    struct Operand {
        Buffer wrapped; // or a copy:
        Loan loan;
        int64_t offset = 0; // of element 0
        MTL::Buffer *buffer() const { return wrapped ? wrapped.get() : loan.get(); }
    };

    bool sums_only() const { return problem.n_images < problem.n_operands; }

    // Wraps the operands' own memory. Returns those that need a copy instead: their address or strides are no
    // multiples of their itemsize, the system refuses, or they are an output that is an input too, of which one
    // threadgroup would read what another has written (no thread of an element-wise kernel does).
    Operands wrap(void *const *data, unsigned in_place, Operand *operands) const {
        Operands staged = 0;
        for (int i = 0; i < problem.n_images; ++i) {
            const char *const start = static_cast<const char *>(data[i]);
            const Layout &a = problem.operands[i];
            const auto size = uintptr_t(itemsize(a.dtype));
            const bool output = i == problem.n_operands - 1;
            if (output && in_place && !problem.operation->elementwise) ++stats.in_place_buffers;
            else if (misaligned_ >> i & 1 || uintptr_t(start) % size) ++stats.misaligned_buffers;
            else {
                operands[i].wrapped = gpu_.wrap(start + a.first, start + a.last, operands[i].offset);
                operands[i].offset -= a.first;
                if (operands[i].wrapped) {
                    ++stats.wrapped_buffers;
                    continue;
                }
                ++stats.refused_buffers;
            }
            staged |= 1u << i;
        }
        return staged;
    }

    void gather(void *const *data, Operands staged, const Variant &chosen, Operand *operands) const {
        for (int i = 0; i < problem.n_images; ++i) {
            if (!(staged >> i & 1)) continue;
            const Packing &packing = *chosen.packings[size_t(i)];
            operands[i].loan = Loan(gpu_, packing.bytes());
            operands[i].offset = 0;
            if (i < problem.n_operands - 1) packing.gather(data[i], operands[i].loan.contents());
            ++stats.staged_buffers;
            stats.staged_bytes += packing.bytes();
        }
    }

    // Dispatches of one encoder run one after another.
    static void encode(const Variant &chosen, const Operand *operands, MTL::Buffer *scratch,
                       MTL::ComputeCommandEncoder *encoder) {
        for (size_t i = 0; i < chosen.pipelines.size(); ++i) {
            const Dispatch &d = chosen.launch.dispatches[i];
            encoder->setComputePipelineState(chosen.pipelines[i]);
            for (int k = 0; k < d.n_bindings; ++k) {
                const Binding &b = d.bindings[k];
                const bool operand = b.kind == Binding::operand;
                encoder->setBuffer(operand ? operands[b.index].buffer() : scratch,
                                   NS::UInteger(b.offset + (operand ? operands[b.index].offset : 0)), NS::UInteger(k));
            }
            encoder->setBytes(&d.params, sizeof d.params, NS::UInteger(d.n_bindings));
            encoder->dispatchThreadgroups(MTL::Size(d.groups, 1, 1), MTL::Size(d.threads, 1, 1));
        }
    }

    // The kernels add in float32; the result is exact in float64.
    static void finish(const char *sums, void *output) {
        float from[3] = {0, 0, 0};
        if (sums) std::memcpy(from, sums, sizeof from);
        const double result[3] = {from[0], from[1], from[2]};
        std::memcpy(output, result, sizeof result);
    }

    const Variant &variant(Operands staged, bool aligned) const {
        std::lock_guard<std::mutex> lock(mutex_);
        std::unique_ptr<const Variant> &made = variants_[staged * 2 + aligned];
        if (!made) made = make_variant(staged, aligned);
        return *made;
    }

    std::unique_ptr<Variant> make_variant(Operands staged, bool aligned) const {
        auto made = std::make_unique<Variant>();
        Problem packed = problem;
        for (int i = 0; i < problem.n_images; ++i) {
            if (!(staged >> i & 1)) continue;
            made->packings[size_t(i)] = std::make_unique<Packing>(problem, i);
            packed.operands[i] = made->packings[size_t(i)]->layout();
        }
        LaunchOptions options;
        options.aligned = aligned;
        // The fastest design asks most of the device: threads that have many registers, simdgroups of 32.
        for (const Design design : {Design::automatic, Design::general, Design::plain}) {
            options.design = design;
            made->launch = make_launch(packed, options);
            if (find_pipelines(*made, design == Design::automatic)) return made;
        }
        fail(SN_UNSUPPORTED, "device \"metal\" (%s) cannot run threadgroups of %u threads", gpu_.name(),
             made->launch.dispatches[0].threads);
    }

    bool find_pipelines(Variant &made, bool simdgroups) const {
        made.pipelines.clear();
        for (const Dispatch &d : made.launch.dispatches) {
            MTL::ComputePipelineState *const state = gpu_.pipeline(d.kernel);
            if (state->maxTotalThreadsPerThreadgroup() < d.threads) return false;
            if (simdgroups && state->threadExecutionWidth() != 32) return false;
            made.pipelines.push_back(state);
        }
        return true;
    }

    Gpu &gpu_;
    Operands misaligned_ = 0; // by their strides
    // Made when first needed: a plan does not know how the memory of its runs will lie.
    mutable std::mutex mutex_;
    mutable std::array<std::unique_ptr<const Variant>, 2u << max_operands> variants_;
};

// Runs that share a command buffer, until one of them must be complete before the next can be prepared.
class Sequence {
  public:
    explicit Sequence(Gpu &gpu) : gpu_(gpu) {}
    Sequence(const Sequence &) = delete;
    Sequence &operator=(const Sequence &) = delete;
    ~Sequence() {
        if (encoder_) encoder_->endEncoding(); // after a failure: never committed
    }

    void add(const PlanRun &run) {
        const auto &plan = static_cast<const MetalPlan &>(*run.plan);
        const Problem &problem = plan.problem;
        void *const output = run.data[problem.n_operands - 1];
        if (problem.elements == 0) {
            if (plan.sums_only()) MetalPlan::finish(nullptr, output);
            return;
        }
        Pending now;
        now.plan = &plan;
        now.data = run.data;
        now.staged = plan.wrap(run.data, run.in_place, now.operands);
        if (must_wait(now)) complete();
        bool aligned = true;
        for (int i = 0; i < problem.n_images; ++i)
            aligned = aligned && (now.staged >> i & 1 || uintptr_t(run.data[i]) % 16 == 0);
        now.variant = &plan.variant(now.staged, aligned);
        plan.gather(run.data, now.staged, *now.variant, now.operands);
        if (now.variant->launch.scratch_bytes) now.scratch = Loan(gpu_, now.variant->launch.scratch_bytes);
        begin();
        // Two buffers may be one memory, so that the system does not see that one run needs another's result.
        if (!pending_.empty()) encoder_->memoryBarrier(MTL::BarrierScopeBuffers);
        MetalPlan::encode(*now.variant, now.operands, now.scratch.get(), encoder_);
        pending_.push_back(std::move(now));
    }

    // Commits, waits, and copies what was staged to where it belongs.
    void complete() {
        if (!encoder_) return;
        std::exchange(encoder_, nullptr)->endEncoding();
        commands_->commit();
        ++stats.command_buffers;
        commands_->waitUntilCompleted(); // whatever the outcome, nothing uses the operands after this
        if (commands_->status() != MTL::CommandBufferStatusCompleted) {
            const NS::Error *const error = commands_->error();
            const bool memory = error && error->code() == MTL::CommandBufferErrorOutOfMemory;
            fail(memory ? SN_OUT_OF_MEMORY : SN_DEVICE_ERROR, "device \"metal\" (%s) failed: %s", gpu_.name(),
                 words(error));
        }
        for (Pending &done : pending_) {
            const auto last = size_t(done.plan->problem.n_operands - 1);
            void *const output = done.data[last];
            if (done.plan->sums_only())
                MetalPlan::finish(
                    static_cast<const char *>(done.scratch.contents()) + done.variant->launch.result_offset, output);
            else if (done.staged >> last & 1)
                done.variant->packings[last]->scatter(done.operands[last].loan.contents(), output);
            ++stats.runs;
        }
        pending_.clear();
    }

  private:
    struct Pending {
        const MetalPlan *plan = nullptr;
        void *const *data = nullptr;
        Operands staged = 0;
        MetalPlan::Operand operands[max_operands];
        const MetalPlan::Variant *variant = nullptr;
        Loan scratch;
    };

    void begin() {
        if (encoder_) return;
        commands_ = gpu_.queue()->commandBuffer();
        encoder_ = commands_ ? commands_->computeCommandEncoder() : nullptr;
        if (!encoder_) fail(SN_DEVICE_ERROR, "device \"metal\" (%s) gave no command buffer", gpu_.name());
    }

    static bool meet(const Pending &a, int i, const Pending &b, int j) {
        const Layout &p = a.plan->problem.operands[i], &q = b.plan->problem.operands[j];
        const char *const from = static_cast<const char *>(a.data[i]), *const to = static_cast<const char *>(b.data[j]);
        return uintptr_t(from) + uintptr_t(p.first) < uintptr_t(to) + uintptr_t(q.last) &&
               uintptr_t(to) + uintptr_t(q.first) < uintptr_t(from) + uintptr_t(p.last);
    }

    // Copies are made before the command buffer runs, and back when it has. Must one of them see, or not see yet,
    // what runs of this command buffer write?
    bool must_wait(const Pending &now) const {
        for (const Pending &before : pending_) {
            const int written = before.plan->problem.n_operands - 1, output = now.plan->problem.n_operands - 1;
            const bool later = before.plan->sums_only() || (before.staged >> written & 1);
            for (int i = 0; i < now.plan->problem.n_operands; ++i)
                if ((later || (i < output && now.staged >> i & 1)) && meet(now, i, before, written)) return true;
        }
        return false;
    }

    Gpu &gpu_;
    MTL::CommandBuffer *commands_ = nullptr;
    MTL::ComputeCommandEncoder *encoder_ = nullptr;
    std::vector<Pending> pending_;
};

void MetalPlan::run_sequence(const PlanRun *runs, int n) const {
    bool work = false;
    for (int i = 0; i < n; ++i) work = work || runs[i].plan->problem.elements != 0;
    if (work && forked()) fail(SN_DEVICE_ERROR, "device \"metal\" is %s", forked_reason);
    std::optional<AutoreleaseScope> scope; // an empty problem touches no Metal, as in a forked child
    if (work) scope.emplace();
    Sequence sequence(gpu_);
    for (int i = 0; i < n; ++i) sequence.add(runs[i]);
    sequence.complete();
}

constexpr const char *no_device = "no Metal device was found on this machine";

// Texts that live as long as the library.
const char *keep(const std::string &text) {
    static std::mutex mutex;
    static auto *texts = new std::set<std::string>;
    std::lock_guard<std::mutex> lock(mutex);
    return texts->insert(text).first->c_str();
}

int count() { return forked() || gpus().empty() ? 1 : int(gpus().size()); }

void describe(int index, sn_device_info &info) {
    info.name = "Metal";
    info.available = 0;
    if (forked()) {
        info.description = forked_reason;
    } else if (gpus().empty()) {
        info.description = no_device;
    } else {
        Gpu &gpu = *gpus()[size_t(index)];
        const std::string failure = gpu.last_failure();
        info.name = gpu.name();
        info.available = failure.empty();
        info.description =
            failure.empty() ? gpu.description() : keep("not usable, its kernels do not compile: " + failure);
    }
}

std::unique_ptr<sn_plan> make_plan(int index, const Problem &problem) {
    for (int i = 0; i < problem.n_images; ++i)
        if (problem.operands[i].dtype == SN_FLOAT64)
            fail(SN_INVALID_TYPE,
                 "device \"metal\" has no float64, since Metal has no double: convert to float32 or use "
                 "device=\"cpu\"");
    if (forked()) fail(SN_UNSUPPORTED, "device \"metal\" is %s", forked_reason);
    if (gpus().empty()) fail(SN_UNSUPPORTED, "device \"metal\": %s", no_device);
    return std::make_unique<MetalPlan>(problem, *gpus()[size_t(index)]);
}

} // namespace
} // namespace sn::metal

namespace sn {

const Backend metal_backend = {"metal", SN_DEVICE_METAL, metal::count, metal::describe, metal::make_plan};

} // namespace sn
