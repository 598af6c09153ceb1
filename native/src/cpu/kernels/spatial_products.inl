// The passes with two window sums side by side, S of x^2 and P of a product with the other input:
//   spatial_jvp                   dy = T^-beta * dx - factor * x * T^-(beta+1) * P,  P = window sum of x * dx
//   spatial_gradient_documented   dx = T^-beta * dy - factor * x * T^-(beta+1) * P,  P = mirrored sum of dy * x

template <class V, int N>
SN_INLINE void spatial_products(const SpatialJob<typename V::T> &job, const Piece &piece, int input_x, int input_other,
                                Reach second) {
    using T = typename V::T;
    using v = typename V::v;
    const SpatialScratch &layout = job.scratch;
    T *const scratch = static_cast<T *>(piece.scratch) + piece.offset;
    const int64_t c0 = piece.c0, n = piece.c1 - c0, pitch = layout.pitch;
    const Reach reach = job.reach;
    const int64_t left = larger(reach.left, second.left), right = larger(reach.right, second.right);
    const int64_t up = larger(reach.up, second.up), down = larger(reach.down, second.down);
    const Columns wanted{c0, piece.c1}, columns = widen(wanted, left, right, job.I, job.L);
    const T **rows = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[0]);
    const T **others = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[1]);
    T *const zeros = scratch + layout.zeros + layout.lead;
    T *const window = scratch + layout.window[0], *const window_p = scratch + layout.window[1];
    if (!piece.clean) clear<V>(scratch + layout.zeros, pitch);

    Source<V> x(job, piece, input_x, scratch, columns.from, columns.to);
    Source<V> other(job, piece, input_other, scratch, columns.from, columns.to);
    const Sink<V> out{job, piece, scratch + layout.out};
    Vertical<V> vertical(reach.up + reach.down + 1, layout, layout.sum[0], scratch);
    Vertical<V> vertical_p(reach.up + reach.down + 1, layout, layout.sum[1], scratch);
    const Horizontal<V> across(reach.left, reach.right, job.I, layout, layout.sum[0], scratch);
    const Horizontal<V> across_p(second.left, second.right, job.I, layout, layout.sum[1], scratch);
    clear_margins<V>(job, piece, scratch + layout.sum[0].sums, columns);
    clear_margins<V>(job, piece, scratch + layout.sum[1].sums, columns);

    const PowerTable<T> &power = *job.power, &plus = *job.power_plus;
    const PowerFast<V, N> fast(plus);
    const v scale = V::all(job.scale), delta = V::all(job.delta), factor = V::all(-job.factor);
    bool general = !plus.fast;
    for (int64_t i0 = floor_to_batch(piece.r0); i0 < piece.r1; i0 += batch_rows) {
        const int64_t first = i0 - up, count = up + down + batch_rows;
        batch_pointers(job, x, first, count, zeros, rows);
        batch_pointers(job, other, first, count, zeros, others);
        const Square<V> squares{rows + (up - reach.up)};
        const Product<V> products{rows + (up - second.up), others + (up - second.up)};
        vertical.run(squares, i0 / batch_rows, columns.from - c0, columns.to - c0);
        vertical_p.run(products, i0 / batch_rows, columns.from - c0, columns.to - c0);
        if (job.clamp) { // the window is one and the same here: spatial_jvp
            clamp_sums<V>(job, squares, first, c0, wanted, columns, vertical.sums);
            clamp_sums<V>(job, products, first, c0, wanted, columns, vertical_p.sums);
        }
        for (int64_t i = larger(i0, piece.r0); i < smaller(i0 + batch_rows, piece.r1); ++i) {
            across.run(vertical.sums + (i - i0) * pitch, n, window);
            across_p.run(vertical_p.sums + (i - i0) * pitch, n, window_p);
            const T *const xs = rows[i - first], *const ds = others[i - first];
            const OutRow<T> ys = out.begin(out, i);
            auto put = [&](int64_t c, auto lanes, Powers<V> p) SN_LAMBDA {
                const v a = factor * (load<V>(xs + c, lanes) * p.high);
                OutRow<T>::template put<V>(ys, c, V::fma(a, V::load(window_p + c), load<V>(ds + c, lanes) * p.low),
                                           lanes);
            };
            typename V::vi seen = V::all_int(0);
            if (!general)
                over_aligned<V>(window, 0, n, [&](int64_t c, auto lanes) SN_LAMBDA {
                    const v t = V::fma(scale, V::load(window + c), delta);
                    seen = V::max_unsigned(seen, V::bits(t));
                    put(c, lanes, powers_fast<V>(fast, t));
                });
            if (__builtin_expect(general || left_range<V>(plus, seen), 0)) {
                typename V::vi outside = V::all_int(0);
                over_aligned<V>(window, 0, n, [&](int64_t c, auto lanes) SN_LAMBDA {
                    const v t = V::fma(scale, V::load(window + c), delta);
                    outside = outside | ~in_range<V>(plus, t);
                    put(c, lanes, powers_any<V, N>(power, plus, fast, t));
                });
                general = !plus.fast || V::any_from(outside, 1);
            }
            out.end(out, i);
        }
    }
}

template <class V, int N> void spatial_jvp(const SpatialJob<typename V::T> &job, const Piece &piece) {
    spatial_products<V, N>(job, piece, 0, 1, job.reach);
}
template <class V, int N> void spatial_gradient_documented(const SpatialJob<typename V::T> &job, const Piece &piece) {
    const Reach r = job.reach;
    spatial_products<V, N>(job, piece, 1, 0, {r.down, r.up, r.right, r.left});
}
