#include "executor.hpp"
#include "check.hpp"
#include "fiber.hpp"
#include "threadgroup_memory.hpp"
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>

namespace sm {
namespace {
enum class State { ready, at_barrier, in_simd_function, returned, stopped };
constexpr unsigned kMaxSimdWidth = 64;

struct Thread : Fiber {
    SmThread ids = {};
    State state = State::ready;
    unsigned memory_flags = 0;
    int line = 0;
};
// Two sets of slots in turn: a lane may begin the next exchange before the others have read this one.
struct SimdGroup {
    alignas(16) char slots[2][kMaxSimdWidth][SM_SLOT_BYTES];
    unsigned parity[kMaxSimdWidth];
};

std::vector<Thread> threads;
std::vector<SimdGroup> simdgroups;
ThreadgroupMemory threadgroup_memory;
const SmKernel *kernel;
SmDispatch *dispatch;
Thread *running;
std::string failure;

void thread_body() {
    kernel->entry(dispatch, &running->ids);
    running->state = State::returned;
    fiber_leave(*running);
    abort(); // a thread that has returned is never entered again
}
void wait_in(State state, unsigned memory_flags, int line) {
    Thread &t = *running;
    t.state = state;
    t.memory_flags = memory_flags;
    t.line = line;
    fiber_leave(t);
}

void make_threads(size_t count) {
    char *stacks = fiber_stacks(count);
    if (threads.size() < count) threads.resize(count);
    simdgroups.resize(threads.size() / simd_width() + 1);
    for (size_t i = 0; i < threads.size(); i++) threads[i].stack = stacks + i * kStackBytes;
}

std::string describe(const char *what) { // who waits where
    const unsigned *g = dispatch->threadgroup_position_in_grid;
    std::string s = std::string(what) + " in kernel '" + kernel->name + "', threadgroup (" + std::to_string(g[0]) +
                    ", " + std::to_string(g[1]) + ", " + std::to_string(g[2]) + "):";
    const std::pair<State, const char *> kinds[] = {{State::at_barrier, "wait at a threadgroup barrier"},
                                                    {State::in_simd_function, "wait in a SIMD-group function"},
                                                    {State::returned, "have returned"}};
    for (auto &kind : kinds) {
        unsigned count = 0, first = 0;
        for (unsigned i = dispatch->thread_count; i-- > 0;)
            if (threads[i].state == kind.first) count++, first = i;
        if (!count) continue;
        s += " " + std::to_string(count) + " threads " + kind.second;
        if (kind.first != State::returned)
            s += " (program_source:" + std::to_string(threads[first].line) + ", first thread " + std::to_string(first) +
                 ")";
        s += ";";
    }
    s.pop_back();
    return s;
}

// Lets every SIMD-group go on whose threads all wait in the same SIMD-group function. Metal leaves out
// the threads that do not take part; here that is an error, because it is nearly always a mistake.
bool release_simdgroups() {
    bool released = false;
    for (unsigned s = 0; s < dispatch->simdgroup_count; s++) {
        unsigned begin = s * dispatch->simd_width, end = std::min(dispatch->thread_count, begin + dispatch->simd_width);
        unsigned waiting = 0;
        bool same_line = true;
        for (unsigned i = begin; i < end; i++) {
            if (threads[i].state != State::in_simd_function) continue;
            waiting++;
            same_line &= threads[i].line == threads[begin].line;
        }
        if (!waiting) continue;
        if (waiting != end - begin || !same_line) {
            failure = describe("SIMD-group divergence");
            return false;
        }
        if (threads[begin].memory_flags) check::simdgroup_barrier(s);
        for (unsigned i = begin; i < end; i++) threads[i].state = State::ready;
        released = true;
    }
    return released;
}

// Returns false when the threadgroup is done, or `failure` is set.
bool release_threadgroup() {
    unsigned count = dispatch->thread_count, returned = 0, waiting = 0;
    for (unsigned i = 0; i < count; i++) {
        returned += threads[i].state == State::returned;
        waiting += threads[i].state == State::at_barrier;
    }
    if (returned == count) return false;
    if (waiting != count) {
        failure = describe("threadgroup barrier not reached by every thread");
        return false;
    }
    for (unsigned i = 1; i < count; i++)
        if (threads[i].line != threads[0].line) {
            failure = describe("threads of one threadgroup met different barriers");
            return false;
        }
    check::barrier(threads[0].memory_flags);
    for (unsigned i = 0; i < count; i++) threads[i].state = State::ready;
    return true;
}

class Order {
  public:
    Order() {
        if (const char *s = getenv("SOFTMETAL_ORDER")) name_ = s;
        static uint64_t dispatches;
        if (const char *s = getenv("SOFTMETAL_SEED")) seed_ = strtoull(s, nullptr, 10);
        random_.seed(seed_ + dispatches++);
    }
    std::vector<uint32_t> arrange(size_t n) {
        std::vector<uint32_t> v(n);
        std::iota(v.begin(), v.end(), 0u);
        if (name_ == "reverse") std::reverse(v.begin(), v.end());
        shuffle(v);
        return v;
    }
    void shuffle(std::vector<uint32_t> &v) {
        if (name_ == "shuffle") std::shuffle(v.begin(), v.end(), random_);
    }
    std::string wrong() const {
        if (name_ == "forward" || name_ == "reverse" || name_ == "shuffle") return "";
        return "SOFTMETAL_ORDER must be forward, reverse or shuffle, not '" + name_ + "'";
    }

  private:
    std::string name_ = "forward";
    uint64_t seed_ = 12345;
    std::mt19937_64 random_;
};

void run_threads(std::vector<uint32_t> &order, Order &orders) {
    do {
        do {
            orders.shuffle(order);
            for (unsigned i : order) {
                if (threads[i].state != State::ready) continue;
                running = &threads[i];
                fiber_enter(threads[i]);
                running = nullptr;
                if (!failure.empty()) return;
            }
        } while (release_simdgroups());
    } while (failure.empty() && release_threadgroup());
}

void place_threads(const unsigned group[3]) {
    SmDispatch &d = *dispatch;
    for (int a = 0; a < 3; a++) {
        d.threadgroup_position_in_grid[a] = group[a];
        unsigned left = d.threads_per_grid[a] - group[a] * d.dispatch_threads_per_threadgroup[a];
        d.threads_per_threadgroup[a] = std::min(left, d.dispatch_threads_per_threadgroup[a]);
    }
    const unsigned *n = d.threads_per_threadgroup;
    d.thread_count = n[0] * n[1] * n[2];
    d.simdgroup_count = (d.thread_count + d.simd_width - 1) / d.simd_width;
    unsigned i = 0;
    for (unsigned z = 0; z < n[2]; z++)
        for (unsigned y = 0; y < n[1]; y++)
            for (unsigned x = 0; x < n[0]; x++, i++) {
                SmThread &t = threads[i].ids;
                const unsigned local[3] = {x, y, z};
                for (int a = 0; a < 3; a++) {
                    t.position_in_threadgroup[a] = local[a];
                    t.position_in_grid[a] = group[a] * d.dispatch_threads_per_threadgroup[a] + local[a];
                }
                t.index = i;
                t.lane = i % d.simd_width;
                t.simdgroup = i / d.simd_width;
                threads[i].state = State::ready;
                fiber_prepare(threads[i], i, thread_body);
            }
    for (unsigned s = 0; s < d.simdgroup_count; s++) memset(simdgroups[s].parity, 0, sizeof simdgroups[s].parity);
}

void run_group(const Launch &launch, std::vector<uint32_t> &order, Order &orders) {
    check::begin_group();
    threadgroup_memory.begin_group();
    for (int p = 0; p < kernel->parameter_count; p++) {
        const SmParameter &parameter = kernel->parameters[p];
        if (parameter.kind != SM_THREADGROUP) continue;
        size_t length = launch.threadgroup_length[parameter.index];
        if (length)
            dispatch->threadgroup_memory[parameter.index] =
                threadgroup_memory.get(length, 16, &parameter, parameter.name);
    }
    run_threads(order, orders);
    if (!failure.empty()) return;
    std::string name = threadgroup_memory.overwritten();
    if (!name.empty())
        failure = "out-of-bounds write beside threadgroup memory '" + name + "', kernel '" + kernel->name + "'";
}
} // namespace

unsigned simd_width() {
    static unsigned width = [] {
        const char *s = getenv("SOFTMETAL_SIMD_WIDTH");
        unsigned w = s ? unsigned(atoi(s)) : 32;
        return w >= 1 && w <= kMaxSimdWidth ? w : 32;
    }();
    return width;
}

std::string execute(Launch &launch, bool checked) {
    Order orders;
    if (!orders.wrong().empty()) return orders.wrong();
    kernel = launch.kernel;
    dispatch = &launch.dispatch;
    failure.clear();
    SmDispatch &d = launch.dispatch;
    d.simd_width = simd_width();
    const unsigned *per_group = d.dispatch_threads_per_threadgroup;
    make_threads(size_t(per_group[0]) * per_group[1] * per_group[2]);
    check::begin_launch(checked, launch);
    size_t groups = size_t(d.threadgroups_per_grid[0]) * d.threadgroups_per_grid[1] * d.threadgroups_per_grid[2];
    std::vector<uint32_t> thread_order;
    for (uint32_t q : orders.arrange(groups)) {
        unsigned w = d.threadgroups_per_grid[0], h = d.threadgroups_per_grid[1];
        const unsigned group[3] = {q % w, q / w % h, q / w / h};
        place_threads(group);
        if (thread_order.size() != d.thread_count) thread_order = orders.arrange(d.thread_count);
        run_group(launch, thread_order, orders);
        if (!failure.empty()) break;
    }
    check::end_launch();
    return failure;
}

void stop_kernel(std::string why) {
    failure = std::move(why);
    running->state = State::stopped;
    fiber_leave(*running);
    abort(); // not reached: a failure ends the launch
}

Position position() { return {kernel, dispatch, running ? &running->ids : nullptr}; }
const char *current_stack() { return running ? running->stack : nullptr; }
} // namespace sm

extern "C" {
using namespace sm;
void sm_threadgroup_barrier(unsigned memory_flags, int line) { wait_in(State::at_barrier, memory_flags, line); }
void sm_simdgroup_barrier(unsigned memory_flags, int line) { wait_in(State::in_simd_function, memory_flags, line); }
const void *sm_simd_exchange(const void *value, unsigned size, int line) {
    SimdGroup &s = simdgroups[running->ids.simdgroup];
    unsigned lane = running->ids.lane, parity = s.parity[lane] ^= 1;
    memcpy(s.slots[parity][lane], value, size);
    wait_in(State::in_simd_function, 0, line);
    return s.slots[parity];
}
unsigned sm_simd_lane(void) { return running->ids.lane; }
unsigned sm_simd_lanes(void) {
    return std::min(dispatch->thread_count - running->ids.simdgroup * dispatch->simd_width, dispatch->simd_width);
}
void *sm_threadgroup_variable(unsigned long size, unsigned long alignment, const void *key, const char *name) {
    return threadgroup_memory.get(size, alignment, key, name);
}
void sm_atomic_access(const volatile void *address, unsigned long size, int write, int line) {
    check::atomic_access(const_cast<const void *>(address), size, write, line);
}
}
