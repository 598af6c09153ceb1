"""Turns preprocessed Metal source into C++ that clang can compile, line by line in place.

What is rewritten: kernels, explicit instantiations, function constants and threadgroup variables. What
is only checked here is in lint_source.py."""

import re

import lint_source
from kernels import blank_attributes, read_signature, split_parameters
from tokens import CompileError, Cursor

# A floating literal without suffix, which is a float in Metal. (clang's own option for that forgets it in templates.)
PLAIN_FLOAT = re.compile(r"(\d+\.\d*|\.\d+)([eE][-+]?\d+)?$|\d+[eE][-+]?\d+$|0[xX][0-9a-fA-F.]+[pP][-+]?\d+$")


def float_literal(text):
    if text[:2].lower() != "0x" and text[-2:].lower() == "bf":  # a suffix that clang does not know
        return "bfloat(%sf)" % text[:-2]
    return text + "f" if PLAIN_FLOAT.match(text) else text


class Kernel:
    """A kernel that a library offers: `expression` names it in C++, `base` is its template or itself."""

    def __init__(self, name, expression, base):
        self.name, self.expression, self.base = name, expression, base


class FunctionConstant:
    def __init__(self, index, name, type_):
        self.index, self.name, self.type = index, name, type_


class Translation:
    """The result, for one kernel (`only`) or, where that is None, for checking a whole library.

    `values` maps the index of a function constant to (type, bits)."""

    def __init__(self, text, values=None, only=None):
        self.c = Cursor(text)
        self.values, self.only = values or {}, only
        self.kernels, self.constants = [], []
        self.bindings, self.max_threads = {}, {}
        self.derived = set()  # names of program-scope constants that depend on function constants
        self.scopes = []  # "namespace", "struct", "function", "block"
        self.kernel_depth = None  # of the kernel whose body is being read
        self.run()
        if self.c.errors:
            raise CompileError(
                "\n".join(self.c.errors)
                + "\n%d error%s generated." % (len(self.c.errors), "s" * (len(self.c.errors) > 1))
            )
        self.cpp = self.c.source()

    # ---- walking
    def file_scope(self):
        return all(s == "namespace" for s in self.scopes)

    def in_function(self):
        return "function" in self.scopes

    def run(self):
        c, i = self.c, 0
        lint = lint_source.Lint(self)
        while i < len(c):
            text = c.text(i)
            if text == "{":
                self.scopes.append(self.scope_kind(i))
            elif text == "}" and self.scopes:
                self.scopes.pop()
                if self.kernel_depth is not None and len(self.scopes) <= self.kernel_depth:
                    self.kernel_depth = None
            elif self.file_scope() and text == "template" and c.text(i + 1) in ("[[", "kernel"):
                i = self.instantiation(i)
            elif self.file_scope() and (text == "kernel" or (text == "[[" and c.text(i + 1) == "kernel")):
                i = self.kernel(i)
            elif self.file_scope() and text == "constant":
                i = self.program_constant(i)
            elif text == "threadgroup" and self.in_function() and c.text(i - 1) in (";", "{", "}"):
                self.threadgroup_variable(i)
            elif text == "vec" and c.text(i + 1) == "<" and c.text(c.close(i + 1) + 1) == "(":
                c.set(i, "sm::construct")
            elif c.kind(i) == "number":
                c.set(i, float_literal(text))
            else:
                lint.token(i)
            i += 1

    def scope_kind(self, i):
        c = self.c
        if self.in_function():
            return "block"
        words = [c.text(k) for k in range(c.statement_start(i), i)]
        if "namespace" in words or "extern" in words:
            return "namespace"
        if ")" in words:
            return "function"
        return "struct" if {"struct", "class", "union", "enum"} & set(words) else "block"

    # ---- kernels
    def kernel(self, i):
        """`kernel void name(...)`, plain or below `template <...>`. -> index of the last token read"""
        c = self.c
        start = c.statement_start(i)
        is_template = any(c.text(k) == "template" for k in range(start, i))
        k, max_threads = start, 0
        while c.text(k) != "(":
            if c.text(k) == "[[":
                words = [c.text(x) for x in range(k + 1, c.close(k))]
                if words[0] == "max_total_threads_per_threadgroup" and words[2].isdigit():
                    max_threads = int(words[2])
                elif words != ["kernel"]:
                    c.error(k + 1, "unknown attribute '%s' on a kernel" % words[0])
                end = c.close(k)
                c.blank(k, end)
                if words == ["kernel"]:
                    c.set(k, "kernel ")
                k = end
            k += 1
        name = c.text(k - 1)
        if c.text(k - 2) != "void":
            c.error(k - 1, "kernel '%s' must have void return type" % name)
        if name in self.bindings:
            c.error(k - 1, "redefinition of kernel '%s'" % name)
        self.bindings[name], end = read_signature(c, k, name)
        self.max_threads[name] = max_threads
        while c.text(end + 1) == "[[":
            closing = c.close(end + 1)
            c.error(end + 2, "unknown attribute '%s' on a kernel" % c.text(end + 2))
            end = closing
        if not is_template:
            self.kernels.append(Kernel(name, name, name))
        self.kernel_depth = len(self.scopes)
        return end

    def instantiation(self, i):
        """`template [[host_name("n")]] kernel void f<float>(...);` or `... kernel decltype(f<float>) f<float>;`"""
        c, host, k = self.c, None, i + 1
        while c.text(k) in ("[[", "kernel"):
            end = k
            if c.text(k) == "[[":
                end = c.close(k)
                if c.text(k + 1) == "host_name":
                    host = "".join(c.text(x) for x in range(k + 3, end - 1)).replace('""', "").strip('"')
                elif c.text(k + 1) != "kernel":
                    c.error(k + 1, "unknown attribute '%s' on an explicit instantiation" % c.text(k + 1))
            c.blank(k, end)
            k = end + 1
        semicolon = c.statement_end(k)
        if c.text(k) == "decltype":
            first = c.close(k + 1) + 1
            base, expression = c.text(first), " ".join(c.text(x) for x in range(first, semicolon))
        else:
            base, opening = c.text(k + 1), k + 2
            close = c.close(opening) if c.text(opening) == "<" else k + 1
            expression = " ".join(c.text(x) for x in range(k + 1, close + 1))
            if c.text(close + 1) == "(":
                blank_attributes(c, split_parameters(c, close + 1)[0])
        if base not in self.bindings:
            c.error(k, "explicit instantiation of '%s', which is not a kernel template declared above" % base)
            return semicolon
        self.kernels.append(Kernel(host or expression.replace(" ", ""), expression, base))
        if self.only is not None and self.kernels[-1].name != self.only:
            c.blank(i, semicolon)  # other instantiations need not be compiled
        return semicolon

    # ---- constants
    def program_constant(self, i):
        c = self.c
        end = c.statement_end(i)
        words = [c.text(k) for k in range(i, end)]
        if "function_constant" in words:
            return self.function_constant(i, end)
        if "=" not in words or c.text(end) != ";":
            return i
        equals = i + words.index("=")
        for k in range(equals, end):
            if c.kind(k) == "number":
                c.set(k, float_literal(c.text(k)))
        if self.derived & set(words[words.index("=") + 1 :]):
            self.derived.add(c.text(equals - 1))
            if self.only is None:
                # Checked as Metal sees it: not a constant expression, so of no use as the length of an array.
                start = c.statement_start(i)
                for k in range(start, i):
                    if c.text(k) in ("static", "constexpr"):
                        c.blank(k, k)
                c.set(i, "extern constant")
                c.blank(equals, end - 1)
        return end

    def function_constant(self, i, end):
        c = self.c
        opening = next(k for k in range(i, end) if c.text(k) == "[[")
        closing = c.close(opening)
        name, type_, index = c.text(opening - 1), c.text(opening - 2), int(c.text(opening + 3))
        c.blank(opening, closing)
        if closing + 1 != end:
            c.error(opening, "a function constant cannot have an initializer")
            return end
        if any(f.index == index for f in self.constants):
            c.error(opening, "function constant index %d is used twice" % index)
        self.constants.append(FunctionConstant(index, name, type_))
        self.derived.add(name)
        value = self.values.get(index)
        if self.only is None:
            c.set(i, "extern constant bool sm_defined_%s; extern constant" % name)
            self.derived.add("is_function_constant_defined")
        elif value:
            if value[0] != type_:
                raise CompileError(
                    "program_source:%d:1: error: function constant '%s' is of type %s, the value given of type %s"
                    % (c.tokens[i].line, name, type_, value[0])
                )
            c.set(i, "constant bool sm_defined_%s = true; constant" % name)
            c.append(end - 1, " = %s" % constant_value(type_, value[1]))
        else:  # the linker refuses what really uses it
            c.set(
                i,
                "constant bool sm_defined_%s = false; "
                'extern "C" __attribute__((const)) %s sm_no_value_%d() noexcept; constant' % (name, type_, index),
            )
            c.append(end - 1, " = sm_no_value_%d()" % index)
        return end

    # ---- threadgroup memory
    def threadgroup_variable(self, i):
        """`threadgroup float a[8], b;` -> a typedef with the same declarators, and a reference for each name."""
        c, end = self.c, self.c.statement_end(i)
        names, depth = [], 0
        for k in range(i + 1, end + 1):
            text = c.text(k)
            if depth == 0 and text in ("*", "&"):
                return  # a pointer into threadgroup memory, not memory
            if depth == 0 and text in (",", ";", "[", "=") and c.kind(k - 1) == "name" and c.text(k - 1) not in names:
                names.append((k - 1, c.text(k - 1)))
            if depth == 0 and text == "=":
                c.error(i, "variables in the threadgroup address space cannot have an initializer")
                return
            depth += (text in ("(", "[", "<")) - (text in (")", "]", ">"))
        if self.kernel_depth is None:
            c.error(i, "variables in the threadgroup address space can only be declared in a kernel function")
            return
        c.set(i, "typedef threadgroup")
        for k, name in names:
            c.set(k, "sm_type_" + name)
        c.append(end, "".join(" SM_THREADGROUP_VARIABLE(%s)" % name for _, name in names))


def constant_value(type_, bits):
    if type_ == "bool":
        return "true" if int(bits, 16) else "false"
    size = {
        "char": "uchar",
        "uchar": "uchar",
        "short": "ushort",
        "ushort": "ushort",
        "half": "ushort",
        "bfloat": "ushort",
        "long": "ulong",
        "ulong": "ulong",
    }.get(type_, "uint")
    return "__builtin_bit_cast(%s, (%s)%s)" % (type_, size, bits)


def check_table(kernels):
    """C++ by which the checker finds each kernel's function in the intermediate code."""
    return "".join(
        'extern "C" { extern void* const sm_kernel_%d; void* const sm_kernel_%d = (void*)&%s; }\n'
        % (i, i, k.expression)
        for i, k in enumerate(kernels)
    )


def build_table(translation):
    """C++ that describes the one kernel of a shared library to the runtime (exec/kernel_abi.h)."""
    kernel = next((k for k in translation.kernels if k.name == translation.only), None)
    if kernel is None:
        raise CompileError("program_source:0:0: error: no kernel named '%s'" % translation.only)
    bindings = translation.bindings[kernel.base]
    expression = "&" + kernel.expression
    rows = ", ".join(
        '{%s, %d, sm::parameter_size<%d>(%s), sm::parameter_writable<%d>(%s), %s, "%s"}'
        % (b.abi_kind(), b.index, n, expression, n, expression, b.switch or "1", b.name)
        for n, b in enumerate(bindings)
    )
    return (
        'static __attribute__((no_sanitize("thread"))) void sm_entry(const SmDispatch* d, const SmThread* t) {\n'
        "    sm::bindings<%s>::call(%s, d, t);\n}\n"
        "static const SmParameter sm_parameters[] = {%s};\n"
        'extern "C" __attribute__((visibility("default"))) const SmKernel softmetal_kernel = {\n'
        '    "%s", sm_entry, sm_parameters, %d, %d};\n'
        % (
            ", ".join(b.cpp() for b in bindings),
            expression,
            rows or "{}",
            kernel.name,
            len(bindings),
            translation.max_threads[kernel.base],
        )
    )
