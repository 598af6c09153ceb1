// Strips of one threadgroup for interleaved channels (NHWC) and small odd square windows.
//
// A thread walks down V neighbouring columns of C neighbouring channels, R rows at a time, as in spatial_walk.h;
// LANES threads side by side take the channels, so that what a simdgroup reads and writes is contiguous. It keeps the
// window's rows in registers and sums them down the columns; sums of the columns beside its own come from threadgroup
// memory.
#pragma once
#include "spatial_walk.h"

// In threadgroup memory stand the threads' first columns side by side, then their second ones, and so on: neighbouring
// threads find them in different banks. Beside a strip are the columns that a window reaches, which are zero.
constexpr int interleaved_pitch(int k, int columns, int width) {
    return width / columns + 2 * ceil_div(k / 2, columns);
}
// Positions of R rows, C floats each.
constexpr int interleaved_slots(int k, int columns, int rows, int lanes, int width) {
    return rows * columns * interleaved_pitch(k, columns, width) * lanes;
}

// Rows that stand together in threadgroup memory, so that a thread moves up to four floats at a time.
constexpr int interleaved_packed(int rows, int channels) {
    return rows % 4 == 0 && channels == 1 ? 4 : rows % 2 == 0 && channels <= 2 ? 2 : 1;
}

// Sums along R rows, of sums that each thread has of its columns.
template <int K, int V, int R, int C, int LANES, int WIDTH> struct InterleavedRows {
    enum : int {
        half_k = K / 2,
        pitch = interleaved_pitch(K, V, WIDTH),
        together = interleaved_packed(R, C),
        packs = R / together,
        slots = interleaved_slots(K, V, packs, LANES, WIDTH)
    };
    typedef Neighbours<float, together * C> Pack;
    typedef typename Pack::type Sums;
    threadgroup Sums *memory; // twice as many slots as one sum needs
    int slot;                 // of the thread's first column

    METAL_FUNC InterleavedRows(threadgroup float4 *all, int thread_index) {
        memory = (threadgroup Sums *)all;
        slot = thread_index + ceil_div(half_k, V) * LANES;
    }
    METAL_FUNC void clear(int thread_index, int threads) const {
        for (int i = thread_index; i < 2 * slots; i += threads) memory[i] = Sums(0.0f);
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    // `half_of_memory` is 0 and 1 by turns: others may still be reading what was put there for the last sum.
    METAL_FUNC void sum(int half_of_memory, thread const float *v, thread float *sums) const {
        threadgroup Sums *at = memory + half_of_memory * slots + slot;
#pragma unroll
        for (int i = 0; i < packs * V; ++i) {
            Sums s;
#pragma unroll
            for (int j = 0; j < together * C; ++j)
                Pack::set(s, j, v[((i / V * together + j / C) * V + i % V) * C + j % C]);
            at[i * pitch * LANES] = s;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
        for (int pack = 0; pack < packs; ++pack) {
            float w[together * (V + K - 1) * C]; // row by row, from half a window before to half a window behind
#pragma unroll
            for (int i = 0; i < V + K - 1; ++i) {
                const bool own = i >= half_k && i < half_k + V;
                const int turn = floor_div(i - half_k, V), which = i - half_k - turn * V; // whose, and of its columns
                const Sums s = own ? Sums(0.0f) : at[((pack * V + which) * pitch + turn) * LANES];
#pragma unroll
                for (int j = 0; j < together * C; ++j)
                    w[(j / C * (V + K - 1) + i) * C + j % C] =
                        own ? v[((pack * together + j / C) * V + i - half_k) * C + j % C] : Pack::get(s, j);
            }
#pragma unroll
            for (int j = 0; j < together * C; ++j)
                sliding_sums<K, V, C>(w + j / C * (V + K - 1) * C + j % C,
                                      sums + (pack * together + j / C) * V * C + j % C);
        }
    }
};

// A thread's place and its channels.
template <int V, int C> struct Interleaved {
    Place place;
    int columns, channels; // those that are in the image

    METAL_FUNC Interleaved(constant SpatialParams &p, int task, int lanes, int thread_index) {
        // p.planes counts groups of C channels here.
        place = place_of(p, task, lanes, thread_index % lanes, thread_index / lanes, V);
        const int group = place.plane - p.first_plane, groups = ceil_div(p.inner, C);
        const int channel = group % groups * C;
        place.plane = p.first_plane + group / groups * p.inner + channel;
        columns = place.inside ? p.width - place.column : 0;
        channels = p.inner - channel;
    }

    // R rows from `row` on, V columns of C channels, zero outside the image; steps down to the rows after them.
    // What is read stays a T until it is needed: a conversion would wait for it.
    template <int R, typename T>
    METAL_FUNC void read(thread Column<const T> &from, constant SpatialParams &p, int which, int row, bool wanted,
                         thread typename Neighbours<T, C>::type *v) const {
        typedef typename Neighbours<T, C>::type Vector;
        device const T *at = from.at;
        from.at += from.row * R;
        if (C == 1 || p.aligned == C) {
#pragma unroll
            for (int i = 0; i < R * V; ++i) {
                const bool inside = wanted && uint(row + i / V) < uint(p.height) && i % V < columns;
                v[i] = inside ? *(device const Vector *)(at + from.row * (i / V) + from.column * (i % V))
                              : Vector(T(0.0f));
            }
            return;
        }
        const long step = p.image[which].batch[SPATIAL_BATCH_AXES - 1];
#pragma unroll
        for (int i = 0; i < R * V; ++i) {
            const bool inside = wanted && uint(row + i / V) < uint(p.height) && i % V < columns;
            device const T *pixel = at + from.row * (i / V) + from.column * (i % V);
#pragma unroll
            for (int c = 0; c < C; ++c)
                Neighbours<T, C>::set(v[i], c, inside && c < channels ? pixel[step * c] : T(0.0f));
        }
    }
    // R rows from `row` on, but none from place.last on; steps down to the rows after them.
    template <int R, typename T>
    METAL_FUNC void write(thread Column<T> &to, constant SpatialParams &p, int which, int row,
                          thread const float *v) const {
        typedef typename Neighbours<T, C>::type Vector;
        device T *at = to.at;
        to.at += to.row * R;
        const int wanted = place.owned ? columns : 0;
        if (C == 1 || p.aligned == C) {
#pragma unroll
            for (int i = 0; i < R * V; ++i) {
                Vector out;
#pragma unroll
                for (int c = 0; c < C; ++c) Neighbours<T, C>::set(out, c, T(v[i * C + c]));
                if (row + i / V < place.last && i % V < wanted)
                    *(device Vector *)(at + to.row * (i / V) + to.column * (i % V)) = out;
            }
            return;
        }
        const long step = p.image[which].batch[SPATIAL_BATCH_AXES - 1];
#pragma unroll
        for (int i = 0; i < R * V; ++i) {
            device T *pixel = at + to.row * (i / V) + to.column * (i % V);
#pragma unroll
            for (int c = 0; c < C; ++c)
                if (row + i / V < place.last && i % V < wanted && c < channels) pixel[step * c] = T(v[i * C + c]);
        }
    }
};

// Takes what was read as N / C vectors.
template <int N, int C, typename T>
METAL_FUNC void keep(thread const typename Neighbours<T, C>::type *next, thread float *rows) {
#pragma unroll
    for (int i = 0; i < N; ++i) rows[i] = Neighbours<T, C>::get(next[i / C], i % C);
}

// Takes the blocks before the newest of the first step, N values to a row.
template <int K, int N, int R, int C, typename T>
METAL_FUNC void keep_first(thread const typename Neighbours<T, C>::type *read, thread float *rows,
                           thread float *totals) {
    constexpr int count = Blocks<K, R>::count - 1;
    keep<count * R * N, C, T>(read, rows);
#pragma unroll
    for (int i = 0; i < count * N; ++i) {
        totals[i] = Squares::first(rows[i / N * R * N + i % N]);
#pragma unroll
        for (int r = 1; r < R; ++r) totals[i] = Squares::add(totals[i], rows[(i / N * R + r) * N + i % N]);
    }
}

// As column_sums. A window of single rows is added up row by row, without totals.
template <typename Terms, int K, int N, int R>
METAL_FUNC void interleaved_column_sums(thread const float *rows, thread float *totals, thread float *sums) {
    if (R > 1) {
        column_sums<Terms, K, N, R>(rows, rows + Blocks<K, R>::newest * N, totals, sums);
        return;
    }
#pragma unroll
    for (int c = 0; c < N; ++c) {
        sums[c] = Terms::first(rows[c]);
#pragma unroll
        for (int r = 1; r < K; ++r) sums[c] = Terms::add(sums[c], rows[r * N + c]);
    }
}

// Steps of a loop's body: single rows come round to the same registers after K of them, and none is copied.
constexpr int interleaved_turns(int k, int rows) { return rows == 1 ? k : 1; }

// y = x * T^-beta
template <typename T, int K, int V, int R, int C, int LANES, int WIDTH>
kernel void spatial_forward_interleaved(device const T *x [[buffer(0)]], device T *y [[buffer(1)]],
                                        constant SpatialParams &p [[buffer(2)]],
                                        uint group [[threadgroup_position_in_grid]],
                                        uint thread_index [[thread_index_in_threadgroup]]) {
    constexpr int N = V * C, half_k = K / 2, newest = Blocks<K, R>::newest, turns = interleaved_turns(K, R);
    threadgroup float4 memory[2 * interleaved_slots(K, V, R, LANES, WIDTH) * C / 4];
    const InterleavedRows<K, V, R, C, LANES, WIDTH> rows(memory, int(thread_index));
    const Interleaved<V, C> mine(p, int(group), LANES, int(thread_index));

    float xs[Blocks<K, R>::rows * N], totals[Blocks<K, R>::count * N]; // the newest rows are row + half_k on
    typename Neighbours<T, C>::type first[newest * V], next[R * V];
    int row = mine.place.first, turn = 0;
    Column<const T> from = column_of(x, p, 0, mine.place, row + half_k - newest);
    Column<T> to = column_of(y, p, 1, mine.place, row);
    mine.template read<newest>(from, p, 0, row + half_k - newest, true, first);
    mine.template read<R>(from, p, 0, row + half_k, true, next);
    rows.clear(int(thread_index), p.strip_lanes * LANES);
    keep_first<K, N, R, C, T>(first, xs, totals);
#pragma unroll(turns)
    for (; row < mine.place.last; row += R) {
        keep<R * N, C, T>(next, xs + newest * N);
        mine.template read<R>(from, p, 0, row + R + half_k, row + R < mine.place.last, next);
        float sums[R * N], out[R * N];
        interleaved_column_sums<Squares, K, N, R>(xs, totals, sums);
        rows.sum(turn, sums, out);
        turn = 1 - turn;
#pragma unroll
        for (int i = 0; i < R * N; ++i) out[i] = base(p, out[i]);
        powers<R * N>(p, out, out);
#pragma unroll
        for (int i = 0; i < R * N; ++i) out[i] *= xs[(newest - half_k) * N + i];
        mine.template write<R>(to, p, 1, row, out);
        age_rows<K, N, R>(xs);
        age_totals<K, N, R>(totals);
    }
}

// dx = dy * T^-beta - factor * x * (window sum of dy * x * T^-(beta + 1)), as gradient_walk.
template <typename T, int K, int V, int R, int C, int LANES, int WIDTH>
kernel void spatial_gradient_interleaved(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                         device T *dx [[buffer(2)]], constant SpatialParams &p [[buffer(3)]],
                                         uint group [[threadgroup_position_in_grid]],
                                         uint thread_index [[thread_index_in_threadgroup]]) {
    constexpr int N = V * C, count = Blocks<K, R>::count, turns = interleaved_turns(K, R);
    constexpr int half_k = K / 2, newest = Blocks<K, R>::newest, kept = Blocks<K, R>::rows * N;
    constexpr int written = newest - (K - 1), centre = newest - half_k; // of the kept rows
    threadgroup float4 memory[2 * interleaved_slots(K, V, R, LANES, WIDTH) * C / 4];
    typedef typename Neighbours<T, C>::type Vector;
    const InterleavedRows<K, V, R, C, LANES, WIDTH> rows(memory, int(thread_index));
    const Interleaved<V, C> mine(p, int(group), LANES, int(thread_index));

    // The newest rows are row + K - 1 on in xs, row + half_k on in us and direct.
    float xs[kept], us[kept], direct[kept], totals[count * N], u_totals[count * N];
    Vector first[newest * V], next_x[R * V], next_dy[R * V];
    const int last = mine.place.last;
    int row = mine.place.first - newest;
    Column<const T> from_x = column_of(x, p, 1, mine.place, row + K - 1 - newest);
    Column<const T> from_dy = column_of(dy, p, 0, mine.place, row + half_k);
    Column<T> to = column_of(dx, p, 2, mine.place, mine.place.first);
    mine.template read<newest>(from_x, p, 1, row + K - 1 - newest, true, first);
    mine.template read<R>(from_x, p, 1, row + K - 1, true, next_x);
    mine.template read<R>(from_dy, p, 0, row + half_k, true, next_dy);
    rows.clear(int(thread_index), p.strip_lanes * LANES);
    keep_first<K, N, R, C, T>(first, xs, totals);
    fill_zero<kept>(us);
    fill_zero<kept>(direct);
    fill_zero<count * N>(u_totals);
#pragma unroll(turns)
    for (; row < last; row += R) {
        float sums[R * N], t[R * N], power[R * N], power_1[R * N], slopes[R * N];
        keep<R * N, C, T>(next_x, xs + newest * N);
        // Both images at once, before the threads meet: a read begun between the sums comes too late.
        mine.template read<R>(from_x, p, 1, row + R + K - 1, row + R < last, next_x);
        keep<R * N, C, T>(next_dy, slopes);
        mine.template read<R>(from_dy, p, 0, row + R + half_k, row + R < last, next_dy);
        interleaved_column_sums<Squares, K, N, R>(xs, totals, sums);
        rows.sum(0, sums, t);
#pragma unroll
        for (int i = 0; i < R * N; ++i) t[i] = base(p, t[i]);
        powers<R * N>(p, t, power, power_1);
#pragma unroll
        for (int i = 0; i < R * N; ++i) {
            const float term = slopes[i] * xs[centre * N + i] * power_1[i];
            // Outside the image T may be zero or infinite, and the term nan.
            const bool inside = uint(row + half_k + i / N) < uint(p.height) && i % N / C < mine.columns;
            direct[newest * N + i] = slopes[i] * power[i];
            us[newest * N + i] = inside ? term : 0.0f;
        }
        interleaved_column_sums<Values, K, N, R>(us, u_totals, sums);
        if (row >= mine.place.first) { // the same for all threads
            rows.sum(1, sums, t);
#pragma unroll
            for (int i = 0; i < R * N; ++i) t[i] = fma(-p.factor * xs[written * N + i], t[i], direct[centre * N + i]);
            mine.template write<R>(to, p, 2, row, t);
        } else {
            threadgroup_barrier(mem_flags::mem_threadgroup); // the sums of x^2 have been read
        }
        age_rows<K, N, R>(xs);
        age_rows<K, N, R>(us);
        age_rows<K, N, R>(direct);
        age_totals<K, N, R>(totals);
        age_totals<K, N, R>(u_totals);
    }
}
