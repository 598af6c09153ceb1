// What the passes share: the columns a piece reads, the rows of a batch, and clamped edges.

// The columns of window sums that a piece needs, its own [c0, c1) widened by a reach and clipped to the image;
// the start stays aligned to the piece's.
struct Columns {
    int64_t from, to;
};
SN_INLINE Columns widen(Columns c, int64_t left, int64_t right, int64_t step, int64_t length) {
    const int64_t lead = (left * step + max_lanes - 1) / max_lanes * max_lanes;
    return {larger(0, c.from - lead), smaller(length, c.to + right * step)};
}

// Zeros from p on, at least n of them and no more than a vector more. Rows are often short: the barrier keeps the
// compiler from making the loop a call of memset.
template <class V> SN_INLINE void clear(typename V::T *p, int64_t n) {
    for (int64_t c = 0; c < n; c += V::W) {
        V::store(p + c, V::all(0));
        __asm__ volatile("" : : : "memory");
    }
}

// The margins of a batch's sums, outside columns [from, to) of the image, count as zero: as far as windows reach,
// and a little further on the right, where whole vectors are read. No kernel writes anything else there.
template <class V>
SN_INLINE void clear_margins(const SpatialJob<typename V::T> &job, const Piece &piece, typename V::T *sums,
                             Columns columns) {
    const int64_t c0 = piece.c0;
    if (piece.clean) return;
    const int64_t reach = larger(job.reach.left, job.reach.right) * job.I, pitch = job.scratch.pitch;
    const int64_t first = job.scratch.lead + columns.from - c0, last = job.scratch.lead + columns.to - c0;
    const int64_t begin = larger(0, first - reach) & ~int64_t(max_lanes - 1);
    const int64_t end = smaller(pitch, last + reach + 2 * V::W);
    for (int r = 0; r < batch_rows; ++r) {
        clear<V>(sums + r * pitch + begin, first - begin);
        clear<V>(sums + r * pitch + last, end - last);
    }
}

// Pointers to the input rows of a batch, the first of them row `first` of the image.
template <class V>
SN_INLINE void batch_pointers(const SpatialJob<typename V::T> &job, Source<V> &source, int64_t first, int64_t n,
                              const typename V::T *zeros, const typename V::T **rows) {
    source.fetch(first, first + n);
    for (int64_t r = 0; r < n; ++r) {
        const int64_t i = first + r;
        if (i >= 0 && i < job.H) rows[r] = source.row(i);
        else if (job.clamp) rows[r] = source.row(i < 0 ? 0 : job.H - 1);
        else rows[r] = zeros;
    }
}

// Clamped edges, forward: outside the image stands the nearest sample. `first` is the image row of values'
// row 0, `columns` those that the sums hold, `wanted` those whose windows will be summed; `sums` points to the
// first row's column c0.
template <class V, class Values>
void clamp_sums(const SpatialJob<typename V::T> &job, const Values &values, int64_t first, int64_t c0, Columns wanted,
                Columns columns, typename V::T *sums) {
    using T = typename V::T;
    const int64_t pitch = job.scratch.pitch, I = job.I, L = job.L;
    const Reach reach = job.reach, beyond = job.beyond;
    // The window reaches past every row: the edge rows count more than once for every output.
    auto rows_beyond = [&](int64_t times, int64_t row) {
        if (times == 0) return;
        over_columns<V>(columns.from - c0, columns.to - c0, [&](int64_t c, auto n) SN_LAMBDA {
            const typename V::v extra = V::all(T(times)) * Values::first(Values::item(values, row - first, c, n));
            for (int r = 0; r < batch_rows; ++r) V::store(sums + r * pitch + c, V::load(sums + r * pitch + c) + extra);
        });
    };
    rows_beyond(beyond.up, 0);
    rows_beyond(beyond.down, job.H - 1);
    for (int r = 0; r < batch_rows; ++r) {
        T *const row = sums + r * pitch - c0; // indexed by columns of the image
        for (int64_t c = -1, i = I - 1; c >= wanted.from - reach.left * I; --c) {
            row[c] = i < columns.to ? row[i] : T(0);
            i = i == 0 ? I - 1 : i - 1;
        }
        for (int64_t c = L, i = 0; c < wanted.to + reach.right * I; ++c) {
            row[c] = L - I + i >= columns.from ? row[L - I + i] : T(0);
            i = i == I - 1 ? 0 : i + 1;
        }
        if (beyond.left == 0 && beyond.right == 0) continue;
        for (int64_t i = 0; i < I; ++i) {
            const bool has_first = columns.from <= i && i < columns.to;
            const bool has_last = columns.from <= L - I + i && L - I + i < columns.to;
            const T a = has_first ? row[i] : T(0), b = has_last ? row[L - I + i] : T(0);
            if (has_first) row[i] += T(beyond.left) * a;
            if (has_last) row[L - I + i] += T(beyond.right) * b;
        }
    }
}
