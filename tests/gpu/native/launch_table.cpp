// Gives Python the launch arithmetic: builds a problem, validates it and hands out its dispatches one by one.
#include "error.h"
#include "metal/launch.h"
#include <cstring>
#include <new>

using namespace sn;

struct LaunchTable {
    Launch launch;
    char error[480];
};

extern "C" {

LaunchTable *launch_table_create(const sn_params *params, sn_pass pass, const sn_array *operands, int32_t n_operands,
                                 int32_t axis_height, int32_t axis_width, int32_t design, int32_t aligned,
                                 int64_t scratch_limit, int64_t concurrency, int32_t tile_0, int32_t tile_1,
                                 int32_t tile_2, int32_t tile_3, int32_t tile_4, int64_t groups_at_once) {
    auto *table = new LaunchTable{};
    try {
        Problem problem;
        validate(params, pass, operands, n_operands, axis_height, axis_width, problem);
        LaunchOptions options;
        options.design = Design(design);
        options.aligned = aligned != 0;
        if (scratch_limit > 0) options.scratch_limit = scratch_limit;
        if (concurrency > 0) options.concurrency = concurrency;
        options.groups_at_once = groups_at_once;
        options.tile[0] = tile_0;
        options.tile[1] = tile_1;
        options.tile[2] = tile_2;
        options.tile[3] = tile_3;
        options.tile[4] = tile_4;
        table->launch = make_launch(problem, options);
    } catch (const Error &error) { std::memcpy(table->error, error.message, sizeof table->error); }
    return table;
}

void launch_table_destroy(LaunchTable *table) { delete table; }
const char *launch_table_error(const LaunchTable *table) { return table->error; }
int64_t launch_table_scratch_bytes(const LaunchTable *table) { return table->launch.scratch_bytes; }
int64_t launch_table_result_offset(const LaunchTable *table) { return table->launch.result_offset; }
int32_t launch_table_size(const LaunchTable *table) { return int32_t(table->launch.dispatches.size()); }
const Dispatch *launch_table_at(const LaunchTable *table, int32_t i) { return &table->launch.dispatches[size_t(i)]; }
int32_t launch_table_params_size() { return int32_t(sizeof(SpatialParams)); }
}
