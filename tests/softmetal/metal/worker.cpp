// The one thread that runs committed command buffers, in the order of their commits. Whoever commits
// goes on at once, as on a GPU; being one thread, it is also the lock around the executor.
#include "faults.hpp"
#include "objects.hpp"
#include <chrono>
#include <cstdlib>
#include <deque>
#include <pthread.h>
#include <thread>

namespace sm {
namespace {
struct Worker {
    std::mutex mutex;
    std::condition_variable work;
    std::condition_variable idle;
    std::deque<CommandBuffer *> queue;
    bool started = false, busy = false, exiting = false;
};
Worker &worker() { // never destroyed: it may run while the process exits
    static Worker *w = [] {
        auto *made = new Worker;
        // A child of fork() has no worker thread; it starts its own, with nothing to do.
        static Worker *kept;
        kept = made;
        pthread_atfork([] { kept->mutex.lock(); }, [] { kept->mutex.unlock(); },
                       [] {
                           kept->mutex.unlock();
                           new (&kept->work) std::condition_variable; // the old one may have a waiter that is gone
                           new (&kept->idle) std::condition_variable;
                           kept->queue.clear();
                           kept->started = kept->busy = false;
                       });
        // What is committed and not waited for is dropped at exit, but not in the middle of a command buffer.
        // The time limit is for completion handlers that wait for something that is gone by then.
        atexit([] {
            std::unique_lock<std::mutex> lock(kept->mutex);
            kept->exiting = true;
            kept->idle.wait_for(lock, std::chrono::seconds(2), [] { return !kept->busy; });
        });
        return made;
    }();
    return *w;
}
double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// What can be wrong with the memory of a command, empty when nothing is.
std::string misused(const CommandBuffer *b, const Command &c) {
    for (auto &use : c.uses) {
        if (!b->retained && use.first->released)
            return use.second + " was released while in use by an uncompleted command buffer";
        if (!use.first->guards_intact()) return "out-of-bounds write beside " + use.second;
    }
    return "";
}

std::string run_commands(CommandBuffer *b) {
    std::string message;
    if (!b->invalid.empty()) return b->invalid;
    if (fault("command_buffer", &message)) return message;
    for (Command &c : b->commands) {
        message = misused(b, c);
        if (message.empty()) {
            if (c.launch) message = execute(*c.launch, c.pipeline->checked);
            else c.copy();
        }
        if (message.empty()) message = misused(b, c);
        if (!message.empty()) return message;
    }
    for (Command &c : b->commands) {
        message = misused(b, c);
        if (!message.empty()) return message;
    }
    return "";
}

void call_handlers(std::vector<void *> &handlers, CommandBuffer *b) {
    for (void *block : handlers) {
        call_block(block, static_cast<Object *>(b));
        release_block(block);
    }
    handlers.clear();
}

void run(CommandBuffer *b) {
    auto completion = b->completion;
    b->status = kScheduled;
    call_handlers(b->scheduled_handlers, b);
    b->start = now();
    std::string message;
    try {
        message = run_commands(b);
    } catch (const std::exception &e) { message = std::string("out of memory in the emulation: ") + e.what(); }
    b->end = now();
    if (!message.empty()) b->error = Ref<Error>::adopt(new_error("MTLCommandBufferErrorDomain", 1, message));
    b->commands.clear();
    b->status = message.empty() ? kCompleted : kFailed;
    call_handlers(b->completed_handlers, b);
    release(b); // before anybody wakes, so that a count of live objects after a wait is exact
    std::lock_guard<std::mutex> lock(completion->mutex);
    completion->done = true;
    completion->changed.notify_all();
}

void serve() {
    Worker &w = worker();
    for (;;) {
        CommandBuffer *b;
        {
            std::unique_lock<std::mutex> lock(w.mutex);
            w.work.wait(lock, [&] { return !w.queue.empty() && !w.exiting; });
            b = w.queue.front();
            w.queue.pop_front();
            w.busy = true;
        }
        with_pool([&] { run(b); });
        std::lock_guard<std::mutex> lock(w.mutex);
        w.busy = false;
        w.idle.notify_all();
    }
}
} // namespace

void submit(CommandBuffer *b) {
    retain(b);
    Worker &w = worker();
    std::lock_guard<std::mutex> lock(w.mutex);
    w.queue.push_back(b);
    if (!w.started) {
        std::thread(serve).detach();
        w.started = true;
    }
    w.work.notify_one();
}
} // namespace sm
