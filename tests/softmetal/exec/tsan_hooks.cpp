// The functions that code compiled with -fsanitize=thread calls before each load and store.
#include "check.hpp"
#include <cstring>

#define PC __builtin_return_address(0)
#define HOOKS(n)                                                                   \
    void __tsan_read##n(void *p) { sm::check::access(p, n, false, PC); }           \
    void __tsan_write##n(void *p) { sm::check::access(p, n, true, PC); }           \
    void __tsan_unaligned_read##n(void *p) { sm::check::access(p, n, false, PC); } \
    void __tsan_unaligned_write##n(void *p) { sm::check::access(p, n, true, PC); } \
    void __tsan_read_write##n(void *p) {                                           \
        sm::check::access(p, n, false, PC);                                        \
        sm::check::access(p, n, true, PC);                                         \
    }                                                                              \
    void __tsan_unaligned_read_write##n(void *p) {                                 \
        sm::check::access(p, n, false, PC);                                        \
        sm::check::access(p, n, true, PC);                                         \
    }

extern "C" {
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16) void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void *__tsan_memcpy(void *to, const void *from, size_t n) {
    sm::check::access(from, n, false, PC);
    sm::check::access(to, n, true, PC);
    return memcpy(to, from, n);
}
void *__tsan_memmove(void *to, const void *from, size_t n) {
    sm::check::access(from, n, false, PC);
    sm::check::access(to, n, true, PC);
    return memmove(to, from, n);
}
void *__tsan_memset(void *to, int value, size_t n) {
    sm::check::access(to, n, true, PC);
    return memset(to, value, n);
}
}
