// dx = dy * T^-beta - factor * x * A(u), u = dy * x * T^-(beta+1), A the transpose of the window sum.
//
// Rows of u are made in batches; with each, the batch of output rows whose last row needs the newest u. What
// waits between the two, u and dy * T^-beta, stands in rings of a few rows more than the window.

// What a clamped edge adds to the first and last output rows: A returns to them what fell outside.
template <class V> struct EdgeRows {
    using T = typename V::T;
    const SpatialJob<T> &job;
    const int64_t full_up, full_down;
    T *const top, *const bottom;

    EdgeRows(const SpatialJob<T> &j, T *scratch)
        : job(j), full_up(j.reach.up + j.beyond.up), full_down(j.reach.down + j.beyond.down),
          top(scratch + j.scratch.edge + j.scratch.lead), bottom(top + j.scratch.pitch) {
        if (job.clamp) clear<V>(scratch + j.scratch.edge, 2 * j.scratch.pitch);
    }
    void collect(int64_t i, const T *u, int64_t from, int64_t to) const {
        add(full_up - i, u, top, from, to);
        add(full_down - (job.H - 1 - i), u, bottom, from, to);
    }
    // sums: of the batch that begins at row j0.
    void release(T *sums, int64_t j0, int64_t from, int64_t to) const {
        if (j0 <= 0 && 0 < j0 + batch_rows) add(1, top, sums - j0 * job.scratch.pitch, from, to);
        const int64_t last = job.H - 1 - j0;
        if (0 <= last && last < batch_rows) add(1, bottom, sums + last * job.scratch.pitch, from, to);
    }

  private:
    static void add(int64_t times, const T *row, T *sum, int64_t from, int64_t to) {
        if (times <= 0) return;
        over_columns<V>(from, to, [&](int64_t c, auto n) SN_LAMBDA {
            V::store(sum + c, V::fma(V::all(T(times)), load<V>(row + c, n), V::load(sum + c)));
        });
    }
};

// The same for the first and last columns; `sums` is a row of vertical sums and `window` its window sums, both
// at the piece's first column.
template <class T> void release_edge_columns(const SpatialJob<T> &job, const Piece &piece, const T *sums, T *window) {
    const int64_t I = job.I, last = job.L - I;
    const int64_t full_left = job.reach.left + job.beyond.left, full_right = job.reach.right + job.beyond.right;
    for (int64_t c = piece.c0; c < smaller(piece.c1, I); ++c)
        for (int64_t w = 0; w < smaller(full_left, job.W); ++w)
            window[c - piece.c0] += T(full_left - w) * sums[c - piece.c0 + w * I];
    for (int64_t c = larger(piece.c0, last); c < piece.c1; ++c)
        for (int64_t w = 0; w < smaller(full_right, job.W); ++w)
            window[c - piece.c0] += T(full_right - w) * sums[c - piece.c0 - w * I];
}

template <class V, int N> void spatial_gradient(const SpatialJob<typename V::T> &job, const Piece &piece) {
    using T = typename V::T;
    using v = typename V::v;
    const SpatialScratch &layout = job.scratch;
    T *const scratch = static_cast<T *>(piece.scratch) + piece.offset;
    const int64_t c0 = piece.c0, n = piece.c1 - c0, pitch = layout.pitch;
    const Reach reach = job.reach, mirrored{reach.down, reach.up, reach.right, reach.left};
    const Columns wanted = widen({c0, piece.c1}, mirrored.left, mirrored.right, job.I, job.L);
    const Columns columns = widen(wanted, reach.left, reach.right, job.I, job.L);
    const int64_t from = wanted.from - c0, to = wanted.to - c0;
    const T **rows = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[0]);
    const T **u_rows = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[1]);
    T *const zeros = scratch + layout.zeros + layout.lead, *const window = scratch + layout.window[0];
    T *const u_ring = scratch + layout.u_ring + layout.lead, *const g_ring = scratch + layout.g_ring + layout.lead;
    if (!piece.clean) clear<V>(scratch + layout.zeros, pitch);

    Source<V> grad_y(job, piece, 0, scratch, wanted.from, wanted.to),
        x(job, piece, 1, scratch, columns.from, columns.to);
    const Sink<V> out{job, piece, scratch + layout.out};
    Vertical<V> squares(reach.up + reach.down + 1, layout, layout.sum[0], scratch);
    Vertical<V> adjoint(reach.up + reach.down + 1, layout, layout.sum[1], scratch);
    const Horizontal<V> across(reach.left, reach.right, job.I, layout, layout.sum[0], scratch);
    const Horizontal<V> back(mirrored.left, mirrored.right, job.I, layout, layout.sum[1], scratch);
    clear_margins<V>(job, piece, scratch + layout.sum[0].sums, columns);
    clear_margins<V>(job, piece, scratch + layout.sum[1].sums, wanted);
    const EdgeRows<V> edge(job, scratch);

    const PowerTable<T> &power = *job.power, &plus = *job.power_plus;
    using Fast = PowerFast<V, N>;
    using Near = PowerNear<V, N, false>;
    const T scale = job.scale, delta = job.delta, factor = -job.factor;
    bool general = !plus.fast, far = false; // the way that the last row needed
    const int64_t first_u = larger(0, piece.r0 - reach.down), last_u = smaller(job.H, piece.r1 + reach.up);
    Cursor<T> next_u(u_ring, layout.u_rows, pitch, first_u), next_g(g_ring, layout.g_rows, pitch, first_u);
    const bool side_by_side = layout.u_rows % batch_rows == 0 && layout.g_rows % batch_rows == 0; // a batch's rows
    Cursor<T> next_used_g(g_ring, layout.g_rows, pitch, piece.r0);
    for (int64_t i0 = floor_to_batch(first_u);; i0 += batch_rows) {
        const int64_t j0 = i0 - reach.up; // output rows j0 ... j0 + 7 need no u beyond row i0 + 7
        if (j0 >= piece.r1) break;
        if (i0 < last_u) {
            const int64_t first = i0 - reach.up;
            batch_pointers(job, x, first, squares.rows(), zeros, rows);
            const Square<V> values{rows};
            squares.run(values, i0 / batch_rows, columns.from - c0, columns.to - c0);
            if (job.clamp) clamp_sums<V>(job, values, first, c0, wanted, columns, squares.sums);
            const int64_t begin = larger(i0, first_u);
            int64_t end = smaller(i0 + batch_rows, last_u);
            T *us_of[batch_rows], *gs_of[batch_rows];
            for (int64_t i = begin; i < end; ++i)
                us_of[i - begin] = Cursor<T>::next(next_u) + from, gs_of[i - begin] = Cursor<T>::next(next_g) + from;
            bool done = false;
            if (frequent_narrow<V, N> && side_by_side && !general && !far && !grad_y.copied && !x.copied &&
                to - from <= Horizontal<V>::narrow) {
                const Rows<const T> dys{grad_y.row(begin) + from, job.in[0].height};
                const Rows<const T> xs{x.row(begin) + from, job.in[1].height};
                const Rows<T> gs{gs_of[0], pitch * int64_t(sizeof(T))}, us{us_of[0], gs.stride};
                typename V::vi seen = V::all_int(0);
                done = Horizontal<V>::each_narrow(
                           across, squares.sums + (begin - i0) * pitch + from, end - begin, to - from, seen,
                           [=, table = &plus](auto loop) SN_LAMBDA {
                               const Near near(*table);
                               loop([&](int64_t r, int64_t c, auto lanes, auto sum) SN_LAMBDA {
                                   using X = VectorOf<V, decltype(sum)>;
                                   const typename X::v t = X::fma(X::all(scale), sum, X::all(delta));
                                   const typename X::v high = Near::template of<X>(near, t);
                                   const typename X::v d = load_rows<V, X>(dys, r, c, lanes) * high;
                                   store_rows<V, X>(gs, r, c, d * t, lanes);
                                   store_rows<V, X>(us, r, c, load_rows<V, X>(xs, r, c, lanes) * d, lanes);
                                   return X::bits(t);
                               });
                           }) &&
                       !left_near<V>(plus, seen);
            }
            if (done && job.clamp)
                for (int64_t i = begin; i < end; ++i) edge.collect(i, us_of[i - begin] - from, from, to);
            if (done) end = begin;
            const Fast fast(plus);
            const Near &near = near_of<V, N, false>(fast, plus);
            for (int64_t i = begin; i < end; ++i) {
                const T *const sums = squares.sums + (i - i0) * pitch + from;
                grad_y.fetch(i, i + 1);
                const Soon soon_x = x.soon(i + batch_rows + reach.down);
                const Soon soon_dy = grad_y.soon(i + batch_rows);
                const T *const xs = rows[i - first] + from, *const dys = grad_y.row(i) + from;
                T *const us = us_of[i - begin], *const gs = gs_of[i - begin];
                // d = dy * T^-(beta+1); dy * T^-beta is made from it where T is in the fast range.
                auto put = [&](int64_t c, auto lanes, auto g, auto d) SN_LAMBDA {
                    using X = VectorOf<V, decltype(d)>;
                    store<X>(gs + c, g, lanes);
                    store<X>(us + c, load<X>(xs + c, lanes) * d, lanes);
                };
                typename V::vi seen = V::all_int(0);
                if (!general && !far)
                    Horizontal<V>::template each<frequent_wide<V, N> ? Loops::heavy : Loops::one>(
                        across, sums, to - from, window, -1, [&](int64_t c, auto lanes, auto sum) SN_LAMBDA {
                            using X = VectorOf<V, decltype(sum)>;
                            Soon::prefetch<X>(soon_x, from + c);
                            Soon::prefetch<X>(soon_dy, from + c);
                            const typename X::v t = X::fma(X::all(scale), sum, X::all(delta));
                            seen = greater_of<V>(seen, X::bits(t));
                            const typename X::v high = Near::template of<X>(near, t);
                            const typename X::v d = load<X>(dys + c, lanes) * high;
                            put(c, lanes, d * t, d);
                        });
                if constexpr (V::near_exponents)
                    if (!general && (far || left_near<V>(plus, seen))) {
                        seen = V::all_int(0);
                        Horizontal<V>::template each<Loops::one>(
                            across, sums, to - from, window, -1, [&](int64_t c, auto lanes, auto sum) SN_LAMBDA {
                                using X = VectorOf<V, decltype(sum)>;
                                Soon::prefetch<X>(soon_x, from + c);
                                Soon::prefetch<X>(soon_dy, from + c);
                                const typename X::v t = X::fma(X::all(scale), sum, X::all(delta));
                                seen = greater_of<V>(seen, X::bits(t));
                                const typename X::v d = load<X>(dys + c, lanes) * Fast::template of<X>(fast, t);
                                put(c, lanes, d * t, d);
                            });
                        far = left_near<V>(plus, seen);
                    }
                if (__builtin_expect(general || left_range<V>(plus, seen), 0)) {
                    across.run(sums, to - from, window);
                    typename V::vi outside = V::all_int(0);
                    over_aligned<V>(window, 0, to - from, [&](int64_t c, auto lanes) SN_LAMBDA {
                        const v t = V::fma(V::all(scale), V::load(window + c), V::all(delta));
                        const typename V::vi inside = in_range<V>(plus, t);
                        outside = outside | ~inside;
                        const v dy = load<V>(dys + c, lanes), d = dy * Fast::template of<V>(fast, t);
                        put(c, lanes, V::choose(inside, d * t, dy * power_general<V>(power, t)),
                            V::choose(inside, d, dy * power_general<V>(plus, t)));
                    });
                    general = !plus.fast || V::any_from(outside, 1);
                }
                if (job.clamp) edge.collect(i, us - from, from, to);
            }
        }
        if (j0 + batch_rows <= piece.r0) continue;
        Cursor<T> used_u(u_ring, layout.u_rows, pitch, j0 - mirrored.up);
        for (int64_t r = 0; r < adjoint.rows(); ++r) {
            const int64_t i = j0 - mirrored.up + r;
            const T *const us = Cursor<T>::next(used_u);
            u_rows[r] = i < first_u || i >= last_u ? zeros : us;
        }
        adjoint.run(Plain<V>{u_rows}, i0 / batch_rows, from, to);
        if (job.clamp) edge.release(adjoint.sums, j0, from, to);
        const int64_t begin = larger(j0, piece.r0), end = smaller(j0 + batch_rows, piece.r1);
        const T *gs_of[batch_rows];
        for (int64_t j = begin; j < end; ++j) gs_of[j - begin] = Cursor<T>::next(next_used_g);
        if (frequent_narrow<V, N> && !job.clamp && job.out.direct && n <= Horizontal<V>::narrow) {
            T *const dxs = out.begin(out, begin).samples;
            const T *xs_of[batch_rows];
            for (int64_t j = begin; j < end; ++j) xs_of[j - begin] = x.row(j);
            const int64_t height = job.out.height;
            const v minus = V::all(factor);
            if (Horizontal<V>::each_narrow_light(
                    back, adjoint.sums + (begin - j0) * pitch, end - begin, n, [&](int64_t r) SN_LAMBDA {
                        const T *const xs = xs_of[r], *const gs = gs_of[r];
                        T *const dx = (T *)((char *)dxs + r * height);
                        return [=](int64_t c, auto lanes, v sum) SN_LAMBDA {
                            store<V>(dx + c, V::fma(minus * load<V>(xs + c, lanes), sum, V::load(gs + c)), lanes);
                        };
                    }))
                continue;
        }
        for (int64_t j = begin; j < end; ++j) {
            const T *const sums = adjoint.sums + (j - j0) * pitch;
            const T *const gs = gs_of[j - begin], *const xs = x.row(j);
            const OutRow<T> dxs = out.begin(out, j);
            OutRow<T>::by_kind(dxs, [&](auto halves) SN_LAMBDA {
                auto put = [&](int64_t c, auto lanes, auto sum) SN_LAMBDA {
                    using X = VectorOf<V, decltype(sum)>;
                    const typename X::v xf = X::all(factor) * load<X>(xs + c, lanes);
                    OutRow<T>::template put_as<X>(halves, dxs, c, X::fma(xf, sum, X::load(gs + c)), lanes);
                };
                if (!job.clamp)
                    Horizontal<V>::template each<frequent_wide<V, N> ? Loops::light : Loops::one>(
                        back, sums, n, window, out.head(out, dxs), put);
                else {
                    back.run(sums, n, window);
                    release_edge_columns(job, piece, sums, window);
                    over_aligned<V>(window, 0, n,
                                    [&](int64_t c, auto lanes) SN_LAMBDA { put(c, lanes, V::load(window + c)); });
                }
            });
            out.end(out, j);
        }
    }
    if (job.stream) V::fence();
}
