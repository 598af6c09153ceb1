// clang-format off: the macro tables below are read by column
// From a dispatch to the parameters of a kernel. The translator writes the list of bindings.
#pragma once
#include "parallel.h"

// The translator replaces `threadgroup float tile[8][8];` by a typedef of the same declarator and this.
#define SM_THREADGROUP_VARIABLE(name)                                                                     \
    static const char sm_key_##name = 0;                                                                  \
    sm_type_##name& name = *(sm_type_##name*)sm_threadgroup_variable(sizeof(sm_type_##name), alignof(sm_type_##name), &sm_key_##name, #name);

namespace sm {
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
template <class P> struct as_parameter { static inline P get(void* p) { return (P)p; } };
template <class P> struct as_parameter<P&> { static inline P& get(void* p) { return *(P*)p; } };
template <class P> struct as_position { static inline P get(const unsigned* v) { return (P)v[0]; } };
template <class E> struct as_position<vec<E, 2>> { static inline vec<E, 2> get(const unsigned* v) { return vec<E, 2>{(E)v[0], (E)v[1]}; } };
template <class E> struct as_position<vec<E, 3>> { static inline vec<E, 3> get(const unsigned* v) { return vec<E, 3>{(E)v[0], (E)v[1], (E)v[2]}; } };

template <int I> struct buffer {
    template <class P> static inline P get(const SmDispatch* d, const SmThread*) { return as_parameter<P>::get(d->buffers[I]); }
};
template <int I> struct threadgroup_memory {
    template <class P> static inline P get(const SmDispatch* d, const SmThread*) { return as_parameter<P>::get(d->threadgroup_memory[I]); }
};
#define SM_POSITION(name, value)                                                                                              \
    struct name {                                                                                                             \
        template <class P> static inline P get(const SmDispatch* d, const SmThread* t) { return as_position<P>::get(value); } \
    };
#define SM_SCALAR(name, value)                                                                              \
    struct name {                                                                                           \
        template <class P> static inline P get(const SmDispatch* d, const SmThread* t) { return (P)(value); } \
    };
SM_POSITION(thread_position_in_grid, t->position_in_grid)
SM_POSITION(thread_position_in_threadgroup, t->position_in_threadgroup)
SM_POSITION(threadgroup_position_in_grid, d->threadgroup_position_in_grid)
SM_POSITION(threads_per_threadgroup, d->threads_per_threadgroup)
SM_POSITION(dispatch_threads_per_threadgroup, d->dispatch_threads_per_threadgroup)
SM_POSITION(threads_per_grid, d->threads_per_grid)
SM_POSITION(threadgroups_per_grid, d->threadgroups_per_grid)
SM_SCALAR(thread_index_in_threadgroup, t->index)
SM_SCALAR(thread_index_in_simdgroup, t->lane)
SM_SCALAR(thread_index_in_quadgroup, t->lane & 3)
SM_SCALAR(simdgroup_index_in_threadgroup, t->simdgroup)
SM_SCALAR(quadgroup_index_in_threadgroup, t->index / 4)
SM_SCALAR(threads_per_simdgroup, d->simd_width)
SM_SCALAR(thread_execution_width, d->simd_width)
SM_SCALAR(simdgroups_per_threadgroup, d->simdgroup_count)
SM_SCALAR(quadgroups_per_threadgroup, (d->thread_count + 3) / 4)
SM_SCALAR(dispatch_simdgroups_per_threadgroup, \
          (d->dispatch_threads_per_threadgroup[0] * d->dispatch_threads_per_threadgroup[1] * d->dispatch_threads_per_threadgroup[2] + d->simd_width - 1) / d->simd_width)
#undef SM_POSITION
#undef SM_SCALAR

template <class... B> struct bindings {
    template <class... P> static inline void call(void (*f)(P...), const SmDispatch* d, const SmThread* t) {
        static_assert(sizeof...(B) == sizeof...(P), "the kernel's definition and instantiation disagree");
        f(B::template get<P>(d, t)...);
    }
};
#pragma clang attribute pop

template <int I, class... P> struct nth;
template <class H, class... R> struct nth<0, H, R...> { typedef H type; };
template <int I, class H, class... R> struct nth<I, H, R...> { typedef typename nth<I - 1, R...>::type type; };
template <class P> struct parameter { static constexpr unsigned long size = 0; static constexpr int writable = 0; };
template <class T> struct parameter<T*> { static constexpr unsigned long size = sizeof(T); static constexpr int writable = 1; };
template <class T> struct parameter<const T*> { static constexpr unsigned long size = sizeof(T); static constexpr int writable = 0; };
template <class T> struct parameter<T&> { static constexpr unsigned long size = sizeof(T); static constexpr int writable = 1; };
template <class T> struct parameter<const T&> { static constexpr unsigned long size = sizeof(T); static constexpr int writable = 0; };
template <int I, class... P> constexpr unsigned long parameter_size(void (*)(P...)) { return parameter<typename nth<I, P...>::type>::size; }
template <int I, class... P> constexpr int parameter_writable(void (*)(P...)) { return parameter<typename nth<I, P...>::type>::writable; }
} // namespace sm
