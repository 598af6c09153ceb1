# What the library says of itself, and the table of its functions for other extensions.

def version():
    """Version of the native core."""
    return sn_version().decode()


def isa():
    """CPU instruction set in use."""
    name = sn_isa().decode()
    if not name:
        fail(SN_UNSUPPORTED)
    return name


def set_num_threads(int32_t n):
    """Threads that one call may use, itself included; 0 restores the default."""
    status = sn_set_num_threads(n)
    if status != SN_OK:
        fail(status)


def get_num_threads():
    """Threads that one call may use, itself included."""
    return sn_get_num_threads()


def devices():
    """(number, available, kind, name, description) of each device, including those that cannot run."""
    cdef sn_device_info info
    result = []
    for index in range(sn_device_count()):
        status = sn_get_device_info(index, &info)
        if status != SN_OK:
            fail(status)
        result.append((info.device, bool(info.available), info.kind.decode(), info.name.decode(),
                       info.description.decode()))
    return result


def metal_stats():
    """Counts of what the Metal devices did in this process."""
    cdef sn_metal_stats stats
    stats.size = sizeof(stats)
    sn_get_metal_stats(&stats)
    return {
        "runs": stats.runs,
        "command_buffers": stats.command_buffers,
        "wrapped_buffers": stats.wrapped_buffers,
        "staged_buffers": stats.staged_buffers,
        "refused_buffers": stats.refused_buffers,
        "misaligned_buffers": stats.misaligned_buffers,
        "in_place_buffers": stats.in_place_buffers,
        "staged_bytes": stats.staged_bytes,
        "allocated_buffers": stats.allocated_buffers,
        "pipelines": stats.pipelines,
    }


cdef extern from *:
    """
    #include <spatialnorm/spatialnorm_py.h>
    static const sn_api sn_api_table = {
        SN_LIBRARY_NUMBER, SN_ABI_VERSION, sizeof(sn_api), sn_plan_create, sn_plan_create_nd, sn_plan_run,
        sn_plan_destroy, sn_last_error, sn_version, sn_isa, sn_set_num_threads, sn_get_num_threads,
        sn_device_count, sn_get_device_info, sn_get_metal_stats, sn_plans_run};
    """
    const void *sn_api_table "&sn_api_table"
    const char *SN_API_CAPSULE

_C_API = PyCapsule_New(<void *>sn_api_table, SN_API_CAPSULE, NULL)  # spatialnorm_py.h says what it holds
