// Window sums down the columns, of what `Values` makes of the rows (docs/math.md, "Window sums"; window.inl has the
// sums along the rows, and what holds for both).

// N neighbouring rows' pointers, copied: no store can change them, so loops need not read them again.
template <class V, int N> struct Local {
    const typename V::T *rows[N];
    explicit SN_LAMBDA Local(const typename V::T *const *from) {
        SN_UNROLL for (int r = 0; r < N; ++r) rows[r] = from[r];
    }
    template <class L> SN_INLINE typename V::v item(const Local &s, int64_t r, int64_t c, L n) {
        return load<V>(s.rows[r] + c, n);
    }
};

// What is summed: a row as it is, its square, or the product of two. Item: what of each row enters.
template <class V> struct Plain {
    using T = typename V::T;
    using v = typename V::v;
    using Item = v;
    const T *const *rows;
    template <class N> SN_INLINE Item item(const Plain &s, int64_t r, int64_t c, N n) {
        return load<V>(s.rows[r] + c, n);
    }
    template <int N> SN_INLINE Local<V, N> local(const Plain &s, int64_t r) { return Local<V, N>(s.rows + r); }
    SN_INLINE v first(Item x) { return x; }
    SN_INLINE v add(Item x, v sum) { return sum + x; }
};
template <class V> struct Square : Plain<V> {
    using typename Plain<V>::v;
    SN_INLINE v first(v x) { return x * x; }
    SN_INLINE v add(v x, v sum) { return V::fma(x, x, sum); }
};
template <class V> struct Product {
    using T = typename V::T;
    using v = typename V::v;
    struct Item {
        v a, b;
    };
    template <int N> struct Both {
        Local<V, N> a, b;
        template <class L> SN_INLINE Item item(const Both &s, int64_t r, int64_t c, L n) {
            return {Local<V, N>::item(s.a, r, c, n), Local<V, N>::item(s.b, r, c, n)};
        }
    };
    const T *const *rows, *const *others;
    template <class N> SN_INLINE Item item(const Product &s, int64_t r, int64_t c, N n) {
        return {load<V>(s.rows[r] + c, n), load<V>(s.others[r] + c, n)};
    }
    template <int N> SN_INLINE Both<N> local(const Product &s, int64_t r) {
        return {Local<V, N>(s.rows + r), Local<V, N>(s.others + r)};
    }
    SN_INLINE v first(Item x) { return x.a * x.b; }
    SN_INLINE v add(Item x, v sum) { return V::fma(x.a, x.b, sum); }
};

// Sums over `height` rows for batches of 8 output rows, one batch after another.
//
// Up to 7 rows: two outputs at a time, see direct(). Above: all 8 windows of a batch share height - 7 rows, their
// core; before it lie the rows that only the earlier outputs hold, behind it those that only the later ones
// hold, and out[r] = core + (before[r] + behind[r]). Of the core, whole groups of 8 rows were summed once, as
// blocks, and the sum over the core's `blocks` neighbouring blocks is made without subtraction from suffix
// sums of one group of blocks and a running prefix of the next (van Herk; Gil and Werman).
template <class V> struct Vertical {
    using T = typename V::T;
    using v = typename V::v;
    const int64_t height, rest, blocks, pitch;  // height = 7 + rest + 8 blocks
    T *const sums, *const block, *const prefix; // rows, at the piece's first column
    int64_t batch = INT64_MIN;                  // number of the last batch

    Vertical(int64_t h, const SpatialScratch &layout, const SumScratch &at, T *scratch)
        : height(h), rest(h > direct_rows ? (h - 7) % 8 : 0), blocks(h > direct_rows ? (h - 7) / 8 : 0),
          pitch(layout.pitch), sums(scratch + at.sums + layout.lead), block(scratch + at.blocks + layout.lead),
          prefix(scratch + at.prefix + layout.lead) {}

    // Rows that a batch reads: 0 is the first row of its first window.
    int64_t rows() const { return height + batch_rows - 1; }

    // sums[r] for the batch that begins at output row 8 * number, columns [from, to).
    template <class Values> void run(const Values &values, int64_t number, int64_t from, int64_t to) {
        switch (height) {
        case 1: return alone(values, from, to);
        case 2: return direct<2>(values, from, to);
        case 3: return direct<3>(values, from, to);
        case 4: return direct<4>(values, from, to);
        case 5: return direct<5>(values, from, to);
        case 6: return direct<6>(values, from, to);
        case 7: return direct<7>(values, from, to);
        }
        if (blocks == 0) return shared<false>(values, 0, from, to);
        const int64_t j = slot(number, blocks);
        if (batch != number - 1) start(values, j, from, to);
        else finish_block(values, j, from, to);
        batch = number;
        shared<true>(values, j, from, to);
    }

  private:
    template <class Values> void alone(const Values &values, int64_t from, int64_t to) {
        over_aligned<V>(sums, from, to, [&](int64_t c, auto n) SN_LAMBDA {
            SN_UNROLL for (int r = 0; r < batch_rows; ++r)
                V::store(sums + r * pitch + c, Values::first(Values::item(values, r, c, n)));
        });
    }

    // Windows r and r + 1, r even, have K - 1 rows in common, their core: pairs of rows, which the cores after it hold
    // too, and one row more if K is even. Rows are read when they are first needed, so that few stand in registers.
    template <int K, class Values> void direct(const Values &values, int64_t from, int64_t to) {
        constexpr int pairs = (K - 1) / 2;
        const auto rows = Values::template local<batch_rows + K - 1>(values, 0); // no store can change them
        T *const out = sums;
        const int64_t step = pitch;
        over_aligned<V>(out, from, to, [&](int64_t c, auto n) SN_LAMBDA {
            typename Values::Item row[batch_rows + K];
            v pair[batch_rows / 2 + pairs];
            auto read = [&](int r) SN_LAMBDA { row[r] = rows.item(rows, r, c, n); };
            auto add_pair = [&](int i)
                                SN_LAMBDA { pair[i] = Values::add(row[2 * i + 2], Values::first(row[2 * i + 1])); };
            SN_UNROLL for (int r = 0; r <= 2 * pairs; ++r) read(r);
            SN_UNROLL for (int i = 0; i < pairs; ++i) add_pair(i);
            SN_UNROLL for (int r = 0; r < batch_rows; r += 2) {
                if (K % 2 == 0) read(r + K - 1);
                read(r + K);
                v core;
                if constexpr (pairs > 0) core = pairs_from(pair, r / 2, std::integral_constant<int, pairs>());
                if constexpr (K == 2) core = Values::first(row[r + 1]);
                else if constexpr (K % 2 == 0) core = Values::add(row[r + K - 1], core);
                V::store(out + r * step + c, Values::add(row[r], core));
                V::store(out + (r + 1) * step + c, Values::add(row[r + K], core));
                if (pairs == 0 || r + 2 == batch_rows) continue;
                if (K % 2 == 1) read(r + K + 1);
                add_pair(r / 2 + pairs);
            }
        });
    }
    SN_INLINE v pairs_from(const v *pair, int i, std::integral_constant<int, 1>) { return pair[i]; }
    SN_INLINE v pairs_from(const v *pair, int i, std::integral_constant<int, 2>) { return pair[i] + pair[i + 1]; }
    SN_INLINE v pairs_from(const v *pair, int i, std::integral_constant<int, 3>) { // two cores share two pairs' sum
        return i % 2 ? (pair[i] + pair[i + 1]) + pair[i + 2] : pair[i] + (pair[i + 1] + pair[i + 2]);
    }

    // The blocks of the first batch's core, j of them in the second group.
    template <class Values> void start(const Values &values, int64_t j, int64_t from, int64_t to) {
        over_aligned<V>(sums, from, to, [&](int64_t c, auto n) SN_LAMBDA {
            for (int64_t b = 0; b < blocks; ++b) {
                const int64_t r = 7 + rest + 8 * b;
                v sum = Values::first(Values::item(values, r, c, n));
                for (int i = 1; i < 8; ++i) sum = Values::add(Values::item(values, r + i, c, n), sum);
                store<V>(block + slot(j + b, blocks) * pitch + c, sum, n);
            }
            suffix(j, c, n);
            v sum = V::all(T(0));
            for (int64_t b = 0; b < j; ++b) sum = sum + V::load(block + b * pitch + c);
            store<V>(prefix + c, sum, n);
        });
    }
    template <class N> SN_INLINE void suffix_of(T *block, int64_t pitch, int64_t blocks, int64_t j, int64_t c, N n) {
        v sum = V::load(block + (blocks - 1) * pitch + c);
        for (int64_t b = blocks - 2; b >= j; --b) {
            sum = sum + V::load(block + b * pitch + c);
            store<V>(block + b * pitch + c, sum, n);
        }
    }
    template <class N> void suffix(int64_t j, int64_t c, N n) { suffix_of(block, pitch, blocks, j, c, n); }

    // The last batch left seven rows of the newest block in its slot; its eighth row is there now.
    template <class Values> void finish_block(const Values &values, int64_t j, int64_t from, int64_t to) {
        T *const newest = block + slot(j - 1, blocks) * pitch;
        over_aligned<V>(sums, from, to, [&](int64_t c, auto n) SN_LAMBDA {
            const v sum = Values::add(Values::item(values, height - 1, c, n), V::load(newest + c));
            store<V>(newest + c, sum, n);
            if (j == 0) {
                suffix(0, c, n);
                store<V>(prefix + c, V::all(T(0)), n);
            } else store<V>(prefix + c, V::load(prefix + c) + sum, n);
        });
    }

    template <bool HasCore, class Values> void shared(const Values &values, int64_t j, int64_t from, int64_t to) {
        T *const oldest = block + j * pitch, *const out = sums; // locals: no store can change them
        const T *const start = prefix;
        const int64_t step = pitch, last = 6 + rest;
        const auto rows = Values::template local<7>(values, 0), behinds = Values::template local<7>(values, height);
        over_aligned<V>(out, from, to, [&](int64_t c, auto n) SN_LAMBDA {
            v before[batch_rows], core = V::all(T(0));
            if (HasCore) core = load<V>(oldest + c, n) + load<V>(start + c, n);
            v sum = V::all(T(0));
            for (int64_t r = last; r >= 7; --r) sum = Values::add(Values::item(values, r, c, n), sum);
            before[7] = sum;
            SN_UNROLL for (int r = 6; r >= 0; --r) before[r] = sum = Values::add(rows.item(rows, r, c, n), sum);
            v behind = Values::first(behinds.item(behinds, 0, c, n));
            V::store(out + c, HasCore ? core + before[0] : before[0]);
            SN_UNROLL for (int r = 1; r < batch_rows; ++r) {
                const v ends = before[r] + behind;
                V::store(out + r * step + c, HasCore ? core + ends : ends);
                if (r < 7) behind = Values::add(behinds.item(behinds, r, c, n), behind);
            }
            if (HasCore) store<V>(oldest + c, behind, n);
        });
    }
};
