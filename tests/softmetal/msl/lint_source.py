"""What Apple's compiler refuses and clang's C++ front end would let pass: rules on the tokens."""

from kernels import SPACES

BANNED = {"goto", "virtual", "throw", "try", "catch", "new", "delete", "dynamic_cast", "typeid", "thread_local", "asm"}
SCALARS = {
    "void",
    "bool",
    "char",
    "uchar",
    "short",
    "ushort",
    "int",
    "uint",
    "long",
    "ulong",
    "half",
    "bfloat",
    "float",
    "size_t",
    "int8_t",
    "uint8_t",
    "int16_t",
    "uint16_t",
    "int32_t",
    "uint32_t",
    "int64_t",
    "uint64_t",
}
TYPES = SCALARS | {
    s + n
    for s in ("float", "half", "bfloat", "int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "bool")
    for n in "234"
}
QUALIFIERS = SPACES | {
    "const",
    "volatile",
    "unsigned",
    "struct",
    "typename",
    "static",
    "inline",
    "constexpr",
    "restrict",
}
UNSUPPORTED_ENTRY = {"vertex", "fragment", "visible", "intersection", "mesh", "object"}


class Lint:
    def __init__(self, translation):
        self.t, self.c = translation, translation.c
        self.types = set(TYPES)  # and those that the source declares

    def token(self, i):
        c, text = self.c, self.c.text(i)
        if text in ("struct", "class", "union", "enum", "typename", "using") and c.kind(i + 1) == "name":
            self.types.add(c.text(i + 1))
        if text in ("*", "&"):
            self.pointer(i)
        elif (
            text == "["
            and c.text(i - 1) in ("=", "(", ",", "return", "{", ";")
            and c.text(c.close(i) + 1) in ("(", "{")
        ):
            c.error(i, "lambda expressions are not supported in Metal")
        elif text.startswith(("__builtin_", "__atomic_", "__sync_", "__asm")):
            c.error(i, "'%s' is not in the Metal specification" % text)
        elif text == "double":
            c.error(i, "'double' is not supported in Metal")
        elif text in BANNED and c.text(i - 1) not in (".", "->"):
            c.error(i, "'%s' is not supported in Metal" % text)
        elif text == "static":
            self.static(i)
        elif self.t.file_scope() and c.statement_start(i) == i:
            self.declaration(i)

    def declaration(self, i):
        """At program scope every variable must be `constant`."""
        c = self.c
        end = c.statement_end(i)
        words = [c.text(k) for k in range(i, end)]
        if words and words[0] in UNSUPPORTED_ENTRY:
            c.error(i, "only compute kernels are emulated, not '%s' functions" % words[0])
        if (
            not words
            or "constant" in words
            or words[0]
            in (
                "using",
                "typedef",
                "namespace",
                "template",
                "struct",
                "class",
                "union",
                "enum",
                "kernel",
                "extern",
                "static_assert",
                "[[",
                "#",
            )
        ):
            return
        before = words[: words.index("=")] if "=" in words else words
        is_variable = "(" not in before and len(before) > 1 and c.text(end) in (";", "{")
        if is_variable and "operator" not in before:
            names = [w for w in before if w[0].isalpha() or w[0] == "_"]
            name = before[before.index("[") - 1] if "[" in before else names[-1]
            c.error(i, "program scope variable '%s' must reside in constant address space" % name)

    def static(self, i):
        c = self.c
        words = {c.text(k) for k in range(c.statement_start(i), c.statement_end(i))}
        if self.t.in_function() and not {"constexpr", "constant"} & words:
            c.error(i, "static local variables must be in the constant address space")

    def pointer(self, i):
        """A pointer or reference type in a declaration must name its address space.

        `a * b` is also a product: it is a declaration where the left side names a type, or where a
        parameter list of a function at program scope is read."""
        c = self.c
        if c.kind(i + 1) != "name" and c.text(i + 1) not in (")", ","):
            return
        k = i - 1
        while c.text(k) in ("const", "volatile"):  # `T const* p`
            k -= 1
        if c.text(k) == ">":  # back over template arguments
            depth = 0
            while k >= 0:
                depth += (c.text(k) == ">") - (c.text(k) == "<")
                if depth == 0:
                    break
                k -= 1
            k -= 1
        if c.kind(k) != "name" or c.text(k) in ("return", "case", "operator", "auto"):
            return
        type_name, qualifiers = c.text(k), set()
        if type_name in SPACES:
            return
        k -= 1
        while c.text(k) in QUALIFIERS or (c.text(k) == "::" and c.kind(k - 1) == "name"):
            if c.text(k) == "::":
                k -= 1
            qualifiers.add(c.text(k))
            k -= 1
        begins = c.text(k) in ("(", ",", ";", "{", "}", "<", "") or c.text(k) in ("]]", ">")
        if not begins or qualifiers & SPACES or self.spaces_after(i):
            return
        if c.kind(i + 1) == "name" and c.text(i + 2) not in (",", ")", "=", ";", "[", "[[", ":", "("):
            return
        parameter = c.text(k) in ("(", ",") and not self.t.in_function()
        if type_name in self.types or parameter:
            c.error(
                i,
                "%s type must have explicit address space qualifier" % ("pointer" if c.text(i) == "*" else "reference"),
            )

    def spaces_after(self, i):
        """`float device* p` is also Metal."""
        return self.c.text(i - 1) in SPACES
