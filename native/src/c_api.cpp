// The C interface. Exceptions end here: this file holds the library's only try and catch.
#include "cpu/dispatch.h"
#include "cpu/pool.h"
#include "device.h"
#include "error.h"
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#define SN_TEXT2(x) #x
#define SN_TEXT(x) SN_TEXT2(x)
#ifndef SN_VERSION
#  error "SN_VERSION must be defined by the build"
#endif

namespace {

thread_local char last_error[480] = "";

void remember(const char *message) { std::snprintf(last_error, sizeof last_error, "%s", message); }

template <class Call> sn_status guarded(Call call) noexcept {
    try {
        call();
        return SN_OK;
    } catch (const sn::Error &error) {
        remember(error.message);
        return error.status;
    } catch (const std::bad_alloc &) {
        remember("out of memory");
        return SN_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        remember(error.what());
        return SN_INTERNAL_ERROR;
    } catch (...) {
        remember("unknown failure");
        return SN_INTERNAL_ERROR;
    }
}

void create(const sn_params *params, sn_pass pass, sn_device device, const sn_array *operands, int n_operands,
            int axis_height, int axis_width, sn_plan **plan) {
    if (!plan) sn::fail(SN_INVALID_ARGUMENT, "plan must not be NULL");
    sn::Problem problem;
    sn::validate(params, pass, operands, n_operands, axis_height, axis_width, problem);
    *plan = sn::make_plan(device, problem).release();
}

// The same bits as sn::check_overlap, which is asked where an input and the output are not far apart.
unsigned check_run(const sn_plan *plan, void *const *data, int n_data) {
    if (!plan) sn::fail(SN_INVALID_ARGUMENT, "plan must not be NULL");
    const sn::Problem &problem = plan->problem;
    if (n_data != problem.n_operands || !data)
        sn::fail(SN_INVALID_ARGUMENT, "data must hold the plan's %d pointers, not %d", problem.n_operands,
                 data ? int(n_data) : 0);
    for (int i = 0; i < n_data; ++i) // images without elements may be nowhere
        if (!data[i] && (problem.elements != 0 || i >= problem.n_images))
            sn::fail(SN_INVALID_ARGUMENT, "data[%d] (%s) must not be NULL", i, problem.operands[i].name);
    const int output = n_data - 1;
    for (int i = 0; i < output; ++i)
        if (!sn::apart(problem.operands[i], data[i], problem.operands[output], data[output]))
            return sn::check_overlap(problem, data);
    return 0;
}

} // namespace

extern "C" {

sn_status sn_plan_create_nd(const sn_params *params, sn_pass pass, sn_device device, const sn_array *operands,
                            int32_t n_operands, int32_t axis_height, int32_t axis_width, sn_plan **plan) {
    return guarded([&] { create(params, pass, device, operands, n_operands, axis_height, axis_width, plan); });
}

sn_status sn_plan_create(const sn_params *params, sn_pass pass, sn_device device, const sn_tensor *operands,
                         int32_t n_operands, sn_plan **plan) {
    return guarded([&] {
        if (!operands) sn::fail(SN_INVALID_ARGUMENT, "operands must not be NULL");
        if (n_operands < 1 || n_operands > sn::max_operands)
            sn::fail(SN_INVALID_ARGUMENT, "n_operands must be 1 to %d, not %d", sn::max_operands, int(n_operands));
        sn_array arrays[sn::max_operands];
        int64_t strides[sn::max_operands][4];
        for (int i = 0; i < n_operands; ++i) {
            const int64_t size = sn::itemsize(operands[i].dtype); // 0 if unknown, which validate() refuses
            for (int k = 0; k < 4; ++k)
                if (__builtin_mul_overflow(operands[i].strides[k], size, &strides[i][k]))
                    sn::fail(SN_INVALID_ARGUMENT, "stride %d of operand %d does not fit 64 bits in bytes", k, i);
            arrays[i] = {operands[i].data, operands[i].shape, strides[i], 4, operands[i].dtype};
        }
        create(params, pass, device, arrays, n_operands, 2, 3, plan);
    });
}

sn_status sn_plan_run(const sn_plan *plan, void *const *data, int32_t n_data) {
    return guarded([&] {
        const unsigned in_place = check_run(plan, data, n_data);
        plan->run(data, in_place);
    });
}

sn_status sn_plans_run(const sn_run *runs, int32_t n_runs) {
    return guarded([&] {
        if (n_runs < 0 || (n_runs && !runs))
            sn::fail(SN_INVALID_ARGUMENT, "runs must hold n_runs >= 0 runs, not %d", runs ? int(n_runs) : 0);
        std::vector<sn::PlanRun> checked;
        checked.reserve(size_t(n_runs));
        for (int i = 0; i < n_runs; ++i)
            checked.push_back({runs[i].plan, runs[i].data, check_run(runs[i].plan, runs[i].data, runs[i].n_data)});
        for (size_t first = 0, end; first < checked.size(); first = end) {
            const void *const sequence = checked[first].plan->sequence();
            for (end = first + 1; end < checked.size() && checked[end].plan->sequence() == sequence;) ++end;
            checked[first].plan->run_sequence(&checked[first], int(end - first));
        }
    });
}

void sn_plan_destroy(sn_plan *plan) { delete plan; }

const char *sn_last_error(void) { return last_error; }
uint32_t sn_abi_version(void) { return SN_ABI_VERSION; }
const char *sn_version(void) { return SN_TEXT(SN_VERSION); }

const char *sn_isa(void) {
    const char *name = "";
    (void)guarded([&] { name = sn::cpu::target().name; });
    return name;
}

sn_status sn_set_num_threads(int32_t n) {
    return guarded([&] {
        if (n < 0) sn::fail(SN_INVALID_ARGUMENT, "n must be at least 1, or 0 for the default, not %d", int(n));
        sn::cpu::set_num_threads(n);
    });
}

int32_t sn_get_num_threads(void) { return sn::cpu::num_threads(); }

int32_t sn_device_count(void) { return sn::device_count(); }

sn_status sn_get_device_info(int32_t index, sn_device_info *info) {
    return guarded([&] {
        if (!info) sn::fail(SN_INVALID_ARGUMENT, "info must not be NULL");
        sn::describe_device(index, *info);
    });
}

} // extern "C"
