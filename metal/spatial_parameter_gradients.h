// Gradients of alpha, beta and delta: one term of each for every element, added in a fixed order. Every
// threadgroup adds up its share of the elements, and one more threadgroup adds up what they found.
#pragma once
#include "spatial_plain.h"

struct ParameterTerms {
    float alpha, beta, delta;
};

//   d delta = -beta * dy * x * T^-(beta + 1),  d alpha = d delta * sum / N,  d beta = -dy * x * T^-beta * ln T
METAL_FUNC ParameterTerms parameter_terms(constant SpatialParams &p, float dy, float x, float sum) {
    const float t = base(p, sum);
    ParameterTerms terms;
    terms.delta = -p.beta * dy * x * power_of_beta_1(p, t);
    terms.alpha = terms.delta * (sum * p.inverse_area);
    terms.beta = -dy * x * power_of_beta(p, t) * precise::log(t);
    return terms;
}

METAL_FUNC void add(thread ParameterTerms &sum, ParameterTerms terms) {
    sum.alpha += terms.alpha;
    sum.beta += terms.beta;
    sum.delta += terms.delta;
}

// Adds up one value of each thread of the threadgroup; the first thread writes the result.
METAL_FUNC void reduce(ParameterTerms sum, threadgroup float *memory, device float *result, int pitch, uint lane) {
    for (int which = 0; which < 3; ++which) {
        memory[lane] = which == 0 ? sum.alpha : which == 1 ? sum.beta : sum.delta;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint half_size = SPATIAL_THREADS / 2; half_size > 0; half_size /= 2) {
            if (lane < half_size) memory[lane] += memory[lane + half_size];
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        if (lane == 0) result[which * pitch] = memory[0];
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
}

// Partial sums of one threadgroup: partial[0], [groups], [2 * groups] from `partial + group`.
template <typename T>
kernel void spatial_parameter_gradients_plain(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                              device float *partial [[buffer(2)]],
                                              constant SpatialParams &p [[buffer(3)]],
                                              uint group [[threadgroup_position_in_grid]],
                                              uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_THREADS];
    ParameterTerms total = {0.0f, 0.0f, 0.0f};
    const ulong step = ulong(p.groups) * SPATIAL_THREADS;
    for (ulong index = ulong(group) * SPATIAL_THREADS + lane; index < ulong(p.elements); index += step) {
        const Element e = element_at(p, index);
        device const T *plane = x + plane_offset(p, 1, e.plane);
        const float sum = window_sum_plain(plane, 1, plane, 1, p, e.row, e.column, p.top, p.left);
        add(total, parameter_terms(p, float(dy[image_offset(p, 0, e.plane, e.row, e.column)]),
                                   sample(plane, p, 1, e.row, e.column), sum));
    }
    reduce(total, memory, partial + p.first_group + group, p.all_groups, lane);
}

// The same where the window sums stand in scratch.
template <typename T>
kernel void spatial_parameter_gradients(device const T *dy [[buffer(0)]], device const T *x [[buffer(1)]],
                                        device float *partial [[buffer(2)]], device const float *sums [[buffer(3)]],
                                        constant SpatialParams &p [[buffer(4)]],
                                        uint group [[threadgroup_position_in_grid]],
                                        uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_THREADS];
    ParameterTerms total = {0.0f, 0.0f, 0.0f};
    const ulong step = ulong(p.groups) * SPATIAL_THREADS;
    for (ulong index = ulong(group) * SPATIAL_THREADS + lane; index < ulong(p.elements); index += step) {
        const Element e = element_at(p, index);
        add(total, parameter_terms(p, float(dy[image_offset(p, 0, e.plane, e.row, e.column)]),
                                   float(x[image_offset(p, 1, e.plane, e.row, e.column)]), sums[index]));
    }
    reduce(total, memory, partial + p.first_group + group, p.all_groups, lane);
}

// The second stage, by one threadgroup: out = d alpha, d beta, d delta.
kernel void spatial_parameter_gradients_total(device const float *partial [[buffer(0)]],
                                              device float *out [[buffer(1)]], constant SpatialParams &p [[buffer(2)]],
                                              uint lane [[thread_index_in_threadgroup]]) {
    threadgroup float memory[SPATIAL_THREADS];
    ParameterTerms total = {0.0f, 0.0f, 0.0f};
    for (int i = int(lane); i < p.all_groups; i += SPATIAL_THREADS) {
        const ParameterTerms terms = {partial[i], partial[p.all_groups + i], partial[2 * p.all_groups + i]};
        add(total, terms);
    }
    reduce(total, memory, out, 1, lane);
}
