// Planes of SIDE x SIDE, SIDE odd, for small odd square windows.
//
// A threadgroup keeps a plane for each lane in threadgroup memory. Where planes lie one after another, it reads and
// writes them as one run of elements. In between simdgroup i takes row i or column i of all planes: its lanes are then
// SIDE * SIDE floats apart, an odd number, and find them in different banks of memory.
#pragma once
#include "spatial_window.h"

// Sums over K neighbours, K odd, of a line of N values STEP apart, zeros beyond both ends.
template <int K, int N, int STEP> METAL_FUNC void line_windows(thread const float *v, thread float *sums) {
    static_assert(K <= N, "some windows are whole");
    constexpr int half_k = K / 2;
    float left = v[0], right = v[(N - 1) * STEP];
#pragma unroll
    for (int i = 1; i < K - 1; ++i) {
        left += v[i * STEP];
        right += v[(N - 1 - i) * STEP];
        if (i >= half_k) {
            sums[(i - half_k) * STEP] = left;
            sums[(N - 1 - i + half_k) * STEP] = right;
        }
    }
    sliding_sums<K, N - K + 1, STEP>(v, sums + half_k * STEP);
}

// A threadgroup's planes, and the line of one of them that a thread takes.
template <int SIDE> struct Planes {
    enum : int {
        threads = SPATIAL_PLANES * SIDE,
        quads = SPATIAL_PLANES * SIDE * SIDE / 4, // vectors of one image in threadgroup memory
        rounds = ceil_div(quads, threads)         // of them to a thread
    };
    static_assert(SIDE % 2 == 1, "lanes would meet in the same banks of memory");
    int thread_index, first, count; // the threadgroup's first plane, its planes
    int plane, line;                // of the thread, counted from 0
    int row, column;                // where row `line` and column `line` of the plane begin in threadgroup memory
    bool inside;                    // there is such a plane

    METAL_FUNC Planes(constant SpatialParams &p, int group, int thread_number) {
        thread_index = thread_number;
        plane = thread_number % SPATIAL_PLANES;
        line = thread_number / SPATIAL_PLANES;
        first = p.first_plane + group * SPATIAL_PLANES;
        count = min(SPATIAL_PLANES, p.planes - group * SPATIAL_PLANES);
        row = plane * (SIDE * SIDE) + line * SIDE;
        column = plane * (SIDE * SIDE) + line;
        inside = plane < count;
    }

    // All planes: one run of elements, four at a time where they are aligned, or each thread its column.
    template <typename T>
    METAL_FUNC void read(device const T *image, constant SpatialParams &p, int which,
                         threadgroup float4 *memory) const {
        if (p.aligned == SPATIAL_APART) {
            if (!inside) return;
            device const T *at = image + image_offset(p, which, first + plane, 0, line);
#pragma unroll
            for (int i = 0; i < SIDE; ++i)
                ((threadgroup float *)memory)[column + i * SIDE] = float(at[p.image[which].row * i]);
            return;
        }
        device const T *from = image + p.image[which].origin + long(first) * (SIDE * SIDE);
        const int elements = count * (SIDE * SIDE), quads = p.aligned == 4 ? elements / 4 : 0;
        vec<T, 4> v[rounds];
#pragma unroll
        for (int i = 0; i < rounds; ++i) {
            const int quad = thread_index + i * threads;
            if (quad < quads) v[i] = ((device const vec<T, 4> *)from)[quad];
        }
#pragma unroll
        for (int i = 0; i < rounds; ++i) {
            const int quad = thread_index + i * threads;
            if (quad < quads) memory[quad] = float4(float(v[i][0]), float(v[i][1]), float(v[i][2]), float(v[i][3]));
        }
        for (int i = 4 * quads + thread_index; i < elements; i += threads)
            ((threadgroup float *)memory)[i] = float(from[i]);
    }
    template <typename T>
    METAL_FUNC void write(device T *image, constant SpatialParams &p, int which,
                          threadgroup const float4 *memory) const {
        if (p.aligned == SPATIAL_APART) {
            if (!inside) return;
            device T *at = image + image_offset(p, which, first + plane, 0, line);
#pragma unroll
            for (int i = 0; i < SIDE; ++i)
                at[p.image[which].row * i] = T(((threadgroup const float *)memory)[column + i * SIDE]);
            return;
        }
        device T *to = image + p.image[which].origin + long(first) * (SIDE * SIDE);
        const int elements = count * (SIDE * SIDE), quads = p.aligned == 4 ? elements / 4 : 0;
#pragma unroll
        for (int i = 0; i < rounds; ++i) {
            const int quad = thread_index + i * threads;
            if (quad >= quads) continue;
            const float4 f = memory[quad];
            vec<T, 4> v;
            v[0] = T(f.x);
            v[1] = T(f.y);
            v[2] = T(f.z);
            v[3] = T(f.w);
            ((device vec<T, 4> *)to)[quad] = v;
        }
        for (int i = 4 * quads + thread_index; i < elements; i += threads)
            to[i] = T(((threadgroup const float *)memory)[i]);
    }

    METAL_FUNC void get_row(threadgroup const float4 *memory, thread float *v) const {
#pragma unroll
        for (int i = 0; i < SIDE; ++i) v[i] = ((threadgroup const float *)memory)[row + i];
    }
    METAL_FUNC void set_row(threadgroup float4 *memory, thread const float *v) const {
#pragma unroll
        for (int i = 0; i < SIDE; ++i) ((threadgroup float *)memory)[row + i] = v[i];
    }
    METAL_FUNC void get_column(threadgroup const float4 *memory, thread float *v) const {
#pragma unroll
        for (int i = 0; i < SIDE; ++i) v[i] = ((threadgroup const float *)memory)[column + i * SIDE];
    }
    METAL_FUNC void set_column(threadgroup float4 *memory, thread const float *v) const {
#pragma unroll
        for (int i = 0; i < SIDE; ++i) ((threadgroup float *)memory)[column + i * SIDE] = v[i];
    }

    // Sums of squares along the rows.
    template <int K> METAL_FUNC void square_rows(threadgroup const float4 *memory, threadgroup float4 *sums) const {
        float v[SIDE], s[SIDE];
        get_row(memory, v);
#pragma unroll
        for (int i = 0; i < SIDE; ++i) v[i] *= v[i];
        line_windows<K, SIDE, 1>(v, s);
        set_row(sums, s);
    }
    // T of a column, from the sums along the rows.
    template <int K>
    METAL_FUNC void column_bases(constant SpatialParams &p, threadgroup const float4 *sums, thread float *t) const {
        float v[SIDE];
        get_column(sums, v);
        line_windows<K, SIDE, 1>(v, t);
#pragma unroll
        for (int i = 0; i < SIDE; ++i) t[i] = base(p, t[i]);
    }
};

// y = x * T^-beta
template <typename T, int K, int SIDE>
kernel void spatial_forward_planes(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                   constant SpatialParams &p [[buffer(2)]], uint group [[threadgroup_position_in_grid]],
                                   uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup float4 xs[Planes<SIDE>::quads], sums[Planes<SIDE>::quads];
    const Planes<SIDE> planes(p, int(group), int(thread_index));
    planes.read(x, p, 0, xs);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (planes.inside) planes.template square_rows<K>(xs, sums);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (planes.inside) {
        float t[SIDE], v[SIDE];
        planes.template column_bases<K>(p, sums, t);
        powers<SIDE>(p, t, t);
        planes.get_column(xs, v);
#pragma unroll
        for (int i = 0; i < SIDE; ++i) v[i] *= t[i];
        planes.set_column(xs, v);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    planes.write(y, p, 1, xs);
}

// dx = dy * T^-beta - factor * x * (window sum of dy * x * T^-(beta + 1))
template <typename T, int K, int SIDE>
kernel void spatial_gradient_planes(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                    device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                    uint group [[threadgroup_position_in_grid]],
                                    uint thread_index [[thread_index_in_threadgroup]]) {
    // slopes: dy, then dy * T^-beta, then dx
    threadgroup float4 xs[Planes<SIDE>::quads], slopes[Planes<SIDE>::quads], sums[Planes<SIDE>::quads];
    const Planes<SIDE> planes(p, int(group), int(thread_index));
    planes.read(x, p, 1, xs);
    planes.read(dy, p, 0, slopes);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (planes.inside) planes.template square_rows<K>(xs, sums);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (planes.inside) {
        float t[SIDE], power[SIDE], power_1[SIDE], v[SIDE], slope[SIDE];
        planes.template column_bases<K>(p, sums, t);
        powers<SIDE>(p, t, power, power_1);
        planes.get_column(xs, v);
        planes.get_column(slopes, slope);
#pragma unroll
        for (int i = 0; i < SIDE; ++i) {
            power[i] *= slope[i];
            v[i] *= slope[i] * power_1[i];
        }
        planes.set_column(slopes, power);
        line_windows<K, SIDE, 1>(v, t);
        planes.set_column(sums, t);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (planes.inside) {
        float v[SIDE], s[SIDE], direct[SIDE];
        planes.get_row(sums, v);
        line_windows<K, SIDE, 1>(v, s);
        planes.get_row(xs, v);
        planes.get_row(slopes, direct);
#pragma unroll
        for (int i = 0; i < SIDE; ++i) direct[i] = fma(-p.factor * v[i], s[i], direct[i]);
        planes.set_row(slopes, direct);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    planes.write(dx, p, 2, slopes);
}
