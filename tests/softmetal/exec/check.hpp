// Checked mode: kernels are compiled with the hooks of -fsanitize=thread, which we answer ourselves.
// Every load and store is held against the memory that is bound and against what other threads did.
#pragma once
#include "kernel_abi.h"
#include <cstddef>

namespace sm { struct Launch; }

namespace sm::check {
void begin_launch(bool on, const Launch &);
void begin_group();
void end_launch();
void add_threadgroup_memory(char *base, size_t length, const char *name);
void barrier(unsigned memory_flags);
void simdgroup_barrier(unsigned simdgroup);
void access(const void *address, size_t size, bool write, void *pc);
void atomic_access(const void *address, size_t size, bool write, int line);
} // namespace sm::check
