#include "elementwise.h"
#include "elementwise_rows.h"
#include "operation.h"
#include "ops/elementwise.h"
#include "pool.h"
#include <algorithm>

namespace sn {
namespace cpu {
namespace {

// Work below this many elements stays on the caller: waking a thread costs as much.
constexpr int64_t elements_per_thread = 1 << 17;
constexpr int64_t elements_per_task = 1 << 15;

class ElementwisePlan final : public sn_plan {
  public:
    explicit ElementwisePlan(const Problem &p) : sn_plan(p) {
        if (problem.elements == 0) return;
        axes_ = merge_axes(problem);
        if (axes_.n > 0) length_ = axes_.size[axes_.n - 1];
        rows_ = problem.elements / length_;
        parts_ = (length_ + elements_per_task - 1) / elements_per_task;
        rows_per_task_ = std::max<int64_t>(1, elements_per_task / length_);
        bool contiguous = true;
        for (int i = 0; i <= output(); ++i)
            contiguous = contiguous && (length_ == 1 || stride(i) == itemsize(problem.operands[i].dtype));
        loop_ = problem.operation->id == SN_ADD
                    ? add_loop(problem.dtype, contiguous)
                    : convert_loop(problem.dtype, problem.operands[output()].dtype, contiguous);
    }

    void run(void *const *data, unsigned) const override {
        if (problem.elements == 0) return;
        const int64_t tasks = (rows_ + rows_per_task_ - 1) / rows_per_task_ * parts_;
        const int64_t threads = std::min<int64_t>({num_threads(), problem.elements / elements_per_thread, tasks});
        auto work = [&](int64_t task, int) { run_task(data, task); };
        if (threads <= 1)
            for (int64_t task = 0; task < tasks; ++task) work(task, 0);
        else parallel_for(tasks, int(threads), work);
    }

  private:
    int output() const { return problem.n_operands - 1; }
    int64_t stride(int operand) const { return axes_.n > 0 ? axes_.stride[operand][axes_.n - 1] : 0; }

    // Several short rows, or a part of a long one.
    void run_task(void *const *data, int64_t task) const {
        const int64_t part = task % parts_, first = task / parts_ * rows_per_task_;
        const int64_t from = part * elements_per_task;
        Row row;
        row.n = parts_ == 1 ? length_ : std::min(elements_per_task, length_ - from);
        for (int i = 0; i < 2; ++i) row.in_stride[i] = i < output() ? stride(i) : 0;
        row.out_stride = stride(output());
        for (int64_t r = first; r < std::min(rows_, first + rows_per_task_); ++r) {
            int64_t offset[3];
            for (int i = 0; i <= output(); ++i) offset[i] = from * stride(i);
            int64_t index = r;
            for (int k = axes_.n - 2; k >= 0; --k) {
                const int64_t at = index % axes_.size[k];
                index /= axes_.size[k];
                for (int i = 0; i <= output(); ++i) offset[i] += at * axes_.stride[i][k];
            }
            for (int i = 0; i < 2; ++i)
                row.in[i] = i < output() ? static_cast<const char *>(data[i]) + offset[i] : nullptr;
            row.out = static_cast<char *>(data[output()]) + offset[output()];
            loop_(row);
        }
    }

    Axes axes_ = {};
    RowLoop loop_ = nullptr;
    int64_t length_ = 1, rows_ = 0, parts_ = 1, rows_per_task_ = 1; // of the innermost axis; of the others; of a row
};

} // namespace

std::unique_ptr<sn_plan> make_elementwise_plan(const Problem &problem) {
    return std::make_unique<ElementwisePlan>(problem);
}

} // namespace cpu
} // namespace sn
