// Window sums in registers and across the lanes of a simdgroup. Every sum is
// added up from its own terms and nothing is ever subtracted, so rounding does
// not drift, and a nan or inf stays inside its windows.
#pragma once
#include "spatial_access.h"

constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
constexpr int ceil_div(int a, int b) { return floor_div(a + b - 1, b); }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }
constexpr int smaller(int a, int b) { return a < b ? a : b; }

// sums[i] = v[i] + ... + v[i + K - 1] for N windows, which share the terms v[N
// - 1 .. K - 1]. STEP apart in memory.
template <int K, int N, int STEP> METAL_FUNC void sliding_sums(thread const float *v, thread float *sums) {
    constexpr int shared = smaller(N, K);          // windows at a time
    constexpr bool one_more = N == K + 1 && K > 1; // the last window begins where the first one ends
    static_assert(N % shared == 0 || K < N, "windows do not come out even");
#pragma unroll
    for (int first = 0; first < (one_more ? K : N); first += shared) {
        thread const float *w = v + first * STEP;
        thread float *s = sums + first * STEP;
        const int count = smaller(shared, N - first);
        float before = w[(shared - 1) * STEP], after = 0.0f;
#pragma unroll
        for (int i = shared; i < K; ++i) before += w[i * STEP];
#pragma unroll
        for (int i = shared - 1; i >= 0; --i) {
            if (i < shared - 1) before += w[i * STEP];
            if (i < count) s[i * STEP] = before;
        }
#pragma unroll
        for (int i = 1; i < shared; ++i) {
            if (i < count) {
                after = i == 1 ? w[K * STEP] : after + w[(K - 1 + i) * STEP];
                s[i * STEP] += after;
            }
        }
        if (one_more) s[K * STEP] = after + w[(2 * K - 1) * STEP];
    }
}

// A thread that walks down the image takes R rows at a time, a block, and keeps
// the blocks that a window of K rows can reach, oldest first: from the one that
// its first row stands in to the one that has just come.
template <int K, int R> struct Blocks {
    enum {
        count = ceil_div(K - 1, R) + 1,
        rows = count * R,
        newest = rows - R,       // the newest block's first row
        slack = newest - (K - 1) // rows of the oldest block that no window reaches any more
    };
    static_assert(K > R, "a block is as high as the window");
};

// What is summed: the values that are kept, or their squares.
struct Values {
    METAL_FUNC static float first(float value) { return value; }
    METAL_FUNC static float add(float sum, float value) { return sum + value; }
};
struct Squares {
    METAL_FUNC static float first(float value) { return value * value; }
    METAL_FUNC static float add(float sum, float value) { return fma(value, value, sum); }
};

// Sums down V columns: sums[r * V + c] for the R windows that end with the rows
// of the newest block, which is added to the blocks' totals. A window is the
// end of an old block, whole blocks, whose totals are kept, and the beginning
// of the newest.
template <typename Terms, int K, int V, int R>
METAL_FUNC void column_sums(thread const float *oldest, thread const float *newest, thread float *totals,
                            thread float *sums) {
    constexpr int count = Blocks<K, R>::count, slack = Blocks<K, R>::slack;
#pragma unroll
    for (int c = 0; c < V; ++c) {
        float sum = 0.0f; // of the whole blocks from block 2 on
#pragma unroll
        for (int b = 2; b < count - 1; ++b) {
            const float total = totals[b * V + c];
            sum = b == 2 ? total : sum + total;
        }
        float begun = sum; // windows that begin in block 1, at its rows 0 .. slack - 1
#pragma unroll
        for (int i = R - 1; i >= 1 && slack > 1; --i) {
            const float value = oldest[(R + i) * V + c];
            begun = i == R - 1 && count <= 3 ? Terms::first(value) : Terms::add(begun, value);
            if (i < slack) sums[(R - slack + i) * V + c] = begun;
        }
        if (count > 2) {
            const float total = totals[V + c];
            sum = count == 3 ? total : sum + total;
        }
        if (slack > 0) sums[(R - slack) * V + c] = sum;
#pragma unroll
        for (int i = R - 1; i >= slack; --i) { // windows that begin in block 0
            const float value = oldest[i * V + c];
            sum = i == R - 1 && count == 2 ? Terms::first(value) : Terms::add(sum, value);
            sums[(i - slack) * V + c] = sum;
        }
        float end = 0.0f;
#pragma unroll
        for (int r = 0; r < R; ++r) {
            const float value = newest[r * V + c];
            end = r == 0 ? Terms::first(value) : Terms::add(end, value);
            sums[r * V + c] += end;
        }
        totals[(count - 1) * V + c] = end;
    }
}

// Before the next step: the blocks become a step older.
template <int K, int V, int R> METAL_FUNC void age_rows(thread float *rows) {
#pragma unroll
    for (int i = 0; i < Blocks<K, R>::newest * V; ++i) rows[i] = rows[i + R * V];
}
template <int K, int V, int R> METAL_FUNC void age_totals(thread float *totals) {
#pragma unroll
    for (int i = 0; i < (Blocks<K, R>::count - 1) * V; ++i) totals[i] = totals[i + V];
}

template <int N> METAL_FUNC void fill_zero(thread float *v) {
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = 0.0f;
}

// N values that lie in threadgroup memory as float4s.
template <int N> METAL_FUNC void read_float4s(threadgroup const float4 *from, thread float *v) {
#pragma unroll
    for (int q = 0; q < N / 4; ++q) {
        const float4 f = from[q];
        v[4 * q] = f.x;
        v[4 * q + 1] = f.y;
        v[4 * q + 2] = f.z;
        v[4 * q + 3] = f.w;
    }
}
template <int N> METAL_FUNC void write_float4s(threadgroup float4 *to, thread const float *v) {
#pragma unroll
    for (int q = 0; q < N / 4; ++q) to[q] = float4(v[4 * q], v[4 * q + 1], v[4 * q + 2], v[4 * q + 3]);
}

// The value of the lane `distance` to the right (to the left where it is
// negative), around the simdgroup's end.
METAL_FUNC float from_lane(float value, int distance) {
    return distance == 0  ? value
           : distance > 0 ? simd_shuffle_rotate_down(value, ushort(distance))
                          : simd_shuffle_rotate_up(value, ushort(-distance));
}

// Each lane holds N neighbouring columns v of a row as long as the simdgroup: sums[j] is the sum over K columns from
// the lane's column j on, around the row's end. A window is the end of the lane's columns, whole lanes, whose totals
// are shared by the windows, and the beginning of one more.
template <int K, int N> METAL_FUNC void simd_window_sums(thread const float *v, thread float *sums) {
    static_assert(N <= K, "a window holds all of a lane");
    constexpr int beyond = K - N, whole = beyond / N; // lanes in window 0, beside its own and the one it ends in
    float first[N + 1];                               // sums of the first n columns
    first[0] = 0.0f;
    first[1] = v[0];
#pragma unroll
    for (int n = 2; n <= N; ++n) first[n] = first[n - 1] + v[n - 1];
    float common = 0.0f;
#pragma unroll
    for (int d = 1; d <= whole; ++d) common = d == 1 ? from_lane(first[N], d) : common + from_lane(first[N], d);
    const float next = from_lane(first[N], whole + 1), common_1 = whole == 0 ? next : common + next;
    float last = 0.0f; // sum of the columns from j on
#pragma unroll
    for (int j = N - 1; j >= 0; --j) {
        const int lanes = (beyond + j) / N, part = (beyond + j) % N;
        last = j == N - 1 ? v[j] : v[j] + last;
        float rest = lanes > whole ? common_1 : common;
        if (part > 0) {
            const float end = from_lane(first[part], lanes + 1);
            rest = lanes == 0 ? end : rest + end;
        }
        sums[j] = lanes + part == 0 ? last : last + rest;
    }
}

// Each lane holds V neighbouring columns v: sums[j] is the sum over columns j -
// K / 2 .. j + K / 2 (K odd). A window is whole lanes, whose totals are shared
// by the windows, and parts of a lane at both ends.
template <int K, int V> METAL_FUNC void simd_row_sums(thread const float *v, thread float *sums) {
    constexpr int half_k = K / 2;
    float first[V + 1],
        last[V + 1]; // sums of the first n and of the last n columns
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
