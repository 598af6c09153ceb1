// T^-b and ln T (docs/math.md, "The power").

// c[0] + c[1] s + ... + c[N-1] s^(N-1). Short ones by Horner's rule, which takes the fewest multiplications:
// successive vectors overlap. Long ones by halves, powers[k] = s^(2^k).
template <class V, class C> SN_INLINE typename V::v coefficient(const C &c) {
    if constexpr (std::is_same<C, typename V::v>::value) return c;
    else if constexpr (std::is_same<C, typename V::T>::value) return V::all(c);
    else return {c, c}; // Twice
}
template <class V, int N, class C> SN_INLINE typename V::v by_halves(const C *c, const typename V::v *powers) {
    if constexpr (N == 1) return coefficient<V>(c[0]);
    else {
        constexpr int half = N > 8 ? 8 : N > 4 ? 4 : N > 2 ? 2 : 1, level = N > 8 ? 3 : N > 4 ? 2 : N > 2 ? 1 : 0;
        return V::fma(by_halves<V, N - half>(c + half, powers), powers[level], by_halves<V, half>(c, powers));
    }
}
template <class V, int N, class C> SN_INLINE typename V::v polynomial(const C *c, typename V::v s) {
    if constexpr (N <= 12) {
        typename V::v sum = coefficient<V>(c[N - 1]);
        SN_UNROLL for (int i = N - 2; i >= 0; --i) sum = V::fma(sum, s, coefficient<V>(c[i]));
        return sum;
    } else {
        typename V::v powers[4];
        powers[0] = s;
        powers[1] = s * s;
        powers[2] = powers[1] * powers[1];
        if (N > 8) powers[3] = powers[2] * powers[2];
        return by_halves<V, N>(c, powers);
    }
}

template <class V> constexpr int mantissa_bits = Bits<typename V::T>::mantissa;
template <class V> constexpr typename V::Int one_bits = typename V::Int(Bits<typename V::T>::bias) << mantissa_bits<V>;

template <class V> SN_INLINE typename V::vi segment_of(typename V::vi bits) {
    return V::shift_right(bits, mantissa_bits<V> - 4);
}
template <class V> SN_INLINE typename V::v mantissa_of(typename V::vi bits) {
    constexpr typename V::Int mask = (typename V::Int(1) << mantissa_bits<V>)-1;
    return V::real((bits & V::all_int(mask)) | V::all_int(one_bits<V>));
}

// T^-b for T in the fast range, any value elsewhere; the tables stand in registers where there are enough.
// Careful: small exponents are promised so few ulp that the rounding of the tables must be made good.
// Near: for the first 16 exponents of the range alone, where the target looks them up in less time.
template <class V, int N, bool Careful = false, bool Near = false> struct PowerFast {
    typename V::Table16 segment, segment_power, segment_error;
    typename std::conditional<Near, typename V::Table16, typename V::Table32>::type exponent_power;
    typename V::Table32 exponent_error;
    typename V::v q[N];

    explicit SN_LAMBDA PowerFast(const PowerTable<typename V::T> &p)
        : segment(V::table16(p.segment)), segment_power(V::table16(p.segment_power)),
          segment_error(V::table16(p.segment_error)), exponent_power(exponents(p)),
          exponent_error(V::table32(p.exponent_error)) {
        for (int i = 0; i < N; ++i) q[i] = V::all(p.q[i]);
    }
    SN_INLINE auto exponents(const PowerTable<typename V::T> &p) {
        if constexpr (Near) return V::table16(p.near_power);
        else return V::table32(p.exponent_power);
    }
    // X: V or Twice<V>.
    template <class X> SN_INLINE typename X::v of(const PowerFast &p, typename X::v t) {
        const typename X::vi bits = X::bits(t), j = segment_of<X>(bits);
        const typename X::v s = X::fma(mantissa_of<X>(bits), X::lookup(p.segment, j), X::all(-1));
        const typename X::vi e = X::shift_right(bits, mantissa_bits<X>);
        const typename X::v scale = X::lookup(p.segment_power, j) * X::lookup(p.exponent_power, e);
        const typename X::v q = polynomial<X, N>(p.q, s);
        if constexpr (Careful) {
            const typename X::v error = X::lookup(p.segment_error, j) + X::lookup(p.exponent_error, e);
            return X::fma(scale, X::fma(s, q, error), scale);
        } else return X::fma(scale * s, q, scale); // scale * s is there before q
    }
};

// The same for the first 16 exponents: `fast` itself where the target gains nothing by them.
template <class V, int N, bool Careful> using PowerNear = PowerFast<V, N, Careful, V::near_exponents>;
template <class V, int N, bool Careful>
SN_INLINE decltype(auto) near_of(const PowerFast<V, N, Careful> &fast, const PowerTable<typename V::T> &p) {
    if constexpr (V::near_exponents) return PowerNear<V, N, Careful>(p);
    else return (fast);
}

// |t| = 2^e m with normal bits, also for subnormal t.
template <class V> struct Normalized {
    typename V::vi bits;
    typename V::v exponent;
};
template <class V> SN_INLINE Normalized<V> normalize(typename V::v t) {
    using T = typename V::T;
    constexpr typename V::Int bias = Bits<T>::bias;
    constexpr T least = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022), up = sizeof(T) == 4 ? T(0x1p24) : T(0x1p53);
    constexpr int shift = sizeof(T) == 4 ? 24 : 53;
    const typename V::v magnitude = V::real(V::bits(t) & V::all_int(~(typename V::Int(1) << (sizeof(T) * 8 - 1))));
    const typename V::vi small = V::less(magnitude, V::all(least));
    const typename V::vi bits = V::bits(V::choose(small, magnitude * V::all(up), magnitude));
    typename V::v e = V::convert(V::subtract(V::shift_right(bits, mantissa_bits<V>), V::all_int(bias)));
    e = V::choose(small, e - V::all(T(shift)), e);
    return {bits, e};
}

// 2^n for an integer n of any size: two factors that are normal numbers, so that a product with them rounds once.
template <class V> struct Scales {
    typename V::v first, second;
};
template <class V> SN_INLINE Scales<V> scales(typename V::v n) {
    using T = typename V::T;
    constexpr T most = sizeof(T) == 4 ? T(252) : T(2044), magic = sizeof(T) == 4 ? T(12582912) : T(6755399441055744);
    n = V::choose(V::less(n, V::all(-most)), V::all(-most), n);
    n = V::choose(V::less(V::all(most), n), V::all(most), n);
    // Rounded to an integer by the addition, whose low bits then hold it.
    auto integer = [&](typename V::v x)
                       SN_LAMBDA { return V::subtract(V::bits(x + V::all(magic)), V::bits(V::all(magic))); };
    auto power = [&](typename V::vi k) SN_LAMBDA {
        return V::real(V::shift_left(V::add(k, V::all_int(Bits<T>::bias)), mantissa_bits<V>));
    };
    const typename V::vi half = integer(n * V::all(T(0.5)));
    return {power(half), power(V::subtract(integer(n), half))};
}

// T^-b for every T, with the special values of IEEE pow. No lane depends on another, and none on the
// mathematics library.
template <class V> SN_INLINE typename V::v power_general(const PowerTable<typename V::T> &p, typename V::v t) {
    using T = typename V::T;
    constexpr T magic = sizeof(T) == 4 ? T(12582912) : T(6755399441055744);
    constexpr T infinity = T(__builtin_inf()), nan = T(__builtin_nan(""));
    if (p.zero) return V::all(T(1));
    const Normalized<V> x = normalize<V>(t);
    const typename V::vi j = segment_of<V>(x.bits);
    const typename V::v s = V::fma(mantissa_of<V>(x.bits), V::lookup(V::table16(p.segment), j), V::all(-1));
    const typename V::v segment_power = V::lookup(V::table16(p.segment_power), j);
    typename V::v r = V::fma(segment_power, s * polynomial<V, max_terms>(p.q, s), segment_power);
    // 2^(-b e) = 2^n 2^f, with b e in two parts.
    const typename V::v high = x.exponent * V::all(-p.exponent_high);
    const typename V::v low =
        V::fma(x.exponent, V::all(-p.exponent_high), -high) + x.exponent * V::all(-p.exponent_low);
    const typename V::v n = (high + V::all(magic)) - V::all(magic);
    r = r * polynomial<V, max_terms>(p.exp2_q, (high - n) + low);
    const Scales<V> scale = scales<V>(n);
    r = (r * scale.first) * scale.second;
    for (int k = 0; k < p.squarings; ++k) r = r * r;
    const bool falling = p.exponent_high > 0;
    const typename V::v magnitude = V::choose(V::less(t, V::all(T(0))), -t, t);
    r = V::choose(V::equal(magnitude, V::all(T(0))), V::all(falling ? infinity : T(0)), r);
    r = V::choose(V::equal(magnitude, V::all(infinity)), V::all(falling ? T(0) : infinity), r);
    if (p.odd) r = V::choose(V::less(t, V::all(T(0))), -r, r);
    if (!p.integer) r = V::choose(V::less(t, V::all(T(0))), V::all(nan), r);
    return V::choose(V::equal(t, t), r, t); // nan stays nan
}

// Whether a lane of t left the fast range, as collected by V::max_unsigned over bits(t).
template <class V> SN_INLINE bool left_range(const PowerTable<typename V::T> &p, typename V::vi seen) {
    return V::any_from(seen, p.bound_bits);
}
// The same for what the kernels' first attempt at a row takes.
template <class V> SN_INLINE bool left_near(const PowerTable<typename V::T> &p, typename V::vi seen) {
    return V::any_from(seen, V::near_exponents ? p.near_bits : p.bound_bits);
}
template <class V> SN_INLINE typename V::vi in_range(const PowerTable<typename V::T> &p, typename V::v t) {
    return V::below(V::subtract(V::bits(t), V::all_int(p.least_bits)), V::all_int(p.bound_bits - p.least_bits));
}

// T^-b for every T; a lane's way, and so its bits, depend on its own T alone.
template <class V, class Fast>
SN_INLINE typename V::v power_any(const PowerTable<typename V::T> &p, const Fast &fast, typename V::v t) {
    return V::choose(in_range<V>(p, t), Fast::template of<V>(fast, t), power_general<V>(p, t));
}

// T^-b and T^-(b+1), `plus` being the table for b + 1.
template <class V> struct Powers {
    typename V::v low, high;
};
template <class X, class Fast> SN_INLINE Powers<X> powers_fast(const Fast &plus, typename X::v t) {
    const typename X::v high = Fast::template of<X>(plus, t);
    return {t * high, high};
}
template <class V, int N>
SN_INLINE Powers<V> powers_any(const PowerTable<typename V::T> &p, const PowerTable<typename V::T> &plus,
                               const PowerFast<V, N> &plus_fast, typename V::v t) {
    const Powers<V> fast = powers_fast<V>(plus_fast, t);
    const typename V::vi inside = in_range<V>(plus, t);
    return {V::choose(inside, fast.low, power_general<V>(p, t)),
            V::choose(inside, fast.high, power_general<V>(plus, t))};
}

// ln T for every T, with the special values of IEEE log.
template <class V> SN_INLINE typename V::v log_any(const PowerTable<typename V::T> &p, typename V::v t) {
    using T = typename V::T;
    constexpr T infinity = T(__builtin_inf()), nan = T(__builtin_nan("")), ln2 = T(0.693147180559945309417);
    const Normalized<V> x = normalize<V>(t);
    const typename V::vi j = segment_of<V>(x.bits);
    const typename V::v s = V::fma(mantissa_of<V>(x.bits), V::lookup(V::table16(p.segment), j), V::all(-1));
    typename V::v r = V::fma(x.exponent, V::all(ln2), V::lookup(V::table16(p.segment_log), j));
    r = V::fma(s, polynomial<V, max_terms>(p.log_q, s), r);
    r = V::choose(V::equal(t, V::all(T(0))), V::all(-infinity), r);
    r = V::choose(V::equal(t, V::all(infinity)), V::all(infinity), r);
    r = V::choose(V::less(t, V::all(T(0))), V::all(nan), r);
    return V::choose(V::equal(t, t), r, t);
}
