/* What tests may ask of the emulation, and the faults they may plant. Callable from any thread, and
 * from Python through ctypes.CDLL("libsoftmetal.so"). */
#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Objects of a class that have not been deallocated: "SoftMetalBuffer", "SoftMetalCommandBuffer",
 * "SoftMetalCommandQueue", "SoftMetalLibrary", "SoftMetalComputePipelineState", "NSString" ...; NULL: all. */
long softmetal_live_objects(const char *class_name);

/* Events since the process began: "command_buffers", "encoders", "dispatches", "blits", "waits",
 * "buffers", "no_copy_buffers", "libraries", "pipelines", "kernel_compilations" (not found in the
 * cache), "leaked_autoreleases" (autoreleased with no pool in place). -1 for any other name. */
long softmetal_count(const char *event);

/* Plants a fault from now on: "no_device", "compile", "pipeline", "buffer", "no_copy", "command_queue",
 * "command_buffer". The first `skip` calls still succeed. The message is what NSError says where there
 * is one (NULL: a default). Returns 0, or -1 for an unknown name.
 * The environment does the same: SOFTMETAL_FAULT="buffer@2;command_buffer=the GPU hung". */
int softmetal_set_fault(const char *name, long skip, const char *message);
void softmetal_clear_faults(void);

#ifdef __cplusplus
}
#endif
