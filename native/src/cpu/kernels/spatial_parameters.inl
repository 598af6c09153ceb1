// The sums over a piece that the gradients of the parameters need:
//   values[0] = sum of dy x T^-(beta+1) S,  values[1] = sum of dy x T^-beta ln T,  values[2] = sum of dy x T^-(beta+1)
// added up in double, in 16 lanes by column whatever the target, row after row.

template <class V, int N> void spatial_parameter_gradients(const SpatialJob<typename V::T> &job, const Piece &piece) {
    using T = typename V::T;
    using v = typename V::v;
    const SpatialScratch &layout = job.scratch;
    T *const scratch = static_cast<T *>(piece.scratch) + piece.offset;
    const int64_t c0 = piece.c0, n = piece.c1 - c0, pitch = layout.pitch;
    const Reach reach = job.reach;
    const Columns wanted{c0, piece.c1}, columns = widen(wanted, reach.left, reach.right, job.I, job.L);
    const T **rows = reinterpret_cast<const T **>(static_cast<T *>(piece.scratch) + layout.pointers[0]);
    T *const zeros = scratch + layout.zeros + layout.lead, *const window = scratch + layout.window[0];
    T *const terms = scratch + layout.values;
    if (!piece.clean) clear<V>(scratch + layout.zeros, pitch);

    Source<V> grad_y(job, piece, 0, scratch, c0, piece.c1), x(job, piece, 1, scratch, columns.from, columns.to);
    Vertical<V> vertical(reach.up + reach.down + 1, layout, layout.sum[0], scratch);
    const Horizontal<V> horizontal(reach.left, reach.right, job.I, layout, layout.sum[0], scratch);
    clear_margins<V>(job, piece, scratch + layout.sum[0].sums, columns);

    const PowerFast<V, N> fast(*job.power_plus);
    const v scale = V::all(job.scale), delta = V::all(job.delta);
    double lanes_of[3][max_lanes] = {};
    for (int64_t i0 = floor_to_batch(piece.r0); i0 < piece.r1; i0 += batch_rows) {
        const int64_t first = i0 - reach.up;
        batch_pointers(job, x, first, vertical.rows(), zeros, rows);
        const Square<V> squares{rows};
        vertical.run(squares, i0 / batch_rows, columns.from - c0, columns.to - c0);
        if (job.clamp) clamp_sums<V>(job, squares, first, c0, wanted, columns, vertical.sums);
        for (int64_t i = larger(i0, piece.r0); i < smaller(i0 + batch_rows, piece.r1); ++i) {
            horizontal.run(vertical.sums + (i - i0) * pitch, n, window);
            grad_y.fetch(i, i + 1);
            const T *const xs = rows[i - first], *const dys = grad_y.row(i);
            over_aligned<V>(window, 0, n, [&](int64_t c, auto lanes) SN_LAMBDA {
                const v s = V::load(window + c), t = V::fma(scale, s, delta);
                const Powers<V> p = powers_any<V, N>(*job.power, *job.power_plus, fast, t);
                const v product = load<V>(dys + c, lanes) * load<V>(xs + c, lanes), high = product * p.high;
                V::store(terms + c, high * s);
                V::store(terms + pitch + c, (product * p.low) * log_any<V>(*job.power, t));
                V::store(terms + 2 * pitch + c, high);
            });
            for (int k = 0; k < 3; ++k) {
                const T *const row = terms + k * pitch;
                int64_t c = 0;
                for (; c + max_lanes <= n; c += max_lanes)
                    for (int l = 0; l < max_lanes; ++l) lanes_of[k][l] += double(row[c + l]);
                for (int l = 0; c + l < n; ++l) lanes_of[k][l] += double(row[c + l]);
            }
        }
    }
    for (int k = 0; k < 3; ++k) {
        for (int half = max_lanes / 2; half; half /= 2)
            for (int l = 0; l < half; ++l) lanes_of[k][l] += lanes_of[k][l + half];
        piece.values[k] = lanes_of[k][0];
    }
}
