// Allocation and the starting of threads, interposed: the n-th call can be made to fail, and what lives is counted.
// To be included by one source of a program. Needs glibc, whose own functions stand behind.
#pragma once
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <dlfcn.h>
#include <pthread.h>

namespace faults {

std::atomic<long> calls{0}, live{0};         // allocations asked for since fail_at(); blocks not freed
std::atomic<long> first{0}, last{0};         // which of them fail, counted from 1; 0: none
std::atomic<long> threads{0}, allowed{1000}; // started; that may be started

inline void fail_at(long from, long to) { calls = 0, last = to, first = from; }
inline void fail_never() { fail_at(0, 0); }
inline bool reached() { return first && calls >= first; }

inline bool fails() {
    const long call = ++calls;
    if (!first || call < first || call > last) return false;
    errno = ENOMEM;
    return true;
}
inline void *counted(void *p) {
    if (p) ++live;
    return p;
}

} // namespace faults

extern "C" {

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t n) { return faults::fails() ? nullptr : faults::counted(__libc_malloc(n)); }
void *calloc(size_t n, size_t m) { return faults::fails() ? nullptr : faults::counted(__libc_calloc(n, m)); }
void *realloc(void *p, size_t n) {
    if (faults::fails()) return nullptr;
    void *const q = __libc_realloc(p, n);
    if (!p) faults::counted(q);
    return q;
}
void *memalign(size_t align, size_t n) {
    return faults::fails() ? nullptr : faults::counted(__libc_memalign(align, n));
}
void *aligned_alloc(size_t align, size_t n) { return memalign(align, n); }
int posix_memalign(void **p, size_t align, size_t n) {
    void *const q = memalign(align, n);
    if (q) *p = q;
    return q ? 0 : ENOMEM;
}
void free(void *p) {
    if (p) --faults::live;
    __libc_free(p);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    using Create = int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (faults::threads >= faults::allowed) return EAGAIN;
    ++faults::threads;
    return create(thread, attributes, start, argument);
}

} // extern "C"
