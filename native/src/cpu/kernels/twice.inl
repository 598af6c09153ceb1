// Two neighbouring vectors as one, for loops with a long chain of operations: the processor's schedulers hold the
// operations of few vectors at a time, and of two that are written side by side one goes on while the other waits.

template <class V> struct Twice {
    using T = typename V::T;
    using Int = typename V::Int;
    using Half = V;
    static constexpr int W = 2 * V::W;
    struct vi {
        typename V::vi a, b;
        friend SN_TWICE vi operator&(vi x, vi y) { return {x.a & y.a, x.b & y.b}; }
        friend SN_TWICE vi operator|(vi x, vi y) { return {x.a | y.a, x.b | y.b}; }
    };
    struct v {
        typename V::v a, b;
        friend SN_TWICE v operator+(v x, v y) { return {x.a + y.a, x.b + y.b}; }
        friend SN_TWICE v operator*(v x, v y) { return {x.a * y.a, x.b * y.b}; }
    };
    using Table16 = typename V::Table16;
    using Table32 = typename V::Table32;

    SN_INLINE v load(const T *p) { return {V::load(p), V::load(p + V::W)}; }
    SN_INLINE void store(T *p, v x) { V::store(p, x.a), V::store(p + V::W, x.b); }
    SN_INLINE void stream(T *p, v x) { V::stream(p, x.a), V::stream(p + V::W, x.b); }
    SN_INLINE void store_f16(uint16_t *p, v x) { V::store_f16(p, x.a), V::store_f16(p + V::W, x.b); }
    SN_INLINE void stream_f16(uint16_t *p, v x) { V::stream_f16(p, x.a), V::stream_f16(p + V::W, x.b); }
    template <bool Numbers> SN_INLINE void store_bf16(uint16_t *p, v x) {
        V::template store_two_bf16<Numbers>(p, x.a, x.b);
    }
    template <bool Numbers> SN_INLINE void stream_bf16(uint16_t *p, v x) {
        V::template stream_two_bf16<Numbers>(p, x.a, x.b);
    }
    SN_INLINE v all(T x) {
        const typename V::v one = V::all(x);
        return {one, one};
    }
    SN_INLINE vi all_int(Int x) {
        const typename V::vi one = V::all_int(x);
        return {one, one};
    }
    SN_INLINE v fma(v x, v y, v z) { return {V::fma(x.a, y.a, z.a), V::fma(x.b, y.b, z.b)}; }
    SN_INLINE v lesser(v x, v y) { return {V::lesser(x.a, y.a), V::lesser(x.b, y.b)}; }
    SN_INLINE vi bits(v x) { return {V::bits(x.a), V::bits(x.b)}; }
    SN_INLINE v real(vi x) { return {V::real(x.a), V::real(x.b)}; }
    SN_INLINE vi shift_right(vi x, int n) { return {V::shift_right(x.a, n), V::shift_right(x.b, n)}; }
    SN_INLINE Table16 table16(const T *t) { return V::table16(t); }
    SN_INLINE Table32 table32(const T *t) { return V::table32(t); }
    SN_INLINE v lookup(const Table16 &t, vi i) { return {V::lookup(t, i.a), V::lookup(t, i.b)}; }
    SN_INLINE v lookup(const Table32 &t, vi i) { return {V::lookup(t, i.a), V::lookup(t, i.b)}; }
};

// The vector type of a value: V or Twice<V>.
template <class V, class Value>
using VectorOf = typename std::conditional<std::is_same<Value, typename V::v>::value, V, Twice<V>>::type;

template <class V> SN_INLINE typename V::vi greater_of(typename V::vi seen, typename V::vi x) {
    return V::max_unsigned(seen, x);
}
template <class V> SN_INLINE typename V::vi greater_of(typename V::vi seen, typename Twice<V>::vi x) {
    return V::max_unsigned(seen, V::max_unsigned(x.a, x.b));
}

// Lanes of two vectors that hold half a vector of each of four rows.
struct Halves {};
template <class V> constexpr bool has_halves = V::twice && V::W == 16;

// Rows in memory at one distance, in bytes.
template <class T> struct Rows {
    T *const first;
    const int64_t stride;
    SN_LAMBDA T *operator()(int64_t r) const { return (T *)((const char *)first + r * stride); }
};
// Column c of row(r), of X = V; or of row(r) and row(r + 1) side by side, or of half a vector of four rows.
template <class V, class X, class Row, class N>
SN_INLINE typename X::v load_rows(Row row, int64_t r, int64_t c, N lanes) {
    if constexpr (std::is_same<X, V>::value) return load<V>(row(r) + c, lanes);
    else if constexpr (std::is_same<N, Halves>::value)
        return {V::load_halves(row(r) + c, row(r + 1) + c), V::load_halves(row(r + 2) + c, row(r + 3) + c)};
    else return {V::load(row(r) + c), V::load(row(r + 1) + c)};
}
template <class V, class X, class Row, class N>
SN_INLINE void store_rows(Row row, int64_t r, int64_t c, typename X::v x, N lanes) {
    if constexpr (std::is_same<X, V>::value) store<V>(row(r) + c, x, lanes);
    else if constexpr (std::is_same<N, Halves>::value) {
        V::store_halves(row(r) + c, row(r + 1) + c, x.a);
        V::store_halves(row(r + 2) + c, row(r + 3) + c, x.b);
    } else V::store(row(r) + c, x.a), V::store(row(r + 1) + c, x.b);
}

// Calls body(column, lanes, value(column)) over [from, to): vectors by twos where there are registers for it.
template <class V, template <class> class Lanes, class Value, class Body>
SN_INLINE void over_twice(int64_t from, int64_t to, Value value, Body body) {
    int64_t c = from;
    if constexpr (V::twice)
        for (; c + 2 * V::W <= to; c += 2 * V::W)
            body(c, Lanes<Twice<V>>(), typename Twice<V>::v{value(c), value(c + V::W)});
    over_columns<V, Lanes>(c, to, [&](int64_t c, auto lanes) SN_LAMBDA { body(c, lanes, value(c)); });
}
