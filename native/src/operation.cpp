#include "operation.h"

namespace sn {

const Operation *find_operation(sn_operation id) {
    static const Operation *const all[] = {&spatial_operation, &add_operation, &convert_operation};
    for (const Operation *operation : all)
        if (operation->id == id) return operation;
    return nullptr;
}

} // namespace sn
