// Many threads on one plan and on plans of their own, each with its own arrays, while another changes the number of
// threads: every result has the bits of a run alone. Made for ThreadSanitizer, and right without it.
//
//     stress [ROUNDS]     of every thread (20)
#include "spatialnorm/spatialnorm.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <thread>
#include <vector>

namespace {

constexpr int callers = 8;
std::atomic<int> failures{0};
std::atomic<long> calls{0};

struct Shape {
    int64_t height, width;
};
constexpr Shape shapes[] = {{3, 5}, {40, 50}, {200, 260}, {300, 400}}; // from one thread's work to several threads'
constexpr double exponents[] = {0.75, 5, 0.5};                         // tables of the power that threads share

struct Plan {
    sn_plan *plan = nullptr;
    ~Plan() { sn_plan_destroy(plan); }
};

void check(bool right, const char *what) {
    if (right) return;
    std::printf("FAILED %s; last error: %s\n", what, sn_last_error());
    ++failures;
}

void make(Plan &p, sn_pass pass, Shape s, double beta) {
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.beta = beta;
    const sn_tensor image = {
        nullptr, {1, 1, s.height, s.width}, {s.height * s.width, s.height * s.width, s.width, 1}, SN_FLOAT32};
    const sn_tensor operands[3] = {image, image, image};
    check(sn_plan_create(&params.header, pass, SN_DEVICE_CPU, operands, pass == SN_FORWARD ? 2 : 3, &p.plan) == SN_OK,
          "sn_plan_create");
}

struct Images {
    std::vector<float> x, dy, y, dx;
    explicit Images(Shape s, unsigned seed) : x(size_t(s.height * s.width)), dy(x), y(x), dx(x) {
        for (size_t i = 0; i < x.size(); ++i) {
            seed = seed * 1664525u + 1013904223u;
            x[i] = float(seed >> 8) / float(1 << 23) - 1, dy[i] = float(seed & 1023) / 512 - 1;
        }
    }
};

void run(const Plan &forward, const Plan &gradient, Images &m, bool as_one) {
    void *const f[2] = {m.x.data(), m.y.data()}, *const g[3] = {m.dy.data(), m.x.data(), m.dx.data()};
    if (as_one) {
        const sn_run runs[2] = {{forward.plan, f, 2}, {gradient.plan, g, 3}};
        check(sn_plans_run(runs, 2) == SN_OK, "sn_plans_run");
    } else {
        check(sn_plan_run(forward.plan, f, 2) == SN_OK, "forward");
        check(sn_plan_run(gradient.plan, g, 3) == SN_OK, "gradient");
    }
    calls += 2;
}

void call(int caller, int rounds, const Plan *forward, const Plan *gradient) {
    for (int round = 0; round < rounds; ++round)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; ++k) {
            Images shared(shapes[k], unsigned(caller)), own(shapes[k], unsigned(caller));
            run(forward[k], gradient[k], shared, round % 2 != 0); // plans that all threads use
            Plan f, g;
            make(f, SN_FORWARD, shapes[k], exponents[0]), make(g, SN_GRADIENT, shapes[k], exponents[0]);
            run(f, g, own, round % 2 == 0);
            const size_t bytes = own.x.size() * sizeof(float);
            check(!std::memcmp(shared.y.data(), own.y.data(), bytes), "equal bits, forward");
            check(!std::memcmp(shared.dx.data(), own.dx.data(), bytes), "equal bits, gradient");
            Plan other;
            make(other, SN_JVP, shapes[k], exponents[size_t(round) % 3]);
        }
}

} // namespace

int main(int argc, char **argv) {
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return 77;
    }
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
    constexpr size_t n = sizeof shapes / sizeof *shapes;
    Plan forward[n], gradient[n];
    for (size_t k = 0; k < n; ++k)
        make(forward[k], SN_FORWARD, shapes[k], exponents[0]), make(gradient[k], SN_GRADIENT, shapes[k], exponents[0]);
    std::atomic<bool> stop{false};
    std::thread changer([&] {
        for (int k = 0; !stop; ++k) {
            check(sn_set_num_threads(k % 4 + 1) == SN_OK && sn_get_num_threads() > 0, "sn_set_num_threads");
            std::this_thread::yield();
        }
    });
    std::vector<std::thread> threads;
    for (int caller = 0; caller < callers; ++caller) threads.emplace_back(call, caller, rounds, forward, gradient);
    for (std::thread &thread : threads) thread.join();
    stop = true;
    changer.join();
    std::printf("stress: %ld calls by %d threads, %s\n", calls.load(), callers, failures ? "failed" : "passed");
    return failures != 0;
}
