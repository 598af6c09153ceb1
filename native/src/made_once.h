// Objects made at first use, without a lock: fork() could leave one locked for ever in the child.
#pragma once
#include <atomic>

namespace sn {

// The one T of the process. Threads that come at once may each make one; the first is kept, and never destroyed.
template <class T> const T &made_once() {
    static std::atomic<const T *> made{nullptr};
    const T *there = made.load(std::memory_order_acquire);
    if (!there) {
        const T *const fresh = new T;
        if (made.compare_exchange_strong(there, fresh, std::memory_order_acq_rel, std::memory_order_acquire))
            return *fresh;
        delete fresh;
    }
    return *there;
}

} // namespace sn
