// Rows: where a row of an input or of the output lies, and moving rows between a block and scratch.

SN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
SN_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// How many lanes of a vector count: an int, or one of these. Streamed stores go past the caches, to aligned memory.
template <class V> struct Whole {};
template <class V> struct Streamed {};

// Calls body(column, lanes) over [from, to): whole vectors, then one part.
template <class V, template <class> class Lanes = Whole, class Body>
SN_INLINE void over_columns(int64_t from, int64_t to, Body body) {
    int64_t c = from;
    for (; c + V::W <= to; c += V::W) body(c, Lanes<V>());
    if (c < to) body(c, int(to - c));
}

// Samples from p to the next aligned vector, and since the last.
template <class V> SN_INLINE int64_t to_vector(const typename V::T *p) {
    return -int64_t(uintptr_t(p) / sizeof(*p)) & (V::W - 1);
}
template <class V> SN_INLINE int64_t since_vector(const typename V::T *p) {
    return int64_t(uintptr_t(p) / sizeof(*p)) & (V::W - 1);
}
// Likewise for the columns of `row`, a row in scratch: a part up to its first aligned vector, then aligned ones.
template <class V, class Body>
SN_INLINE void over_aligned(const typename V::T *row, int64_t from, int64_t to, Body body) {
    const int64_t head = to_vector<V>(row + from);
    if (head > 0) {
        body(from, int(smaller(head, to - from)));
        from += head;
    }
    over_columns<V>(from, to, body);
}
template <class V, class N> SN_INLINE typename V::v load(const typename V::T *p, N n) {
    if constexpr (std::is_same<N, int>::value) return V::load_part(p, n);
    else return V::load(p);
}
template <class V, class N> SN_INLINE void store(typename V::T *p, typename V::v x, N n) {
    if constexpr (std::is_same<N, int>::value) V::store_part(p, x, n);
    else if constexpr (std::is_same<N, Streamed<V>>::value) V::stream(p, x);
    else V::store(p, x);
}

// One sample of each storage type.
template <class T, class S> SN_INLINE S sample(const char *p) {
    S s;
    std::memcpy(&s, p, sizeof s);
    return s;
}

// Storage of 16 bits, arithmetic in 32.
template <class V> SN_INLINE bool converted(const SpatialJob<typename V::T> &job) {
    return sizeof(typename V::T) == 4 && job.dtype != SN_FLOAT32;
}

template <class V> struct Convert {
    using T = typename V::T;

    // Columns [c0, c1) of a row that starts at `row`, to to[0 ...].
    static void load(const SpatialJob<T> &job, const Access &a, const char *row, int64_t c0, int64_t c1, T *to) {
        if (V::W > 1 && a.across) return load_across(job, a, row, to);
        load_columns(job, a, row, c0, c1, to);
    }
    static void store(const SpatialJob<T> &job, const Access &a, char *row, int64_t c0, int64_t c1, const T *from) {
        if (V::W > 1 && a.across) return store_across(job, a, row, from);
        store_columns(job, a, row, c0, c1, from);
    }

  private:
    SN_INLINE void load_columns(const SpatialJob<T> &job, const Access &a, const char *row, int64_t c0, int64_t c1,
                                T *to) {
        switch (job.dtype) {
        case SN_FLOAT16:
            if constexpr (sizeof(T) == 4) load_as<uint16_t>(job, a, row, c0, c1, to, V::load_f16, float_from_f16);
            break;
        case SN_BFLOAT16:
            if constexpr (sizeof(T) == 4) load_as<uint16_t>(job, a, row, c0, c1, to, V::load_bf16, float_from_bf16);
            break;
        default: load_as<T>(job, a, row, c0, c1, to, V::load, [](T x) { return x; });
        }
    }
    SN_INLINE void store_columns(const SpatialJob<T> &job, const Access &a, char *row, int64_t c0, int64_t c1,
                                 const T *from) {
        switch (job.dtype) {
        case SN_FLOAT16:
            if constexpr (sizeof(T) == 4)
                store_as<uint16_t>(job, a, row, c0, c1, from, V::store_f16, V::stream_f16, f16_from_float);
            break;
        case SN_BFLOAT16:
            if constexpr (sizeof(T) == 4)
                store_as<uint16_t>(job, a, row, c0, c1, from, V::template store_bf16<false>,
                                   V::template stream_bf16<false>, bf16_from_float);
            break;
        default: store_as<T>(job, a, row, c0, c1, from, V::store, V::stream, [](T x) { return x; });
        }
    }

    // Whole rows of max_lanes planes, transposed from and to samples side by side. The last columns may be moved twice:
    // nothing outside the rows is touched.
    static constexpr int64_t padded = most_across + 4;
    static void load_across(const SpatialJob<T> &job, const Access &a, const char *row, T *to) {
        if constexpr (V::W > 1) {
            T copy[max_lanes * padded];
            int64_t inner = a.inner;
            if (converted<V>(job)) {
                const Access plane{0, a.width, 0, true, false, false};
                for (int p = 0; p < max_lanes; ++p)
                    load_columns(job, plane, row + p * a.inner, 0, job.W, copy + p * padded);
                row = (const char *)copy, inner = padded * sizeof(T);
            }
            constexpr int n = V::quarter;
            for (int64_t w = 0; w < job.W; w += n) {
                const int64_t first = smaller(w, job.W - n);
                const char *const at = row + first * int64_t(sizeof(T));
                SN_UNROLL for (int p = 0; p < max_lanes; p += V::W) {
                    typename V::v x[n];
                    SN_UNROLL for (int k = 0; k < n; ++k) x[k] = V::load_quarters(at + (p + k) * inner, n * inner);
                    V::transpose(x);
                    SN_UNROLL for (int k = 0; k < n; ++k) V::store(to + (first + k) * max_lanes + p, x[k]);
                }
            }
        }
    }
    static void store_across(const SpatialJob<T> &job, const Access &a, char *row, const T *from) {
        if constexpr (V::W > 1) {
            T copy[max_lanes * padded];
            char *const to = converted<V>(job) ? (char *)copy : row;
            const int64_t inner = converted<V>(job) ? padded * int64_t(sizeof(T)) : a.inner;
            constexpr int n = V::quarter;
            for (int64_t w = 0; w < job.W; w += n) {
                const int64_t first = smaller(w, job.W - n);
                char *const at = to + first * int64_t(sizeof(T));
                SN_UNROLL for (int p = 0; p < max_lanes; p += V::W) {
                    typename V::v x[n];
                    SN_UNROLL for (int k = 0; k < n; ++k) x[k] = V::load(from + (first + k) * max_lanes + p);
                    V::transpose(x);
                    SN_UNROLL for (int k = 0; k < n; ++k) V::store_quarters(at + (p + k) * inner, n * inner, x[k]);
                }
            }
            if (!converted<V>(job)) return;
            const Access plane{0, a.width, 0, true, false, false};
            for (int p = 0; p < max_lanes; ++p)
                store_columns(job, plane, row + p * a.inner, 0, job.W, copy + p * padded);
        }
    }

    // Calls run(first byte, columns, stride) for runs of samples at one stride.
    template <class Run>
    SN_INLINE void over_runs(const SpatialJob<T> &job, const Access &a, int64_t c0, int64_t c1, int64_t size, Run run) {
        if (a.dense) return run(c0 * size, c1 - c0, size);
        if (job.I == 1) return run(c0 * a.width, c1 - c0, a.width);
        int64_t w = c0 / job.I, i = c0 % job.I;
        for (int64_t c = c0; c < c1; ++w, i = 0) {
            const int64_t n = job.I - i < c1 - c ? job.I - i : c1 - c;
            run(w * a.width + i * a.inner, n, a.inner);
            c += n;
        }
    }
    // Calls move(column) for whole vectors, from `head` on side by side; where they leave a part at either end, a
    // vector that overlaps them is moved by `part`.
    template <class Part, class Move> SN_INLINE void over_whole(int64_t head, int64_t n, Part part, Move move) {
        if (head > 0) part(0);
        int64_t c = head;
        for (; c + V::W <= n; c += V::W) move(c);
        if (c < n) part(n - V::W);
    }
    template <class S, class Vector, class One>
    SN_INLINE void load_as(const SpatialJob<T> &job, const Access &a, const char *row, int64_t c0, int64_t c1, T *to,
                           Vector vector, One one) {
        over_runs(job, a, c0, c1, sizeof(S), [&](int64_t at, int64_t n, int64_t stride) SN_LAMBDA {
            const char *from = row + at;
            auto put = [&](int64_t c) SN_LAMBDA { V::store(to + c, vector((const S *)(from + c * stride))); };
            if (stride == sizeof(S) && n >= V::W) over_whole(to_vector<V>(to), n, put, put);
            else
                for (int64_t c = 0; c < n; ++c) to[c] = one(sample<T, S>(from + c * stride));
            to += n;
        });
    }
    template <class S, class Vector, class Stream, class One>
    SN_INLINE void store_as(const SpatialJob<T> &job, const Access &a, char *row, int64_t c0, int64_t c1, const T *from,
                            Vector vector, Stream stream, One one) {
        over_runs(job, a, c0, c1, sizeof(S), [&](int64_t at, int64_t n, int64_t stride) SN_LAMBDA {
            char *to = row + at;
            auto put = [&](int64_t c) SN_LAMBDA { vector((S *)(to + c * stride), V::load(from + c)); };
            auto put_past = [&](int64_t c) SN_LAMBDA { stream((S *)(to + c * stride), V::load(from + c)); };
            if (stride == sizeof(S) && n >= V::W) {
                if (V::streams && job.stream && uintptr_t(to) % sizeof(S) == 0)
                    over_whole(-int64_t(uintptr_t(to) / sizeof(S)) & (V::W - 1), n, put, put_past);
                else over_whole(to_vector<V>(from), n, put, put);
            } else
                for (int64_t c = 0; c < n; ++c) {
                    const S s = one(from[c]);
                    std::memcpy(to + c * stride, &s, sizeof s);
                }
            from += n;
        });
    }
};

SN_INLINE int64_t slot(int64_t row, int64_t rows) {
    if (row >= 0 && row < rows) return row; // small images: a division is long
    const int64_t s = row % rows;
    return s < 0 ? s + rows : s;
}
// A ring's rows one after another, with one division for all of them.
template <class T> struct Cursor {
    T *const base;
    const int64_t rows, pitch;
    int64_t at;
    Cursor(T *ring, int64_t n, int64_t p, int64_t first) : base(ring), rows(n), pitch(p), at(slot(first, n)) {}
    SN_INLINE T *next(Cursor &c) {
        T *const row = c.base + c.at * c.pitch;
        c.at = c.at + 1 == c.rows ? 0 : c.at + 1;
        return row;
    }
};
SN_INLINE int64_t floor_to_batch(int64_t row) { return row & ~int64_t(batch_rows - 1); }

struct Soon {
    const char *at;
    int64_t size; // of a sample
    template <class X> SN_INLINE void prefetch(const Soon &s, int64_t c) {
        __builtin_prefetch(s.at + c * s.size, 0, 2);
        if constexpr (X::W > max_lanes) __builtin_prefetch(s.at + (c + X::W / 2) * s.size, 0, 2);
    }
};

// Rows of one input, at the piece's first column: where they lie, or in a ring of converted copies.
template <class V> struct Source {
    using T = typename V::T;
    const SpatialJob<T> &job;
    const Piece &piece;
    const int input;
    const bool copied; // rows are read through the ring
    T *const ring;
    const int64_t ring_rows, from, to; // columns, relative to the piece's first
    int64_t next;                      // first row that is not in the ring yet

    Source(const SpatialJob<T> &j, const Piece &p, int i, T *scratch, int64_t v0, int64_t v1)
        : job(j), piece(p), input(i), copied(!j.in[i].direct || p.saved[i] || (p.aliased[i] && !j.one_use[i])),
          ring(scratch + j.scratch.ring[i] + j.scratch.lead), ring_rows(j.scratch.ring_rows[i]), from(v0 - p.c0),
          to(v1 - p.c0), next(INT64_MIN) {}

    // Makes rows [first, last) of the image available; earlier ones stay so while the ring holds them.
    void fetch(int64_t first, int64_t last) {
        if (!copied) return;
        first = larger(first, 0), last = smaller(last, job.H);
        for (next = larger(next, first); next < last; ++next) {
            T *const copy = ring + slot(next, ring_rows) * job.scratch.pitch + from;
            if (piece.saved[input] && (next < piece.r0 || next >= piece.r1)) {
                const int64_t at = piece.saved_above + (next < piece.r0 ? next - piece.r0 : next - piece.r1);
                // A batch's first and last outputs may lie outside the piece; what only they need was not saved.
                const bool there = 0 <= at && at < piece.saved_above + piece.saved_below;
                if (there)
                    std::memcpy(copy, (const T *)piece.saved[input] + at * job.L + piece.c0 + from,
                                size_t(to - from) * sizeof(T));
                else std::memset(copy, 0, size_t(to - from) * sizeof(T));
            } else
                Convert<V>::load(job, job.in[input], piece.in[input] + next * job.in[input].height, piece.c0 + from,
                                 piece.c0 + to, copy);
        }
    }
    // A row that will be fetched or read soon, to be prefetched from; nothing is read from it here.
    Soon soon(int64_t i) const {
        const Access &a = job.in[input];
        const int64_t size = a.dense ? sizeof(T) >> converted<V>(job) : 0;
        return {a.dense && i < job.H ? piece.in[input] + i * a.height + piece.c0 * size : (const char *)ring, size};
    }
    const T *row(int64_t i) const {
        if (copied) return ring + slot(i, ring_rows) * job.scratch.pitch;
        return (const T *)(piece.in[input] + i * job.in[input].height) + piece.c0;
    }
};

// A row of the output: in memory as samples or, with 16 bits to each, as halves; or in scratch.
template <class T> struct OutRow {
    T *samples;
    uint16_t *halves; // or nullptr
    bool bfloat;

    template <class V, class N> SN_INLINE void put(OutRow row, int64_t c, typename V::v x, N n) {
        by_kind(row, [&](auto halves) SN_LAMBDA { put_as<V>(halves, row, c, x, n); });
    }
    // Calls body(whether the row is of halves), a constant for loops that the question would slow down.
    template <class Body> SN_INLINE void by_kind(const OutRow &row, Body body) {
        if constexpr (sizeof(T) == 4)
            if (row.halves) return body(std::true_type());
        body(std::false_type());
    }
    // Numbers: no lane is nan.
    template <class V, bool Numbers = false, class Halves, class N>
    SN_INLINE void put_as(Halves, OutRow row, int64_t c, typename V::v x, N n) {
        if constexpr (!Halves::value) store<V>(row.samples + c, x, n);
        else if (row.bfloat) put_bf16<V, Numbers>(row.halves + c, x, n);
        else put_f16<V>(row.halves + c, x, n);
    }

  private:
    template <class V, class N> SN_INLINE void put_f16(uint16_t *p, typename V::v x, N n) {
        if constexpr (std::is_same<N, int>::value) {
            uint16_t all[V::W];
            V::store_f16(all, x);
            std::memcpy(p, all, size_t(n) * 2);
        } else if constexpr (std::is_same<N, Streamed<V>>::value) V::stream_f16(p, x);
        else V::store_f16(p, x);
    }
    template <class V, bool Numbers, class N> SN_INLINE void put_bf16(uint16_t *p, typename V::v x, N n) {
        if constexpr (std::is_same<N, int>::value) {
            uint16_t all[V::W];
            V::template store_bf16<Numbers>(all, x);
            std::memcpy(p, all, size_t(n) * 2);
        } else if constexpr (std::is_same<N, Streamed<V>>::value) V::template stream_bf16<Numbers>(p, x);
        else V::template store_bf16<Numbers>(p, x);
    }
};

// The output's rows, likewise: begin() gives the memory for a row, end() puts it where it belongs.
template <class V> struct Sink {
    using T = typename V::T;
    const SpatialJob<T> &job;
    const Piece &piece;
    T *const scratch;

    SN_INLINE OutRow<T> begin(const Sink &s, int64_t i) {
        char *const row = s.piece.out + i * s.job.out.height;
        if (s.job.out.direct) return {(T *)row + s.piece.c0, nullptr, false};
        if (!s.job.out.dense) return {s.scratch, nullptr, false};
        return {nullptr, (uint16_t *)row + s.piece.c0, s.job.dtype == SN_BFLOAT16};
    }
    // Columns before the first vector that can be streamed to the row `to`, or -1 where none is to be.
    SN_INLINE int64_t head(const Sink &s, const OutRow<T> &to) {
        if (!V::streams || !s.job.stream || s.piece.c1 - s.piece.c0 < 4 * V::W) return -1;
        const int64_t size = to.halves ? 2 : sizeof(T);
        const uintptr_t at = to.halves ? uintptr_t(to.halves) : uintptr_t(to.samples);
        return at % size == 0 ? -int64_t(at / size) & (V::W - 1) : -1;
    }
    SN_INLINE void end(const Sink &s, int64_t i) {
        if (!s.job.out.dense)
            Convert<V>::store(s.job, s.job.out, s.piece.out + i * s.job.out.height, s.piece.c0, s.piece.c1, s.scratch);
    }
};
