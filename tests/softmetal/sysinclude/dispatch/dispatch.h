// Stand-in for <dispatch/dispatch.h>: only what metal-cpp names.
#pragma once
typedef struct dispatch_queue_s *dispatch_queue_t;
typedef struct dispatch_data_s *dispatch_data_t;
