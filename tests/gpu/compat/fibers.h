// Runs threadgroups on one CPU thread: a fiber for each of a threadgroup's threads, switched at barriers and
// shuffles. Their order is drawn anew after each round, so that a missing barrier shows.
#include <setjmp.h>
#include <ucontext.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

namespace fibers {

constexpr size_t stack_size = 128 << 10;
constexpr unsigned simd_width = 32;

struct Fiber {
    jmp_buf resume;
    ucontext_t context;
    bool started, done;
    unsigned shuffles, barriers;
    float shared[2]; // by turns, so that a fast lane does not overwrite what a slow one still reads
};

static std::vector<char> stacks;
static std::vector<Fiber> all;
static Fiber *self;
static unsigned self_lane, group_number;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
static const std::function<void()> *body;
static std::mt19937 random_order(7);

// _setjmp and _longjmp switch without the system calls of swapcontext, which only starts a fiber.
static void yield() {
    Fiber *const me = self;
    const unsigned lane = self_lane;
    if (!_setjmp(me->resume)) _longjmp(scheduler, 1);
    self = me;
    self_lane = lane;
}

static void enter() {
    (*body)();
    self->done = true;
    _longjmp(scheduler, 1);
}

static void start(Fiber &fiber) {
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = &stacks[stack_size * size_t(&fiber - all.data())];
    fiber.context.uc_stack.ss_size = stack_size;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    setcontext(&fiber.context);
}

static void run_group(unsigned threads) {
    static std::vector<unsigned> order;
    order.resize(threads);
    for (unsigned t = 0; t < threads; ++t) {
        order[t] = t;
        all[t].started = all[t].done = false;
        all[t].shuffles = all[t].barriers = 0;
    }
    static unsigned left, next; // static: they live across _longjmp
    for (left = threads; left > 0;) {
        std::shuffle(order.begin(), order.end(), random_order);
        for (next = 0; next < threads; ++next) {
            Fiber &fiber = all[order[next]];
            if (fiber.done) continue;
            self = &fiber;
            self_lane = order[next];
            if (!_setjmp(scheduler)) {
                if (fiber.started) _longjmp(fiber.resume, 1);
                start(fiber);
            }
            if (self->done) --left;
        }
    }
}

static void run(unsigned groups, unsigned threads, const std::function<void()> &function) {
    stacks.resize(stack_size * threads);
    all.resize(threads);
    body = &function;
    for (group_number = 0; group_number < groups; ++group_number) run_group(threads);
}

// Waits until all fibers in [first, last) have come as far as this one.
template <typename Count>
static void wait(unsigned first, unsigned last, unsigned mine, Count count, const char *what) {
    for (bool again = true; again;) {
        again = false;
        for (unsigned t = first; t < last && !again; ++t) {
            if (count(all[t]) >= mine) continue;
            if (all[t].done) {
                std::fprintf(stderr, "thread %u ended before a %s that thread %u waits at\n", t, what, self_lane);
                std::abort();
            }
            again = true;
        }
        if (again) yield();
    }
}

} // namespace fibers

namespace metal {
void fiber_barrier() {
    const unsigned mine = ++fibers::self->barriers;
    fibers::yield();
    fibers::wait(0, unsigned(fibers::all.size()), mine, [](const fibers::Fiber &f) { return f.barriers; }, "barrier");
}
uint fiber_lane() { return fibers::self_lane; }
float fiber_shuffle(float value, uint lane) {
    using namespace fibers;
    const unsigned mine = ++self->shuffles, first = self_lane / simd_width * simd_width;
    self->shared[mine & 1] = value;
    wait(first, first + simd_width, mine, [](const Fiber &f) { return f.shuffles; }, "shuffle");
    return all[first + (lane & (simd_width - 1))].shared[mine & 1];
}
} // namespace metal
