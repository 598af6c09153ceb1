#include "pool.h"
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <pthread.h>
#include <system_error>
#include <thread>
#if defined(__linux__)
#  include <sched.h>
#endif

namespace sn {
namespace cpu {
namespace {

#if defined(__linux__)
// CPUs that the control groups grant, rounded up; 0 if they set no limit.
int control_group_limit() {
    long long quota = -1, period = 0;
    if (FILE *file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) { // version 2: "max 100000" or "150000 100000"
        if (std::fscanf(file, "%lld %lld", &quota, &period) != 2) quota = -1;
        std::fclose(file);
    } else {
        auto read = [](const char *name, long long &value) {
            if (FILE *f = std::fopen(name, "r")) {
                if (std::fscanf(f, "%lld", &value) != 1) value = -1;
                std::fclose(f);
            }
        };
        read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota);
        read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period);
    }
    return quota > 0 && period > 0 ? int(std::max(1LL, (quota + period - 1) / period)) : 0;
}
#endif

int default_threads() {
    if (const char *text = std::getenv("SPATIALNORM_NUM_THREADS")) {
        char *end;
        errno = 0;
        const long n = std::strtol(text, &end, 10);
        if (end != text && !*end && !errno && n >= 1 && n <= 4096) return int(n);
    }
    int n = int(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max(1, CPU_COUNT(&set));
    if (const int limit = control_group_limit()) n = std::min(n, limit);
#endif
    return n;
}

std::atomic<int> chosen_threads{0}; // 0: not chosen

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct Job {
    void (*work)(void *, int64_t, int);
    void *context;
    int64_t tasks, grain;
};

// Workers spin this often before they sleep: about 10 us, so that jobs in close succession wake nobody.
constexpr int spins = 400;
constexpr int most_workers = 255;

class Pool {
    std::mutex busy;  // held by the caller whose job runs
    std::mutex mutex; // guards what follows
    std::condition_variable wake, done;
    Job job{};
    int workers = 0, wanted = 0; // threads started; those that the job wants
    std::atomic<uint64_t> generation{0};
    std::atomic<int> running{0};
    // A thread's share of the tasks, the same in every job of one size: what it wrote last time lies in its own cache.
    struct alignas(64) Share {
        std::atomic<int64_t> next;
    };
    Share shares[most_workers + 1];

    static int64_t share_start(const Job &job, int threads, int of) { return job.tasks * of / threads; }

    // First a thread's own share, then what others have left of theirs.
    void take(const Job &job, int threads, int worker) {
        for (int k = 0; k < threads; ++k) {
            const int of = (worker + k) % threads;
            const int64_t end = share_start(job, threads, of + 1);
            for (;;) {
                const int64_t left = end - shares[of].next.load(std::memory_order_relaxed);
                if (left <= 0) break;
                // Less and less, so that threads which did not begin together still end together.
                const int64_t grain = std::clamp<int64_t>(left / 4, 1, job.grain);
                const int64_t from = shares[of].next.fetch_add(grain, std::memory_order_relaxed);
                for (int64_t task = from; task < std::min(from + grain, end); ++task)
                    job.work(job.context, task, worker);
            }
        }
    }

    void serve(int worker, uint64_t seen) {
        inside = true;
        for (;;) {
            for (int i = 0; i < spins && generation.load(std::memory_order_acquire) == seen; ++i) relax();
            Job mine;
            int threads;
            {
                std::unique_lock<std::mutex> lock(mutex);
                wake.wait(lock, [&] { return generation.load(std::memory_order_relaxed) != seen; });
                seen = generation.load(std::memory_order_relaxed);
                if (worker > wanted) continue;
                mine = job;
                threads = wanted + 1;
            }
            take(mine, threads, worker);
            if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                std::lock_guard<std::mutex> lock(mutex);
                done.notify_one();
            }
        }
    }

  public:
    static thread_local bool inside; // a worker's job that asks for threads works alone

    bool run(const Job &wished, int threads) {
        int all; // threads of this job
        std::unique_lock<std::mutex> own(busy, std::try_to_lock);
        if (!own) return false;
        {
            std::lock_guard<std::mutex> lock(mutex);
            while (workers < std::min(threads - 1, most_workers)) {
                try {
                    std::thread(&Pool::serve, this, workers + 1, generation.load()).detach();
                } catch (const std::exception &) {
                    break; // as many as the system allows
                }
                ++workers;
            }
            wanted = std::min(threads - 1, workers);
            if (wanted == 0) return false;
            all = wanted + 1;
            job = wished;
            for (int k = 0; k <= wanted; ++k)
                shares[k].next.store(share_start(job, wanted + 1, k), std::memory_order_relaxed);
            running.store(wanted, std::memory_order_relaxed);
            generation.fetch_add(1, std::memory_order_release);
        }
        wake.notify_all();
        inside = true;
        take(wished, all, 0);
        inside = false;
        for (int i = 0; i < spins && running.load(std::memory_order_acquire); ++i) relax();
        if (running.load(std::memory_order_acquire)) {
            std::unique_lock<std::mutex> lock(mutex);
            done.wait(lock, [&] { return running.load(std::memory_order_acquire) == 0; });
        }
        return true;
    }
};

thread_local bool Pool::inside = false;

// Never destroyed, since workers may outlive main(). After fork() the child has none of the threads, and locks in
// whatever state they were: it starts over with a new pool in the same place.
alignas(Pool) unsigned char memory[sizeof(Pool)];

void start_over() {
    new (memory) Pool;
    Pool::inside = false;
}

// When the library is loaded: a lock around the first use would itself be left locked by a fork() at that moment.
// Without the handler, for want of memory, no thread is ever started.
const bool survives_fork = [] {
    start_over();
    return pthread_atfork(nullptr, nullptr, start_over) == 0;
}();

Pool &pool() { return *std::launder(reinterpret_cast<Pool *>(memory)); }

} // namespace

void set_num_threads(int n) { chosen_threads.store(n); }

int num_threads() {
    int n = chosen_threads.load(std::memory_order_relaxed);
    if (n == 0) {
        static std::atomic<int> standard{0}; // whoever comes first finds it, without a lock
        n = standard.load(std::memory_order_relaxed);
        if (n == 0) standard.store(n = default_threads(), std::memory_order_relaxed);
    }
    return n;
}

void parallel_for(int64_t tasks, int threads, void (*work)(void *, int64_t, int), void *context) {
    if (tasks < threads) threads = int(tasks);
    // Several grains a thread, so that one that is held up does not hold up all.
    Job job{work, context, tasks, std::max<int64_t>(1, tasks / (int64_t(threads) * 8 + 1))};
    if (threads > 1 && survives_fork && !Pool::inside && pool().run(job, threads)) return;
    for (int64_t task = 0; task < tasks; ++task) work(context, task, 0);
}

} // namespace cpu
} // namespace sn
