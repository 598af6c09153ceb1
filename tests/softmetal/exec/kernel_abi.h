// What the runtime and every compiled kernel (a small shared library) know of each other.
#pragma once
extern "C" {
enum { SM_MAX_BUFFERS = 31, SM_SLOT_BYTES = 16 };

// One compute dispatch, with the state of the threadgroup that runs now. Named as in the MSL specification.
struct SmDispatch {
    void *buffers[SM_MAX_BUFFERS];
    void *threadgroup_memory[SM_MAX_BUFFERS];
    unsigned threads_per_grid[3];
    unsigned threadgroups_per_grid[3];
    unsigned dispatch_threads_per_threadgroup[3];
    unsigned threads_per_threadgroup[3]; // fewer than dispatched at the edge of the grid
    unsigned threadgroup_position_in_grid[3];
    unsigned thread_count, simdgroup_count, simd_width;
};

struct SmThread {
    unsigned position_in_grid[3], position_in_threadgroup[3];
    unsigned index, lane, simdgroup;
};

enum { SM_BUFFER, SM_THREADGROUP, SM_BUILTIN };
struct SmParameter {
    int kind, index;
    unsigned long size; // of the type that the parameter points to
    int writable;
    int used; // 0: switched off by a function constant
    const char *name;
};
struct SmKernel {
    const char *name;
    void (*entry)(const SmDispatch *, const SmThread *);
    const SmParameter *parameters;
    int parameter_count;
    unsigned max_threads; // 0: no limit given
};

// Services of the runtime. `line` is the line of the call in the kernel's source.
void sm_threadgroup_barrier(unsigned memory_flags, int line);
void sm_simdgroup_barrier(unsigned memory_flags, int line);
// Waits for the SIMD-group, then returns every lane's value, SM_SLOT_BYTES apart.
const void *sm_simd_exchange(const void *value, unsigned size, int line);
unsigned sm_simd_lane(void);
unsigned sm_simd_lanes(void); // in this SIMD-group: the last one may be partial
void *sm_threadgroup_variable(unsigned long size, unsigned long alignment, const void *key, const char *name);
void sm_atomic_access(const volatile void *address, unsigned long size, int write, int line);
}
