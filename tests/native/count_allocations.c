/* To be preloaded (glibc): counts the calls of the C library's allocator, and keeps the largest size asked for. */
#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

long count_allocations, largest_allocation;

static size_t counted(size_t n) {
    __atomic_add_fetch(&count_allocations, 1, __ATOMIC_RELAXED);
    if ((long)n > __atomic_load_n(&largest_allocation, __ATOMIC_RELAXED))
        __atomic_store_n(&largest_allocation, (long)n, __ATOMIC_RELAXED);
    return n;
}

void *malloc(size_t n) { return __libc_malloc(counted(n)); }
void *calloc(size_t n, size_t m) { return counted(n * m), __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return __libc_realloc(p, counted(n)); }
void *memalign(size_t align, size_t n) { return __libc_memalign(align, counted(n)); }
void *aligned_alloc(size_t align, size_t n) { return memalign(align, n); }
int posix_memalign(void **p, size_t align, size_t n) {
    void *const q = memalign(align, n);
    if (q) *p = q;
    return q ? 0 : ENOMEM;
}
