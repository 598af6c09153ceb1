#include "overlap.h"
#include <algorithm>

namespace sn {
namespace {

// Counts solutions of low <= sum of c[k] * d[k] <= high with 0 <= d[k] <= most[k], all c[k] > 0, by depth
// first search over falling c[k]: slices of one array have nested strides, where few d[k] can lead anywhere.
struct Search {
    struct Term {
        int64_t c, most;
    };
    Term terms[2 * (max_axes + 2)];
    int64_t reach[2 * (max_axes + 2) + 1]; // what the terms from k on can add
    int n = 0;
    int64_t low = 0, high = 0;
    int found = 0, wanted = 1;
    long steps = 0;
    static constexpr long too_many = 100000;

    // Adds stride * index, 0 <= index < count; a negative stride counts from its other end.
    void add(int64_t stride, int64_t count) {
        if (count < 2 || stride == 0) return;
        if (stride < 0) {
            low -= stride * (count - 1);
            high -= stride * (count - 1);
            stride = -stride;
        }
        for (int k = 0; k < n; ++k)
            if (terms[k].c == stride) {
                terms[k].most += count - 1;
                return;
            }
        terms[n++] = {stride, count - 1};
    }

    int run() {
        std::sort(terms, terms + n, [](const Term &a, const Term &b) { return a.c > b.c; });
        reach[n] = 0;
        for (int k = n - 1; k >= 0; --k) reach[k] = reach[k + 1] + terms[k].c * terms[k].most;
        descend(0, 0);
        return found;
    }

    static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

    void descend(int k, int64_t sum) {
        if (found >= wanted) return;
        if (++steps > too_many) {
            found = wanted;
            return;
        }
        if (k == n) {
            found += sum >= low && sum <= high;
            return;
        }
        const int64_t c = terms[k].c;
        const int64_t from = std::max<int64_t>(0, -floor_div(-(low - reach[k + 1] - sum), c));
        const int64_t to = std::min(terms[k].most, floor_div(high - sum, c));
        for (int64_t d = from; d <= to && found < wanted; ++d) descend(k + 1, sum + c * d);
    }
};

} // namespace

bool overlap(const Strided &a, const void *pa, const Strided &b, const void *pb) {
    for (int k = 0; k < a.n; ++k)
        if (a.shape[k] == 0) return false;
    for (int k = 0; k < b.n; ++k)
        if (b.shape[k] == 0) return false;
    const int64_t apart = int64_t(intptr_t(pb) - intptr_t(pa));
    Search search;
    search.low = apart - (a.size - 1);
    search.high = apart + (b.size - 1);
    for (int k = 0; k < a.n; ++k) search.add(a.stride[k], a.shape[k]);
    for (int k = 0; k < b.n; ++k) search.add(-b.stride[k], b.shape[k]);
    return search.run() > 0;
}

bool overlaps_itself(const Strided &a) {
    for (int k = 0; k < a.n; ++k)
        if (a.shape[k] == 0) return false;
    for (int k = 0; k < a.n; ++k)
        if (a.shape[k] > 1 && a.stride[k] == 0) return true;
    // Nested strides are the rule: each longer than all that the shorter ones reach.
    int order[max_axes + 2];
    auto length = [&](int k) { return a.stride[k] < 0 ? -a.stride[k] : a.stride[k]; };
    int n = 0;
    for (int k = 0; k < a.n; ++k)
        if (a.shape[k] > 1) order[n++] = k;
    std::sort(order, order + n, [&](int i, int j) { return length(i) < length(j); });
    int64_t reach = 0;
    bool nested = true;
    for (int k = 0; k < n; ++k) {
        if (k && length(order[k]) == length(order[k - 1])) return true;
        nested &= length(order[k]) >= reach + a.size;
        reach += length(order[k]) * (a.shape[order[k]] - 1);
    }
    if (nested) return false;
    // Differences of two indices: the zero difference is one solution, any other is a shared byte.
    Search search;
    search.wanted = 2;
    search.low = -(a.size - 1);
    search.high = a.size - 1;
    for (int k = 0; k < a.n; ++k) {
        search.add(a.stride[k], a.shape[k]);
        search.add(-a.stride[k], a.shape[k]);
    }
    return search.run() > 1;
}

} // namespace sn
