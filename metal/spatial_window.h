// Window sums in registers and across the lanes of a simdgroup. Every sum is added up from its own terms and
// nothing is ever subtracted, so rounding does not drift, and a nan or inf stays inside its windows.
#pragma once
#include "spatial_access.h"

constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
constexpr int ceil_div(int a, int b) { return floor_div(a + b - 1, b); }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }
constexpr int smaller(int a, int b) { return a < b ? a : b; }

// sums[i] = v[i] + ... + v[i + K - 1] for N windows, which share the terms v[N - 1 .. K - 1]. STEP apart in memory.
template <int K, int N, int STEP> METAL_FUNC void sliding_sums(thread const float *v, thread float *sums) {
    constexpr int shared = smaller(N, K); // windows at a time
    static_assert(N % shared == 0 || K < N, "windows do not come out even");
#pragma unroll
    for (int first = 0; first < N; first += shared) {
        thread const float *w = v + first * STEP;
        thread float *s = sums + first * STEP;
        const int count = smaller(shared, N - first);
        float common = w[(shared - 1) * STEP];
#pragma unroll
        for (int i = shared; i < K; ++i) common += w[i * STEP];
        float before = 0.0f, after = 0.0f;
        if (count == shared) s[(shared - 1) * STEP] = common;
#pragma unroll
        for (int i = shared - 2; i >= 0; --i) {
            before = i == shared - 2 ? w[i * STEP] : before + w[i * STEP];
            if (i < count) s[i * STEP] = common + before;
        }
#pragma unroll
        for (int i = 1; i < shared; ++i) {
            if (i < count) {
                after = i == 1 ? w[K * STEP] : after + w[(K - 1 + i) * STEP];
                s[i * STEP] += after;
            }
        }
    }
}

// A window's sum down the columns, R rows to a step, is put together from the few rows at its upper end that are
// leaving it, whole blocks of R rows, whose totals are kept, and the rows that have come since. This is what a thread
// keeps: the totals, oldest first, and the sum of the rows since the last whole block.
template <int K, int R> struct ColumnWindow {
    enum {
        blocks = ceil_div(K - R, R),                       // whole ones, with the one in progress
        missing = R - 1 + R * ceil_div(K - R, R) - (K - 1) // rows that complete that one
    };
    float total[blocks > 1 ? blocks - 1 : 1];
    float partial;
};

template <int K, int R> METAL_FUNC void clear(thread ColumnWindow<K, R> &window) {
#pragma unroll
    for (int b = 0; b < ColumnWindow<K, R>::blocks - 1; ++b) window.total[b] = 0.0f;
    window.partial = 0.0f;
}

// R sums over K rows: the first begins with leaving[0], the last ends with coming[R - 1].
template <int K, int R>
METAL_FUNC void column_sums(thread ColumnWindow<K, R> &window, thread const float *leaving, thread const float *coming,
                            thread float *sums) {
    static_assert(K >= R, "a step is higher than the window");
    constexpr int blocks = ColumnWindow<K, R>::blocks, missing = ColumnWindow<K, R>::missing;
    float sum = 0.0f;
#pragma unroll
    for (int r = R - 2; r >= 0; --r) {
        sum = r == R - 2 ? leaving[r] : sum + leaving[r];
        sums[r] = sum;
    }
    sum = window.partial;
#pragma unroll
    for (int b = 0; b < blocks - 1; ++b) sum += window.total[b];
    float whole = window.partial, partial = 0.0f;
#pragma unroll
    for (int r = 0; r < R; ++r) {
        sum += coming[r];
        sums[r] = r == R - 1 ? sum : sums[r] + sum;
        if (r < missing) whole += coming[r];
        else partial = r == missing ? coming[r] : partial + coming[r];
    }
    window.partial = blocks > 0 ? partial : 0.0f;
#pragma unroll
    for (int b = 0; b < blocks - 2; ++b) window.total[b] = window.total[b + 1];
    if (blocks > 1) window.total[blocks - 2] = whole;
}

// The value of the lane `distance` to the right (to the left where it is negative), around the simdgroup's end.
METAL_FUNC float from_lane(float value, int distance) {
    return distance == 0  ? value
           : distance > 0 ? simd_shuffle_rotate_down(value, ushort(distance))
                          : simd_shuffle_rotate_up(value, ushort(-distance));
}

// Each lane holds V neighbouring columns v: sums[j] is the sum over columns j - K / 2 .. j + K / 2 (K odd). A
// window is whole lanes, whose totals are shared by the windows, and parts of a lane at both ends.
template <int K, int V> METAL_FUNC void simd_row_sums(thread const float *v, thread float *sums) {
    constexpr int half_k = K / 2;
    float first[V + 1], last[V + 1]; // sums of the first n and of the last n columns
    first[0] = last[0] = 0.0f;
    first[1] = v[0];
    last[1] = v[V - 1];
#pragma unroll
    for (int n = 2; n <= V; ++n) {
        first[n] = first[n - 1] + v[n - 1];
        last[n] = last[n - 1] + v[V - n];
    }
    // Whole lanes that all V windows hold.
    constexpr int common_first = ceil_div(V - 1 - half_k, V), common_last = floor_div(half_k + 1, V) - 1;
    constexpr int reach = ceil_div(half_k, V);
    float total[2 * reach + 1];
#pragma unroll
    for (int d = -reach; d <= reach; ++d) total[reach + d] = K > V ? from_lane(first[V], d) : 0.0f;
    float common = 0.0f;
#pragma unroll
    for (int d = common_first; d <= common_last; ++d)
        common = d == common_first ? total[reach + d] : common + total[reach + d];

#pragma unroll
    for (int j = 0; j < V; ++j) {
        const int begin = j - half_k, end = j + half_k + 1;
        const int whole_first = ceil_div(begin, V), whole_last = floor_div(end, V) - 1;
        if (floor_div(begin, V) == floor_div(end - 1, V) && whole_first > whole_last) { // inside one lane
            float sum = v[begin];
#pragma unroll
            for (int c = begin + 1; c < end; ++c) sum += v[c];
            sums[j] = sum;
        } else {
            const int before = whole_first * V - begin, after = end - (whole_last + 1) * V;
            float sum = 0.0f;
            bool empty = true;
            if (common_first <= common_last) {
                sum = common;
                empty = false;
            }
#pragma unroll
            for (int d = whole_first; d <= whole_last; ++d) {
                if (common_first <= d && d <= common_last) continue;
                sum = empty ? total[reach + d] : sum + total[reach + d];
                empty = false;
            }
            if (before > 0) {
                const float part = from_lane(last[before], whole_first - 1);
                sum = empty ? part : sum + part;
                empty = false;
            }
            if (after > 0) {
                const float part = from_lane(first[after], whole_last + 1);
                sum = empty ? part : sum + part;
            }
            sums[j] = sum;
        }
    }
}
