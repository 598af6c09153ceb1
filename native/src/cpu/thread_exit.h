// What a thread leaves when it ends. The destructor of a thread_local object would do, but for one thing: where the
// system has no memory to note it, it ends the process.
#pragma once
#include <pthread.h>

namespace sn {
namespace cpu {

class ThreadExit {
    pthread_key_t key;
    const bool made;

  public:
    explicit ThreadExit(void (*release)(void *)) : made(pthread_key_create(&key, release) == 0) {}
    // Has release(what) called when the calling thread ends. False: it will not be, for want of memory.
    bool arm(void *what) const { return made && pthread_setspecific(key, what) == 0; }
};

} // namespace cpu
} // namespace sn
