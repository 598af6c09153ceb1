// Threads. One job runs on the pool at a time; whoever finds it busy works alone, so that many callers never
// make more runnable threads than there are callers and workers.
#pragma once
#include <cstdint>

namespace sn {
namespace cpu {

void set_num_threads(int n); // 0: the default
int num_threads();

// Calls work(context, task, worker) for task 0 ... tasks - 1, on at most `threads` threads, the caller being
// worker 0. Never throws; where no thread can be started the caller does all.
void parallel_for(int64_t tasks, int threads, void (*work)(void *context, int64_t task, int worker), void *context);

template <class Work> void parallel_for(int64_t tasks, int threads, Work work) {
    parallel_for(
        tasks, threads, [](void *context, int64_t task, int worker) { (*static_cast<Work *>(context))(task, worker); },
        &work);
}

} // namespace cpu
} // namespace sn
