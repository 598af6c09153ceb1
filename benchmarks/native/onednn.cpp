// oneDNN's lrn_within_channel, forward and backward, in one memory layout: a peer of the benchmark.
//
// A handle holds the primitives and the data in that layout; no reorder is timed. Forward is the
// inference primitive; backward takes the workspace that a training run left, so that neither pays
// for the other.
#include <chrono>
#include <cstring>
#include <dnnl.hpp>
#include <exception>
#include <memory>
#include <string>
#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace dnnl;

namespace {

struct Lrn {
    engine cpu{engine::kind::cpu, 0};
    stream queue{cpu};
    memory x, y, dy, dx, workspace;
    lrn_forward forward, training;
    lrn_backward backward;
    bool trained = false;
    std::string implementation;

    Lrn(const memory::dims &shape, memory::format_tag layout, int size, float alpha, float beta, float k, float *user_x,
        float *user_dy) {
        const memory::desc plain(shape, memory::data_type::f32, memory::format_tag::nchw);
        const memory::desc desc(shape, memory::data_type::f32, layout);
        const auto kind = algorithm::lrn_within_channel;
        for (memory *m : {&x, &y, &dy, &dx}) *m = memory(desc, cpu);
        copy(memory(plain, cpu, user_x), x);
        copy(memory(plain, cpu, user_dy), dy);

        const auto inference = lrn_forward::primitive_desc({prop_kind::forward_inference, kind, desc, size, alpha, beta, k}, cpu);
        const auto hint = lrn_forward::primitive_desc({prop_kind::forward_training, kind, desc, size, alpha, beta, k}, cpu);
        const auto gradient = lrn_backward::primitive_desc({kind, desc, desc, size, alpha, beta, k}, cpu, hint);
        forward = lrn_forward(inference);
        training = lrn_forward(hint);
        backward = lrn_backward(gradient);
        implementation = std::string(inference.impl_info_str()) + " / " + gradient.impl_info_str();
        workspace = memory(hint.workspace_desc(), cpu);
    }

    void copy(memory from, memory to) {
        reorder(from, to).execute(queue, from, to);
        queue.wait();
    }

    void train() { // before the first gradient, which is never timed
        training.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}, {DNNL_ARG_WORKSPACE, workspace}});
        queue.wait();
        trained = true;
    }

    void run(int gradient) {
        if (gradient && !trained) train();
        if (gradient)
            backward.execute(queue, {{DNNL_ARG_SRC, x},
                                     {DNNL_ARG_DIFF_DST, dy},
                                     {DNNL_ARG_DIFF_SRC, dx},
                                     {DNNL_ARG_WORKSPACE, workspace}});
        else
            forward.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
        queue.wait();
    }

    void result(int gradient, float *user) {
        memory &from = gradient ? dx : y;
        copy(from, memory({from.get_desc().dims(), memory::data_type::f32, memory::format_tag::nchw}, cpu, user));
    }
};

thread_local std::string problem;

} // namespace

extern "C" {

const char *peer_problem() { return problem.c_str(); }

void *peer_open(const int64_t *shape, int layout, int size, float alpha, float beta, float k, int threads, float *x,
                float *dy) {
    const memory::format_tag layouts[] = {memory::format_tag::nchw, memory::format_tag::nhwc,
                                          memory::format_tag::nChw8c, memory::format_tag::nChw16c};
#if defined(_OPENMP)
    omp_set_num_threads(threads);
#endif
    try {
        return new Lrn({shape[0], shape[1], shape[2], shape[3]}, layouts[layout], size, alpha, beta, k, x, dy);
    } catch (const std::exception &error) {
        problem = error.what();
        return nullptr;
    }
}

double peer_seconds(void *handle, int gradient, int64_t number) {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < number; ++i) static_cast<Lrn *>(handle)->run(gradient);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Fills the result's memory with NaN, so that a check sees only what the next run wrote.
void peer_poison(void *handle, int gradient) {
    memory &out = gradient ? static_cast<Lrn *>(handle)->dx : static_cast<Lrn *>(handle)->y;
    std::memset(out.get_data_handle(), 0xff, out.get_desc().get_size());
}

void peer_result(void *handle, int gradient, float *out) { static_cast<Lrn *>(handle)->result(gradient, out); }

const char *peer_implementation(void *handle) { return static_cast<Lrn *>(handle)->implementation.c_str(); }

const char *peer_version() {
    static const dnnl_version_t *v = dnnl_version();
    static const std::string text = std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return text.c_str();
}

void peer_close(void *handle) { delete static_cast<Lrn *>(handle); }
}
