"""What only the intermediate code shows: recursion, function pointers, double, start-up code, sizes."""

import re

# Functions that a kernel may call: the runtime's, and what clang makes of the header's own functions.
ALLOWED = re.compile(
    r"(sm_\w+|llvm\..*|memcpy|memset|memmove|memcmp|bcmp|__truncsfbf2|__truncsfhf2|__extendhfsf2"
    r"|(acos|acosh|asin|asinh|atan|atan2|atanh|cos|cosh|sin|sinh|tan|tanh|exp|exp2|exp10|log|log2|log10|pow|fma|fmod|fdim"
    r"|fmin|fmax|ldexp|ilogb|frexp|nextafter|rint|round|trunc|floor|ceil|sqrt)f)$"
)
DEFINE = re.compile(r'@"?([^"( ]+)"?\(')
CALL = re.compile(r'\bcall [^@%\n]*?(?:@"?([^"(\s]+)"?|(%[\w.]+))\(')
DOUBLE = re.compile(r"\b(f(add|sub|mul|div|rem|neg|cmp)( \w+)* double\b|to double\b)")
SUBPROGRAM = re.compile(r"^!(\d+) = distinct !DISubprogram\([^\n]*?\bline: (\d+)", re.M)
SIZE = re.compile(r"@sm_threadgroup_variable\(i64 [^,]*?(\d+),")


class Report:
    """errors, and for each kernel in order its static threadgroup memory in bytes."""

    def __init__(self, ir, kernel_count):
        self.errors, self.calls, self.where, self.local_bytes = [], {}, {}, {}
        self.kernel_functions = [None] * kernel_count
        self.read(ir)
        self.check_calls()
        self.find_recursion()
        self.threadgroup_bytes = [self.total_bytes(f) for f in self.kernel_functions]

    def error(self, place, message):
        text = "%s: error: %s" % (place, message)
        if text not in self.errors:
            self.errors.append(text)

    def read(self, ir):
        lines = dict(SUBPROGRAM.findall(ir))
        function = None
        for line in ir.splitlines():
            if line.startswith("define "):
                function = DEFINE.search(line).group(1)
                debug = re.search(r"!dbg !(\d+)", line)
                self.where[function] = "program_source:%s:1" % lines.get(debug.group(1) if debug else "", "0")
                self.calls[function], self.local_bytes[function] = set(), 0
            elif line.startswith("}"):
                function = None
            elif function:
                if "call " in line:
                    self.read_call(function, line)
                if "double" in line and DOUBLE.search(line) and not self.is_header(function):
                    self.error(self.where[function], "double precision is used, which Metal does not have")
            elif line.startswith("@"):
                self.read_global(line)

    @staticmethod
    def is_header(function):
        return function.startswith(("_ZN2sm", "_ZN5metal", "_Zli"))

    def read_call(self, function, line):
        m = CALL.search(line)
        if m and m.group(1):
            self.calls[function].add(m.group(1))
            size = SIZE.search(line)
            if size:
                self.local_bytes[function] += int(size.group(1))
        elif m and not self.is_header(function):
            self.error(self.where[function], "function pointers are not supported in Metal")

    def read_global(self, line):
        m = re.match(r'@"?([^" ]+)"? = (.*?)\b(global|constant) (.*)', line)
        if not m:
            return
        name, kind = m.group(1), m.group(3)
        kernel = re.match(r"sm_kernel_(\d+)$", name)
        if kernel:
            self.kernel_functions[int(kernel.group(1))] = re.search(r'@"?([^", ]+)', m.group(4)).group(1)
        elif name == "llvm.global_ctors":
            self.error("program_source:0:0", "program scope constructors are not supported in Metal")
        elif kind == "global" and "external" not in m.group(2) and not name.startswith("sm_"):
            self.error("program_source:0:0", "program scope variable '%s' must reside in constant address space" % name)

    def check_calls(self):
        for function, callees in self.calls.items():
            for callee in callees:
                if callee not in self.calls and not ALLOWED.match(callee):
                    self.error(self.where[function], "call of '%s', which Metal does not have" % callee)

    def find_recursion(self):
        state = {}  # 1: on the path, 2: done
        for root in self.calls:
            stack = [(root, iter(sorted(self.calls[root])))] if root not in state else []
            if stack:
                state[root] = 1
            while stack:
                function, callees = stack[-1]
                callee = next(callees, None)
                if callee is None:
                    state[function] = 2
                    stack.pop()
                elif state.get(callee) == 1:
                    self.error(self.where[function], "recursive call of '%s' is not supported in Metal" % callee)
                elif callee in self.calls and callee not in state:
                    state[callee] = 1
                    stack.append((callee, iter(sorted(self.calls[callee]))))

    def total_bytes(self, function):
        return self.local_bytes.get(function, 0)  # threadgroup variables stand in the kernel itself


def erase_address_spaces(ir):
    """The hooks of checked mode are only made for pointers in the default address space."""
    ir = re.sub(r" ?\baddrspace\(\d+\)", "", ir).replace("addrspacecast", "bitcast")
    ir = re.sub(r"@llvm\.[\w.]+", lambda m: re.sub(r"\.p\d+\b", ".p0", m.group()), ir)
    out, declared = [], set()
    for line in ir.splitlines():
        if line.startswith("declare "):
            name = DEFINE.search(line).group(1)
            if name in declared:
                continue
            declared.add(name)
        out.append(line)
    return "\n".join(out) + "\n"
