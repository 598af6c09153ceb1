"""Kernel signatures: which parameter is bound to what, and the rules of Metal for them."""

# The inputs of a compute kernel, MSL specification 5.2.3.6.
BUILTINS = {
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threads_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "threads_per_grid",
    "threadgroups_per_grid",
    "thread_index_in_threadgroup",
    "thread_index_in_simdgroup",
    "thread_index_in_quadgroup",
    "simdgroup_index_in_threadgroup",
    "quadgroup_index_in_threadgroup",
    "threads_per_simdgroup",
    "thread_execution_width",
    "simdgroups_per_threadgroup",
    "quadgroups_per_threadgroup",
    "dispatch_simdgroups_per_threadgroup",
}
SCALAR_BUILTINS = {
    b for b in BUILTINS if "index_in" in b or "simdgroup" in b or "quadgroup" in b or b == "thread_execution_width"
}
POSITION_TYPES = {"uint", "ushort", "uint2", "ushort2", "uint3", "ushort3"}
SPACES = {"device", "constant", "threadgroup", "thread"}
MAX_INDEX = {"buffer": 30, "threadgroup": 30}


class Binding:
    """One parameter: kind is "buffer", "threadgroup" or the name of a builtin."""

    def __init__(self, kind, index, name, switch=None):
        self.kind, self.index, self.name, self.switch = kind, index, name, switch

    def cpp(self):
        if self.kind == "buffer":
            return "sm::buffer<%d>" % self.index
        if self.kind == "threadgroup":
            return "sm::threadgroup_memory<%d>" % self.index
        return "sm::" + self.kind

    def abi_kind(self):
        return {"buffer": "SM_BUFFER", "threadgroup": "SM_THREADGROUP"}.get(self.kind, "SM_BUILTIN")


def split_parameters(c, opening):
    """-> ([(attributes, token indices)], closing index); an attribute is (index of `[[`, its words)."""
    end, out, i = c.close(opening), [], opening + 1
    while i < end:
        attributes, tokens, depth = [], [], 0
        while i < end and not (c.text(i) == "," and depth == 0):
            if c.text(i) == "[[":
                closing = c.close(i)
                attributes.append((i, [c.text(k) for k in range(i + 1, closing)]))
                i = closing + 1
                continue
            depth += (c.text(i) in ("(", "<", "[")) - (c.text(i) in (")", ">", "]"))
            tokens.append(i)
            i += 1
        if tokens:
            out.append((attributes, tokens))
        i += 1
    return out, end


def blank_attributes(c, parameters):
    for attributes, _ in parameters:
        for opening, _ in attributes:
            c.blank(opening, c.close(opening))


def read_signature(c, opening, kernel):
    """Checks and strips the parameter attributes of a kernel. -> (bindings, index of the closing parenthesis)"""
    parameters, end = split_parameters(c, opening)
    taken = {}
    for attributes, _ in parameters:
        for _, words in attributes:
            if words[0] in MAX_INDEX and len(words) > 2 and words[2].isdigit():
                taken.setdefault((words[0], int(words[2])), None)
    bindings = [b for p in parameters for b in [read_parameter(c, kernel, p, taken)] if b]
    blank_attributes(c, parameters)
    return bindings, end


def read_parameter(c, kernel, parameter, taken):
    attributes, tokens = parameter
    words = [c.text(i) for i in tokens]
    name, pointer = words[-1], "*" in words or "&" in words
    place, switch = None, None
    for opening, attribute in attributes:
        word = attribute[0]
        if word in MAX_INDEX:
            place = read_index(c, opening, attribute, taken, name)
            if place is None:
                return None
        elif word in BUILTINS:
            place = (word, 0)
        elif word == "function_constant":
            switch = attribute[2]
        else:
            c.error(opening + 1, "unknown attribute '%s' on parameter '%s' of kernel '%s'" % (word, name, kernel))
            return None
    if place is None:
        if not pointer:
            c.error(
                tokens[-1],
                "invalid type for input declaration: kernel parameter '%s' of '%s' has no attribute" % (name, kernel),
            )
            return None
        kind = "threadgroup" if "threadgroup" in words else "buffer"  # Metal numbers those without attribute
        place = (kind, min(n for n in range(64) if (kind, n) not in taken))
        taken[place] = name
    kind, index = place
    if kind in MAX_INDEX:
        if not pointer:
            c.error(tokens[-1], "parameter '%s' with attribute '%s' must be a pointer or a reference" % (name, kind))
        wanted = {"device", "constant"} if kind == "buffer" else {"threadgroup"}
        if not wanted & set(words):
            c.error(
                tokens[0],
                "%s type must have explicit address space qualifier" % ("pointer" if "*" in words else "reference"),
            )
    else:
        types = [w for w in words[:-1] if w != "const"]
        wanted = {"uint", "ushort"} if kind in SCALAR_BUILTINS else POSITION_TYPES
        if len(types) != 1 or types[0] not in wanted:
            c.error(
                tokens[0],
                "invalid type '%s' for attribute '%s': must be one of %s"
                % (" ".join(types), kind, ", ".join(sorted(wanted))),
            )
    return Binding(kind, index, name, switch)


def read_index(c, opening, attribute, taken, name):
    kind = attribute[0]
    number = attribute[2] if len(attribute) > 2 else ""
    if not number.isdigit() or int(number) > MAX_INDEX[kind]:
        c.error(
            opening + 1, "'%s' attribute parameter is out of bounds: must be between 0 and %d" % (kind, MAX_INDEX[kind])
        )
        return None
    place = (kind, int(number))
    if taken.get(place):
        c.error(opening + 1, "'%s' attribute parameter %s is already used by '%s'" % (kind, number, taken[place]))
    taken[place] = name
    return place
