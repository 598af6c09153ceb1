// y = x * T^-beta.

template <class V, int N, bool Careful = false>
void spatial_forward(const SpatialJob<typename V::T> &job, const Piece &piece) {
    using T = typename V::T;
    using v = typename V::v;
    const SpatialScratch &layout = job.scratch;
    T *const scratch = static_cast<T *>(piece.scratch) + piece.offset;
    const Reach reach = job.reach;
    const int64_t n = piece.c1 - piece.c0;
    const Columns columns = widen({piece.c0, piece.c1}, reach.left, reach.right, job.I, job.L);
    const T **rows = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[0]);
    T *const zeros = scratch + layout.zeros + layout.lead, *const window = scratch + layout.window[0];
    if (!piece.clean) clear<V>(scratch + layout.zeros, layout.pitch);

    Source<V> x(job, piece, 0, scratch, columns.from, columns.to);
    const Sink<V> out{job, piece, scratch + layout.out};
    Vertical<V> vertical(reach.up + reach.down + 1, layout, layout.sum[0], scratch);
    const Horizontal<V> horizontal(reach.left, reach.right, job.I, layout, layout.sum[0], scratch);
    clear_margins<V>(job, piece, scratch + layout.sum[0].sums, columns);

    const PowerTable<T> &power = *job.power;
    using Fast = PowerFast<V, N, Careful>;
    using Near = PowerNear<V, N, Careful>;
    // Large exponents multiply the error of T: there the rounding of scale, the same for all samples, is made good
    // (but not for an infinite sum, with which its rest would give nan).
    constexpr bool corrected = sizeof(T) == 4 && N > 5;
    const T scale = job.scale, scale_rest = job.scale_rest, delta = job.delta;
    auto energy = [=](auto sum) SN_LAMBDA {
        using X = VectorOf<V, decltype(sum)>;
        auto rest = X::all(delta);
        if constexpr (corrected) rest = X::fma(X::all(scale_rest), X::lesser(sum, X::all(T(__FLT_MAX__))), rest);
        return X::fma(X::all(scale), sum, rest);
    };
    bool general = !power.fast, far = false; // the way that the last row needed
    for (int64_t i0 = floor_to_batch(piece.r0); i0 < piece.r1; i0 += batch_rows) {
        const int64_t first = i0 - reach.up;
        batch_pointers(job, x, first, vertical.rows(), zeros, rows);
        const Square<V> squares{rows};
        vertical.run(squares, i0 / batch_rows, columns.from - piece.c0, columns.to - piece.c0);
        if (job.clamp) clamp_sums<V>(job, squares, first, piece.c0, {piece.c0, piece.c1}, columns, vertical.sums);
        const int64_t begin = larger(i0, piece.r0), end = smaller(i0 + batch_rows, piece.r1);
        if (frequent_narrow<V, N> && !general && !far && job.out.direct && !x.copied && n <= Horizontal<V>::narrow) {
            typename V::vi seen = V::all_int(0);
            const Rows<const T> xs{x.row(begin), job.in[0].height};
            const Rows<T> ys{out.begin(out, begin).samples, job.out.height};
            const bool known = Horizontal<V>::each_narrow(
                horizontal, vertical.sums + (begin - i0) * layout.pitch, end - begin, n, seen,
                [=, table = &power](auto loop) SN_LAMBDA {
                    const Near near(*table);
                    loop([&](int64_t r, int64_t c, auto lanes, auto sum) SN_LAMBDA {
                        using X = VectorOf<V, decltype(sum)>;
                        const typename X::v t = energy(sum), p = Near::template of<X>(near, t);
                        store_rows<V, X>(ys, r, c, load_rows<V, X>(xs, r, c, lanes) * p, lanes);
                        return X::bits(t);
                    });
                });
            if (known && !left_near<V>(power, seen)) continue;
        }
        const Fast fast(power);
        const Near &near = near_of<V, N, Careful>(fast, power);
        for (int64_t i = begin; i < end; ++i) {
            const T *const sums = vertical.sums + (i - i0) * layout.pitch;
            const T *const xs = rows[i - first];
            const Soon soon = x.soon(i + batch_rows + reach.down);
            const OutRow<T> ys = out.begin(out, i);
            typename V::vi seen = V::all_int(0);
            if (!general && !far)
                OutRow<T>::by_kind(ys, [&](auto halves) SN_LAMBDA {
                    Horizontal<V>::template each<frequent_wide<V, N> ? Loops::heavy : Loops::one>(
                        horizontal, sums, n, window, out.head(out, ys), [&](int64_t c, auto lanes, auto sum) SN_LAMBDA {
                            using X = VectorOf<V, decltype(sum)>;
                            Soon::prefetch<X>(soon, c);
                            const typename X::v t = energy(sum);
                            seen = greater_of<V>(seen, X::bits(t));
                            const typename X::v y = load<X>(xs + c, lanes) * Near::template of<X>(near, t);
                            // Not nan where T is in range; where it is not, the row is made again.
                            OutRow<T>::template put_as<X, true>(halves, ys, c, y, lanes);
                        });
                });
            if constexpr (V::near_exponents)
                if (!general && (far || left_near<V>(power, seen))) {
                    seen = V::all_int(0);
                    Horizontal<V>::template each<Loops::one>(
                        horizontal, sums, n, window, out.head(out, ys), [&](int64_t c, auto lanes, auto sum) SN_LAMBDA {
                            using X = VectorOf<V, decltype(sum)>;
                            Soon::prefetch<X>(soon, c);
                            const typename X::v t = energy(sum);
                            seen = greater_of<V>(seen, X::bits(t));
                            const typename X::v y = load<X>(xs + c, lanes) * Fast::template of<X>(fast, t);
                            OutRow<T>::template put<X>(ys, c, y, lanes);
                        });
                    far = left_near<V>(power, seen);
                }
            if (__builtin_expect(general || left_range<V>(power, seen), 0)) {
                horizontal.run(sums, n, window);
                typename V::vi outside = V::all_int(0);
                over_aligned<V>(window, 0, n, [&](int64_t c, auto lanes) SN_LAMBDA {
                    const v t = energy(V::load(window + c));
                    outside = outside | ~in_range<V>(power, t);
                    OutRow<T>::template put<V>(ys, c, load<V>(xs + c, lanes) * power_any<V>(power, fast, t), lanes);
                });
                // The next row begins with the way that this one needed.
                general = !power.fast || V::any_from(outside, 1);
            }
            out.end(out, i);
        }
    }
    if (job.stream) V::fence();
}
