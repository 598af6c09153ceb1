// Tables for T^-b, made without the mathematics library, so that they have the same bits on every machine:
// plain additions and multiplications of pairs of doubles (about 32 digits), rounded at the end.
#include "power.h"
#include "made_once.h"
#include "thread_exit.h"
#include <new>

namespace sn {
namespace cpu {
namespace {

// An unevaluated sum of two doubles (Dekker 1971, Knuth); error about 2^-104.
struct Pair {
    double high, low;
    Pair(double h = 0, double l = 0) : high(h), low(l) {}
};

Pair quick_sum(double a, double b) { // |a| >= |b|
    const double s = a + b;
    return {s, b - (s - a)};
}
Pair exact_sum(double a, double b) {
    const double s = a + b, t = s - a;
    return {s, (a - (s - t)) + (b - t)};
}
Pair exact_product(double a, double b) {
    constexpr double split = 134217729.0; // 2^27 + 1
    const double ta = split * a, ah = ta - (ta - a), al = a - ah;
    const double tb = split * b, bh = tb - (tb - b), bl = b - bh;
    const double p = a * b;
    return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}
Pair operator+(Pair a, Pair b) {
    Pair s = exact_sum(a.high, b.high);
    Pair t = exact_sum(a.low, b.low);
    s = quick_sum(s.high, s.low + t.high);
    return quick_sum(s.high, s.low + t.low);
}
Pair operator-(Pair a) { return {-a.high, -a.low}; }
Pair operator-(Pair a, Pair b) { return a + -b; }
Pair operator*(Pair a, Pair b) {
    Pair p = exact_product(a.high, b.high);
    return quick_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}
Pair operator/(Pair a, Pair b) {
    const double q = a.high / b.high;
    const Pair r = a - b * Pair(q);
    const double q2 = r.high / b.high;
    const Pair r2 = r - b * Pair(q2);
    return quick_sum(q, q2) + Pair(r2.high / b.high);
}
double magnitude(double x) { return x < 0 ? -x : x; }
double power_of_two(int n) { // exact, also where 2^n is subnormal
    double x = 1;
    for (; n > 0; --n) x *= 2;
    for (; n < 0; ++n) x *= 0.5;
    return x;
}
double nearest(double x) { // integer nearest to x, |x| < 2^51
    constexpr double magic = 6755399441055744.0;
    return (x + magic) - magic;
}

const Pair ln2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

// segment[j] * 1024 and its base-2 logarithm.
struct Segment {
    int scaled;
    double log2_high, log2_low;
};
const Segment segments[16] = {
    {1024, 0x0.0p+0, 0x0.0p+0},
    {936, -0x1.097e38ce60649p-3, -0x1.5d243efd93259p-58},
    {886, -0x1.abb2ca9ec7472p-3, -0x1.8b38644a4210ep-57},
    {840, -0x1.249cd2b13cd6cp-2, -0x1.34107c0e54aedp-56},
    {799, -0x1.6e8a004221b1fp-2, 0x1.9a74f0d147b09p-56},
    {762, -0x1.b495d4e9185f7p-2, -0x1.4bcb97f73b85ap-56},
    {728, -0x1.f804ae8d0cd02p-2, 0x1.9ca1a3202b3d7p-56},
    {697, -0x1.1c27039d8572ep-1, -0x1.27f3228456fcdp-59},
    {669, -0x1.3a703e50fa4dfp-1, -0x1.6bb45a980c7b1p-56},
    {643, -0x1.57b7eb8038fafp-1, -0x1.b36e606f18f11p-56},
    {618, -0x1.7502cc4a27b80p-1, -0x1.4d038f7587c73p-55},
    {596, -0x1.8fc924c89ac84p-1, -0x1.bf1d926766301p-55},
    {575, -0x1.aa482b35ca9cfp-1, 0x1.5b2e0d266ac03p-55},
    {555, -0x1.c46e9076cbc45p-1, 0x1.bc437c42c3b6ep-55},
    {537, -0x1.dcc917f2c141fp-1, 0x1.941811b2ee16dp-56},
    {520, -0x1.f48c34bd1e96fp-1, 0x1.314dc4fc42302p-55},
};
constexpr double least_s = -0.02881, greatest_s = 0.0625;

Pair exp2_pair(Pair x) { // |x| < 1000
    const double n = nearest(x.high);
    const Pair z = (x - Pair(n)) * ln2;
    Pair term(1), sum(1);
    for (int k = 1; magnitude(term.high) > 0x1p-110 && k < 60; ++k) {
        term = term * z / Pair(k);
        sum = sum + term;
    }
    const double scale = power_of_two(int(n));
    return {sum.high * scale, sum.low * scale};
}

// Interpolates f in n Chebyshev nodes of [low, high]: coefficients of 1, s, s^2, ... (Newton's divided
// differences, expanded).
template <class F> void interpolate(F f, double low, double high, int n, Pair *coefficient) {
    // cos(pi (i + 1/2) / n) by its series: nodes need no precision, only to be the same everywhere.
    double node[max_terms];
    Pair d[max_terms];
    for (int i = 0; i < n; ++i) {
        const double angle = 3.14159265358979312 * (i + 0.5) / n;
        double term = 1, cosine = 1;
        for (int k = 1; k < 20; ++k) {
            term *= -angle * angle / ((2 * k - 1) * (2 * k));
            cosine += term;
        }
        node[i] = (low + high) / 2 + (high - low) / 2 * cosine;
        d[i] = f(node[i]);
    }
    for (int k = 1; k < n; ++k)
        for (int i = n - 1; i >= k; --i) d[i] = (d[i] - d[i - 1]) / (Pair(node[i]) - Pair(node[i - k]));
    for (int i = 0; i < n; ++i) coefficient[i] = Pair();
    for (int i = n - 1; i >= 0; --i) { // p = p * (s - node[i]) + d[i]
        for (int j = n - 1; j > 0; --j) coefficient[j] = coefficient[j - 1] - coefficient[j] * Pair(node[i]);
        coefficient[0] = d[i] - coefficient[0] * Pair(node[i]);
    }
}

// ((1 + s)^-b - 1) / s and ln(1 + s) / s by their series, |s| <= 1/16.
Pair power_quotient(double b, double s) {
    Pair term = -Pair(b), sum = term;
    for (int k = 2; magnitude(term.high) > 0x1p-110 && k < 200; ++k) {
        term = term * ((-Pair(b) - Pair(k - 1)) * Pair(s) / Pair(k));
        sum = sum + term;
    }
    return sum;
}
Pair log_quotient(double s) {
    Pair power(1), sum(1);
    for (int k = 2; k < 40; ++k) {
        power = power * Pair(-s);
        sum = sum + power / Pair(k);
    }
    return sum;
}

// The error that n terms of q leave in (1 + s)^-b: the first term left out of the series, levelled over the
// interval by the Chebyshev nodes.
double levelled_error(double b, int n) {
    constexpr double half = (greatest_s - least_s) / 2;
    double coefficient = 1, spread = 2;
    for (int k = 0; k <= n; ++k) coefficient *= (magnitude(b) + k) / (k + 1);
    for (int k = 0; k < n; ++k) spread *= half / 2;
    return coefficient * spread * greatest_s;
}

int floor_log2(double x) { // x > 0
    int e = 0;
    for (; x >= 2; ++e) x /= 2;
    for (; x < 1; --e) x *= 2;
    return e;
}

template <class T> typename Bits<T>::Int bits_of_power_of_two(int e) {
    return typename Bits<T>::Int(e + Bits<T>::bias) << Bits<T>::mantissa;
}

// The parts of a table that no exponent enters, made once.
template <class T> struct Constants {
    T segment_log[16], log_q[max_terms], exp2_q[max_terms];

    Constants() {
        for (int j = 0; j < 16; ++j)
            segment_log[j] = T((-(Pair(segments[j].log2_high, segments[j].log2_low) * ln2)).high);
        Pair c[max_terms];
        constexpr int log_terms = sizeof(T) == 4 ? 7 : 14, exp2_terms = sizeof(T) == 4 ? 8 : 15;
        interpolate(log_quotient, least_s, greatest_s, log_terms, c);
        for (int i = 0; i < max_terms; ++i) log_q[i] = i < log_terms ? T(c[i].high) : T(0);
        interpolate([](double f) { return exp2_pair(Pair(f)); }, -0.5, 0.5, exp2_terms, c);
        for (int i = 0; i < max_terms; ++i) exp2_q[i] = i < exp2_terms ? T(c[i].high) : T(0);
    }
};

template <class T> void make(double exponent, double floor, PowerTable<T> &t) {
    using B = Bits<T>;
    t.zero = exponent == 0;
    const double whole = magnitude(exponent) < 4503599627370496.0 ? nearest(exponent) : exponent;
    t.integer = whole == exponent;
    t.odd = t.integer && magnitude(exponent) < 9007199254740992.0 && nearest(exponent / 2) * 2 != exponent;
    double b = exponent;
    t.squarings = 0;
    while (magnitude(b) > 16 && t.squarings < 1100) b /= 2, ++t.squarings;
    t.exponent_high = T(b);
    t.exponent_low = T(b - double(t.exponent_high));

    const Constants<T> &constants = made_once<Constants<T>>();
    for (int j = 0; j < 16; ++j) {
        const Pair log2_segment(segments[j].log2_high, segments[j].log2_low);
        t.segment[j] = T(segments[j].scaled / 1024.0);
        const Pair exact = exp2_pair(log2_segment * Pair(b));
        t.segment_power[j] = T(exact.high);
        t.segment_error[j] = T(((exact - Pair(double(t.segment_power[j]))) / exact).high);
        t.segment_log[j] = constants.segment_log[j];
    }
    for (int i = 0; i < max_terms; ++i) t.log_q[i] = constants.log_q[i], t.exp2_q[i] = constants.exp2_q[i];

    Pair c[max_terms];
    constexpr double enough = sizeof(T) == 4 ? 0x1p-25 : 0x1.2p-54;
    static const int float_choices[] = {4, 5, 6, 16}, double_choices[] = {10, 12, 16};
    const int *choice = sizeof(T) == 4 ? float_choices : double_choices;
    while (*choice < max_terms && levelled_error(b, *choice) > enough) ++choice;
    t.terms = *choice;
    t.careful = sizeof(T) == 4 && magnitude(b) < 0.5;
    interpolate([&](double s) { return power_quotient(b, s); }, least_s, greatest_s, t.terms, c);
    for (int i = 0; i < max_terms; ++i) t.q[i] = i < t.terms ? T(c[i].high) : T(0);

    // The fast range: up to 32 exponents, as long as 2^(-b e) stays a normal number with room for segment_power.
    // It begins at floor's exponent, or, where floor tells nothing, as far below 1 as above.
    for (int e = 0; e < 32; ++e) t.exponent_power[e] = t.exponent_error[e] = T(0);
    const int limit = B::bias - 20;
    const bool known = floor > power_of_two(-limit) && floor < power_of_two(limit), usable = t.squarings == 0;
    const int symmetric = magnitude(b) * 16 < limit ? 16 : int((limit - 1) / magnitude(b));
    const int first = known ? floor_log2(floor) : -symmetric;
    int count = 0;
    while (usable && count < 32 && first + count < limit && magnitude(b * (first + count)) < limit) {
        const int e = first + count++;
        const Pair exact = exp2_pair(exact_product(-b, e));
        T &rounded = t.exponent_power[(e + B::bias) & 31];
        rounded = T(exact.high);
        t.exponent_error[(e + B::bias) & 31] = T(((exact - Pair(double(rounded))) / exact).high);
    }
    const int near = count < 16 ? count : 16;
    for (int e = 0; e < 16; ++e) t.near_power[e] = T(0);
    for (int e = first; e < first + near; ++e) t.near_power[(e + B::bias) & 15] = t.exponent_power[(e + B::bias) & 31];
    t.near_bits = bits_of_power_of_two<T>(first + near);
    t.fast = known && count > 0;
    t.least_bits = bits_of_power_of_two<T>(first);
    t.bound_bits = bits_of_power_of_two<T>(first + count);
}

// The thread's most recent tables: few exponents are in use at a time, and a table takes some 50 us. One memory per
// thread needs no lock, which fork() could leave locked.
template <class T> struct Recent {
    struct Entry {
        double b, floor;
        std::shared_ptr<const PowerTable<T>> table;
    };
    Entry entries[8];
    unsigned next = 0;
};
template <class T> thread_local Recent<T> *recent = nullptr; // none where there was no memory for it

template <class T>
const ThreadExit at_exit([](void *) {
    delete recent<T>;
    recent<T> = nullptr;
});

template <class T> void start_recent() {
    recent<T> = new (std::nothrow) Recent<T>;
    if (recent<T> && at_exit<T>.arm(recent<T>)) return;
    delete recent<T>;
    recent<T> = nullptr;
}

} // namespace

template <class T> std::shared_ptr<const PowerTable<T>> power_table(double b, double floor) {
    if (!recent<T>) start_recent<T>();
    if (recent<T>)
        for (const auto &entry : recent<T>->entries)
            if (entry.table && entry.b == b && entry.floor == floor) return entry.table;
    auto table = std::make_shared<PowerTable<T>>();
    make(b, floor, *table);
    if (recent<T>) recent<T>->entries[recent<T>->next++ % 8] = {b, floor, table};
    return table;
}

template std::shared_ptr<const PowerTable<float>> power_table<float>(double, double);
template std::shared_ptr<const PowerTable<double>> power_table<double>(double, double);

} // namespace cpu
} // namespace sn
