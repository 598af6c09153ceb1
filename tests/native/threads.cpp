// One plan used by many threads at once, each with its own data, while others fail: every result has the bits of a run
// alone, and every thread reads its own error.
#include "spatialnorm/spatialnorm.h"
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int64_t height = 320, width = 400; // enough for several threads of the library
constexpr int callers = 6, repeats = 20;

std::atomic<int> failures{0};

void check(bool right, const char *what) {
    if (right) return;
    std::printf("FAILED %s; last error: %s\n", what, sn_last_error());
    ++failures;
}

std::vector<float> image(unsigned seed) {
    std::vector<float> x(size_t(height * width));
    for (float &value : x) {
        seed = seed * 1664525u + 1013904223u;
        value = float(seed >> 8) / float(1 << 23) - 1;
    }
    return x;
}

void run(const sn_plan *plan, const std::vector<float> &x, std::vector<float> &y) {
    void *data[2] = {const_cast<float *>(x.data()), y.data()};
    check(sn_plan_run(plan, data, 2) == SN_OK, "sn_plan_run");
}

} // namespace

int main() {
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return 77;
    }
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.kernel_height = 9;
    const sn_tensor tensor = {nullptr, {1, 1, height, width}, {height * width, height * width, width, 1}, SN_FLOAT32};
    const sn_tensor operands[2] = {tensor, tensor};
    sn_plan *plan = nullptr;
    check(sn_plan_create(&params.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) == SN_OK, "sn_plan_create");
    check(sn_set_num_threads(3) == SN_OK, "sn_set_num_threads");

    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller)
        threads.emplace_back([plan, caller, &params, &operands] {
            const std::vector<float> x = image(unsigned(caller));
            std::vector<float> alone(x.size()), y(x.size());
            run(plan, x, alone);
            for (int i = 0; i < repeats; ++i) {
                sn_plan *none = nullptr;
                const std::string wrong = std::to_string(-1000 - caller);
                sn_spatial_params bad = params;
                bad.kernel_width = -1000 - caller;
                check(sn_plan_create(&bad.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &none) ==
                              SN_INVALID_ARGUMENT &&
                          std::strstr(sn_last_error(), wrong.c_str()),
                      "each thread reads its own error");
                run(plan, x, y);
                check(!std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), "equal bits");
            }
        });
    for (std::thread &thread : threads) thread.join();
    sn_plan_destroy(plan);
    std::printf("threads: %s\n", failures ? "failed" : "passed");
    return failures != 0;
}
