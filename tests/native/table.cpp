#include "table.h"
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace {

class Reader {
    std::ifstream file;

  public:
    explicit Reader(const char *path) : file(path, std::ios::binary) {}

    void bytes(void *to, int64_t n) {
        file.read(static_cast<char *>(to), std::streamsize(n));
        if (!file) {
            std::fprintf(stderr, "the table of cases ends too early\n");
            std::exit(2);
        }
    }
    double real() {
        double value;
        bytes(&value, sizeof value);
        return value;
    }
    int64_t integer() {
        int64_t value;
        bytes(&value, sizeof value);
        return value;
    }
    // An enumeration of the header has a fixed type of 32 bits.
    template <class E> void code(E &value) { value = static_cast<E>(integer()); }
    std::string text() {
        std::string value(size_t(integer()), '\0');
        bytes(&value[0], int64_t(value.size()));
        return value;
    }
};

Operand read_operand(Reader &reader) {
    Operand operand = {};
    reader.code(operand.tensor.dtype);
    for (int64_t &n : operand.tensor.shape) n = reader.integer();
    for (int64_t &stride : operand.tensor.strides) stride = reader.integer();
    operand.first = reader.integer();
    operand.length = reader.integer();
    operand.bytes.resize(size_t(reader.integer()));
    reader.bytes(operand.bytes.data(), int64_t(operand.bytes.size()));
    return operand;
}

Case read_case(Reader &reader) {
    Case c = {};
    c.name = reader.text();
    c.params = SN_SPATIAL_PARAMS_INIT;
    c.params.kernel_height = reader.integer();
    c.params.kernel_width = reader.integer();
    c.params.alpha = reader.real();
    c.params.beta = reader.real();
    c.params.delta = reader.real();
    reader.code(c.params.edge);
    reader.code(c.params.gradient);
    reader.code(c.pass);
    c.in_place = int(reader.integer());
    c.ulps = reader.real();
    c.absolute = reader.real();
    c.operands.resize(size_t(reader.integer()));
    for (Operand &operand : c.operands) operand = read_operand(reader);
    c.expected.resize(size_t(reader.integer()));
    reader.bytes(c.expected.data(), int64_t(c.expected.size() * sizeof(double)));
    return c;
}

} // namespace

int64_t itemsize(sn_dtype dtype) { return dtype == SN_FLOAT64 ? 8 : dtype == SN_FLOAT32 ? 4 : 2; }

std::vector<Case> read_table(const char *path) {
    Reader reader(path);
    char magic[8];
    reader.bytes(magic, sizeof magic);
    if (std::string(magic, sizeof magic) != "SNCASES1") {
        std::fprintf(stderr, "%s is no table of cases\n", path);
        std::exit(2);
    }
    std::vector<Case> cases(size_t(reader.integer()));
    for (Case &c : cases) c = read_case(reader);
    return cases;
}
