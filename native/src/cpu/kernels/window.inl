// Window sums (docs/math.md, "Window sums"). The order of every addition follows from the window and from
// absolute row numbers alone; nothing is ever subtracted, and an output never meets a sample from outside
// its window.

// Sum of K neighbours, the largest power of two first: sum(K) = sum(P) + sum(K - P). The doubling sums of
// long windows below add in the same order.
template <int K, int At = 0, class Get> SN_INLINE auto tree(const Get &get) {
    if constexpr (K == 1) return get(std::integral_constant<int, At>());
    else {
        constexpr int P = K > 8 ? 8 : K > 4 ? 4 : K > 2 ? 2 : 1;
        return tree<P, At>(get) + tree<K - P, At + P>(get);
    }
}

// Sums of K neighbours, c - Left ... c - Left + K - 1, vector after vector in registers: streams of sums over 1, 2,
// 4 ... samples that end at each position, each made from the one before by one shift of lanes, and a window
// put together from its binary digits.
template <class V, int K, int Left> struct Rolling {
    using T = typename V::T;
    using v = typename V::v;
    static constexpr int W = V::W, right = K - 1 - Left;
    static constexpr int ahead = (right + W - 1) / W, before = (Left + W - 1) / W;
    static constexpr int top = K >= 64 ? 6 : K >= 32 ? 5 : K >= 16 ? 4 : K >= 8 ? 3 : K >= 4 ? 2 : K >= 2 ? 1 : 0;
    static constexpr int back = (1 << top) > 2 * W ? (1 << top) / (2 * W) : 1;
    static constexpr int depth = back + 1 + ahead; // vectors of a stream; the current one is at `back`
    v stream[top + 1][depth];
    const T *next;

    SN_INLINE void push(Rolling &s, const T *p) {
        SN_UNROLL for (int l = 0; l <= top; ++l) SN_UNROLL for (int d = 0; d + 1 < depth; ++d) s.stream[l][d] =
            s.stream[l][d + 1];
        s.stream[0][depth - 1] = V::load(p);
        build<0>(s);
    }
    template <int L> SN_INLINE void build(Rolling &s) {
        if constexpr (L < top) {
            constexpr int span = 1 << L;
            const v *const from = s.stream[L];
            v earlier;
            if constexpr (span < W) earlier = V::template shift<W - span>(from[depth - 2], from[depth - 1]);
            else earlier = from[depth - 1 - span / W];
            s.stream[L + 1][depth - 1] = earlier + from[depth - 1];
            build<L + 1>(s);
        }
    }
    // The digits from 2^L down, the sums of which begin at offset `at`.
    template <int L, int At> SN_INLINE v digits(const Rolling &s) {
        if constexpr (!(K >> L & 1)) return digits<L - 1, At>(s);
        else {
            constexpr int span = 1 << L, end = At + span - 1, q = back + end / W, shift = end % W;
            v sum = s.stream[L][q];
            if constexpr (shift != 0) sum = V::template shift<shift>(s.stream[L][q], s.stream[L][q + 1]);
            if constexpr ((K & (span - 1)) == 0) return sum;
            else return sum + digits<L - 1, At + span>(s);
        }
    }

    // Windows from row[0] on.
    SN_INLINE Rolling start(const T *row) {
        Rolling s = {};
        for (int k = -before; k < ahead; ++k) push(s, row + k * W);
        s.next = row + ahead * W;
        return s;
    }
    SN_INLINE v step(Rolling &s) {
        push(s, s.next);
        s.next += W;
        return digits<top, -Left>(s);
    }
};

// The same for 3, 5 and 7 neighbours, half of them before c: sums of two from loads, one of them unaligned, and those a
// few lanes before from the last vector's by a shift.
template <class V, int K> struct Sliding {
    using T = typename V::T;
    using v = typename V::v;
    static constexpr int W = V::W, ahead = K == 7;
    v pairs; // of neighbours that begin `ahead` behind each column, a vector back
    const T *next;

    SN_INLINE v pairs_at(const T *p) { return V::load(p + ahead) + V::load(p + ahead + 1); }
    SN_INLINE Sliding start(const T *row) { return {pairs_at(row - W), row}; }
    SN_INLINE v step(Sliding &s) {
        const v last = s.pairs, pairs = s.pairs = pairs_at(s.next), end = V::load(s.next + K / 2);
        s.next += W;
        if constexpr (K == 3) return V::template shift<W - 1>(last, pairs) + end;
        else if constexpr (K == 5) return (V::template shift<W - 2>(last, pairs) + pairs) + end;
        else return (V::template shift<W - 4>(last, pairs) + V::template shift<W - 2>(last, pairs)) + (pairs + end);
    }
};
template <class V, int K>
using Along = typename std::conditional<K == 3 || K == 5 || K == 7, Sliding<V, K>, Rolling<V, K, K / 2>>::type;

// Sums of K neighbours, a step apart, from loads, for loops whose arithmetic leaves the loads idle. From 8 neighbours
// on, a row of sums over 4 is made first. Unit: the step is 1, the loads unaligned.
template <class V, int K, bool Unit> struct Near {
    using T = typename V::T;
    using v = typename V::v;
    const int64_t step;
    const T *const from; // the first window's first column
    T *const fours;

    Near(const T *row, int64_t n, int64_t i, T *scratch)
        : step(Unit ? 1 : i), from(row - K / 2 * step), fours(scratch) {
        if constexpr (K >= 8)
            for (int64_t c = -since_vector<V>(fours); c < n + (K - 4) * step + V::W; c += V::W)
                V::store(fours + c, tree<4>([&](auto k) SN_LAMBDA { return V::load(from + c + k * step); }));
    }
    // The window of column c; of a vector that reaches past the last column, too.
    SN_INLINE v sum(const Near &s, int64_t c) { return part<K, 0>(s, c); }
    template <int Size, int At> SN_INLINE v part(const Near &s, int64_t c) {
        if constexpr (K >= 8 && Size == 4) return V::load(s.fours + c + At * s.step);
        else if constexpr (Size == 1) return V::load(s.from + c + At * s.step);
        else {
            constexpr int first = Size > 8 ? 8 : Size > 4 ? 4 : Size > 2 ? 2 : 1;
            return part<first, At>(s, c) + part<Size - first, At + first>(s, c);
        }
    }
};

// How many loops a caller of Horizontal::each is worth: one for each frequent window, with much arithmetic in it or
// light, or one for all windows. Every loop takes its time to compile.
enum class Loops { heavy, light, one };

// Whether powers of N terms are frequent: exponents up to 6.9, in float64 up to 2. Narrow images always gain by loops
// of their own, wide ones by those for up to 5 terms (3.2), or 6 where two vectors do not go side by side.
template <class V, int N> constexpr bool frequent_narrow = N <= (sizeof(typename V::T) == 4 ? 6 : 10);
template <class V, int N> constexpr bool frequent_wide = frequent_narrow<V, N> && (!V::twice || N != 6);

// Sums over left + 1 + right steps along a row of vertical sums.
template <class V> struct Horizontal {
    using T = typename V::T;
    using v = typename V::v;
    const int64_t left, width, step, pitch;
    T *const level; // rows of sums over 4, 16, 64 ... steps

    Horizontal(int64_t l, int64_t r, int64_t i, const SpatialScratch &layout, const SumScratch &at, T *scratch)
        : left(l), width(l + 1 + r), step(i), pitch(layout.pitch), level(scratch + at.levels) {}

    // out[c] = the sum over the window of row[c], c < n, and zeros in the vector after that. Reads up to two
    // vectors beyond the last window; may write from the aligned vector before out on.
    void run(const T *row, int64_t n, T *out) const {
        const int64_t back = since_vector<V>(row);
        sum(row - back, n + back, out - back);
        V::store(out + n, V::all(T(0)));
    }

    // Narrow images: rows go fastest, so that little stands between one vector's arithmetic and the next's.
    // Calls body(r, c, lanes, sum) for c < n and 0 <= r < rows, `first` and rows a pitch after it being the vertical
    // sums; where the sum is of Twice, for rows r and r + 1. `seen`: the greatest of the bits that body returns. False
    // if the window is not one of those it knows. The loops are functions of their own, with(loop) gives them the body,
    // and holds values, no references: so all that they need stands in registers.
    static constexpr int64_t narrow = 4 * V::W;
    template <class With>
    SN_INLINE bool each_narrow(const Horizontal &h, const T *first, int64_t rows, int64_t n, typename V::vi &seen,
                               const With &with) {
        if (h.step != 1 || h.left != h.width / 2 || n > narrow) return false;
        switch (h.width) {
        case 3: return seen = narrow_rows<3>(first, h.pitch, rows, n, with), true;
        case 5: return seen = narrow_rows<5>(first, h.pitch, rows, n, with), true;
        case 7: return seen = narrow_rows<7>(first, h.pitch, rows, n, with), true;
        }
        return false;
    }

    // Calls body(c, lanes, sum) for c < n; frequent windows never leave the registers: by Near where body has much
    // arithmetic, by Rolling where it is light. What body stores is streamed from column `head` on, unless that is
    // negative: then vectors are aligned in `row`.
    template <Loops loops, class Body>
    SN_INLINE void each(const Horizontal &h, const T *row, int64_t n, T *out, int64_t head, Body body) {
        if (V::streams && head >= 0) each_from<loops, Streamed>(h, row, n, out, head, body);
        else each_from<loops, Whole>(h, row, n, out, smaller(to_vector<V>(row), n), body);
    }

    // The same for a light body, row after row: calls body_of(r), and what that returns with (c, lanes, sum).
    template <class BodyOf>
    SN_INLINE bool each_narrow_light(const Horizontal &h, const T *first, int64_t rows, int64_t n, BodyOf body_of) {
        if (V::W < 8 || h.step != 1 || h.left != h.width / 2 || n > narrow) return false;
        switch (h.width) {
        case 3: return light_rows<3>(first, h.pitch, rows, n, body_of), true;
        case 5: return light_rows<5>(first, h.pitch, rows, n, body_of), true;
        case 7: return light_rows<7>(first, h.pitch, rows, n, body_of), true;
        }
        return false;
    }

  private:
    template <int K, class BodyOf>
    SN_INLINE void light_rows(const T *first, int64_t pitch, int64_t rows, int64_t n, BodyOf body_of) {
        if constexpr (V::W >= 8)
            for (int64_t r = 0; r < rows; ++r, first += pitch) {
                const auto body = body_of(r);
                Sliding<V, K> s = Sliding<V, K>::start(first);
                over_columns<V>(0, n, [&](int64_t c, auto lanes) SN_LAMBDA { body(c, lanes, Sliding<V, K>::step(s)); });
            }
    }
    template <int K, class With>
    __attribute__((noinline)) static typename V::vi narrow_rows(const T *first, int64_t pitch, int64_t rows, int64_t n,
                                                                const With &from) {
        const With with = from;
        typename V::vi seen = V::all_int(0);
        with([&](auto body) SN_LAMBDA { seen = narrow_loops<K>(first, pitch, rows, n, body); });
        return seen;
    }
    template <int K, class Body>
    SN_INLINE typename V::vi narrow_loops(const T *first, int64_t pitch, int64_t rows, int64_t n, Body body) {
        auto sum = [](const T *from) SN_LAMBDA { return tree<K>([&](auto k) SN_LAMBDA { return V::load(from + k); }); };
        typename V::vi seen = V::all_int(0);
        int64_t c = 0;
        for (; c + V::W <= n; c += V::W) {
            const T *from = first + c - K / 2;
            int64_t r = 0;
            if constexpr (V::twice)
                for (; r + 2 <= rows; r += 2, from += 2 * pitch)
                    seen =
                        greater_of<V>(seen, body(r, c, Whole<V>(), typename Twice<V>::v{sum(from), sum(from + pitch)}));
            for (; r < rows; ++r, from += pitch) seen = greater_of<V>(seen, body(r, c, Whole<V>(), sum(from)));
        }
        if (c == n) return seen;
        const T *from = first + c - K / 2;
        int64_t r = 0;
        if constexpr (has_halves<V>) {
            auto halves = [pitch](const T *from) SN_LAMBDA {
                return tree<K>([&](auto k) SN_LAMBDA { return V::load_halves(from + k, from + pitch + k); });
            };
            if (n - c == V::W / 2)
                for (; r + 4 <= rows; r += 4, from += 4 * pitch)
                    seen = greater_of<V>(
                        seen, body(r, c, Halves(), typename Twice<V>::v{halves(from), halves(from + 2 * pitch)}));
        }
        for (; r < rows; ++r, from += pitch) seen = greater_of<V>(seen, body(r, c, int(n - c), sum(from)));
        return seen;
    }
    template <Loops loops, template <class> class Lanes, class Body>
    SN_INLINE void each_from(const Horizontal &h, const T *row, int64_t n, T *out, int64_t head, Body body) {
        constexpr bool light = loops == Loops::light;
        const bool centred = h.left == h.width / 2;
        if constexpr (loops != Loops::one)
            if (h.step == 1 && centred) switch (h.width) {
                case 1: return in_loop<1, light, Lanes>(h, row, n, head, body);
                case 3: return in_loop<3, light, Lanes>(h, row, n, head, body);
                case 5: return in_loop<5, light, Lanes>(h, row, n, head, body);
                case 7: return in_loop<7, light, Lanes>(h, row, n, head, body);
                }
        if constexpr (light)
            if (h.step == 1 && centred) switch (h.width) {
                case 9: return in_loop<9, light, Lanes>(h, row, n, head, body);
                case 11: return in_loop<11, light, Lanes>(h, row, n, head, body);
                case 13: return in_loop<13, light, Lanes>(h, row, n, head, body);
                case 15: return in_loop<15, light, Lanes>(h, row, n, head, body);
                }
        if constexpr (loops != Loops::one)
            if (h.step > 1 && centred) switch (h.width) {
                case 3: return near<3, false, Lanes>(h, row, n, head, body);
                case 5: return near<5, false, Lanes>(h, row, n, head, body);
                case 7: return near<7, false, Lanes>(h, row, n, head, body);
                case 9: return near<9, false, Lanes>(h, row, n, head, body);
                }
        h.run(row, n, out);
        if (head > 0) body(0, int(head), V::load(out));
        over_twice<V, Lanes>(head, n, [&](int64_t c) SN_LAMBDA { return V::load(out + c); }, body);
    }
    template <int K, bool light, template <class> class Lanes, class Body>
    SN_INLINE void in_loop(const Horizontal &h, const T *row, int64_t n, int64_t head, Body body) {
        if constexpr (light && V::W >= 8) {
            using R = Along<V, K>;
            if (head > 0) {
                R r = R::start(row);
                body(0, int(head), R::step(r));
            }
            R r = R::start(row + head);
            over_columns<V, Lanes>(head, n, [&](int64_t c, auto lanes) SN_LAMBDA { body(c, lanes, R::step(r)); });
        } else near<K, true, Lanes>(h, row, n, head, body);
    }
    template <int K, bool Unit, template <class> class Lanes, class Body>
    SN_INLINE void near(const Horizontal &h, const T *row, int64_t n, int64_t head, Body body) {
        using N = Near<V, K, Unit>;
        const N near(row, n, h.step, h.level);
        if (head > 0) body(0, int(head), N::sum(near, 0));
        over_twice<V, Lanes>(head, n, [&](int64_t c) SN_LAMBDA { return N::sum(near, c); }, body);
    }

    // Windows that Rolling takes: few enough vectors to stand in registers.
    static constexpr int rolling = V::W >= 8 ? 4 * V::W : 0;
    using Run = void (*)(const T *, int64_t, T *);
    template <int K, int Left> static void rolled_row(const T *row, int64_t n, T *out) {
        using R = Rolling<V, K, Left>;
        R r = R::start(row);
        for (int64_t c = 0; c < n; c += V::W) V::store(out + c, R::step(r));
    }
    template <int... K>
    static void rolled_any(std::integer_sequence<int, K...>, bool mirrored, int64_t width, const T *row, int64_t n,
                           T *out) {
        static constexpr Run plain_runs[] = {rolled_row<K + 1, (K + 1) / 2>...};
        static constexpr Run mirrored_runs[] = {rolled_row<K + 1, K / 2>...};
        (mirrored ? mirrored_runs : plain_runs)[width - 1](row, n, out);
    }

    void sum(const T *row, int64_t n, T *out) const {
        // Windows that reach beyond a narrow image are lopsided: only the two regular leans are in the table.
        const bool regular = left == width / 2 || left == (width - 1) / 2;
        if constexpr (rolling > 0)
            if (step == 1 && width <= rolling && regular)
                return rolled_any(std::make_integer_sequence<int, rolling>(), left != width / 2, width, row, n, out);
        const T *const from = row - left * step;
        switch (width) {
        case 1: return direct<1>(from, n, out);
        case 2: return direct<2>(from, n, out);
        case 3: return direct<3>(from, n, out);
        case 4: return direct<4>(from, n, out);
        case 5: return direct<5>(from, n, out);
        case 6: return direct<6>(from, n, out);
        case 7: return direct<7>(from, n, out);
        }
        return doubling(from, n, out);
    }

    template <int K> void direct(const T *from, int64_t n, T *out) const {
        for (int64_t c = 0; c < n; c += V::W)
            V::store(out + c, tree<K>([&](auto i) SN_LAMBDA { return V::load(from + c + i * step); }));
    }

    // A window is its binary digits: sums over 4^l come from rows made below, twice that from two of them.
    // The smallest are added first, as tree() does.
    void doubling(const T *from, int64_t n, T *out) const {
        struct {
            const T *row;
            int64_t apart; // of a pair, or 0
        } terms[2 * max_levels];
        const T *row = from;
        int64_t span = 1, levels = 0, length = n + (width - 1) * step, at = width;
        int count = 0;
        for (int64_t digits = width; digits; digits >>= 2) {
            if (digits & 1) terms[count++] = {row + (at -= span) * step, 0};
            if (digits & 2) terms[count++] = {row + (at -= 2 * span) * step, span * step};
            if (digits < 4) break;
            T *const next = level + levels++ * pitch;
            const int64_t d = span * step;
            length -= 3 * d;
            for (int64_t c = 0; c < length; c += V::W)
                V::store(next + c, (V::load(row + c) + V::load(row + c + d)) +
                                       (V::load(row + c + 2 * d) + V::load(row + c + 3 * d)));
            row = next;
            span *= 4;
        }
        auto term = [&](int k, int64_t c) SN_LAMBDA {
            const v a = V::load(terms[k].row + c);
            return terms[k].apart ? a + V::load(terms[k].row + c + terms[k].apart) : a;
        };
        for (int64_t c = 0; c < n; c += V::W) {
            v sum = term(0, c);
            for (int k = 1; k < count; ++k) sum = term(k, c) + sum;
            V::store(out + c, sum);
        }
    }
};
