// Layouts of N, C, H, W elements in memory whose first and last bytes belong to elements.
#pragma once
#include "spatialnorm/spatialnorm.h"
#include <cstddef>
#include <cstdint>

enum class Layout { nchw, nhwc, rows_apart, flipped, transposed, every_third, odd_bytes, channels_apart, broadcast };
constexpr int n_layouts = 9; // broadcast, which is for inputs only, is the last

inline const char *layout_name(Layout layout) {
    static const char *const names[n_layouts] = {"nchw",        "nhwc",      "rows_apart",     "flipped",  "transposed",
                                                 "every_third", "odd_bytes", "channels_apart", "broadcast"};
    return names[int(layout)];
}

struct Placed {
    int64_t strides[4];   // in bytes
    int64_t first, bytes; // offset of element 0, 0, 0, 0; what all elements span
};

inline Placed place(Layout layout, const int64_t shape[4], int64_t size) {
    const int64_t c = shape[1], h = shape[2], w = shape[3];
    Placed p = {};
    auto set = [&](int64_t sn, int64_t sc, int64_t sh, int64_t sw) {
        p.strides[0] = sn * size, p.strides[1] = sc * size, p.strides[2] = sh * size, p.strides[3] = sw * size;
    };
    switch (layout) {
    case Layout::nchw: set(c * h * w, h * w, w, 1); break;
    case Layout::nhwc: set(h * w * c, 1, w * c, c); break;
    case Layout::rows_apart: set(c * h * (w + 5), h * (w + 5), w + 5, 1); break;
    case Layout::flipped: set(c * h * w, h * w, -w, -1); break;
    case Layout::transposed: set(c * h * w, h * w, 1, h); break;
    case Layout::every_third: set(3 * c * h * w, 3 * h * w, 3 * w, 3); break;
    case Layout::odd_bytes: // a byte after every element: no element but the first is aligned
        set(c * h * w, h * w, w, 1);
        for (int64_t &stride : p.strides) stride += stride / size;
        break;
    case Layout::channels_apart: set(h * w * (c + 3), 1, w * (c + 3), c + 3); break;
    case Layout::broadcast: set(0, h * w, w, 1); break;
    }
    p.bytes = size;
    for (int k = 0; k < 4; ++k) {
        const int64_t reach = p.strides[k] * (shape[k] - 1);
        if (reach < 0) p.first -= reach;
        p.bytes += reach < 0 ? -reach : reach;
    }
    return p;
}

// Calls use(offset in bytes) for every element, in the order N, C, H, W.
template <class Use> void for_each_element(const int64_t shape[4], const Placed &p, Use use) {
    for (int64_t n = 0; n < shape[0]; ++n)
        for (int64_t c = 0; c < shape[1]; ++c)
            for (int64_t h = 0; h < shape[2]; ++h)
                for (int64_t w = 0; w < shape[3]; ++w)
                    use(p.first + n * p.strides[0] + c * p.strides[1] + h * p.strides[2] + w * p.strides[3]);
}

inline size_t itemsize(sn_dtype dtype) { return dtype == SN_FLOAT64 ? 8 : dtype == SN_FLOAT32 ? 4 : 2; }
