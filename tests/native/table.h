// The table of cases that make_cases.py writes: numbers of 8 bytes, little-endian, in the order of the fields here.
#pragma once
#include "spatialnorm/spatialnorm.h"
#include <string>
#include <vector>

struct Operand {
    sn_tensor tensor;           // no data
    int64_t first;              // of element (0, 0, 0, 0) in the buffer, in elements
    int64_t length;             // of the buffer, in elements
    std::vector<uint8_t> bytes; // what the buffer holds before the run; none: an output
};

struct Case {
    std::string name;
    sn_spatial_params params;
    sn_pass pass;
    int in_place;                  // the input that is the output too, or -1
    double ulps, absolute;         // what a result may differ: ulps of the expected value, and a constant beside it
    std::vector<Operand> operands; // the output last
    std::vector<double> expected;  // the output's elements in the order N, C, H, W
};

int64_t itemsize(sn_dtype dtype);
std::vector<Case> read_table(const char *path); // ends the program if the table is not right
