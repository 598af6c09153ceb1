# Called by build.sh, which sets BUILD (an absolute path) and METAL_CPP.
HERE := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
CXX := g++
HOST_CXX ?= clang++-19
ARCH := $(shell uname -m)

CXXFLAGS := -std=c++17 -O2 -g -fPIC -Wall -Wextra -Wno-cast-function-type -MD \
  -I$(HERE)/sysinclude -I$(HERE)/exec -I$(HERE)/objc -I$(HERE)/metal \
  -DSOFTMETAL_MSL_DEFAULT='"$(HERE)/msl"' -DSOFTMETAL_CACHE_DEFAULT='"$(BUILD)/cache"'
HOST_FLAGS := -std=c++17 -O1 -g -fPIC -fblocks -Wall -Wextra -MD -isystem $(HERE)/sysinclude -isystem $(METAL_CPP) -I$(HERE)/metal -DSOFTMETAL_KERNELS='"$(HERE)/tests/kernels"'
HOST_LIBS := -L$(BUILD)/lib -lsoftmetal -lBlocksRuntime -lpthread -Wl,-rpath,$(BUILD)/lib

SOURCES := $(wildcard $(HERE)/objc/*.cpp $(HERE)/exec/*.cpp $(HERE)/metal/*.cpp) $(HERE)/objc/msgsend_$(ARCH).S $(HERE)/exec/switch_$(ARCH).S
OBJECTS := $(patsubst $(HERE)/%,$(BUILD)/obj/%.o,$(SOURCES))
HOST_SOURCES := $(wildcard $(HERE)/tests/host/*.cpp)
HOST_OBJECTS := $(patsubst $(HERE)/%,$(BUILD)/obj/%.o,$(HOST_SOURCES))

all: $(BUILD)/lib/libsoftmetal.so $(BUILD)/bin/host_tests $(BUILD)/lib/libhost_tests.so

$(BUILD)/lib/libsoftmetal.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CXX) -shared -Wl,-soname,libsoftmetal.so -Wl,-z,defs -o $@ $^ -ldl -lpthread -lBlocksRuntime

$(BUILD)/bin/host_tests: $(HOST_OBJECTS) $(BUILD)/lib/libsoftmetal.so
	@mkdir -p $(@D)
	$(HOST_CXX) -o $@ $(HOST_OBJECTS) $(HOST_LIBS)

# The same as a library, to be loaded from Python as an extension module is.
$(BUILD)/lib/libhost_tests.so: $(HOST_OBJECTS) $(BUILD)/lib/libsoftmetal.so
	$(HOST_CXX) -shared -o $@ $(HOST_OBJECTS) $(HOST_LIBS)

$(BUILD)/obj/tests/host/%.cpp.o: $(HERE)/tests/host/%.cpp $(HERE)/softmetal.mk
	@mkdir -p $(@D)
	$(HOST_CXX) $(HOST_FLAGS) -c $< -o $@

$(BUILD)/obj/%.cpp.o: $(HERE)/%.cpp $(HERE)/softmetal.mk
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c $< -o $@

$(BUILD)/obj/%.S.o: $(HERE)/%.S
	@mkdir -p $(@D)
	$(CXX) -c $< -o $@

-include $(OBJECTS:.o=.d) $(HOST_OBJECTS:.o=.d)
