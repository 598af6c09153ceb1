// Runs under qemu what is written in assembly for AArch64: the fiber switch and objc_msgSend.
#include "../exec/fiber.hpp"
#include "../objc/runtime.hpp"
#include <cstdio>

namespace sm {
void register_metal() {}
} // namespace sm

static sm::Fiber fibers[3];
static int turns[3], order[9], steps, running;

static void body() {
    const int me = running;
    double kept = me + 0.5; // in a register that a callee must keep
    for (int i = 0; i < 3; i++) {
        order[steps++] = me;
        kept += 1;
        sm::fiber_leave(fibers[me]);
    }
    turns[me] = int(kept * 2);
    for (;;) sm::fiber_leave(fibers[me]);
}

struct Big {
    long a, b, c;
};

int main() {
    char *stacks = sm::fiber_stacks(3);
    for (int i = 0; i < 3; i++) {
        fibers[i].stack = stacks + size_t(i) * sm::kStackBytes;
        sm::fiber_prepare(fibers[i], size_t(i), body);
    }
    for (int round = 0; round < 4; round++)
        for (running = 0; running < 3; running++) sm::fiber_enter(fibers[running]);
    for (int i = 0; i < 9; i++)
        if (order[i] != i % 3) return printf("fibers ran out of order\n"), 1;
    for (int i = 0; i < 3; i++)
        if (turns[i] != 2 * i + 7) return printf("a register was lost\n"), 1;

    Class c = sm::define_class<sm::Object>("Probe");
    sm::method(
        c, "sum:", [](sm::Object *, SEL, long a, double b, long d, float e, long f, long g, long h, long i) -> double {
            return double(a + d + f + g + h + i) + b + double(e);
        });
    sm::method(c, "big", [](sm::Object *, SEL) -> Big { return {1, 2, 3}; });
    auto *o = sm::make<sm::Object>(c);
    auto sum = reinterpret_cast<double (*)(sm::Object *, SEL, long, double, long, float, long, long, long, long)>(
        &objc_msgSend);
    auto big = reinterpret_cast<Big (*)(sm::Object *, SEL)>(&objc_msgSend);
    SEL s = sel_registerName("sum:");
    if (sum(o, s, 1, 0.25, 2, 0.5f, 3, 4, 5, 6) != 21.75) return printf("wrong arguments\n"), 1;
    if (sum(nullptr, s, 1, 0.25, 2, 0.5f, 3, 4, 5, 6) != 0) return printf("nil must answer zero\n"), 1;
    Big b = big(o, sel_registerName("big"));
    if (b.a != 1 || b.b != 2 || b.c != 3) return printf("wrong struct\n"), 1;
    puts("ok");
    return 0;
}
