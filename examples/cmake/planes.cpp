// One plan, several threads: each normalizes images of its own, in place.
#include <spatialnorm/spatialnorm.h>

#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

void check(sn_status status) {
    if (status != SN_OK) throw std::runtime_error(sn_last_error());
}

struct Destroy {
    void operator()(sn_plan *plan) const { sn_plan_destroy(plan); }
};
using Plan = std::unique_ptr<sn_plan, Destroy>;

Plan forward_plan(const sn_spatial_params &params, std::int64_t height, std::int64_t width) {
    const sn_tensor image = {nullptr, {1, 1, height, width}, {height * width, height * width, width, 1}, SN_FLOAT64};
    const sn_tensor operands[] = {image, image};
    sn_plan *plan = nullptr;
    check(sn_plan_create(&params.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan));
    return Plan(plan);
}

} // namespace

int main() try {
    constexpr std::int64_t height = 48, width = 64;
    constexpr std::size_t images = 8;
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.kernel_height = params.kernel_width = 7;
    params.beta = 0.5;
    params.edge = SN_EDGE_CLAMP;
    const Plan plan = forward_plan(params, height, width);

    // Constant images have a constant result: y = x / sqrt(delta + alpha x^2).
    std::vector<std::vector<double>> stack;
    for (std::size_t i = 0; i < images; ++i) stack.emplace_back(height * width, double(i) + 1);
    std::vector<sn_status> status(images);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < images; ++i)
        threads.emplace_back([&, i] {
            void *data[] = {stack[i].data(), stack[i].data()};
            status[i] = sn_plan_run(plan.get(), data, 2);
        });
    for (std::thread &thread : threads) thread.join();

    double worst = 0;
    for (std::size_t i = 0; i < images; ++i) {
        if (status[i] != SN_OK) throw std::runtime_error("a run failed");
        const double x = double(i) + 1, expected = x / std::sqrt(1 + x * x);
        for (const double y : stack[i]) worst = std::max(worst, std::abs(y / expected - 1));
    }
    std::cout << images << " images on " << images << " threads, largest relative error " << worst << '\n';
    return worst < 1e-13 ? 0 : 1;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
