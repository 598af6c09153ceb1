// Memory between two unmapped pages, so that one byte read or written outside ends the program.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

enum class Side { first, last }; // the end of the memory that touches its unmapped page

class Guarded {
    size_t mapped;
    uint8_t *base;

  public:
    uint8_t *data;
    size_t size;

    Guarded(size_t bytes, Side side) : size(bytes) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        const size_t inside = (bytes + page - 1) / page * page;
        mapped = inside + 2 * page;
        void *p = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) std::abort();
        base = static_cast<uint8_t *>(p);
        if (inside && mprotect(base + page, inside, PROT_READ | PROT_WRITE)) std::abort();
        data = side == Side::first ? base + page : base + page + inside - bytes;
    }
    ~Guarded() { munmap(base, mapped); }
    void protect() { // from being written
        const size_t page = size_t(sysconf(_SC_PAGESIZE));
        if (mapped > 2 * page && mprotect(base + page, mapped - 2 * page, PROT_READ)) std::abort();
    }
    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;
};
