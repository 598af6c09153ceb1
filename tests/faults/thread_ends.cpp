// Threads of callers: with the smallest stack that the system allows, and nothing left behind when they end.
#include "interposed.h"
#include "spatialnorm/spatialnorm.h"
#include <cstdio>
#include <initializer_list>
#include <unistd.h>

namespace {

constexpr int64_t height = 33, width = 70;
constexpr int64_t elements = height * width;

// Every pass and dtype on a small image; true if all succeed. No memory but the thread's own is written.
struct Work {
    uint64_t operands[3][elements];
    bool right;

    void run() {
        right = true;
        for (sn_pass pass : {SN_FORWARD, SN_GRADIENT, SN_JVP, SN_PARAMETER_GRADIENTS})
            for (sn_dtype dtype : {SN_FLOAT16, SN_BFLOAT16, SN_FLOAT32, SN_FLOAT64}) {
                sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
                params.kernel_height = 9;
                sn_tensor image = {nullptr, {1, 1, height, width}, {elements, elements, width, 1}, dtype};
                sn_tensor tensors[3] = {image, image, image};
                if (pass == SN_PARAMETER_GRADIENTS) tensors[2] = {nullptr, {1, 1, 1, 3}, {3, 3, 3, 1}, SN_FLOAT64};
                void *data[3] = {operands[0], operands[1], operands[2]};
                const int n = pass == SN_FORWARD ? 2 : 3;
                sn_plan *plan = nullptr;
                right = right && sn_plan_create(&params.header, pass, SN_DEVICE_CPU, tensors, n, &plan) == SN_OK &&
                        sn_plan_run(plan, data, n) == SN_OK;
                sn_plan_destroy(plan);
            }
    }
};
Work work;

int failures = 0;
void check(bool right, const char *what) {
    if (right) return;
    std::printf("FAILED %s; last error: %s\n", what, sn_last_error());
    ++failures;
}

void in_thread(size_t stack) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_t thread;
    void *(*const start)(void *) = [](void *) -> void * {
        work.run();
        return nullptr;
    };
    work.right = false;
    if (pthread_create(&thread, &attributes, start, nullptr) == 0) pthread_join(thread, nullptr);
    check(work.right, "every pass in a thread of its own");
    pthread_attr_destroy(&attributes);
}

} // namespace

int main() {
    static char printed[4096]; // printing allocates nothing
    std::setvbuf(stdout, printed, _IOLBF, sizeof printed);
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return 77;
    }
    const size_t smallest = size_t(sysconf(_SC_THREAD_STACK_MIN));
    for (int k = 0; k < 3; ++k) in_thread(smallest); // the system keeps stacks of threads that ended
    const long before = faults::live;
    for (int k = 0; k < 100; ++k) in_thread(smallest);
    check(faults::live == before, "a thread that ends leaves no memory");

    std::printf("thread_ends: stacks of %zu bytes, %s\n", smallest, failures ? "failed" : "passed");
    return failures != 0;
}
